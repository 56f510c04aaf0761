"""The part's section of docs/performance.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.aims import Aim
from bench.markdown import number, spread, table
from bench.plots import Axes, bars, lines
from bench.samples import Sample, Summary, summarize, summary
from bench.scale.figures import Line, line

ONE_VARIABLE = 128 * 1024
"""Bytes to which Linux limits one environment variable. A probe's Job gets its hosts in one."""

OF_A_HOST = 50
"""Bytes of a host in that variable, with names as short as here."""

STRAIGHT = 0.1
"""How far a figure that counts as linear may lie below the straight line from its first to its last value."""

NAMES = 0.001
"""The share by which two proxies' configurations differ because their pods have different names."""

OF_A_NAMESPACE = 4
"""Further resources of an import in a namespace of its own: Sidecar, probe and the components around them."""

EACH, LAST = "for each resource", "at the end"
"""When the state is written: the ways of ten exports more."""

TEN_MORE, DESTROY = 30, 60
"""What is aimed at, in seconds: ten exports more beside 100, and the end of 300."""

LINES = """\
Each row has its line of least squares, value = base + each · exports, and the line's greatest distance from a figure,
as a share of the greatest value."""

SQUARE = "for each export's Gateway istiod looks at every Service that the gateway knows"

DATABASES = 100_000
SITES = (10, 100, 1000)

SIZES = f"""\
Columns in italics are **extrapolated** by these lines, and nothing of them was run: {DATABASES:,} databases of three
pods, spread evenly over {SITES[0]}, {SITES[1]} or {SITES[2]:,} sites. Each site exports as many as it imports, by a
stack and a gateway of its own with one pod. Left out are traffic, the databases' own memory, their Services (which are
in every proxy that is not scoped), and {OF_A_NAMESPACE} more resources for each import in a namespace of its own. One
consumer can import about {ONE_VARIABLE // OF_A_HOST:,} hosts: its probe gets their list in one environment variable. So
does the program its configuration, which as JSON must fit into {ONE_VARIABLE // 1024} KiB. Where a cluster has no other
gateway than dcmesh's, a setting of istiod halves the gateway's Envoy clusters
([which one](decisions/0014-a-gateway-an-export.md))."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that is measured on each step.

    Attributes:
        title: its name in tables.
        metric: what was measured.
        way: the thing that was measured.
        shown: the unit in which it is shown.
        factor: how many of that unit the measured one is.
        sized: whether it is extrapolated.
        grown: whether it is in the table; all are judged.
    """

    title: str
    metric: str
    way: str
    shown: str
    factor: float
    sized: bool
    grown: bool

    @property
    def label(self) -> str:
        """The beginning of its row: its title, and the unit if it has one."""
        return f"{self.title}, {self.shown}" if self.shown else self.title


MEGABYTES, KILOBYTES, MILLISECONDS = ("MB", 1e-6), ("kB", 1e-3), ("ms", 1e3)
SECONDS, COUNT = ("s", 1.0), ("", 1.0)


def figure_of(
    title: str, metric: str, way: str, unit: tuple[str, float], *, sized: bool = False, grown: bool = True
) -> Figure:
    """Return a figure. The argument `unit` is the shown unit's name and the factor from the measured one."""
    return Figure(title=title, metric=metric, way=way, shown=unit[0], factor=unit[1], sized=sized, grown=grown)


