"""Ports that importers know since the last `up`: the name by which they ask for one must not lead to another."""

from collections.abc import Iterator, Mapping
from typing import Any

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import Finding
from dcmesh.model.link import server_name
from dcmesh.model.settings import GatewayExport


def moved_names(configuration: Configuration) -> Iterator[Finding]:
    """Find exports whose hosts' own names at the gateway would lead to another port than at the last `up`.

    Importers use these names for the first port until they run `up` again: they would reach another server.
    """
    for site, path, export in configuration.exports:
        if not isinstance(export, GatewayExport):
            continue
        known = _first_ports(configuration.links_before.get(site.name, {}))
        ports = {known.get(server_name(host, site.name)) for host in export.hosts}
        now = export.port_numbers[0]
        for was in sorted(ports - {None, now}, key=str):
            advice = (
                f"was {was} at the last `pulumi up`, and importers ask for that by the host's own name: leave {was} "
                "first, and put others behind it; or, to give it up, take the export away for one `pulumi up` of all "
                "stacks"
            )
            yield Finding(f"{path}.ports[0].port" if export.ports else f"{path}.port", now, advice)


def _first_ports(link: Mapping[str, Any]) -> dict[str, int]:
    """Return for each name of a host at the gateway the port to which it leads. A single port is no list."""
    return {
        name: int((export["ports"][0] if "ports" in export else export)["port"])
        for export in link.get("exports", ())
        for name in export.get("serverNames", ())
    }
