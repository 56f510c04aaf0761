"""WriterService: where it leads, and that its objects are the same for either primary."""

from typing import Any

import pytest

from tests.unit.configurations import stack
from tests.unit.engine import Engine, Resource
from tests.unit.program import program_of

OWN = {"dc1": "db-writer.wookie.svc.cluster.local", "dc2": "db-writer.wookie-dr.svc.cluster.local"}
SERVER = {"dc1": "db-0.db.wookie.svc.cluster.local", "dc2": "db-0.db.wookie-dr.svc.cluster.local"}
NAMES = {"dc1": "dc1.wookie", "dc2": "dc2.wookie-dr"}


def pair(**settings: Any) -> dict[str, Any]:
    raw = {**stack("mariadb-switchover"), **settings}
    for site in raw["sites"]:
        site["workloads"][0]["writerService"] = True
    return raw


def of(engine: Engine, kind: str, site: str) -> Resource:
    return engine.asked[f"{NAMES[site]}-writer-{kind}"]


@pytest.mark.parametrize("primary", ["dc1", "dc2"])
def test_both_sites_are_led_to_the_primary(primary: str) -> None:
    """In its own site it leads to the server itself.

    In the other it leads over the link, by the name that is imported there.
    """
    engine = program_of(pair(primary=primary))
    for site, own in OWN.items():
        spec = of(engine, "virtualservice", site).spec
        host = own if site == primary else SERVER[primary]
        assert spec["hosts"] == [own]
        assert spec["tcp"] == [{"route": [{"destination": {"host": host, "port": {"number": 3306}}}]}]


@pytest.mark.parametrize("site", ["dc1", "dc2"])
def test_without_a_sidecar_it_is_the_sites_own_server(site: str) -> None:
    """That server refuses writes while it is a replica."""
    service = of(program_of(pair()), "service", site)
    assert service.spec["selector"] == {"app": "db", "statefulset.kubernetes.io/pod-name": "db-0"}
    assert service.spec.get("type", "ClusterIP") == "ClusterIP"


def test_nobody_is_led_elsewhere_before_the_roles_have_changed() -> None:
    engine = program_of(pair(primary="dc2"))
    for site in NAMES:
        assert "dc1.wookie-dc2.wookie-dr-switchover" in engine.before(of(engine, "virtualservice", site).name)


def test_a_site_that_is_gone_keeps_what_it_has() -> None:
    """Nothing can be made or deleted in it. So the objects are the same for either primary."""
    engine = program_of(pair(primary="dc2", failover={"without": "dc1", "at": "0-1-7"}))
    before = program_of(pair(primary="dc1"))
    made = [{name for name in one.asked if "-writer-" in name} for one in (engine, before)]
    assert made[0] == made[1]
    assert [*of(engine, "virtualservice", "dc1").request.ignoreChanges] == ["*"]


def test_there_is_none_that_nobody_wished_for() -> None:
    engine = program_of(stack("mariadb-switchover"))
    assert not [name for name in engine.asked if "-writer" in name]


def by_gateways(primary: str) -> dict[str, Any]:
    """Return the pair with gateways at both ends."""
    raw = pair(primary=primary)
    for own, other in (raw["sites"], raw["sites"][::-1]):
        (export,), (imported,) = own["exports"], own["imports"]
        del export["serviceAccount"], export["selector"]
        egress = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}
        export |= {"termination": "gateway", "consumers": [{"site": other["name"], **egress}]}
        clients = [{"namespace": own["workloads"][0]["namespace"]}]
        names = {"hostNamespace": other["workloads"][0]["namespace"]}
        imported |= {**egress, **names, "egress": "gateway", "clients": clients}
    return raw


@pytest.mark.parametrize("primary", ["dc1", "dc2"])
def test_by_an_egress_gateway_it_is_another_name_of_the_primary(primary: str) -> None:
    engine = program_of(by_gateways(primary))
    for site in NAMES:
        spec = of(engine, "service", site).spec
        assert (spec["type"], spec["externalName"]) == ("ExternalName", SERVER[primary])
        assert "selector" not in spec
    assert not [name for name in engine.asked if name.endswith("-writer-virtualservice")]