FIGURES = (
    figure_of("resources of the stack", "resources", "stack", COUNT, sized=True),
    figure_of("state", "state", "size", MEGABYTES, sized=True),
    figure_of("`preview`", "preview", "pair", SECONDS),
    figure_of("`preview`: CPU time of the program", "CPU of a preview", "program", SECONDS, grown=False),
    figure_of("`preview`: CPU time of Pulumi's engine", "CPU of a preview", "engine", SECONDS, grown=False),
    figure_of("`preview`: CPU time of its providers", "CPU of a preview", "providers", SECONDS, grown=False),
    figure_of("no-op `up`", "no-op up", "pair", SECONDS, sized=True),
    figure_of("gateway: configuration", "configuration", "gateway", MEGABYTES, sized=True),
    figure_of("gateway: clusters", "clusters", "gateway", COUNT, sized=True),
    figure_of("gateway: endpoints", "endpoints", "gateway", COUNT, grown=False),
    figure_of("gateway: Envoy's memory", "Envoy's memory", "gateway", MEGABYTES, sized=True),
    figure_of("gateway: working set", "working set", "gateway", MEGABYTES, grown=False),
    figure_of("sidecar of an exported pod: configuration", "configuration", "source", KILOBYTES),
    figure_of("sidecar of an exported pod: Envoy's memory", "Envoy's memory", "source", MEGABYTES, grown=False),
    figure_of("sidecar of an exported pod: working set", "working set", "source", MEGABYTES, grown=False),
    figure_of("replica's sidecar: configuration", "configuration", "replica", KILOBYTES),
    figure_of("replica's sidecar: Envoy's memory", "Envoy's memory", "replica", MEGABYTES, sized=True),
    figure_of("replica's sidecar: working set", "working set", "replica", MEGABYTES, grown=False),
    figure_of("sidecar that imports all: configuration", "configuration", "consumer of all", KILOBYTES),
    figure_of("sidecar that imports all: listeners", "listeners", "consumer of all", COUNT, grown=False),
    figure_of("sidecar that imports all: Envoy's memory", "Envoy's memory", "consumer of all", MEGABYTES),
    figure_of("sidecar that imports all: working set", "working set", "consumer of all", MEGABYTES, grown=False),
    figure_of("istiod of dc1: working set", "istiod's working set", "dc1", MEGABYTES, sized=True),
    figure_of("istiod of dc2: working set", "istiod's working set", "dc2", MEGABYTES, sized=True),
    *(
        figure_of(f"istiod of {site}: {title}", metric, site, MILLISECONDS, grown=metric == "CPU of a push")
        for title, metric in (
            ("from a change until istiod begins to push", "change to push"),
            ("rebuilding its index before a push", "index"),
            ("from the start of a push until a proxy has it", "push to proxy"),
            ("its work on a push for a proxy", "push"),
            ("its work on clusters for all proxies", "push of clusters"),
            ("its work on listeners for all proxies", "push of listeners"),
            ("its CPU time for a push to all proxies", "CPU of a push"),
        )
        for site in ("dc1", "dc2")
    ),
)


def steps(samples: Sequence[Sample]) -> list[int]:
    """Return the numbers of exports that were measured."""
    return sorted({int(sample.case) for sample in samples if sample.metric == "state"})


def along(samples: Sequence[Sample], figure: Figure) -> dict[float, Summary]:
    """Return a figure's value on each step, in the unit that is shown."""
    return {
        step: scaled(summary(samples, figure.metric, figure.way, str(step)), figure.factor) for step in steps(samples)
    }


def scaled(figure: Summary, factor: float) -> Summary:
    """Return a figure in another unit."""
    return Summary(
        median=figure.median * factor, low=figure.low * factor, high=figure.high * factor, rounds=figure.rounds
    )


def fitted(samples: Sequence[Sample], figure: Figure) -> Line:
    """Return the line through a figure's medians."""
    return line({step: point.median for step, point in along(samples, figure).items()})


def added(samples: Sequence[Sample]) -> dict[int, tuple[int, float]]:
    """Return for each step how many exports the `up` added, and its seconds beyond those of a no-op `up`."""
    known, before = dict[int, tuple[int, float]](), 0
    for step in steps(samples):
        seconds = summary(samples, "up", "pair", str(step)).median
        known[step] = step - before, seconds - summary(samples, "no-op up", "pair", str(step)).median
        # These exports had been added before, to see what ten more cost.
        more = [s for s in samples if (s.metric, s.case) == ("ten more", str(step))]
        before = step + 10 * len(more)
    return known


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    return "\n\n".join(
        [
            _growth(samples),
            f"{_how(samples)} {LINES}",
            SIZES,
            _pushes(samples),
            _pulumi(samples),
            _unrelated(samples),
        ]
    )


def aims(samples: Sequence[Sample]) -> Iterator[Aim]:
    """Return what was aimed at, and what came of it."""
    yield straight_aim(samples, FIGURES, "with sidecars", SQUARE)
    last = steps(samples)[-1]
    more = [s for s in samples if (s.metric, s.way) == ("ten more", EACH)]
    if more:
        most = max(more, key=lambda s: int(s.case))
        once = summary(samples, "ten more", LAST, most.case).median
        yield Aim(
            what=f"`up` of ten exports more, beside {most.case}",
            wanted=f"{TEN_MORE} s or less",
            measured=f"{number(most.value)} s",
            met=most.value <= TEN_MORE,
            why=f"Pulumi writes its whole state before and after each resource; written once, at the end, it takes "
            f"{number(once)} s",
        )
    for gone in (s for s in samples if s.metric == "destroy"):
        resources = summary(samples, "resources", "stack", str(last)).median
        yield Aim(
            what=f"`destroy` with {gone.case} exports and more",
            wanted=f"{DESTROY} s or less",
            measured=f"{number(gone.value)} s",
            met=gone.value <= DESTROY,
            why=(
                f"the provider deletes {number(resources / gone.value, 2)} objects a second, and waits for each to "
                f"be gone"
            ),
        )
    yield _untouched(samples)


