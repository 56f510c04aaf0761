"""State: the cost of Pulumi writing its whole state for each resource, and what its options save. It needs no lab."""
