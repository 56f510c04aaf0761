"""Trust: where each site's intermediate comes from, and who can see it. test_shared_ca.py tests who signs what."""

from collections.abc import Sequence
from typing import Any

import pulumi
import pytest
from pydantic import TypeAdapter

from components.trust.intermediates import Trust, TrustArgs
from dcmesh.model import settings as model
from tests.unit.engine import Engine

STACK = "organization/dcmesh/trust"
PARTS = ("caCert", "caKey", "certChain", "rootCert")


def issued(site: str) -> dict[str, str]:
    """Return a site's part of the output `intermediates`."""
    return {part: f"{part} of {site}" for part in PARTS}


def trust(
    engine: Engine, sites: Sequence[str], raw: dict[str, Any], trust_domains: dict[str, str] | None = None
) -> Engine:
    """Take trust from a source, and return the result as outputs `SITE PART`."""

    def program() -> None:
        source = TypeAdapter(model.Trust).validate_python(raw)
        args = TrustArgs(trust=source, sites=sites, trust_domains=trust_domains or {})
        for site, intermediate in Trust("trust", args).intermediates.items():
            for part, value in intermediate.as_output().items():
                pulumi.export(f"{site} {part}", value)

    return engine.run(program)


def flat(**intermediates: dict[str, str]) -> dict[str, str]:
    return {f"{site} {part}": value for site, parts in intermediates.items() for part, value in parts.items()}


def test_generated_for_the_stacks_sites_and_for_those_of_other_stacks(engine: Engine) -> None:
    trust(engine, ["dc1", "dc2"], {"issueFor": ["dc3"]})
    root = engine.one("SelfSignedCert")
    signed = engine.kind("LocallySignedCert")
    assert {cert.inputs["caCertPem"] for cert in signed} == {f"certificate of {root.name}\n"}
    assert {engine.outputs[f"{site} caCert"] for site in ("dc1", "dc2", "dc3")} == {
        f"certificate of {cert.name}\n" for cert in signed
    }
    assert len(signed) == 3
    assert len({engine.outputs[f"{site} caKey"] for site in ("dc1", "dc2", "dc3")}) == 3
    assert engine.secret_outputs == {"dc1 caKey", "dc2 caKey", "dc3 caKey"}


def test_generated_as_configured(engine: Engine) -> None:
    trust(engine, ["dc1"], {"organization": "Example", "rootValidityYears": 3, "intermediateValidityYears": 1})
    assert engine.one("SelfSignedCert").inputs["subject"]["organization"] == "Example"
    assert engine.one("SelfSignedCert").inputs["validityPeriodHours"] == 3 * 8760
    assert engine.one("LocallySignedCert").inputs["validityPeriodHours"] == 8760


CHANGED: dict[str, Any] = {"organization": "Another", "rootValidityYears": 20, "intermediateValidityYears": 5}
"""Another value for each field that says how certificates are made."""


def test_certificates_that_are_there_stay_whatever_is_changed() -> None:
    """Otherwise there would be a new root at once, which every site's guard refuses.

    Only the numbers cause new issues.
    """
    of_names = {field.alias for field in model.GeneratedTrust.model_fields.values()}
    of_others = {None, "root", "intermediate", "issueFor", "trustDomains", "requests"}
    assert of_names - of_others == CHANGED.keys() | {"source"}
    before, after = trust(Engine(), ["dc1"], {}), trust(Engine(), ["dc1"], CHANGED)
    assert before.asked.keys() == after.asked.keys()
    reissued = {
        (resource.name, key)
        for resource in after.asked.values()
        for key in resource.inputs
        if resource.inputs[key] != before[resource.name].inputs[key]
    }
    assert len(reissued) == 4, "otherwise the test looked at nothing"
    assert not {(name, key) for name, key in reissued if key not in after[name].request.ignoreChanges}


@pytest.fixture
def binding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mocks' certificates are no PEM, so binding is faked."""
    monkeypatch.setattr("components.trust.shared_ca.bound", lambda *of: " bound ".join((of[0].strip(), of[2])) + "\n")


def test_intermediates_are_bound_to_the_trust_domains_of_their_sites(binding: None, engine: Engine) -> None:
    raw = {"issueFor": ["dc2", "dc3"], "trustDomains": {"dc2": "dc2.dcmesh"}}
    trust(engine, ["dc1"], raw, {"dc1": "dc1.dcmesh"})
    certs = {site: engine.outputs[f"{site} caCert"] for site in ("dc1", "dc2", "dc3")}
    assert certs == {
        "dc1": "certificate of trust.dc1.dc1.dcmesh-intermediate bound dc1.dcmesh\n",
        "dc2": "certificate of trust.dc2.dc2.dcmesh-intermediate bound dc2.dcmesh\n",
        "dc3": "certificate of trust.dc3-intermediate\n",
    }
    for site, cert in certs.items():
        assert engine.outputs[f"{site} certChain"].startswith(cert)
    assert engine.secret_outputs == {"dc1 caKey", "dc2 caKey", "dc3 caKey"}


