"""Tiny problems with known answers."""
