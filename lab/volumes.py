"""Gives each PersistentVolumeClaim of the class local-path a directory of the site, as k3s does.

Run in a site as `python -m lab.volumes --kubeconfig FILE DIRECTORY`. Its only state is the API's, so it can be
restarted at any time. A directory is made after its PersistentVolume, and removed before it.
"""

import argparse
import logging
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.utils.quantity import parse_quantity

STORAGE_CLASS = "local-path"
PROVISIONER = "rancher.io/local-path"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
"""With this annotation, the controller-manager does not reclaim a volume itself."""

_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_ACCESS_MODES = {"ReadWriteOnce", "ReadWriteOncePod"}

_log = logging.getLogger("volumes")


@dataclass(frozen=True)
class Claim:
    """What this module needs to know of a PersistentVolumeClaim.

    Attributes:
        uid: its UID.
        namespace: its namespace.
        name: its name.
        storage_class: its StorageClass.
        node: the node that the scheduler chose for the claim's first pod, empty before that.
        size: the capacity that it asks for.
        access_modes: the ways in which it is to be used.
        volume_mode: Filesystem or Block.
        bound: whether it has a volume.
    """

    uid: str
    namespace: str
    name: str
    storage_class: str
    node: str
    size: str
    access_modes: tuple[str, ...] = ("ReadWriteOnce",)
    volume_mode: str = "Filesystem"
    bound: bool = False

    @property
    def volume(self) -> str:
        """The name of its PersistentVolume."""
        return f"pvc-{self.uid}"


def awaiting(claims: Iterable[Claim], volumes: Iterable[str]) -> list[Claim]:
    """Return the claims for which a volume is to be made.

    Args:
        claims: every claim.
        volumes: the names of the volumes that were made.
    """
    made = set(volumes)
    return [
        claim
        for claim in claims
        if claim.storage_class == STORAGE_CLASS
        and claim.node
        and not claim.bound
        and claim.volume not in made
        and _ACCESS_MODES.issuperset(claim.access_modes)
        and claim.volume_mode == "Filesystem"
    ]


def growing(claims: Iterable[Claim], sizes: Mapping[str, str]) -> list[Claim]:
    """Return the claims that ask for more than their volume has.

    Args:
        claims: every claim.
        sizes: the capacity of each volume that was made, by its name.
    """
    return [
        claim
        for claim in claims
        if claim.volume in sizes and parse_quantity(claim.size) > parse_quantity(sizes[claim.volume])
    ]


def persistent_volume(claim: Claim, directory: Path) -> dict[str, Any]:
    """Return the PersistentVolume that gives a claim a directory of its node."""
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [claim.node]}
    return {
        "metadata": {"name": claim.volume, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Delete",
            "capacity": {"storage": claim.size},
            "accessModes": list(claim.access_modes),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace,
                "name": claim.name,
                "uid": claim.uid,
            },
            "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }


def read(claim: client.V1PersistentVolumeClaim) -> Claim:
    """Return what this module needs to know of a claim of the API."""
    return Claim(
        uid=claim.metadata.uid,
        namespace=claim.metadata.namespace,
        name=claim.metadata.name,
        storage_class=claim.spec.storage_class_name or "",
        node=(claim.metadata.annotations or {}).get(_SELECTED_NODE, ""),
        size=claim.spec.resources.requests["storage"],
        access_modes=tuple(claim.spec.access_modes),
        volume_mode=claim.spec.volume_mode,
        bound=bool(claim.spec.volume_name),
    )


def reconcile(api: client.CoreV1Api, root: Path) -> None:
    """Make the volumes that claims await, let those grow that claims want larger, and remove released ones.

    Args:
        api: the site's API.
        root: the directory that holds the volumes' directories, each with its volume's name.
    """
    volumes = [volume for volume in api.list_persistent_volume().items if _is_ours(volume)]
    for volume in volumes:
        name, directory = volume.metadata.name, root / volume.metadata.name
        if volume.status.phase != "Released":
            directory.mkdir(mode=0o777, exist_ok=True)
        elif volume.spec.persistent_volume_reclaim_policy == "Delete":
            if directory.exists():
                shutil.rmtree(directory)
            if not volume.metadata.deletion_timestamp:
                api.delete_persistent_volume(name)
                _log.info("%s: removed", name)
    claims = [read(claim) for claim in api.list_persistent_volume_claim_for_all_namespaces().items]
    for claim in awaiting(claims, (volume.metadata.name for volume in volumes)):
        api.create_persistent_volume(persistent_volume(claim, root / claim.volume))
        _log.info("%s: made for %s/%s", claim.volume, claim.namespace, claim.name)
    for claim in growing(claims, {volume.metadata.name: volume.spec.capacity["storage"] for volume in volumes}):
        # kubelet has no file system to grow here. It reports the new size in the claim's status.
        api.patch_persistent_volume(claim.volume, {"spec": {"capacity": {"storage": claim.size}}})
        _log.info("%s: grown to %s", claim.volume, claim.size)


def main() -> None:
    """Follow claims and volumes for ever. When the API goes away this process ends, and supervisord starts it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("root", type=Path, metavar="DIRECTORY")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.umask(0)  # Any user may write to a volume: kubelet sets its owner only for pods with an fsGroup.
    api = client.CoreV1Api(config.new_client_from_config(arguments.kubeconfig))
    changes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    for resource in (api.list_persistent_volume, api.list_persistent_volume_claim_for_all_namespaces):
        threading.Thread(target=_follow, args=(resource, changes), daemon=True).start()
    while not (error := changes.get()):
        reconcile(api, arguments.root)
    raise error


def _follow(resource: Callable[..., Any], changes: queue.SimpleQueue[Exception | None]) -> None:
    """Put None into the queue for each object that exists or changes, and the error that ends the watch."""
    try:
        # "0" takes the API server's cached state. With this etcd it cannot tell whether that is newest, and would time
        # out.
        for _ in watch.Watch().stream(resource, resource_version="0"):
            changes.put(None)
    except Exception as error:
        changes.put(error)


def _is_ours(volume: client.V1PersistentVolume) -> bool:
    return (volume.metadata.annotations or {}).get(PROVISIONED_BY) == PROVISIONER


if __name__ == "__main__":
    main()
