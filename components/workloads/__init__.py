"""The demo's workload, and what every workload stands in."""
