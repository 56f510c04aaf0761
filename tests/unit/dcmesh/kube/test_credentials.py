"""Programs for credentials: real programs, and a kubeconfig like those of a cloud's tools."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcmesh.kube.api import ERRORS, connect, reach
from tests.unit.servers import KubernetesAPI, kubeconfig


def by_program(tmp_path: Path, script: str, server: str = "https://127.0.0.1:1") -> str:
    """Return a kubeconfig whose credentials come from a program."""
    program = tmp_path / "login"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    known = yaml.safe_load(kubeconfig({"dc1": server}))
    version = "client.authentication.k8s.io/v1"
    known["users"][0]["user"] = {
        "exec": {"apiVersion": version, "command": str(program), "interactiveMode": "Never", "args": ["dc1"]}
    }
    return yaml.safe_dump(known)


def prints(**status: Any) -> str:
    """Return a program that prints these credentials."""
    version = "client.authentication.k8s.io/v1"
    return f"echo '{json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status})}'"


def test_a_token_is_used_and_fetched_again_when_it_has_expired(tmp_path: Path) -> None:
    count = f"echo >> {tmp_path}/asked; "
    with connect(by_program(tmp_path, count + prints(token="t", expirationTimestamp="2020-01-01T00:00:00Z"))) as api:
        assert api.configuration.get_api_key_with_prefix("authorization") == "Bearer t"
    assert len((tmp_path / "asked").read_text()) == 2


def test_a_token_may_have_no_end(tmp_path: Path) -> None:
    with connect(by_program(tmp_path, prints(token="t", expirationTimestamp=None))) as api:
        assert api.configuration.get_api_key_with_prefix("authorization") == "Bearer t"


def test_a_certificate_is_used(tmp_path: Path) -> None:
    given = prints(clientCertificateData="the certificate", clientKeyData="the key")
    with connect(by_program(tmp_path, given)) as api:
        files = api.configuration.cert_file, api.configuration.key_file
    assert [Path(file).read_text() for file in files] == ["the certificate", "the key"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'log in first' >&2; exit 3", "gives no credentials: exec: process returned 3. log in first"),
        ("echo nonsense", "gives no credentials: exec: failed to decode process output"),
        ("echo 7", "gives no credentials$"),
        (
            f"echo 'bad token k8s-aws-v1.{'Zm9v' * 12}' >&2; exit 1",
            "gives no credentials: .* bad token k8s-aws-v1[.]{4}$",
        ),
        (prints(clientCertificateData="alone"), "gives neither a token nor a certificate with its key"),
        (prints(token=None), "gives neither a token nor a certificate with its key"),
        (prints().replace("{}", '"words"'), "gives neither a token nor a certificate with its key"),
        (prints(token="t", expirationTimestamp="soon"), "gives credentials that end at no known time"),
        (prints(token="t", expirationTimestamp="2026-99-99T00:00:00Z"), "gives credentials that end at no known time"),
    ],
)
def test_a_program_that_fails_is_named_and_nobody_asks_without_credentials(
    tmp_path: Path, server: KubernetesAPI, script: str, said: str
) -> None:
    text = by_program(tmp_path, script, f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(ERRORS, match=f"{tmp_path}/login {said}"):
        connect(text)
    with pytest.raises(ConnectionError, match=f"{tmp_path}/login {said}"):
        reach(text)
    assert server.asked == []


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = by_program(tmp_path, "true")
    (tmp_path / "login").unlink()
    with pytest.raises(ERRORS, match=f"{tmp_path}/login gives no credentials: .*No such file"):
        connect(text)
