"""The configuration as a whole: right ones are accepted, all errors come at once, and no secret is shown."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmesh import config
from dcmesh.config import setting_paths
from dcmesh.model.link import ExportedPort, Link, LinkGateway
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from tests.unit.certificates import intermediate, provided
from tests.unit.configurations import GONE, HEADING, LINK, changed, errors, parse, read_file, read_stack, stack

AT_EXPORT, AT_IMPORT = "sites[0].exports[0]", "sites[1].imports[0]"


@pytest.fixture(autouse=True)
def without_k3d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)


def places(raw: dict[str, Any]) -> list[str]:
    """Return where a configuration is wrong."""
    return [line.partition(": ")[0] for line in errors(raw)]


# --- what is right ---------------------------------------------------------------------------------------------------


def test_stack_dev() -> None:
    settings = parse(stack("dev"))
    exporter, importer = settings.sites
    (export,), (imported,) = exporter.exports, importer.imports
    assert (exporter.name, imported.from_, imported.export) == ("dc1", "dc1", export.name)
    assert (imported.namespace, imported.service_account) == (
        export.consumers[0].namespace,
        export.consumers[0].service_account,
    )


def test_defaults_of_an_export() -> None:
    raw = stack("dev")
    export = parse(raw).sites[0].exports[0]
    assert (export.stateful_set_name, export.service_name) == ("hello", "hello")
    assert export.hosts == tuple(f"hello-{n}.hello.demo.svc.cluster.local" for n in range(3))
    export = parse(stack("dc1")).sites[0].exports[0]
    assert (export.stateful_set_name, export.service_name) == ("db-pxc", "db-pxc")


@pytest.mark.parametrize(
    ("cluster", "made_by", "throw_away"),
    [
        ("k3d", "k3d", True),
        ({"create": "a", "kubeconfig": "b", "delete": "c"}, "commands", False),
        ({"create": "a", "kubeconfig": "b", "delete": "c", "throwAway": True}, "commands", True),
        ({"kubeconfig": "~/.kube/dc1"}, None, False),
    ],
)
def test_what_makes_a_cluster(cluster: Any, made_by: str | None, throw_away: bool) -> None:
    site = parse(changed("dev", {"sites[0].cluster": cluster})).sites[0]
    assert (site.made_by, site.throw_away) == (made_by, throw_away)


def test_the_labs_stack_is_the_demo_on_clusters_of_its_own() -> None:
    def without_clusters(name: str) -> list[dict[str, Any]]:
        return [{**site, "cluster": None} for site in stack(name)["sites"]]

    assert without_clusters("lab") == without_clusters("dev")


@pytest.mark.parametrize("name", ["dev", "mariadb", "dc1", "dc2-literal-link", "on-premises-metallb", "trust"])
def test_defaults_are_right_themselves(name: str) -> None:
    settings = parse(stack(name))
    assert parse(settings.model_dump(by_alias=True)) == settings


def test_trust_is_generated_unless_it_says_otherwise() -> None:
    assert parse(changed("dev", {"trust": {"organization": "Example Corp"}})).trust.source == "generated"
    assert parse(stack("dev")).trust.source == "generated"


def test_a_top_level_key_without_value_is_as_if_it_were_not_there() -> None:
    assert parse(changed("dev", {"peers": None, "istio": None})) == parse(changed("dev", {"istio": GONE}))


def test_an_export_of_a_stateful_set_that_is_not_ours_may_be_anything() -> None:
    changes = {f"{AT_EXPORT}.replicas": 9, f"{AT_EXPORT}.statefulSet": "other", f"{AT_EXPORT}.port": 1}
    assert errors(changed("dev", changes)) == []


def test_same_namespace_with_another_service_is_no_collision() -> None:
    changes = {"sites[1].workloads[0]": {"kind": "hello", "namespace": "demo", "name": "other"}}
    assert errors(changed("dev", changes)) == []


def test_gateway_settings_of_a_site_without_exports_are_fine() -> None:
    assert errors(changed("dev", {"sites[1].gateway": {"exposure": "metallb", "replicas": 3}})) == []


def test_imports_for_several_accounts_and_namespaces() -> None:
    consumer = {"site": "dc2", "namespace": "demo-dr", "serviceAccount": "client"}
    others = [consumer | {"namespace": "other"}, consumer | {"serviceAccount": "other"}]
    imports = [{"from": "dc1", "export": "hello", **{k: c[k] for k in ("namespace", "serviceAccount")}} for c in others]
    changes = {f"{AT_EXPORT}.consumers[1]": others[0], f"{AT_EXPORT}.consumers[2]": others[1]}
    changes |= {"sites[1].imports[1]": imports[0], "sites[1].imports[2]": imports[1]}
    assert errors(changed("dev", changes)) == []


@pytest.mark.parametrize("outputs", [{}, {"link": {}}, {"link": {"dc0": {}}}])
def test_an_import_waits_for_a_link_that_is_not_there_yet(outputs: dict[str, Any]) -> None:
    settings, links = config.parse(stack("dc2"), read=lambda _: outputs, read_text=read_file)
    assert links == {}
    assert settings.sites[0].imports


def test_numbers_of_another_stack_are_floats() -> None:
    link = json.loads(json.dumps(LINK), parse_int=float)
    _, links = config.parse(stack("dc2"), read=lambda _: {"link": link}, read_text=read_file)
    assert (links["dc1"].gateway.port, links["dc1"].exports[0].port) == (15443, 3306)


def test_links_come_by_file_too() -> None:
    raw = changed("dc2", {"peers[0]": {"name": "dc1", "linkFile": "examples/links/dc1.json"}})
    _, links = config.parse(raw, read=read_stack, read_text=read_file)
    assert links["dc1"].exports[0].hosts[2] == "db-pxc-2.db-pxc.wookie.svc.cluster.local"


def test_the_longest_host_fits_into_a_server_name() -> None:
    label = "d" * 63
    assert len(f"outbound_.65535_._.{label}.{label}.{label}.svc.cluster.local") <= 255


# --- databases -------------------------------------------------------------------------------------------------------

GIVEN = "correct-horse-1"
OF_PRIMARY, OF_REPLICA = "sites[0].workloads[0]", "sites[1].workloads[0]"


def chain() -> dict[str, Any]:
    """Return the example mariadb with a third site, whose database follows dc2's."""
    raw = stack("mariadb")
    dc1, dc2 = raw["sites"]
    dc3 = json.loads(json.dumps(dc2).replace('"dc1"', '"dc2"').replace("wookie-dr", "wookie-3")) | {"name": "dc3"}
    consumer = {"site": "dc3", "namespace": "wookie-3", "serviceAccount": "db"}
    dc2["exports"] = [dc1["exports"][0] | {"namespace": "wookie-dr", "replicas": 1, "consumers": [consumer]}]
    raw["sites"].append(dc3)
    return raw


