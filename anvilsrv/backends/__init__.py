"""Kinds of agents, as their files describe them."""
