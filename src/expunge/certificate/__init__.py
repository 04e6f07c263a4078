"""Signed statements about a removal, verified offline."""
