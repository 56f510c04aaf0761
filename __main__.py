"""dcmesh: isolated Kubernetes clusters joined by Istio, for databases that replicate between datacenters.

What is created, and in which order, stands in components/program.py: it reads like a table of contents.
"""

from components.program import run

run()
