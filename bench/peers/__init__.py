"""Peers: other tools that a user could pick instead, on the same lab. None of them is part of dcmesh."""
