"""The course of a set-up: steps from Pulumi's events, waits from the pods' states, and the longest chain of waits."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Line = tuple[float, str]
"""The second at which a program printed a line, and the line."""

PODS = {
    "istiod-": "istiod",
    "istio-eastwestgateway-": "gateway",
    "hello-": "hello",
    "client-": "client",
    "dcmesh-probe-": "probe",
}
"""What a pod is, by the beginning of its name."""

CHAINS = (
    ("certificates", "dc1 istiod", "dc1 gateway", "first answer"),
    ("certificates", "dc1 istiod", "dc1 hello", "first answer"),
    ("certificates", "dc2 istiod", "dc2 client", "first answer"),
)
"""Chains of links, where none can begin before the link to its left has ended.

An istiod starts with the certificate with
which it signs. A pod with a proxy needs an istiod that is ready, which injects and configures the proxy. Nothing is
answered while one of them is missing."""


@dataclass(frozen=True)
class Span:
    """A piece of time, in seconds from the beginning."""

    begin: float
    end: float

    @property
    def length(self) -> float:
        """The length in seconds."""
        return self.end - self.begin


def resources(lines: Iterable[Line]) -> dict[str, Span]:
    """Return when each resource was made, from the events that `pulumi up --json` printed. Components are left out."""
    begun, spans = dict[str, float](), dict[str, Span]()
    for second, event in _events(lines):
        if "resourcePreEvent" in event:
            begun[event["resourcePreEvent"]["metadata"]["urn"]] = second
        elif "resOutputsEvent" in event:
            metadata = event["resOutputsEvent"]["metadata"]
            kind, name = metadata["urn"].split("::")[2].rpartition("$")[2], metadata["urn"].rpartition("::")[2]
            if not kind.startswith(("dcmesh:", "pulumi:")):
                spans[name] = Span(begun[metadata["urn"]], second)
    return spans


def previewed(lines: Iterable[Line]) -> float:
    """Return when `pulumi up --json` had finished its preview and began to make things."""
    return next(second for second, event in _events(lines) if "preludeEvent" in event)


def _events(lines: Iterable[Line]) -> Iterable[tuple[float, Mapping[str, Mapping[str, Mapping[str, str]]]]]:
    # First comes the preview, as one document over many lines. Then each event is a line.
    return ((second, json.loads(line)) for second, line in lines if line.startswith('{"'))


def waits(site: str, lines: Iterable[Line]) -> dict[str, Span]:
    """Return the span of each wait for pods: from when the first one appeared until the last one was ready.

    Args:
        site: the site's name, which is put before the name of each pod's kind.
        lines: `NAME PHASE READY`, a line for each change of a pod. The wait for a Job's pod ends when it has succeeded.
    """
    seen, done = dict[str, float](), dict[str, float]()
    for second, line in lines:
        name, phase, ready = [*line.split(), "", ""][:3]
        seen.setdefault(name, second)
        if phase == "Succeeded" or (ready == "True" and not name.startswith("dcmesh-probe-")):
            done.setdefault(name, second)
    spans = dict[str, Span]()
    for start, what in PODS.items():
        names = [name for name in done if name.startswith(start)]
        if names:
            spans[f"{site} {what}"] = Span(min(seen[n] for n in names), max(done[n] for n in names))
    return spans


def script_steps(lines: Sequence[Line], end: float) -> dict[str, Span]:
    """Return when each step of sequential.sh was done.

    Args:
        lines: what the script printed.
        end: when the script ended.
    """
    marks = [(second, line.removeprefix("step ").strip()) for second, line in lines if line.startswith("step ")]
    ends = [*(second for second, _ in marks[1:]), end]
    return {name: Span(begin, finish) for (begin, name), finish in zip(marks, ends, strict=True)}


def longest_chain(lengths: Mapping[str, float]) -> tuple[str, ...]:
    """Return the chain of waits that takes longest."""
    return max(CHAINS, key=lambda chain: sum(lengths[link] for link in chain))
