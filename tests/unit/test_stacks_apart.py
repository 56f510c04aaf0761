"""Separate stacks, as in production: what crosses between them, in which order, and what never does.

test_program.py tests what they have in common with one stack, on the stack `apart`.
"""

import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from tests.unit.conftest import stack_dev
from tests.unit.engine import Engine, readable_strings
from tests.unit.program import (
    Config,
    asked_hosts,
    existing_cluster,
    existing_clusters,
    imported,
    run_apart,
    run_program,
)

OF_TRUST = {"source": "stack", "stack": "organization/dcmesh/trust"}
TRUST = {"trust": {"issueFor": ["dc1", "dc2", "dc3"]}}

Stacks = dict[str, Engine]


def stack_of(site: str, *peers: str | Config, **changes: Any) -> Config:
    """Return the configuration of a stack that has one site of dev; dc3 is another dc2."""
    exporter, importer = stack_dev()["sites"]
    (export,) = exporter["exports"]
    export["consumers"].append(export["consumers"][0] | {"site": "dc3"})
    own = {"dc1": exporter, "dc2": importer, "dc3": importer | {"name": "dc3"}}[site]
    return {
        "trust": OF_TRUST,
        "sites": [own | {"cluster": existing_cluster(site)} | changes],
        "peers": [peer if isinstance(peer, dict) else {"name": peer} for peer in peers],
    }


@pytest.fixture(scope="module", autouse=True)
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with existing_clusters(tmp_path_factory.mktemp("clusters"), "dc1", "dc2", "dc3"):
        yield


@pytest.fixture(scope="module")
def stacks(clusters: None) -> Stacks:
    """All stacks, in the order of docs/production.md."""
    sites = [("dc1", stack_of("dc1")), ("dc2", stack_of("dc2", "dc1")), ("dc3", stack_of("dc3", "dc1"))]
    return run_apart([("trust", TRUST), *sites])


def without(stacks: Stacks, *names: str) -> Stacks:
    return {name: engine for name, engine in stacks.items() if name not in names}


def objects(engine: Engine) -> dict[str, Any]:
    """Return everything that is in a cluster."""
    return {resource.name: resource.inputs for resource in engine.in_kubernetes()}


# --- trust -------------------------------------------------------------------------------------------------------


def test_trust_touches_no_cluster(stacks: Stacks) -> None:
    assert not stacks["trust"].in_kubernetes()
    assert not stacks["trust"].kind("Command", "kubernetes")


def test_trust_hands_out_an_intermediate_for_each_site_and_its_key_is_secret(stacks: Stacks) -> None:
    outputs = stacks["trust"].outputs["intermediates"]
    assert set(outputs) == {"dc1", "dc2", "dc3"}
    assert len({parts["caKey"] for parts in outputs.values()}) == 3
    readable = list(readable_strings(stacks["trust"].raw_outputs["intermediates"]))
    assert {parts["caCert"] for parts in outputs.values()} <= set(readable), "what is not secret may be read"
    assert not {parts["caKey"] for parts in outputs.values()} & set(readable)


def test_trust_shows_what_it_has_issued(stacks: Stacks) -> None:
    """This includes how long it is valid. A site shows what its proxies follow, which is the same in the end."""
    shown, intermediates = (stacks["trust"].outputs[name] for name in ("certificates", "intermediates"))
    assert shown == {
        site: {part: intermediates[site][part] for part in ("certChain", "rootCert")} for site in ("dc1", "dc2", "dc3")
    }
    assert stacks["dc2"].outputs["certificates"] == {"dc2": shown["dc2"]}


def test_sites_hand_out_no_intermediate(stacks: Stacks) -> None:
    assert [stacks[site].outputs["intermediates"] for site in ("dc1", "dc2", "dc3")] == [{}, {}, {}]


@pytest.mark.parametrize("site", ["dc1", "dc2", "dc3"])
def test_each_site_has_its_own_intermediate_and_no_other(stacks: Stacks, site: str) -> None:
    issued = stacks["trust"].outputs["intermediates"]
    cacerts = stacks[site].one("Secret").inputs["stringData"]
    assert cacerts == {
        "ca-cert.pem": issued[site]["caCert"],
        "ca-key.pem": issued[site]["caKey"],
        "cert-chain.pem": issued[site]["certChain"],
        "root-cert.pem": issued[site]["rootCert"],
    }
    everything = str([resource.raw for resource in stacks[site].asked.values()]) + str(stacks[site].raw_outputs)
    assert cacerts["ca-key.pem"].strip() in everything, "otherwise the test looked at nothing"
    for other in issued.keys() - {site}:
        assert issued[other]["caKey"].strip() not in everything


def test_the_roots_key_stays_in_trust(stacks: Stacks) -> None:
    root_key = stacks["trust"].one("SelfSignedCert").inputs["privateKeyPem"].strip()
    assert root_key not in str(stacks["trust"].raw_outputs)
    for site in ("dc1", "dc2", "dc3"):
        assert root_key not in str([resource.raw for resource in stacks[site].asked.values()])


