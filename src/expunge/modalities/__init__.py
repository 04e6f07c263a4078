"""The only files that turn rows into batches."""
