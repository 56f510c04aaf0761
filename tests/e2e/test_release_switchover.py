"""A pair of the last release is updated by the present program's `up`, which also does a switchover."""

from collections.abc import Iterator

import pytest

from .test_release import Pair, released
from .toolbox import ROOT, Database, Lab, eventually, lab_for_a_while

TOKEN = (
    "SELECT CONCAT(site, IF(@@read_only, ' closed', ' open')) FROM dcmesh.primary_site WHERE server_id = @@server_id"
)
SHOWN = "SELECT GROUP_CONCAT(text ORDER BY text) FROM kept.notes"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("released-pair")


@pytest.fixture(scope="module")
def released_pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    peers = {"dc1": ["dc2"], "dc2": ["dc1"]}
    with released(lab, tmp_path_factory.mktemp("released"), "mariadb-switchover", peers) as pair:
        yield pair


@pytest.mark.soak(
    proves=(
        "components/databases/mariadb_switchover_command.py",
        "components/databases/mariadb_prepare.sh",
        "dcmesh/databases/mariadb_server.py",
        "dcmesh/databases/switchover.py",
    )
)
def test_one_up_leads_a_released_pair_over_and_switches_over(released_pair: Pair) -> None:
    pair, sites = released_pair
    dc1, dc2 = Database(sites["dc1"], "wookie", "db-0"), Database(sites["dc2"], "wookie-dr", "db-0")
    dc1("CREATE DATABASE kept; CREATE TABLE kept.notes (text VARCHAR(50) PRIMARY KEY)")
    dc1("INSERT INTO kept.notes VALUES ('by the release')")
    eventually("dc2 has the row", lambda: dc2(SHOWN, check=False) == "by the release", within=60)
    pair.use(ROOT)
    with pair.edit() as config:
        config["dcmesh:primary"] = "dc2"
    pair.up("--skip-preview")
    assert (dc1(TOKEN), dc2(TOKEN)) == ("dc2 closed", "dc2 open")
    dc2("INSERT INTO kept.notes VALUES ('by the next')")
    eventually("dc1 has the new row", lambda: dc1(SHOWN, check=False) == "by the next,by the release", within=60)
    jobs = {name for site in sites.values() for name in site.names("job")}
    assert not [name for name in jobs if name.endswith("-switchover")]
    eventually("all is well", lambda: pair.dcmesh("status").returncode == 0, within=120)
    pair.up("--expect-no-changes")
