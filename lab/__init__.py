"""The lab: real Kubernetes sites on one Linux machine, joined by a WAN that can be cut (`python -m lab`)."""