# --- credentials -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["dc1", "dc2", "dc3"])
def test_a_stack_holds_the_credentials_of_its_own_cluster_alone(stacks: Stacks, site: str) -> None:
    everything = str([resource.raw for resource in stacks[site].asked.values()]) + str(stacks[site].raw_outputs)
    assert [name for name in ("dc1", "dc2", "dc3") if f"secret token of {name}" in everything] == [site]


# --- links -------------------------------------------------------------------------------------------------------


def test_two_sites_import_from_one(stacks: Stacks) -> None:
    (export,) = stacks["dc1"].outputs["link"]["dc1"]["exports"]
    for site in ("dc2", "dc3"):
        assert asked_hosts(stacks[site]) == {site: set(export["hosts"])}


def test_a_gateway_that_moved_is_followed_by_the_next_up(stacks: Stacks) -> None:
    moved = stack_of("dc1", gateway={"advertise": ["203.0.113.1", "203.0.113.2"], "advertisePort": 443})
    after = run_apart([("dc1", moved), ("dc2", stack_of("dc2", "dc1"))], stacks)
    for entry in imported(after["dc2"], "ServiceEntry"):
        endpoints = [(endpoint["address"], *endpoint["ports"].values()) for endpoint in entry.spec["endpoints"]]
        assert endpoints == [("203.0.113.1", 443), ("203.0.113.2", 443)]
    changed = {name for name, inputs in objects(after["dc2"]).items() if objects(stacks["dc2"])[name] != inputs}
    kinds = [after["dc2"][name].kind for name in changed]
    assert sorted(kinds) == ["DestinationRule", "Job", *["ServiceEntry"] * 3], "the probe runs again, Istio does not"


def test_another_replica_changes_nothing_of_the_others(stacks: Stacks) -> None:
    """Only the added one's objects may be new, so that connections to the others stay."""
    (workload,), (export,) = (stack_of("dc1")["sites"][0][part] for part in ("workloads", "exports"))
    grown = stack_of("dc1", workloads=[workload | {"replicas": 5}], exports=[export | {"replicas": 5}])
    after = run_apart([("dc1", grown), ("dc2", stack_of("dc2", "dc1"))], stacks)
    assert len(asked_hosts(after["dc2"])["dc2"]) == 5
    changed = {
        (site, after[site][name].kind)
        for site in ("dc1", "dc2")
        for name, inputs in objects(stacks[site]).items()
        if objects(after[site])[name] != inputs
    }
    assert changed == {("dc1", "StatefulSet"), ("dc1", "Gateway"), ("dc2", "Job")}


def test_a_literal_link_is_as_good_as_a_stack(stacks: Stacks) -> None:
    link = json.loads(json.dumps(stacks["dc1"].outputs["link"]["dc1"]))
    alone = run_apart([("dc2", stack_of("dc2", {"name": "dc1", "link": link}))], without(stacks, "dc1", "dc2", "dc3"))
    assert objects(alone["dc2"]) == objects(stacks["dc2"])


def test_an_export_that_is_gone_stops_its_importer_before_the_first_resource(stacks: Stacks) -> None:
    (export,) = stack_of("dc1")["sites"][0]["exports"]
    renamed = stack_of("dc1", exports=[export | {"name": "greeter", "statefulSet": "hello"}])
    dc1 = run_apart([("dc1", renamed)], stacks)["dc1"]
    engine = Engine(stacks={OF_TRUST["stack"]: stacks["trust"].outputs, "organization/dcmesh/dc1": dc1.outputs})
    with pytest.raises(pulumi.RunError, match=r'sites\[0\]\.imports\[0\]\.export: "hello" .*dc1.*greeter'):
        run_program(engine, stack_of("dc2", "dc1"))
    assert not engine.asked


# --- the order of commands ---------------------------------------------------------------------------------------


def test_without_the_exporting_stack_nothing_is_made(stacks: Stacks) -> None:
    engine = Engine(stacks={"organization/dcmesh/trust": stacks["trust"].outputs})
    with pytest.raises(pulumi.RunError, match=r'peers\[0\]\.stack: "organization/dcmesh/dc1" cannot be read'):
        run_program(engine, stack_of("dc2", "dc1"))
    assert not engine.asked


def test_an_importer_without_its_exporter_is_pending(stacks: Stacks) -> None:
    """The exporter's stack exists, but was never up. Everything else is made, and a warning says what to do."""
    trust = stacks["trust"].outputs
    engine = Engine(stacks={"organization/dcmesh/trust": trust, "organization/dcmesh/dc1": {}})
    run_program(engine, stack_of("dc2", "dc1"))
    (warning,) = engine.warnings
    assert warning.startswith("dc1 exports nothing yet: ")
    assert "`pulumi up`" in warning
    assert not engine.kind("ServiceEntry", "DestinationRule", "Sidecar", "Job")
    pending = {resource.name for resource in stacks["dc2"].in_kubernetes()} - set(objects(engine))
    assert pending == {r.name for r in stacks["dc2"].kind("ServiceEntry", "DestinationRule", "Sidecar", "Job")}


