"""Request or benchmark data to rows."""
