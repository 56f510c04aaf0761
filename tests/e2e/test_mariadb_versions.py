"""Two versions of MariaDB in one pair, and the way from one to the other under writers.

The tests stand in the order of a pair's life. Each begins where the one before it ended.
"""

from collections.abc import Iterator

import pytest

from lab.toolchain import MARIADB, NEWER_MARIADB, newer_mariadb

from .lost_data import has_copied, lose
from .toolbox import (
    Database,
    Kubectl,
    Lab,
    Project,
    eventually,
    example,
    lab_for_a_while,
    standing,
    start,
    switch,
)
from .writers import SHOP, Writers, assert_nothing_is_lost

pytestmark = pytest.mark.soak(
    proves=("components/databases/mariadb_prepare.sh", "dcmesh/databases/replication.py", "dcmesh/status/databases.py")
)

NAMESPACES = {"dc1": "wookie", "dc2": "wookie-dr"}
OLDER, NEWER = f"mariadb:{MARIADB}", f"mariadb:{NEWER_MARIADB}"

# The end of what is current is another time in each version.
PRICES = "SELECT item, price, row_start, IF(row_end > '2037-01-01', '', row_end) FROM shop.prices"
HISTORY = f"{PRICES} FOR SYSTEM_TIME ALL ORDER BY row_start, row_end"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("versions")


@pytest.fixture(scope="module")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    archive = newer_mariadb()
    config = example("mariadb-switchover")
    for site in config["dcmesh:sites"]:
        site["workloads"][0] |= {"image": OLDER, "replicas": 2}
    with standing(lab, tmp_path_factory.mktemp(lab.name), config) as project:
        for name in NAMESPACES:
            lab("enter", name, "--", "ctr", "images", "import", str(archive))
        yield project


@pytest.fixture(scope="module")
def databases(sites: dict[str, Kubectl]) -> dict[str, Database]:
    return {
        f"{name} {pod}": Database(site, NAMESPACES[name], pod)
        for name, site in sites.items()
        for pod in ("db-0", "db-1")
    }


@pytest.fixture(scope="module")
def writers(sites: dict[str, Kubectl], databases: dict[str, Database]) -> Writers:
    databases["dc1 db-0"](SHOP)
    databases["dc1 db-0"](
        "CREATE USER master@'%' IDENTIFIED BY 'all'; GRANT ALL PRIVILEGES ON *.* TO master@'%';"
        "CREATE TABLE shop.prices (item VARCHAR(20), price INT) WITH SYSTEM VERSIONING;"
        "INSERT INTO shop.prices VALUES ('bread', 3), ('salt', 2); DELETE FROM shop.prices WHERE item = 'salt'"
    )
    writers = Writers(sites, NAMESPACES)
    writers.write("dc1")
    return writers


def set_image(pair: Project, site: int, image: str) -> None:
    with pair.edit() as config:
        config["dcmesh:sites"][site]["workloads"][0]["image"] = image
    pair.up("--skip-preview")


def problems(pair: Project) -> list[str]:
    """Return what the status says of databases."""
    texts = [problem["text"] for problem in pair.status()["problems"]]
    return [text for text in texts if " database " in text]


def assert_all_is_everywhere(primary: str, writers: Writers, databases: dict[str, Database]) -> None:
    """Also what is written now."""
    databases[f"{primary} db-0"]("UPDATE shop.prices SET price = price + 1")
    writers.write(primary)
    assert_nothing_is_lost(writers, databases)
    history = databases[f"{primary} db-0"](HISTORY)
    assert "bread" in databases[f"{primary} db-0"]("SELECT item FROM shop.prices")
    for name, database in databases.items():
        eventually(f"{name} has the same history", lambda d=database: d(HISTORY) == history)
        assert "bread" in database("SELECT item FROM shop.prices"), f"{name} shows no current row"
        assert "USAGE ON *.*" not in database("SHOW GRANTS FOR master@'%'"), f"{name} lets an account do nothing"


def version(database: Database) -> str:
    return database("SELECT SUBSTRING_INDEX(VERSION(), '.', 2)")


