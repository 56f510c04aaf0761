"""The versions that dcmesh supports: one place lists them, and everything that is written or built elsewhere agrees."""

import re
from datetime import timedelta

import pytest
from packaging.requirements import Requirement

from dcmesh.config import generate, support_page
from dcmesh.model import support
from lab import toolchain
from tests.unit.conftest import ROOT


def test_the_requirements_have_the_ranges() -> None:
    lines = (ROOT / "dependencies.txt").read_text().splitlines()
    required = {r.name: r.specifier for r in (Requirement(line) for line in lines if not line.startswith("#"))}
    for package in support.PULUMI:
        assert required[package.name] == Requirement(f"{package.name}{package.admitted}").specifier


def test_what_ci_runs_is_what_the_lab_and_the_constraints_have() -> None:
    assert [line.tried for line in support.ISTIO] == [istio.version for istio in toolchain.ISTIOS]
    assert [line.tried for line in support.KUBERNETES if line.tried] == [toolchain.KUBERNETES]
    assert support.PXC_OPERATOR_TRIED == toolchain.PXC_OPERATOR
    assert support.PULUMI_CLI.tried == toolchain.PULUMI
    for package in support.PULUMI:
        assert package.tried == toolchain.pinned(package.name)


def test_what_was_tried_is_of_its_line() -> None:
    for line in (*support.ISTIO, *support.KUBERNETES):
        assert line.tried is None or support.minor_of(line.tried) == line.minor
    assert support.minor_of(support.PXC_OPERATOR_TRIED) == support.PXC_OPERATOR


def test_the_oldest_kubernetes_is_in_the_table() -> None:
    assert support.KUBERNETES[-1].minor == support.KUBERNETES_OLDEST


@pytest.mark.parametrize(
    ("text", "minor"),
    [("1.31.0", (1, 31)), ("v1.31.2-rc.1", (1, 31)), ("1.31-alpha", (1, 31)), ("latest", None), ("1", None)],
)
def test_minor_versions(text: str, minor: support.Minor | None) -> None:
    assert support.minor_of(text) == minor


def test_a_default_that_ends_soon_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    last = support.ISTIO[0].ends - support_page.NOTICE
    assert support_page.ending(last) is None
    assert generate.main(["--check"], today=last) == 0
    assert generate.main(["--check"], today=last + timedelta(days=1)) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"dcmesh/model/support\.py: Istio 1\.31, the default, ends on \S+, in 59 days: try the next .+\n", said
    )
