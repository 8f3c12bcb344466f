"""The database: rows, events, and who waits for them."""
