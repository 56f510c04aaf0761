"""Istio in a site, and what joins it to another: gateways, exports, imports."""