@pytest.mark.parametrize(
    "changes",
    [
        {f"{OF_PRIMARY}.image": "registry.example.com:5000/db/mariadb:10.11@sha256:" + "0" * 64},
        {f"{OF_PRIMARY}.image": "mariadb"},
        {f"{OF_PRIMARY}.storage": {}},
        {f"{OF_PRIMARY}.storage": GONE},
        {f"{OF_PRIMARY}.storage.storageClass": "fast"},
        {f"{OF_PRIMARY}.replicas": 9},
        {f"{AT_EXPORT}.replicas": 1},
        {f"{OF_PRIMARY}.settings": {"innodb_buffer_pool_size": "4G", "init_connect": "SET NAMES 'utf8' # all"}},
        {f"{OF_PRIMARY}.resources": {"limits": {"memory": "8Gi"}}},
        {f"{OF_PRIMARY}.rootPassword": "!#$%&()*+,-./:;<=>?@[]^_`{|}~"},
        {f"{OF_PRIMARY}.replicationPassword": GIVEN},
        {f"{OF_PRIMARY}.replicationPassword": GIVEN, f"{OF_REPLICA}.replicationPassword": GIVEN},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_databases_that_are_right(changes: dict[str, Any]) -> None:
    assert errors(changed("mariadb", changes)) == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, []),
        ({0: GIVEN}, []),
        ({0: GIVEN, 2: GIVEN}, []),
        ({0: GIVEN, 1: GIVEN, 2: GIVEN}, []),
        ({2: GIVEN}, [2]),
        ({1: GIVEN, 2: GIVEN}, [1]),
        ({0: GIVEN, 2: "correct-horse-2"}, [2]),
    ],
)
def test_one_password_holds_for_a_replica_of_a_replica(given: dict[int, str], wrong: list[int]) -> None:
    raw = chain()
    for index, password in given.items():
        raw["sites"][index]["workloads"][0]["replicationPassword"] = password
    assert places(raw) == [f"sites[{index}].workloads[0].replicationPassword" for index in wrong]


