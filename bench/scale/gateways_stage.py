"""A pair with so many exports and gateways at both ends: its sites."""

from typing import Any

from bench.scale.stage import HOSTS, PORT, SOURCE, name_of
from dcmesh.model.egress import PORTS

EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}


def exported(number: int) -> dict[str, Any]:
    """Return an export as the configuration has it."""
    return {
        "name": name_of(number),
        "termination": "gateway",
        "namespace": SOURCE,
        "replicas": HOSTS,
        "port": PORT,
        "probe": "http",
        "consumers": [{"site": "dc2", **EGRESS}],
    }


def imported(number: int) -> dict[str, Any]:
    """Return the import of an export. So many hosts at one egress gateway want ports that are chosen."""
    name = name_of(number)
    return {
        "from": "dc1",
        "export": name,
        **EGRESS,
        "egress": "gateway",
        "hostNamespace": SOURCE,
        "clients": [{"namespace": "readers"}],
        "ports": [
            {"host": f"{name}-{pod}.{name}.{SOURCE}.svc.cluster.local", "port": PORTS[HOSTS * number + pod]}
            for pod in range(HOSTS)
        ],
    }


def sites(exports: int, kubeconfigs: dict[str, str]) -> list[dict[str, Any]]:
    """Return both sites with so many exports, on clusters that exist. Three pods run, and stand for all."""
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
            "imports": [imported(number) for number in range(exports)],
        },
    ]
