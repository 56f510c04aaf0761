"""Facts and the problems that follow from them."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dcmesh.model.facts import Fact, Problem, State, worst
from dcmesh.status.certificates import root_problems
from dcmesh.status.gateways import Refusal
from dcmesh.status.hosts import Answer
from dcmesh.status.sites import SiteStatus, Status
from tests.unit.statuses import DB0, DB1, IDENTITY, certificate, gateway, host, primary, replica

OK, WARNING, CRITICAL, UNKNOWN = State.OK, State.WARNING, State.CRITICAL, State.UNKNOWN


def judged(fact: Fact) -> list[tuple[State, str]]:
    return [(problem.state, problem.text) for problem in fact.problems]


def test_states_are_exit_codes_of_the_monitoring_plugins() -> None:
    assert [int(state) for state in (OK, WARNING, CRITICAL, UNKNOWN)] == [0, 1, 2, 3]


def test_what_is_broken_weighs_more_than_what_cannot_be_known() -> None:
    order = [OK, WARNING, UNKNOWN, CRITICAL]
    for low, high in itertools.combinations_with_replacement(order, 2):
        assert worst([low, high]) == worst([high, low]) == high
    assert worst([]) == OK


@pytest.mark.parametrize(
    "fact", [gateway(), certificate(), host(), replica(), primary()], ids=lambda f: type(f).__name__
)
def test_all_is_well(fact: Fact) -> None:
    assert judged(fact) == []
    assert fact.state == OK
    assert fact.as_json()["state"] == "ok"


@pytest.mark.parametrize("fact", [gateway, certificate, host, replica, primary])
def test_what_cannot_be_asked_is_unknown_whatever_else_the_fact_says(fact: Any) -> None:
    unknown = fact(unknown="403 Forbidden", ready=0) if fact is gateway else fact(unknown="403 Forbidden")
    ((state, text),) = judged(unknown)
    assert (state, unknown.state) == (UNKNOWN, UNKNOWN)
    assert text.startswith(unknown.site)
    assert text.endswith(": 403 Forbidden")


RISK = (
    "it goes on with what it had before, and its next restart stops all links. "
    "`python -m dcmesh doctor` names the cause"
)


@pytest.mark.parametrize(
    ("changes", "state", "text"),
    [
        ({"ready": 0}, CRITICAL, "dc1 gateway: no pod is ready, 2 wanted"),
        ({"ready": 0, "wanted": 0}, CRITICAL, "dc1 gateway: no pod is ready, 0 wanted"),
        ({"ready": 1}, WARNING, "dc1 gateway: 1 of 2 pods are ready"),
        (
            {"addresses": ("192.0.2.9",)},
            CRITICAL,
            "dc1 gateway: importers are told 192.0.2.1, its Service has 192.0.2.9: run `pulumi up --refresh`",
        ),
        (
            {"addresses": ()},
            CRITICAL,
            "dc1 gateway: importers are told 192.0.2.1, its Service has no address: run `pulumi up --refresh`",
        ),
        (
            {"addresses": ("192.0.2.1", "192.0.2.9")},
            WARNING,
            "dc1 gateway: importers are not told of 192.0.2.9: run `pulumi up --refresh`",
        ),
        (
            {"refusals": (Refusal(pod="a/gateway-1", of="listeners", details="twice"),)},
            CRITICAL,
            f"dc1 gateway: the Envoy of a/gateway-1 refuses the listeners that istiod has sent last: twice: {RISK}",
        ),
        (
            {"refusals": (Refusal(pod="a/gateway-1", of="clusters"),)},
            WARNING,
            f"dc1 gateway: the Envoy of a/gateway-1 refuses the clusters that istiod has sent last: {RISK}",
        ),
        (
            {"unasked": "403 Forbidden"},
            UNKNOWN,
            "dc1 gateway: its Envoys cannot be asked what they refuse: 403 Forbidden",
        ),
        ({"told_port": 443}, CRITICAL, "dc1 gateway: importers are told port 443, which its Service has not"),
    ],
)
def test_gateway(changes: dict[str, Any], state: State, text: str) -> None:
    assert judged(gateway(**changes)) == [(state, text)]


def test_a_gateway_that_has_not_come_up_for_it_says_so_first() -> None:
    refusal = Refusal(pod="istio-system/gateway-1", of="listeners", details="duplicate matcher")
    first, second = judged(gateway(ready=0, refusals=(refusal,)))
    assert first[1].endswith("duplicate matcher: no link works. `python -m dcmesh doctor` names the cause")
    assert second[1] == "dc1 gateway: no pod is ready, 2 wanted"


def test_an_advertised_address_need_not_be_the_services() -> None:
    assert judged(gateway(addresses=("10.0.0.1",), told_port=443, advertised=True)) == []


def test_the_order_of_addresses_does_not_matter() -> None:
    assert judged(gateway(addresses=("b", "a"), told_addresses=("a", "b"))) == []


DAY = timedelta(days=1)


@pytest.mark.parametrize("kind", ["root", "intermediate"])
@pytest.mark.parametrize(
    ("left", "state", "text"),
    [
        (90 * DAY, None, ""),
        (89 * DAY, WARNING, "expires in 89 days, 2027-02-20 09:00 UTC"),
        (timedelta(seconds=0), CRITICAL, "expired 2026-11-23 09:00 UTC"),
        (-DAY, CRITICAL, "expired 2026-11-22 09:00 UTC"),
    ],
)
def test_authorities(kind: str, left: timedelta, state: State | None, text: str) -> None:
    wanted = [(state, f"dc1 certificate of {kind} Intermediate CA dc1: {text}")] if state is not None else []
    assert judged(certificate(left, kind=kind)) == wanted


@pytest.mark.parametrize(
    ("left", "state"),
    [(timedelta(hours=12), OK), (timedelta(hours=6), OK), (timedelta(hours=5), WARNING), (timedelta(), CRITICAL)],
)
def test_pods_certificates_are_short_and_renewed_by_half(left: timedelta, state: State) -> None:
    assert certificate(left, DAY, kind="pod").state == state


@pytest.mark.parametrize(
    ("roots", "fine"),
    [
        ([("dc1", "a")], True),
        ([("dc1", "a"), ("dc2", "a")], True),
        ([("dc1", "a"), ("dc2", "b")], False),
        ([("dc1", "a"), ("dc1", "b"), ("dc2", "b")], True),  # One is replacing the other.
        ([("dc1", "a"), ("dc1", "b"), ("dc2", "b"), ("dc3", "a")], False),
    ],
)
def test_sites_share_a_root(roots: list[tuple[str, str]], fine: bool) -> None:
    found = [certificate(site=site, kind="root", fingerprint=mark) for site, mark in roots]
    others = [certificate(site="dc9", fingerprint="z"), certificate(site="dc8", kind="root", fingerprint=None)]
    sites = ", ".join(dict.fromkeys(site for site, _ in roots))
    problem = Problem(state=CRITICAL, text=f"{sites} have no root certificate in common")
    assert root_problems([*found, *others]) == (() if fine else (problem,))


ASKED = f"dc2 wookie-dr/db to {DB0}:3306"


@pytest.mark.parametrize(
    ("changes", "state", "text"),
    [
        ({"answer": Answer(ok=False, text="no answer in 3 s")}, CRITICAL, "no answer in 3 s"),
        ({"accepted": None}, UNKNOWN, "the sidecar does not say whom it takes for the host"),
        ({"accepted": ()}, CRITICAL, f"the sidecar accepts anybody instead of {IDENTITY}"),
        ({"accepted": ("spiffe://x",)}, CRITICAL, f"the sidecar accepts spiffe://x instead of {IDENTITY}"),
        (
            {"accepted": (IDENTITY, "spiffe://x")},
            CRITICAL,
            f"the sidecar accepts {IDENTITY} spiffe://x instead of {IDENTITY}",
        ),
    ],
)
def test_host(changes: dict[str, Any], state: State, text: str) -> None:
    assert judged(host(**changes)) == [(state, f"{ASKED}: {text}")]


def test_that_a_consumer_cannot_ask_is_one_problem_and_not_one_a_host() -> None:
    hosts = tuple(host(host=name, unknown="no pod") for name in (DB0, DB1))
    (problem,) = Status(sites=(SiteStatus(name="dc2", facts=hosts),)).problems
    assert problem == Problem(state=UNKNOWN, text="dc2 wookie-dr/db to hosts of dc1: no pod")


@pytest.mark.parametrize(
    ("fact", "state", "text"),
    [
        (replica(down="does not run: CrashLoopBackOff"), CRITICAL, "does not run: CrashLoopBackOff"),
        (replica(running=False), CRITICAL, f"does not replicate from {DB0}: it was stopped"),
        (replica(running=False, last_error="Lost\tit"), CRITICAL, f"does not replicate from {DB0}: Lost\tit"),
        (replica(source="", running=False), CRITICAL, f"follows nobody instead of {DB0}"),
        (replica(source=DB1), CRITICAL, f"follows {DB1} instead of {DB0}"),
        (replica(read_only=False), CRITICAL, "takes writes, and should be a replica"),
        (
            replica(running=False, extra="0-1-8 to 0-1-9"),
            CRITICAL,
            "has transactions that its source has not, and does not follow: 0-1-8 to 0-1-9",
        ),
        (replica(seconds_behind=61), WARNING, f"is 61 seconds behind {DB0}"),
        (replica(seconds_behind=6, max_lag=5), WARNING, f"is 6 seconds behind {DB0}"),
    ],
)
def test_replica(fact: Fact, state: State, text: str) -> None:
    assert judged(fact) == [(state, f"dc2 database wookie-dr/db-0: {text}")]


@pytest.mark.parametrize(("own", "source"), [("10.11", "11.8"), ("9.9", "10.1"), ("11.4", "11.8")])
def test_a_replica_that_is_older_than_its_source_is_warned_of(own: str, source: str) -> None:
    ((state, text),) = judged(replica(version=own, source_version=source))
    why = "which may stop it or give it other data"
    wanted = f"is MariaDB {own} and follows {source}, {why}: set an image of {source} or newer"
    assert (state, text) == (WARNING, f"dc2 database wookie-dr/db-0: {wanted}")


@pytest.mark.parametrize(("own", "source"), [("11.8", "10.11"), ("10.11", "10.11"), ("10.11", ""), ("", "11.8")])
def test_a_replica_may_be_newer_than_its_source(own: str, source: str) -> None:
    assert judged(replica(version=own, source_version=source)) == []


@pytest.mark.parametrize("behind", [0, 60, None])
def test_a_replica_may_be_a_little_behind(behind: int | None) -> None:
    assert judged(replica(seconds_behind=behind)) == []


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"down": "does not answer"}, ["does not answer"]),
        ({"read_only": True, "waits_for": "read-only until dc2 says"}, ["read-only until dc2 says"]),
        ({"read_only": True}, ["is read-only, and should be the primary"]),
        ({"source": DB1}, [f"follows {DB1}, and should be the primary"]),
    ],
)
def test_primary(changes: dict[str, Any], texts: list[str]) -> None:
    assert judged(primary(**changes)) == [(CRITICAL, f"dc1 database wookie/db-0: {text}") for text in texts]


@pytest.mark.parametrize("server", [primary, replica])
def test_a_volume_that_fills_up_is_warned_of(server: Callable[..., Fact]) -> None:
    assert judged(server(volume_used=89)) == []
    ((state, text),) = judged(server(volume_used=90))
    wanted = "its volume is 90 % full: give it more room (storage.size, where it has one), or lower "
    wanted += "settings.binlog_expire_logs_seconds"
    assert (state, text.endswith(f": {wanted}")) == (WARNING, True)


def test_the_worst_comes_first_and_causes_before_what_follows() -> None:
    dc2 = SiteStatus(
        name="dc2", pending=("dc3",), facts=(replica(running=False), host(answer=Answer(ok=False, text="no")))
    )
    dc1 = SiteStatus(name="dc1", facts=(gateway(ready=0), certificate(29 * DAY)))
    gone = SiteStatus(name="dc4", unreachable="Connection refused")
    status = Status(sites=(dc2, dc1, gone))
    assert [problem.text.partition(":")[0] for problem in status.problems] == [
        "dc1 gateway",
        f"dc2 wookie-dr/db to {DB0}",
        "dc2 database wookie-dr/db-0",
        "dc4",
        "dc2",
        "dc1 certificate of intermediate Intermediate CA dc1",
    ]
    assert (status.state, dc1.state, dc2.state, gone.state) == (CRITICAL, CRITICAL, CRITICAL, UNKNOWN)


def test_a_stack_that_cannot_be_read_is_unknown() -> None:
    status = Status(unreadable="no stack selected")
    assert status.as_json() == {
        "state": "unknown",
        "asked": None,
        "problems": [{"state": "unknown", "text": "no stack selected"}],
        "sites": {},
    }