def test_a_password_that_another_stack_has_may_be_given() -> None:
    """dc2's source is in another stack. So it is not known here whether dc3 is given the same password."""
    sites = chain()["sites"][1:]
    for site in sites:  # These are the names in dc1's link.
        site["workloads"][0]["name"] = site["imports"][0]["serviceAccount"] = "db-pxc"
    (export,) = sites[0]["exports"]
    export |= {"statefulSet": "db-pxc", "serviceAccount": "db-pxc", "selector": {"app": "db-pxc"}}
    export["consumers"][0]["serviceAccount"] = "db-pxc"
    sites[1]["workloads"][0]["replicationPassword"] = GIVEN
    assert errors({"sites": sites, "peers": [{"name": "dc1"}]}) == []


@pytest.mark.parametrize("name", ["dc2", "dc2-literal-link"])
def test_a_replica_of_another_stack(name: str) -> None:
    replica = {
        "kind": "mariadb",
        "namespace": "wookie-dr",
        "name": "db-pxc",
        "replicates": {"from": "dc1", "export": "db"},
    }
    assert errors(changed(name, {"sites[0].workloads": [replica | {"replicationPassword": GIVEN}]})) == []
    assert bool(errors(changed(name, {"sites[0].workloads": [replica]}))) is (name == "dc2-literal-link")


@pytest.mark.parametrize(
    "changes",
    [
        {f"{OF_PRIMARY}.namespace": GONE},  # is it what is exported?
        {f"{OF_PRIMARY}.kind": "mysqld"},
        {f"{AT_EXPORT}.namespace": "Wookie"},
        {f"{OF_PRIMARY}.replicationPassword": "short", f"{OF_REPLICA}.replicationPassword": GIVEN},
        {f"{OF_REPLICA}.replicationPassword": "short"},
        {f"{OF_REPLICA}.replicates.from": "DC1"},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_nothing_is_said_of_databases_that_may_follow_from_another_error(changes: dict[str, Any]) -> None:
    assert places(changed("mariadb", changes)) == [next(iter(changes))]


# --- sites that can change roles -------------------------------------------------------------------------------------

OTHER_SITE_APART = {"sites[1]": GONE, "peers": [{"name": "dc2", "stack": "organization/dcmesh/dc2"}]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"primary": "dc2"},
        {"failover": {"without": "dc2"}},
        {"primary": "dc2", "failover": {"without": "dc1", "at": "0-1968131073-42"}},
        {"failover": {"without": "dc2", "at": "0-1-42,1-7-3"}},
        {"failover": {"without": "dc2", "at": "0-1-42, 1-7-3"}},
        {f"{OF_PRIMARY}.replicationPassword": GIVEN},
        {f"{OF_REPLICA}.replicationPassword": GIVEN},
        {f"{OF_PRIMARY}.replicationPassword": GIVEN, f"{OF_REPLICA}.replicationPassword": GIVEN},
        OTHER_SITE_APART | {f"{OF_PRIMARY}.replicationPassword": GIVEN},
        OTHER_SITE_APART | {f"{OF_PRIMARY}.replicationPassword": GIVEN, "primary": "dc2"},
    ],
    ids=lambda changes: " ".join(changes) or "the example",
)
def test_sites_that_can_change_roles(changes: dict[str, Any]) -> None:
    assert errors(changed("mariadb-switchover", changes)) == []


