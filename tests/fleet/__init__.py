"""Sessions of all real agents, on stand-ins for their services, among accidents: who works with them (``work.py``), the run and what
must hold at its end (``fleet.py``). Used by bench/agents.py.
"""
