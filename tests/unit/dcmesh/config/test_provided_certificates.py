"""Provided certificates: right ones of every kind are accepted, and for wrong ones the error says what is wrong."""

import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from tests.unit.certificates import NOW, Authority, authority, intermediate, provided, root
from tests.unit.configurations import changed, errors

DAY = timedelta(days=1)
YESTERDAY, TOMORROW = f"{NOW - DAY:%Y-%m-%d}", f"{NOW + DAY:%Y-%m-%d %H:%M}"
TLS = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n"


def of(own: Authority, *above: Authority, roots: tuple[Authority, ...] = (), **changes: Any) -> dict[str, Any]:
    """Return trust.provided for an intermediate, those above it, and the roots.

    By default the last one above is the root.
    """
    pems = {
        "caCert": own.pem,
        "caKey": own.key_pem,
        "certChain": "".join(a.pem for a in (own, *above)),
        "rootCert": "".join(a.pem for a in roots or above[-1:]),
    }
    return provided(**pems | changes)


def lines_of(trust: dict[str, Any]) -> list[str]:
    """Return the errors, without the values."""
    lines = errors(changed("provided-ca", {"trust": trust}))
    return [re.sub(r'^trust\.(\w+): ("[^"]*"…?|\[secret\]) ', r"\1: ", line) for line in lines]


# --- what is right ---------------------------------------------------------------------------------------------------


def middle() -> Authority:
    return authority("middle", root(), most_below=1)


RIGHT: dict[str, Callable[[], dict[str, Any]]] = {
    "the root at the end of the chain": provided,
    "the root not in the chain": lambda: provided(certChain=intermediate().pem),
    "an authority between": lambda: of(authority("dc1", m := middle()), m, root()),
    "without the root in the chain": lambda: of(authority("dc1", m := middle()), m, roots=(root(),)),
    "a root that allows one below": lambda: of(authority("dc1", r := authority("r", most_below=1)), r),
    "two roots, while one replaces the other": lambda: provided(rootCert=root().pem + authority("new").pem),
    "the new root first": lambda: provided(rootCert=authority("new").pem + root().pem),
    "no key usage": lambda: of(authority("dc1", r := authority("r", signs=None), signs=None), r),
    "key usages for TLS": lambda: of(authority("dc1", root(), uses=TLS), root()),
    "RSA": lambda: of(authority("dc1", root(), key=rsa.generate_private_key(65537, 2048)), root()),
    "an RSA key in its old form": lambda: of(
        a := authority("dc1", root(), key=rsa.generate_private_key(65537, 2048)),
        root(),
        caKey=a.key_as(PrivateFormat.TraditionalOpenSSL),
    ),
    "an EC key in its old form": lambda: provided(caKey=intermediate().key_as(PrivateFormat.TraditionalOpenSSL)),
    "text around the blocks": lambda: provided(caCert=f"subject=CN = dc1\n{intermediate().pem}\n\n"),
    "line ends of Windows": lambda: provided(
        caCert=intermediate().pem.replace("\n", "\r\n"), caKey=intermediate().key_pem.replace("\n", "\r\n")
    ),
    "the root itself": lambda: of(root(), root(), certChain=root().pem),
}


@pytest.mark.parametrize("trust", RIGHT.values(), ids=RIGHT)
def test_right_certificates_are_taken(trust: Callable[[], dict[str, Any]]) -> None:
    assert errors(changed("provided-ca", {"trust": trust()})) == []


# --- what is wrong ---------------------------------------------------------------------------------------------------

CUT = "holds a certificate that cannot be read: was it cut off or changed?"
NONE = "holds no certificate: give it as PEM, from -----BEGIN CERTIFICATE----- on"
KEY_CUT = "cannot be read: was it cut off or changed, or is it no private key?"
CLEAN = "remove it with `openssl pkey -in ca-key.pem -out clean.pem`"
STRANGER = authority("stranger")

