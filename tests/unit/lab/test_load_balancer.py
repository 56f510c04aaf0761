"""The load balancer: which Service gets which address."""

from hypothesis import given
from hypothesis import strategies as st

from lab.load_balancer import Service, assign

POOL = ("10.0.0.100", "10.0.0.101", "10.0.0.102")


def service(name: str, created: str = "1", *, balanced: bool = True, wanted: str = "", holds: str = "") -> Service:
    return Service(created, "default", name, balanced, wanted, (holds,) if holds else ())


def assigned(*services: Service, pool: tuple[str, ...] = POOL) -> dict[str, tuple[str, ...]]:
    return {s.name: addresses for s, addresses in assign(pool, services).items()}


def test_the_oldest_gets_the_first_address() -> None:
    assert assigned(service("young", "2"), service("old", "1")) == {"old": POOL[:1], "young": POOL[1:2]}


def test_a_service_keeps_its_address_whatever_comes() -> None:
    kept = service("kept", "2", holds=POOL[0])
    assert assigned(kept, service("older", "1"), service("asks", "1", wanted=POOL[0]))["kept"] == POOL[:1]


def test_a_wanted_address_of_the_pool_is_given() -> None:
    assert assigned(service("asks", wanted=POOL[2])) == {"asks": POOL[2:]}


def test_who_asks_comes_before_who_does_not_care() -> None:
    assert assigned(service("any", "1"), service("asks", "2", wanted=POOL[0])) == {"any": POOL[1:2], "asks": POOL[:1]}


def test_a_wanted_address_outside_the_pool_or_taken_is_replaced() -> None:
    taken = service("has", holds=POOL[0])
    assert assigned(taken, service("asks", wanted="192.0.2.1"))["asks"] == POOL[1:2]
    assert assigned(taken, service("asks", wanted=POOL[0]))["asks"] == POOL[1:2]


def test_a_service_that_comes_to_ask_for_another_address_moves() -> None:
    assert assigned(service("moves", holds=POOL[0], wanted=POOL[1])) == {"moves": POOL[1:2]}


def test_another_type_releases_the_address() -> None:
    changed = service("changed", balanced=False, holds=POOL[0])
    assert assigned(changed, service("next")) == {"changed": (), "next": POOL[:1]}


def test_an_address_of_no_pool_is_replaced() -> None:
    assert assigned(service("old", holds="192.0.2.1")) == {"old": POOL[:1]}


def test_of_two_that_hold_one_address_the_older_keeps_it() -> None:
    assert assigned(service("b", "2", holds=POOL[0]), service("a", "1", holds=POOL[0])) == {
        "a": POOL[:1],
        "b": POOL[1:2],
    }


def test_an_empty_pool_leaves_services_waiting() -> None:
    assert assigned(service("a", "1"), service("b", "2"), pool=POOL[:1]) == {"a": POOL[:1], "b": ()}


services = st.lists(
    st.builds(
        service,
        st.text("abcdef", min_size=1, max_size=2),
        st.sampled_from("123"),
        balanced=st.booleans(),
        wanted=st.sampled_from(("", *POOL, "192.0.2.1")),
        holds=st.sampled_from(("", *POOL, "192.0.2.1")),
    ),
    max_size=6,
    unique_by=lambda s: s.name,
)


@given(services)
def test_no_address_is_given_twice_and_none_is_held_back(found: list[Service]) -> None:
    result = assign(POOL, found)
    given_out = [address for addresses in result.values() for address in addresses]
    assert set(result) == set(found)
    assert len(given_out) == len(set(given_out)) == min(len(POOL), sum(s.balanced for s in found))
    assert set(given_out) <= set(POOL)


@given(services)
def test_a_second_look_changes_nothing(found: list[Service]) -> None:
    first = assign(POOL, found)
    after = {s: Service(s.created, s.namespace, s.name, s.balanced, "", a) for s, a in first.items()}
    assert {s.name: a for s, a in assign(POOL, after.values()).items()} == {s.name: a for s, a in first.items()}
