"""Prompts of every shape for an agent in whose pane a person works too.

Shared by tests/daemon/test_deliveries.py and bench/deliveries.py.
"""
