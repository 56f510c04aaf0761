"""Lines through measured figures, and sizes that are extrapolated from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import linear_regression


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through measured points: value = base + each · exports.

    Attributes:
        base: the value without any export.
        each: what every export adds.
        worst: the greatest distance of a point from the line, as a share of the greatest value.
        bend: how far a point lies below the straight line from the first to the last one, as a share of the greatest
            value. Points lie below it if growth is faster than linear, and above it if growth is slower.
    """

    base: float
    each: float
    worst: float
    bend: float

    def at(self, exports: float) -> float:
        """Return the value for this many exports."""
        return self.base + self.each * exports


def line(points: Mapping[float, float]) -> Line:
    """Return the line of least squares through values by number of exports.

    Raises:
        ValueError: there are fewer than two points.
    """
    if len(points) < 2:
        raise ValueError("a line needs two points")
    each, base = linear_regression(list(points), list(points.values()))
    distances = [abs(value - base - each * exports) for exports, value in points.items()]
    (first, low), (last, high) = min(points.items()), max(points.items())
    below = [low + (high - low) * (n - first) / (last - first) - value for n, value in points.items()]
    greatest = max(points.values()) or 1
    return Line(base=base, each=each, worst=max(distances) / greatest, bend=max(below) / greatest)
