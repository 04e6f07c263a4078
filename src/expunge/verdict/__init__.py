"""From records to the rung reached."""