def _how(samples: Sequence[Sample]) -> str:
    few = summary(samples, "no-op up", "pair", str(steps(samples)[0])).rounds
    many = summary(samples, "no-op up", "pair", str(steps(samples)[-1])).rounds
    looks = summary(samples, "configuration", "gateway", str(steps(samples)[0])).rounds
    return f"""One pair with sidecars at both ends grows to {steps(samples)[-1]} exports of three pods. Three pods
really run; Istio treats a WorkloadEntry with its labels, at their address, as each other one. The probe at the end of
`up` asks every host. One namespace of dc2 imports everything. Another one, the *replica*, imports one export. Proxies
and istiods have {looks} rounds, Pulumi {few} up to 10 exports and {many} for more; each `up` is measured once."""


def growth(samples: Sequence[Sample], figures: Sequence[Figure]) -> list[list[str]]:
    """Return a row a figure: what it is on each step, the line through it, and what that gives for a large number."""
    rows = []
    for figure in figures:
        fit = fitted(samples, figure)
        points = (around(point) for point in along(samples, figure).values())
        sizes = (number(max(0, fit.at(DATABASES / sites)), 2) if figure.sized else "" for sites in SITES)
        rows.append([figure.label, *points, number(fit.base), number(fit.each), f"{fit.worst:.0%}", *sizes])
    return rows


def around(figure: Summary) -> str:
    """Return a median, with the spread if there is one that can be seen."""
    return spread(figure) if number(figure.low) != number(figure.high) else number(figure.median)


def growth_table(samples: Sequence[Sample], rows: Sequence[Sequence[str]]) -> str:
    """Return the table of `growth`'s rows."""
    sizes = (f"*{DATABASES // sites:,}*" for sites in SITES)
    return table(["exports", *map(str, steps(samples)), "base", "each export", "off", *sizes], rows)


def _growth(samples: Sequence[Sample]) -> str:
    rows, ups = growth(samples, [figure for figure in FIGURES if figure.grown]), added(samples)
    adds = (number(ups[step][1] / ups[step][0]) for step in steps(samples))
    rows.insert(3, ["`up` that adds these: seconds for each export, beyond a no-op `up`", *adds, *[""] * 6])
    return growth_table(samples, rows)


def straight_aim(samples: Sequence[Sample], figures: Sequence[Figure], pair: str, why: str) -> Aim:
    """Return whether all figures are lines or better.

    Args:
        samples: what was measured.
        figures: the figures.
        pair: of what.
        why: why some are not.
    """
    bent = [figure.title for figure in figures if fitted(samples, figure).bend > STRAIGHT]
    few = len(steps(samples)) < 3
    return Aim(
        what=f"growth of all figures {pair}",
        wanted="linear or better",
        measured="any two points are on a line"
        if few
        else f"bent upwards by more than {STRAIGHT:.0%} of the greatest value: {', '.join(bent) or 'none'}",
        met=not (bent or few),
        why="it needs a third point" if few else why,
    )


def _pushes(samples: Sequence[Sample]) -> str:
    """Return how istiod's time is divided."""
    first, *_, last = steps(samples)

    def milliseconds(metric: str, step: int = last) -> str:
        return number(summary(samples, metric, "dc1", str(step)).median * 1e3)

    return (
        f"istiod waits 100 ms for more changes by itself (`PILOT_DEBOUNCE_AFTER`): it begins to push after "
        f"{milliseconds('change to push', first)} ms with {first} and after {milliseconds('change to push')} ms with "
        f"{last} "
        f"exports in dc1. What grows is the gateway's part: with each change istiod makes its one listener and all its "
        f"clusters for other sites anew, {milliseconds('push of listeners')} and {milliseconds('push of clusters')} "
        f"ms with "
        f"{last}, the sidecars' among them; this part grows with the square of the exports "
        f"([why it is left](decisions/0014-a-gateway-an-export.md))."
    )


