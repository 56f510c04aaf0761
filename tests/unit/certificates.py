"""Certificate authorities for tests: small, quickly made, and wrong in any way that a test needs."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

NOW = datetime.now(UTC).replace(microsecond=0)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Authority:
    """An authority: its certificate and key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key_as(PrivateFormat.PKCS8)

    def key_as(self, form: PrivateFormat, passphrase: bytes = b"") -> str:
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, form, encryption).decode()


def authority(
    name: str,
    issuer: Authority | None = None,
    *,
    ca: bool = True,
    most_below: int | None = None,
    signs: bool | None = True,
    uses: Sequence[x509.ObjectIdentifier] = (),
    since: timedelta = timedelta(days=-1),
    until: timedelta = timedelta(days=30),
    key: Key | None = None,
    identity: str = "",
) -> Authority:
    """Make an authority.

    Args:
        name: the common name.
        issuer: the authority that signs it. Default: itself.
        ca: whether the certificate is that of an authority.
        most_below: how many levels of authorities it allows below it.
        signs: whether its key may sign certificates; None for a certificate that does not say.
        uses: its extended key usages.
        since: when it becomes valid, relative to now.
        until: when it expires, relative to now.
        key: its key. Default: a new one.
        identity: its SPIFFE ID. Default: none.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + since)
        .not_valid_after(NOW + until)
        .add_extension(x509.BasicConstraints(ca, most_below), critical=True)
    )
    if identity:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        builder = builder.add_extension(names, critical=True)
    if signs is not None:
        usage = dict.fromkeys(
            ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"], False
        )
        usage |= {"digital_signature": True, "key_cert_sign": signs, "encipher_only": False, "decipher_only": False}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    signer = issuer.key if issuer else key
    return Authority(
        builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()), key
    )


@functools.cache
def root() -> Authority:
    return authority("root")


@functools.cache
def intermediate() -> Authority:
    return authority("dc1", root(), most_below=0)


def provided(**changes: Any) -> dict[str, Any]:
    """Return a configuration's `trust.provided`."""
    pems = {
        "caCert": intermediate().pem,
        "caKey": intermediate().key_pem,
        "certChain": intermediate().pem + root().pem,
        "rootCert": root().pem,
    }
    return {"source": "provided", **pems, **changes}
