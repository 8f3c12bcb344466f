"""AnviLLM: coding agents in tmux, inside a sandbox, shown as a 9P file tree."""

__version__ = "0.2.0"
