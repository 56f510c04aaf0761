"""The part's measurements."""

from bench.samples import Recorder


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    raise NotImplementedError
