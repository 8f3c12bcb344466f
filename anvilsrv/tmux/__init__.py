"""tmux: the terminals in which agents run. The only modules that talk to it; ``tmux.Tmux`` is all of them together.

One server of our own for each namespace, on a socket of its own, without the user's configuration. It outlives the daemon: agents run
on while there is none. Its one session ``anvillm`` has a window for each agent; people look at it through grouped sessions, so that
each of them sees the window of his choice.

Every command goes through one held control client ("CONTROL MODE" of tmux(1)), and what changes in tmux comes back through it as an
event. Only the start of the server and its end are processes of their own.

Why not libtmux: it runs a process for each call and waits for it without a bound, so a tmux server that hangs would hang the daemon
(stopped with SIGSTOP, ``list-panes`` had not returned after 20 s); it passes a window's command as one string, which tmux gives to the
user's login shell, where an agent's argv must arrive unchanged (and with SHELL=/usr/sbin/nologin no server starts); it gives the
server the daemon's whole environment; and nothing of what happens in tmux can be waited for. Measured with libtmux 0.62 and tmux 3.3a
on a busy machine with two cores, medians of three runs:

=====================  ==============  ===============
                       libtmux         control client
=====================  ==============  ===============
import                 102 ms          (0)
attach                                 9 ms, once
list-panes, 11 panes   7.4 ms          0.16 ms
send-keys              4.0 ms          0.12 ms
capture-pane           3.6 ms          0.11 ms
pane title             3.9 ms          0.12 ms
new-window             11 ms           2.7 ms
new-session            30 ms           (17 ms as a plain process)
=====================  ==============  ===============
"""
