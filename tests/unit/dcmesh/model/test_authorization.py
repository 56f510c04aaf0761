"""AuthorizationPolicies: what a principal means in a mesh with a given trust domain."""

import pytest

from dcmesh.model.authorization import connection, refusing
from dcmesh.model.link import ServiceAccount, as_written


@pytest.mark.parametrize(
    ("written", "own", "refused"),
    [
        ("cluster.local/ns/a/sa/b", ("cluster.local",), True),
        ("cluster.local/ns/a/sa/b", ("dc1.dcmesh",), False),
        ("cluster.local/ns/a/sa/b", ("dc1.dcmesh", "cluster.local"), True),
        ("dc1.dcmesh/ns/a/sa/b", ("dc1.dcmesh", "cluster.local"), True),
        ("dc1.dcmesh/ns/a/sa/b", ("cluster.local",), False),
        ("*/ns/a/sa/b", ("dc1.dcmesh",), True),
    ],
)
def test_a_principal_means_what_istio_reads(written: str, own: tuple[str, ...], refused: bool) -> None:
    """This is about callers at cluster.local: Istio reads that as the mesh's own domain, whatever that is."""
    spec = {"action": "DENY", "rules": [{"from": [{"source": {"principals": [written]}}]}]}
    policy = {"metadata": {"namespace": "a", "name": "p"}, "spec": spec}
    asked = connection(ServiceAccount("a", "b"), port=1, sni="", trust_domains=own)
    assert bool(refusing([policy], asked)) is refused


@pytest.mark.parametrize(
    ("principal", "own", "written"),
    [
        ("cluster.local/ns/a/sa/b", "cluster.local", "cluster.local/ns/a/sa/b"),
        ("cluster.local/ns/a/sa/b", "dc1.dcmesh", "*/ns/a/sa/b"),
        ("dc2.dcmesh/ns/a/sa/b", "dc1.dcmesh", "dc2.dcmesh/ns/a/sa/b"),
    ],
)
def test_how_a_policy_must_write_a_principal(principal: str, own: str, written: str) -> None:
    assert as_written(principal, own) == written
