"""The part's section of docs/performance.md."""

from collections.abc import Iterator, Mapping, Sequence
from operator import truediv

from bench import plots as drawing
from bench.aims import Aim
from bench.markdown import number, spread, table
from bench.samples import Sample, Summary, by_round, compared, summarize, summary
from bench.setup.helm import VERSION
from bench.setup.timings import Span, longest_chain

OURS, BY_HAND = "dcmesh", "sequential"
OF_BY_HAND, OF_CHAIN, NO_OP = 0.6, 1.25, 4
"""What is aimed at: how long `up` takes, as a share of the steps by hand, and of the chain; seconds with nothing to
do."""

LONGEST = 6
"""How many of the things that take longest are named."""

INTRODUCTION = f"""\
The demo's pair (`Pulumi.dev.yaml`) is set up on two new clusters. Three hosts are exported and imported. Both ways use
the same charts, values, images and objects, and end when each host is answered by its own pod. **Sequential** means the
steps of Istio's multi-cluster demo, each awaited before the next, with openssl, kubectl and helm ({VERSION}):
[sequential.sh](../bench/setup/sequential.sh). The script types without a pause, and reads nothing between two steps."""

CHAIN = """\
The chain of waits cannot be shortened: certificates; an istiod, from when its pod appears until it is ready; the pods
that it injects, likewise; the first answer. Each link's time is from the
sequential way, where the machine does nothing else meanwhile."""

COMMANDS = {
    "preview of nothing": "`pulumi preview`, nothing to do",
    "up of nothing": "`pulumi up`, nothing to do",
    "up with another export": "`pulumi up` after an export of three pods, which ran already, and its import were added",
    "destroy": "`pulumi destroy` of both exports",
}


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    return "\n\n".join([_table(samples), INTRODUCTION, f"{CHAIN} {_chain(samples)}\n{_course(samples)}"])


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what was aimed at, and what came of it."""
    share = compared(samples, "set-up", OURS, BY_HAND, "pair", truediv)
    work = compared_work(samples)
    yield Aim(
        what="`pulumi up` of the pair, as a share of the sequential way",
        wanted=f"{OF_BY_HAND} or less",
        measured=spread(share),
        met=share.median <= OF_BY_HAND,
        why=f"its work alone, shared out to all cores and never waiting, takes {number(work.median)}; preview and the "
        "program's start come before anything is made",
    )
    ups, previews = (by_round(samples, metric, OURS, "pair") for metric in ("set-up", "preview"))
    alone, together = chains(samples, BY_HAND), chains(samples, OURS)
    crowded = summarize([(ups[n] - previews[n]) / together[n] for n in ups])
    whole, rest = (summarize([(ups[n] - without * previews[n]) / alone[n] for n in ups]) for without in (False, True))
    yield Aim(
        what="the same, by the longest chain of waits",
        wanted=f"{OF_CHAIN} times or less",
        measured=f"{spread(whole)}; without its preview {spread(rest)}",
        met=whole.median <= OF_CHAIN,
        why=f"both sites' pods start at once and share the cores; of the waits as they are then, {spread(crowded)} "
        "times without the preview",
    )
    nothing = summary(samples, "command", OURS, "up of nothing")
    yield Aim(
        what="`pulumi up`, nothing to do",
        wanted=f"{NO_OP} s or less",
        measured=f"{spread(nothing)} s",
        met=nothing.median <= NO_OP,
        why="it runs the program twice, for its preview too: `--skip-preview` spares one of them",
    )


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


def compared_work(samples: Sequence[Sample]) -> Summary:
    """Return what the work of `up`, shared out to all cores and never waiting, takes of the sequential way's time."""
    work, by_hand = (
        by_round(samples, metric, way, "pair")
        for metric, way in (("processors, shared out", OURS), ("set-up", BY_HAND))
    )
    return summarize([work[n] / by_hand[n] for n in by_hand])


def _table(samples: Sequence[Sample]) -> str:
    rows = [
        ["`pulumi up`", spread(summary(samples, "set-up", OURS, "pair")), _processors(samples, OURS)],
        ["of it: until the preview is done", spread(summary(samples, "preview", OURS, "pair")), ""],
        ["sequential", spread(summary(samples, "set-up", BY_HAND, "pair")), _processors(samples, BY_HAND)],
        ["longest chain of waits", spread(summarize(list(chains(samples, BY_HAND).values()))), ""],
        *([text, spread(summary(samples, "command", OURS, name)), ""] for name, text in COMMANDS.items()),
    ]
    return table(["what", "seconds", "seconds of processors, both sites' clusters included"], rows)


def _processors(samples: Sequence[Sample], way: str) -> str:
    return spread(summary(samples, "processors", way, "pair"))


def _chain(samples: Sequence[Sample]) -> str:
    number_ = middle_round(samples)
    lengths = _links(samples, number_, BY_HAND)
    links = " → ".join(f"{link} {number(lengths[link], 2)} s" for link in longest_chain(lengths))
    return f"In round {number_}: {links}."


def _course(samples: Sequence[Sample]) -> str:
    made = min(span.begin for span in _spans(samples, "resource", OURS).values())
    spans = _of_up(samples)
    longest = sorted(spans, key=lambda name: spans[name].length, reverse=True)[:LONGEST]
    named = ", ".join(
        f"{name} {spans[name].length:.1f} s" for name in sorted(longest, key=lambda name: spans[name].begin)
    )
    return (
        f"[One up](performance/setup-up.svg), round {middle_round(samples)}: {made:.1f} s go by before anything is "
        f"made. "
        f"Then take longest, many at once: {named}."
    )


def _of_up(samples: Sequence[Sample]) -> dict[str, Span]:
    pods = {f"pods: {name}": span for name, span in _spans(samples, "wait", OURS).items()}
    preview = by_round(samples, "preview", OURS, "pair")[middle_round(samples)]
    return {"preview": Span(0, preview), **_spans(samples, "resource", OURS), **pods}
