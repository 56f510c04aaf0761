"""Certificates that the user provides. They are checked early: istiod says little of what is wrong with them."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from dcmesh.config.errors import Finding
from dcmesh.model.certificates import has_signed
from dcmesh.model.settings import ProvidedTrust

CLEAN = "`openssl pkey -in ca-key.pem -out clean.pem`"
"""Writes a key without passphrase and parameters, in the form that istiod reads."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)

_TLS = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}

Certificates = Sequence[x509.Certificate]
Extension = TypeVar("Extension", bound=x509.ExtensionType)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class _Wrong(Exception):  # noqa: N818 — a way out, caught here
    """A PEM is wrong. The message is the advice, and contains nothing of the PEM."""


def certificate_findings(trust: ProvidedTrust, now: datetime | None = None) -> Iterator[Finding]:
    """Find what is wrong with provided certificates and their key.

    Args:
        trust: the four PEMs.
        now: the time at which they must be valid. Default: the present.
    """
    now = now or datetime.now(UTC)
    pems = {"caCert": trust.ca_cert, "certChain": trust.cert_chain, "rootCert": trust.root_cert}
    read = dict[str, Certificates]()
    for name, pem in pems.items():
        try:
            read[name] = _certificates(pem)
        except _Wrong as wrong:
            yield Finding(f"trust.{name}", pem, str(wrong))
    for name, certificates in read.items():
        for number, certificate in enumerate(certificates, 1):
            which = "" if len(certificates) == 1 else f"certificate {number} "
            for advice in _single(certificate, now):
                yield Finding(f"trust.{name}", pems[name], which + advice)
    yield from (
        Finding("trust.caKey", "", advice, secret=True)
        for advice in _key_advice(trust.ca_key.get_secret_value(), read.get("caCert", ()))
    )
    if len(read) == len(pems):
        between = _between(read["caCert"], read["certChain"], read["rootCert"])
        yield from (Finding(f"trust.{name}", pems[name], advice) for name, advice in between)


# --- reading ---------------------------------------------------------------------------------------------------------


def _certificates(pem: str) -> Certificates:
    """Read the certificates of a PEM.

    Raises:
        _Wrong: there is none, something else, or one that cannot be read.
    """
    blocks = [(block[1], block[0]) for block in _BLOCK.finditer(pem)]
    if not blocks:
        raise _Wrong("holds no certificate: give it as PEM, from -----BEGIN CERTIFICATE----- on")
    for kind, _ in blocks:
        if kind != "CERTIFICATE":
            raise _Wrong(f"holds a block {kind}: only certificates belong here")
    try:
        return [x509.load_pem_x509_certificate(text.encode()) for _, text in blocks]
    except ValueError:
        raise _Wrong("holds a certificate that cannot be read: was it cut off or changed?") from None


def _key(pem: str) -> Key:
    """Read the private key of a PEM.

    Raises:
        _Wrong: it is none that istiod can use.
    """
    kinds = [block[1] for block in _BLOCK.finditer(pem)]
    if not kinds:
        raise _Wrong("holds no key: give it as PEM, from the line BEGIN on")
    if kinds[0] == "EC PARAMETERS":
        raise _Wrong(f"starts with a block EC PARAMETERS, at which istiod stops: remove it with {CLEAN}")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise _Wrong(f"has a passphrase, which istiod cannot ask for: remove it with {CLEAN}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _Wrong("cannot be read: was it cut off or changed, or is it no private key?") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _Wrong("is of a kind that istiod does not support: use RSA or EC")
    return key


# --- checks ----------------------------------------------------------------------------------------------------------


def _single(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    """Find what is wrong with one certificate of an authority."""
    if now > certificate.not_valid_after_utc:
        yield f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}: have a new one issued"
    if now < certificate.not_valid_before_utc:
        yield f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: wait, or check the clocks"
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        yield "is not that of an authority: have it issued with basicConstraints CA:TRUE"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        yield "may not sign certificates: have it issued with keyUsage keyCertSign"
    uses = _extension(certificate, x509.ExtendedKeyUsage)
    if uses is not None and not (set(uses) >= _TLS or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses):
        yield "may sign for some uses alone: have it issued without extendedKeyUsage"


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _key_advice(pem: str, certificates: Certificates) -> Iterator[str]:
    """Find what is wrong with the key of the first certificate."""
    try:
        key = _key(pem)
    except _Wrong as wrong:
        yield str(wrong)
        return
    if certificates and key.public_key() != _public_key(certificates[0]):
        yield "is not the key of caCert: give the two that were made together"


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _between(own: Certificates, chain: Certificates, roots: Certificates) -> Iterator[tuple[str, str]]:
    """Find what is wrong between the certificates: the PEM that is to be changed, and the advice."""
    if len(own) > 1:
        yield "caCert", f"holds {len(own)} certificates: only the intermediate belongs here, the others into certChain"
    for number, root in enumerate(roots, 1):
        if not has_signed(root, root):
            yield "rootCert", f"certificate {number} is not self-signed: only roots belong here"
    gaps = [("certChain", advice) for advice in _gaps(own[0], chain, roots)]
    yield from gaps or _lengths(chain, roots)


def _gaps(own: x509.Certificate, chain: Certificates, roots: Certificates) -> Iterator[str]:
    """Find where a chain does not lead from an intermediate to one of the roots."""
    if chain[0] != own:
        yield "does not start with the certificate of caCert: put it first, then whatever is above it"
    for number, (lower, upper) in enumerate(pairwise(chain), 2):
        if not has_signed(upper, lower):
            yield f"certificate {number} has not signed the one before it: order them from below"
    if not any(root == chain[-1] or has_signed(root, chain[-1]) for root in roots):
        yield "does not lead to rootCert: no root there has signed its last certificate"


def _lengths(chain: Certificates, roots: Certificates) -> Iterator[tuple[str, str]]:
    """Find certificates that allow fewer authorities below them than a chain has there."""
    root = next(root for root in roots if root == chain[-1] or has_signed(root, chain[-1]))
    below = [certificate for certificate in chain if certificate not in roots]
    for number, certificate in enumerate([*below, root]):
        constraints = _extension(certificate, x509.BasicConstraints)
        most = constraints.path_length if constraints else None
        if most is not None and most < number:
            name = "rootCert" if certificate == root else "certChain"
            yield name, f"allows {most} authorities below one of its certificates, and there are {number}"
