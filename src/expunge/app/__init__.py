"""The command and what a person runs."""
