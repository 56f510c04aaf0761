"""Quantities as Kubernetes writes them, such as the sizes of volumes."""

import re
from decimal import Decimal

SUFFIXES = {
    **{suffix: Decimal(10) ** power for suffix, power in (("n", -9), ("u", -6), ("m", -3), ("", 0))},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}
"""From the documentation of `Quantity` in k8s.io/apimachinery/pkg/api/resource."""


def number_of(quantity: str) -> Decimal:
    """Return the number that a quantity such as `10Gi` stands for.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([+-]?[0-9]+\.?[0-9]*|[+-]?\.[0-9]+)(?:([eE][+-]?[0-9]+)|([a-zA-Z]*))", quantity, re.ASCII)
    if not found or (found[3] or "") not in SUFFIXES:
        raise ValueError(f"{quantity!r} is no quantity")
    return Decimal(found[1] + (found[2] or "")) * SUFFIXES[found[3] or ""]
