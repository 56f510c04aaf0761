"""The links of peers: where they are read from, and the errors of those that cannot be read."""

import copy
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dcmesh import config
from dcmesh.config.peer_links import read_link, read_stack
from dcmesh.model.link import ExportedService, Link, LinkGateway
from dcmesh.stacks import NoStackError
from tests.unit.configurations import put
from tests.unit.engine import Engine

STACK = "organization/shop/dc1"
OTHER = {"site": "dc0", "gateway": {"addresses": ["192.0.2.9"]}, "exports": []}

SOUND: dict[str, Any] = {
    "site": "dc1",
    "gateway": {"addresses": ["192.0.2.1", "2001:db8::1", "gateway.example"], "port": 15443},
    "exports": [
        {
            "name": "orders",
            "namespace": "shop",
            "hosts": ["db-pxc-0.db.shop.svc.cluster.local", "db-pxc-1.db.shop.svc.cluster.local"],
            "port": 3306,
            "protocol": "TCP",
            "identity": "spiffe://cluster.local/ns/shop/sa/mysql",
            "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "replica"}],
            "probe": "greeting",
        }
    ],
}


@pytest.fixture
def link(database: ExportedService) -> Link:
    return Link(site="dc1", gateway=LinkGateway(addresses=("192.0.2.1",), port=15444), exports=(database,))


def resolve(
    raw: dict[str, Any], stacks: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Link | None, list[str]]:
    """Return the link of a peer as importers get it, or the errors as lines. These other stacks exist."""

    def read(name: str) -> Mapping[str, Any]:
        if name not in (stacks or {}):
            raise NoStackError(f"unknown stack '{name}'\nand more of this")
        return (stacks or {})[name]

    peers = [{"name": "dc0", "link": OTHER}, {"name": "dc1"} | raw]
    try:
        _, links = config.parse({"trust": {"issueFor": ["dc9"]}, "peers": peers}, project="shop", read=read)
    except config.ConfigError as error:
        heading, *lines = str(error).splitlines()
        assert heading == "the configuration is wrong, nothing was changed:"
        return None, [line.removeprefix("  ") for line in lines]
    assert links.pop("dc0").site == "dc0"
    assert links.keys() <= {"dc1"}
    return links.get("dc1"), []


def taken(raw: dict[str, Any], stacks: Mapping[str, Mapping[str, Any]] | None = None) -> Link | None:
    link, errors = resolve(raw, stacks)
    assert errors == []
    return link


def refusal(raw: dict[str, Any], stacks: Mapping[str, Mapping[str, Any]] | None = None) -> list[str]:
    link, errors = resolve(raw, stacks)
    assert link is None
    assert errors
    return errors


