"""Databases that replicate between isolated Kubernetes clusters: what is created stands in the stack files."""

from dcmesh_components.program import run

run()
