"""The task graph."""
