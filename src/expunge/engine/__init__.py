"""What units call."""
