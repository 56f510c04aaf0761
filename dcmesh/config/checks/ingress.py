"""Ingress ports: whether they are free, and whether the pods can have them."""

from collections.abc import Iterator

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import Finding
from dcmesh.model.ingress_port import ISTIO_PORTS
from dcmesh.model.settings import Database, IngressExport


def taken_ports(configuration: Configuration) -> Iterator[Finding]:
    """Find ingress ports that Istio uses, or that are another port of the export."""
    for _, path, export in configuration.exports:
        if not isinstance(export, IngressExport):
            continue
        for number, of in enumerate(export.ports):
            others = {*export.port_numbers} | {one.ingress for one in export.ports[:number]}
            if of.ingress in others or of.ingress in ISTIO_PORTS:
                whose = "another port of the export" if of.ingress in others else "a port of Istio's own"
                yield Finding(f"{path}.ports[{number}].ingressPort", of.ingress, f"is {whose}: set one that is free")


def named_alike(configuration: Configuration) -> Iterator[Finding]:
    """Find exports whose objects would have the same names as those of an export with ingress ports."""
    for path, site in configuration.sites:
        own = {f"{export.name}-ingress" for export in site.exports if isinstance(export, IngressExport)}
        for index, export in enumerate(site.exports):
            if export.name in own:
                advice = "is what objects of another export are called, which has ingress ports: name it otherwise"
                yield Finding(f"{path}.exports[{index}].name", export.name, advice)


def moved(configuration: Configuration) -> Iterator[Finding]:
    """Find ingress ports of an export that have changed since the last `up`, or are gone.

    The policies that lock a port would go before its listener does, and a pod takes in the port until it restarts.
    """
    for site, path, export in configuration.exports:
        if not isinstance(export, IngressExport):
            continue
        known = configuration.before.get(site.name, {}).get("ingressPorts", {}).get(export.name, {})
        for port, was in known.items():
            if was not in export.ingress_ports.values():
                advice = (
                    f"has no ingress port {was} any more, which was that of {port} at the last `pulumi up`: put it "
                    "back, or take the export and its imports away first, for one `pulumi up` of all stacks"
                )
                yield Finding(f"{path}.name", export.name, advice)


def of_databases(configuration: Configuration) -> Iterator[Finding]:
    """Find such exports of databases that dcmesh runs: their sidecars take in all ports, or they have none."""
    for site, path, export in configuration.exports:
        if isinstance(export, IngressExport) and isinstance(site.workload_of(export), Database):
            advice = "is for pods whose sidecars take in nothing else, and of a database of dcmesh's own: use gateway"
            yield Finding(f"{path}.termination", export.termination, advice, given=(path,))
