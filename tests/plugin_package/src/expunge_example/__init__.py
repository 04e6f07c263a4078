"""A third-party package that adds one method to Expunge."""
