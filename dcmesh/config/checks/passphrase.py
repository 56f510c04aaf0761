"""The passphrase: whether it protects the secrets of a stack well enough for what the stack has."""

import base64
import hashlib
import os
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import Finding
from dcmesh.model.settings import ExistingCluster, GeneratedTrust


def empty_passphrase(configuration: Configuration) -> Iterator[Finding]:
    """Find an empty passphrase of a stack with more than throw-away clusters.

    Everybody can read such a stack's secrets.
    """
    trust = configuration.settings.trust
    at_stake: list[tuple[str, object, str]] = []
    if isinstance(trust, GeneratedTrust) and trust.issue_for:
        at_stake.append(("trust.issueFor", trust.issue_for, "makes this stack hold the key that signs for other sites"))
    for path, site in configuration.sites:
        if isinstance(site.cluster, ExistingCluster):
            at_stake.append((f"{path}.cluster.kubeconfig", site.cluster.kubeconfig, "leads to an existing cluster"))
        elif not site.throw_away:
            at_stake.append((f"{path}.cluster.throwAway", False, "says that the cluster is not for throwing away"))
    if at_stake and is_empty_passphrase(configuration.environment.salt):
        path, value, what = at_stake[0]
        advice = (
            f"{what}, and the passphrase of stack {configuration.environment.stack} is empty, so everybody can read "
            "its secrets: `pulumi stack change-secrets-provider passphrase` asks for another"
        )
        yield Finding(path, value, advice)


def is_empty_passphrase(salt: str) -> bool:
    """Tell whether the passphrase of a stack is empty, by its `encryptionsalt`.

    Pulumi checks passphrases in this way too.

    The environment is not enough: a passphrase may be typed, or be in a file.
    """
    if not salt or os.environ.get("PULUMI_CONFIG_PASSPHRASE"):  # this variable overrides all other sources
        return False
    try:
        _, seed, _, nonce, sealed = salt.split(":")
        key = hashlib.pbkdf2_hmac("sha256", b"", base64.b64decode(seed), 1_000_000, 32)
        AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None)
    except (InvalidTag, ValueError):
        return False
    return True