def test_a_newer_client_speaks_to_an_older_server_once_it_is_told(
    sites: dict[str, Kubectl], writers: Writers, databases: dict[str, Database]
) -> None:
    assert_all_is_everywhere("dc1", writers, databases)
    client = start(sites["dc2"], "newer", "wookie-dr", "db", image=NEWER)
    host = "db-0.db.wookie.svc.cluster.local"
    # With the password on the command line: of one in MYSQL_PWD it does not know, and warns.
    ask = f"mariadb --host={host} --user=shopper --password=ordinary --execute='SELECT 7 * 6' 2>&1"
    assert "ERROR 2026" in sites["dc2"]("exec", *client, "--", "bash", "-c", ask, check=False)
    assert "42" in sites["dc2"]("exec", *client, "--", "bash", "-c", ask.replace("--host", "--skip-ssl --host"))


def test_the_replicas_site_is_upgraded_first(pair: Project, writers: Writers, databases: dict[str, Database]) -> None:
    set_image(pair, 1, NEWER)
    assert {name: version(database) for name, database in databases.items()} == {
        "dc1 db-0": MARIADB,
        "dc1 db-1": MARIADB,
        "dc2 db-0": NEWER_MARIADB,
        "dc2 db-1": NEWER_MARIADB,
    }
    assert_all_is_everywhere("dc1", writers, databases)
    print(f"no writer at the source for {writers.pause('dc1'):.2f} s")
    eventually("all is well", lambda: pair.dcmesh("status").returncode == 0)


def test_a_newer_server_copies_an_older_one(writers: Writers, databases: dict[str, Database]) -> None:
    for name in ("dc2 db-0", "dc2 db-1"):  # the second as well: the first has no binary log from before its copy
        lose(databases[name])
        eventually(f"{name} follows", databases[name].follows, within=120)
        assert has_copied(databases[name])
    assert_all_is_everywhere("dc1", writers, databases)


def test_the_upgraded_site_takes_over(pair: Project, writers: Writers, databases: dict[str, Database]) -> None:
    switch(pair, "dc2")
    pair.up("--skip-preview")
    assert_all_is_everywhere("dc2", writers, databases)
    assert writers.turns() == ["dc1", "dc2"]
    print(f"no writer for {writers.gap('dc1', 'dc2'):.2f} s")
    said = f"dc1 database wookie/db-0: is MariaDB {MARIADB} and follows {NEWER_MARIADB}"
    assert [text.partition(",")[0] for text in problems(pair)] == [said]


def test_an_older_server_copies_no_newer_one(pair: Project, databases: dict[str, Database]) -> None:
    lose(databases["dc1 db-0"])
    why = f"it is MariaDB {NEWER_MARIADB}, and the image has {MARIADB}: set an image of {NEWER_MARIADB} or newer"
    eventually("the status says why", lambda: any(why in text for text in problems(pair)), within=120)


def test_the_other_site_is_upgraded(pair: Project, writers: Writers, databases: dict[str, Database]) -> None:
    """The one that has lost its data takes a copy now, and then the one that has followed it."""
    set_image(pair, 0, NEWER)
    lose(databases["dc1 db-1"])
    eventually("dc1 db-1 follows", databases["dc1 db-1"].follows, within=120)
    assert has_copied(databases["dc1 db-0"])
    assert has_copied(databases["dc1 db-1"])
    assert {version(database) for database in databases.values()} == {NEWER_MARIADB}
    assert_all_is_everywhere("dc2", writers, databases)
    eventually("all is well", lambda: pair.dcmesh("status").returncode == 0)


def test_it_is_the_primary_again(pair: Project, writers: Writers, databases: dict[str, Database]) -> None:
    switch(pair, "dc1")
    pair.up("--skip-preview")
    assert_all_is_everywhere("dc1", writers, databases)
    assert writers.turns() == ["dc1", "dc2", "dc1"]
    print(f"no writer for {writers.gap('dc2', 'dc1'):.2f} s")
