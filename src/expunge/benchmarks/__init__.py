"""Published protocols."""
