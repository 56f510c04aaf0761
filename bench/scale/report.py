"""The part's section of docs/performance.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

DATABASES = 100_000
SITES = (10, 100, 1000)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that is measured on each step.

    Attributes:
        title: its name in tables.
        metric: what was measured.
        way: the thing that was measured.
        shown: the unit in which it is shown.
        factor: what the measured value is multiplied by to get that unit.
        sized: whether the table of sizes contains it.
    """

    title: str
    metric: str
    way: str
    shown: str
    factor: float
    sized: bool

    @property
    def label(self) -> str:
        """The beginning of its row: its title, and the unit if it has one."""
        return f"{self.title}, {self.shown}" if self.shown else self.title


MEGABYTES, KILOBYTES, MILLISECONDS = ("MB", 1e-6), ("kB", 1e-3), ("ms", 1e3)
SECONDS, COUNT = ("s", 1.0), ("", 1.0)


def figure_of(title: str, metric: str, way: str, unit: tuple[str, float], *, sized: bool = False) -> Figure:
    """Return a figure. The argument `unit` is the shown unit's name and the factor from the measured one."""
    return Figure(title=title, metric=metric, way=way, shown=unit[0], factor=unit[1], sized=sized)


FIGURES = (
    figure_of("resources of the stack", "resources", "stack", COUNT, sized=True),
    figure_of("state", "state", "size", MEGABYTES, sized=True),
    figure_of("`preview`", "preview", "pair", SECONDS),
    figure_of("`preview`: CPU time of the program", "CPU of a preview", "program", SECONDS),
    figure_of("`preview`: CPU time of Pulumi's engine", "CPU of a preview", "engine", SECONDS),
    figure_of("`preview`: CPU time of its providers", "CPU of a preview", "providers", SECONDS),
    figure_of("no-op `up`", "no-op up", "pair", SECONDS, sized=True),
    figure_of("gateway: configuration", "configuration", "gateway", MEGABYTES, sized=True),
    figure_of("gateway: clusters", "clusters", "gateway", COUNT, sized=True),
    figure_of("gateway: endpoints", "endpoints", "gateway", COUNT),
    figure_of("gateway: Envoy's memory", "Envoy's memory", "gateway", MEGABYTES, sized=True),
    figure_of("gateway: working set", "working set", "gateway", MEGABYTES),
    figure_of("sidecar of an exported pod: configuration", "configuration", "source", KILOBYTES),
    figure_of("sidecar of an exported pod: Envoy's memory", "Envoy's memory", "source", MEGABYTES),
    figure_of("sidecar of an exported pod: working set", "working set", "source", MEGABYTES),
    figure_of("replica's sidecar: configuration", "configuration", "replica", KILOBYTES),
    figure_of("replica's sidecar: Envoy's memory", "Envoy's memory", "replica", MEGABYTES, sized=True),
    figure_of("replica's sidecar: working set", "working set", "replica", MEGABYTES),
    figure_of("sidecar that imports all: configuration", "configuration", "consumer of all", KILOBYTES),
    figure_of("sidecar that imports all: listeners", "listeners", "consumer of all", COUNT),
    figure_of("sidecar that imports all: Envoy's memory", "Envoy's memory", "consumer of all", MEGABYTES),
    figure_of("sidecar that imports all: working set", "working set", "consumer of all", MEGABYTES),
    figure_of("istiod of dc1: working set", "istiod's working set", "dc1", MEGABYTES, sized=True),
    figure_of("istiod of dc2: working set", "istiod's working set", "dc2", MEGABYTES, sized=True),
    *(
        figure_of(f"istiod of {site}: {title}", metric, site, MILLISECONDS)
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
            _how(samples),
            "### Growth",
            _growth(samples),
            _linear(samples),
            _pushes(samples),
            _pulumi(samples),
            "### What others do in the cluster",
            _unrelated(samples),
            "### Sizes",
            _sizes(samples),
        ]
    )


def _how(samples: Sequence[Sample]) -> str:
    few = summary(samples, "no-op up", "pair", str(steps(samples)[0])).rounds
    many = summary(samples, "no-op up", "pair", str(steps(samples)[-1])).rounds
    looks = summary(samples, "configuration", "gateway", str(steps(samples)[0])).rounds
    return f"""A pair grows to {steps(samples)[-1]} exports of three pods. Only the configuration is measured, so only
three of the databases' pods really run. Each other pod is a WorkloadEntry with the pod's labels, at the address of a
Service of the real pods; Istio treats it as the pod. Every host really answers: the probe at the end of `up` asks each
of them, through both proxies and the gateway, and `up` fails if one is silent. One namespace of dc2 imports everything.
Another one, the *replica*, imports one export, as the replica of a database does. Both sites are in one stack, on
existing clusters with Istio installed. Pulumi's times have {few} rounds up to 10 exports and {many} for more, except
that each `up` is measured once. Proxies and istiods have {looks} rounds."""


