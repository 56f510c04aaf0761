"""The arguments of SiteImports, which SiteEgress takes as they are: it is that part of them which comes by gateways."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from dcmesh.model.link import Link
from dcmesh.model.plan import SitePlan

from .site import Site


@dataclass(frozen=True, kw_only=True)
class SiteImportsArgs:
    """Arguments of SiteImports and SiteEgress.

    Attributes:
        site: the importing site.
        plan: the site's part of the plan.
        links: the links of the exporting sites by name.
        lost: name of the site that is gone, if one is. Default: none.
        clusters: XtraDB clusters of exporting sites in this stack, by site. Their hosts are asked when these are ready:
            an operator starts node after node, which takes longer than a host is asked for. Default: none.
    """

    site: Site
    plan: SitePlan
    links: Mapping[str, pulumi.Input[Link]]
    lost: str | None = None
    clusters: Mapping[str, Sequence[pulumi.Resource]] = field(default_factory=dict)

    def ready(self, sources: Iterable[str]) -> list[pulumi.Resource]:
        """Return what is ready before hosts of these sites are asked."""
        return [cluster for source in dict.fromkeys(sources) for cluster in self.clusters.get(source, ())]
