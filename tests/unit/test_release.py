"""What is said of the last release, in pyproject.toml and in CHANGELOG.md."""

import re
import tomllib

from tests.unit.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RELEASE = PYPROJECT["tool"]["dcmesh"]["release"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_the_version_is_the_last_releases() -> None:
    assert PYPROJECT["project"]["version"] == RELEASE["version"]
    assert re.fullmatch("[0-9a-f]{40}", RELEASE["commit"])


def test_the_changelog_has_the_last_release_below_what_is_not_released() -> None:
    first, second, *_ = re.findall("^## (.+)$", CHANGELOG, re.MULTILINE)
    assert first == "Unreleased"
    assert re.fullmatch(re.escape(RELEASE["version"]) + r" - \d{4}-\d\d-\d\d", second)
