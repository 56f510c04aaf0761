"""Quantities as Kubernetes writes them, such as the sizes of volumes."""

from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity


def number(quantity: str) -> Decimal:
    """Return the number that a quantity such as `10Gi` stands for."""
    return Decimal(parse_quantity(quantity))
