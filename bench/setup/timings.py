"""What happened when: steps out of Pulumi's events, waits out of what the pods said, and the longest chain of waits."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Line = tuple[float, str]
"""A line that a program printed, and at which second."""

PODS = {
    "istiod-": "istiod",
    "istio-eastwestgateway-": "gateway",
    "hello-": "hello",
    "client-": "client",
    "dcmesh-probe-": "probe",
}
"""What a pod is, by how its name begins."""

CHAINS = (
    ("certificates", "dc1 istiod", "dc1 gateway", "first answer"),
    ("certificates", "dc1 istiod", "dc1 hello", "first answer"),
    ("certificates", "dc2 istiod", "dc2 client", "first answer"),
)
"""What cannot begin before what is left of it has ended: an istiod starts with the certificate by which it signs, a pod
with a proxy is injected and configured by an istiod that is ready, and nothing is answered while one is missing."""


@dataclass(frozen=True)
class Span:
    """A piece of time, in seconds from the beginning."""

    begin: float
    end: float

    @property
    def length(self) -> float:
        """How long it is."""
        return self.end - self.begin


def resources(lines: Iterable[Line]) -> dict[str, Span]:
    """Return when each resource was made, by the events that `pulumi up --json` printed. Components are left out."""
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
    """Return when `pulumi up --json` was done with its preview and began to make things."""
    return next(second for second, event in _events(lines) if "preludeEvent" in event)


def _events(lines: Iterable[Line]) -> Iterable[tuple[float, Mapping[str, Mapping[str, Mapping[str, str]]]]]:
    # The preview comes first, as one document over many lines; then a line an event.
    return ((second, json.loads(line)) for second, line in lines if line.startswith('{"'))


def waits(site: str, lines: Iterable[Line]) -> dict[str, Span]:
    """Return from when, and until when, pods were waited for: from the first that appeared to the last that was ready.

    Args:
        site: the site's name, which is put before each pod's.
        lines: `NAME PHASE READY`, one whenever a pod changed. A Job's pod is waited for until it has succeeded.
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
        lines: what it printed.
        end: when it ended.
    """
    marks = [(second, line.removeprefix("step ").strip()) for second, line in lines if line.startswith("step ")]
    ends = [*(second for second, _ in marks[1:]), end]
    return {name: Span(begin, finish) for (begin, name), finish in zip(marks, ends, strict=True)}


def longest_chain(lengths: Mapping[str, float]) -> tuple[str, ...]:
    """Return the chain of waits that takes longest."""
    return max(CHAINS, key=lambda chain: sum(lengths[link] for link in chain))
