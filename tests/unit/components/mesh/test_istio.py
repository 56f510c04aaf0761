"""IstioControlPlane: Helm values, charts, and existing objects. test_program.py tests its wiring."""

import copy
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.mesh.istio import Charts, IstioControlPlane, IstioControlPlaneArgs, istiod_values, merge
from components.trust.shared_ca import Intermediate
from dcmesh.model.istio import injection_labels
from dcmesh.model.ownership_marks import OURS
from tests.unit.engine import Engine, readable_strings

keys = st.sampled_from("abc")  # There are few keys, so that trees often have the same.
scalars = st.none() | st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2)
trees = st.dictionaries(
    keys, st.recursive(scalars, lambda below: st.dictionaries(keys, below, max_size=3), max_leaves=5), max_size=3
)


@given(tree=trees)
def test_merge_with_nothing_is_the_same(tree: dict[str, Any]) -> None:
    assert merge(tree, {}) == merge({}, tree) == tree


@given(tree=trees, over=trees)
def test_merge_prefers_the_second_and_merges_maps(tree: dict[str, Any], over: dict[str, Any]) -> None:
    merged = merge(tree, over)
    assert merged.keys() == tree.keys() | over.keys()
    for key, value in merged.items():
        if key not in over:
            assert value == tree[key]
        elif isinstance(over[key], dict) and isinstance(tree.get(key), dict):
            assert value == merge(tree[key], over[key])
        else:
            assert value == over[key]


@given(tree=trees, over=trees)
def test_merge_changes_neither(tree: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((tree, over))
    merge(tree, over)
    assert (tree, over) == before


def test_merge_deep_down() -> None:
    assert merge({"a": {"b": 1, "c": {"d": 2}}, "e": [1]}, {"a": {"c": {"f": 3}}, "e": [2]}) == {
        "a": {"b": 1, "c": {"d": 2, "f": 3}},
        "e": [2],
    }


def values_of(**wishes: Any) -> dict[str, Any]:
    plain = {"cluster": "dc1", "replicas": 1, "egress": "ALLOW_ANY", "hub": None, "tag": None, "pull_secrets": []}
    return istiod_values(**plain | wishes)


def test_istiod_runs_as_many_times_as_asked() -> None:
    values = values_of(replicas=3)
    assert (values["replicaCount"], values["autoscaleEnabled"]) == (3, False)


def test_istiod_knows_its_cluster_and_sets_no_network() -> None:
    """A network, here or on the pods, would lead local traffic through the gateway."""
    values = values_of(cluster="dc1")
    assert values["global"]["multiCluster"] == {"clusterName": "dc1"}
    assert "network" not in values["global"]


def test_a_mesh_of_the_first_trust_domain_is_as_it_was() -> None:
    values = values_of()
    assert "podAnnotations" not in values
    assert not {"trustDomain", "trustDomainAliases"} & values["meshConfig"].keys()


def test_istiod_issues_for_its_trust_domain_and_starts_again_for_another() -> None:
    """It reads the domain at its start."""
    one, both = (values_of(trust_domains=domains) for domains in (("dc1.dcmesh",), ("dc1.dcmesh", "cluster.local")))
    assert one["meshConfig"]["trustDomain"] == both["meshConfig"]["trustDomain"] == "dc1.dcmesh"
    assert "trustDomainAliases" not in one["meshConfig"]
    assert both["meshConfig"]["trustDomainAliases"] == ["cluster.local"]
    assert one["podAnnotations"] != both["podAnnotations"]


@pytest.mark.parametrize("egress", ["ALLOW_ANY", "REGISTRY_ONLY"])
def test_egress_is_the_sidecars_outbound_policy(egress: str) -> None:
    values = values_of(egress=egress)
    assert values["meshConfig"]["outboundTrafficPolicy"] == {"mode": egress}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ISTIO_META_DNS_CAPTURE", "true"),
        ("PROXY_CONFIG_XDS_AGENT", "true"),
        ("ISTIO_META_IDLE_TIMEOUT", "0s"),
    ],
)
def test_proxies_have_from_day_one(setting: str, value: str) -> None:
    mesh = values_of()["meshConfig"]
    assert mesh["defaultConfig"]["proxyMetadata"][setting] == value


