"""The releases in pyproject.toml and in CHANGELOG.md."""

import re
import tomllib

from tests.unit.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RELEASE = PYPROJECT["tool"]["dcmesh"]["release"]
HEADINGS = re.findall("^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_version_is_the_last_releases() -> None:
    assert HEADINGS[0] == "Unreleased"
    assert re.fullmatch(re.escape(PYPROJECT["project"]["version"]) + r" - \d{4}-\d\d-\d\d", HEADINGS[1])


def test_updates_are_tested_from_a_release() -> None:
    assert RELEASE["version"] in {heading.partition(" - ")[0] for heading in HEADINGS[1:]}
    assert re.fullmatch("[0-9a-f]{40}", RELEASE["commit"])
