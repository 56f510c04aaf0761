"""The Secret `cacerts`: the keys by which istiod reads it."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The keys of such a Secret.

    Attributes:
        cert: the key of the intermediate.
        key: the key of its private key.
        chain: the key of the intermediate and whatever is between it and the root.
        root: the key of the roots.
    """

    cert: str
    key: str
    chain: str
    root: str

    @property
    def keys(self) -> set[str]:
        """All of them."""
        return {self.cert, self.key, self.chain, self.root}


ISTIOS = Layout(cert="ca-cert.pem", key="ca-key.pem", chain="cert-chain.pem", root="root-cert.pem")
"""Istio's own."""

TLS = Layout(cert="tls.crt", key="tls.key", chain="tls.crt", root="ca.crt")
"""That of a Secret of type `kubernetes.io/tls`, as cert-manager writes it."""


def layout_of(keys: Collection[str]) -> Layout:
    """Return the keys by which istiod reads a Secret that has these. If both fit it takes the second ones."""
    return TLS if TLS.cert in keys else ISTIOS


def pem_of(data: Mapping[str, str], key: str) -> str:
    """Return a PEM of a Secret's data; empty if it is not there, or no text."""
    return base64.b64decode(data.get(key) or "").decode(errors="replace")
