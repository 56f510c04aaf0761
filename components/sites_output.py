"""The output `sites`: what each site has that can be asked for while it runs. `python -m dcmesh` reads it."""

from collections.abc import Mapping
from typing import Any

from dcmesh.databases.replication import Replica
from dcmesh.model import settings as model
from dcmesh.model.gateway import GATEWAY_NAME
from dcmesh.model.json_data import plain
from dcmesh.model.link import service_of
from dcmesh.model.plan import DatabasePlan, ImportPlan, SitePlan

from .databases import mariadb, pxc


def site_output(
    site: model.Site,
    plan: SitePlan,
    *,
    links: Mapping[str, Any],
    gateway: str,
    lost: str | None,
    identity: str | None,
) -> dict[str, Any]:
    """Return what the output has of a site, without secrets: its part of the plan, and where it is asked.

    Args:
        site: the site's part of the configuration.
        plan: its part of the plan.
        links: the links of exporting sites by name, its own among them. A site that exports nothing yet is not there.
        gateway: namespace of its gateway, if it exports anything.
        lost: name of the site that is gone, if one is.
        identity: what identifies its cluster, if that is an existing one.
    """
    made = {database.namespace: database for database in plan.databases if not database.pending}
    known = dict.fromkeys([plan.name, *(imported.source for imported in plan.imports)])
    door = {"namespace": gateway, "name": GATEWAY_NAME}
    labels = {of.name: of.pod_label for of in site.exports if isinstance(of, model.GatewayExport) and of.pods}
    at_ingress = [of for of in site.exports if isinstance(of, model.IngressExport)]
    ingress = {of.name: {str(port): at for port, at in of.ingress_ports.items()} for of in at_ingress}
    return {
        "cluster": (
            {**site.cluster.model_dump(), "identity": identity}
            if isinstance(site.cluster, model.ExistingCluster)
            else None
        ),
        "lost": lost,
        "gateway": {**door, "advertised": plan.gateway.advertised} if plan.gateway else None,
        "links": {name: links[name] for name in known if name in links},
        **({"podLabels": labels} if labels else {}),
        **({"ingressPorts": ingress} if ingress else {}),
        **({"trustDomains": list(site.told_trust_domains)} if site.told_trust_domains else {}),
        "imports": [
            {
                "from": imported.source,
                "export": imported.name,
                "namespace": imported.namespace,
                "serviceAccount": imported.service_account,
                **({"egress": "gateway"} if imported.egress else {}),
                **_named_otherwise(imported),
            }
            for imported in plan.imports
        ],
        "servers": [
            {**plain(_asked(database, server.pod)), "follows": list(server.follows)}
            for database in made.values()
            for server in database.servers
        ],
        "workloads": [
            {
                **workload.model_dump(by_alias=True, include={"kind", "namespace", "name", "storage"}),
                "protected": plan.protected,
                "sidecar": made[workload.namespace].sidecar,
            }
            for workload in site.workloads
            if workload.namespace in made
        ],
    }


def _named_otherwise(imported: ImportPlan) -> dict[str, str]:
    """Return the namespace of the names that an import's hosts have, if it is not their own."""
    export = imported.export
    if export is None or export.hosts[0] == export.real(export.hosts[0]):
        return {}
    return {"hostNamespace": service_of(export.hosts[0])[0]}


def _asked(database: DatabasePlan, pod: str) -> Replica:
    """Return where a server is asked."""
    if database.kind == "mariadb":
        return mariadb.replica(database.namespace, pod)
    return pxc.replica(database.namespace, database.name, switched=database.switchover is not None)
