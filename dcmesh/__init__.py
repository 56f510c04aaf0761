"""What is known of a stack, asked of its clusters, and done: the program uses it, and `python -m dcmesh VERB`."""
