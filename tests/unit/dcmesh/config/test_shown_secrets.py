"""A secret of the configuration stays secret in what Pulumi keeps and shows, wherever in the configuration it is."""

import copy
import functools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from dcmesh.config.stack_config import marked
from dcmesh.model.secret import Secret
from tests.unit.configurations import put, stack
from tests.unit.engine import Engine, readable_strings
from tests.unit.program import Config, existing_cluster, existing_clusters, run_program

HIDDEN = "hush-hush"
LONG = "hush-hush-hush-hush"

FREE = (
    (
        "istio.values.base.a",
        "istio.values.istiod.env.TOKEN",
        "istio.values.gateway.list[0]",
        "pxc.values.b.c",
        "sites[0].workloads[0].settings.init_connect",
        "sites[0].workloads[0].resources.limits.memory",
        "sites[0].workloads[1].settings.init_connect",
        "sites[0].workloads[0].rootPassword",
        "sites[0].workloads[1].replicationPassword",
    ),
    ("sites[0].gateway.annotations.c", "sites[0].workloads[1].spec.backup.storages.s3.key"),
)
"""Sets of places.

No two places of a set reach the same resource, so neither hides the other. Each set needs one run.
"""


def with_databases() -> Config:
    """Return a stack with something in every free map of the configuration."""
    raw = {"sites": [stack("dev")["sites"][0]], "istio": {"values": {"gateway": {"list": [""]}}}, "pxc": {}}
    database = {"namespace": "shop", "settings": {"max_connections": "500"}}
    raw["sites"][0]["cluster"] = existing_cluster("dc1")
    raw["sites"][0]["workloads"][:0] = [
        {"kind": "mariadb", **database},
        {"kind": "pxc", **copy.deepcopy(database), "namespace": "bank"},
    ]
    return raw


@pytest.fixture(scope="module", autouse=True)
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with existing_clusters(tmp_path_factory.mktemp("clusters"), "dc1"):
        yield


class Write(Protocol):
    def __call__(self, raw: Config, *secret: str, there: bool = True) -> None: ...


def writing(directory: Path, patch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes the stack file, with secrets encrypted, and announces them as Pulumi does."""

    def file(raw: Config, *secret: str, there: bool = True) -> None:
        written = copy.deepcopy(raw)
        for path in secret:
            put(written, path, {"secure": "v1:AAAA:BBBB"})
        if there:
            config = {f"dcmesh:{key}": value for key, value in written.items()}
            (directory / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": config}))
        keys = sorted({f"dcmesh:{path.partition('.')[0].partition('[')[0]}" for path in secret})
        patch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(keys))
        patch.setattr("pulumi.get_root_directory", lambda: str(directory))

    return file


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    return writing(tmp_path, monkeypatch)


def shown(engine: Engine) -> list[str]:
    """Return what Pulumi keeps and shows in plain text: inputs, outputs, warnings."""
    inputs = [text for resource in engine.asked.values() for text in readable_strings(resource.raw)]
    return [*inputs, *readable_strings(engine.raw_outputs), *engine.warnings]


Run = Callable[[Sequence[str], bool], Engine]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the program with secrets at these paths, once for all tests. Each secret is made by `secret_at` its place."""

    @functools.cache
    def with_secrets(paths: Sequence[str], there: bool) -> Engine:
        raw = with_databases()
        for path in paths:
            put(raw, path, f"{secret_at(paths, path)}-{secret_at(paths, path)}")
        with pytest.MonkeyPatch.context() as patch:
            writing(tmp_path_factory.mktemp("stack"), patch)(raw, *paths, there=there)
            return run_program(Engine(), raw)

    return with_secrets


def secret_at(paths: Sequence[str], path: str) -> str:
    return f"{HIDDEN}-{paths.index(path):02}"


@pytest.mark.parametrize("there", [True, False], ids=["stack file", "another stack file"])
@pytest.mark.parametrize(("path", "paths"), [(path, paths) for paths in FREE for path in paths])
def test_a_secret_in_a_free_map_stays_one(run: Run, path: str, paths: Sequence[str], there: bool) -> None:
    engine = run(paths, there)
    secret = secret_at(paths, path)
    assert not [text for text in shown(engine) if secret in text]
    found = [inputs for r in engine.asked.values() if secret in (inputs := json.dumps(r.inputs))]
    assert found, "the secret does not reach its resource"
    assert {text for inputs in found for text in re.findall(rf"{HIDDEN}-\d\d", inputs)} == {secret}
    assert "link" not in engine.secret_outputs
    assert "sites" not in engine.secret_outputs


def test_also_where_two_clusters_can_change_roles(engine: Engine, write: Write) -> None:
    raw = stack("pxc-switchover")
    paths = [f"sites[{index}].workloads[0].spec.backup.key" for index in range(2)]
    for index, path in enumerate(paths):
        put(raw, f"sites[{index}].cluster", "k3d")
        put(raw, path, LONG)
    write(raw, *paths)
    run_program(engine, raw)
    assert not [text for text in shown(engine) if HIDDEN in text]
    clusters = engine.kind("PerconaXtraDBCluster")
    assert [cluster.spec["backup"]["key"] for cluster in clusters] == [LONG, LONG]


def test_what_is_beside_a_secret_can_be_read(engine: Engine, write: Write) -> None:
    raw = with_databases()
    put(raw, "sites[0].workloads[1].spec.backup.storages.s3", {"key": LONG, "bucket": "the-bucket"})
    put(raw, "istio.values.istiod", {"a": LONG, "b": "the-tag"})
    write(raw, "sites[0].workloads[1].spec.backup.storages.s3.key", "istio.values.istiod.a")
    texts = shown(run_program(engine, raw))
    assert {"the-bucket", "the-tag"} <= set(texts)
    assert any("max_connections=500" in text for text in texts)
    assert engine.warnings == []


def test_of_a_secret_that_cannot_stay_one_the_user_is_told(engine: Engine, write: Write) -> None:
    raw = with_databases()
    put(raw, "sites[0].workloads[0].image", "example.com/hush-hush:1")
    write(raw, "sites[0].workloads[0].image")
    run_program(engine, raw)
    (warning,) = engine.warnings
    assert warning.startswith("sites[0].workloads[0].image: [secret] cannot be kept a secret")


def test_once_for_all_of_a_whole_key(engine: Engine, write: Write) -> None:
    raw = with_databases()
    write(raw, "sites")
    run_program(engine, raw)
    (warning,) = engine.warnings
    assert warning.startswith("sites[0].name: [secret] cannot be kept a secret")
    assert " more below sites. " in warning


def test_only_what_stands_in_plain_text_in_the_stack_file_is_no_secret() -> None:
    value = {"a": "1", "b": ["2", {"c": "3"}], "n": 4, "t": True}

    def secrets(written: object) -> list[str]:
        found = list[str]()

        def walk(part: object) -> None:
            if isinstance(part, Secret):
                found.append(part)
            for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
                walk(below)

        result = marked(value, written)
        assert result == value
        walk(result)
        return found

    assert secrets(copy.deepcopy(value)) == []
    assert secrets({**value, "a": {"secure": "v1:"}}) == ["1"]
    assert secrets({**value, "b": ["2", {"c": {"secure": "v1:"}}]}) == ["3"]
    assert secrets({**value, "b": ["2"]}) == ["2", "3"], "another file"
    assert secrets(None) == secrets("text") == secrets({"secure": "v1:"}) == ["1", "2", "3"]
