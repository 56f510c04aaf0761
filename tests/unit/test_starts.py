"""The stack files of docs/start/: each is right, and on each page one site imports what the other exports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcmesh import config
from dcmesh.model.link import Link, LinkGateway
from dcmesh.model.plan import plan_of
from dcmesh.stacks import NoStackError
from tests.unit.configurations import PREFIX, ROOT, read_file
from tests.unit.dcmesh.config.test_generate import VALIDATOR

STARTS = sorted((ROOT / "examples/start").iterdir())
FILES = sorted((ROOT / "examples/start").glob("*/*.yaml"))

Outputs = dict[str, Mapping[str, Any]]


def told(file: Path, outputs: Outputs) -> Mapping[str, Any]:
    """Return a stack's outputs for others, given the outputs of the stacks before it."""
    name = file.stem.removeprefix("Pulumi.")

    def read(stack: str) -> Mapping[str, Any]:
        if stack not in outputs:
            raise NoStackError(stack)
        return outputs[stack]

    raw = {key.removeprefix(PREFIX): value for key, value in yaml.safe_load(file.read_text())["config"].items()}
    settings, links = config.parse(raw, stack=name, read=read, read_text=read_file)
    plan = plan_of(settings, links)
    gateway = LinkGateway(addresses=("192.0.2.1",))
    exporting = [site for site in plan.sites if site.exports]
    return {
        "link": {site.name: Link.of(site.name, gateway, site.exports).as_output() for site in exporting},
        "pending": [source for site in plan.sites for source in site.pending],
    }


@pytest.mark.parametrize("start", STARTS, ids=lambda path: path.name)
def test_the_stacks_of_a_start_fit(start: Path) -> None:
    """They run in the order of the page. All exist, and a stack that imports from a later one runs once more."""
    files = {file.stem.removeprefix("Pulumi."): file for file in start.iterdir()}
    outputs: Outputs = {f"organization/dcmesh/{name}": {} for name in files}
    for name in ("trust", "dc1", "dc2", "dc1"):
        if name in files:
            outputs[f"organization/dcmesh/{name}"] = told(files[name], outputs)
    assert [of["pending"] for of in outputs.values()] == [[]] * len(outputs)


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_of_a_start_is_in_the_schema_and_on_its_page(file: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(file.read_text()))
    first = file.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / schema).resolve() == ROOT / "schema/stack.json"
    page = (ROOT / f"docs/start/{file.parent.name}.md").read_text()
    assert f"(../../{file.relative_to(ROOT)})" in page


def test_a_consumer_that_is_not_listed_is_found(tmp_path: Path) -> None:
    """This shows that the test of the stacks can fail."""
    outputs: Outputs = {}
    for name in ("dc1", "dc2"):
        file = tmp_path / f"Pulumi.{name}.yaml"
        text = (ROOT / f"examples/start/gke-aks/Pulumi.{name}.yaml").read_text()
        file.write_text(text.replace("serviceAccount: egress", f"serviceAccount: {name}"))
        if name == "dc2":
            with pytest.raises(config.ConfigError, match="consumer"):
                told(file, outputs)
        else:
            outputs[f"organization/dcmesh/{name}"] = told(file, outputs)
