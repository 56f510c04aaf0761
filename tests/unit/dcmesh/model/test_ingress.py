"""Ingress ports: numbers that follow from the port."""

from hypothesis import given
from hypothesis import strategies as st

from dcmesh.model.ingress import ISTIO_PORTS, ingress_port


def test_it_is_easily_told_from_the_port() -> None:
    assert [ingress_port(port) for port in (3306, 5432, 8080, 5050, 60000)] == [13306, 15432, 18080, 25050, 50000]


@given(st.integers(1, 65535))
def test_it_is_a_port_that_is_neither_istios_nor_the_servers(port: int) -> None:
    found = ingress_port(port)
    assert 1024 <= found <= 65535
    assert found not in ISTIO_PORTS
    assert found != port
