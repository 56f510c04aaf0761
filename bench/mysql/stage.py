"""The databases that are measured: a source in dc1, and a replica in dc2 that follows through gateways at both ends."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.clusters import clusters
from bench.data_path import direct
from bench.data_path.stage import (
    AT_GATEWAY,
    BY_GATEWAY,
    Stage,
    at_gateway,
    by_gateway,
    configuration,
    host_of,
    replica_of,
)
from bench.mysql.database import MySQLPair, objects
from dcmesh.model.link import MYSQL_PORT
from tests.e2e.toolbox import Lab, initialised
from tests.faults.stage import Site

LAB = "mysql"
ENDS = (("dc1", AT_GATEWAY), ("dc2", replica_of(AT_GATEWAY, BY_GATEWAY)))
"""The site and the namespace of the source, and of its replica."""


@contextmanager
def standing(directory: Path) -> Iterator[Stage]:
    """Run everything while the block runs. The databases run before dcmesh comes."""
    tls, password = direct.certificate("bench"), secrets.token_hex(16)
    with clusters(LAB, directory) as sites:
        for site, namespace in ENDS:
            sites[site].apply(*objects(site, namespace, tls))
        for site, namespace in ENDS:
            direct.rolled_out(sites[site], namespace)
        linked = configuration(sites, [at_gateway(AT_GATEWAY)], [by_gateway(AT_GATEWAY)])
        initialised(Lab(LAB), directory, linked).up("--skip-preview")
        with closing(MySQLPair(*(Site(site, namespace, Lab(LAB), sites[site]) for site, namespace in ENDS))) as pair:
            pair.begin(password)
            pair.follow(host_of(AT_GATEWAY, BY_GATEWAY), MYSQL_PORT, tls=False)
            pair.prepare(password)
            yield Stage(
                sites=sites,
                pairs={(AT_GATEWAY, BY_GATEWAY): pair},
                address=direct.expose(sites["dc1"], AT_GATEWAY),
                password=password,
                tls=tls,
            )
