"""Peers: what a user would pick instead, on the same lab. None of it is part of the product."""
