"""Name constraints: what an intermediate that is bound to a trust domain may sign, and how it is made."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from dcmesh.model.certificates import has_signed, read_pem
from dcmesh.model.name_constraints import bound, is_bound, may_sign_for, signs_alone
from tests.unit.certificates import Authority, authority

ROOT = authority("root", most_below=1)
PLAIN = authority("Intermediate CA dc1", ROOT)


def of_domain(domain: str = "dc1.dcmesh") -> x509.Certificate:
    return read_pem(bound(PLAIN.pem, ROOT.key_pem, domain))[0]


def test_what_is_bound_is_else_as_it_was() -> None:
    found, plain = of_domain(), PLAIN.certificate
    assert (found.subject, found.issuer, found.public_key()) == (plain.subject, plain.issuer, plain.public_key())
    assert found.not_valid_before_utc == plain.not_valid_before_utc
    assert found.not_valid_after_utc == plain.not_valid_after_utc
    assert [of for of in found.extensions if of.oid != x509.NameConstraints.oid] == list(plain.extensions)
    assert has_signed(ROOT.certificate, found)


def test_it_is_the_same_each_time_and_another_for_another_domain() -> None:
    """Otherwise every `up` would change it."""
    assert of_domain() == of_domain()
    serials = {of.serial_number for of in (of_domain(), of_domain("dc2.dcmesh"), PLAIN.certificate)}
    assert len(serials) == 3, "a root gives each number once"


def test_names_of_all_kinds_are_bound() -> None:
    """A proxy that does not check a name's kind would take a DNS name or an e-mail address for an identity."""
    found = of_domain().extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    assert [type(of).__name__ for of in found.value.permitted_subtrees or ()] == [
        "UniformResourceIdentifier",
        "DNSName",
        "RFC822Name",
    ]
    assert [str(of.value) for of in found.value.excluded_subtrees or ()] == ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize(
    ("domain", "may"), [("dc1.dcmesh", True), ("x.dc1.dcmesh", False), ("dc2.dcmesh", False), ("cluster.local", False)]
)
def test_whom_it_may_sign_for(domain: str, may: bool) -> None:
    chain = [of_domain(), ROOT.certificate]
    assert is_bound(chain)
    assert may_sign_for(chain, domain) is may


def test_what_binds_is_one_domain_and_the_other_kinds_of_names() -> None:
    assert signs_alone([of_domain(), ROOT.certificate], "dc1.dcmesh")
    assert not signs_alone([of_domain()], "dc2.dcmesh")
    assert not signs_alone([of_domain(".dcmesh")], "dc1.dcmesh")
    assert not signs_alone([PLAIN.certificate], "dc1.dcmesh")
    names = x509.NameConstraints([x509.UniformResourceIdentifier("dc1.dcmesh")], None)
    builder = x509.CertificateBuilder(
        PLAIN.certificate.issuer,
        PLAIN.certificate.subject,
        PLAIN.certificate.public_key(),
        1,
        PLAIN.certificate.not_valid_before_utc,
        PLAIN.certificate.not_valid_after_utc,
    ).add_extension(names, critical=True)
    assert isinstance(ROOT.key, ec.EllipticCurvePrivateKey)
    uris_alone = builder.sign(ROOT.key, hashes.SHA256())
    assert not signs_alone([uris_alone], "dc1.dcmesh"), "a DNS name may still read like another site's identity"


def test_one_that_is_not_bound_may_sign_for_all() -> None:
    chain = [PLAIN.certificate, ROOT.certificate]
    assert not is_bound(chain)
    assert may_sign_for(chain, "anything")


def test_an_authority_above_binds_as_well_and_may_permit_all_below_a_domain() -> None:
    other = read_pem(bound(authority("above", ROOT).pem, ROOT.key_pem, ".corp.test"))[0]
    chain = [Authority(PLAIN.certificate, PLAIN.key).certificate, other]
    assert may_sign_for(chain, "dc1.corp.test")
    assert not may_sign_for(chain, "corp.test")
