"""The only callers of tmux."""
