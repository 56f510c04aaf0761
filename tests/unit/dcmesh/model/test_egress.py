"""Egress: ports that stay the same, and names that belong to one host only."""

from hypothesis import given
from hypothesis import strategies as st

from dcmesh.model.egress import PORTS, allot_ports, name_for

HOST = "db-0.db.wookie.svc.cluster.local"
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
HOSTS = st.builds("{}.{}.{}.svc.cluster.local".format, LABELS, LABELS, LABELS)


NUMBERS = st.integers(1, 65535)


@given(st.sets(HOSTS, min_size=1, max_size=5), HOSTS, NUMBERS, st.sets(NUMBERS, max_size=3))
def test_a_host_or_port_that_comes_or_goes_moves_no_other(
    hosts: set[str], other: str, first: int, more: set[int]
) -> None:
    before, after = allot_ports(hosts, [first], {}), allot_ports(hosts | {other}, [first, *(more - {first})], {})
    assert before.items() <= after.items()
    assert set(after.values()) <= set(PORTS)


def test_a_hosts_first_port_hangs_on_its_name_alone() -> None:
    """It did so before exports had several ports, and updating a stack must not move the port."""
    assert allot_ports([HOST], [3306], {})[HOST, 3306] == allot_ports([HOST], [5432], {})[HOST, 5432] == 25061


def test_a_port_that_is_chosen_is_taken() -> None:
    ports = allot_ports([HOST], [3306, 33060], {(HOST, 33060): 20001})
    assert ports == {**allot_ports([HOST], [3306], {}), (HOST, 33060): 20001}


def test_no_port_is_one_that_linux_gives_to_outgoing_connections() -> None:
    assert PORTS[-1] < 32768


@given(HOSTS)
def test_a_name_is_one_of_a_service(host: str) -> None:
    name = name_for(host)
    assert len(name) <= 63
    assert name[0].isalpha()
    assert "." not in name
    assert "--" not in name.rpartition("-")[0][-2:]


def test_hosts_of_one_pod_name_have_names_of_their_own() -> None:
    assert name_for(HOST) != name_for(HOST.replace("wookie", "other"))
    assert name_for(HOST).startswith("to-db-0-")
