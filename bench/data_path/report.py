"""The part's section of docs/performance.md."""

from collections.abc import Mapping, Sequence

from bench.samples import Sample


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    raise NotImplementedError


def plots(samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return the section's plots, by file name."""
    raise NotImplementedError
