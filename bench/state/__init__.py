"""State: what it costs that Pulumi writes its whole state with each resource, and what its options spare. No lab."""
