"""What Assist is made of: acme's windows (acme(4)), the daemon's tree seen from outside, and one module a window kind.

Everything here speaks 9P only. Threads: each window is owned by one thread (`pane`); readers of blocking files
(`follow`) only post to it.
"""
