"""Name constraints: they bind a site's intermediate to the identities of that site."""

import ipaddress
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from dcmesh.model.certificates import Certificates

SERVICES = "svc"
"""The end of all names of istiods. The intermediate signs these as well."""

NOBODY = "none.invalid"
"""A domain that has no e-mail addresses."""


def constraints(trust_domain: str) -> x509.NameConstraints:
    """Return the name constraints of an intermediate that signs for one trust domain.

    They cover all kinds of names, not only URIs. If Envoy is told a name but not its kind, it also accepts a DNS name
    or an e-mail address that reads like an identity.
    """
    return x509.NameConstraints(
        permitted_subtrees=[
            x509.UniformResourceIdentifier(trust_domain),
            x509.DNSName(SERVICES),
            x509.RFC822Name(NOBODY),
        ],
        excluded_subtrees=[x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")],
    )


def bound(pem: str, key: str, trust_domain: str) -> str:
    """Return a copy of a certificate that is bound to a trust domain. The same arguments give the same result.

    Args:
        pem: the certificate.
        key: PEM of the EC key that has signed it.
        trust_domain: the trust domain.
    """
    plain, signer = x509.load_pem_x509_certificate(pem.encode()), load_pem_private_key(key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - as SharedCA makes it
    # An issuer must not use a serial number twice.
    number = sha256(plain.public_bytes(Encoding.DER) + trust_domain.encode()).digest()[:16]
    builder = x509.CertificateBuilder(
        issuer_name=plain.issuer,
        subject_name=plain.subject,
        public_key=plain.public_key(),
        serial_number=int.from_bytes(number) >> 1,
        not_valid_before=plain.not_valid_before_utc,
        not_valid_after=plain.not_valid_after_utc,
    )
    for extension in plain.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    builder = builder.add_extension(constraints(trust_domain), critical=True)
    signed = builder.sign(signer, hashes.SHA384(), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.PEM).decode()


def is_bound(chain: Certificates) -> bool:
    """Tell whether a chain is restricted to some trust domains."""
    return any(_permitted(certificate) is not None for certificate in chain)


def signs_alone(chain: Certificates, trust_domain: str) -> bool:
    """Tell whether a chain is restricted to one trust domain, also for other kinds of names that read like it."""

    def binds(certificate: x509.Certificate) -> bool:
        kinds = {type(of) for of in _subtrees(certificate)}
        return _permitted(certificate) == [trust_domain] and kinds >= {x509.DNSName, x509.RFC822Name}

    return any(map(binds, chain))


def may_sign_for(chain: Certificates, trust_domain: str) -> bool:
    """Tell whether every certificate of a chain may sign for a trust domain."""
    permitted = filter(lambda domains: domains is not None, map(_permitted, chain))
    return all(any(_covers(one, trust_domain) for one in domains or ()) for domains in permitted)


def _permitted(certificate: x509.Certificate) -> list[str] | None:
    """Return the hosts in URIs that a certificate may sign; None if it may sign all."""
    return [of.value for of in _subtrees(certificate) if isinstance(of, x509.UniformResourceIdentifier)] or None


def _subtrees(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Return what a certificate's name constraints permit."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    return list(found.permitted_subtrees or ())


def _covers(permitted: str, trust_domain: str) -> bool:
    return trust_domain.endswith(permitted) if permitted.startswith(".") else trust_domain == permitted
