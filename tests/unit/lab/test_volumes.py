"""Local volumes: which claims get one, and what it contains.

A crash at any step loses nothing and leaves nothing behind.
"""

from pathlib import Path
from types import SimpleNamespace as Object
from typing import Any

import pytest
import yaml

from lab import cluster, volumes
from lab.volumes import Claim, awaiting, persistent_volume


def claim(name: str = "data", **changes: Any) -> Claim:
    settings = {"storage_class": "local-path", "node": "dc1", "size": "1Gi"} | changes
    return Claim(uid=f"uid-{name}", namespace="default", name=name, **settings)


def test_a_claim_that_is_placed_gets_a_volume() -> None:
    assert awaiting([claim()], []) == [claim()]


@pytest.mark.parametrize(
    "change",
    [
        {"node": ""},
        {"storage_class": "other"},
        {"bound": True},
        {"access_modes": ("ReadWriteOnce", "ReadWriteMany")},
        {"volume_mode": "Block"},
    ],
)
def test_others_get_none(change: dict[str, Any]) -> None:
    assert awaiting([claim(**change)], []) == []


def test_a_claim_gets_one_volume() -> None:
    assert awaiting([claim("old"), claim("new")], ["pvc-uid-old", "another"]) == [claim("new")]


def test_a_volume_is_for_its_claim_and_node_alone() -> None:
    volume = persistent_volume(claim(), Path("/volumes/x"))
    spec = volume["spec"]
    assert spec["claimRef"]["uid"] == "uid-data"
    assert spec["local"]["path"] == "/volumes/x"
    assert spec["capacity"] == {"storage": "1Gi"}
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["dc1"]}]


def test_the_class_of_the_manifest_is_the_one_that_is_served() -> None:
    made = yaml.safe_load((cluster.MANIFESTS / "storage.yaml").read_text())
    assert made["metadata"]["name"] == volumes.STORAGE_CLASS
    assert made["provisioner"] == volumes.PROVISIONER
    assert made["allowVolumeExpansion"] is True


class Api:
    """The part of an API server that volumes.reconcile uses.

    The call of `crash` fails once, before or after its work.
    """

    def __init__(self) -> None:
        self.claims: list[Any] = []
        self.volumes: dict[str, Any] = {}
        self.crash: tuple[str, bool] | None = None

    def add_claim(self, name: str) -> None:
        metadata = Object(
            uid=f"uid-{name}",
            namespace="default",
            name=name,
            annotations={"volume.kubernetes.io/selected-node": "dc1"},
        )
        spec = Object(
            storage_class_name="local-path",
            resources=Object(requests={"storage": "1Gi"}),
            access_modes=["ReadWriteOnce"],
            volume_mode="Filesystem",
            volume_name=None,
        )
        self.claims.append(Object(metadata=metadata, spec=spec))

    def release(self) -> None:
        self.claims.clear()
        for volume in self.volumes.values():
            volume.status.phase = "Released"

    def list_persistent_volume(self) -> Any:
        return Object(items=list(self.volumes.values()))

    def list_persistent_volume_claim_for_all_namespaces(self) -> Any:
        return Object(items=list(self.claims))

    def create_persistent_volume(self, body: dict[str, Any]) -> None:
        self._crash("create", after=False)
        metadata = Object(**body["metadata"], deletion_timestamp=None)
        spec = Object(
            persistent_volume_reclaim_policy=body["spec"]["persistentVolumeReclaimPolicy"],
            capacity=body["spec"]["capacity"],
        )
        self.volumes[metadata.name] = Object(metadata=metadata, spec=spec, status=Object(phase="Bound"))
        self._crash("create", after=True)

    def patch_persistent_volume(self, name: str, body: dict[str, Any]) -> None:
        self.volumes[name].spec.capacity = body["spec"]["capacity"]

    def delete_persistent_volume(self, name: str) -> None:
        self._crash("delete", after=False)
        del self.volumes[name]
        self._crash("delete", after=True)

    def _crash(self, call: str, *, after: bool) -> None:
        if self.crash == (call, after):
            self.crash = None
            raise ConnectionError


def settle(api: Api, root: Path) -> None:
    """Reconcile as under supervisord: again after a crash, and once for each change."""
    for _ in range(4):
        try:
            volumes.reconcile(api, root)
        except ConnectionError:
            continue


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", ["create", "delete"])
def test_a_crash_at_any_step_is_made_good(call: str, after: bool, tmp_path: Path) -> None:
    api = Api()
    api.crash = (call, after)
    api.add_claim("one")
    api.add_claim("two")
    settle(api, tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == set(api.volumes) == {"pvc-uid-one", "pvc-uid-two"}
    (tmp_path / "pvc-uid-one" / "file").touch()
    settle(api, tmp_path)
    assert (tmp_path / "pvc-uid-one" / "file").exists()
    api.release()
    settle(api, tmp_path)
    assert not list(tmp_path.iterdir())
    assert not api.volumes


def test_a_released_volume_that_is_to_be_retained_stays(tmp_path: Path) -> None:
    api = Api()
    api.add_claim("one")
    settle(api, tmp_path)
    api.volumes["pvc-uid-one"].spec.persistent_volume_reclaim_policy = "Retain"
    api.release()
    settle(api, tmp_path)
    assert (tmp_path / "pvc-uid-one").is_dir()
    assert list(api.volumes) == ["pvc-uid-one"]


def test_a_volume_of_another_provisioner_is_left_alone(tmp_path: Path) -> None:
    api = Api()
    foreign = Object(metadata=Object(name="nfs", annotations=None), status=Object(phase="Released"))
    api.volumes["nfs"] = foreign
    settle(api, tmp_path)
    assert api.volumes == {"nfs": foreign}
    assert not list(tmp_path.iterdir())


def test_a_volume_grows_when_its_claim_does_and_does_not_shrink(tmp_path: Path) -> None:
    api = Api()
    api.add_claim("one")
    api.add_claim("two")
    settle(api, tmp_path)
    for asked, has in (("2Gi", "2Gi"), ("1536Mi", "2Gi")):
        api.claims[0].spec.resources.requests["storage"] = asked
        settle(api, tmp_path)
        sizes = {name: volume.spec.capacity["storage"] for name, volume in api.volumes.items()}
        assert sizes == {"pvc-uid-one": has, "pvc-uid-two": "1Gi"}
