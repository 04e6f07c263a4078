"""Verify by measuring."""
