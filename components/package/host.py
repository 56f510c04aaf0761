"""Host: what Pulumi starts to ask for the package's schema, and to create its components.

`python -m components.package.host` prints the schema, of which package/schema.json is a copy.
"""

import inspect
import json
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from .east_west_gateway import EastWestGateway
from .service_export import ServiceExport
from .service_import import ServiceImport
from .shared_ca import SharedCA

COMPONENTS = [SharedCA, EastWestGateway, ServiceExport, ServiceImport]
NAME = "dcmesh"

# Pulumi shows a component's docstring as Markdown, where indented lines are code.
for component in COMPONENTS:
    component.__doc__ = inspect.cleandoc(component.__doc__ or "")


class Provider(ComponentProvider):
    """Creates the components. Of a refused argument it says what is wrong, and no traceback."""

    def __init__(self, of_version: str) -> None:
        super().__init__([*COMPONENTS], NAME, NAME, of_version)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: pulumi.Inputs,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Create a component.

        Raises:
            InputPropertiesError: the component refuses an argument.
        """
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if isinstance(error.inner, pulumi.RunError):
                # Without a list Pulumi's SDK fails where it answers.
                raise InputPropertiesError(str(error.inner), []) from None
            raise


def serve() -> None:
    """Answer Pulumi until it ends."""
    main(Provider(version(NAME)), sys.argv[1:])


def schema(of_version: str) -> str:
    """Return the package's schema, of which the SDKs for Pulumi's languages are made."""
    return json.dumps(json.loads(Provider(of_version).schema or ""), indent=2) + "\n"


if __name__ == "__main__":
    print(schema(tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]), end="")
