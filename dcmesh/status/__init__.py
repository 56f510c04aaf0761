"""The present state of a stack's sites."""
