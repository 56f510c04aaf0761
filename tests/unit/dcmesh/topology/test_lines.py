"""The lines that are drawn between sites."""

from dataclasses import replace

from dcmesh.model.facts import State
from dcmesh.status.hosts import Answer
from dcmesh.status.sites import SiteStatus, Status
from dcmesh.topology.lines import Line, pairs_of
from tests.unit.statuses import DB0, DB1, LONG_HOST, host, replica, two_sites

EGRESS = "wookie-dr/dcmesh-egress"


def drawn(status: Status) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """Return each pair of sites with its lines."""
    return [
        (pair.left, pair.right, [(line.site, line.consumer, line.source) for line in pair.lines])
        for pair in pairs_of(status)
    ]


def lines(status: Status) -> list[Line]:
    return [line for pair in pairs_of(status) for line in pair.lines]


def test_each_consumer_has_a_line_and_those_to_the_left_come_first() -> None:
    assert drawn(two_sites()) == [
        (
            "dc1",
            "dc2",
            [
                ("dc2", EGRESS, "dc1"),
                ("dc2", "orders/importer", "dc1"),
                ("dc1", "reports/dcmesh-egress", "dc2"),
            ],
        )
    ]


def test_a_line_has_the_state_of_its_hosts_and_the_databases_that_follow_by_it() -> None:
    by_egress, by_sidecar, back = lines(two_sites(broken=True))
    assert (by_egress.state, by_sidecar.state, back.state) == (State.CRITICAL, State.OK, State.OK)
    assert [[server.name for server in line.replicas] for line in (by_egress, by_sidecar, back)] == [
        ["wookie-dr/db-0"],
        ["orders/cluster1-pxc-0"],
        [],
    ]


def test_a_database_is_drawn_once_though_two_consumers_reach_its_source() -> None:
    facts = (host(consumer="a/a"), host(consumer="b/b"), replica())
    first, second = lines(Status(sites=(SiteStatus(name="dc2", facts=facts),)))
    assert [len(line.replicas) for line in (first, second)] == [1, 0]


def test_a_database_that_follows_one_of_its_own_site_crosses_nothing() -> None:
    facts = (host(host=DB1), replica(source=DB0), replica(source=""))
    (line,) = lines(Status(sites=(SiteStatus(name="dc2", facts=facts),)))
    assert line.replicas == ()


def test_consumers_of_another_stack_are_drawn_and_not_asked() -> None:
    dc1, _ = two_sites().sites
    alone = Status(sites=(dc1,))
    assert drawn(alone) == drawn(two_sites())
    assert [line.state for line in lines(alone)] == [None, None, State.OK]
    assert lines(alone)[0].gateways == ("192.0.2.1:15443",)


def test_consumers_of_a_site_that_cannot_be_reached_or_is_lost_are_drawn_and_not_asked() -> None:
    dc1, dc2 = two_sites().sites
    for gone in (replace(dc2, facts=(), unreachable="refused"), replace(dc2, facts=(), lost=True)):
        found = lines(Status(sites=(dc1, gone)))
        assert {(line.site, line.consumer): line.state for line in found} == {
            ("dc2", EGRESS): None,
            ("dc2", "orders/importer"): None,
            ("dc1", "reports/dcmesh-egress"): State.OK,
        }


def test_who_may_connect_and_does_not_import_has_no_line() -> None:
    dc1, dc2 = two_sites().sites
    idle = replace(dc2, facts=())
    assert [line.site for line in lines(Status(sites=(dc1, idle)))] == ["dc1"]


def test_sites_of_other_stacks_are_to_the_right() -> None:
    facts = (host(site="dc2", source="a"), host(site="dc2", source="z", host=LONG_HOST))
    assert [pair[:2] for pair in drawn(Status(sites=(SiteStatus(name="dc2", facts=facts),)))] == [
        ("dc2", "a"),
        ("dc2", "z"),
    ]


def test_a_host_that_is_not_asked_is_unknown() -> None:
    facts = (host(unknown="no pod", answer=None), host(host=DB1, answer=Answer(ok=True, text="greeting")))
    (line,) = lines(Status(sites=(SiteStatus(name="dc2", facts=facts),)))
    assert line.state == State.UNKNOWN
