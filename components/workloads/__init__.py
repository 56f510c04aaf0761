"""The demo's workload, and the namespace and account that every workload has."""
