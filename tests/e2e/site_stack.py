"""The stack of one site, on an existing cluster."""

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from .toolbox import Kubectl, Lab, Project, draining_soon, lab_config

TRUST = {"source": "stack", "stack": "organization/dcmesh/trust"}
ISTIO = draining_soon(lab_config()["dcmesh:istio"])


class SiteStack(Project):
    """The stack of one site, and kubectl for its cluster."""

    def __init__(self, directory: Path, *, lab: Lab, state: Path, site: dict[str, Any], **config: Any) -> None:
        name = site["name"]
        kubeconfig = directory / "kubeconfig"
        directory.mkdir()
        self.kubectl = Kubectl(lab("kubeconfig", name), kubeconfig)
        config = {
            "trust": TRUST,
            "istio": ISTIO,
            "sites": [{"cluster": {"kubeconfig": str(kubeconfig)}, **site}],
            **config,
        }
        super().__init__(
            directory / "project",
            stack=name,
            config={f"dcmesh:{key}": value for key, value in config.items()},
            state=state,
        )

    @contextmanager
    def edit_site(self) -> Iterator[dict[str, Any]]:
        """Edit the site's part of the stack file."""
        with self.edit() as config:
            yield config["dcmesh:sites"][0]

    def follow(self, *options: str) -> str:
        """Run `up` without its preview."""
        return self.up("--skip-preview", *options)

    def hosts(self) -> dict[str, str]:
        """Return the hosts that the site imports, each with its pod."""
        return {host: host.partition(".")[0] for host in self.imported().get(self.stack, ())}

    def gateway(self) -> list[str]:
        addresses: list[str] = self.output("link")[self.stack]["gateway"]["addresses"]
        return addresses

    @property
    def api(self) -> str:
        """The address of the cluster's API."""
        server: str = yaml.safe_load(self.kubectl.path.read_text())["clusters"][0]["cluster"]["server"]
        return server

    @property
    def client_key(self) -> str:
        """The administrator's private key."""
        key: str = yaml.safe_load(self.kubectl.path.read_text())["users"][0]["user"]["client-key-data"]
        return key

    def everything(self) -> str:
        """Return the whole state with its secrets in plain text."""
        return "\n".join(strings(json.loads(self.pulumi("stack", "export", "--show-secrets"))))


def strings(value: Any) -> Iterator[str]:
    """Yield all texts in a state. Pulumi's secrets are JSON inside strings, and those of Kubernetes are base64."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value
        if value[:1] in ("{", "[", '"'):
            with suppress(ValueError):
                yield from strings(json.loads(value))
        with suppress(ValueError):
            yield b64decode(value, validate=True).decode()
