"""Plots of docs/performance.md, as SVG. The same figures give the same SVG."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.samples import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The title and the axes of a plot.

    Attributes:
        title: what is shown.
        x: the label of the horizontal axis.
        y: the label of the vertical axis.
        logarithmic: whether both axes are logarithmic.
    """

    title: str
    x: str
    y: str
    logarithmic: bool = False


def bars(axes: Axes, groups: Mapping[str, Mapping[str, Summary]]) -> str:
    """Return bars of medians with their spread. Each place on the x axis has one bar for each way."""
    figure, drawing = _drawing(axes)
    ways = list(dict.fromkeys(way for group in groups.values() for way in group))
    width = 0.8 / len(ways)
    for index, way in enumerate(ways):
        places = [place for place, group in enumerate(groups.values()) if way in group]
        figures = [group[way] for group in groups.values() if way in group]
        drawing.bar(
            [place + (index - (len(ways) - 1) / 2) * width for place in places],
            [figure.median for figure in figures],
            width,
            yerr=_errors(figures),
            capsize=3,
            label=way,
        )
    drawing.set_xticks(range(len(groups)), list(groups))
    drawing.legend(loc="upper left", bbox_to_anchor=(1, 1))  # The legend lies beside the plot and not over it.
    return _svg(figure)


def lines(axes: Axes, series: Mapping[str, Mapping[float, Summary]]) -> str:
    """Return lines through medians with their spread, one for each name."""
    figure, drawing = _drawing(axes)
    for name, points in series.items():
        figures = list(points.values())
        drawing.errorbar(
            list(points), [point.median for point in figures], yerr=_errors(figures), capsize=3, marker="o", label=name
        )
    if axes.logarithmic:
        drawing.set_xscale("log")
        drawing.set_yscale("log")
    else:
        drawing.set_ylim(bottom=0)
    drawing.legend(loc="upper left", bbox_to_anchor=(1, 1))  # The legend lies beside the plot and not over it.
    return _svg(figure)


def course(axes: Axes, spans: Mapping[str, tuple[float, float]]) -> str:
    """Return a bar from the beginning to the end of each item. The first one to begin is on top."""
    figure, drawing = _drawing(axes, height=1 + 0.16 * len(spans))
    names = sorted(spans, key=lambda name: spans[name])
    drawing.barh(names, [spans[n][1] - spans[n][0] for n in names], left=[spans[n][0] for n in names])
    drawing.set_xlim(left=0)
    drawing.invert_yaxis()
    drawing.margins(y=0.01)
    drawing.tick_params(axis="y", labelsize=6)
    return _svg(figure)


def _drawing(axes: Axes, height: float = 3.5):  # type: ignore[no-untyped-def]  # noqa: ANN202
    # Only here: that takes a second, and most of what imports a report draws nothing.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "dcmesh", "svg.fonttype": "none"})
    figure = Figure(figsize=(7, height), layout="tight")
    drawing = figure.subplots()
    drawing.set_title(axes.title)
    drawing.set_xlabel(axes.x)
    drawing.set_ylabel(axes.y)
    return figure, drawing


def _errors(figures: Sequence[Summary]) -> list[list[float]]:
    return [[f.median - f.low for f in figures], [f.high - f.median for f in figures]]


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
