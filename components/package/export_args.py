"""ExportArgs: an export as both of its sites write it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NotRequired, TypedDict

import pulumi
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.link import Consumer, ExportedPort, ExportedService, ServiceAccount, pod_hosts


class ConsumerArgs(TypedDict):
    """A service account of another site that may connect."""

    site: str
    """Its site."""
    namespace: str
    """Its namespace."""
    service_account: str
    """Its name."""
    trust_domain: NotRequired[str]
    """Trust domain of its site. Default: `cluster.local`."""


class ExportArgs(TypedDict):
    """The pods of one StatefulSet that other sites may reach, one by one. Exporter and importer write the same."""

    name: str
    """Name of the export."""
    namespace: str
    """Namespace of the StatefulSet."""
    stateful_set: str
    """Its name."""
    service: str
    """Its headless Service."""
    replicas: int
    """How many pods it has."""
    port: int
    """TCP port that the pods listen on."""
    service_account: str
    """The pods' service account."""
    trust_domain: NotRequired[str]
    """Trust domain of the exporting site. Default: `cluster.local`."""
    protocol: NotRequired[str]
    """How sidecars treat the port: `TCP` or `HTTP`. Default: `TCP`."""
    consumers: list[ConsumerArgs]
    """Who may connect. Nobody else may."""


def exported(args: ExportArgs) -> ExportedService:
    """Return the export. What is a whole number in the schema comes as a float: Pulumi knows no other numbers.

    Raises:
        RunError: a value is none that it can be, or not known yet.
    """
    for place in _outputs(args, "export"):
        raise pulumi.RunError(f"{place}: must be written out, not be the output of a resource or a secret")
    if not args["consumers"]:
        raise pulumi.RunError("export.consumers: must name one at least")
    with checked("export"):
        account = ServiceAccount(
            args["namespace"], args["service_account"], (args.get("trust_domain") or TRUST_DOMAIN,)
        )
        return ExportedService.model_validate(
            {
                "name": args["name"],
                "namespace": args["namespace"],
                "hosts": pod_hosts(
                    stateful_set=args["stateful_set"],
                    service=args["service"],
                    namespace=args["namespace"],
                    replicas=int(args["replicas"]),
                ),
                "protocol": args.get("protocol") or "TCP",
                "consumers": [_consumer(of) for of in args["consumers"]],
                "ports": [ExportedPort(port=int(args["port"]), probe="tcp")],
                "identities": [account.spiffe_id],
            }
        )


def _consumer(args: ConsumerArgs) -> Consumer:
    domain = args.get("trust_domain")
    return Consumer(
        site=args["site"],
        namespace=args["namespace"],
        service_account=args["service_account"],
        trust_domains=(domain,) if domain else (),
    )


def _outputs(value: object, place: str) -> Iterator[str]:
    """Yield where in a value an output stands."""
    match value:
        case pulumi.Output():
            yield place
        case dict():
            for key, of in value.items():
                yield from _outputs(of, f"{place}.{to_camel(key)}")
        case list():
            for index, of in enumerate(value):
                yield from _outputs(of, f"{place}.{index}")


@contextmanager
def checked(*place: str) -> Iterator[None]:
    """Say of a value that the model refuses where it stands.

    Raises:
        RunError: there is one.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([*place, *map(str, first["loc"])])
        raise pulumi.RunError(f"{where}: {first['msg']}") from None
