"""The certificates of the peers, as openssl would make them: a root, intermediates for meshes, and leaves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A certificate and its key.

    Attributes:
        certificate: the certificate.
        key: its key.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key as PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def root(name: str) -> Signer:
    """Return a root."""
    return _signed(name, None, authority=True)


def intermediate(name: str, by: Signer) -> Signer:
    """Return an authority that a root has signed."""
    return _signed(name, by, authority=True)


def leaf(name: str, by: Signer) -> Signer:
    """Return a certificate for a server or a client, with this DNS name."""
    return _signed(name, by, authority=False)


def _signed(name: str, by: Signer | None, *, authority: bool) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Signer(certificate=builder.sign(by.key if by else key, hashes.SHA256()), key=key)
