"""The part's section of docs/performance.md."""

from collections.abc import Iterator, Sequence

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
    figure_of("resources of the stack", "resources", "stack", COUNT, sized=True),
    figure_of("state", "state", "size", MEGABYTES, sized=True),
    *(
        figure_of(f"{gateway}: {title}", metric, gateway, unit, sized=True)
        for gateway in ("gateway", "egress gateway")
        for title, metric, unit in (
            ("configuration", "configuration", KILOBYTES),
            ("clusters", "clusters", COUNT),
            ("Envoy's memory", "Envoy's memory", MEGABYTES),
        )
    ),
    *(
        figure_of(f"istiod of {site}: {title}", metric, site, unit, sized=True)
        for title, metric, unit in (
            ("working set", "istiod's working set", MEGABYTES),
            ("its CPU time for a push to all proxies", "CPU of a push", MILLISECONDS),
        )
        for site in ("dc1", "dc2")
    ),
)

RESOURCES = """\
An export of three pods has 16 resources at the exporter: the component, and for each host a ServiceEntry, an
EnvoyFilter, a DestinationRule, a VirtualService and a Gateway. At the importer it has 21: the component, the
NetworkPolicy of the clients, a headless Service, and for each host a Service, an EndpointSlice, a ServiceEntry, a
DestinationRule, a Gateway and a VirtualService; so a host that comes or goes changes no object of another one."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    rounds = along(samples, next(figure for figure in FIGURES if figure.metric == "configuration"))[
        steps(samples)[0]
    ].rounds
    how = (
        f"The same with `termination: gateway` and `egress: gateway`. Proxies and istiods have {rounds} rounds, the "
        f"rest has one. Times are left out, because other labs may run at the same time. {RESOURCES}"
    )
    return "\n\n".join([growth_table(samples, growth(samples, FIGURES)), how])


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what was aimed at, and what came of it."""
    yield straight_aim(samples, FIGURES, "with gateways", "not known")
