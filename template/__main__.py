"""Databases that replicate between isolated Kubernetes clusters. The stack files say what is created."""

from dcmesh_components.program import run

run()
