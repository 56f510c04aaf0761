"""What pytest may run side by side (never two tests of one lab), and with which labs it begins."""

from pathlib import Path

import pytest

from tests.conftest import LONGEST, lab_of, turn


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tests/e2e/test_life.py::test_a", "tests/e2e/test_life.py::test_b[x]"),
        ("tests/e2e/databases/test_status.py::test_a", "tests/e2e/databases/test_monitoring.py::test_b"),
        (
            "tests/e2e/istios/test_pair.py::test_a[istio-1.31]",
            "tests/e2e/istios/test_security.py::test_b[x-istio-1.31]",
        ),
        ("tests/e2e/test_trust.py::test_a[istio-1.31]", "tests/e2e/test_trust.py::test_b[istio-1.31-x]"),
        ("tests/unit/bench/test_scale.py::test_a", "tests/unit/bench/test_setup.py::test_b"),
        ("tests/faults/test_faults.py::test_a[istiod away]", "tests/faults/test_faults.py::test_a[x]"),
    ],
)
def test_what_shares_a_lab_stays_together(one: str, other: str) -> None:
    assert lab_of(one) == lab_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tests/e2e/test_life.py::test_a", "tests/e2e/test_pxc.py::test_a"),
        ("tests/unit/lab/test_labs.py::test_a", "tests/unit/lab/test_wan.py::test_a"),
        ("tests/e2e/istios/test_pair.py::test_a[istio-1.31]", "tests/e2e/istios/test_pair.py::test_a[istio-1.30]"),
        ("tests/e2e/test_trust.py::test_a[istio-1.31]", "tests/e2e/test_trust.py::test_a[x-istio-1.30]"),
    ],
)
def test_labs_of_their_own_are_apart(one: str, other: str) -> None:
    assert lab_of(one) != lab_of(other)


def test_the_longest_labs_come_first_and_are_there() -> None:
    assert turn("tests/e2e/test_stacks.py::test_a") < turn("tests/e2e/databases/test_status.py::test_a")
    assert turn("tests/e2e/databases/test_status.py::test_a") < turn("tests/e2e/test_life.py::test_a")
    assert turn("tests/unit/lab/test_labs.py::test_a") == turn("tests/e2e/test_life.py::test_a")
    root = Path(__file__).parents[3]
    assert all([*root.glob(f"{lab.rstrip('/')}*")] for lab in LONGEST)
