"""Istio is upgraded by a line under load, as docs/upgrades.md says: either site first, and one site goes back.

Each site is a stack. dc2 follows two databases of dc1: one without sidecars, by gateways at both ends, and one with
sidecars at both ends. A client in dc2 connects to all hosts of each all the time, and sends a query each time.
"""

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from lab.toolchain import ISTIO, OLDER_ISTIO, Istio

from . import bare_database as bare
from .site_stack import SiteStack
from .test_release_gateways import EGRESS, problems
from .test_stacks import draining
from .toolbox import ROOT, Database, Kubectl, Lab, Project, eventually, example, lab_config, lab_for_a_while, on_istio
from .tries import Tries, watched

SECONDS_AWAY = 2.0
"""A cut channel is back within this time, without the time for which the busy machine delays the source itself."""

TRIES_A_SECOND = 10
"""The smallest number of new connections per second that both clients make, each with a query."""

HEARD_OF = 2.0
"""Seconds within which the proxies have heard that a pod is ready. Kubernetes tells no more than the second of that."""

Span = tuple[float, float]
"""A beginning and an end."""

OPEN_FOR = 6
"""Seconds after which a draining gateway pod has given up its connections."""

COPIES = "copies"
"""The namespace of dc2 without sidecars. It has the clients and the replica of the database without sidecars."""

CLIENTS = {
    "gateways": (COPIES, "default", [f"{name}.{bare.NAMESPACE}" for name in ("db-0.db", "db-1.db", "db-primary")]),
    "sidecars": ("wookie-dr", "db", [f"db-{n}.db.wookie" for n in range(3)]),
}
"""The clients, by their way to the other site: namespace, service account, and hosts. Each host has two clients."""

ORDERS = {"exporting-first": ("dc1", "dc2"), "importing-first": ("dc2", "dc1")}
GATEWAYS = {"dc1": ("dcmesh-gateway", "istio-eastwestgateway"), "dc2": ("dcmesh-egress", "dcmesh-egress")}
SIDECARS = {"dc1": "wookie", "dc2": "wookie-dr"}


def sites() -> list[dict[str, Any]]:
    """Return the configuration of both sites, without their clusters."""
    dc1, dc2 = example("mariadb")["dcmesh:sites"]
    of_bare = {"namespace": bare.NAMESPACE, "termination": "gateway", "port": 3306}
    of_bare["consumers"] = [{"site": "dc2", **EGRESS}]
    dc1["exports"] += [
        {"name": "bare", "statefulSet": "db", "replicas": 2, **of_bare},
        {"name": "primary", "service": "db-primary", "whole": True, **of_bare},
    ]
    way = {**EGRESS, "egress": "gateway", "hostNamespace": bare.NAMESPACE, "clients": [{"namespace": COPIES}]}
    dc2["imports"] += [{"from": "dc1", "export": name, **way} for name in ("bare", "primary")]
    for site in (dc1, dc2):
        del site["cluster"]
    dc1["gateway"]["replicas"] = 2  # This is the default.
    return [dc1, dc2]


@pytest.fixture(scope="module", params=list(ORDERS))
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lab(order: str) -> Iterator[Lab]:
    for lab in lab_for_a_while(f"upgrade-{order}"):
        lab.create({"dc1": ["dc2"], "dc2": []})
        yield lab


@pytest.fixture(scope="module")
def stacks(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SiteStack]:
    """Both sites on the older Istio, with the databases that ran before."""
    directory = tmp_path_factory.mktemp("upgrade")
    state = directory / "state"
    trust = {"dcmesh:trust": {"source": "generated", "issueFor": ["dc1", "dc2"]}}
    holder = Project(directory / "trust", stack="trust", config=trust, state=state)
    holder.init()
    holder.up("--skip-preview")
    istio = on_istio(lab_config(), OLDER_ISTIO)["dcmesh:istio"]
    found = {}
    for site, more in zip(sites(), ({}, {"peers": [{"name": "dc1"}]}), strict=True):
        name = site["name"]
        found[name] = stack = SiteStack(directory / name, lab=lab, state=state, site=site, istio=istio, **more)
        stack.init()
        place = "dcmesh:sites[0].workloads[0].replicationPassword"
        stack.pulumi("config", "set", "--secret", "--path", place, bare.PASSWORD)
    bare.begin(found["dc1"].kubectl)
    found["dc2"].kubectl("create", "namespace", COPIES)
    for stack in found.values():
        stack.follow()
    return found


