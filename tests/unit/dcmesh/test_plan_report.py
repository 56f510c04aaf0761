"""`python -m dcmesh plan`: it reads a configuration, and the outputs of other stacks from Pulumi's CLI."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from dcmesh.plan_report import read_plan, text
from tests.unit.configurations import LINK, changed
from tests.unit.conftest import ROOT
from tests.unit.dcmesh.status.test_command import run

Executable = Callable[[str, str], Path]
Stack = Callable[..., Path]

OF_PASSWORD = "sites[0].workloads[0].replicationPassword"
SECRET = "correct-horse-9"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change into a project's directory, from which a kubeconfig can be read."""
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    contexts = [{"name": "dc1-admin"}, {"name": "dc2-admin"}]
    (tmp_path / ".kube").mkdir()
    for site in ("dc1", "dc2"):
        found = {"contexts": contexts, "current-context": "dc1-admin"}
        (tmp_path / ".kube" / site).write_text(yaml.safe_dump(found))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pulumi.runtime.config.CONFIG", type(pulumi.runtime.config.CONFIG)("config", default={}))
    monkeypatch.setattr(
        "pulumi.runtime.config._SECRET_KEYS", type(pulumi.runtime.config.CONFIG)("secret", default=set())
    )


@pytest.fixture
def stack(executable: Executable) -> Stack:
    """Fake a stack with a configuration, and other stacks with these outputs."""

    def of(raw: Mapping[str, Any], others: Mapping[str, Any] | None = None, secret: str = "") -> Path:
        held = {
            f"dcmesh:{key}": {
                "value": value if isinstance(value, str) else json.dumps(value),
                "secret": key == secret,
            }
            for key, value in raw.items()
        }
        outputs = "".join(f"  *'--stack {name} '*) echo '{json.dumps(of)}';;\n" for name, of in (others or {}).items())
        return executable(
            "pulumi",
            'echo "$*" >>"$0.asked"\n'
            'case "$* " in\n'
            "  'stack --show-name '*) echo test;;\n"
            f"  'config --json --show-secrets '*) cat <<'E'\n{json.dumps(held)}\nE\n;;\n"
            f"{outputs}"
            "  *) echo \"error: no stack named 'x' found\" >&2; exit 255;;\n"
            "esac\n",
        )

    return of


def shown(stack_name: str | None = None) -> str:
    return text(read_plan(stack_name))


def test_databases_gateways_and_hosts(stack: Stack) -> None:
    stack(changed("mariadb-switchover", {}))
    databases, gateways, hosts = (block.splitlines() for block in shown().split("\n\n"))
    assert databases[0] == "Databases"
    assert [line.split()[:4] for line in databases[2:]] == [
        ["dc1", "wookie/db", "primary", "yes"],
        ["dc2", "wookie-dr/db", "replica", "yes"],
    ]
    assert "dc1 db-0.db.wookie.svc.cluster.local" in databases[3]
    assert databases[3].rstrip().endswith("generated for dc1 wookie  dc1 wookie")
    assert [line.split()[:2] for line in gateways[2:]] == [
        ["dc1", "host.k3d.internal:15443"],
        ["dc2", "host.k3d.internal:15444"],
    ]
    assert hosts[3].split() == [
        *("dc2", "wookie-dr/db", "dc1", "db-0.db.wookie.svc.cluster.local"),
        *("3306", "host.k3d.internal:15443", "241.134.215.68"),
    ]


def test_an_address_that_a_service_is_still_to_get_is_not_in_it(stack: Stack) -> None:
    stack(changed("pair", {"sites[0].cluster": {"create": "a", "kubeconfig": "b", "delete": "c", "throwAway": True}}))
    assert "its Service's address, port 15443" in shown()


