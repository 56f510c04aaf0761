"""k3d on a Docker of its own, with images that stand in for k3s' and k3d's (lab/README.md)."""
