"""A database of dcmesh 0.1.0 with a replica in its own site. Both have sidecars, which capture all traffic."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.data_path import direct
from bench.data_path.database import Pair
from tests.e2e.test_release import released
from tests.e2e.toolbox import Lab, database_passwords
from tests.faults.stage import SOURCE, Site

LAB = "data-first"
REPLICA = "local"


@contextmanager
def standing_pair(directory: Path, password: str, tls: tuple[str, str]) -> Iterator[Pair]:
    """Run both while the block runs, on clusters of their own.

    Args:
        directory: the directory for the release's program and the kubeconfigs.
        password: the clients' password.
        tls: the certificate and key of the replica's server.
    """
    lab = Lab(LAB)
    try:
        with released(lab, directory, "mariadb", {"dc1": ["dc2"], "dc2": []}) as (_, sites):
            dc1 = sites["dc1"]
            # Further pods would use up the cores.
            dc1("scale", "statefulset", direct.NAME, "--namespace", SOURCE, "--replicas=1")
            replication = database_passwords(dc1, SOURCE)["replication"]
            source = direct.behind(direct.host_of(SOURCE))
            arguments = direct.arguments(REPLICA, "dc1-replica", source=source, password=replication, sidecar=True)
            namespace, *rest = direct.objects(arguments, tls)
            namespace["metadata"]["labels"] = {"istio-injection": "enabled"}
            dc1.apply(namespace, *rest)
            direct.rolled_out(dc1, REPLICA)
            ends = (Site("dc1", of, lab, dc1) for of in (SOURCE, REPLICA))
            with closing(Pair(*ends)) as pair:
                pair.prepare(password)
                yield pair
    finally:
        lab("delete", "--all")
