"""Certificates of workloads and of impostors, made as a test needs them."""

import base64
import datetime
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.e2e.site_stack import SiteStack
from tests.e2e.toolbox import ROOT, Kubectl

Attempts = dict[str, dict[str, str]]
"""By name the paths of a certificate and its key."""

Chain = tuple[bytes, Any, list[bytes]]
"""A certificate authority: its certificate, its key, and the certificates that a leaf must be sent with."""


def bundle_of(site: Kubectl) -> Chain:
    """Return the intermediate authority of a site."""
    data = site.get("secret", "cacerts", "istio-system")["data"]
    pem = {name: base64.b64decode(value) for name, value in data.items()}
    return pem["ca-cert.pem"], load_pem_private_key(pem["ca-key.pem"], None), [pem["cert-chain.pem"]]


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, signed_by: Any, *extensions: x509.ExtensionType
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(signed_by, hashes.SHA256())


def another_root() -> Chain:
    """Make a certificate authority that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "another root")])
    root = certificate("another root", key, name, key, x509.BasicConstraints(ca=True, path_length=None))
    return root.public_bytes(Encoding.PEM), key, []


def leaf(
    directory: Path,
    authority: Chain,
    identity: str,
    kind: Callable[[str], x509.GeneralName] = x509.UniformResourceIdentifier,
) -> dict[str, str]:
    """Issue a workload's certificate as istiod does. Return the paths of the certificate and its key.

    Args:
        directory: the directory for both files.
        authority: the authority that signs.
        identity: the name in the certificate.
        kind: the kind of that name. Default: a URI, as for every identity.
    """
    ca_pem, ca_key, chain = authority
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([kind(identity)])
    own = certificate("", key, x509.load_pem_x509_certificate(ca_pem).subject, ca_key, names)
    stem = f"{kind.__name__}.{identity.partition('://')[2].replace('/', '.')}"
    parts = {
        "certificate": b"".join([own.public_bytes(Encoding.PEM), *chain]),
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    paths = {part: directory / f"{stem}.{part}" for part in parts}
    for part, path in paths.items():
        path.touch(mode=0o600)
        path.write_bytes(parts[part])
    return {part: str(path) for part, path in paths.items()}


def asking(script: str, dc1: SiteStack, attempts: Attempts, directory: Path) -> tuple[str, ...]:
    """Return what `lab` runs on dc2's node to have a script ask a pod of dc1's demo with some certificates.

    Args:
        script: a module here.
        dc1: the stack with the demo.
        attempts: the certificates.
        directory: where to write what is asked.
    """
    gateway = dc1.output("link")["dc1"]["gateway"]
    asked = {
        "address": gateway["addresses"][0],
        "port": gateway["port"],
        "server_name": "outbound_.8080_._.hello-0.hello.demo.svc.cluster.local",
        "attempts": attempts,
    }
    plan = directory / f"{script}.json"
    plan.write_text(json.dumps(asked))
    here = ("env", f"--chdir={ROOT}", sys.executable, "-m", f"tests.e2e.{script}")
    return ("enter", "dc2", "--", *here, str(plan))
