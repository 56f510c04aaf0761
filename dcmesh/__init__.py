"""What is known of a stack, asked of its clusters, and done: the program uses it, and `python -m dcmesh VERB`."""

import gc

# What is imported stays. To look through it for garbage, again and again, takes a sixth of a start.
gc.set_threshold(200_000)
