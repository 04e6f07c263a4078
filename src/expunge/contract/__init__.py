"""What a unit promises."""
