"""What fails in a run of the benchmarks: the rest is measured, and the run fails at its end."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from bench.failures import Failures


@pytest.mark.parametrize("failing", [lambda: pytest.fail("a command failed"), lambda: 1 / 0])
def test_the_rest_is_measured(failing: object, capsys: pytest.CaptureFixture[str]) -> None:
    failures, measured = Failures(), list[str]()
    with failures.noted("one"):
        assert callable(failing)
        failing()
    with failures.noted("another"):
        measured.append("another")
    assert measured == ["another"]
    with pytest.raises(RuntimeError, match=r"as a whole: one$"):
        failures.tell()
    assert "Traceback" in capsys.readouterr().err


def test_what_a_failed_part_had_is_given_back() -> None:
    given_back = list[str]()

    @contextmanager
    def clusters() -> Iterator[None]:
        try:
            yield
        finally:
            given_back.append("clusters")

    @contextmanager
    def part() -> Iterator[None]:
        with clusters():
            raise ValueError
            yield

    failures = Failures()
    with ExitStack() as beside:
        with failures.noted("part"):
            beside.enter_context(part())
        assert given_back == ["clusters"]


def test_nothing_is_told_if_nothing_has_failed() -> None:
    failures = Failures()
    with failures.noted("one"):
        pass
    failures.tell()