@pytest.mark.parametrize("outputs", [{}, {"link": LINK}], ids=["exports nothing yet", "exports"])
def test_a_peer_is_read_by_its_stack(stack: Stack, outputs: dict[str, Any]) -> None:
    """Its secrets are not read, since nothing here needs them."""
    pulumi_cli = stack(changed("pxc-dc2", {}), {"dc1": outputs})
    lines = shown().splitlines()
    assert lines[2].split()[2] == ("replica" if outputs else "pending")
    assert any("does not export" in line for line in lines) is not bool(outputs)
    asked = Path(f"{pulumi_cli}.asked").read_text().splitlines()
    assert "stack output --json --stack dc1 --non-interactive" in asked


def test_whoever_has_no_kubeconfig_can_see_it(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reviewer of a pull request has none, nor has somebody who only wants to see what dcmesh would do."""
    stack(changed("existing-database", {"trust": {"source": "existing"}}))
    with_kubeconfigs = shown()
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    assert "db (TLS ends here)" in shown() == with_kubeconfigs


def test_where_the_tls_of_an_export_ends(stack: Stack) -> None:
    stack(changed("existing-database", {"trust": {"source": "existing"}}))
    assert shown().splitlines()[-1].endswith("db (TLS ends here) db-primary (TLS ends here)")


def test_which_databases_have_sidecars(stack: Stack) -> None:
    stack(changed("mariadb-gateways", {}))
    assert [line.split()[3] for line in shown().split("\n\n")[0].splitlines()[2:]] == ["no", "no"]


def test_what_comes_by_an_egress_gateway_has_a_port_of_it(stack: Stack) -> None:
    stack(changed("mariadb-egress", {}))
    assert shown().splitlines()[-1].rstrip().endswith("egress gateway, port 25061")


def test_all_of_it_as_json(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack(changed("mariadb-switchover", {}))
    assert run("plan", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["problems"], told["lost"]) == ("ok", [], None)
    (database,) = told["sites"][1]["databases"]
    assert database["partner"] == {"site": "dc1", "namespace": "wookie"}
    assert database["source"]["consumers"] == [
        {"site": "dc2", "namespace": "wookie-dr", "serviceAccount": "db", "trustDomains": []}
    ]
    assert database["password"] == {"how": "generated", "site": "dc1", "of": "wookie"}


def test_nothing_secret_is_shown(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """This also holds if the configuration is wrong: no value below a top-level key with a secret is shown."""
    stack(changed("mariadb-switchover", {OF_PASSWORD: SECRET}), secret="sites")
    assert run("plan") == run("plan", "--json") == 0
    stack(changed("mariadb-switchover", {"sites[0].workloads[0].image": f"{SECRET} !"}), secret="sites")
    assert run("plan") == run("plan", "--json") == 3
    out = capsys.readouterr().out
    assert SECRET not in out
    assert "sites[0].workloads[0].image: [secret] must be an image" in out


def test_a_wrong_configuration_has_no_plan_and_all_that_is_wrong_is_said(stack: Stack) -> None:
    stack(changed("pair", {"sites[0].exports[0].port": 0, "sites[1].name": "DC2"}))
    first, *lines = shown().splitlines()
    assert first == "UNKNOWN: the configuration is wrong, nothing was changed:"
    assert [line.partition(":")[0] for line in lines] == ["  sites[0].exports[0].port", "  sites[1].name"]


def test_no_such_stack_and_no_project(executable: Executable, tmp_path: Path) -> None:
    executable("pulumi", "echo \"error: no stack named 'dc9' found\" >&2; exit 255\n")
    assert shown("dc9").startswith("UNKNOWN: pulumi stack: no stack named 'dc9' found: `pulumi stack ls` lists ")
    (tmp_path / "Pulumi.yaml").unlink()
    assert shown() == "UNKNOWN: there is no Pulumi.yaml here: run it in the project's directory\n"


def test_a_stack_that_joins_nothing(stack: Stack) -> None:
    stack({"trust": {"issueFor": ["dc1"]}})
    assert shown() == "The stack joins no sites.\n"