def test_literal_link(link: Link) -> None:
    assert taken({"link": link.as_output()}) == link


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
@pytest.mark.parametrize("path", ["{home}/dc1.link", "~/dc1.link"])
@pytest.mark.parametrize("whole", [False, True])
def test_link_of_a_file(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, path: str, whole: bool
) -> None:
    """The file has one link, or everything that a stack shows as its output `link`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    raw = link.as_output()
    (tmp_path / "dc1.link").write_text(write({"dc0": OTHER, "dc1": raw} if whole else raw))
    assert taken({"linkFile": path.format(home=tmp_path)}) == link


@pytest.mark.parametrize(("raw", "stack"), [({}, STACK), ({"stack": "organization/net/one"}, "organization/net/one")])
def test_link_of_a_stack(link: Link, raw: dict[str, str], stack: str) -> None:
    """The stack may export from other sites too."""
    assert taken(raw, {stack: {"link": {"dc0": {}, "dc1": link.as_output()}, "hosts": {}}}) == link


@pytest.mark.parametrize(
    "outputs",
    [{}, {"link": {}}, {"link": {"dc0": {}}}],
    ids=["never up", "exports nothing", "of another site"],
)
def test_stack_that_exports_nothing_yet_has_no_link(outputs: dict[str, Any]) -> None:
    assert taken({}, {STACK: outputs}) is None


def test_a_stack_that_is_not_there() -> None:
    (line,) = refusal({"stack": "organization/shop/dc9"})
    assert line.startswith('peers[1].stack: "organization/shop/dc9" cannot be read (unknown stack ')
    assert "`pulumi stack init`" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("contents", "advice"),
    [
        (None, "cannot be read: no such file"),
        (b"\xff", "cannot be read: "),
        (b"{site: dc1", "is neither JSON nor YAML"),
    ],
)
def test_a_file_that_holds_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes | None, advice: str
) -> None:
    monkeypatch.setenv("LINKS", str(tmp_path))
    if contents is not None:
        (tmp_path / "f").write_bytes(contents)
    (line,) = refusal({"linkFile": "$LINKS/f"})
    assert line.lower().startswith(f'peers[1].linkfile: "$links/f" {advice}'.lower())


@pytest.mark.parametrize("contents", ["", "dc1", "[]", "7", "{dc0: {}, dc2: {}}"])
def test_a_file_with_something_else(tmp_path: Path, contents: str) -> None:
    (tmp_path / "f").write_text(contents)
    assert all(line.startswith("peers[1].linkFile") for line in refusal({"linkFile": f"{tmp_path}/f"}))


@pytest.mark.parametrize("place", ["link", "stack", "linkFile"])
def test_link_of_another_site(link: Link, tmp_path: Path, place: str) -> None:
    raw = link.as_output() | {"site": "dc2"}
    (tmp_path / "f").write_text(json.dumps(raw))
    peer = {"link": {"link": raw}, "stack": {"stack": STACK}, "linkFile": {"linkFile": f"{tmp_path}/f"}}[place]
    (line,) = refusal(peer, {STACK: {"link": {"dc1": raw}}})
    where = "link.site" if place == "link" else f"{place} → site"
    assert line == f'peers[1].{where}: "dc2" is another site than dc1: name the peer after its site'


BROKEN = [
    ("gateway.addresses", []),
    ("gateway.port", 0),
    ("exports[0].hosts", []),
    ("exports[0].port", 65536),
    ("exports[0].protocol", "UDP"),
    ("exports[0].identity", "cluster.local/ns/shop/sa/mysql"),
    ("exports[0].probe", "ping"),
    ("exports[0].colour", "blue"),
]


def broken(link: Link, path: str, value: object) -> dict[str, Any]:
    raw = link.as_output()
    *way, last = path.replace("[0]", "").split(".")
    part: Any = raw
    for step in way:
        part = part[step][0] if step == "exports" else part[step]
    part[last] = value
    return raw


@pytest.mark.parametrize(("path", "value"), BROKEN)
def test_what_is_no_link_is_named_with_where_it_was_read(link: Link, path: str, value: object, tmp_path: Path) -> None:
    raw = broken(link, path, value)
    (tmp_path / "f").write_text(json.dumps(raw))
    (of_stack,) = refusal({}, {STACK: {"link": {"dc1": raw}}})
    (of_file,) = refusal({"linkFile": f"{tmp_path}/f"})
    assert of_stack.startswith(f"peers[1].stack → {path}: ")
    assert of_file == of_stack.replace("peers[1].stack", "peers[1].linkFile")


@pytest.mark.parametrize("version", [6, 6.0, 10**30])
@pytest.mark.parametrize("place", ["link", "stack", "linkFile"])
def test_a_newer_link_is_refused_by_name(link: Link, tmp_path: Path, place: str, version: float) -> None:
    """There is no other error: its further content is not wrong, but unknown to this version."""
    raw = link.as_output() | {"version": version, "colour": "blue", "gateway": {"addresses": [], "mesh": True}}
    (tmp_path / "f").write_text(json.dumps(raw))
    peer = {"link": {"link": raw}, "stack": {"stack": STACK}, "linkFile": {"linkFile": f"{tmp_path}/f"}}[place]
    (line,) = refusal(peer, {STACK: {"link": {"dc1": raw}}} if place == "stack" else None)
    where = "link.version" if place == "link" else f"{place} → version"
    assert line == (
        f"peers[1].{where}: {json.dumps(version)} is newer than version 5, the newest that this dcmesh reads. "
        "The stack of dc1 is run by a newer dcmesh: update dcmesh here, then run this again"
    )


@pytest.mark.parametrize("version", [0, -1, 1.5, True, None, "1", [1], {}])
def test_what_is_no_version_is_refused(link: Link, version: object) -> None:
    (line,) = refusal({}, {STACK: {"link": {"dc1": link.as_output() | {"version": version}}}})
    assert line.startswith("peers[1].stack → version: ")
    assert line.endswith(" is no version of a link: a whole number from 1 on")


# --- termination at the gateway --------------------------------------------------------------------------------------


@pytest.fixture
def ended(link: Link) -> dict[str, Any]:
    """The same link, as plain data, with termination at the gateway."""
    raw: dict[str, Any] = json.loads(json.dumps(link.as_output())) | {"version": 2}
    raw["exports"][0] |= {
        "identity": "spiffe://cluster.local/ns/dcmesh-gateway/sa/istio-eastwestgateway",
        "serverNames": ["db-pxc-0.db.shop.dc1.dcmesh", "db-pxc-1.db.shop.dc1.dcmesh"],
    }
    return raw


def test_a_link_of_version_2_is_read(ended: dict[str, Any]) -> None:
    found, _ = resolve({"link": ended})
    assert found is not None
    assert found.as_output() == ended


@pytest.mark.parametrize(
    ("path", "value", "advice"),
    [
        ("identity", "spiffe://cluster.local/ns/shop/sa/mysql", "is not a gateway's, where TLS ends: dc1 may claim"),
        ("serverNames[1]", "db-pxc-1.db.other.dc1.dcmesh", "are not those of its hosts: db-pxc-0.db.shop.dc1.dcmesh "),
        ("serverNames[1]", "db-pxc-1.db.shop.dc9.dcmesh", "are not those of its hosts: db-pxc-0.db.shop.dc1.dcmesh "),
        ("serverNames[1]", "kubernetes.default.svc.cluster.local", "must be a host's name at a gateway, such as"),
        ("serverNames", ["db-pxc-0.db.shop.dc1.dcmesh"], "are not those of its hosts: db-pxc-0.db.shop.dc1.dcmesh "),
    ],
)
def test_a_gateway_claims_the_names_of_its_hosts_alone(
    ended: dict[str, Any], path: str, value: object, advice: str
) -> None:
    put(ended, f"exports[0].{path}", value)
    assert advice in "\n".join(refusal({"link": ended}))


def in_lists(export: dict[str, Any]) -> dict[str, Any]:
    """Return an export as links of version 3 have it."""
    single = {key: export.pop(key) for key in ("port", "probe")}
    identity = export.pop("identity")
    return {**export, "ports": [single], "identities": [identity]}


SECOND = "spiffe://cluster.local/ns/shop/sa/other"


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("ports", [{"port": 33060, "probe": "tcp"}] * 2, "exports[0].ports[1].port: 33060 occurs twice: dc1 must"),
        ("identities", [SECOND], f'exports[0].identities[0]: "{SECOND}" is not a gateway\'s, where TLS ends'),
    ],
)
def test_each_port_is_there_once_and_each_identity_is_a_gateways(
    ended: dict[str, Any], key: str, value: object, advice: str
) -> None:
    ended["version"] = 3
    ended["exports"][0] = {**in_lists(ended["exports"][0]), key: value}
    (line,) = refusal({"link": ended})
    assert advice in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ports", [{"port": 3306}, {"port": 33060}]),
        ("identities", ["spiffe://cluster.local/ns/shop/sa/mysql", SECOND]),
    ],
)
def test_pods_have_one_port_and_one_identity(link: Link, key: str, value: object) -> None:
    raw = json.loads(json.dumps(link.as_output())) | {"version": 3}
    raw["exports"][0] = {**in_lists(raw["exports"][0]), key: value}
    assert f"exports[0].{key}: are several, and TLS ends at pods: dc1 must give one" in refusal({"link": raw})[0]


# --- termination at ingress ports ------------------------------------------------------------------------------------


@pytest.fixture
def at_ingress(ended: dict[str, Any]) -> dict[str, Any]:
    """The same link with termination at ingress ports."""
    export = {**in_lists(ended["exports"][0]), "ingress": True, "identities": [MIGRATING[0]]}
    return {**ended, "version": 5, "exports": [export]}


def test_links_before_version_5_have_no_ingress_ports(at_ingress: dict[str, Any]) -> None:
    (line,) = refusal({"link": at_ingress | {"version": 4}})
    assert "exports[0].ingress: true is for links from version 5 on" in line


def test_hosts_with_ingress_ports_are_asked_for_by_port_and_name(at_ingress: dict[str, Any]) -> None:
    at_ingress["exports"][0]["ports"].append({"port": 33060})
    found, _ = resolve({"link": at_ingress})
    assert found is not None
    (export,) = found.exports
    assert [of.sni(HOST) for of in export.by_port] == [
        f"outbound_.{port}_._.db-pxc-0.db.shop.dc1.dcmesh" for port in (3306, 33060)
    ]
    assert Link.of("dc1", found.gateway, found.exports).version == 5


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("serverNames", [], "serverNames: are missing: hosts with ingress ports have names in dc1"),
        ("serverNames[0]", "db-pxc-1.db.other.dc1.dcmesh", "are not those of its hosts: db-pxc-0.db.shop.dc1.dcmesh"),
        ("identities", ["spiffe://cluster.local/ns/other/sa/mysql"], "is not of the namespace shop, whose pods it has"),
        (
            "identities",
            ["spiffe://cluster.local/ns/dcmesh-gateway/sa/istio-eastwestgateway"],
            "is not of the namespace",
        ),
        ("hosts", ["db.shop.svc.cluster.local"], "is no pod, and TLS ends at pods"),
    ],
)
def test_pods_with_ingress_ports_claim_their_own_alone(
    at_ingress: dict[str, Any], key: str, value: object, advice: str
) -> None:
    put(at_ingress, f"exports[0].{key}", value)
    assert advice in "\n".join(refusal({"link": at_ingress}))


MIGRATING = ("spiffe://cluster.local/ns/shop/sa/mysql", "spiffe://dc1.dcmesh/ns/shop/sa/mysql")


def of_domains(link: Link, identities: Sequence[str], version: int = 4) -> dict[str, Any]:
    """Return a link whose export has these identities."""
    raw = json.loads(json.dumps(link.as_output())) | {"version": version}
    raw["exports"][0] = {**in_lists(raw["exports"][0]), "identities": list(identities)}
    return raw


@pytest.mark.parametrize("identities", [MIGRATING, MIGRATING[1:]])
def test_a_site_has_a_trust_domain_of_its_own_and_another_while_that_changes(
    link: Link, identities: Sequence[str]
) -> None:
    found, _ = resolve({"link": of_domains(link, identities)})
    assert found is not None
    assert found.exports[0].identities == tuple(identities)


def test_links_before_version_4_have_the_first_trust_domain_alone(link: Link) -> None:
    advice = 'exports[0].identities[1]: "spiffe://dc1.dcmesh/ns/shop/sa/mysql" has another trust domain'
    assert advice in refusal({"link": of_domains(link, MIGRATING, version=3)})[0]


def test_a_site_has_no_third_trust_domain(link: Link) -> None:
    raw = of_domains(link, [*MIGRATING, "spiffe://dc3.dcmesh/ns/shop/sa/mysql"])
    assert "exports: have more than 2 trust domains" in refusal({"link": raw})[0]


def test_a_service_as_a_whole_is_the_gateways_alone(link: Link, ended: dict[str, Any]) -> None:
    ended["exports"][0] |= {"hosts": ["db.shop.svc.cluster.local"], "serverNames": ["db.shop.dc1.dcmesh"]}
    found, _ = resolve({"link": ended})
    assert found is not None
    raw = json.loads(json.dumps(link.as_output()))
    raw["exports"][0]["hosts"] = ["db.shop.svc.cluster.local"]
    assert "is no pod, and TLS ends at pods: its serverNames are missing" in refusal({"link": raw})[0]


# --- what a link may not claim ---------------------------------------------------------------------------------------

HOST = "db-pxc-0.db.shop.svc.cluster.local"
CLAIMS = [
    ("exports[0].hosts[1]", "kubernetes-0.kubernetes.default.svc.cluster.local", "is not behind db.shop.svc.cluster"),
    ("exports[0].hosts[1]", "db-pxc-1.other.shop.svc.cluster.local", "is not behind db.shop.svc.cluster.local: all "),
    ("exports[0].hosts[0]", "db-pxc-1.other.shop.svc.cluster.local", "is not behind other.shop.svc.cluster.local: all"),
    ("exports[0].hosts[1]", "db-pxc-1.db.shop2.svc.cluster.local", "is not behind db.shop.svc.cluster.local: all "),
    ("exports[0].hosts[1]", HOST, "occurs twice: dc1 must export each host once"),
    ("exports[0].namespace", "other", "is not behind db.other.svc.cluster.local: all hosts"),
    ("exports[0].identity", "spiffe://cluster.local/ns/kube-system/sa/mysql", "is not of the namespace shop, whose"),
    ("exports[0].identity", "spiffe://evil.local/ns/shop/sa/mysql", "has another trust domain than cluster.local"),
    ("exports[0].identity", "spiffe://cluster.local/ns/shop/sa/mysql\n", "must be a SPIFFE id with the site's"),
]
"""Places, values and their errors. With some values, other parts of the export become wrong as well."""


@pytest.mark.parametrize(("path", "value", "advice"), CLAIMS)
def test_an_export_claims_its_own_alone(link: Link, path: str, value: str, advice: str, tmp_path: Path) -> None:
    """This holds for every source of a link."""
    raw = json.loads(json.dumps(link.as_output()))
    put(raw, path, value)
    (tmp_path / "f").write_text(json.dumps(raw))
    of_file = refusal({"linkFile": f"{tmp_path}/f"})
    of_stack = refusal({}, {STACK: {"link": {"dc1": raw}}})
    inline = refusal({"link": raw})
    assert of_stack == [line.replace("peers[1].linkFile", "peers[1].stack") for line in of_file]
    assert inline == [line.replace("peers[1].linkFile → ", "peers[1].link.") for line in of_file]
    where = {"exports[0].namespace": "exports[0].hosts[0]", "exports[0].hosts[0]": "exports[0].hosts[1]"}.get(
        path, path
    )
    assert any(line.startswith(f"peers[1].linkFile → {where}: ") and advice in line for line in of_file), of_file
    assert all(len(line.splitlines()) == 1 and line.isprintable() for line in of_file)


def test_an_export_is_there_once(link: Link) -> None:
    """A host is in one export only."""
    raw = json.loads(json.dumps(link.as_output()))
    raw["exports"] *= 2
    lines = refusal({}, {STACK: {"link": {"dc1": raw}}})
    assert [line.partition(": ")[0] for line in lines] == [
        f"peers[1].stack → exports[1].{part}" for part in ("hosts[0]", "hosts[1]", "name")
    ]


def test_hosts_may_be_there_once_for_each_termination(link: Link, ended: dict[str, Any]) -> None:
    """This is for the time while importers change from one termination to the other."""
    (of_gateway,), (of_pods,) = ended["exports"], json.loads(json.dumps(link.as_output()))["exports"]
    found, _ = resolve({"link": ended | {"exports": [of_pods, of_gateway | {"name": "new"}]}})
    assert found is not None
    for once in (of_pods, of_gateway):
        raw = ended | {"exports": [of_pods, of_gateway | {"name": "new"}, once | {"name": "again"}]}
        assert "exports[2].hosts[0]: " in "\n".join(refusal({"link": raw}))


@pytest.mark.parametrize(
    "address",
    [
        "2001:db8::1%eth0",
        "2001:db8::1%\n    - hosts: [evil]",
        "fe80::1%25\x1b[2J",
        "::ffff:127.0.0.1",
        "192.0.2.1\n",
        "gateway.example\n",
        "gateway.exаmple",  # noqa: RUF001 — a Cyrillic letter
        "a" * 64,
        f"{'a.' * 130}example",
    ],
)
def test_an_address_is_nothing_else(link: Link, address: str) -> None:
    (line,) = refusal({"link": broken(link, "gateway.addresses", [address])})
    assert line.startswith('peers[1].link.gateway.addresses[0]: "')
    assert "must be an IP address or DNS name" in line
    assert line.isprintable()


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"site": "dc1", "exports": [{}] * 60_000}, id="exports without end"),
        pytest.param({"site": "dc1", **{f"k{number}": 1 for number in range(60_000)}}, id="keys without end"),
        pytest.param(functools.reduce(lambda inner, _: [inner], range(20), 0), id="nested"),
    ],
)
def test_what_is_larger_than_any_link_is_not_looked_at(found: object) -> None:
    (line,) = refusal({}, {STACK: {"link": {"dc1": found}}})
    assert "is no link: it has more than 50000 parts" in line


def test_lists_have_an_end(link: Link) -> None:
    for path, most in (("gateway.addresses", 100), ("exports[0].hosts", 1000), ("exports[0].consumers", 1000)):
        (line, *_) = refusal({"link": broken(link, path, ["192.0.2.1"] * (most + 1))})
        assert line.startswith(f"peers[1].link.{path}")
    (line,) = refusal({"link": broken(link, "gateway.addresses", ["192.0.2.1"] * 101)})
    assert line == "peers[1].link.gateway.addresses: […] is too long: at most 100"


def test_of_very_many_errors_the_first_are_told(link: Link) -> None:
    lines = refusal({}, {STACK: {"link": {"dc1": broken(link, "exports[0].hosts", ["X"] * 500)}}})
    assert len(lines) == 21
    assert any("480 more that are wrong" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "!!timestamp x",
        "!!bool x",
        "!!int x",
        f"site: {'9' * 5000}",
        "? [a]\n: b",
        "a: &a [*a]",
        "- " * 3000,
        "!!python/object/apply:os.system [id]",
        "x" * (2**20 + 1),
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_was_made_to_harm(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    for line in refusal({"linkFile": f"{tmp_path}/f"}):
        assert line.startswith("peers[1].linkFile")
        assert line.isprintable()
        assert len(line) < 1000


@pytest.mark.parametrize("text", ["[" * 20 + "]" * 20, "[" + "[]," * 800 + "]"], ids=["nested", "without end"])
def test_a_file_that_is_larger_than_any_link_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """PyYAML takes a minute for 1 MiB of brackets, and seconds for a file just above the limit."""
    monkeypatch.setattr("dcmesh.config.peer_links.MOST_PARTS", 500)
    monkeypatch.delattr("yaml.safe_load")
    (tmp_path / "f").write_text(text)
    (line,) = refusal({"linkFile": f"{tmp_path}/f"})
    assert "is no link: it has more than 50000 parts" in line


def test_numbers_of_any_size_are_refused(link: Link, tmp_path: Path) -> None:
    """YAML has hexadecimal numbers of any length, and Python refuses to print very long ones."""
    text = yaml.safe_dump(link.as_output()).replace("port: 15444", f"port: 0x{'f' * 9000}")
    (tmp_path / "f").write_text(text)
    (line,) = refusal({"linkFile": f"{tmp_path}/f"})
    assert line.endswith("gateway.port: a number too large to show must be between 1 and 65535")


# --- whatever a link is ----------------------------------------------------------------------------------------------

NASTY = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "\x1b[2J",
            "[red]x[/red]",
            "db\nevil: true",
            "$(id)",
            "'; DROP",
            "\u202eevil",
            "\uff44\uff42",
            "db\x00",
            "<{%x%}>",
        ]
    ),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
ANYTHING = st.recursive(NASTY, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner))
PLACES = [
    "version",
    *("site", "gateway", "gateway.addresses", "gateway.addresses[0]", "gateway.port", "exports", "exports[0]", "extra"),
    *(f"exports[0].{key}" for key in ("name", "namespace", "hosts", "hosts[0]", "hosts[1]", "port", "protocol")),
    *(f"exports[0].{key}" for key in ("identity", "probe", "consumers", "consumers[0]", "consumers[0].site")),
    *(f"exports[0].{key}" for key in ("consumers[0].namespace", "consumers[0].serviceAccount", "extra\x1b[2J")),
]
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


def is_harmless(link: Link) -> bool:
    """Tell whether everything in a link is safe for Kubernetes, a shell and a terminal."""
    names = [link.site, *(name for export in link.exports for name in (export.name, export.namespace))]
    names += [name for e in link.exports for c in e.consumers for name in (c.site, c.namespace, c.service_account)]
    names += [label for export in link.exports for host in export.hosts for label in host.split(".")]
    addresses = link.gateway.addresses
    return (
        all(map(LABEL.fullmatch, names))
        and all(re.fullmatch(r"[-a-z0-9.:A-F]{1,253}", address, re.ASCII) for address in addresses)
        and all(0 < port < 65536 for port in (link.gateway.port, *(export.port for export in link.exports)))
        and all(
            re.fullmatch(rf"spiffe://[-a-z0-9.]{{1,253}}/ns/{re.escape(e.namespace)}/sa/[-a-z0-9]+", identity, re.ASCII)
            for e in link.exports
            for identity in e.identities
        )
        and all(
            {tuple(host.split(".")[1:3]) for host in e.hosts} == {(e.hosts[0].split(".")[1], e.namespace)}
            for e in link.exports
        )
    )


def read(found: object) -> None:
    """Read a link, and check that it is refused or harmless."""
    try:
        link = read_link(found, "dc1", "peers[0].stack")
    except config.ConfigError as error:
        for line in str(error).splitlines():
            assert line.isprintable()
            assert len(line) <= 2100
    else:
        assert link.site == "dc1"
        assert is_harmless(link)


@hypothesis.settings(max_examples=100)
@given(path=st.sampled_from(PLACES), value=ANYTHING)
def test_whatever_stands_in_a_link_is_refused_or_harmless(path: str, value: object) -> None:
    raw = copy.deepcopy(SOUND)
    put(raw, path, value)
    read(raw)
    _, lines = resolve({"link": raw})  # It raises nothing but a ConfigError.
    assert all(line.isprintable() for line in lines)


@hypothesis.settings(max_examples=100)
@given(found=ANYTHING)
def test_whatever_is_given_for_a_link_is_refused(found: object) -> None:
    read(found)


@hypothesis.settings(max_examples=100)
@given(
    path=st.sampled_from([path for path in PLACES if "extra" not in path and path != "version"]),
    where=st.integers(0, 60),
    what=st.characters() | st.sampled_from(["\n", "%", "\x1b[31m", "\u202e", "\u200b", "\u0430"]),
)
def test_a_character_more_is_refused_or_harmless(path: str, where: int, what: str) -> None:
    """The character is inserted anywhere in a right link."""
    raw = copy.deepcopy(SOUND)
    part: Any = raw
    for step in re.findall(r"[^.\[\]]+", path):
        part = part[int(step) if step.isdigit() else step]
    if isinstance(part, str):
        put(raw, path, part[:where] + what + part[where:])
        read(raw)


def test_all_errors_of_a_link_come_at_once(link: Link) -> None:
    raw = broken(link, "gateway.port", 0) | {"site": "DC1"}
    assert len(refusal({}, {STACK: {"link": {"dc1": raw}}})) == 2


# --- by the engine -----------------------------------------------------------------------------------------------


def read_by_the_engine(stacks: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    found: list[Any] = []
    Engine(stacks=stacks).run(lambda: found.append(read_stack(name)))
    return found[0]


def test_outputs_of_another_stack_are_plain_data(link: Link) -> None:
    outputs = {"link": {"dc1": link.as_output()}, "hosts": {}}
    read = read_by_the_engine({STACK: outputs}, STACK)
    assert read["hosts"] == {}
    assert Link.model_validate(read["link"]["dc1"]) == link


def test_outputs_of_a_stack_that_is_not_there() -> None:
    with pytest.raises(NoStackError, match="unknown stack 'organization/shop/dc9'"):
        read_by_the_engine({STACK: {}}, "organization/shop/dc9")