@pytest.mark.parametrize("primary", ["dc1", "dc2"])
@pytest.mark.parametrize(("given", "origin"), [((), 0), ((0,), 0), ((1,), 1), ((0, 1), None)])
def test_the_password_of_two_that_replicate_each_other_has_one_origin(
    primary: str, given: tuple[int, ...], origin: int | None
) -> None:
    """This holds for either primary, because a switchover must not change the password."""
    passwords = {f"sites[{index}].workloads[0].replicationPassword": GIVEN for index in given}
    settings = parse(changed("mariadb-switchover", {"primary": primary, **passwords}))
    origins = [site.databases[0].password for site in plan_of(settings, {}).sites]
    found = [origin.site for origin in origins if origin]
    assert found == (["dc1", "dc2"] if origin is None else [settings.sites[origin].name] * 2)


# --- several errors --------------------------------------------------------------------------------------------------


def test_all_errors_of_values_come_at_once() -> None:
    wrong = {"istio.egress": "DENY", f"{AT_EXPORT}.port": 0, "sites[0].name": "DC1"}
    assert places(changed("dev", wrong)) == sorted(wrong)


def test_all_cross_checks_come_at_once() -> None:
    wrong = {f"{AT_EXPORT}.replicas": 4, f"{AT_IMPORT}.from": "dc3", "trust.rootValidityYears": 1}
    expected = [f"{AT_EXPORT}.replicas", f"{AT_IMPORT}.from", "trust.intermediateValidityYears"]
    assert places(changed("dev", wrong)) == expected


def test_values_links_and_cross_checks_come_at_once() -> None:
    wrong = {
        "colour": "blue",
        "istio.replicas": 0,
        "peers[0]": {"name": "dc8", "stack": "organization/dcmesh/dc8"},
        "peers[1]": {"name": "dc9", "linkFile": "links/dc9.json"},
        "sites[0].gateway.nodePort": 31443,
        "sites[0].workloads[0].replicas": 2,
        "sites[1].vipRange": "10.0.0.1",
        f"{AT_IMPORT}.from": "dc2",
    }
    assert places(changed("dev", {"peers": [], **wrong})) == [
        "colour",
        "istio.replicas",
        "peers[0].stack",
        "peers[1].linkFile",
        f"{AT_EXPORT}.replicas",
        "sites[0].gateway.nodePort",
        f"{AT_IMPORT}.from",
        "sites[1].vipRange",
    ]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        # Leaving out an item does not change the places of the items after it.
        (
            "three-sites",
            {"sites[0].name": GONE, "sites[1].imports[0].from": "dc2", "sites[2].vipRange": "127.0.0.0/8"},
            ["sites[0].name", "sites[1].imports[0].from", "sites[2].vipRange"],
        ),
        (
            "three-sites",
            {"sites[1]": "dc2", "sites[2].imports[0].export": "helo"},
            ["sites[1]", "sites[2].imports[0].export"],
        ),
        (
            "dc2",
            {"peers": [{"name": "dc0", "colour": "blue"}, 7, {"name": "dc1", "stack": "organization/dcmesh/dc9"}]},
            ["peers[0].colour", "peers[0].stack", "peers[1]", "peers[2].stack"],
        ),
    ],
)
def test_a_wrong_part_hides_no_error_of_another(name: str, changes: dict[str, Any], expected: list[str]) -> None:
    assert places(changed(name, changes)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"sites[0].name": GONE},  # is it dc1, which dc2 imports from?
        {"sites[0]": None},
        {"sites[0].exports[0].port": GONE},  # is it hello?
        {"sites[0].exports[0].name": "Hello"},
        {"sites[0].exports": "hello"},
        {"sites[0].exprots": [], "sites[0].exports": GONE},
        {"sites[0].exports[0].consumers[0].site": "DC2"},
        {"sites[0].workloads[0].replicas": "9", "sites[0].exports[0].replicas": 9},
        {"sites[0].gateway.exposure": "node-port", "sites[0].gateway.nodePort": 31443},
        {"sites[0].gateway": {"exposure": "nodeport", "nodePort": "31443", "advertise": ["192.0.2.1"]}},
        {"sites[0].gateway": {"exposure": "nodeport", "nodePort": 31443, "advertise": ["192.0.2"]}},
        {"sites[0].exports[0].statefulSet": "Other"},
        {"trust": {"rootValidityYears": 1, "intermediateValidityYears": 0}},
        {"trust": {"rootValidityYears": 0, "intermediateValidityYears": 9}},
        {"site": [], "sites": GONE},
        {"sites": {"name": "dc1"}},
        {"sites[1].imports": [{"from": "dc1", "export": "hello"}]},
    ],
)
def test_nothing_is_said_of_what_may_follow_from_another_error(changes: dict[str, Any]) -> None:
    lines = errors(changed("dev", changes))
    said = " ".join(lines)
    assert lines
    assert not any(words in said for words in ("is neither", "is not exported", "may not consume", "more than"))
    assert len(lines) == (2 if "sites[1].imports" in changes else 1)


