"""Runs as plain files by content hash and a SQLite index."""
