"""Three processes that only copy, in the places of dcmesh's proxies.

They show what any three processes on the way cost on this machine.
"""

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
"""The port on which a relay listens in its pod."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """The place of a relay.

    Attributes:
        process: a process of the pod whose network the relay uses.
        address: the address to which it passes connections on.
        port: the port at that address.
    """

    process: int
    address: str
    port: int


def load_balancer(kubectl: Kubectl) -> str:
    """Make a LoadBalancer for the relay in the gateway's pod. Return its address."""
    ports = [{"name": "tcp", "port": GATEWAY_PORT, "targetPort": PORT}]
    spec = {"type": "LoadBalancer", "selector": GATEWAY_LABELS, "ports": ports}
    metadata = {"name": SERVICE, "namespace": GATEWAY_NAMESPACE}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    return load_balancer_address(kubectl, SERVICE, GATEWAY_NAMESPACE)


@contextmanager
def standing_relays(directory: Path, hops: Sequence[Hop]) -> Iterator[Sequence[int]]:
    """Run a relay at each hop while the block runs. Yield the relays' processes."""
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
