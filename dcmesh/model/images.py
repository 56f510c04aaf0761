"""Images of dcmesh's own pods."""

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.53"
"""Kubernetes' own test image: the demo, and a shell with curl."""
