"""Gateways: a database that is there already, without a sidecar, exported with the gateway ending TLS."""
