"""What a site asks to have signed if it makes its own key."""

import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

CURVES = ec.SECP256R1, ec.SECP384R1, ec.SECP521R1
"""The curves of keys that may be signed. The signer reads no others."""


def intermediate_name(site: str) -> str:
    """Return the name in the certificate of a site's first intermediate."""
    return f"Intermediate CA {site}"


def checked(pem: str, site: str) -> str:
    """Return a site's request, which somebody else has written, if it may be signed.

    Raises:
        ValueError: it may not; the message says why.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key, valid, asked = request.public_key(), request.is_signature_valid, len(request.extensions)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise ValueError("is none that can be read") from None
    names = [(of.oid, str(of.value)) for of in request.subject]
    if not valid:
        raise ValueError("is not signed by the key that is in it")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, CURVES):
        raise ValueError("is not for a key of P-256, P-384 or P-521")
    (kind, name), *more = names or [(x509.NameOID.COMMON_NAME, "")]
    own = re.fullmatch(rf"{re.escape(intermediate_name(site))}( \d+)?", name)
    if more or kind != x509.NameOID.COMMON_NAME or not own:
        raise ValueError(f"is not for {intermediate_name(site)}")
    if asked:
        raise ValueError("asks for more than a name")
    return request.public_bytes(Encoding.PEM).decode()


def is_for(certificate: str, public_key: str) -> bool:
    """Tell whether a certificate is for a public key, both PEM."""
    own = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return own.public_bytes(*form) == load_pem_public_key(public_key.encode()).public_bytes(*form)
