"""Pulumi's plugins, laid out as the CLI keeps them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.parts import Recipe, Workplace

NAME = "pulumi-resource-"
"""What a plugin's program and its part are called before the plugin's own name."""

DIRECTORY = "plugins"
"""Where a Pulumi home has its plugins."""


@dataclass(frozen=True)
class Plugins(Recipe):
    """The directory of a Pulumi home that holds the plugins.

    Attributes:
        versions: the version of each plugin.
    """

    versions: Mapping[str, str]

    @property
    def needs(self) -> Iterable[str]:
        """The CLI that installs them, and the plugins."""
        return ("pulumi", *(f"{NAME}{plugin}" for plugin in self.versions))

    def make(self, work: Workplace) -> None:
        """Let the CLI install each plugin."""
        for plugin, version in self.versions.items():
            program = work.file(f"{NAME}{plugin}/{NAME}{plugin}")
            install = ("plugin", "install", "resource", plugin, f"v{version}", "--file", program)
            work.run(work.file("pulumi/pulumi"), *install, env=environment(work.scratch))
        (work.scratch / DIRECTORY).rename(work.out / DIRECTORY)


def environment(home: Path) -> dict[str, str]:
    """Return the environment variables that keep the CLI to one home and off the network."""
    return {"PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "1"}
