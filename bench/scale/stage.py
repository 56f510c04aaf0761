"""A pair with a given number of exports: its configuration, and objects that stand in for pods that need not run."""

from typing import Any

from tests.e2e.toolbox import lab_config

HOSTS = 3
"""The number of hosts of an export. A database has three pods."""

SOURCE, EVERYTHING, REPLICA = "demo", "everything", "replica"
"""Namespaces: of the exported pods, of a consumer that imports all exports, and of one that imports only the first."""

PORT = 8080
CONSUMERS = (EVERYTHING, REPLICA)


def name_of(export: int) -> str:
    """Return the name of an export, counted from 0."""
    return f"db{export:04}"


def exported(number: int) -> dict[str, Any]:
    """Return the configuration of an export."""
    return {
        "name": name_of(number),
        "namespace": SOURCE,
        "replicas": HOSTS,
        "port": PORT,
        "protocol": "TCP",
        "serviceAccount": "hello",
        "selector": {"app": name_of(number)},
        "probe": "http",
        "consumers": [_consumer(namespace) for namespace in _namespaces(number)],
    }


def imported(number: int) -> list[dict[str, Any]]:
    """Return the imports of an export. The first export has a second consumer, the replica, which imports no other."""
    return [
        {"from": "dc1", "export": name_of(number), "namespace": namespace, "serviceAccount": "client"}
        for namespace in _namespaces(number)
    ]


def _namespaces(number: int) -> tuple[str, ...]:
    return CONSUMERS if number == 0 else (EVERYTHING,)


def _consumer(namespace: str) -> dict[str, str]:
    return {"site": "dc2", "namespace": namespace, "serviceAccount": "client"}


def sites(exports: int, kubeconfigs: dict[str, str]) -> list[dict[str, Any]]:
    """Return both sites with this many exports, on existing clusters."""
    return [
        {
            "name": "dc1",
            "cluster": {"kubeconfig": kubeconfigs["dc1"]},
            "gateway": {"replicas": 1},
            "workloads": [{"kind": "hello", "namespace": SOURCE}],
            "exports": [exported(number) for number in range(exports)],
        },
        {
            "name": "dc2",
            "cluster": {"kubeconfig": kubeconfigs["dc2"]},
            "workloads": [{"kind": "hello-client", "namespace": namespace} for namespace in CONSUMERS],
            "imports": [one for number in range(exports) for one in imported(number)],
        },
    ]


def configuration(sites: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the stack's configuration, with the settings that the lab's Istio needs."""
    return {
        "dcmesh:sites": sites,
        "dcmesh:istio": lab_config()["dcmesh:istio"],
        "dcmesh:protect": False,
    }


def backing_service() -> dict[str, Any]:
    """Return a Service for the pods that run. Its address stands for every pod that does not run."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "backing", "namespace": SOURCE},
        "spec": {"selector": {"app": "hello"}, "ports": [{"name": "tcp", "port": PORT}]},
    }


def backing_entries(numbers: range, address: str) -> list[dict[str, Any]]:
    """Return a WorkloadEntry for each pod of some exports. Istio treats it as it would treat the pod."""
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "WorkloadEntry",
            "metadata": {"name": pod, "namespace": SOURCE},
            "spec": {
                "address": address,
                "labels": {
                    "app": name_of(number),
                    "statefulset.kubernetes.io/pod-name": pod,
                    "security.istio.io/tlsMode": "istio",
                },
                "serviceAccount": "hello",
            },
        }
        for number in numbers
        for pod in (f"{name_of(number)}-{ordinal}" for ordinal in range(HOSTS))
    ]


def unrelated_services(count: int) -> list[dict[str, Any]]:
    """Return Services that have nothing to do with dcmesh, and no pods."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"unrelated-{number:03}", "namespace": "unrelated"},
            "spec": {"selector": {"app": f"unrelated-{number:03}"}, "ports": [{"name": "tcp", "port": 80}]},
        }
        for number in range(count)
    ]


def change_for_all(number: int) -> dict[str, Any]:
    """Return an object that istiod must send to every proxy of a site."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": f"change-{number}", "namespace": "istio-system"},
        "spec": {
            "hosts": [f"change-{number}.example"],
            "location": "MESH_EXTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}],
            "endpoints": [{"address": "198.51.100.1"}],
            "addresses": [f"198.51.100.{100 + number}"],
        },
    }