def test_a_bound_intermediate_has_a_key_that_signs_nothing_else(binding: None) -> None:
    """If it kept the key of an unbound one, whoever has that key could go on signing any name."""
    before, after = trust(Engine(), ["dc1"], {}), trust(Engine(), ["dc1"], {}, {"dc1": "dc1.dcmesh"})
    assert before.outputs["dc1 caKey"] != after.outputs["dc1 caKey"]
    assert before.outputs["dc1 rootCert"] == after.outputs["dc1 rootCert"]


def test_without_the_binding_a_bound_intermediate_is_secret(binding: None, engine: Engine) -> None:
    """Its key is in the site's cluster. Whoever has both could sign any name."""
    trust(engine, ["dc1", "dc2"], {}, {"dc1": "dc1.dcmesh"})
    secret = {of.name: "certPem" in of.secret_outputs for of in engine.kind("LocallySignedCert")}
    assert secret == {"trust.dc1.dc1.dcmesh-intermediate": True, "trust.dc2-intermediate": False}


@pytest.mark.parametrize("site", ["dc1", "dc2"])
def test_of_a_stack_a_site_reads_only_its_own(site: str) -> None:
    engine = Engine(stacks={STACK: {"intermediates": {name: issued(name) for name in ("dc1", "dc2")}}})
    trust(engine, [site], {"source": "stack", "stack": STACK})
    assert engine.outputs == flat(**{site: issued(site)})
    other = {"dc1": "dc2", "dc2": "dc1"}[site]
    assert not [name for name, resource in engine.asked.items() if f"of {other}" in str(resource.raw)]


def test_of_a_stack_the_key_is_secret_even_if_it_was_not_there() -> None:
    engine = Engine(stacks={STACK: {"intermediates": {"dc1": issued("dc1")}}})
    assert trust(engine, ["dc1"], {"source": "stack", "stack": STACK}).secret_outputs == {"dc1 caKey"}


@pytest.mark.parametrize(
    ("outputs", "lacking"),
    [
        ({"intermediates": {"dc1": issued("dc1")}}, "dc2, dc3"),
        ({"intermediates": {"dc1": issued("dc1"), "dc3": issued("dc3")}}, "dc2"),
        ({"intermediates": {}}, "dc1, dc2, dc3"),
        ({}, "dc1, dc2, dc3"),
    ],
    ids=["two lack", "one lacks", "none issued", "not yet up"],
)
def test_of_a_stack_that_does_not_issue_for_a_site(outputs: dict[str, Any], lacking: str) -> None:
    engine = Engine(stacks={STACK: outputs})
    with pytest.raises(pulumi.RunError, match=rf"'{STACK}' issues nothing for {lacking}: .*trust\.issueFor"):
        trust(engine, ["dc1", "dc2", "dc3"], {"source": "stack", "stack": STACK})


def test_of_a_stack_whose_secrets_are_not_ours_to_read() -> None:
    engine = Engine(stacks={STACK: {"intermediates": {"dc1": issued("dc1") | {"caKey": {}}}}})
    with pytest.raises(pulumi.RunError, match=rf"'{STACK}' has keys that cannot be decrypted here: .*passphrase"):
        trust(engine, ["dc1"], {"source": "stack", "stack": STACK})


SITE = "organization/dcmesh/dc1"


def of_own_key(number: int, **told: str) -> Engine:
    """Take the certificate that a stack has issued for a site's own key."""
    engine = Engine(stacks={STACK: {"intermediates": {"dc1": issued("dc1") | {"caKey": ""} | told}}})
    return trust(engine, ["dc1"], {"source": "stack", "stack": STACK, "ownKey": number})


