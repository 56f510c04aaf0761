"""Gives each Service of type LoadBalancer one of the site's addresses. kube-proxy forwards what comes to the address.

Run in a site as `python -m lab.load_balancer --kubeconfig FILE ADDRESS…`. Its only state is the status of the Services,
so it can be restarted at any time.
"""

import argparse
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubernetes import client, config, watch

_log = logging.getLogger("load-balancer")


@dataclass(frozen=True, order=True)
class Service:
    """What this module needs to know of a Service. Services sort by age.

    Attributes:
        created: when it was made, as a sortable text.
        namespace: its namespace.
        name: its name.
        balanced: whether it is of type LoadBalancer.
        wanted: the address that it asks for, empty if any will do.
        addresses: the addresses in its status.
    """

    created: str
    namespace: str
    name: str
    balanced: bool
    wanted: str = ""
    addresses: tuple[str, ...] = ()


def assign(pool: Sequence[str], services: Iterable[Service]) -> dict[Service, tuple[str, ...]]:
    """Return the addresses that each Service should have in its status: one, or none.

    A Service keeps its address, unless it asks for another one of the pool. Those without an address are served from
    the oldest on: each gets the address that it asks for if that is free, or else the first free one.
    """
    by_age = sorted(services)
    balanced = [service for service in by_age if service.balanced]
    result: dict[Service, tuple[str, ...]] = dict.fromkeys(by_age, ())
    free = list(pool)

    def give(service: Service, address: str) -> None:
        if not result[service] and address in free:
            free.remove(address)
            result[service] = (address,)

    for service in balanced:
        held = service.addresses[0] if len(service.addresses) == 1 else ""
        if service.wanted not in pool or service.wanted == held:
            give(service, held)
    for service in balanced:
        give(service, service.wanted)
    for service in balanced:
        if free:
            give(service, free[0])
    return result


def read(service: client.V1Service) -> Service:
    """Return what this module needs to know of a Service of the API."""
    ingress = service.status.load_balancer.ingress or []
    return Service(
        created=service.metadata.creation_timestamp.isoformat(),
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        balanced=service.spec.type == "LoadBalancer",
        wanted=service.spec.load_balancer_ip or "",
        addresses=tuple(entry.ip for entry in ingress),
    )


def reconcile(api: client.CoreV1Api, pool: Sequence[str]) -> str:
    """Bring every Service's status to what it should be.

    Returns:
        the version of the list of Services, from which to watch.
    """
    services = api.list_service_for_all_namespaces()
    ours = (read(service) for service in services.items if not service.spec.load_balancer_class)
    for service, addresses in assign(pool, ours).items():
        if addresses == service.addresses:
            continue
        status = {"status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses] or None}}}
        api.patch_namespaced_service_status(service.name, service.namespace, status)
        _log.info("%s/%s: %s", service.namespace, service.name, addresses[0] if addresses else "released")
    return str(services.metadata.resource_version)


def main() -> None:
    """Follow the Services for ever. When the API goes away this process ends, and supervisord starts it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("pool", nargs="+", metavar="ADDRESS")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    api = client.CoreV1Api(config.new_client_from_config(arguments.kubeconfig))
    version = reconcile(api, arguments.pool)
    for _ in watch.Watch().stream(api.list_service_for_all_namespaces, resource_version=version):
        reconcile(api, arguments.pool)


if __name__ == "__main__":
    main()
