"""The terminal front-end, command ``anvillm``: the sessions as a list, one as a conversation, mail, and questions.

It speaks 9P only, through ``anvilsrv.front``. ``anvillm`` is the application and alone imports the screens, which know it as
``host.Host``.

Threads: one follows ``events`` (``follow.Follower``), one follows what happens in the session on the screen (``turns.Turns``),
requests run in short-lived workers. They hand what they find to Textual's loop by ``post_message``, which may be called from
any thread; widgets are touched on that loop alone.
"""
