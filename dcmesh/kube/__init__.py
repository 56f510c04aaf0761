"""One way to ask a cluster: the client of the Kubernetes API is used here, and nowhere else."""
