"""The stack's configuration: typed, and validated as a whole before anything is created."""

from collections.abc import Mapping
from typing import Any

import pulumi

from dcmesh.config import stack_config
from dcmesh.config.checks import Configuration, cross_checks
from dcmesh.config.environment import Environment, of_running_stack
from dcmesh.config.errors import ConfigError, Finding
from dcmesh.config.partial_reading import read_settings
from dcmesh.config.peer_links import links_of
from dcmesh.config.shown_secrets import shown_secrets
from dcmesh.model.link import Link
from dcmesh.model.settings import Settings
from dcmesh.stacks import ReadStack, read_stack
from dcmesh.user_files import ReadFile, read_file

__all__ = ["ConfigError", "Finding", "Settings", "load", "parse"]

KEYS = "dcmesh"
"""What the keys of all examples begin with: the project's name."""


def parse(
    raw: Mapping[str, Any],
    *,
    project: str = "dcmesh",
    stack: str = "dev",
    read: ReadStack = read_stack,
    read_text: ReadFile = read_file,
    salt: str = "",
    asks_clusters: bool = True,
) -> tuple[Settings, dict[str, Link]]:
    """Validate a configuration.

    Args:
        raw: the configuration's keys without the project's prefix, as plain data.
        project: name of the Pulumi project.
        stack: name of the stack.
        read: returns another stack's outputs, by its whole name.
        read_text: returns the text of a file.
        salt: the `encryptionsalt` that the stack's passphrase fits; empty if it has none.
        asks_clusters: whether clusters are asked afterwards: then their kubeconfigs must be there.

    Returns:
        The settings, and the link of each peer that exports something.

    Raises:
        ConfigError: it is wrong; the message has a line for each error.
    """
    if not raw and stack_config.values(KEYS):
        advice = f"is the project's name in Pulumi.yaml, and the stack file's keys begin with {KEYS}: call it {KEYS}"
        raise ConfigError([Finding("name", project, advice)])
    environment = Environment(project, stack, read, read_text, salt)
    reading = read_settings({key: value for key, value in raw.items() if value is not None})
    findings = list(reading.findings)
    links = dict[str, Link]()
    if reading.settings:
        links, unread = links_of(reading.settings.peers, environment)
        between = [*unread, *cross_checks(Configuration(reading.settings, links, environment), asks_clusters)]
        findings += filter(reading.is_sure, map(reading.as_written, between))
    if findings or not reading.settings:
        raise ConfigError(findings)
    return reading.settings, links


def load(config: pulumi.Config) -> tuple[Settings, dict[str, Link]]:
    """Read and validate the running stack's configuration; see `parse`. Warn of secrets that cannot stay secret."""
    environment, raw = of_running_stack(), stack_config.values(config.name)
    settings, links = parse(raw, project=environment.project, stack=environment.stack, salt=environment.salt)
    for remark in shown_secrets(raw, settings):
        pulumi.log.warn(remark.line(stack_config.secret_keys()))
    return settings, links
