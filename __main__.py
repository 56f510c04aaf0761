"""dcmesh: isolated Kubernetes clusters joined by Istio, for databases that replicate between datacenters."""

from components.program import run

run()
