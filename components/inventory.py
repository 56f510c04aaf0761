"""Inventory: what a site has that can be asked for while it runs; `python -m dcmesh` reads it from the stack."""

from collections.abc import Collection, Mapping
from typing import Any

from components.databases import mariadb, pxc
from dcmesh.model import settings as model
from dcmesh.model.gateway import GATEWAY_NAME
from dcmesh.model.link import ExportedService
from dcmesh.model.plain import plain


def inventory(
    site: model.Site,
    *,
    links: Mapping[str, Any],
    gateway: str,
    sources: Mapping[str, ExportedService | None],
    advertised: bool,
    protected: bool,
    switched: Collection[str],
    lost: str | None,
) -> dict[str, Any]:
    """Return a site's inventory as a stack output, without secrets.

    Args:
        site: the site's part of the configuration.
        links: the links of exporting sites by name, its own among them. A site that exports nothing yet is not there.
        gateway: namespace of its gateway, if it exports anything.
        sources: what each database follows, by namespace; None for a primary. One that is pending is not there.
        advertised: whether other sites reach the gateway by what somebody said, and not by its Service's own address.
        protected: whether its databases are kept from deletion.
        switched: the namespaces of databases that can change roles.
        lost: name of the site that is gone, if one is.
    """
    made = [workload for workload in site.workloads if workload.namespace in sources]
    known = dict.fromkeys([site.name, *(imported.from_ for imported in site.imports)])
    door = {"namespace": gateway, "name": GATEWAY_NAME, "advertised": advertised}
    return {
        "lost": lost,
        "gateway": door if site.name in links else None,
        "links": {name: links[name] for name in known if name in links},
        "imports": [
            {
                "from": imported.from_,
                "export": imported.export,
                "namespace": imported.namespace,
                "serviceAccount": imported.service_account,
            }
            for imported in site.imports
        ],
        "servers": [
            server
            for workload in made
            for server in servers(workload, sources[workload.namespace], switched=workload.namespace in switched)
        ],
        "workloads": [
            {
                **workload.model_dump(by_alias=True, include={"kind", "namespace", "name", "storage"}),
                "protected": protected,
            }
            for workload in made
        ],
    }


def servers(workload: model.Workload, source: ExportedService | None, *, switched: bool) -> list[dict[str, Any]]:
    """Return each server of a database that can be asked, and the hosts of which it follows one, none for a primary."""
    match workload:
        case model.Mariadb(namespace=namespace, name=name, replicas=replicas):
            followed = mariadb.followed_hosts(namespace=namespace, name=name, replicas=replicas, source=source)
            return [
                {**plain(mariadb.replica(namespace, f"{name}-{ordinal}")), "follows": [host] if host else []}
                for ordinal, host in enumerate(followed)
            ]
        case model.Pxc(namespace=namespace, name=name):
            asked = pxc.replica(namespace, name, switched=switched)
            return [{**plain(asked), "follows": list(source.hosts) if source else []}]
        case _:
            return []
