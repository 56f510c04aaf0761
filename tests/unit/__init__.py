"""Unit tests: no cluster, no Pulumi engine, seconds."""
