"""What Assist is made of: acme's windows (acme(4)), the daemon's tree seen from outside, and one module a window kind.

Everything here speaks 9P only; the daemon and conversations are followed by `anvilsrv.front`. Threads: each window is owned by
one thread (`pane`); what reads blocking files only posts to it.
"""