def test_a_misspelt_key_is_not_missing_as_well() -> None:
    changes = {f"{AT_EXPORT}.prot": 8080, f"{AT_EXPORT}.port": GONE}
    assert places(changed("dev", changes)) == [f"{AT_EXPORT}.prot"]


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def held() -> Iterator[Callable[..., None]]:
    """Put a configuration into Pulumi's configuration."""

    def hold(values: dict[str, Any], *secret: str) -> None:
        texts = {f"dcmesh:{k}": v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
        pulumi.runtime.set_all_config(texts, [f"dcmesh:{key}" for key in secret])

    yield hold
    pulumi.runtime.set_all_config({}, [])


KEY = intermediate().key_pem


@pytest.mark.parametrize(
    "trust",
    [
        provided(caKey=5),
        provided(caKey=["s3cret"]),
        provided(caKey="s3cret"),
        provided(cakey="s3cret"),
        provided(caCert=KEY),
        provided(rootCert=[KEY]),
        provided(certChain=KEY),
        {"source": KEY},
        {"source": "generated", "caKey": KEY},
        {"source": "generated", "organization": KEY},
        KEY,
        [KEY],
    ],
)
def test_no_key_is_shown(trust: Any) -> None:
    said = " ".join(errors(changed("dc1", {"trust": trust})))
    assert said
    assert "s3cret" not in said
    assert not any(line in said for line in KEY.splitlines()[1:-1])
    assert "PRIVATE KEY-----" not in said


def test_no_value_below_a_secret_top_level_key_is_shown(held: Callable[..., None]) -> None:
    wrong = {"sites[0].name": "s3cret_name", f"{AT_EXPORT}.port": "s3cret", "sites[0].gateway.advertise": ["s3cret:1"]}
    raw = changed("dev", wrong | {"istio.version": "1.0.0", "sitesOfOld": "shown"})
    held(raw, "sites")
    assert [line.split(" ")[:2] for line in errors(raw)] == [
        ["istio.version:", '"1.0.0"'],
        [f"{AT_EXPORT}.port:", "[secret]"],
        ["sites[0].gateway.advertise[0]:", "[secret]"],
        ["sites[0].name:", "[secret]"],
        ["sitesOfOld:", '"shown"'],
    ]


def test_secret_keys_of_the_engine_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A language host may pass them by the environment only."""
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", '["dcmesh:istio"]')
    assert errors(changed("dev", {"istio.version": "1.0.0"}))[0].startswith("istio.version: [secret] ")


# --- as Pulumi holds it ----------------------------------------------------------------------------------------------


@pytest.fixture
def load(held: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Any]:
    """Load a configuration from Pulumi's configuration of the stack `test`."""
    monkeypatch.setattr("pulumi.get_project", lambda: "dcmesh")
    monkeypatch.setattr("pulumi.get_stack", lambda: "test")
    monkeypatch.setattr("pulumi.runtime.invoke", Mock(side_effect=Exception("unknown stack")))

    def load(values: dict[str, Any]) -> Any:
        held(values)
        return config.load(pulumi.Config("dcmesh"))[0]

    return load


def test_load(load: Callable[[dict[str, Any]], Settings]) -> None:
    assert load(stack("dev")) == parse(stack("dev"))


def test_keys_of_others_are_theirs(load: Callable[[dict[str, Any]], Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"aws:region": "eu-central-1", "pulumi:tags": "{}"}')
    assert load(stack("dev")).sites


def test_a_project_of_another_name_is_told_so(held: Callable[..., None]) -> None:
    """`sites` was missing, and stood in the file."""
    held(stack("dev"))
    with pytest.raises(
        config.ConfigError, match=r'^.*\n  name: "replication" is the project\'s name.*: call it dcmesh$'
    ):
        config.parse({}, project="replication")
    assert config.parse(stack("dev"), project="replication", read=read_stack)[0].sites, "whose own keys do fit"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"site": []}, "site: [] is no known key: did you mean sites?"),
        ({"istio": "1.31.0"}, 'istio: "1.31.0" must be a map: `key: value`, one a line'),
        ({"istio": "{version: "}, 'istio: "{version: " must be a map: `key: value`, one a line'),
        ({"sites": "3"}, "sites: 3 must be a list: an item a line, each after a dash"),
    ],
)
def test_what_pulumi_holds_may_be_anything(
    load: Callable[[dict[str, Any]], Settings], values: dict[str, Any], line: str
) -> None:
    with pytest.raises(config.ConfigError) as caught:
        load({"trust": {"issueFor": ["dc1"]}, **values})
    assert str(caught.value) == f"{HEADING}\n  {line}"