def test_what_is_pending_holds_up_nothing_else(stacks: Stacks) -> None:
    (of_dc1,) = stack_of("dc2")["sites"][0]["imports"]
    imports = [of_dc1 | {"from": "dc0", "export": "stock"}, of_dc1]
    peers = {name: f"organization/dcmesh/{name}" for name in ("trust", "dc1", "dc0")}
    outputs = {stack: stacks[name].outputs if name in stacks else {} for name, stack in peers.items()}
    engine = run_program(Engine(stacks=outputs), stack_of("dc2", "dc0", "dc1", imports=imports))
    assert [warning.partition(" ")[0] for warning in engine.warnings] == ["dc0"]
    assert objects(engine) == objects(stacks["dc2"])


def test_nobody_is_warned_where_all_is_there(stacks: Stacks) -> None:
    assert not [warning for engine in stacks.values() for warning in engine.warnings]


def back(stack: Config) -> Config:
    """Return a stack for the other direction: with other names, and swapped sites."""
    text = json.dumps(stack).replace('"demo', '"back')
    for old, new in (("dc1", "dcX"), ("dc2", "dc1"), ("dcX", "dc2")):
        text = text.replace(f'"{old}"', f'"{new}"')
    return json.loads(text)


def test_both_directions_have_no_first(stacks: Stacks) -> None:
    """dc1 and dc2 import from each other. The order is dc1, dc2, and dc1 once more."""
    there = {name: stack_of(name, peer) for name, peer in (("dc1", "dc2"), ("dc2", "dc1"))}
    both = {name: json.loads(json.dumps(stack)) for name, stack in there.items()}
    for name, other in (("dc1", "dc2"), ("dc2", "dc1")):
        for part in ("workloads", "exports", "imports"):
            swapped = back(there[other])["sites"][0].get(part, [])
            both[name]["sites"][0][part] = both[name]["sites"][0].get(part, []) + swapped
    outputs = {"organization/dcmesh/trust": stacks["trust"].outputs, "organization/dcmesh/dc2": {}}
    first = run_program(Engine(stacks=outputs), both["dc1"])
    second = run_apart([("dc2", both["dc2"])], {"trust": stacks["trust"], "dc1": first})
    third = run_apart([("dc1", both["dc1"])], second)["dc1"]
    assert [len(engine.warnings) for engine in (first, second["dc2"], third)] == [1, 0, 0]
    assert asked_hosts(first) == {}
    assert len(asked_hosts(second["dc2"])["dc2"]) == len(asked_hosts(third)["dc1"]) == 3
    assert first.outputs["link"] == third.outputs["link"]
    assert objects(first).items() <= objects(third).items(), "existing ones stay as they were"


def test_a_site_with_a_key_of_its_own_first_asks_for_its_certificate(stacks: Stacks) -> None:
    """After that the stack `trust` signs, and the site's stack goes on."""
    outputs = {"organization/dcmesh/dc1": stacks["dc1"].outputs, "organization/dcmesh/trust": {}}
    own = stack_of("dc2", "dc1") | {"trust": {**OF_TRUST, "ownKey": 1}}
    engine = run_program(Engine(stacks=outputs), own)
    assert engine.outputs == {"requests": {"dc2": "request of trust.dc2-1-request\n"}}
    assert not engine.secret_outputs
    assert not engine.in_kubernetes()
    (warning,) = engine.warnings
    assert warning.startswith("dc2: nothing is made yet but its key. Set `trust.requests` in the stack that issues")


def test_a_stack_that_has_a_cluster_does_not_ask_anew(stacks: Stacks) -> None:
    """If its site had another name, everything that it has would be deleted."""
    outputs = {"organization/dcmesh/dc1": stacks["dc1"].outputs, "organization/dcmesh/trust": {}}
    own = stack_of("dc2", "dc1") | {"trust": {**OF_TRUST, "ownKey": 1}}
    provider = {"urn:pulumi:dc2::dcmesh::pulumi:providers:kubernetes::dc-2-cluster-kubernetes": {"outputs": {}}}
    with pytest.raises(pulumi.RunError, match=r"issues nothing for dc2: add what is missing to its trust\.issueFor"):
        run_program(Engine(stacks=outputs, state=provider), own)


@pytest.mark.parametrize(
    ("issued", "says"),
    [
        (None, r"trust\.stack: 'organization/dcmesh/trust' cannot be read"),
        ({}, r"issues nothing for dc2: add what is missing to its trust\.issueFor"),
        ({"intermediates": {"dc1": {}}}, r"issues nothing for dc2: add what is missing to its trust\.issueFor"),
    ],
    ids=["no stack", "never up", "not for this site"],
)
def test_without_its_certificates_a_site_is_not_begun(stacks: Stacks, issued: Config | None, says: str) -> None:
    outputs = {"organization/dcmesh/dc1": stacks["dc1"].outputs}
    engine = Engine(stacks=outputs if issued is None else outputs | {"organization/dcmesh/trust": issued})
    with pytest.raises(pulumi.RunError, match=says):
        run_program(engine, stack_of("dc2", "dc1"))
    assert not engine.in_kubernetes()
