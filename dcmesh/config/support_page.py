"""docs/support.md: what dcmesh is made for and tried with, written from dcmesh/model/support.py."""

from collections.abc import Iterable
from datetime import date, timedelta

from dcmesh.model import support
from dcmesh.model.support import IstioLine, Line, shown

NOTICE = timedelta(days=60)
"""For how long the default line of Istio must still be supported."""


def ending(today: date) -> str | None:
    """Return what to do if support for the default line of Istio ends within `NOTICE`; otherwise nothing."""
    line = support.ISTIO[0]
    if line.ends - today >= NOTICE:
        return None
    return (
        f"dcmesh/model/support.py: Istio {line.name}, the default, ends on {line.ends}, in "
        f"{(line.ends - today).days} days: try the next line, or set the day that Istio has announced by now"
    )


def page() -> str:
    """Return the document."""
    newest, older, ended = *support.ISTIO, support.ISTIO_ENDED
    place = {newest: "the default", older: "", ended: "not offered; a mesh that runs it can be upgraded from it"}
    istio = [(line.name, _end(line), _range(line), line.tried or "", place[line]) for line in place]
    kubernetes = [(line.name, _end(line), line.tried or "") for line in support.KUBERNETES]
    packages = (support.PULUMI_CLI, *support.PULUMI)
    pulumi = [(package.name, f"`{package.admitted}`", package.tried) for package in packages]
    return _TEXT.format(
        istio=_table(("line", "end of life", "made for Kubernetes", "CI runs", ""), istio),
        kubernetes=_table(("line", "end of life", "CI runs"), kubernetes),
        pulumi=_table(("package", "admitted", "CI runs"), pulumi),
        newest=newest,
        older=older,
        ended=ended,
        charts=support.ISTIO_CHARTS,
        weeks=support.ISTIO_MENDS.days // 7,
        oldest=shown(support.KUBERNETES_OLDEST),
        newest_kubernetes=support.KUBERNETES[0].tried,
        does_not=_table(("what", "why", "what happens"), _DOES_NOT),
        operator=shown(support.PXC_OPERATOR),
        provider=next(package.tried for package in support.PULUMI if package.name == "pulumi-kubernetes"),
        operator_tried=support.PXC_OPERATOR_TRIED,
    )


_DOES_NOT = (
    (
        "Google's managed Cloud Service Mesh in a site's cluster",
        "it accepts no EnvoyFilter, no Secret `cacerts`, and no other Istio in the cluster",
        "a new site is refused",
    ),
    (
        "an Istio whose istiod is outside of the cluster",
        "dcmesh runs commands in istiod's pod to see which configuration istiod has accepted",
        "`istio.existing` finds no istiod, or `up` waits in vain",
    ),
    (
        "namespaces of an ambient mesh, at an end of a link that needs sidecars",
        "their pods have none",
        "refused; `termination: gateway` and `egress: gateway` need none",
    ),
    (
        "imports with `egress: sidecar` where pods have only IPv6",
        "virtual addresses are IPv4 addresses",
        "a new site is refused; `egress: gateway` uses no virtual addresses. Nothing was tried with IPv6",
    ),
    (
        "an exporting site that can have neither a load balancer nor a port of its nodes",
        "other sites must reach its gateway at some address",
        "`up` waits for an address, then fails. If a TCP proxy of yours leads to the gateway, name it in "
        "`gateway.advertise`. A site that only imports has no gateway",
    ),
)
"""What does not work, why, and what happens."""

_TEXT = """\
<!-- Written from dcmesh/model/support.py by `python -m dcmesh.config.generate`. -->
# Support

What dcmesh is made for, until when the makers mend it, and what CI runs. All patch levels of a line are admitted: take
the newest.

## Istio

{istio}

CI runs the pair, the security tests and the rotation of certificates on {newest.name} and {older.name}, everything else
on {newest.name}. A newer line is not refused: `pulumi up` warns, and says what was tried. (1.32 is out; its source
is not served, so it was not tried.) Istio mends a line until six weeks after the next but one has come, and one comes a
quarter: what is reckoned is {weeks} weeks after the line's first release.

CI builds both from the last source that is served of each line, of late August 2026: a little before {newest.tried} and
{older.tried}, with upstream's Envoy (lab/README.md). The step from {ended.name} was run by hand, on 2026-11-28;
CI does not run it.

**Leading a mesh up.** Istio is changed by one minor version at a time, as [upgrades.md](upgrades.md#istio) says. From
{ended.name}: raise Kubernetes to {oldest} or newer, then go to {older.tried}, then to {newest.tried}. On an existing
cluster a longer step is refused. Read Istio's own upgrade notes: those of 1.31 have proxies told of endpoints that are
not ready.

An Istio that somebody else runs (`istio.existing`) is upgraded by them: `pulumi up` warns of {ended.name}, and refuses
older ones. `istio.version` is then that of the gateway's chart: set istiod's, or {older.tried} beside {ended.name}.

**Where charts and images are.** Istio publishes its charts at `{charts}`, the default,
and at `https://blob.istio.io/istio-release/charts` for those who cannot have OCI. The default of dcmesh 0.1.0 has no
1.31; Istio switches it off for a day on 8 December 2026, then for good, and with it the registry of images that charts
of 1.30 name: with 1.30 set `istio.hub: docker.io/istio`. (So Istio's own notes; CI cannot reach these places.)

## Kubernetes

{kubernetes}

{oldest} is the oldest that Istio names for a line that dcmesh offers. An older cluster is refused; of a newer one
`pulumi up` warns.

## Clusters that a stack makes

`cluster: k3d` needs k3d 5 and Docker. `make soak` runs the quick start on k3d 5.8.3 with Docker 20.10, Debian 12's;
the image of k3s is a stand-in with Kubernetes {newest_kubernetes} ([lab/README.md](../lab/README.md#k3d)).
CI runs clusters of `cluster.create`, the lab's.

kind was not run: the image of its nodes is in no registry that CI reaches. Its commands are for `cluster.create`,
`kubeconfig` and `delete`. It gives Services of type LoadBalancer no address by itself: set `gateway.exposure` to
`nodeport`, with `nodePort` and `advertise`, or install a load balancer such as MetalLB.

## What does not work

{does_not}

## Percona's operator for XtraDB clusters

{operator}, all patch levels; CI runs {operator_tried}. Others are refused: their custom resources differ.

## Pulumi

{pulumi}

Each SDK brings the plugin of its own version. CI builds the Kubernetes provider from its source, and {provider} is
the newest whose source is served: no other is admitted. From 4.29 on a create no longer adopts what is
there already. dependencies.txt has the same ranges for the SDKs.
"""


def _range(line: IstioLine) -> str:
    return " to ".join(map(shown, line.kubernetes))


def _end(line: Line) -> str:
    return f"{line.ends}" if line.announced else f"about {line.ends}, reckoned"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join((lines[0], f"|{'---|' * len(head)}", *lines[1:]))
