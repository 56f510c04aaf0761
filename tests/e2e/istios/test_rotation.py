"""Both sites get new intermediates while replication runs.

Its connection is not cut, and goes on with new transactions.
"""

from tests.e2e.toolbox import Database, Kubectl, Project, eventually


def test_intermediates_are_replaced_under_a_channel(pair: Project, sites: dict[str, Kubectl]) -> None:
    """One stack has both sites. From its own outputs it knows which workloads the change may affect."""
    primary, remote = Database(sites["dc1"], "wookie", "db-0"), Database(sites["dc2"], "wookie-dr", "db-0")
    dumps = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' ORDER BY id"
    eventually("the channel runs", remote.follows, within=120)
    # dc1's own replicas, and that in dc2; a connection that was lost before is still known for a while
    eventually("each replica has one connection", lambda: len(primary(dumps).split()) == 3)
    before = primary(dumps).split()
    held = pair.output("certificates")
    with pair.edit() as config:
        config["dcmesh:trust"] = {"intermediate": 2}
    said = pair.up("--skip-preview")
    assert "cannot be seen from here" not in said
    now = pair.output("certificates")
    assert all(now[site]["certChain"] != held[site]["certChain"] for site in ("dc1", "dc2"))
    primary("CREATE DATABASE rotated")
    eventually("what was written since is there", lambda: remote("SHOW DATABASES LIKE 'rotated'") == "rotated")
    assert primary(dumps).split() == before
    assert remote.follows()
