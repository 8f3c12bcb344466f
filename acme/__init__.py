"""The Acme front-end: `Assist`, and the programs that start one agent in the current directory."""
