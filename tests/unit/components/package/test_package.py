"""The component package: its schema, and what its components create from the arguments that Pulumi passes."""

import itertools
import json
import re
import tomllib
from typing import Any, get_args

import pulumi
import pytest
import yaml
from pulumi.errors import InputPropertiesError
from pulumi.provider.server import ProviderServicer

from components.package import host
from components.package.east_west_gateway import Exposure
from dcmesh.model import gateway
from tests.unit.configurations import ROOT
from tests.unit.engine import Engine

SCHEMA = json.loads((ROOT / "package/schema.json").read_text())
EXAMPLE = yaml.safe_load((ROOT / "examples/component-package/Pulumi.yaml").read_text())
TYPESCRIPT = (ROOT / "examples/component-package-ts/index.ts").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

# Pulumi passes whole numbers as floats.
ORDERS: dict[str, Any] = {
    "name": "orders",
    "namespace": "shop",
    "statefulSet": "db",
    "service": "mysql",
    "replicas": 2.0,
    "port": 3306.0,
    "serviceAccount": "database",
    "trustDomain": "dc1.dcmesh",
    "consumers": [
        {"site": "dc2", "namespace": "shop-dr", "serviceAccount": "replica", "trustDomain": "dc2.dcmesh"},
    ],
}
HOSTS = [f"db-{ordinal}.mysql.shop.svc.cluster.local" for ordinal in range(2)]


@pytest.fixture
def construct(engine: Engine) -> Any:
    """Create a component in the way in which Pulumi lets the package create it. The stack's outputs are its results."""

    def construct(kind: str, **inputs: Any) -> Engine:
        def program() -> None:
            for key, value in host.Provider(VERSION).construct("it", f"dcmesh:index:{kind}", inputs).state.items():
                pulumi.export(key, value)

        return engine.run(program)

    return construct


def objects(engine: Engine, kind: str) -> set[tuple[str, str]]:
    return {of.object for of in engine.kind(kind)}


def test_the_schema_is_that_of_the_components() -> None:
    text = "stale: `venv/bin/python -m components.package.host > package/schema.json` writes it anew"
    assert (ROOT / "package/schema.json").read_text() == host.schema(VERSION), text


def test_everything_in_the_schema_is_described() -> None:
    """Editors show the descriptions. In other languages than Python they can be read nowhere else."""
    for resource in SCHEMA["resources"].values():
        assert resource["description"]
        for part in ("inputProperties", "properties"):
            assert [key for key, known in resource[part].items() if not known.get("description")] == []
    for name, known in SCHEMA["types"].items():
        assert known["description"]
        assert [f"{name}.{key}" for key, of in known.get("properties", {}).items() if not of.get("description")] == []


def test_the_gateway_can_be_exposed_as_the_program_can() -> None:
    assert [exposure.value for exposure in Exposure] == [*get_args(gateway.Exposure)]


