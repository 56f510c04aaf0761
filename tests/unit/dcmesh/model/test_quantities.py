"""Quantities: as Kubernetes' own client reads them."""

from decimal import Decimal

import pytest
from kubernetes.utils.quantity import parse_quantity

from dcmesh.model.quantities import SUFFIXES, number_of


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", ["1", "10", "1.5", ".5", "+3.", "-2"])
def test_a_number_with_each_suffix(number: str, suffix: str) -> None:
    assert number_of(number + suffix) == parse_quantity(number + suffix)


@pytest.mark.parametrize(("quantity", "number"), [("1e3", 1000), ("12E6", 12_000_000), ("5e-1", Decimal("0.5"))])
def test_an_exponent(quantity: str, number: Decimal) -> None:
    assert number_of(quantity) == number


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1GiB", "1K", "1e", "1e3Gi", "0x10", "٣", "1.2.3", "inf"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        number_of(text)