def _pulumi(samples: Sequence[Sample]) -> str:
    last = str(steps(samples)[-1])
    spent = {p: summary(samples, "CPU of a preview", p, last).median for p in ("program", "engine", "providers")}
    shares = ", ".join(f"{part} {seconds / sum(spent.values()):.0%}" for part, seconds in spent.items())
    text = [f"Of a `preview`'s CPU time with {last} exports: {shares}."]
    more = [step for step in steps(samples) if any(s.metric == "ten more" and s.case == str(step) for s in samples)]
    if more:
        pairs = " and ".join(
            f"{' and '.join(number(summary(samples, 'ten more', way, str(s)).median) for way in (EACH, LAST))} s "
            f"beside {s}"
            for s in more
        )
        text.append(
            "The times above are of a Pulumi that writes its state once, at the end ([why](#the-state)). Ten exports "
            f"more, written for each resource and at the end: {pairs} exports."
        )
    return " ".join(text)


def _unrelated(samples: Sequence[Sample]) -> str:
    without, with_ = _cases(samples)

    def change(way: str) -> str:
        (size, _, memory), (size_then, _, memory_then) = (_sidecar(samples, way, case) for case in (without, with_))
        return (
            f"from {number(size.median)} to {number(size_then.median)} kB of configuration and from "
            f"{number(memory.median)} to {number(memory_then.median)} MB of Envoy's memory"
        )

    others = "; ".join(
        f"{title} from {number(_of(samples, way, without))} to {number(_of(samples, way, with_))} kB"
        for title, way in (("the gateway's", "gateway"), ("that of an exported pod's sidecar", "source"))
    )
    return (
        f"With {with_} a replica's sidecar that has just started goes {change('scoped')}; without the `Sidecar` that "
        f"dcmesh makes for its namespace {change('unscoped')}. What dcmesh does not scope learns of every Service: "
        f"configuration {others}."
    )


def _untouched(samples: Sequence[Sample]) -> Aim:
    """Return whether a scoped sidecar is left as it was by Services that have nothing to do with it."""
    without, with_ = _cases(samples)
    (size, clusters, memory), (size_then, clusters_then, memory_then) = (
        _sidecar(samples, "scoped", case) for case in (without, with_)
    )
    # A proxy that has run for a while has a little more configuration than one that has just started.
    looks = [s.value for s in samples if s.metric == "Envoy's memory" and (s.way, s.case) == ("scoped", without)]
    looks += [s.value for s in samples if s.metric == "Envoy's memory" and s.way == "replica"]
    apart = (max(looks) - min(looks)) / 1e6
    change = memory_then.median - memory.median
    told = size_then.median - size.median
    same = clusters_then.median == clusters.median and abs(told) <= NAMES * size.median
    return Aim(
        what=f"what {with_} change in a scoped sidecar",
        wanted="no more than noise",
        measured=(
            f"{number(told)} kB of configuration, {number(change)} MB; without them it varied by {number(apart)} MB"
        ),
        met=abs(change) <= apart and same,
        why="it is told of them",
    )


def _cases(samples: Sequence[Sample]) -> list[str]:
    found = dict.fromkeys(sample.case for sample in samples if sample.way == "unscoped")
    return sorted(found, key=lambda case: int(case.split()[0]))


def _sidecar(samples: Sequence[Sample], way: str, case: str) -> tuple[Summary, Summary, Summary]:
    return (
        scaled(summary(samples, "configuration", way, case), 1e-3),
        summary(samples, "clusters", way, case),
        scaled(summary(samples, "Envoy's memory", way, case), 1e-6),
    )


def _of(samples: Sequence[Sample], way: str, case: str) -> float:
    return summary(samples, "configuration", way, case).median / 1e3


def plots(samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return the section's plots, by file name."""
    ups = {step: seconds for step, (_, seconds) in added(samples).items()}
    time: dict[str, Mapping[float, Summary]] = {
        "`up` that adds the difference": {step: summarize([max(seconds, 0.1)]) for step, seconds in ups.items()}
    }
    time |= {figure.title: along(samples, figure) for figure in FIGURES if figure.metric in ("preview", "no-op up")}
    memory = {
        figure.title.partition(":")[0]: along(samples, figure)
        for figure in FIGURES
        if figure.metric in ("Envoy's memory", "istiod's working set")
    }
    groups = {
        case: {way: _sidecar(samples, way, case)[0] for way in ("scoped", "unscoped")} for case in _cases(samples)
    }
    return {
        "scale-time.svg": lines(Axes(title="Pulumi's time", x="exports", y="s", logarithmic=True), time),
        "scale-memory.svg": lines(
            Axes(title="Memory: Envoys, and istiods' working sets", x="exports", y="MB", logarithmic=True), memory
        ),
        "scale-sidecar.svg": bars(Axes(title="A replica's sidecar", x="", y="configuration, kB"), groups),
    }
