"""What dcmesh knows of a stack, asks its clusters and does. The program and `python -m dcmesh VERB` use it."""