@dataclass
class Load:
    """Databases that replicate, clients that connect, and what was observed of both.

    Attributes:
        stacks: the sites' stacks.
        pairs: each database in dc1 and its replica, by the replica's way.
        wrong: the faults that were observed.
    """

    stacks: Mapping[str, SiteStack]
    pairs: Mapping[str, tuple[Database, Database]]
    wrong: list[str] = field(default_factory=list)

    def during(self, name: str, do: Callable[[], object], *, restarted: str = "") -> None:
        """Do something, and print what happened to new connections and to the channels meanwhile.

        Args:
            name: what is done.
            do: the function that does it.
            restarted: the site whose pods with sidecars restart one by one. A pod that restarts does not answer.
        """
        with ExitStack() as stack:
            tries = {
                way: stack.enter_context(
                    watched(self.stacks["dc2"].kubectl, namespace, account, whole(hosts) * 2, ask=bare.ASK)
                )
                for way, (namespace, account, hosts) in CLIENTS.items()
            }
            running = {way: pair for way, pair in self.pairs.items() if not (restarted and way == "sidecars")}
            writers = [stack.enter_context(bare.looping(a.site, a.inside, bare.WRITE)) for a, _ in running.values()]
            rows = {
                way: [stack.enter_context(bare.looping(of.site, of.inside, bare.WATCH)) for of in pair]
                for way, pair in running.items()
            }
            begun = time.time()
            do()
            took = time.time() - begun
            self._settle(running)
            pauses = {way: [int(end().split()[0]) for end in ends] for way, ends in rows.items()}
            assert [end() for end in writers] == ["ended"] * len(writers)
        away = starts(self.stacks["dc1"].kubectl, SIDECARS["dc1"], begun) if restarted == "dc1" else {}
        for way, tried in tries.items():
            self._judge(f"{name}, {took:.0f} s", way, tried, pauses.get(way), away if way == "sidecars" else {})
        if (rate := sum(tried.a_second for tried in tries.values())) < TRIES_A_SECOND:
            self.wrong.append(f"{name}: {rate:.1f} tries a second")
        for way, (source, copy) in self.pairs.items():
            self._caught_up(way, source, copy)

    def _settle(self, running: Mapping[str, Any]) -> None:
        """Wait until draining proxies have given up their connections."""
        time.sleep(OPEN_FOR)
        for site, (namespace, gateway) in GATEWAYS.items():
            where = (self.stacks[site].kubectl, "--namespace", namespace, f"deployment/{gateway}")
            eventually("nothing drains", lambda where=where: draining(*where) == 0, within=90)
        if "sidecars" in running:
            for site, namespace in SIDECARS.items():
                where = (self.stacks[site].kubectl, "--namespace", namespace, "db-0")
                eventually("nothing drains", lambda where=where: draining(*where) == 0, within=90)

    def _judge(self, name: str, way: str, tried: Tries, pauses: list[int] | None, away: Mapping[str, Span]) -> None:
        failed = [line for line in tried.failed if not at_one_that_starts(line, away)]
        print(
            f"{name}, by {way}: {len(tried.answered)} answered, {tried.a_second:.1f} a second, none for "
            f"{tried.longest_pause:.1f} s at most; {len(failed)} failed, and {len(tried.failed) - len(failed)} at pods "
            f"that started anew; no row at source and replica for {pauses} ms at most",
            flush=True,
        )
        if failed:
            self.wrong.append(f"{name}, by {way}: {failed}; pods were away {away}")
        if pauses and pauses[1] > 1000 * SECONDS_AWAY + pauses[0]:
            self.wrong.append(f"{name}, by {way}: no row at source and replica for {pauses} ms")

    def _caught_up(self, way: str, source: Database, copy: Database) -> None:
        rows = "SELECT COUNT(*), MAX(id) FROM watched.t"
        wanted = source(rows)
        eventually(f"{way}: dc2 has all rows", lambda: copy(rows, check=False) == wanted, within=60)


