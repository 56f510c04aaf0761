"""What runs in the pods: one workload a file."""
