"""Passwords: both ends of a channel have the same one, wherever they are, and nobody can read it."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components.databases.generated_password import generated_password
from components.databases.passwords import ReplicationPasswords, ReplicationPasswordsArgs
from dcmesh.model.link import Link, LinkGateway
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from tests.unit.configurations import LINK, stack
from tests.unit.engine import Engine, readable_strings

GIVEN = "given-to-both-1"
STACK = "organization/dcmesh/dc1"
TOLD = {"replicationPasswords": {"dc1": {"db": "told-by-dc1-12"}}}


def link(site: str) -> Link:
    return Link(site=site, gateway=LinkGateway(addresses=("192.0.2.1",)), exports=())


def database(site: str, source: str | None = None, **keys: Any) -> dict[str, Any]:
    """Return a site with a database that is exported as `db`, and another one that is not exported."""
    namespace = f"of-{site}"
    follows = {"replicates": {"from": source, "export": "db"}} if source else {}
    export = {
        "name": "db",
        "namespace": namespace,
        "replicas": 1,
        "port": 3306,
        "serviceAccount": "db",
        "selector": {"app": "db"},
        "consumers": [{"site": "dc9", "namespace": "n", "serviceAccount": "db"}],
    }
    return {
        "name": site,
        "cluster": "k3d",
        "workloads": [
            {"kind": "mariadb", "namespace": namespace, **follows, **keys},
            {"kind": "mariadb", "namespace": "private"},
            {"kind": "hello", "namespace": "demo"},
        ],
        "exports": [export, export | {"name": "hello", "namespace": "demo", "statefulSet": "hello"}],
    }


def passwords(
    engine: Engine,
    *sites: dict[str, Any],
    peers: list[dict[str, Any]] | None = None,
    there: bool = True,
) -> dict[str, Any]:
    """Return each database's password by site and namespace. The output `by_export` has those of exports."""
    settings = Settings.model_validate({"sites": list(sites), "peers": peers or []})
    plan = plan_of(settings, {peer.name: link(peer.name) for peer in settings.peers} if there else {})

    def program() -> None:
        found = ReplicationPasswords(
            "passwords", ReplicationPasswordsArgs(settings=settings, plan=plan, project="dcmesh")
        )
        pulumi.export("by_export", found.by_export)
        for site in plan.sites:
            for database in site.databases:
                pulumi.export(f"{site.name}/{database.namespace}", found.of(database))

    outputs = engine.run(program).outputs
    return {key: value for key, value in outputs.items() if key != "by_export"}


def test_a_given_password_is_taken(engine: Engine) -> None:
    assert passwords(engine, database("dc1", replicationPassword=GIVEN))["dc1/of-dc1"] == GIVEN
    assert engine.one("PrivateKey").name == "passwords.dc1.private", "none is generated for it"


def test_primaries_have_passwords_of_their_own_that_stay(engine: Engine) -> None:
    found = passwords(engine, database("dc1"), database("dc2"))
    assert len({*found.values()}) == 4
    assert found == passwords(Engine(), database("dc2"), database("dc1"))


def test_a_generated_password_is_one_that_could_be_given(engine: Engine) -> None:
    """MySQL allows at most 32 characters for a channel's password."""
    found = passwords(engine, database("dc1"))["dc1/of-dc1"]
    assert passwords(Engine(), database("dc1", replicationPassword=found))["dc1/of-dc1"] == found
    assert len(found) == 32


@pytest.mark.parametrize("keys", [{}, {"replicationPassword": GIVEN}], ids=["generated", "given"])
@pytest.mark.parametrize("order", [("dc1", "dc2", "dc3"), ("dc3", "dc2", "dc1")], ids=" ".join)
def test_replicas_have_that_of_their_source_also_of_a_source_that_follows_another(
    engine: Engine, keys: dict[str, str], order: tuple[str, ...]
) -> None:
    sites = {"dc1": database("dc1", **keys), "dc2": database("dc2", "dc1"), "dc3": database("dc3", "dc2")}
    found = passwords(engine, *(sites[name] for name in order))
    assert found["dc3/of-dc3"] == found["dc2/of-dc2"] == found["dc1/of-dc1"]
    assert len({found[f"{site}/private"] for site in sites} | {found["dc1/of-dc1"]}) == 4


@pytest.mark.parametrize("given", [None, "dc1", "dc2"], ids=["generated", "given in dc1", "given in dc2"])
@pytest.mark.parametrize("order", [("dc1", "dc2"), ("dc2", "dc1")], ids=" ".join)
def test_two_that_replicate_each_other_have_one_password(
    engine: Engine, given: str | None, order: tuple[str, ...]
) -> None:
    """The password is given at either end, or generated once."""
    keys = {given: {"replicationPassword": GIVEN}} if given else {}
    ends = {"dc1": "dc2", "dc2": "dc1"}
    found = passwords(engine, *(database(site, ends[site], **keys.get(site, {})) for site in order))
    assert found["dc1/of-dc1"] == found["dc2/of-dc2"]
    assert (found["dc1/of-dc1"] == GIVEN) is bool(given)
    assert len(engine.kind("PrivateKey")) == (2 if given else 3), "one more for each private database"
    assert engine.outputs["by_export"].keys() == {"dc1", "dc2"}


