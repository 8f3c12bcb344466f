"""The web front-end, command ``anvilweb``: one page, and the JSON interface behind it, on loopback.

``server`` is the program, ``app`` puts the parts together, ``guard`` decides what may pass, ``api`` is a table of operations,
``openapi`` describes that table, ``stream`` carries what happens to the page. The page is in ``static/``: no build step, nothing
from elsewhere.

Threads: asyncio's loop serves HTTP; one thread follows ``events``; each stream that shows a conversation has one that follows
its log; requests of the tree run in the loop's pool of workers.
"""
