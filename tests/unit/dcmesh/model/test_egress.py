"""Egress: ports that stay, and names that are of one host alone."""

from hypothesis import given
from hypothesis import strategies as st

from dcmesh.model.egress import PORTS, allot_ports, name_for

HOST = "db-0.db.wookie.svc.cluster.local"
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
HOSTS = st.builds("{}.{}.{}.svc.cluster.local".format, LABELS, LABELS, LABELS)


@given(st.sets(HOSTS, min_size=1, max_size=5), HOSTS)
def test_a_host_that_comes_or_goes_moves_no_other(hosts: set[str], other: str) -> None:
    before, after = allot_ports(hosts, {}), allot_ports(hosts | {other}, {})
    assert before.items() <= after.items()
    assert set(after.values()) <= set(PORTS)


def test_a_port_that_is_chosen_is_taken() -> None:
    assert allot_ports([HOST], {HOST: 20001}) == {HOST: 20001}


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
