"""One way to ask a cluster: the client of the Kubernetes API is used here, and nowhere else."""

from dcmesh.kube import lazy_client

lazy_client.use()
