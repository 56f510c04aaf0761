"""The part's section of docs/performance.md."""

from collections.abc import Mapping, Sequence

from bench import plots as drawing
from bench.markdown import number, spread, table
from bench.samples import Sample, Summary, by_round, compared, summarize, summary
from bench.setup.helm import VERSION
from bench.setup.timings import Span, longest_chain

OURS, BY_HAND = "dcmesh", "sequential"
OF_BY_HAND, OF_CHAIN = 0.5, 1.25
"""The aims: how long `up` may take, as a share of the steps by hand, and of the chain."""

SHOWN = 0.5
"""A step is shown if it takes at least this many seconds."""

INTRODUCTION = f"""\
The demo's pair (`Pulumi.dev.yaml`) is set up on two new clusters, so that each way begins with nothing.
`hello-0`, `-1` and `-2` of dc1 are exported, and imported into `demo-dr` of dc2. Making the clusters is not measured.
Both ways use the same charts, values, images and objects. Both end when each host is answered by its own pod.

- **dcmesh**: one `pulumi up --yes`, including its preview at the beginning and the LinkProbe at its end.
- **sequential**: the steps of Istio's multi-cluster demo in their order, each awaited before the next, by openssl,
  kubectl and helm ({VERSION}, the version inside Pulumi's provider): [sequential.sh](../bench/setup/sequential.sh). The
  script types without a pause, and reads nothing between two steps."""

CHAIN = """\
This chain of waits cannot be shortened. First come the certificates. Then comes an istiod, which starts with them, from
when its pod appears until it is ready. Then come the pods that it injects and configures (dc1's gateway and `hello`, or
dc2's client), from when they appear until they are ready. Last comes the first answer. The two sites need not wait for
each other. The length of each link is taken from the sequential way, where the machine does nothing else meanwhile. The
chain leaves out what needs no waiting or can be done at the same time: programs that start, charts that are rendered,
CRDs, the gateway's address."""

COMMANDS = {
    "preview of nothing": "`pulumi preview`, nothing to do",
    "up of nothing": "`pulumi up`, nothing to do",
    "up with another export": "`pulumi up` after an export of three pods, which ran already, and its import were added",
    "destroy": "`pulumi destroy` of both exports",
}


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    return "\n\n".join([INTRODUCTION, _ways(samples), _chain(samples), _course(samples), _commands(samples)])