def test_a_shared_ca_issues_for_each_sites_domain_alone(construct: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    domains = []
    monkeypatch.setattr("components.trust.shared_ca.bound", lambda cert, _, domain: domains.append(domain) or cert)
    engine = construct("SharedCA", sites={"dc1": "dc1.dcmesh", "dc2": "dc2.dcmesh"}, rootValidityYears=3.0)
    assert sorted(domains) == ["dc1.dcmesh", "dc2.dcmesh"]
    assert engine.one("SelfSignedCert").inputs["validityPeriodHours"] == 3 * 365 * 24
    assert sorted(engine.outputs["cacerts"]) == ["dc1", "dc2"]
    assert sorted(engine.outputs["cacerts"]["dc1"]) == ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"]
    assert "secret key" in engine.outputs["cacerts"]["dc1"]["ca-key.pem"]
    assert engine.secret_outputs == {"cacerts"}


@pytest.mark.parametrize(("given", "is_protected"), [({}, True), ({"protect": False}, False)])
def test_the_root_is_protected_unless_it_is_said_otherwise(
    construct: Any, given: dict[str, bool], is_protected: bool
) -> None:
    """Renaming the component would replace the root of both meshes in one step."""
    engine = construct("SharedCA", sites={}, **given)
    protected = {of.request.type for of in engine.asked.values() if of.request.protect}
    assert ("tls:index/selfSignedCert:SelfSignedCert" in protected) == is_protected


def test_a_gateway_has_the_address_of_its_service(construct: Any) -> None:
    engine = construct(
        "EastWestGateway", istioVersion="1.31.0", replicas=3.0, exposure="metallb", loadBalancerIp="192.0.2.9"
    )
    assert engine.one("Release").inputs["version"] == "1.31.0"
    assert engine.one("Release").inputs["values"]["replicaCount"] == 3
    assert engine.one("Service").spec["loadBalancerIP"] == "192.0.2.9"
    assert engine.one("Service").object == ("dcmesh-gateway", "istio-eastwestgateway")
    assert len(engine.outputs["addresses"]) == 1


def test_a_gateway_tells_what_it_is_told_to(construct: Any) -> None:
    engine = construct("EastWestGateway", istioVersion="1.31.0", advertise=["203.0.113.1"])
    assert engine.outputs["addresses"] == ["203.0.113.1"]


def test_an_export_opens_the_gateway_for_its_pods(construct: Any) -> None:
    engine = construct("ServiceExport", export=ORDERS, selector={"app": "db"}, connections=7.0)
    assert objects(engine, "Gateway") == {("dcmesh-gateway", "orders")}
    assert [server["hosts"] for server in engine.one("Gateway").spec["servers"]] == [[host_] for host_ in HOSTS]
    (limit, _) = engine.kind("DestinationRule")
    assert limit.spec["trafficPolicy"]["connectionPool"]["tcp"]["maxConnections"] == 7
    (rule,) = engine.one("AuthorizationPolicy").spec["rules"]
    assert rule["from"] == [{"source": {"notPrincipals": ["dc2.dcmesh/ns/shop-dr/sa/replica"]}}]
    assert engine.outputs == {"hosts": HOSTS}


def test_an_import_leads_to_the_gateway_and_to_nobody_else(construct: Any) -> None:
    engine = construct(
        "ServiceImport", source="dc1", export=ORDERS, namespace="shop-dr", gatewayAddresses=["192.0.2.9"]
    )
    entries = engine.kind("ServiceEntry")
    assert [entry.spec["hosts"] for entry in entries] == [[host_] for host_ in HOSTS]
    for entry in entries:
        assert entry.object[0] == "shop-dr"
        assert [(of["address"], of["ports"]) for of in entry.spec["endpoints"]] == [("192.0.2.9", {"tcp": 15443})]
        assert entry.spec["subjectAltNames"] == ["spiffe://dc1.dcmesh/ns/shop/sa/database"]
    addresses = {entry.spec["hosts"][0]: entry.spec["addresses"][0] for entry in entries}
    assert engine.outputs == {"virtualAddresses": addresses}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"port": 0.0}, "port: "),
        ({"serviceAccount": "a/b"}, "identities.0: "),
        ({"protocol": "UDP"}, "protocol: "),
        ({"replicas": 0.0}, "hosts: "),
        ({"consumers": []}, "consumers: "),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(construct: Any, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InputPropertiesError, match=f"^export.{said}"):
        construct("ServiceExport", export={**ORDERS, **changed}, selector={"app": "db"})


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("SharedCA", {"sites": {"dc1": "a b/c"}}, "sites.dc1: must be a trust domain"),
        ("SharedCA", {"sites": {"DC 1": "dc1.dcmesh"}}, "sites.DC 1.*: must be a DNS label"),
        ("SharedCA", {"sites": {}, "rootValidityYears": 0.0}, "rootValidityYears: "),
        ("EastWestGateway", {"istioVersion": "1.31.0", "replicas": 0.0}, "replicas: "),
        ("ServiceExport", {"export": ORDERS, "selector": {"app": "db"}, "connections": 0.0}, "connections: "),
        ("ServiceExport", {"export": ORDERS, "selector": {}}, "selector: "),
    ],
)
def test_a_value_out_of_range_is_refused(construct: Any, kind: str, given: dict[str, Any], said: str) -> None:
    """Before, zero replicas became two, and an intermediate was bound to any text."""
    with pytest.raises(InputPropertiesError, match=f"^{said}"):
        construct(kind, **given)


def test_pulumi_can_say_what_is_refused(construct: Any) -> None:
    """Seen with a program in YAML: the SDK failed on an error without a list, and showed that failure instead."""
    with pytest.raises(InputPropertiesError) as refused:
        construct("SharedCA", sites={"dc1": "a b/c"})
    answer = ProviderServicer.create_grpc_invalid_properties_status
    assert answer(object.__new__(ProviderServicer), refused.value.message, refused.value.errors).trailing_metadata


