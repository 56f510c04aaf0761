"""The sites of a pair with a given number of exports and gateways at both ends."""

from collections.abc import Mapping
from typing import Any

from bench.scale.stage import HOSTS, PORT, SOURCE, name_of
from dcmesh.model.egress import PORTS, HostPort, allot_ports
from dcmesh.model.link import pod_hosts

EGRESS = {"namespace": "dcmesh-egress", "serviceAccount": "egress"}


def exported(number: int) -> dict[str, Any]:
    """Return the configuration of an export."""
    return {
        "name": name_of(number),
        "termination": "gateway",
        "namespace": SOURCE,
        "replicas": HOSTS,
        "port": PORT,
        "probe": "http",
        "consumers": [{"site": "dc2", **EGRESS}],
    }


def hosts_of(number: int) -> tuple[str, ...]:
    """Return the hosts of an export."""
    name = name_of(number)
    return pod_hosts(stateful_set=name, service=name, namespace=SOURCE, replicas=HOSTS)


def chosen_ports(exports: int) -> dict[HostPort, int]:
    """Return a port of the egress gateway for each host whose own port another host took before.

    Choosing a port for every host would be too much text: Pulumi passes a program its configuration in one environment
    variable, which Linux limits to 128 KiB.
    """
    hosts = [host for number in range(exports) for host in hosts_of(number)]
    free, taken, chosen = iter(PORTS), set[int](), dict[HostPort, int]()
    for host, port in allot_ports(hosts, [PORT], {}).items():
        if port in taken:
            chosen[host] = port = next(port for port in free if port not in taken)
        taken.add(port)
    return chosen


def imported(number: int, chosen: Mapping[HostPort, int]) -> dict[str, Any]:
    """Return the import of an export, with the ports for its hosts."""
    ports = [{"host": host, "port": chosen[host, PORT]} for host in hosts_of(number) if (host, PORT) in chosen]
    return {
        "from": "dc1",
        "export": name_of(number),
        **EGRESS,
        "egress": "gateway",
        "hostNamespace": SOURCE,
        "clients": [{"namespace": "readers"}],
        **({"ports": ports} if ports else {}),
    }


def sites(exports: int, kubeconfigs: dict[str, str]) -> list[dict[str, Any]]:
    """Return both sites with this many exports, on existing clusters. Three pods run and stand for all pods."""
    chosen = chosen_ports(exports)
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
            "imports": [imported(number, chosen) for number in range(exports)],
        },
    ]
