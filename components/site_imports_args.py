"""The arguments of SiteImports, which SiteEgress takes as they are: it is that part of them which comes by gateways."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    """

    site: Site
    plan: SitePlan
    links: Mapping[str, pulumi.Input[Link]]
    lost: str | None = None
