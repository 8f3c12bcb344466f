"""Real coding agents, run against stand-ins for their model's service on loopback."""
