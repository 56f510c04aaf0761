"""The part's section of docs/performance.md."""

from collections.abc import Mapping, Sequence

from bench.markdown import table
from bench.samples import Sample
from bench.scale.report import (
    COUNT,
    KILOBYTES,
    MEGABYTES,
    MILLISECONDS,
    along,
    figure_of,
    growth,
    steps,
    straight,
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
For an export of three pods the stack has 16 resources at the exporter. One is the component. Each host has a
ServiceEntry (the pod's name in the link), an EnvoyFilter (who may come in, and when the server is dialled), a
DestinationRule (how many connections there may be), a VirtualService and a Gateway (the route, and the server). At the
importer the stack has 21. Two are the component and the NetworkPolicy of the clients. Each host has a Service (its
address here), a ServiceEntry, a DestinationRule (mutual TLS, by its name in the link), a Gateway and a VirtualService.
For the names, each export has a headless Service, and each host an EndpointSlice. Every host has its own object of each
kind, so that a host that comes or goes changes no object of another one."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    columns = steps(samples)
    rounds = along(samples, next(figure for figure in FIGURES if figure.metric == "configuration"))[columns[0]].rounds
    how = (
        f"The same pair with `termination: gateway` and `egress: gateway`, up to {columns[-1]} exports of three pods. "
        f"At the end of each `up` every host is asked, through both gateways. Proxies and istiods have {rounds} "
        "rounds, the rest has one. Times are left out, because other labs may run at the same time."
    )
    grown = table(["exports", *map(str, columns)], growth(samples, FIGURES))
    return "\n\n".join([how, grown, straight(samples, FIGURES), RESOURCES])


def plots(_: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots."""
    return {}
