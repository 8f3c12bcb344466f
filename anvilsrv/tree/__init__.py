"""The file tree: one row for each file."""