# --- junk ------------------------------------------------------------------------------------------------------------

KEYS = sorted(
    {
        key
        for part in [Settings.model_json_schema(), *Settings.model_json_schema()["$defs"].values()]
        for key in part["properties"]
    }
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8) | st.just("\ud800"),
    st.sampled_from(
        ["dc1", "k3d", "hello", "stack", "nodeport", "10.0.0.0/8", "~/.kube/dc1", "~nobody/x", "\0", "1.31.0"]
    ),
)
JUNK = st.recursive(
    SCALARS,
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), part, max_size=5)
    ),
    max_leaves=20,
)


def is_right_or_refused(raw: dict[str, Any], **outside: Any) -> None:
    """Check that a configuration leads to no error except those in our own words, which are printable."""
    said = ""
    try:
        config.parse(raw, **{"read": read_stack, **outside})
    except config.ConfigError as error:
        said = str(error)
    assert "is wrong: " not in said
    said.encode()


@given(st.dictionaries(st.sampled_from(["sites", "peers", "trust", "istio", "pxc"]) | st.text(max_size=4), JUNK))
def test_junk_is_refused_and_never_crashes(raw: dict[str, Any]) -> None:
    is_right_or_refused(raw)


def all_places(value: Any, path: str = "") -> list[str]:
    """Return the places of everything in a configuration."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inside for place in all_places(part, setting_paths.join(path, key)))]


@pytest.mark.parametrize(
    "name", ["dev", "mariadb", "dc1", "dc2-literal-link", "on-premises-metallb", "provided-ca", "existing-istio"]
)
@given(data=st.data())
def test_junk_at_any_place_is_refused_and_never_crashes(name: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([place for place in all_places(stack(name)) if place and '["' not in place]))
    is_right_or_refused(changed(name, {place: data.draw(JUNK)}))


@given(JUNK)
def test_junk_in_place_of_a_link_is_refused_and_never_crashes(junk: Any) -> None:
    for link in (junk, {"dc1": junk}, {"dc1": LINK["dc1"] | {"exports": junk}}):
        is_right_or_refused(stack("dc2"), read=lambda _, link=link: {"link": link}, read_text=read_file)


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (["sites", 1, "imports", 0, "from"], "sites[1].imports[0].from"),
        (["selector", "app.kubernetes.io/name"], 'selector["app.kubernetes.io/name"]'),
        (["annotations", 'a"b]', "c"], 'annotations["a\\"b]"].c'),
        ([""], '[""]'),
    ],
)
def test_places_are_written_as_users_write_them(parts: list[Any], path: str) -> None:
    found = ""
    for part in parts:
        around, found = found, setting_paths.join(found, part)
        assert setting_paths.parent(found) == around
    assert found == path


@given(st.lists(st.integers(0, 6), unique=True))
def test_places_are_found_again_when_others_are_left_out(gone: list[int]) -> None:
    raw = {"a": [{"b": [index]} for index in range(7)]}
    lost = {f"a[{index}]" for index in gone}
    left: Any = setting_paths.without(raw, lost)
    for index, item in enumerate(left["a"]):
        assert setting_paths.before(f"a[{index}].b[0]", lost) == f"a[{item['b'][0]}].b[0]"


def test_the_name_that_importers_know_stays_with_its_port() -> None:
    """Until their next `up`, importers ask for the first port by the host's own name."""
    at = "sites[0].exports[0]"
    (before,) = parse(stack("existing-database")).sites
    gateway = LinkGateway(addresses=("192.0.2.1",))

    def refused(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
        told = [
            export.model_copy(update=was).for_link(("cluster.local",), "dc1", "dcmesh-gateway")
            for export in before.exports[:1]
        ]
        outputs = {"link": {"dc1": Link.of("dc1", gateway, told).as_output()}}
        raw = changed("existing-database", {f"{at}.{key}": value for key, value in now.items()})
        return errors(raw, read=lambda name: outputs if name.endswith("/test") else read_stack(name))

    one, two = {"port": GONE}, [ExportedPort(port=3306), ExportedPort(port=3307)]
    first_moved = [{"port": 33060}, {"port": 3306}]
    assert refused({}, one | {"ports": first_moved[::-1]}) == []
    assert refused({"port": None, "ports": two}, {}) == []
    line = (
        "33060 was 3306 at the last `pulumi up`, and importers ask for that by the host's own name: leave 3306 first, "
        "and put others behind it; or, to give it up, take the export away for one `pulumi up` of all stacks"
    )
    assert refused({}, one | {"ports": first_moved}) == [f"{at}.ports[0].port: {line}"]
    assert refused({"port": None, "ports": two}, {"port": 3307}) == [f"{at}.port: {line.replace('33060', '3307', 1)}"]
    assert refused({}, one | {"ports": first_moved, "statefulSet": "another"}) == [], "this is another host"


@pytest.mark.parametrize(
    ("known", "ports", "gone"),
    [
        ({}, [{"port": 3306, "ingressPort": 23306}], []),
        ({"3306": 13306}, [{"port": 3306}], []),
        ({"3306": 13306}, [{"port": 3306}, {"port": 33060}], []),
        ({"3306": 13306}, [{"port": 3306, "ingressPort": 23306}], [13306]),
        ({"3306": 13306, "33060": 43060}, [{"port": 3306}], [43060]),
    ],
)
def test_an_ingress_port_that_stands_stays(known: dict[str, int], ports: list[dict[str, int]], gone: list[int]) -> None:
    """Otherwise its locks would be deleted before its listener."""
    outputs = {"sites": {"dc1": {"workloads": [], "servers": [], "ingressPorts": {"db": known}}}}
    raw = changed("ingress-port", {"sites[0].exports[0].ports": ports})
    found = errors(raw, read=lambda name: outputs if name.endswith("/test") else read_stack(name))
    assert [line.partition(" any more")[0] for line in found] == [
        f'sites[0].exports[0].name: "db" has no ingress port {port}' for port in gone
    ]


def replica_without_source(*before: str, **changes: Any) -> None:
    """Validate dc2 with a replica of dc1, which exports nothing.

    At its last `up` dc2 had replicas in these namespaces.
    """
    servers = [{"namespace": namespace, "pod": "db-pxc-0", "container": "mariadb"} for namespace in before]
    replica = {"kind": "mariadb", "namespace": "wookie-dr", "name": "db-pxc", "replicationPassword": "not-a-secret"}
    replica |= {"replicates": {"from": "dc1", "export": "db"}}
    raw = changed("dc2", {"sites[0].workloads": [replica], **changes})
    outputs = {"organization/dcmesh/dc1": {}, "organization/dcmesh/dc2": {"sites": {"dc2": {"servers": servers}}}}
    config.parse(raw, stack="dc2", read=outputs.__getitem__, read_text=read_file)


def test_a_replica_waits_for_a_source_that_is_not_there_yet() -> None:
    replica_without_source()
    replica_without_source("another", protect=False)


def test_a_replica_that_runs_is_not_removed_because_its_source_is_gone() -> None:
    refused = r'workloads\[0\]\.replicates\.from: "dc1" exports nothing any more'
    with pytest.raises(config.ConfigError, match=refused):
        replica_without_source("wookie-dr")
    with pytest.raises(config.ConfigError, match=refused):
        replica_without_source("wookie-dr", primary="dc1")


def test_a_primary_runs_on_though_its_replica_is_gone() -> None:
    replica_without_source("wookie-dr", primary="dc2")
