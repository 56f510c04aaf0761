"""k3d on a Docker of its own, with images that stand in for those of k3s and k3d (lab/README.md)."""