@pytest.mark.parametrize("place", ["namespace", "serviceAccount", "consumers.0.site"])
def test_an_export_is_written_out(engine: Engine, place: str) -> None:
    """In YAML an output looks like any other value: `namespace: ${shop.metadata.name}`."""
    key, *inside = place.split(".")

    def program() -> None:
        output = pulumi.Output.from_input("shop")
        changed = [{**ORDERS["consumers"][0], inside[1]: output}] if inside else output
        inputs = {"export": {**ORDERS, key: changed}, "selector": {"app": "db"}}
        host.Provider(VERSION).construct("it", "dcmesh:index:ServiceExport", inputs)

    with pytest.raises(InputPropertiesError, match=f"^export.{place}: must be written out"):
        engine.run(program)


# --- the examples ------------------------------------------------------------------------------------------------


def literal(text: str) -> Any:
    """Return the object that a text of TypeScript begins with. Without comments it is a mapping of YAML, too."""
    ends = itertools.accumulate({"{": 1, "}": -1}.get(character, 0) for character in text)
    return yaml.safe_load(text[: list(ends).index(0) + 1])


def known_type(resource: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the schema says of a resource of the example in YAML; None if it is of another package."""
    package, _, kind = resource["type"].partition(":")
    return SCHEMA["resources"][f"dcmesh:index:{kind}"] if package == "dcmesh" else None


COMPONENTS = {
    "yaml": {of["type"].partition(":")[2]: of["properties"] for of in EXAMPLE["resources"].values() if known_type(of)},
    "typescript": {
        of[1]: literal(TYPESCRIPT[of.end() :]) for of in re.finditer(r'new dcmesh\.(\w+)\("[\w-]+", (?={)', TYPESCRIPT)
    },
}
ORDERS_OF = {
    "yaml": EXAMPLE["variables"]["orders"],
    "typescript": literal(TYPESCRIPT.partition("const orders = ")[2]),
}


@pytest.mark.parametrize("language", COMPONENTS)
def test_the_example_has_each_component(language: str) -> None:
    assert set(COMPONENTS[language]) == {component.__name__ for component in host.COMPONENTS}


@pytest.mark.parametrize("language", COMPONENTS)
def test_the_example_gives_what_the_schema_wants(language: str) -> None:
    for kind, given in COMPONENTS[language].items():
        known = SCHEMA["resources"][f"dcmesh:index:{kind}"]
        assert set(known["requiredInputs"]) <= set(given) <= set(known["inputProperties"])
    orders = ORDERS_OF[language]
    for name, given in (("ExportArgs", orders), ("ConsumerArgs", orders["consumers"][0])):
        wanted = SCHEMA["types"][f"dcmesh:index:{name}"]
        assert set(wanted["required"]) <= set(given) <= set(wanted["properties"])


def test_both_languages_say_the_same() -> None:
    assert ORDERS_OF["typescript"] == ORDERS_OF["yaml"]
    assert {kind: set(given) for kind, given in COMPONENTS["typescript"].items()} == {
        kind: set(given) for kind, given in COMPONENTS["yaml"].items()
    }


def test_the_example_in_typescript_takes_the_outputs_that_are_there() -> None:
    assert f'from "@{SCHEMA["namespace"]}/{SCHEMA["name"]}"' in TYPESCRIPT
    taken = [
        (kind, output)
        for name, kind in re.findall(r"const (\w+) = new dcmesh\.(\w+)", TYPESCRIPT)
        for output in re.findall(rf"\b{name}\.(\w+)", TYPESCRIPT)
    ]
    assert {kind for kind, _ in taken} == {"SharedCA", "EastWestGateway", "ServiceExport"}
    for kind, output in taken:
        assert output in SCHEMA["resources"][f"dcmesh:index:{kind}"]["properties"]


def test_the_example_in_yaml_refers_to_what_is_there() -> None:
    resources, others = EXAMPLE["resources"], {*EXAMPLE["variables"], *EXAMPLE["config"]}
    named = re.findall(r"\$\{([\w-]+)(?:\.(\w+))?", json.dumps(EXAMPLE))
    assert len(named) > 20
    for name, output in named:
        assert name in others | set(resources)
        if output and name in resources and (known := known_type(resources[name])):
            assert output in known["properties"]


def test_what_the_example_exports_can_be_created(construct: Any) -> None:
    engine = construct("ServiceExport", export=ORDERS_OF["yaml"], selector={"app": "db"})
    assert engine.outputs == {"hosts": [f"db-{ordinal}.db.shop.svc.cluster.local" for ordinal in range(2)]}
