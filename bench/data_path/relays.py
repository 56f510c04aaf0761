"""Three processes that only copy, where dcmesh has its proxies: what any three on the way cost on this machine."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.data_path.direct import load_balancer_address
from components.mesh.gateway import GATEWAY_LABELS
from dcmesh.model.gateway import GATEWAY_NAMESPACE, GATEWAY_PORT
from tests.e2e.toolbox import Kubectl, eventually, run

SOURCE = Path(__file__).with_name("relay.go")
SERVICE = "relay"
PORT = 15444
"""That a relay listens on in its pod."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A place of a relay.

    Attributes:
        process: a process of the pod whose network it is in.
        address: to where it passes connections on.
        port: the port there.
    """

    process: int
    address: str
    port: int


def load_balancer(kubectl: Kubectl) -> str:
    """Make a LoadBalancer before the relay in the gateway's pod; return its address."""
    ports = [{"name": "tcp", "port": GATEWAY_PORT, "targetPort": PORT}]
    spec = {"type": "LoadBalancer", "selector": GATEWAY_LABELS, "ports": ports}
    metadata = {"name": SERVICE, "namespace": GATEWAY_NAMESPACE}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    return load_balancer_address(kubectl, SERVICE, GATEWAY_NAMESPACE)


@contextmanager
def standing_relays(directory: Path, hops: Sequence[Hop]) -> Iterator[Sequence[int]]:
    """Have a relay at each hop for a while; what is given are their processes."""
    program = directory / "relay"
    run("go", "build", "-o", str(program), str(SOURCE), env=os.environ | {"CGO_ENABLED": "0"})
    with ExitStack() as running:
        relays = []
        for hop in hops:
            enter = ("nsenter", f"--target={hop.process}", "--net", "--")
            relay = subprocess.Popen([*enter, program, str(PORT), hop.address, str(hop.port)])
            running.callback(relay.wait)
            running.callback(relay.kill)
            relays.append(relay)
        eventually("the relays listen", lambda: all(_listens(hop.process) for hop in hops))
        yield [relay.pid for relay in relays]


def _listens(process: int) -> bool:
    """Tell whether a relay listens in a process's network."""
    listening = run("nsenter", f"--target={process}", "--net", "--", "ss", "-Hltn", f"sport = :{PORT}")
    return bool(listening.stdout)
