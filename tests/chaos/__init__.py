"""A daemon among accidents: what is done to it (``accidents.py``), who writes to it meanwhile (``load.py``), what must hold at the end
(``judge.py``). Shared by tests/daemon/test_chaos.py (half a minute) and bench/chaos.py (an hour).
"""
