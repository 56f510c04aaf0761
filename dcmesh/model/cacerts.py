"""The Secret `cacerts`: by which keys istiod reads it."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The keys of such a Secret.

    Attributes:
        cert: that of the intermediate.
        key: that of its private key.
        chain: that of the intermediate and whatever stands between it and the root.
        root: that of the roots.
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
    """Return by which keys istiod reads a Secret that has these. If in doubt it takes the second."""
    return TLS if TLS.cert in keys else ISTIOS


def pem_of(data: Mapping[str, str], key: str) -> str:
    """Return a PEM of a Secret's data; empty if it is not there, or no text."""
    return base64.b64decode(data.get(key) or "").decode(errors="replace")
