"""Host: what Pulumi starts to ask for the package's schema, and to create its components.

`python -m components.package.host` prints the schema, of which package/schema.json is a copy.
"""

import inspect
import json
import tomllib
from importlib.metadata import version
from pathlib import Path

from pulumi.provider.experimental import component_provider_host
from pulumi.provider.experimental.component import ComponentProvider

from .east_west_gateway import EastWestGateway
from .service_export import ServiceExport
from .service_import import ServiceImport
from .shared_ca import SharedCA

COMPONENTS = [SharedCA, EastWestGateway, ServiceExport, ServiceImport]
NAME = "dcmesh"

# Pulumi shows a component's docstring as Markdown, where indented lines are code.
for component in COMPONENTS:
    component.__doc__ = inspect.cleandoc(component.__doc__ or "")


def serve() -> None:
    """Answer Pulumi until it ends."""
    component_provider_host(components=[*COMPONENTS], name=NAME, namespace=NAME, version=version(NAME))


def schema(of_version: str) -> str:
    """Return the package's schema, of which the SDKs for Pulumi's languages are made."""
    provider = ComponentProvider([*COMPONENTS], NAME, NAME, of_version)
    return json.dumps(json.loads(provider.schema or ""), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]), end="")