WRONG: list[tuple[str, Callable[[], dict[str, Any]], list[str]]] = [
    # each by itself
    ("no PEM", lambda: provided(caCert="no PEM"), [f"caCert: {NONE}"]),
    (
        "an end without a beginning",
        lambda: provided(rootCert="\n".join(["", *root().pem.splitlines()[1:]])),
        [f"rootCert: {NONE}"],
    ),
    ("no end", lambda: provided(certChain=intermediate().pem[:-20]), [f"certChain: {NONE}"]),
    ("something missing inside", lambda: provided(caCert=intermediate().pem.replace("MII", "", 1)), [f"caCert: {CUT}"]),
    (
        "a request",
        lambda: provided(caCert=intermediate().pem.replace("CERTIFICATE", "CERTIFICATE REQUEST")),
        ["caCert: holds a block CERTIFICATE REQUEST: only certificates belong here"],
    ),
    (
        "the key with the certificate",
        lambda: provided(caCert=intermediate().pem + intermediate().key_pem),
        ["caCert: holds a block PRIVATE KEY: only certificates belong here"],
    ),
    # the key
    ("no key", lambda: provided(caKey="x"), ["caKey: holds no key: give it as PEM, from the line BEGIN on"]),
    ("an empty key", lambda: provided(caKey=""), ["caKey: holds no key: give it as PEM, from the line BEGIN on"]),
    ("half a key", lambda: provided(caKey=intermediate().key_pem.replace("M", "", 3)), [f"caKey: {KEY_CUT}"]),
    ("a certificate as key", lambda: provided(caKey=intermediate().pem), [f"caKey: {KEY_CUT}"]),
    (
        "parameters before the key",
        lambda: provided(caKey=PARAMETERS + intermediate().key_as(PrivateFormat.TraditionalOpenSSL)),
        [f"caKey: starts with a block EC PARAMETERS, at which istiod stops: {CLEAN}"],
    ),
    (
        "a passphrase",
        lambda: provided(caKey=intermediate().key_as(PrivateFormat.PKCS8, b"secret")),
        [f"caKey: has a passphrase, which istiod cannot ask for: {CLEAN}"],
    ),
    (
        "a passphrase in the old form",
        lambda: provided(caKey=intermediate().key_as(PrivateFormat.TraditionalOpenSSL, b"secret")),
        [f"caKey: has a passphrase, which istiod cannot ask for: {CLEAN}"],
    ),
    (
        "a kind of key that istiod does not know",
        lambda: of(authority("dc1", root(), key=ed25519.Ed25519PrivateKey.generate()), root()),
        ["caKey: is of a kind that istiod does not support: use RSA or EC"],
    ),
    (
        "another's key",
        lambda: provided(caKey=STRANGER.key_pem),
        ["caKey: is not the key of caCert: give the two that were made together"],
    ),
    # the certificates
    (
        "expired",
        lambda: of(authority("dc1", root(), since=-2 * DAY, until=-DAY), root()),
        [
            f"caCert: expired on {YESTERDAY}: have a new one issued",
            f"certChain: certificate 1 expired on {YESTERDAY}: have a new one issued",
        ],
    ),
    (
        "an expired root beside a new one",
        lambda: provided(rootCert=root().pem + authority("old", since=-2 * DAY, until=-DAY).pem),
        [f"rootCert: certificate 2 expired on {YESTERDAY}: have a new one issued"],
    ),
    (
        "not valid yet",
        lambda: of(intermediate(), r := root(), rootCert=r.pem + authority("new", since=DAY).pem),
        [f"rootCert: certificate 2 is not valid before {TOMORROW} UTC: wait, or check the clocks"],
    ),
    (
        "no authority",
        lambda: of(authority("dc1", root(), ca=False), root()),
        [
            "caCert: is not that of an authority: have it issued with basicConstraints CA:TRUE",
            "certChain: certificate 1 is not that of an authority: have it issued with basicConstraints CA:TRUE",
        ],
    ),
    (
        "may not sign",
        lambda: of(authority("dc1", root(), signs=False), root()),
        [
            "caCert: may not sign certificates: have it issued with keyUsage keyCertSign",
            "certChain: certificate 1 may not sign certificates: have it issued with keyUsage keyCertSign",
        ],
    ),
    (
        "for servers alone",
        lambda: of(authority("dc1", root(), uses=TLS[:1]), root()),
        [
            "caCert: may sign for some uses alone: have it issued without extendedKeyUsage",
            "certChain: certificate 1 may sign for some uses alone: have it issued without extendedKeyUsage",
        ],
    ),
    # between them
    (
        "several as the intermediate",
        lambda: provided(caCert=intermediate().pem + root().pem),
        ["caCert: holds 2 certificates: only the intermediate belongs here, the others into certChain"],
    ),
    (
        "a chain without the intermediate",
        lambda: provided(certChain=root().pem),
        ["certChain: does not start with the certificate of caCert: put it first, then whatever is above it"],
    ),
    (
        "a chain in the wrong order",
        lambda: provided(certChain=root().pem + intermediate().pem),
        [
            "certChain: does not start with the certificate of caCert: put it first, then whatever is above it",
            "certChain: certificate 2 has not signed the one before it: order them from below",
        ],
    ),
    (
        "a gap in the chain",
        lambda: of(authority("dc1", middle()), root()),
        ["certChain: certificate 2 has not signed the one before it: order them from below"],
    ),
    (
        "a chain to another root",
        lambda: provided(rootCert=STRANGER.pem),
        ["certChain: does not lead to rootCert: no root there has signed its last certificate"],
    ),
    (
        "a root of the same name with another key",
        lambda: provided(certChain=intermediate().pem, rootCert=authority("root").pem),
        ["certChain: does not lead to rootCert: no root there has signed its last certificate"],
    ),
    (
        "an intermediate as root",
        lambda: of(authority("dc1", m := middle()), m, roots=(m,)),
        ["rootCert: certificate 1 is not self-signed: only roots belong here"],
    ),
    (
        "a root that allows none below",
        lambda: of(authority("dc1", r := authority("r", most_below=0)), r),
        ["rootCert: allows 0 authorities below one of its certificates, and there are 1"],
    ),
    (
        "a middle that allows none below",
        lambda: of(authority("dc1", m := authority("middle", root(), most_below=0)), m, root()),
        ["certChain: allows 0 authorities below one of its certificates, and there are 1"],
    ),
]


@pytest.mark.parametrize(("trust", "lines"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_certificates_are_refused(trust: Callable[[], dict[str, Any]], lines: list[str]) -> None:
    assert lines_of(trust()) == lines


def test_what_is_wrong_with_each_comes_at_once() -> None:
    trust = provided(caKey=STRANGER.key_pem, rootCert="no PEM", certChain="no PEM")
    assert [line.partition(":")[0] for line in lines_of(trust)] == ["caKey", "certChain", "rootCert"]


def test_the_command_that_is_named_makes_a_key_right(tmp_path: Path) -> None:
    key = PARAMETERS + intermediate().key_as(PrivateFormat.TraditionalOpenSSL)
    (tmp_path / "ca-key.pem").write_text(key)
    subprocess.run(["openssl", "pkey", "-in", "ca-key.pem", "-out", "clean.pem"], cwd=tmp_path, check=True)
    assert errors(changed("provided-ca", {"trust": provided(caKey=(tmp_path / "clean.pem").read_text())})) == []