def test_a_sites_own_key_is_that_for_which_a_certificate_was_issued(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old key stays until the new one has a certificate, so that no `up` is blocked."""
    monkeypatch.setattr("components.trust.own_key.is_for", lambda _, public: "-1-" in public)
    for number in (1, 2):
        engine = of_own_key(number)
        assert engine.outputs["dc1 caKey"] == "secret key of trust.dc1-1-key\n"
        assert engine.secret_outputs == {"dc1 caKey"}
        asked = [request.inputs["subject"] for request in engine.kind("CertRequest")]
        assert asked == [{"commonName": f"Intermediate CA dc1{of}"} for of in ("", " 2")[:number]]
    assert engine.outputs["dc1 caCert"] == "caCert of dc1"


def test_the_key_that_came_with_it_stays_until_one_is_issued_for_the_sites_own() -> None:
    assert of_own_key(1, caKey="a key").outputs["dc1 caKey"] == "a key"


def test_a_certificate_for_no_key_of_the_site_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.trust.own_key.is_for", lambda *_: False)
    with pytest.raises(pulumi.RunError, match="for dc1 is for none of the keys that dc1 has made: run `pulumi up`"):
        of_own_key(2)


REQUESTS = {"issueFor": ["dc1", "dc2"], "requests": {"dc1": SITE}}


def test_of_a_site_with_its_own_key_the_request_is_signed_and_no_key_made(
    binding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.trust.intermediates.checked", lambda pem, site: f"checked {pem} of {site}")
    engine = Engine(stacks={SITE: {"requests": {"dc1": "csr"}}})
    trust(engine, [], REQUESTS | {"trustDomains": {"dc1": "dc1.dcmesh"}})
    name = "trust.dc1.dc1.dcmesh-intermediate"
    assert engine[name].inputs["certRequestPem"] == "checked csr of dc1"
    assert engine.outputs["dc1 caCert"] == f"certificate of {name} bound dc1.dcmesh\n"
    assert engine.outputs["dc1 caKey"] == ""
    assert [key.name for key in engine.kind("PrivateKey")] == ["trust-root-key", "trust.dc2-key"]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (None, rf"'{SITE}' cannot be read"),
        ({}, rf"'{SITE}' asks for nothing for dc1: set its trust\.ownKey"),
        ({"requests": {"dc2": "csr"}}, rf"'{SITE}' asks for nothing for dc1"),
        ({"requests": {"dc1": "csr"}}, rf"what '{SITE}' asks to have signed for dc1 is none that can be read"),
    ],
)
def test_what_is_not_asked_for_rightly_is_not_signed(told: dict[str, Any] | None, says: str) -> None:
    engine = Engine(stacks={} if told is None else {SITE: told})
    with pytest.raises(pulumi.RunError, match=rf"trust\.requests: {says}"):
        trust(engine, [], REQUESTS)


def test_of_a_stack_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(pulumi.RunError, match=rf"'{STACK}' cannot be read \(.*unknown stack.*\): create"):
        trust(engine, ["dc1"], {"source": "stack", "stack": STACK})


def test_provided_is_used_as_it_is_and_its_key_is_secret(engine: Engine) -> None:
    trust(engine, ["dc1"], {"source": "provided", **issued("dc1")})
    assert engine.outputs == flat(dc1=issued("dc1"))
    assert engine.secret_outputs == {"dc1 caKey"}


def test_existing_is_left_alone(engine: Engine) -> None:
    assert trust(engine, ["dc1", "dc2"], {"source": "existing"}).outputs == {}


@pytest.mark.parametrize(
    "raw", [{"source": "provided", **issued("dc1")}, {"source": "existing"}], ids=["provided", "existing"]
)
def test_nothing_is_issued_where_it_is_there_already(engine: Engine, raw: dict[str, Any]) -> None:
    assert set(trust(engine, ["dc1"], raw).asked) == {"trust"}


OLD, NEW = "certificate of trust-root-root\n", "certificate of trust-root-2-root\n"


@pytest.mark.parametrize(
    ("raw", "roots", "issuer", "name"),
    [
        ({}, OLD, OLD, "trust.dc1"),
        ({"intermediate": 2}, OLD, OLD, "trust.dc1-1.2"),
        ({"root": {"next": "trusted"}}, OLD + NEW, OLD, "trust.dc1"),
        ({"root": {"next": "issuing"}}, OLD + NEW, NEW, "trust.dc1-2.1"),
        ({"root": {"generation": 2}}, NEW, NEW, "trust.dc1-2.1"),
        ({"root": {"generation": 2}, "intermediate": 3}, NEW, NEW, "trust.dc1-2.3"),
    ],
    ids=["at first", "another intermediate", "trusted", "issuing", "replaced", "replaced, another intermediate"],
)
def test_what_a_site_gets_at_each_step(engine: Engine, raw: dict[str, Any], roots: str, issuer: str, name: str) -> None:
    trust(engine, ["dc1"], raw)
    own = f"certificate of {name}-intermediate\n"
    assert engine.outputs == {
        "dc1 caCert": own,
        "dc1 caKey": f"secret key of {name}-key\n",
        "dc1 certChain": own + issuer,
        "dc1 rootCert": roots,
    }


def test_roots_have_names_of_their_own_and_old_ones_are_kept(engine: Engine) -> None:
    trust(engine, ["dc1"], {"root": {"generation": 2, "next": "trusted"}})
    subjects = [root.inputs["subject"]["commonName"] for root in engine.kind("SelfSignedCert")]
    assert sorted(subjects) == ["Root CA", "Root CA 2", "Root CA 3"]
    assert engine.one("CertRequest").inputs["subject"]["commonName"] == "Intermediate CA dc1 2.1"