@pytest.mark.parametrize(
    ("peer", "stack_name"),
    [({"name": "dc1"}, STACK), ({"name": "dc1", "stack": "acme/other/primary"}, "acme/other/primary")],
    ids=["by name", "by stack"],
)
def test_a_replica_asks_the_stack_of_its_source(peer: dict[str, str], stack_name: str) -> None:
    engine = Engine(stacks={stack_name: TOLD})
    found = passwords(engine, database("dc2", "dc1"), database("dc3", "dc2"), peers=[peer])
    assert found["dc2/of-dc2"] == found["dc3/of-dc3"] == "told-by-dc1-12"


def test_nobody_is_asked_for_what_is_given(engine: Engine) -> None:
    peers = [{"name": "dc1", "link": LINK["dc1"]}]
    assert passwords(engine, database("dc2", "dc1", replicationPassword=GIVEN), peers=peers)["dc2/of-dc2"] == GIVEN


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"replicationPasswords": {}},
        {"replicationPasswords": {"dc1": {}}},
        {"replicationPasswords": {"dc1": {"other": "told-by-dc1-12"}, "dc2": {"db": "told-by-dc1-12"}}},
        {"replicationPasswords": {"dc1": {"db": {}}}},
        {"replicationPasswords": {"dc1": {"db": None}}},
    ],
    ids=["never up", "no database", "not exported", "another export", "undecryptable", "null"],
)
def test_a_stack_that_does_not_tell_the_password_is_named_with_what_to_do(outputs: Mapping[str, Any]) -> None:
    engine = Engine(stacks={STACK: outputs})
    with pytest.raises(pulumi.RunError) as caught:
        passwords(engine, database("dc2", "dc1"), peers=[{"name": "dc1"}])
    said = str(caught.value)
    for words in ("dc1/db", f"'{STACK}'", "`pulumi up`", "passphrase", "replicationPassword"):
        assert words in said
    assert "told" not in said


def test_while_its_source_is_not_there_a_replica_has_none_and_stops_nothing() -> None:
    """The source's stack was never up.

    This also holds if the replica itself is exported, and followed in this stack.
    """
    engine = Engine(stacks={STACK: {}})
    found = passwords(engine, database("dc2", "dc1"), database("dc3", "dc2"), peers=[{"name": "dc1"}], there=False)
    assert (found["dc2/of-dc2"], found["dc3/of-dc3"]) == (None, None)
    assert engine.outputs["by_export"] == {}
    assert found["dc2/private"]


# --- who gets to see them --------------------------------------------------------------------------------------------


def test_passwords_of_exported_databases_are_told_and_no_others(engine: Engine) -> None:
    found = passwords(engine, database("dc1"), database("dc2", "dc1"))
    assert engine.outputs["by_export"] == {
        "dc1": {"db": found["dc1/of-dc1"]},
        "dc2": {"db": found["dc1/of-dc1"]},
    }


def test_sites_without_exported_databases_tell_nothing(engine: Engine) -> None:
    passwords(engine, database("dc1") | {"exports": []})
    assert engine.outputs["by_export"] == {}


def test_passwords_are_secret_even_if_they_were_not_there() -> None:
    engine = Engine(stacks={STACK: TOLD})
    sites = [database("dc2", "dc1"), database("dc3", replicationPassword=GIVEN), database("dc4")]
    found = passwords(engine, *sites, peers=[{"name": "dc1"}])
    assert engine.secret_outputs == {*found, "by_export"}
    readable = [*readable_strings(engine.raw_outputs)]
    readable += [text for resource in engine.asked.values() for text in readable_strings(resource.raw)]
    assert not [text for text in readable for password in found.values() if password in text]


def test_a_password_is_made_of_a_key_that_stays(engine: Engine) -> None:
    def program() -> None:
        pulumi.export("password", generated_password("password", pulumi.ComponentResource("dcmesh:a:A", "a")))

    engine.run(program)
    assert engine.one("PrivateKey").inputs == {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
    assert engine.secret_outputs == {"password"}
    assert engine.outputs["password"] not in str(engine.one("PrivateKey").raw)


def test_both_ends_of_the_example_have_one_password(engine: Engine) -> None:
    settings = Settings.model_validate(stack("mariadb"))
    plan = plan_of(settings, {})

    def program() -> None:
        found = ReplicationPasswords(
            "passwords", ReplicationPasswordsArgs(settings=settings, plan=plan, project="dcmesh")
        )
        for site in plan.sites:
            (database,) = site.databases
            pulumi.export(site.name, found.of(database))

    engine.run(program)
    assert engine.outputs["dc1"] == engine.outputs["dc2"]
