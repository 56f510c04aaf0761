"""Measures how fast dcmesh is and how far it scales, on the lab, compared with what a user would pick instead.

`make bench` runs it all.
"""
