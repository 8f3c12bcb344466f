"""The use cases: where sessions, prompts and mail meet."""
