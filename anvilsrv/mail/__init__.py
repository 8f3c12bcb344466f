"""Messages and the boxes in which they lie."""
