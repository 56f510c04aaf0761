"""A database of dcmesh 0.1.0 with a replica in its own site. Both have sidecars that capture everything."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench.clusters import clusters
from bench.data_path import direct
from bench.data_path.database import Pair
from lab.toolchain import OLDER_ISTIO
from tests.e2e.test_release import of_release, unpack
from tests.e2e.toolbox import PROGRAM, Kubectl, Lab, database_passwords, initialised, on_istio
from tests.faults.stage import REPLICA as OTHER_SITE
from tests.faults.stage import SOURCE, Site

COMMIT = "9da5c363d70a3378b256d1775390ec6e81d3cb67"
"""Version 0.1.0. pyproject.toml names the last release, which is a later one."""

CONFIG = "config"
"""What its program has beside that of later releases."""

LAB = "data-first"
REPLICA = "local"


@contextmanager
def standing_pair(directory: Path, password: str, tls: tuple[str, str]) -> Iterator[Pair]:
    """Have them for a while, on clusters of their own.

    Args:
        directory: for the release's program and the kubeconfigs.
        password: the password of the clients.
        tls: certificate and key of the replica's server.
    """
    with clusters(LAB, directory) as sites:
        start(directory, sites)
        lab, dc1 = Lab(LAB), sites["dc1"]
        # Other followers would take CPU time.
        for site, of, replicas in (("dc1", SOURCE, 1), ("dc2", OTHER_SITE, 0)):
            sites[site]("scale", "statefulset", direct.NAME, "--namespace", of, f"--replicas={replicas}")
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


def start(directory: Path, sites: Mapping[str, Kubectl]) -> None:
    """Bring up the release's example with databases by the release's program."""
    program = directory / "program"
    program.mkdir()
    unpack(program, COMMIT, (*PROGRAM, CONFIG))
    project = initialised(Lab(LAB), directory, configuration(sites), program)
    (project.directory / CONFIG).symlink_to(program / CONFIG)
    project.up("--skip-preview")


def configuration(sites: Mapping[str, Kubectl]) -> dict[str, Any]:
    """Return the release's example on these clusters, on an Istio that the release accepts."""
    config = of_release("examples/mariadb.yaml", COMMIT)
    config["dcmesh:istio"] = of_release("Pulumi.dev.yaml", COMMIT)["dcmesh:lab"]["istio"]
    for site in config["dcmesh:sites"]:
        site["cluster"] = {"kubeconfig": str(sites[site["name"]].path)}
    return on_istio(config, OLDER_ISTIO)
