"""Foreign objects: those that affect the links of a running site."""

from collections.abc import Callable
from functools import partial

from dcmesh.foreign.consumer import at_consumer
from dcmesh.foreign.egress import at_egress
from dcmesh.foreign.gateway import at_gateway
from dcmesh.foreign.objects import Foreign, gather
from dcmesh.kube.api import ERRORS, ApiClient, why
from dcmesh.kube.pods import read
from dcmesh.sites_in_outputs import DeployedSite


def ask_foreign(clients: Callable[[], ApiClient], site: DeployedSite) -> list[Foreign]:
    """Ask a cluster for objects of somebody else that affect the site's links."""
    try:
        with clients() as api:
            cluster = gather(partial(read, api), site.gateway.place if site.gateway else "")
    except ERRORS as error:
        return [Foreign(site=site.name, unknown=why(error))]
    found = (
        *(at_gateway(site.name, site.gateway, site.exports, cluster) if site.gateway else ()),
        *(
            found
            for account in site.egress_gateways
            for found in at_egress(site.name, account, site.accounts[account], cluster)
        ),
        *(
            found
            for account, imports in site.accounts.items()
            for export in imports
            for found in at_consumer(site.name, account, export, cluster)
        ),
    )
    return list(dict.fromkeys(found))  # exports come once for each port
