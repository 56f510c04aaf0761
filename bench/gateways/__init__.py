"""Gateways: an existing database without a sidecar, exported so that TLS ends at the gateway."""
