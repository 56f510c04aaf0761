"""Passphrases: an empty one is refused where more than throw-away clusters is at stake."""

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcmesh.config import ConfigError
from dcmesh.config.checks.passphrase import is_empty_passphrase
from dcmesh.config.environment import of_running_stack
from tests.unit import configurations
from tests.unit.configurations import ROOT, changed

EMPTY = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["encryptionsalt"]
OTHER = "v1:qvUWnrpZLHU=:v1:tSLU37FYz20cosne:xLi0pMkbsqqJQs8A65g8OjCTrQQt0Q=="
"""The salt that Pulumi wrote for the passphrase `new`."""

ADVICE = (
    "and the passphrase of stack test is empty, so everybody can read its secrets: "
    "`pulumi stack change-secrets-provider passphrase` asks for another"
)


@pytest.fixture(autouse=True, scope="module")
def tried_once() -> Iterator[None]:
    """Trying a passphrase is slow on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hashlib.pbkdf2_hmac", functools.cache(hashlib.pbkdf2_hmac))
        yield


@pytest.fixture(autouse=True)
def no_passphrase_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)


def errors(raw: dict[str, Any], salt: str) -> list[str]:
    try:
        configurations.config.parse(
            raw, stack="test", read=configurations.read_stack, read_text=configurations.read_file, salt=salt
        )
    except ConfigError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            changed("dc1", {}),
            f'sites[0].cluster.kubeconfig: "~/.kube/dc1" leads to an existing cluster, {ADVICE}',
        ),
        (
            changed("trust", {}),
            f"trust.issueFor: […] makes this stack hold the key that signs for other sites, {ADVICE}",
        ),
        (changed("pair", {}), ""),
    ],
    ids=["existing cluster", "trust", "throw-away"],
)
def test_an_empty_passphrase(raw: dict[str, Any], said: str) -> None:
    assert errors(raw, EMPTY) == ([said] if said else [])
    assert errors(raw, OTHER) == []
    assert errors(raw, "") == [], "another secrets provider"


@pytest.mark.parametrize("salt", ["v1:nonsense", "v1:eA==:v1:eA==:eA==", "x"])
def test_what_is_no_salt_is_pulumis_to_refuse(salt: str) -> None:
    assert not is_empty_passphrase(salt)


def test_the_environments_passphrase_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi has checked it already. That it is empty proves nothing if the stack has another secrets provider."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "not empty")
    assert not is_empty_passphrase(EMPTY)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    assert is_empty_passphrase(EMPTY)


def test_the_salt_is_read_where_pulumi_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pulumi.get_stack", lambda: "dc1")
    monkeypatch.setattr("pulumi.get_project", lambda: "dcmesh")
    assert of_running_stack().salt == ""
    (tmp_path / "Pulumi.dc1.yaml").write_text("")
    assert of_running_stack().salt == ""
    (tmp_path / "Pulumi.dc1.yaml").write_text(f"encryptionsalt: {OTHER}\n")
    assert of_running_stack().salt == OTHER
