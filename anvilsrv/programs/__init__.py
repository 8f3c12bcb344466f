"""The programs that run outside the sandbox."""