def test_istiod_can_trust_two_roots_from_day_one() -> None:
    assert values_of()["env"]["ISTIO_MULTIROOT_MESH"] == "true"


def test_a_gateway_is_opened_by_its_own_namespace_alone_unless_that_is_unwanted() -> None:
    assert values_of()["env"]["PILOT_SCOPE_GATEWAY_TO_NAMESPACE"] == "true"
    assert "PILOT_SCOPE_GATEWAY_TO_NAMESPACE" not in values_of(scope_gateways=False)["env"]


def test_settings_of_the_environment_are_text() -> None:
    """Kubernetes refuses a bool or a number there."""
    values = values_of()
    settings = values["env"] | values["meshConfig"]["defaultConfig"]["proxyMetadata"]
    assert {type(value) for value in settings.values()} == {str}


def test_istiods_stand_apart_from_their_like() -> None:
    constraints = values_of()["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in constraints} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    for constraint in constraints:
        # The labels of istiod's pods in the chart; and a cluster of one node must still run two.
        assert constraint["labelSelector"] == {"matchLabels": {"app": "istiod"}}
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"


@pytest.mark.parametrize(
    ("wish", "istiods", "proxies"),
    [
        ({"hub": "example.com/istio"}, {"hub": "example.com/istio"}, {"hub": "example.com/istio"}),
        ({"tag": "1.31.0-debug"}, {"tag": "1.31.0-debug"}, {"tag": "1.31.0-debug"}),
        ({"pull_secrets": ["one", "two"]}, {}, {"imagePullSecrets": ["one", "two"]}),
    ],
)
def test_images_of_istiod_and_of_the_proxies_come_from_where_they_should(
    wish: dict[str, Any], istiods: dict[str, Any], proxies: dict[str, Any]
) -> None:
    """Without a setting they come from where the charts say."""
    without, with_wish = values_of(), values_of(**wish)
    assert not {"hub", "tag", "imagePullSecrets"} & {*without, *without["global"]}
    assert with_wish == without | istiods | {"global": without["global"] | proxies}


@pytest.mark.parametrize("repository", ["https://charts.example.com/istio", "http://charts.example.com/istio"])
def test_charts_of_a_repository(repository: str) -> None:
    release = Charts(version="1.31.0", repository=repository).release("base")
    assert release.pop("repository_opts").repo == repository
    assert release == {"chart": "base", "version": "1.31.0"}


@pytest.mark.parametrize(
    ("place", "chart"),
    [
        ("./.lab/charts", "./.lab/charts/base"),
        ("./.lab/charts/", "./.lab/charts/base"),
        ("/srv/charts", "/srv/charts/base"),
        ("oci://registry.example.com/istio", "oci://registry.example.com/istio/base"),
        ("oci://registry.example.com/istio/", "oci://registry.example.com/istio/base"),
    ],
)
def test_charts_of_a_directory_or_a_registry(place: str, chart: str) -> None:
    """In both cases Helm takes the whole as the chart's name, without a repository."""
    assert Charts(version="1.31.0", repository=place).release("base") == {"chart": chart, "version": "1.31.0"}


@pytest.mark.parametrize(
    ("revision", "labels"), [(None, {"istio-injection": "enabled"}), ("stable", {"istio.io/rev": "stable"})]
)
def test_injection_is_of_the_revision(revision: str | None, labels: dict[str, str]) -> None:
    assert injection_labels(revision) == labels


# --- what is there already ---------------------------------------------------------------------------------------

CACERTS = {
    "ca-cert.pem": "intermediate\n",
    "ca-key.pem": "secret key\n",
    "cert-chain.pem": "intermediate\nroot\n",
    "root-cert.pem": "root\n",
}


def install(engine: Engine, *, certificates: bool, **wishes: Any) -> Engine:
    """Run a control plane, and an object that needs it."""

    def program() -> None:
        intermediate = Intermediate(
            cert=CACERTS["ca-cert.pem"],
            key=pulumi.Output.secret(CACERTS["ca-key.pem"]),
            chain=CACERTS["cert-chain.pem"],
            root=CACERTS["root-cert.pem"],
        )
        istio = IstioControlPlane(
            "dc1-istio",
            IstioControlPlaneArgs(
                cluster="dc1",
                charts=Charts(version="1.31.0", repository="./charts"),
                intermediate=intermediate if certificates else None,
                **wishes,
            ),
            pulumi.ResourceOptions(provider=k8s.Provider("dc1")),
        )
        pulumi.export("namespace", istio.namespace)
        k8s.core.v1.ConfigMap("user", opts=pulumi.ResourceOptions(depends_on=list(istio.ready)))

    return engine.run(program)


NAMESPACE, SECRET = ("Namespace", "istio-system"), ("Secret", "cacerts")
RELEASES = {("Release", "istio-base"), ("Release", "istiod")}


@pytest.mark.parametrize(
    ("certificates", "existing", "made"),
    [
        (True, False, {NAMESPACE, SECRET, *RELEASES}),
        (False, False, RELEASES),
        (True, True, {SECRET}),
        (False, True, set()),
    ],
)
def test_what_is_there_already_is_not_made(
    engine: Engine, certificates: bool, existing: bool, made: set[tuple[str, str]]
) -> None:
    """The namespace is made with the first thing in it: Istio, or the certificates."""
    install(engine, certificates=certificates, existing=existing)
    objects = [resource for resource in engine.in_kubernetes() if resource.name.startswith("dc1-")]
    assert {(resource.kind, resource.object[1]) for resource in objects} == made
    assert engine.outputs["namespace"] == "istio-system"
    assert {r.object[0] for r in objects if r.kind != "Namespace"} <= {"istio-system"}


@pytest.mark.parametrize(
    ("certificates", "existing", "ready"),
    [(True, False, {"dc1-istio-istiod"}), (False, False, {"dc1-istio-istiod"}), (True, True, {"dc1-istio-cacerts"})],
)
def test_what_uses_istio_waits_for_what_is_made_of_it(
    engine: Engine, certificates: bool, existing: bool, ready: set[str]
) -> None:
    assert ready <= install(engine, certificates=certificates, existing=existing).before("user")


def test_istiod_waits_for_its_certificates_and_the_custom_resources(engine: Engine) -> None:
    before = install(engine, certificates=True).before("dc1-istio-istiod")
    assert {"dc1-istio-namespace", "dc1-istio-cacerts", "dc1-istio-base"} <= before


def test_only_istiod_is_awaited_until_it_is_ready(engine: Engine) -> None:
    install(engine, certificates=True)
    awaited = {name: not engine[f"dc1-istio-{name}"].inputs.get("skipAwait") for name in ("base", "istiod")}
    assert awaited == {"base": False, "istiod": True}


def test_cacerts_is_what_istiod_reads_and_its_key_is_secret(engine: Engine) -> None:
    secret = install(engine, certificates=True).one("Secret")
    assert secret.object == ("istio-system", "cacerts")
    assert secret.inputs["stringData"] == CACERTS
    assert secret.inputs["metadata"]["labels"] == OURS
    assert secret.request.retainOnDelete
    assert not [text for text in readable_strings(secret.raw) if "secret" in text]


def test_wishes_reach_the_releases(engine: Engine) -> None:
    install(
        engine,
        certificates=True,
        replicas=3,
        egress="REGISTRY_ONLY",
        hub="registry.example.com/istio",
        tag="1.31.0-debug",
        pull_secrets=["one"],
        base_values={"defaultRevision": "stable"},
        istiod_values={"meshConfig": {"accessLogFile": "/dev/stdout"}},
    )
    base, istiod = (engine[f"dc1-istio-{name}"].inputs for name in ("base", "istiod"))
    assert (base["chart"], base["version"]) == ("./charts/base", "1.31.0")
    assert base["values"] == {"defaultRevision": "stable"}
    assert (istiod["chart"], istiod["version"]) == ("./charts/istiod", "1.31.0")
    values = istiod_values(
        cluster="dc1",
        replicas=3,
        egress="REGISTRY_ONLY",
        hub="registry.example.com/istio",
        tag="1.31.0-debug",
        pull_secrets=["one"],
    )
    values["meshConfig"]["accessLogFile"] = "/dev/stdout"
    assert istiod["values"] == values