def plots(samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return the section's plots, by file name."""
    preview, whole = summary(samples, "preview", OURS, "pair"), summary(samples, "set-up", OURS, "pair")
    chain = summarize(list(chains(samples, BY_HAND).values()))
    by_hand = summary(samples, "set-up", BY_HAND, "pair")
    axes = drawing.Axes(title="From two empty clusters to three hosts that answer", x="", y="seconds")
    course = drawing.Axes(title=f"One `pulumi up`, round {middle_round(samples)}", x="seconds", y="")
    bars = {"pulumi up": whole, "of it: preview": preview, "sequential": by_hand, "longest chain of waits": chain}
    spans = {name: (span.begin, span.end) for name, span in _of_up(samples).items()}
    return {"setup.svg": drawing.bars(axes, {"": bars}), "setup-up.svg": drawing.course(course, spans)}


def chains(samples: Sequence[Sample], way: str) -> dict[int, float]:
    """Return the length of the longest chain in each round, with the waits for pods as they were in this way."""
    rounds = by_round(samples, "set-up", way, "pair")
    lengths = {number: _links(samples, number, way) for number in rounds}
    return {number: sum(of[link] for link in longest_chain(of)) for number, of in lengths.items()}


def middle_round(samples: Sequence[Sample]) -> int:
    """Return the round whose `up` took the median time, or the next longer one."""
    rounds = by_round(samples, "set-up", OURS, "pair")
    return sorted(rounds, key=lambda number: rounds[number])[len(rounds) // 2]


def _links(samples: Sequence[Sample], number: int, way: str) -> dict[str, float]:
    """Return how long each link of the chains took. Links other than pods are known from the sequential way only."""
    steps = {name: span.length for name, span in _spans(samples, "step", BY_HAND, number).items()}
    return steps | {name: span.length for name, span in _spans(samples, "wait", way, number).items()}


def _spans(samples: Sequence[Sample], what: str, way: str, number: int | None = None) -> dict[str, Span]:
    number = number or middle_round(samples)

    def values(edge: str) -> dict[str, float]:
        return {s.case: s.value for s in samples if (s.metric, s.way, s.round) == (f"{what} {edge}", way, number)}

    ends = values("end")
    return {case: Span(begin, ends[case]) for case, begin in values("begin").items()}


def _ways(samples: Sequence[Sample]) -> str:
    share = compared(samples, "set-up", OURS, BY_HAND, "pair", lambda ours, theirs: ours / theirs)
    work, by_hand = (
        by_round(samples, metric, way, "pair")
        for metric, way in (("processors, shared out", OURS), ("set-up", BY_HAND))
    )
    least = summarize([work[n] / by_hand[n] for n in by_hand])
    made = min(span.begin for span in _spans(samples, "resource", OURS).values())
    rows = [
        ["`pulumi up`", spread(summary(samples, "set-up", OURS, "pair")), _processors(samples, OURS)],
        ["of it: until the preview is done", spread(summary(samples, "preview", OURS, "pair")), ""],
        ["sequential", spread(summary(samples, "set-up", BY_HAND, "pair")), _processors(samples, BY_HAND)],
        ["longest chain of waits", spread(summarize(list(chains(samples, BY_HAND).values()))), ""],
    ]
    return "\n\n".join(
        [
            table(["what", "seconds", "seconds of processors, both sites' clusters included"], rows),
            "![The ways](performance/setup.svg)",
            f"`pulumi up` takes {spread(share)} of the sequential way's time ({aim(share, OF_BY_HAND)}). Its work "
            f"alone, spread over all cores and without any waiting, would take {spread(least)} of it. In round "
            f"{middle_round(samples)}, {made:.1f} s pass before anything is made: the preview and the program's start.",
        ]
    )


def _processors(samples: Sequence[Sample], way: str) -> str:
    return spread(summary(samples, "processors", way, "pair"))


def _chain(samples: Sequence[Sample]) -> str:
    number_ = middle_round(samples)
    lengths = _links(samples, number_, BY_HAND)
    chain = longest_chain(lengths)
    links = " → ".join(f"{link} {number(lengths[link], 2)} s" for link in chain)
    ups, previews = (by_round(samples, metric, OURS, "pair") for metric in ("set-up", "preview"))
    alone, together = chains(samples, BY_HAND), chains(samples, OURS)
    whole = summarize([ups[n] / alone[n] for n in ups])
    update = summarize([(ups[n] - previews[n]) / alone[n] for n in ups])
    crowded = summarize([(ups[n] - previews[n]) / together[n] for n in ups])
    return "\n\n".join(
        [
            "### The chain of waits",
            CHAIN,
            f"In round {number_}: {links}.",
            f"`pulumi up` takes {spread(whole)} times the chain ({aim(whole, OF_CHAIN)}); without its preview "
            f"{spread(update)} times ({aim(update, OF_CHAIN)}).",
            "Within `up`, both sites' pods start at once and share the cores. With the waits for pods as they were "
            f"there, `up` without its preview takes {spread(crowded)} times the chain.",
        ]
    )


def _course(samples: Sequence[Sample]) -> str:
    long = {name: span for name, span in _of_up(samples).items() if span.length >= SHOWN}
    return "\n\n".join(
        [
            "### Where the time goes",
            f"Round {middle_round(samples)}, in seconds from the start of the command. Of `pulumi up`, only what took "
            f"{SHOWN} seconds or more is shown. A pod counts from when it appeared until it was ready, the probe's pod "
            "until it was done.",
            _table_of("`pulumi up`", long),
            _table_of("sequential", _spans(samples, "step", BY_HAND)),
            "![One up](performance/setup-up.svg)",
        ]
    )


def _of_up(samples: Sequence[Sample]) -> dict[str, Span]:
    pods = {f"pods: {name}": span for name, span in _spans(samples, "wait", OURS).items()}
    preview = by_round(samples, "preview", OURS, "pair")[middle_round(samples)]
    return {"preview": Span(0, preview), **_spans(samples, "resource", OURS), **pods}


def _table_of(title: str, spans: Mapping[str, Span]) -> str:
    ordered = sorted(spans, key=lambda name: spans[name].begin)
    return table([title, "begin", "takes"], [[n, f"{spans[n].begin:.1f}", f"{spans[n].length:.1f}"] for n in ordered])


def _commands(samples: Sequence[Sample]) -> str:
    rows = [[text, spread(summary(samples, "command", OURS, name))] for name, text in COMMANDS.items()]
    return "\n\n".join(["### Afterwards", table(["what", "seconds"], rows)])


def aim(figure: Summary, most: float) -> str:
    """Return the aim, and whether the figure meets it."""
    return f"aim {most:g}: {'met' if figure.median <= most else 'missed'}"
