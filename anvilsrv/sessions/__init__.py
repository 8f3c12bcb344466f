"""Sessions, their prompts and their turns: rows and the rules for them."""
