"""Switchover and disaster: the primary changes sites under writers, and two sites never take writes at the same time.

The tests form one course of events. Each begins where the one before it ended.
"""
# ruff: noqa: S311, S608 - chance and SQL are the tests' own

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from typing import Any

import pytest

from lab import cgroup
from lab.paths import LabPaths

from .toolbox import (
    Database,
    Kubectl,
    Lab,
    Project,
    eventually,
    example,
    lab_for_a_while,
    standing,
    switch,
)
from .writers import SHOP, Writers, assert_nothing_is_lost, begin, pause, rows

NAMESPACES = {"dc1": "wookie", "dc2": "wookie-dr"}
SOAK = pytest.mark.soak(
    proves=(
        "components/databases/mariadb*",
        "dcmesh/databases/mariadb*",
        "dcmesh/databases/switchover.py",
        "dcmesh/model/mariadb.py",
    )
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    yield from lab_for_a_while("switchover")


@pytest.fixture(scope="module")
def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    config = example("mariadb-switchover")
    for site in config["dcmesh:sites"]:
        site["workloads"][0] |= {"settings": {"event_scheduler": "ON"}, "writerService": True}
        site["workloads"][0]["replicas"] = 2
    with standing(lab, tmp_path_factory.mktemp(lab.name), config) as project:
        yield project


@pytest.fixture(scope="module")
def databases(sites: dict[str, Kubectl]) -> dict[str, Database]:
    return {name: Database(site, NAMESPACES[name], "db-0") for name, site in sites.items()}


@pytest.fixture(scope="module")
def writers(sites: dict[str, Kubectl], databases: dict[str, Database]) -> Writers:
    databases["dc1"](SHOP)
    databases["dc1"](
        # This writes as root, who may write on a read-only server.
        "CREATE TABLE shop.ticks (number BIGINT AUTO_INCREMENT PRIMARY KEY, server INT UNSIGNED);"
        "CREATE DEFINER = root@'%' EVENT shop.tick ON SCHEDULE EVERY 1 SECOND DO"
        " INSERT INTO shop.ticks (server) VALUES (@@server_id);"
        "CREATE EVENT shop.broken ON SCHEDULE EVERY 1 HOUR DO DO 0;"
        "CREATE EVENT shop.off ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO shop.ticks (server) VALUES (0)"
    )
    writers = Writers(sites, NAMESPACES)
    writers.write("dc1")
    return writers


def ticks(database: Database) -> int:
    """Return how many rows a site's event has written, whichever server counts them."""
    own = database("SELECT @@server_id")
    return int(database(f"SELECT COUNT(*) FROM shop.ticks WHERE server = {own}"))


def assert_events_run(databases: dict[str, Database], primary: str) -> None:
    """Events run on the primary only, and one that was disabled there runs nowhere."""
    before = {name: ticks(database) for name, database in databases.items()}
    eventually(f"{primary} runs events", lambda: ticks(databases[primary]) > before[primary] + 2)
    for name in databases.keys() - {primary}:
        assert ticks(databases[name]) == before[name]
    assert databases[primary]("SELECT COUNT(*) FROM shop.ticks WHERE server = 0") == "0"


def status(pair: Project) -> tuple[int, Any]:
    done = pair.dcmesh("status", "--json")
    return done.returncode, json.loads(done.stdout)


def well(pair: Project, primary: str) -> bool:
    """Tell whether the status says that all is well, and only this site takes writes. Print what it finds."""
    code, said = status(pair)
    print(*(problem["text"] for problem in said["problems"]), sep="\n")
    writable = [name for name, site in said["sites"].items() for db in site["databases"] if db["readOnly"] is False]
    return (code, writable) == (0, [primary])


def assert_all_are_led_to(primary: str, writers: Writers, databases: dict[str, Database]) -> None:
    server = databases[primary]("SELECT @@server_id")
    for site in databases:
        eventually(f"db-writer leads from {site} to {primary}", lambda s=site: writers.led_to(s) == server)


def test_a_second_site_that_takes_writes_is_critical(pair: Project, databases: dict[str, Database]) -> None:
    """This test comes first, while nobody writes: what it writes exists in dc2 only."""
    eventually("all is well", lambda: well(pair, "dc1"))
    try:
        databases["dc2"]("SET GLOBAL read_only = 0")
        code, said = status(pair)
    finally:
        databases["dc2"]("SET GLOBAL read_only = 1")
    text = "dc2 database wookie-dr/db-0: takes writes, and should be a replica"
    assert (code, [problem["text"] for problem in said["problems"]]) == (2, [text])


# Planned


def test_a_planned_switchover_under_writers(
    pair: Project, sites: dict[str, Kubectl], writers: Writers, databases: dict[str, Database]
) -> None:
    assert_all_are_led_to("dc1", writers, databases)
    before = tokens(databases)
    code, said = ended(by_hand(pair, sites, "dc2", "--dry-run"))
    assert (code, tokens(databases)) == (0, before), said
    applications = {
        name: begin(site, "app", NAMESPACES[name], f"{name}-app", "db-writer") for name, site in sites.items()
    }
    databases["dc2"]("SET sql_log_bin = 0; UPDATE mysql.event SET db = 'gone' WHERE name = 'broken'")
    switch(pair, "dc2")
    said = pair.up("--skip-preview")
    assert "dc2: has events that cannot be enabled, and do not run: gone.broken (error 1049)" in said
    for database in databases.values():
        database("SET sql_log_bin = 0; DELETE FROM mysql.event WHERE name = 'broken'")
    writers.write("dc2")
    assert writers.turns() == ["dc1", "dc2"]
    print(f"no writer for {writers.gap('dc1', 'dc2'):.2f} s")
    assert_all_are_led_to("dc2", writers, databases)
    for name, site in sites.items():
        print(f"no row through db-writer of {name} for {pause(site, applications[name]):.2f} s")
        site("delete", "pod", "app", "--namespace", NAMESPACES[name], "--now")
    assert_nothing_is_lost(writers, databases)
    eventually("the status says so", lambda: well(pair, "dc2"))
    _, said = status(pair)
    follower, *_ = said["sites"]["dc1"]["databases"]
    assert (follower["source"], follower["running"]) == ("db-0.db.wookie-dr.svc.cluster.local", True)
    assert_events_run(databases, "dc2")


# Interrupted. A lock holds each step, since the step's statement waits for it. Then the run and the `up` are killed.

LOCK = "SELECT GET_LOCK('dcmesh.primary_site', 60)"
TOKEN = (
    "SELECT CONCAT(site, IF(@@read_only, ' closed', ' open')) FROM dcmesh.primary_site WHERE server_id = @@server_id"
)
PROCESSES = "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND"


@contextmanager
def held(database: Database, by: str) -> Iterator[None]:
    """Hold a lock as the server's own user, whose session a fence does not end."""
    client = ("mariadb", "--socket=/run/mysqld/mysqld.sock", "--unbuffered", "--skip-column-names")
    command = database.site.command("exec", "--stdin", *database.inside, "--", *client)
    with Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(f"{by}; SELECT 'held';\n")
        holder.stdin.flush()
        while "held" not in (line := holder.stdout.readline()):
            assert line, "the lock was not given"
        try:
            yield
        finally:
            holder.stdin.close()


def kill(pair: Project) -> None:
    """Kill the running processes of a switchover."""
    for pid in pair.verbs("switchover"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def runs_in(database: Database) -> int:
    """Return how many sessions of runs a server has.

    If its run was killed, a session ends after its current statement.
    """
    return int(database(f"{PROCESSES} user = 'mysql' AND db IS NULL AND command <> 'Daemon'"))


@dataclass(frozen=True)
class Step:
    """A step at which a switchover is interrupted.

    Attributes:
        held: the site in which a lock is held, and the lock.
        reached: tells from both servers whether the step is reached.
        left: the servers' tokens and `read_only` at that point.
    """

    held: tuple[str, str]
    reached: Callable[[dict[str, Database]], bool]
    left: dict[str, str]


def tokens(databases: dict[str, Database]) -> dict[str, str]:
    return {name: database(TOKEN) for name, database in databases.items()}


def waits_for_lock(database: Database) -> bool:
    return database(f"{PROCESSES} state = 'User lock'") != "0"


HELD = "CREATE TABLE IF NOT EXISTS mysql.held (n INT) ENGINE=Aria"
LOCK_TABLES = "LOCK TABLES mysql.held WRITE"
"""Making a server read-only waits for sessions that have locked tables."""

BEFORE = {"dc1": "dc2 closed", "dc2": "dc2 open"}
STEPS = {
    "the new primary has not all rows": Step(
        ("dc1", "FLUSH TABLES WITH READ LOCK"), lambda servers: runs_in(servers["dc2"]) > 0, BEFORE
    ),
    "the token is about to be given": Step(("dc2", LOCK), lambda servers: waits_for_lock(servers["dc2"]), BEFORE),
    "the token is given and the old primary is not fenced": Step(
        ("dc2", f"{HELD}; {LOCK_TABLES}"),
        lambda servers: servers["dc2"](TOKEN).startswith("dc1"),
        {"dc1": "dc2 closed", "dc2": "dc1 open"},
    ),
    "the old primary is fenced and the new one not opened": Step(
        ("dc1", LOCK),
        lambda servers: tokens(servers)["dc2"] == "dc1 closed" and waits_for_lock(servers["dc1"]),
        {"dc1": "dc2 closed", "dc2": "dc1 closed"},
    ),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_interrupted(pair: Project, databases: dict[str, Database], writers: Writers, step: Step) -> None:
    switch(pair, "dc1")
    up = pair.start("up", "--yes", "--skip-preview")
    with held(databases[step.held[0]], step.held[1]):
        eventually("the step is reached", lambda: step.reached(databases), within=120)
        kill(pair)
        up.send_signal(signal.SIGINT)
        left = {name: int(name == step.held[0]) for name in databases}
        for name, database in databases.items():
            eventually(f"no run is left in {name}", lambda n=name, d=database: runs_in(d) == left[n])
    said, _ = up.communicate(timeout=120)
    assert up.returncode != 0, said
    assert tokens(databases) == step.left
    assert writers.turns() == ["dc1", "dc2"]


def test_it_goes_on_after_all_that(pair: Project, writers: Writers, databases: dict[str, Database]) -> None:
    pair.up("--skip-preview", "--parallel", "1")
    writers.write("dc1")
    assert writers.turns() == ["dc1", "dc2", "dc1"]
    assert_nothing_is_lost(writers, databases)
    assert tokens(databases) == {"dc1": "dc1 open", "dc2": "dc1 closed"}
    eventually("all is well", lambda: well(pair, "dc1"))
    assert_events_run(databases, "dc1")


# Frozen: a stopped process goes on after the others did not wait for it.


def by_hand(pair: Project, sites: dict[str, Kubectl], primary: str, *options: str) -> Popen[str]:
    """Begin a switchover outside any `up`."""
    words = [word for name in sites for word in ("--site", f"{name}/{NAMESPACES[name]}/db")]
    kubeconfigs = [site.path.read_text() for site in sites.values()]
    given = dict(zip(("DCMESH_KUBECONFIG", "DCMESH_OTHER_KUBECONFIG"), kubeconfigs, strict=True))
    return Popen(
        ("venv/bin/python", "-m", "dcmesh", "switchover", "--primary", primary, *words, *options),
        cwd=pair.directory,
        env=pair.environment | given,
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
    )


def ended(run: Popen[str], within: float = 180) -> tuple[int, str]:
    said, _ = run.communicate(timeout=within)
    return run.returncode, said


@pytest.mark.parametrize("begun", [0.5, *(pytest.param(moment, marks=SOAK) for moment in (0.0, 1.0))])
def test_an_old_run_that_goes_on_after_a_newer_one(
    pair: Project, sites: dict[str, Kubectl], databases: dict[str, Database], writers: Writers, begun: float
) -> None:
    """A run's statement may wait in a server after the run has ended.

    No statement acts on a state that it has not checked.
    """
    before = writers.turns()
    with held(databases["dc2"], LOCK):
        old = by_hand(pair, sites, "dc2")
        eventually("the old run is at work", lambda: waits_for_lock(databases["dc2"]) or runs_in(databases["dc1"]))
        time.sleep(begun)
        old.send_signal(signal.SIGSTOP)
    try:
        assert ended(by_hand(pair, sites, "dc1"))[0] == 0
        assert tokens(databases) == {"dc1": "dc1 open", "dc2": "dc1 closed"}
    finally:
        old.send_signal(signal.SIGCONT)
    code, said = ended(old)
    assert code == 0, said
    assert tokens(databases) == {"dc1": "dc2 closed", "dc2": "dc2 open"}
    code, said = ended(by_hand(pair, sites, "dc1"))
    assert code == 0, said
    writers.write("dc1")
    assert len(writers.turns()) <= len(before) + 2, "there and back"
    assert_nothing_is_lost(writers, databases)


def test_a_server_that_is_frozen_meanwhile(
    lab: Lab, pair: Project, sites: dict[str, Kubectl], databases: dict[str, Database], writers: Writers
) -> None:
    """The old primary has given its token away, and freezes while it is open.

    The run gives up. Then the server goes on.
    """
    before = writers.turns()
    databases["dc1"](f"SET sql_log_bin = 0; {HELD}")
    with held(databases["dc1"], LOCK_TABLES):
        run = by_hand(pair, sites, "dc2")
        eventually("the token is given", lambda: databases["dc1"](TOKEN) == "dc2 open")
        frozen = servers_of(lab, "dc1")
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            # Do this meanwhile: kubelet restarts a container that is frozen for a minute.
            dry = by_hand(pair, sites, "dc2", "--dry-run")
            code, said = ended(run)
            dry_code, dry_said = ended(dry)
            assert databases["dc2"](TOKEN) == "dc1 closed"
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
    assert (code, "does not answer" in said) == (2, True), said
    assert dry_code == 2, dry_said
    eventually("the old primary is back", lambda: databases["dc1"](TOKEN, check=False))
    assert databases["dc2"](TOKEN) == "dc1 closed"
    assert ended(by_hand(pair, sites, "dc2"))[0] == 0
    writers.write("dc2")
    assert writers.turns() == [*before, "dc2"]
    assert_nothing_is_lost(writers, databases)
    assert ended(by_hand(pair, sites, "dc1"))[0] == 0
    assert tokens(databases) == {"dc1": "dc1 open", "dc2": "dc1 closed"}
    writers.write("dc1")
    eventually("all is well", lambda: well(pair, "dc1"))


# Killed at random moments. The search of test_switchover_search.py goes through what servers and runs do then.


def servers_of(lab: Lab, site: str) -> list[int]:
    """Return the PIDs, as the machine counts them, of a site's MariaDB servers."""
    servers = list[int]()
    for pid in cgroup.processes(LabPaths(lab.name).site(site)):
        with suppress(FileNotFoundError, ProcessLookupError):  # The process has ended meanwhile.
            if Path(f"/proc/{pid}/comm").read_text().strip() == "mariadbd":
                servers.append(pid)
    return servers


SEEDS = range(20)


@SOAK
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(
    lab: Lab,
    pair: Project,
    sites: dict[str, Kubectl],
    databases: dict[str, Database],
    writers: Writers,
    seed: int,
) -> None:
    """If servers and runs are killed during a switchover, the next `up` completes it, and nothing is lost."""
    chance = random.Random(seed)
    primary = "dc1" if databases["dc2"](TOKEN) == "dc2 open" else "dc2"
    assert all(servers_of(lab, site) for site in sites), "there is nothing to kill"
    before = writers.turns()
    switch(pair, primary)
    up = pair.start("up", "--yes", "--skip-preview")
    for _ in range(chance.randint(1, 4)):
        time.sleep(chance.uniform(0, 6))
        if chance.random() < 0.25:
            kill(pair)
            continue
        for pid in servers_of(lab, chance.choice(["dc1", "dc2"])):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    up.communicate(timeout=300)
    pair.up("--skip-preview")
    writers.write(primary)
    assert writers.turns() == [*before, primary]
    assert_nothing_is_lost(writers, databases)
    assert_events_run(databases, primary)
    eventually("all is well", lambda: well(pair, primary))


# Unplanned

DC2 = ("--target", "**dc2.wookie-dr**")
"""The option for an `up` of dc2 only, as docs/switchover.md has it."""


@dataclass(frozen=True)
class Lost:
    """What was lost with dc1: the numbers of the rows, and the GTID before them."""

    rows: set[int]
    end: str


@pytest.fixture(scope="module")
def lost(lab: Lab, pair: Project, databases: dict[str, Database], writers: Writers) -> Lost:
    """dc1 is the primary, is cut off and commits some more rows. Then its whole cluster is lost."""
    if databases["dc1"](TOKEN) != "dc1 open":
        switch(pair, "dc1")
        pair.up("--skip-preview")
    lab("wan", "cut")
    try:
        channel = databases["dc2"].channel
        eventually("the channel is broken", lambda: channel()["Slave_IO_Running"] != "Yes")
        writers.write("dc1")
        writers.end("dc1")
        cgroup.kill(LabPaths(lab.name).site("dc1"))
    finally:
        lab("wan", "heal")
    arrived = {number for site, number in rows(databases["dc2"]) if site == "dc1"}
    committed = {row.number for row in writers.written() if row.site == "dc1"}
    return Lost(committed - arrived, databases["dc2"]("SELECT @@GLOBAL.gtid_slave_pos"))


def test_a_primary_that_is_gone_is_replaced_once_somebody_says_what_may_be_lost(
    pair: Project, lost: Lost, writers: Writers, databases: dict[str, Database]
) -> None:
    """An `up` of dc2's part does it, and so does one of the whole stack. Neither changes anything in dc1."""
    assert lost.rows
    before = pair.changed_in("dc1")
    code, said = status(pair)
    assert code == 2
    assert [p["text"].partition(": ")[2] for p in said["problems"] if p["text"].startswith("dc1: cannot be asked")]
    switch(pair, "dc2")
    refused = pair.refused("up", "--yes", "--skip-preview", *DC2)
    assert "dc2: dc1 does not answer" in refused
    assert f"set failover to {{without: dc1, at: {lost.end}}}" in refused
    assert databases["dc2"](TOKEN) == "dc1 closed"
    switch(pair, "dc2", without="dc1")
    refused = pair.refused("up", "--yes", "--skip-preview", *DC2)
    assert f"what is applied of it ends at {lost.end}, not at the failover.at" in refused
    assert databases["dc2"](TOKEN) == "dc1 closed"
    switch(pair, "dc2", without="dc1", at=lost.end)
    pair.up("--skip-preview", *DC2)
    assert databases["dc2"](TOKEN) == "dc2 open"
    writers.write("dc2")
    assert writers.led_to("dc2") == databases["dc2"]("SELECT @@server_id")
    pair.up("--skip-preview")
    assert before == pair.changed_in("dc1")
    code, said = status(pair)
    assert (code, [problem["text"].rpartition(":")[0] for problem in said["problems"]]) == (1, ["dc1: is not asked"])


def test_it_returns_read_only_and_what_it_has_of_its_own_is_reported(
    lab: Lab, pair: Project, lost: Lost, writers: Writers, databases: dict[str, Database]
) -> None:
    lab("create", "dc1", "--reachable-from", "dc2")
    eventually("dc1 follows dc2's token", lambda: databases["dc1"](TOKEN, check=False) == "dc2 closed", within=180)
    switch(pair, "dc2")
    pair.up("--skip-preview")
    own = databases["dc1"]("SELECT @@server_id")
    last = databases["dc1"]("SELECT @@GLOBAL.gtid_binlog_pos")
    extra = f"0-{own}-{int(lost.end.split('-')[2]) + 1} to {last}"
    assert last.startswith(f"0-{own}-")
    text = f"dc1 database wookie/db-0: has transactions that its source has not, and does not follow: {extra}"

    def named() -> bool:
        code, known = status(pair)
        return (code, known["problems"][0]["text"]) == (2, text)

    eventually("the status names them", named)
    mine = {("dc1", number) for number in lost.rows}
    assert mine <= rows(databases["dc1"]), "nothing is dropped"
    assert not mine & rows(databases["dc2"]), "nothing is merged"
    assert writers.turns()[-2:] == ["dc1", "dc2"]
    assert_events_run(databases, "dc2")


def test_without_its_volumes_the_site_copies_the_other(
    pair: Project, sites: dict[str, Kubectl], writers: Writers, databases: dict[str, Database], lost: Lost
) -> None:
    """This follows docs/switchover.md: a site's other replicas have the primary's lost rows, so they copy anew too."""
    second = Database(sites["dc1"], "wookie", "db-1")
    mine = {("dc1", number) for number in lost.rows}
    assert mine & rows(second)
    where = ("--namespace", "wookie", "--selector", "app=db")
    sites["dc1"]("delete", "pvc", *where, "--wait=false")
    sites["dc1"]("delete", "pod", *where, "--force", "--grace-period=0")
    eventually("all is well", lambda: well(pair, "dc2"), within=120)
    wanted = {(row.site, row.number) for row in writers.written()} - mine
    for replica in (databases["dc1"], second):
        eventually(f"{replica.pod} has every row", lambda r=replica: wanted <= rows(r))
        assert not mine & rows(replica)
    assert_events_run(databases, "dc2")
    events = "SELECT db, name, status FROM mysql.event ORDER BY name"
    assert databases["dc1"](events) == databases["dc2"](events), "as they were copied"


def test_the_primary_goes_back_to_the_site_that_was_lost(
    pair: Project, sites: dict[str, Kubectl], writers: Writers, databases: dict[str, Database], lost: Lost
) -> None:
    """Each site has two servers. The second one follows the first, whichever role that has."""
    before = writers.turns()
    writers.begin("dc1", first=10**6)
    switch(pair, "dc1")
    pair.up("--skip-preview")
    writers.write("dc1")
    assert writers.turns() == [*before, "dc1"]
    print(f"no writer for {writers.gap('dc2', 'dc1'):.2f} s")
    wanted = {(row.site, row.number) for row in writers.written()} - {("dc1", number) for number in lost.rows}
    for name, site in sites.items():
        for pod in ("db-0", "db-1"):
            database = Database(site, NAMESPACES[name], pod)
            eventually(f"{name}'s {pod} has every row", lambda d=database: wanted <= rows(d))
    assert_events_run(databases, "dc1")
    eventually("all is well", lambda: well(pair, "dc1"))
