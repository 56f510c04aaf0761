"""Clients that never stop trying to write in two sites, and the rows that they saw committed."""
# ruff: noqa: S608 - SQL is the tests' own

import math
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from .toolbox import MARIADB, Kubectl, eventually, log_in, start

LOG = "/tmp/written"  # noqa: S108 - in a pod of its own

SHOP = (
    "CREATE DATABASE shop; CREATE TABLE shop.written (site VARCHAR(8), number BIGINT, PRIMARY KEY (site, number));"
    "CREATE USER shopper@'%' IDENTIFIED BY 'ordinary'; GRANT ALL PRIVILEGES ON shop.* TO shopper@'%'"
)
"""The statements that make the table in which clients write, and their account."""

# Tries to write numbered rows at a host, each on a new connection. For each committed row it prints the seconds since
# the epoch before and after the commit, and the row's number.
WRITER = f"""
export MYSQL_PWD=ordinary
for ((n = $2; ; n++)); do
  begun=$EPOCHREALTIME
  $4 --host=$3 --user=shopper --connect-timeout=2 --execute="INSERT INTO shop.written VALUES ('$1', $n)" &&
    echo "$begun $EPOCHREALTIME $n" >>{LOG}
  sleep $5
done
"""


@dataclass(frozen=True)
class Client:
    """What a writer is made of.

    Attributes:
        image: its image.
        program: its database's client.
        account: its service account.
        host: where it writes.
        rest: seconds that it rests after each try.
    """

    image: str = MARIADB
    program: str = "mariadb"
    account: str = "db"
    host: str = "db-0.db"
    rest: float = 0.03


MARIADB_CLIENT = Client()


@dataclass(frozen=True, order=True)
class Written:
    """A row that a site committed between two times."""

    begun: float
    done: float
    number: int
    site: str


def begin(
    site: Kubectl, pod: str, namespace: str, name: str, host: str, *, first: int = 1, client: Client = MARIADB_CLIENT
) -> tuple[str, ...]:
    """Start a client in a pod of its own. Return the arguments of `kubectl exec` for it.

    Args:
        site: the site.
        pod: the pod's name.
        namespace: the database's namespace.
        name: the name under which the client writes.
        host: the host at which it writes.
        first: the number of its first row.
        client: what it is made of.
    """
    inside = start(site, pod, namespace, client.account, image=client.image)
    words = f"{name} {first} {host} {client.program} {client.rest}"
    script = f"cat >/tmp/writer; : >{LOG}; setsid bash /tmp/writer {words} </dev/null >/dev/null 2>&1 &"
    site("exec", "--stdin", *inside, "--", "bash", "-c", script, stdin=WRITER)
    return inside


def pause(site: Kubectl, inside: tuple[str, ...]) -> float:
    """Return the longest time, in seconds, in which none of a client's rows was committed."""
    return _longest(float(line.split()[1]) for line in site("exec", *inside, "--", "cat", LOG).splitlines())


def _longest(done: Iterable[float]) -> float:
    return max(after - before for before, after in pairwise(done))


class Writers:
    """A client in each site that never stops trying to write there."""

    def __init__(
        self, sites: Mapping[str, Kubectl], namespaces: Mapping[str, str], client: Client = MARIADB_CLIENT
    ) -> None:
        """Start the clients. What `SHOP` makes must exist.

        Args:
            sites: the sites.
            namespaces: the databases' namespaces, by site.
            client: what each client is made of.
        """
        self._sites, self._namespaces, self._client = sites, namespaces, client
        self._pods: dict[str, tuple[str, ...]] = {}
        self._ended = dict.fromkeys(sites, "")
        for name in sites:
            self.begin(name)

    def begin(self, site: str, *, first: int = 1) -> None:
        """Start a client if the site has none. Its rows have numbers from `first` on."""
        if site in self._pods:
            return
        place = (self._sites[site], "writer", self._namespaces[site], site, self._client.host)
        self._pods[site] = begin(*place, first=first, client=self._client)

    def written(self) -> list[Written]:
        """Return the rows that were committed, in order."""
        found = []
        for name, ended in self._ended.items():
            for line in [*ended.splitlines(), *self._log(name).splitlines()]:
                begun, done, number = line.split()
                found.append(Written(float(begun), float(done), int(number), name))
        return sorted(found)

    def pause(self, site: str) -> float:
        """Return the longest time, in seconds, in which none of a site's rows was committed."""
        return _longest(row.done for row in self.written() if row.site == site)

    def _log(self, site: str) -> str:
        if site not in self._pods:
            return ""
        return self._sites[site]("exec", *self._pods[site], "--", "cat", LOG)

    def led_to(self, site: str) -> str:
        """Return the ID of the server to which the Service `db-writer` leads a client in a site."""
        return log_in(self._sites[site], self._pods[site], "db-writer", "shopper", "ordinary", sql="SELECT @@server_id")

    def end(self, site: str) -> None:
        """End a client, and remember what it committed."""
        self._sites[site]("exec", *self._pods[site], "--", "pkill", "--full", "/tmp/writer")  # noqa: S108
        self._ended[site] += f"{self._log(site)}\n"
        del self._pods[site]

    def turns(self) -> list[str]:
        """Return the order in which sites wrote, as the fewest possible turns.

        Two sites that write at once make many turns.

        A row was committed at some moment between its two times.
        """
        left = {site: [row for row in self.written() if row.site == site] for site in self._ended}
        found = list[str]()
        while any(left.values()):
            ends = {site: min((row.done for row in rows), default=math.inf) for site, rows in left.items()}
            # Begin with the site that must have written first. Its turn lasts until another site must have written.
            site = min(ends, key=lambda site: ends[site])
            end = min((ends[other] for other in ends.keys() - {site}), default=math.inf)
            left[site] = [row for row in left[site] if row.begun >= end]
            found.append(site)
        return found

    def gap(self, before: str, after: str) -> float:
        """Return for how many seconds nobody wrote when one site last took over from another."""
        written = self.written()
        last = max(row.done for row in written if row.site == before)
        return min(row.begun for row in written if row.site == after and row.begun > last) - last

    def write(self, site: str) -> None:
        """Wait until a site commits rows."""

        def count() -> int:
            return sum(row.site == site for row in self.written())

        before = count()
        eventually(f"{site} commits", lambda: count() > before + 4)


def rows(database: Callable[[str], str]) -> set[tuple[str, int]]:
    """Return the rows that a server has, each as its site and number."""
    lines = database("SELECT site, number FROM shop.written").splitlines()
    return {(site, int(number)) for site, number in (line.split("\t") for line in lines)}


def _all_are_at(database: Callable[[str], str], written: Set[tuple[str, int]]) -> bool:
    return written <= rows(database)


def assert_nothing_is_lost(writers: Writers, databases: Mapping[str, Callable[[str], str]]) -> None:
    """Assert that every row that has been committed so far arrives at every server."""
    written = {(row.site, row.number) for row in writers.written()}
    for name, database in databases.items():
        eventually(f"{name} has every row that was committed", partial(_all_are_at, database, written))
