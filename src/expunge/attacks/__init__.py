"""Verify by attacking."""
