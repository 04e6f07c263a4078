"""Intervals, tests and member scores in NumPy."""
