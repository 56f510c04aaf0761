"""A site's signing requests, which are data from elsewhere."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dcmesh.model.signing_requests import checked, is_for
from tests.unit.certificates import authority

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

EC = ec.generate_private_key(ec.SECP384R1())


def request(*names: str, key: Key = EC, host: str = "") -> str:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateSigningRequestBuilder(subject)
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("name", ["Intermediate CA dc1", "Intermediate CA dc1 2"])
def test_what_a_site_asks_for_itself_is_signed(name: str) -> None:
    pem = request(name)
    assert checked(f"what stands before it\n{pem}{request('Root CA')}", "dc1") == pem


def forged() -> str:
    """Return a request for a key that its maker does not have."""
    der = x509.load_pem_x509_csr(request("Intermediate CA dc1").encode()).public_bytes(Encoding.DER)
    request_ = bytearray(der)
    request_[-1] ^= 1
    return x509.load_der_x509_csr(bytes(request_)).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("pem", "wrong"),
    [
        ("", "is none that can be read"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "is none that can be read"),
        (forged(), "is not signed by the key that is in it"),
        (request("Intermediate CA dc1", key=rsa.generate_private_key(65537, 2048)), "is not for a key of P-256"),
        (request("Intermediate CA dc1", key=ec.generate_private_key(ec.SECP256K1())), "is not for a key of P-256"),
        (request("Intermediate CA dc2"), "is not for Intermediate CA dc1"),
        (request("Intermediate CA dc1 of all"), "is not for Intermediate CA dc1"),
        (request("Root CA"), "is not for Intermediate CA dc1"),
        (request(), "is not for Intermediate CA dc1"),
        (request("Intermediate CA dc1", "Root CA"), "is not for Intermediate CA dc1"),
        (request("Intermediate CA dc1", host="istiod.istio-system.svc"), "asks for more than a name"),
    ],
)
def test_what_is_not_signed(pem: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        checked(pem, "dc1")


def test_a_certificate_is_for_its_own_key_alone() -> None:
    root, other = authority("root"), authority("root")

    def public(of: x509.Certificate) -> str:
        return of.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    assert is_for(root.pem, public(root.certificate))
    assert not is_for(root.pem, public(other.certificate))
