"""Pulumi's plugins, laid out as Pulumi's CLI lays them out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.parts import Recipe, Workplace

NAME = "pulumi-resource-"
"""The names of a plugin's program and of its part begin with this, before the plugin's own name."""

DIRECTORY = "plugins"
"""The directory of a Pulumi home that holds the plugins."""


@dataclass(frozen=True)
class Plugins(Recipe):
    """The directory of a Pulumi home that holds the plugins.

    Attributes:
        versions: the version of each plugin.
    """

    versions: Mapping[str, str]

    @property
    def needs(self) -> Iterable[str]:
        """The parts with the CLI, which installs the plugins, and with the plugins."""
        return ("pulumi", *(f"{NAME}{plugin}" for plugin in self.versions))

    def make(self, work: Workplace) -> None:
        """Let the CLI install each plugin."""
        for plugin, version in self.versions.items():
            program = work.file(f"{NAME}{plugin}/{NAME}{plugin}")
            install = ("plugin", "install", "resource", plugin, f"v{version}", "--file", program)
            work.run(work.file("pulumi/pulumi"), *install, env=environment(work.scratch))
        (work.scratch / DIRECTORY).rename(work.out / DIRECTORY)


def environment(home: Path) -> dict[str, str]:
    """Return the environment variables with which the CLI uses one home only, and no network."""
    return {"PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "1"}
