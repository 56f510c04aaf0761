"""What `pytest -n 2` may run side by side: never two tests of one lab."""

import pytest

from tests.conftest import lab_of


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
