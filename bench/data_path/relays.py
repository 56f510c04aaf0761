"""Processes that only copy, where dcmesh has its proxies, with TLS from the first to the last of them.

They are what as many processes on the way cost on this machine, whatever they are.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.data_path.direct import NAME, load_balancer_address
from bench.data_path.figures import EGRESS_GATEWAY, GATEWAY, REPLICA_SIDECAR, SOURCE_SIDECAR
from bench.data_path.processes import process_of
from bench.data_path.sysbench import Target
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.link import MYSQL_PORT
from tests.e2e.toolbox import eventually, run, start
from tests.faults.stage import Site

SOURCE = Path(__file__).with_name("relay.go")
POD = "relay"
PORT = 16440
"""The relays of a chain listen on this port plus their number."""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """The place of a relay.

    Attributes:
        process: a process of the pod whose network it is in.
        address: to where it passes connections on.
        port: the port there.
        tls: its arguments for TLS. Default: it copies what it gets.
    """

    process: int
    address: str
    port: int
    tls: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A chain of relays from dc2 to the server.

    Attributes:
        target: the server, as a client finds it by them.
        processes: the relays, by whose place they take.
    """

    target: Target
    processes: dict[str, tuple[int, ...]]


def pods(source: Site, replica: Site) -> tuple[int, int]:
    """Start a pod in each site for a relay that is neither the client's nor the server's; return its process."""
    for site in (source, replica):
        start(site.kubectl, POD, site.namespace, NAME)
        site.kubectl("label", "pod", POD, "--namespace", site.namespace, f"app={POD}")
    far, near = (process_of(site, site.namespace, POD, "sleep") for site in (source, replica))
    return far, near


def load_balancer(source: Site, port: int) -> str:
    """Make a LoadBalancer before a port of the pod in dc1; return its address."""
    name, ports = f"{POD}-{port}", [{"name": "tcp", "port": GATEWAY_PORT, "targetPort": port}]
    spec = {"type": "LoadBalancer", "selector": {"app": POD}, "ports": ports}
    metadata = {"name": name, "namespace": source.namespace}
    source.kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    return load_balancer_address(source.kubectl, name, source.namespace)


@contextmanager
def chains(
    directory: Path, source: Site, replica: Site, servers: tuple[int, int], tls: tuple[str, str]
) -> Iterator[dict[int, Chain]]:
    """Have a chain of two relays and one of three for a while.

    Args:
        directory: where program, certificate and key go.
        source: the database's site, its namespace the database's.
        replica: the client's site, its namespace the client's.
        servers: processes of the source's server and of the client.
        tls: certificate and key, as PEM.
    """
    accept = ["accept"]
    for name, text in zip(("relay.crt", "relay.key"), tls, strict=True):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(text)
        accept.append(str(directory / name))
    (far, near), (server, client) = pods(source, replica), servers
    behind = source.pod(f"{NAME}-0")["status"]["podIP"]
    with ExitStack() as running:
        two, three = PORT + 2, PORT + 3
        hops = {
            two: {
                EGRESS_GATEWAY: Hop(
                    process=near, address=load_balancer(source, two), port=GATEWAY_PORT, tls=("connect",)
                ),
                GATEWAY: Hop(process=far, address=behind, port=MYSQL_PORT, tls=accept),
            },
            three: {
                REPLICA_SIDECAR: Hop(
                    process=client, address=load_balancer(source, three), port=GATEWAY_PORT, tls=("connect",)
                ),
                GATEWAY: Hop(process=far, address=behind, port=three),
                SOURCE_SIDECAR: Hop(process=server, address="127.0.0.1", port=MYSQL_PORT, tls=accept),
            },
        }
        program = built(directory)
        processes = {
            port: dict(
                zip(chain, running.enter_context(standing_relays(program, port, [*chain.values()])), strict=True)
            )
            for port, chain in hops.items()
        }
        addresses = {two: replica.pod(POD)["status"]["podIP"], three: "127.0.0.1"}
        yield {
            port - PORT: Chain(
                target=Target(process=client, host=addresses[port], port=port),
                processes={place: (pid,) for place, pid in processes[port].items()},
            )
            for port in hops
        }


def built(directory: Path) -> Path:
    """Build the program; return where it is."""
    program = directory / "relay"
    run("go", "build", "-o", str(program), str(SOURCE), env=os.environ | {"CGO_ENABLED": "0"})
    return program


@contextmanager
def standing_relays(program: Path, port: int, hops: Sequence[Hop]) -> Iterator[Sequence[int]]:
    """Have a relay at each hop for a while, all of them at this port; what is given are their processes."""
    with ExitStack() as running:
        relays = []
        for hop in hops:
            enter = ("nsenter", f"--target={hop.process}", "--net", "--")
            relay = subprocess.Popen([*enter, program, str(port), hop.address, str(hop.port), *hop.tls])
            running.callback(relay.wait)
            running.callback(relay.kill)
            relays.append(relay)
        eventually("the relays listen", lambda: all(_listens(hop.process, port) for hop in hops))
        yield [relay.pid for relay in relays]


def _listens(process: int, port: int) -> bool:
    """Tell whether a relay listens in a process's network."""
    listening = run("nsenter", f"--target={process}", "--net", "--", "ss", "-Hltn", f"sport = :{port}")
    return bool(listening.stdout)