def starts(site: Kubectl, namespace: str, begun: float) -> dict[str, Span]:
    """Return when each pod of the database was away.

    The last pod restarts first, and each one when the next is ready.
    """
    found = json.loads(site("get", "pods", "--namespace", namespace, "--selector", "app=db", "--output", "json"))
    ready = {
        pod["metadata"]["name"]: datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
        for pod in found["items"]
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    last_first = sorted(ready, reverse=True)
    return dict(zip(last_first, pairwise([begun, *(ready[pod] for pod in last_first)]), strict=True))


def at_one_that_starts(line: str, away: Mapping[str, Span]) -> bool:
    """Tell whether a try failed at a pod while that one was away."""
    when, host, *_ = line.split()
    since, until = away.get(host.partition(".")[0], (0.0, 0.0))
    return since <= float(when) <= until + HEARD_OF


def whole(hosts: list[str]) -> list[str]:
    return [f"{host}.svc.cluster.local" for host in hosts]


@pytest.fixture(scope="module")
def load(stacks: dict[str, SiteStack]) -> Load:
    dc1, dc2 = (stack.kubectl for stack in stacks.values())
    sources = {"gateways": Database(dc1, bare.NAMESPACE, "db-0"), "sidecars": Database(dc1, "wookie", "db-0")}
    for source in sources.values():
        source("CREATE DATABASE watched; CREATE TABLE watched.t (id INT AUTO_INCREMENT PRIMARY KEY)")
    (host, *_) = whole(CLIENTS["gateways"][2])
    copies = {
        "gateways": bare.replica(dc2, COPIES, "default", host),
        "sidecars": Database(dc2, "wookie-dr", "db-0"),
    }
    for way, copy in copies.items():
        eventually(f"{way}: it follows", copy.follows, within=60)
    return Load(stacks, {way: (sources[way], copies[way]) for way in CLIENTS})


def documented(words: str) -> list[str]:
    """Return the kubectl command in docs/upgrades.md that contains these words."""
    lines = (ROOT / "docs" / "upgrades.md").read_text().splitlines()
    (command,) = [shlex.split(line.partition(" | ")[0]) for line in lines if "kubectl " in line and words in line]
    return command[1:]


def restart(site: Kubectl, namespace: str, what: str) -> None:
    """Restart pods with the document's command, in other namespaces."""
    *command, _ = documented(f" restart {what} ")
    site(*command, namespace)
    site("rollout", "status", what, "--namespace", namespace, "--timeout=180s")


def proxies(site: Kubectl) -> set[str]:
    """Return the versions of all proxies of a site, except those of the tests' own clients."""
    lines = site(*documented("get pods --all-namespaces")).splitlines()
    return {line.rpartition(":")[2] for line in lines if "proxyv2" in line and "/watch " not in line}


def lead(load: Load, stack: SiteStack, wanted: Istio) -> SiteStack:
    """Change a site to another version of Istio, and after that its pods with sidecars."""
    site = stack.stack
    with stack.edit() as config:
        config |= {"dcmesh:istio": on_istio(lab_config(), wanted)["dcmesh:istio"]}
    load.during(f"{site} to {wanted.line}", lambda: print(stack.up(), flush=True))
    sidecars = partial(restart, stack.kubectl, SIDECARS[site], "statefulset/db")
    load.during(f"sidecars of {site} restarted", sidecars, restarted=site)
    assert proxies(stack.kubectl) == {wanted.version}
    return stack


@pytest.mark.soak(
    proves=(
        "components/mesh/egress_gateway.py",
        "components/mesh/gateway.py",
        "components/mesh/istio.py",
        "components/mesh/istiod_unavailable.py",
    )
)
def test_istio_is_led_up_and_back(stacks: dict[str, SiteStack], load: Load, order: str) -> None:
    before = bare.state(stacks["dc1"].kubectl)
    load.during("nothing is done", partial(time.sleep, 10))
    *_, last = [lead(load, stacks[site], ISTIO) for site in ORDERS[order]]
    if order == "importing-first":
        lead(load, last, OLDER_ISTIO)
    else:
        for site, (namespace, gateway) in GATEWAYS.items():
            load.during(
                f"{gateway} restarted", partial(restart, stacks[site].kubectl, namespace, f"deployment/{gateway}")
            )
    for stack in stacks.values():
        stack.up("--expect-no-changes")
    assert bare.state(stacks["dc1"].kubectl) == before
    eventually("all is well", lambda: problems(stacks["dc2"]) == problems(stacks["dc1"]) == [], within=120)
    assert load.wrong == []
