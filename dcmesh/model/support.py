"""What dcmesh is made for and tested with: all version ranges are here. docs/support.md is written from this."""

from dataclasses import dataclass
from datetime import date, timedelta

Minor = tuple[int, int]
"""A minor version, such as (1, 31)."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A minor version, and how long its makers support it.

    Attributes:
        minor: the version.
        ends: the last day of its makers' support.
        announced: whether they have named that day; otherwise it is calculated by their rule.
        tried: the whole version that CI runs; None if CI runs none of the line.
    """

    minor: Minor
    ends: date
    announced: bool = True
    tried: str | None = None

    @property
    def name(self) -> str:
        """The version as people write it, such as 1.31."""
        return shown(self.minor)


@dataclass(frozen=True, kw_only=True)
class IstioLine(Line):
    """A minor version of Istio.

    Attributes:
        kubernetes: the oldest and the newest Kubernetes that Istio names for it.
    """

    kubernetes: tuple[Minor, Minor]


@dataclass(frozen=True, kw_only=True)
class Package:
    """A program or library that dcmesh runs with.

    Attributes:
        name: its name: that of the Python package, except for the CLI.
        admitted: the range that is admitted; dependencies.txt has those of the SDKs.
        tried: the version that CI runs.
    """

    name: str
    admitted: str
    tried: str


def shown(minor: Minor) -> str:
    """Return a minor version as people write it."""
    return f"{minor[0]}.{minor[1]}"


def minor_of(version: str) -> Minor | None:
    """Return the minor version in a version such as 1.31.0 or v1.31.0-rc.1; None if the text does not begin as one."""
    major, _, rest = version.removeprefix("v").partition(".")
    digits = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(digits)) if major.isdecimal() and digits.isdecimal() else None


ISTIO_VERSION = "1.31.0"
"""The Istio that is installed unless the configuration says otherwise."""

ISTIO_MENDS = timedelta(weeks=2 * 13 + 6)
"""How long Istio supports a line: until six weeks after the next line but one, and one comes each quarter."""

ISTIO = (
    IstioLine(
        minor=(1, 31),
        ends=date(2026, 8, 31) + ISTIO_MENDS,
        announced=False,
        tried=ISTIO_VERSION,
        kubernetes=((1, 32), (1, 37)),
    ),
    IstioLine(
        minor=(1, 30),
        ends=date(2026, 5, 18) + ISTIO_MENDS,
        announced=False,
        tried="1.30.4",
        kubernetes=((1, 32), (1, 36)),
    ),
)
"""The lines of Istio that dcmesh offers, the newest first. Their ends are calculated from their first releases."""

ISTIO_CHARTS = "oci://ghcr.io/istio/release/charts"
"""Where Istio publishes its charts as OCI artifacts, older lines too (the upgrade notes of 1.31)."""

ISTIO_ENDED = IstioLine(minor=(1, 29), ends=date(2026, 10, 15), kubernetes=((1, 31), (1, 35)))
"""The line before these. It is not offered any more, but a mesh that runs it can be upgraded."""

KUBERNETES = (
    Line(minor=(1, 37), ends=date(2027, 10, 28), tried="1.37.2"),
    Line(minor=(1, 36), ends=date(2027, 6, 28)),
    Line(minor=(1, 35), ends=date(2027, 2, 28)),
    Line(minor=(1, 34), ends=date(2026, 10, 27)),
    Line(minor=(1, 33), ends=date(2026, 6, 28)),
    Line(minor=(1, 32), ends=date(2026, 2, 28)),
)
"""The lines of Kubernetes that Istio's table has for the lines that dcmesh offers, the newest first."""

KUBERNETES_OLDEST = min(line.kubernetes[0] for line in ISTIO)
"""The oldest Kubernetes that is supported."""

PXC_OPERATOR: Minor = (1, 20)
"""The minor version of Percona's operator: its custom resources differ from one to the next."""

PXC_OPERATOR_TRIED = "1.20.0"
"""The version of Percona's operator that CI runs."""

PULUMI_CLI = Package(name="Pulumi CLI", admitted=">=3.259,<4", tried="3.276.0")
PULUMI = (
    Package(name="pulumi", admitted=">=3.259,<4", tried="3.272.0"),
    Package(name="pulumi-kubernetes", admitted=">=4.25,<4.26", tried="4.25.0"),
    Package(name="pulumi-tls", admitted=">=5.6,<6", tried="5.6.2"),
    Package(name="pulumi-command", admitted=">=1.2,<2", tried="1.2.1"),
)
"""Pulumi's SDKs, each of which brings the plugin of its version."""


def istio_warning(minor: Minor) -> str | None:
    """Return a warning about an Istio, as the end of a sentence.

    It is empty for one that is offered, and for one so old that it is refused.
    """
    if minor == ISTIO_ENDED.minor:
        return f"ended on {ISTIO_ENDED.ends}: lead it up to {ISTIO[-1].name}, then to {ISTIO[0].name}"
    if minor > ISTIO[0].minor:
        return f"was not tried with dcmesh: the newest that was is {ISTIO[0].tried}"
    return None


def oldest_kubernetes(istio: Minor) -> Minor:
    """Return the oldest Kubernetes that is supported with an Istio. For an unknown line it is the oldest of all."""
    return next((line.kubernetes[0] for line in (*ISTIO, ISTIO_ENDED) if line.minor == istio), KUBERNETES_OLDEST)


def kubernetes_warning(kubernetes: Minor, istio: Minor) -> str | None:
    """Return a warning about a Kubernetes with an Istio; empty if both go together."""
    if kubernetes > KUBERNETES[0].minor:
        return f"was not tried with dcmesh: the newest that was is {KUBERNETES[0].tried}"
    for line in (*ISTIO, ISTIO_ENDED):
        oldest, newest = line.kubernetes
        if line.minor == istio and not oldest <= kubernetes <= newest:
            return f"Istio {line.name} is not made for: it is for {shown(oldest)} to {shown(newest)}"
    return None


def next_istio(running: Minor, wanted: Minor) -> Minor | None:
    """Return the next step from a running Istio to a wanted one, if they are more than one minor version apart.

    Istio supports an upgrade, and the way back, by one minor version at a time.
    """
    apart = wanted[1] - running[1]
    if running[0] != wanted[0] or abs(apart) <= 1:
        return None
    return running[0], running[1] + (1 if apart > 0 else -1)


def a_version_of(minor: Minor) -> str:
    """Return what to write for a line of Istio: the tested version, or the pattern of its versions."""
    return next((line.tried for line in ISTIO if line.minor == minor and line.tried), f"{shown(minor)}.x")
