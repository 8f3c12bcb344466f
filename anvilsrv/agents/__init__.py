"""Code that acts on a running agent."""
