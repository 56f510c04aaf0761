"""Sites with trust domains of their own: the whole program under mocks."""

from collections.abc import Iterator
from typing import Any

import pytest

from dcmesh.model.link import ServiceAccount
from dcmesh.sites_in_outputs import parse_outputs
from tests.unit.conftest import stack_dev
from tests.unit.engine import Engine
from tests.unit.program import imported, run_program, site_of

DOMAINS = {"dc1": "dc1.dcmesh", "dc2": "dc2.dcmesh"}
POD = "spiffe://dc1.dcmesh/ns/demo/sa/hello"
CONSUMER = "spiffe://dc2.dcmesh/ns/demo-dr/sa/client"


def stack() -> dict[str, Any]:
    raw = stack_dev()
    for site in raw["sites"]:
        site["trustDomain"] = DOMAINS[site["name"]]
    return raw


@pytest.fixture(scope="module")
def binding() -> Iterator[None]:
    """What the mocks make is no PEM."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.trust.shared_ca.bound", lambda pem, _, domain: f"{pem.strip()} for {domain}\n")
        yield


@pytest.fixture(scope="module")
def engine(binding: None) -> Engine:
    return run_program(Engine(), stack())


def test_each_mesh_has_its_trust_domain_and_an_authority_for_that_alone(engine: Engine) -> None:
    istiods = {site_of(of): of.inputs["values"] for of in engine.kind("Release") if of.inputs["name"] == "istiod"}
    assert {site: values["meshConfig"]["trustDomain"] for site, values in istiods.items()} == DOMAINS
    secrets = [of for of in engine.kind("Secret") if of.object[1] == "cacerts"]
    certs = {site_of(of): of.inputs["stringData"]["ca-cert.pem"] for of in secrets}
    assert {site: cert.split(" for ")[1].strip() for site, cert in certs.items()} == DOMAINS


def test_who_connects_and_who_answers_are_named_whole(engine: Engine) -> None:
    assert {tuple(of.spec["subjectAltNames"]) for of in imported(engine, "ServiceEntry")} == {(POD,)}
    (policy,) = engine.kind("AuthorizationPolicy")
    assert policy.spec["rules"][0]["from"] == [{"source": {"notPrincipals": [CONSUMER.removeprefix("spiffe://")]}}]
    link = engine.outputs["link"]["dc1"]
    assert link["version"] == 4
    assert link["exports"][0]["identities"] == [POD]
    assert link["exports"][0]["consumers"][0]["trustDomains"] == ["dc2.dcmesh"]


def test_pods_let_consumers_of_another_trust_domain_in_before_the_gateway_leads_there(engine: Engine) -> None:
    (letting_in,) = [of for of in engine.kind("EnvoyFilter") if of.object[1].endswith("-trust-domains")]
    assert CONSUMER in str(letting_in.spec)
    (strict,) = engine.kind("PeerAuthentication")
    assert strict.name in engine.before(letting_in.name), "and goes before it: Envoy takes no listener with half of TLS"
    gateways = [of for of in engine.kind("Gateway") if of.object[1] == "hello"]
    assert gateways
    assert all(letting_in.name in engine.before(of.name) for of in gateways)


def test_a_stack_without_has_nothing_of_it() -> None:
    """What runs stays as it is."""
    plain = run_program(Engine(), stack_dev())
    assert not [of for of in plain.kind("EnvoyFilter") if of.object[1].endswith("-trust-domains")]
    assert "trustDomain" not in str(plain.outputs["link"]) + str(plain.outputs["sites"])
    for command in (plain["dc1-certificates"], plain["dc1-certificates-begun"]):
        assert not [text for text in command.inputs["triggers"] if text == "cluster.local"]
        assert "DCMESH_TRUST_DOMAIN" not in command.inputs.get("environment", {})


def test_certificates_of_another_trust_domain_are_seen_through(engine: Engine) -> None:
    for site, domain in DOMAINS.items():
        assert domain in engine[f"{site}-certificates-begun"].inputs["triggers"]
        assert engine[f"{site}-certificates"].inputs["environment"]["DCMESH_TRUST_DOMAIN"] == domain


def test_status_and_doctor_know_who_is_who(engine: Engine) -> None:
    exporter, importer = parse_outputs(engine.outputs)
    (pods,) = exporter.accounts
    (consumer,) = importer.accounts
    assert pods == ServiceAccount("demo", "hello")
    assert [pods.spiffe_id, consumer.spiffe_id] == [POD, CONSUMER]
