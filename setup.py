"""Which packages are installed: `dcmesh`, and components/ as `dcmesh_components`. All else is in pyproject.toml."""

from setuptools import find_packages, setup

TREES = {"dcmesh": "dcmesh", "dcmesh_components": "components"}
BELOW = [f"{root}.{name}" for root, tree in TREES.items() for name in find_packages(tree)]

setup(packages=[*TREES, *BELOW])
