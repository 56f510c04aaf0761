"""How the sites of a stack are, now."""
