"""What the kernel offers, one thin wrapper each."""
