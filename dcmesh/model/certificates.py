"""Certificates as data: which root a chain leads to, and which roots are trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from pydantic import BeforeValidator, ConfigDict, SecretStr, ValidationError

from dcmesh.model.base_model import Model
from dcmesh.model.printable import printable


def has_signed(upper: x509.Certificate, lower: x509.Certificate) -> bool:
    """Tell whether one certificate is signed by another one's key."""
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


UNREADABLE = "its certificates cannot be read"

WARNING_DAYS = 90
"""How many days before an authority's certificate expires there is a warning."""

LONGEST_NAME = 200
"""How many characters of a name in a certificate are shown."""

Certificates = Sequence[x509.Certificate]


BUNDLE_NAMES = {"cert": "caCert", "key": "caKey", "chain": "certChain", "root": "rootCert"}
"""Names of a bundle's parts in stack outputs and in `trust`."""


class Bundle(Model):
    """What a site's istiod signs with and makes all proxies trust: the Secret `cacerts` without the key, as PEM.

    Stacks pass it on in the output `certificates`, which has more details.
    """

    model_config = ConfigDict(alias_generator=BUNDLE_NAMES.__getitem__, extra="ignore")

    chain: str
    """The site's intermediate and whatever is between it and the root, the intermediate first."""
    root: str
    """The roots."""

    @classmethod
    def told(cls, told: object) -> Self | None:
        """Return the bundle in another stack's output; None if it has none, or an incomplete one."""
        try:
            bundle = cls.model_validate(told)
        except ValidationError:
            return None
        return bundle if bundle.chain and bundle.root else None


def _if_text(value: object) -> object:
    return value if isinstance(value, str | SecretStr) else ""


class SigningBundle(Bundle):
    """The whole Secret `cacerts`. Stacks pass it on in the output `intermediates`."""

    cert: str
    """The site's intermediate."""
    key: Annotated[SecretStr, BeforeValidator(_if_text)] = SecretStr("")
    """Its private key; empty if it cannot be decrypted here."""


@dataclass(frozen=True, kw_only=True)
class CertificateHolder:
    """The roots that something trusts, and its own certificate.

    Attributes:
        where: what it is, for messages.
        roots: the roots that it trusts.
        chain: its own certificate and those above it.
        unknown: why it could not be asked; then it has neither.
    """

    where: str
    roots: Certificates = ()
    chain: Certificates = ()
    unknown: str = ""


def read_pem(pem: str) -> Certificates:
    """Return the certificates of a PEM, of which there may be none."""
    return x509.load_pem_x509_certificates(pem.encode()) if pem.strip() else []


def common_name(certificate: x509.Certificate) -> str:
    """Return whose certificate it is."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return printable(str(names[0].value) if names else certificate.subject.rfc4514_string(), LONGEST_NAME)


def identity(certificate: x509.Certificate) -> str:
    """Return the SPIFFE id in a pod's certificate, or whatever it has in that place; empty if it has nothing."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ""
    return " ".join(names.get_values_for_type(x509.UniformResourceIdentifier))


def root_name(chain: Certificates) -> str:
    """Return the name of the root to which a chain leads."""
    top = chain[-1]
    return common_name(top) if has_signed(top, top) else printable(top.issuer.rfc4514_string(), LONGEST_NAME)


def trusts(roots: Certificates, chain: Certificates) -> bool:
    """Tell whether a chain leads to one of some roots."""
    return bool(chain) and any(root == chain[-1] or has_signed(root, chain[-1]) for root in roots)


def signed_path(certificates: Certificates) -> Certificates:
    """Return the first certificate and those above it.

    istiod appends all roots that it knows to the certificates that it issues. So the last one may be unrelated.
    """
    found = list(certificates[:1])
    for upper in certificates[1:]:
        if upper != found[-1] and has_signed(upper, found[-1]):
            found.append(upper)
    return found


def holder_of(where: str, bundle: Bundle) -> CertificateHolder:
    """Return the roots that the pods of a bundle's site will trust, and the chain that they will have."""
    try:
        return CertificateHolder(where=where, roots=_named(bundle.root), chain=signed_path(_named(bundle.chain)))
    except ValueError:
        return CertificateHolder(where=where, unknown=UNREADABLE)


def _named(pem: str) -> Certificates:
    """Return the certificates of a PEM whose names can be read.

    Raises:
        ValueError: they cannot. cryptography reports an unreadable name only when it is asked for it.
    """
    found = read_pem(pem)
    for certificate in found:
        common_name(certificate), certificate.issuer.rfc4514_string()
    return found
