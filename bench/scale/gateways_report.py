"""The part's section of docs/performance.md."""

from collections.abc import Iterator, Mapping, Sequence

from bench.aims import Aim
from bench.samples import Sample
from bench.scale.report import (
    COUNT,
    KILOBYTES,
    MEGABYTES,
    MILLISECONDS,
    along,
    figure_of,
    growth,
    growth_table,
    steps,
    straight_aim,
)

FIGURES = (
    figure_of("resources of the stack", "resources", "stack", COUNT),
    figure_of("state", "state", "size", MEGABYTES),
    *(
        figure_of(f"{gateway}: {title}", metric, gateway, unit)
        for gateway in ("gateway", "egress gateway")
        for title, metric, unit in (
            ("configuration", "configuration", KILOBYTES),
            ("clusters", "clusters", COUNT),
            ("listeners", "listeners", COUNT),
            ("Envoy's memory", "Envoy's memory", MEGABYTES),
        )
    ),
    *(
        figure_of(f"istiod of {site}: {title}", metric, site, unit)
        for title, metric, unit in (
            ("working set", "istiod's working set", MEGABYTES),
            ("its CPU time for a push to all proxies", "CPU of a push", MILLISECONDS),
        )
        for site in ("dc1", "dc2")
    ),
)

RESOURCES = """\
Of an export of three pods the stack has 16 resources at the exporter: the component, and for each host a ServiceEntry,
an EnvoyFilter, a DestinationRule, a VirtualService and a Gateway. At the importer it has 21: the component, the
NetworkPolicy of the clients, for each host a Service, a ServiceEntry, a DestinationRule, a Gateway and a
VirtualService, and for the names a headless Service an export with an EndpointSlice a host. A host is one object of
each kind, so that one that comes or goes touches no other's."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    rounds = along(samples, next(figure for figure in FIGURES if figure.metric == "configuration"))[
        steps(samples)[0]
    ].rounds
    how = (
        f"The same with `termination: gateway` and `egress: gateway`; every host is asked at the end of each `up`, "
        f"through "
        f"both gateways. Proxies and istiods {rounds} rounds, the rest one. Times are no part of it: other labs may "
        f"run "
        f"beside. {RESOURCES}"
    )
    return "\n\n".join([growth_table(samples, growth(samples, FIGURES)), how])


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what was aimed at, and what came of it."""
    yield straight_aim(samples, FIGURES, "with gateways", "not known")


def plots(_: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots."""
    return {}
