"""Reading a configuration: the cost of each additional database. It is counted in function calls, as on any machine."""

import gc
import sys
from typing import Any

import pytest

from tests.unit.configurations import parse


def databases(count: int, *, each_other: bool = False) -> dict[str, Any]:
    """Return a stack with this many databases in dc1 that are replicated in dc2, and perhaps also the other way."""
    names = [f"db{number}" for number in range(count)]
    sites: list[dict[str, Any]] = [
        {"name": site, "cluster": "k3d", "workloads": [], "exports": [], "imports": []} for site in ("dc1", "dc2")
    ]
    for site, other in (sites, sites[::-1]):
        exporting = each_other or site["name"] == "dc1"
        for name in names:
            own, theirs = f"{name}-{site['name']}", f"{name}-{other['name']}"
            workload: dict[str, Any] = {"kind": "mariadb", "namespace": own}
            if exporting:
                site["exports"].append(
                    {
                        "name": name,
                        "namespace": own,
                        "statefulSet": "db",
                        "replicas": 3,
                        "port": 3306,
                        "serviceAccount": "db",
                        "selector": {"app": "db"},
                        "consumers": [{"site": other["name"], "namespace": theirs, "serviceAccount": "db"}],
                    }
                )
            if each_other or not exporting:
                workload["replicates"] = {"from": other["name"], "export": name}
                imported = {"from": other["name"], "export": name, "namespace": own, "serviceAccount": "db"}
                site["imports"].append(imported)
            site["workloads"].append(workload)
    return {"sites": sites, **({"primary": "dc1"} if each_other else {})}


def calls(raw: dict[str, Any]) -> int:
    """Return how many functions are called while a configuration is read and checked.

    Other tests' garbage calls functions when it is collected. So it is collected before.
    """
    made = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    gc.collect()
    gc.disable()
    sys.setprofile(count)
    try:
        parse(raw)
    finally:
        sys.setprofile(before)
        gc.enable()
    return made


@pytest.mark.parametrize("each_other", [False, True])
def test_each_further_database_costs_the_same(each_other: bool) -> None:
    parse(databases(1, each_other=each_other))
    one, two, three = (calls(databases(count, each_other=each_other)) for count in (20, 40, 60))
    assert three - two == pytest.approx(two - one, rel=0.05)


class Litter:
    """Garbage that calls a function when it is collected."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        len("")


def test_garbage_of_others_is_not_counted() -> None:
    clean = calls(databases(20))
    for _ in range(500):
        Litter()
    assert calls(databases(20)) == clean
