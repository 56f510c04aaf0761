"""The files generated from the model, and the examples: complete, up to date and right."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dcmesh import config
from dcmesh.config import generate
from dcmesh.config.schema import schema_of
from dcmesh.model.settings import Settings
from tests.unit.configurations import EXAMPLES, LINK, ROOT, changed, errors, parse, read_file, read_stack, stack

SCHEMA: dict[str, Any] = json.loads((ROOT / "schema/stack.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
STACK_FILES = [*EXAMPLES, ROOT / "Pulumi.dev.yaml", ROOT / "Pulumi.lab.yaml"]

DAY = date(2026, 11, 28)
"""A day before the default Istio's end of support."""


def in_schema(raw: dict[str, Any]) -> bool:
    """Tell whether the JSON Schema accepts a configuration."""
    return bool(VALIDATOR.is_valid({"config": {f"dcmesh:{key}": value for key, value in raw.items()}}))


# --- examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_stack_file_is_right(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text()))
    assert errors(stack(path.stem.removeprefix("Pulumi."))) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_leads_editors_to_the_schema_and_says_what_it_is(path: Path) -> None:
    first, second, *_ = path.read_text().splitlines()
    found = re.fullmatch(r"# yaml-language-server: \$schema=(.*)", first)
    assert found is not None
    assert (path.parent / found[1]).resolve() == ROOT / "schema/stack.json"
    assert second.startswith("# ")


def test_every_example_is_in_the_list() -> None:
    listed = re.findall(r"\[([\w./-]+)\]\(\1\)", (ROOT / "examples/README.md").read_text())
    assert sorted({*listed}) == sorted([*(path.name for path in EXAMPLES), "links/dc1.json"])


def test_examples_of_one_link_agree() -> None:
    """dc1.yaml exports what the link in dc2-literal-link.yaml and the one in links/dc1.json say."""
    export = parse(stack("dc1")).sites[0].exports[0]
    (literal,) = stack("dc2-literal-link")["peers"]
    assert literal["link"] == LINK["dc1"]
    assert literal["link"]["exports"][0]["hosts"] == list(export.hosts)
    _, links = config.parse(stack("dc2-literal-link"), read=read_stack, read_text=read_file)
    _, same = config.parse(stack("dc2"), read=read_stack, read_text=read_file)
    assert links == same


def test_both_ways_is_one_pair() -> None:
    """Each site's export is for the other site's import."""
    sites = {name: parse(stack(f"both-ways-{name}")).sites[0] for name in ("dc1", "dc2")}
    for here, there in (("dc1", "dc2"), ("dc2", "dc1")):
        (imported,), (export,) = sites[here].imports, sites[there].exports
        (consumer,) = export.consumers
        assert (imported.from_, imported.export) == (there, export.name)
        assert (consumer.site, consumer.namespace, consumer.service_account) == (
            here,
            imported.namespace,
            imported.service_account,
        )


# --- schema ----------------------------------------------------------------------------------------------------------


def test_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("dc1", {"site": []}),
        ("dc1", {"sites[0].colour": "blue"}),
        ("dc1", {"sites[0].name": "DC1"}),
        ("dc1", {"sites[0].cluster": "k3"}),
        ("dc1", {"sites[0].cluster": {}}),
        ("dc1", {"sites[0].gateway.exposure": "aws"}),
        ("dc1", {"sites[0].gateway.annotations": {"not a key": "x"}}),
        ("dc1", {"sites[0].exports[0].port": 0}),
        ("dc1", {"sites[0].exports[0].selector": {"app": "the database"}}),
        ("dc1", {"sites[0].exports[0].consumers": []}),
        ("dc1", {"istio": {"version": "1.28.0"}}),
        ("dc1", {"trust": {"source": "stack"}}),
        ("dc1", {"trust": {"source": "stck", "stack": "a/b/c"}}),
        ("dc1", {"trust": {"source": "generated", "stack": "a/b/c"}}),
        ("pair", {"sites[0].workloads[0].kind": "mysql"}),
        ("mariadb", {"sites[0].workloads[0].replicas": 10}),
        ("mariadb", {"sites[0].workloads[0].image": "MariaDB"}),
        ("mariadb", {"sites[0].workloads[0].storage.size": "10GB"}),
        ("mariadb", {"sites[0].workloads[0].settings": {"max-connections": "1"}}),
        ("mariadb", {"sites[0].workloads[0].settings": {"max_connections": "1\n2"}}),
        ("mariadb", {"sites[0].workloads[0].rootPassword": "short"}),
        ("mariadb", {"sites[1].workloads[0].replicates": {"from": "dc1"}}),
        ("mariadb-switchover", {"primary": "DC1"}),
        ("mariadb-switchover", {"failover": {"at": "0-1-2"}}),
        ("mariadb-switchover", {"failover": {"without": "dc2", "at": "0-1"}}),
    ],
)
def test_what_the_model_refuses_the_schema_refuses(name: str, changes: dict[str, Any]) -> None:
    assert in_schema(stack(name))
    assert not in_schema(changed(name, changes))


def test_schema_leaves_other_keys_and_pulumis_own_alone() -> None:
    values = {"config": {"aws:region": "eu-central-1"}, "encryptionsalt": "v1:x", "secretsprovider": "awskms://x"}
    assert VALIDATOR.is_valid(values)


def test_secrets_may_be_encrypted() -> None:
    assert in_schema(changed("provided-ca", {"trust.caKey": {"secure": "v1:x"}}))
    assert in_schema(changed("mariadb", {"sites[0].workloads[0].rootPassword": {"secure": "v1:x"}}))
    assert not in_schema(changed("dc1", {"sites[0].name": {"secure": "v1:x"}}))


def test_trust_without_source_is_generated() -> None:
    assert in_schema(changed("pair", {"trust": {"organization": "Example Corp"}}))


# --- both ------------------------------------------------------------------------------------------------------------


def properties() -> list[tuple[str, str, dict[str, Any]]]:
    """Return every key of the model: the part, the key and its schema."""
    root = schema_of(Settings)
    parts = {"Settings": root, **root["$defs"]}
    return [(part, key, value) for part, schema in parts.items() for key, value in schema["properties"].items()]


def test_generated_files_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"], DAY) == 0, capsys.readouterr().err


def test_stale_and_missing_files_are_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema/stack.json").write_text("{}")
    assert generate.main(["--check"], DAY) == 1
    said = capsys.readouterr().err
    assert "schema/stack.json is stale" in said
    assert "docs/configuration.md is stale" in said
    assert (tmp_path / "schema/stack.json").read_text() == "{}"
    assert generate.main([], DAY) == 0
    assert generate.main(["--check"], DAY) == 0
    for name in ("schema/stack.json", "docs/configuration.md"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()


def test_every_key_is_described_in_the_reference() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    for _, key, value in properties():
        assert f"| `{key}` |" in text
        assert " ".join(value.get("description", "").split()) in text
    assert [line for line in text.splitlines() if line.startswith("|") and not line.endswith("|")] == []


def test_links_within_the_reference_lead_somewhere() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    headings = re.findall(r"^##? (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert len(slugs) == len(headings)
    assert {*re.findall(r"\]\(#(.*?)\)", text)} <= slugs


def test_excerpts_in_the_reference_are_whole_yaml() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    excerpts = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert len(excerpts) == text.count("From [")
    assert all(len(excerpt) == 1 and all(excerpt.values()) for excerpt in excerpts)