def growth(samples: Sequence[Sample], figures: Sequence[Figure]) -> list[list[str]]:
    """Return a row for each figure, with its value on each step."""

    def cell(figure: Figure, step: int) -> str:
        point = along(samples, figure)[step]
        return spread(point) if point.rounds > 1 else number(point.median)

    return [
        [
            figure.label,
            *(cell(figure, step) for step in steps(samples)),
        ]
        for figure in figures
    ]


def _growth(samples: Sequence[Sample]) -> str:
    columns = steps(samples)
    rows, ups = growth(samples, FIGURES), added(samples)
    rows.insert(
        3,
        [
            "`up` that adds these: seconds for each, beyond a no-op `up`",
            *(number(ups[s][1] / ups[s][0]) for s in columns),
        ],
    )
    return table(["exports", *map(str, columns)], rows)


def straight(samples: Sequence[Sample], figures: Sequence[Figure]) -> str:
    """Return the lines through figures, and whether all figures grow linearly or slower."""
    fits = {figure: fitted(samples, figure) for figure in figures}
    rows = [
        [
            figure.title,
            f"{number(fit.base)} {figure.shown}".strip(),
            f"{number(fit.each)} {figure.shown}".strip(),
            f"{fit.worst:.0%}",
        ]
        for figure, fit in fits.items()
    ]
    few = len(steps(samples)) < 3
    bent = [figure.title for figure, fit in fits.items() if fit.bend > STRAIGHT]
    verdict = (
        "Aim, growth that is linear or better: met, as far as no figure bends upwards by more than "
        f"{STRAIGHT:.0%} of its greatest value."
        if not (bent or few)
        else "Aim, growth that is linear or better: not shown, for any two points are on a line."
        if few
        else f"Aim, growth that is linear or better: not shown for {', '.join(bent)}, which bend upwards by more than "
        f"{STRAIGHT:.0%} of the greatest value."
    )
    return f"{table(['', 'base', 'each export', 'off'], rows)}\n\n{verdict}"


def _linear(samples: Sequence[Sample]) -> str:
    said = (
        "The line of least squares is value = base + each · exports. *off* is the greatest distance from it, as a "
        "share of the greatest value. A working set also contains what the kernel has cached for a container, and "
        "jumps with that. Envoy's own memory is what depends on the configuration."
    )
    plots_ = "![time](performance/scale-time.svg)\n\n![memory](performance/scale-memory.svg)"
    return "\n\n".join([said, straight(samples, FIGURES), plots_])


def _pushes(samples: Sequence[Sample]) -> str:
    """Return how istiod's time is divided."""
    first, *_, last = steps(samples)

    def milliseconds(metric: str, step: int = last) -> str:
        return number(summary(samples, metric, "dc1", str(step)).median * 1e3)

    bend = next(fitted(samples, f).bend for f in FIGURES if (f.metric, f.way) == ("CPU of a push", "dc1"))
    return (
        f"Before a proxy has a change, most of the time is spent waiting: istiod waits for further changes, 100 ms by "
        f"default (`PILOT_DEBOUNCE_AFTER`). In dc1 it begins to push after "
        f"{milliseconds('change to push', first)} ms with {first} and after {milliseconds('change to push')} ms with "
        f"{last} exports. What grows is the work for the gateway. "
        f"With each change of a Service or of Istio's configuration, istiod rebuilds the gateway's one listener and "
        f"all its clusters for other sites. That takes {milliseconds('push of listeners')} and "
        f"{milliseconds('push of clusters')} ms with {last} exports, those of the sidecars included. For each export's "
        f"Gateway, istiod looks at every Service that the gateway knows. So this part grows with the square of the "
        f"exports, and no setting of istiod changes that ([why it is left](decisions/0014-a-gateway-an-export.md)). "
        f"Measured in CPU time, which is istiod's alone, a push took "
        f"{milliseconds('CPU of a push', first)} ms with {first} and "
        f"{milliseconds('CPU of a push')} ms with {last} exports, "
        f"{'a line within' if bend <= STRAIGHT else 'bent upwards by'} {bend:.0%} of the greatest value. Where "
        f"the work takes longer by the clock, istiod has waited for a core, which it shares with both sites."
    )


