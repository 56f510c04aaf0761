"""Clusters: whether those that exist can be found, and those to be made can be named."""

import re
from collections.abc import Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.config.suggestions import choices
from dcmesh.kube.kubeconfig import KubeconfigError, read_kubeconfig
from dcmesh.model.settings import CommandCluster, ExistingCluster
from dcmesh.user_files import ReadFile, expand

LONGEST_K3D = 32
"""k3d's limit for a cluster's name."""

K3D_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


class _Wrong(Exception):  # noqa: N818 — a way out, caught here
    """A kubeconfig is wrong."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


def kubeconfigs(configuration: Configuration) -> Iterator[Finding]:
    """Find kubeconfigs that do not exist or lack the context, and sites that share a cluster."""
    seen = dict[tuple[str, str], str]()
    for path, site in configuration.sites:
        if not isinstance(site.cluster, ExistingCluster):
            continue
        try:
            context = _context(site.cluster, f"{path}.cluster", configuration.environment.read_file)
        except _Wrong as wrong:
            yield wrong.finding
            context = site.cluster.context or ""
        other = seen.setdefault((expand(site.cluster.kubeconfig), context), site.name)
        if other != site.name:
            advice = f"with the same context is the cluster of {other} too: give each site a cluster of its own"
            where = f"{path}.cluster"
            yield Finding(f"{where}.kubeconfig", site.cluster.kubeconfig, advice, given=(where,))


def _context(cluster: ExistingCluster, path: str, read: ReadFile) -> str:
    """Return the context that a site uses.

    Raises:
        _Wrong: there is no such kubeconfig, or no such context in it, or it names a file that cannot be read.
    """
    try:
        kubeconfig = read_kubeconfig(cluster.kubeconfig, read)
        contexts, current = kubeconfig.contexts, kubeconfig.current
        instead = choices(contexts, cluster.context) if contexts else "it has none"
        if cluster.context and cluster.context not in contexts:
            advice = f"is no context of {cluster.kubeconfig}: {instead}"
            raise _Wrong(Finding(f"{path}.context", cluster.context, advice))
        if not cluster.context and current not in contexts:
            advice = f"is missing, and {cluster.kubeconfig} has no current one: {instead}"
            raise _Wrong(Finding(f"{path}.context", NOTHING, advice))
        kubeconfig.only(cluster.context)
    except KubeconfigError as error:
        raise _Wrong(Finding(f"{path}.kubeconfig", cluster.kubeconfig, str(error))) from None
    return cluster.context or str(current)


def same_commands(configuration: Configuration) -> Iterator[Finding]:
    """Find sites whose commands print the same kubeconfig, and so share a cluster."""
    seen = dict[str, str]()
    for path, site in configuration.sites:
        if isinstance(site.cluster, CommandCluster):
            other = seen.setdefault(site.cluster.kubeconfig.strip(), site.name)
            if other != site.name:
                advice = f"is what {other} has, and prints one cluster's: give each site a cluster of its own"
                yield Finding(f"{path}.cluster.kubeconfig", site.cluster.kubeconfig, advice)


def k3d_names(configuration: Configuration) -> Iterator[Finding]:
    """Find clusters that k3d would not make because of their names."""
    stack = configuration.environment.stack
    for path, site in configuration.sites:
        name = f"dcmesh-{stack}-{site.name}"
        if site.cluster != "k3d":
            continue
        if len(name) > LONGEST_K3D:
            advice = f"is too long: the cluster would be {name}, and k3d takes {LONGEST_K3D} characters"
            yield Finding(f"{path}.name", site.name, advice)
        elif not K3D_NAME.fullmatch(name):
            advice = (
                f"cannot be made by k3d in a stack named {stack}: rename the stack, to lower-case letters and digits"
            )
            yield Finding(f"{path}.cluster", "k3d", advice)
