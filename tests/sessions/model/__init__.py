"""A world for the machine of prompt and turn: one session with its rows, its agent, a person at its pane, a user at its files.

Rows, registry, turns, mail and the session's life are the real ones, on a database in memory (``rows.py``). The rest is a model: an
agent with an input box, whose hooks report what it does (``pane.py``); a typist that does the steps of ``agents/typist.py`` one at a
time (``typist.py``); and a daemon that may be killed between any two steps, which loses everything but the rows (``world.py``). There
is no tmux, no thread and no clock that runs. ``moves.py`` has what may happen in random runs, ``invariants.py`` what must hold.
"""