def _pulumi(samples: Sequence[Sample]) -> str:
    last = str(steps(samples)[-1])
    spent = {p: summary(samples, "CPU of a preview", p, last).median for p in ("program", "engine", "providers")}
    shares = ", ".join(f"{part} {seconds / sum(spent.values()):.0%}" for part, seconds in spent.items())
    text = [
        f"Of a `preview`'s CPU time with {last} exports: {shares}. The program is dcmesh with Pulumi's SDK for Python."
    ]
    more = [step for step in steps(samples) if any(s.metric == "ten more" and s.case == str(step) for s in samples)]
    if more:
        text.append(
            "By default Pulumi writes its whole state, a file or an object in a bucket, before and after each resource "
            "that changes. So a change takes longer the larger the stack is, and the time of a first `up` grows with "
            "the square of the stack's size. For the times above, Pulumi wrote the state once, at the end "
            "(`PULUMI_SKIP_CHECKPOINTS=true`). If such a Pulumi is killed, the state lacks what it had made, so this "
            "is not for daily use. Ten more exports, in seconds:"
        )
        ways = ("for each resource", "at the end")
        rows = [[str(s), *(number(summary(samples, "ten more", way, str(s)).median) for way in ways)] for s in more]
        text.append(table(["exports before", "state written for each resource", "at the end"], rows))
        each, end = ([summary(samples, "ten more", way, str(s)).median for s in (more[0], more[-1])] for way in ways)
        before, after = each[0] - end[0], each[-1] - end[-1]
        if len(more) > 1:
            text.append(
                f"Aim, growth that is linear or better: {'missed' if after > before else 'met'} for an `up` that adds "
                f"ten exports while the state is written for each resource. Compared with writing it once, that took "
                f"{number(before)} s more with {more[0]} exports, and {number(after)} s more with {more[-1]}."
            )
    destroyed = [s for s in samples if s.metric == "destroy"]
    text += [f"`destroy` with {s.case} exports and more: {number(s.value)} s." for s in destroyed]
    return "\n\n".join(text)


def _unrelated(samples: Sequence[Sample]) -> str:
    cases = _cases(samples)
    rows = [
        [f"{case}, {way}", *(spread(s) for s in _sidecar(samples, way, case))]
        for case in cases
        for way in ("scoped", "unscoped")
    ]
    without, with_ = cases
    (size, clusters, memory), (size_then, clusters_then, memory_then) = (
        _sidecar(samples, "scoped", case) for case in cases
    )
    # A proxy that has run for a while has a little more configuration than one that has just started.
    looks = [s.value for s in samples if s.metric == "Envoy's memory" and (s.way, s.case) == ("scoped", without)]
    looks += [s.value for s in samples if s.metric == "Envoy's memory" and s.way == "replica"]
    apart = (max(looks) - min(looks)) / 1e6
    change = memory_then.median - memory.median
    told = size_then.median - size.median
    same = clusters_then.median == clusters.median and abs(told) <= NAMES * size.median
    met = abs(change) <= apart and same
    others = "; ".join(
        f"{title} from {number(_of(samples, way, without))} to {number(_of(samples, way, with_))} kB"
        for title, way in (("the gateway's", "gateway"), ("that of an exported pod's sidecar", "source"))
    )
    return "\n\n".join(
        [
            "A replica's sidecar that has just started, with the `Sidecar` that dcmesh makes for its namespace\n"
            "(scoped) and without that (unscoped):",
            table(["", "configuration, kB", "clusters", "Envoy's memory, MB"], rows),
            f"Aim, no more change than noise: {'met' if met else 'missed'},\n"
            f"{number(told)} kB of configuration and {number(change)} MB of memory, which without these Services\n"
            f"varied by {number(apart)} MB over all looks at it.",
            f"A proxy that dcmesh does not scope learns of every Service: configuration {others}.\n"
            "A Sidecar does not apply to gateways, and the namespace of an exported pod is its owner's.",
            "![sidecar](performance/scale-sidecar.svg)",
        ]
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


def _sizes(samples: Sequence[Sample]) -> str:
    sized = [figure for figure in FIGURES if figure.sized]
    rows = [
        [
            figure.label,
            *(number(max(0, fitted(samples, figure).at(DATABASES / sites)), 2) for sites in SITES),
        ]
        for figure in sized
    ]
    first, *_, last = steps(samples)
    header = ["sites", *(f"{sites:,}" for sites in SITES)]
    databases = ["databases a site", *(f"{DATABASES // sites:,}" for sites in SITES)]
    return f"""These sizes are **extrapolated** by the lines above, which were measured from {first} to {last} exports.
Nothing of this was run. {DATABASES:,} databases of three pods are spread evenly over the sites. Each is exported by one
site and imported by one other, so a site exports as many as it imports. Each site has a stack and a gateway of one pod.
The figures leave out traffic, the databases' own memory, their Services (which are in every proxy that is not scoped),
and {OF_A_NAMESPACE} more resources for each import in a namespace of its own.

{table(header, [databases, *rows])}

Where a cluster has no other gateway than dcmesh's, a setting of istiod halves the number of the gateway's Envoy
clusters ([which one](decisions/0014-a-gateway-an-export.md)).
If a stack gets too large for one `up`, use more sites with fewer databases each. One consumer can import
about {ONE_VARIABLE // OF_A_HOST:,} hosts: its probe gets their list in one environment variable. The program gets
its configuration from Pulumi in the same way: as JSON it must fit into {ONE_VARIABLE // 1024} KiB, or the program does
not start ("argument list too long")."""


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
