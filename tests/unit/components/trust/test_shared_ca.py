"""SharedCA and SiteCA: who signs what, and what istiod gets."""

from collections.abc import Callable

import pulumi
import pytest

from components.trust.shared_ca import SharedCA, SharedCAArgs, SiteCA, SiteCAArgs
from tests.unit.engine import Engine, readable_strings

CA_USES = {"cert_signing", "crl_signing"}


@pytest.fixture
def program() -> Callable[[], None]:
    def create() -> None:
        root = SharedCA(
            "trust", SharedCAArgs(organization="Example", root_validity_years=20, intermediate_validity_years=3)
        )
        for site in ("dc1", "dc2"):
            intermediate = SiteCA(f"{site}-ca", SiteCAArgs(site=site, root=root, trusted=[root])).intermediate
            for part, value in intermediate.as_output().items():
                pulumi.export(f"{site} {part}", value)

    return create


@pytest.fixture
def signed(engine: Engine, program: Callable[[], None]) -> Engine:
    return engine.run(program)


def test_root_signs_intermediates_and_they_sign_no_others(signed: Engine) -> None:
    root = signed.one("SelfSignedCert").inputs
    assert root["isCaCertificate"] is True
    assert root["maxPathLength"] == 1
    assert set(root["allowedUses"]) == CA_USES
    assert root["privateKeyPem"] == "secret key of trust-key\n"


@pytest.mark.parametrize("site", ["dc1", "dc2"])
def test_intermediate_is_signed_by_the_root_for_the_sites_own_key(signed: Engine, site: str) -> None:
    intermediate = signed[f"{site}-ca-intermediate"].inputs
    assert intermediate["isCaCertificate"] is True
    assert set(intermediate["allowedUses"]) == CA_USES
    assert intermediate["caPrivateKeyPem"] == "secret key of trust-key\n"
    assert intermediate["caCertPem"] == "certificate of trust-root\n"
    assert intermediate["certRequestPem"] == f"request of {site}-ca-request\n"
    assert signed[f"{site}-ca-request"].inputs["privateKeyPem"] == f"secret key of {site}-ca-key\n"


@pytest.mark.parametrize("site", ["dc1", "dc2"])
def test_each_site_has_its_own_intermediate_and_the_shared_root(signed: Engine, site: str) -> None:
    own, root = f"certificate of {site}-ca-intermediate\n", "certificate of trust-root\n"
    assert {key: value for key, value in signed.outputs.items() if key.startswith(site)} == {
        f"{site} caCert": own,
        f"{site} caKey": f"secret key of {site}-ca-key\n",
        f"{site} certChain": own + root,
        f"{site} rootCert": root,
    }


def test_keys_alone_are_secret(signed: Engine) -> None:
    assert signed.secret_outputs == {"dc1 caKey", "dc2 caKey"}


def test_subjects_tell_the_authorities_apart(signed: Engine) -> None:
    subjects = [resource.inputs["subject"] for resource in signed.kind("SelfSignedCert", "CertRequest")]
    assert {subject["organization"] for subject in subjects} == {"Example"}
    assert len({subject["commonName"] for subject in subjects}) == 3


def test_validity_in_hours(signed: Engine) -> None:
    hours = {
        kind: {cert.inputs["validityPeriodHours"] for cert in signed.kind(kind)}
        for kind in ("SelfSignedCert", "LocallySignedCert")
    }
    assert hours == {"SelfSignedCert": {20 * 8760}, "LocallySignedCert": {3 * 8760}}


def test_keys_are_of_a_kind_that_istiod_reads(signed: Engine) -> None:
    kinds = {(key.inputs["algorithm"], key.inputs.get("ecdsaCurve")) for key in signed.kind("PrivateKey")}
    assert kinds == {("ECDSA", "P384")}


def test_the_roots_key_signs_and_goes_nowhere_else(signed: Engine) -> None:
    with_key = {resource.kind for resource in signed.asked.values() if "secret key of trust-key" in str(resource.raw)}
    assert with_key == {"SelfSignedCert", "LocallySignedCert"}
    assert "trust-key" not in str(signed.raw_outputs)


def test_trust_is_made_in_no_cluster(signed: Engine) -> None:
    assert not signed.in_kubernetes()


def test_no_key_is_readable(signed: Engine) -> None:
    readable = [text for resource in signed.asked.values() for text in readable_strings(resource.raw)]
    assert not [text for text in readable if "secret" in text]
    assert any("certificate" in text for text in readable), "otherwise the test looked at nothing"
