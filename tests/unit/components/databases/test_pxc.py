"""Pxc: what the resource asks of the operator and why, and how the workload is wired."""

import configparser
from types import SimpleNamespace
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from components.databases import pxc
from components.databases.pxc import Pxc, PxcArgs
from dcmesh.model import settings as model
from dcmesh.model.link import ExportedPort, ExportedService
from dcmesh.model.switchover import Switchover
from lab import toolchain
from lab.images import Image
from tests.unit.databases import alone, changed
from tests.unit.engine import Engine, readable_strings

HOSTS = tuple(f"db-pxc-{n}.db-pxc.wookie.svc.cluster.local" for n in range(3))
SOURCE = ExportedService(
    name="db",
    namespace="wookie",
    hosts=HOSTS,
    ports=(ExportedPort(port=3306, probe="greeting"),),
    protocol="TCP",
    identities=("spiffe://cluster.local/ns/wookie/sa/db-pxc",),
    consumers=(),
)


def arguments(**changes: Any) -> PxcArgs:
    args = PxcArgs(
        database=model.Pxc(kind="pxc", namespace="wookie-dr"),
        plan=alone(site="dc2", namespace="wookie-dr", name="db", kind="pxc", channel="dcmesh"),
        labels={"istio.io/rev": "stable"},
        after=[],
        replication_password="password of replication",
        kubeconfig="kubeconfig of dc2",
    )
    return changed(args, changes)


def spec(**changes: Any) -> dict[str, Any]:
    return pxc.cluster_spec(arguments(**changes))


def channel(**changes: Any) -> dict[str, Any]:
    (only,) = spec(source=SOURCE, **changes)["pxc"]["replicationChannels"]
    return dict(only)


def test_nodes_are_who_importers_insist_on_and_proxies_are_not() -> None:
    made = spec(name="orders")
    assert made["pxc"]["serviceAccountName"] == "orders-pxc"
    assert "serviceAccountName" not in made["haproxy"]


def test_galeras_ports_are_left_out_of_the_mesh_and_encrypted_by_the_nodes() -> None:
    made = spec()
    prefix = "traffic.sidecar.istio.io/exclude"
    for direction in ("Inbound", "Outbound"):
        assert made["pxc"]["annotations"][f"{prefix}{direction}Ports"] == "4444,4567,4568"
    assert made["tls"] == {"enabled": True}


def test_without_sidecars_nothing_is_said_of_any() -> None:
    made = spec(sidecar=False)
    for part in ("pxc", "haproxy"):
        assert made[part]["labels"] == {"sidecar.istio.io/inject": "false"}
        assert "annotations" not in made[part]
        assert "labels" not in spec()[part]


def test_sidecars_are_there_before_the_servers() -> None:
    made = spec()
    for part in ("pxc", "haproxy"):
        assert made[part]["annotations"]["sidecar.istio.io/nativeSidecar"] == "true"


def test_nothing_changes_version_by_itself() -> None:
    assert spec()["upgradeOptions"] == {"apply": "disabled"}


def test_the_preferred_source_stands_last_because_the_operator_dials_that_one() -> None:
    sources = channel()["sourcesList"]
    assert [source["host"] for source in sources] == list(reversed(HOSTS))
    assert [source["weight"] for source in sources] == [98, 99, 100]
    assert {source["port"] for source in sources} == {3306}


def test_weights_are_weights_for_any_number_of_hosts() -> None:
    many = tuple(f"db-{n}.db.wookie.svc.cluster.local" for n in range(200))
    source = SOURCE.model_copy(update={"hosts": many})
    weights = {entry["host"]: entry["weight"] for entry in pxc.sources(source)}
    assert weights[many[0]] == 100
    assert set(weights.values()) == set(range(1, 101))


def test_the_channels_configuration_is_whole() -> None:
    configuration = channel()["configuration"]
    assert configuration == {"sourceRetryCount": 3, "sourceConnectRetry": 10, "ssl": False, "sslSkipVerify": True}


def test_the_channel_is_a_replicas_and_named_as_asked() -> None:
    assert channel(channel="a_to_b")["name"] == "a_to_b"
    assert channel()["isSource"] is False
    assert "replicationChannels" not in spec()["pxc"]


def test_one_that_can_change_roles_is_the_replica_unless_it_takes_over_from_another() -> None:
    switchover = Switchover(primary="dc2")
    assert channel(switchover=switchover)["isSource"] is False
    assert options(switchover=switchover)["read_only"] == "ON"


def held(**changes: Any) -> tuple[str, dict[str, Any]]:
    """Return the role file of a cluster that can change roles, and the container that reads it."""
    made = spec(**{"source": SOURCE, "switchover": Switchover(primary="dc2")} | changes)["pxc"]
    *_, container = made["sidecars"]
    return made["hookScript"], container


OTHER: Any = SimpleNamespace(switched=SimpleNamespace(plan=SimpleNamespace(site="dc1")))


def test_a_primarys_node_asks_the_other_site_and_a_replicas_nobody_by_the_same_container() -> None:
    primary, container = held(counterpart=lambda: OTHER)
    assert primary == f"# dcmesh: primary dc1 {' '.join(HOSTS)}\n"
    replica, same = held()
    assert replica == "# dcmesh: replica\n"
    assert container == same, "otherwise a switchover would restart the nodes"
    assert held(size=5)[1] == same, "otherwise another number of nodes would change it"


def test_a_site_that_is_gone_is_not_asked() -> None:
    asked, _ = held(counterpart=lambda: OTHER, switchover=Switchover(primary="dc2", without="dc1", at="x"))
    assert asked == "# dcmesh: primary\n"
    asked, _ = held(counterpart=lambda: OTHER, switchover=Switchover(primary="dc2", without="dc3", at="x"))
    assert asked.startswith("# dcmesh: primary dc1 ")


def test_the_users_own_script_and_containers_stay() -> None:
    given = {"pxc": {"hookScript": "echo mine", "sidecars": [{"name": "mine"}], "image": "mirror/pxc:1"}}
    script, container = held(spec=given)
    assert script == "# dcmesh: replica\necho mine"
    assert container["image"] == "mirror/pxc:1"
    made = spec(switchover=Switchover(primary="dc2"), spec=given)["pxc"]
    assert [one["name"] for one in made["sidecars"]] == ["mine", "dcmesh-hold"]
    assert given["pxc"] == {"hookScript": "echo mine", "sidecars": [{"name": "mine"}], "image": "mirror/pxc:1"}


def test_its_container_starts_without_what_it_wrote_before() -> None:
    """The pod's /tmp outlives the container.

    Its old content would make a node ready before anybody has looked at it.
    """
    _, container = held()
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["tmp"] == {"name": "tmp", "mountPath": "/pod/tmp", "readOnly": True}
    [*_, file] = container["readinessProbe"]["exec"]["command"]
    assert f"FREE={file}" in pxc.HOLD_SCRIPT.splitlines()


@pytest.mark.parametrize(
    ("given", "events"), [({}, "ON"), ({"event_scheduler": "on"}, "ON"), ({"event_scheduler": "OFF"}, "")]
)
def test_events_run_where_they_would_by_the_users_settings(given: dict[str, str], events: str) -> None:
    _, container = held(settings=given)
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["EVENTS"] == events
    assert environment["SISTERS"].split()[1] == "db-pxc-1.db-pxc.wookie-dr.svc.cluster.local"
    assert options(settings=given, switchover=Switchover(primary="dc2"))["event_scheduler"] == "OFF"


def test_a_cluster_whose_role_is_for_good_is_not_held() -> None:
    assert not {"hookScript", "sidecars"} & spec(source=SOURCE)["pxc"].keys()
    assert "event_scheduler" not in options(source=SOURCE)
    assert pxc.replica("wookie", "db", switched=False).container == "pxc"
    assert pxc.replica("wookie", "db", switched=True).container == "dcmesh-hold"


def options(**changes: Any) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.read_string(spec(**changes)["pxc"]["configuration"])
    return dict(parser["mysqld"])


def test_a_lost_source_is_noticed_soon_and_any_node_can_be_followed() -> None:
    assert options() == {
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "log_replica_updates": "ON",
        "replicate_same_server_id": "ON",
        "replica_net_timeout": "15",
    }


def test_options_of_the_user_are_beside_these() -> None:
    given = options(settings={"max_connections": "500", "replica_net_timeout": "60"})
    assert given["max_connections"] == "500"
    assert given["replica_net_timeout"] == "15"


@pytest.mark.parametrize(
    ("given", "volume"),
    [
        ({}, {"emptyDir": {}}),
        ({"storage": {"size": "1Gi"}}, {"persistentVolumeClaim": {"resources": {"requests": {"storage": "1Gi"}}}}),
        (
            {"storage": {"size": "1Gi", "storage_class": "fast"}},
            {"persistentVolumeClaim": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}},
        ),
    ],
)
def test_volumes(given: dict[str, Any], volume: dict[str, Any]) -> None:
    made = spec(**given)
    assert made["pxc"]["volumeSpec"] == volume
    assert made.get("storageScaling") == ({"enableVolumeScaling": True} if given else None), (
        "the operator lets them grow"
    )


def test_the_users_spec_is_laid_over() -> None:
    made = spec(spec={"pxc": {"image": "mirror/pxc:1", "annotations": {"a": "b"}}, "backup": {"image": "mirror/x:1"}})
    assert made["pxc"]["image"] == "mirror/pxc:1"
    assert len(made["pxc"]["annotations"]) == 4
    assert made["backup"] == {"image": "mirror/x:1"}
    assert "backup" not in spec()


def test_the_lab_has_the_images() -> None:
    names = {part.recipe.name for part in toolchain.PARTS if isinstance(part.recipe, Image)}
    made = spec()
    assert {f"docker.io/{made[part]['image']}" for part in ("pxc", "haproxy")} <= names
    assert made["crVersion"] == toolchain.PXC_OPERATOR


def create(engine: Engine, **changes: Any) -> Engine:
    def program() -> None:
        operator = k8s.helm.v3.Release("operator", chart="operator")
        opts = pulumi.ResourceOptions(provider=k8s.Provider("dc2"))
        password = pulumi.Output.secret("password of replication")
        Pxc("dc2-db", arguments(**{"replication_password": password, "after": [operator]} | changes), opts)

    return engine.run(program)


@pytest.mark.parametrize(("switched", "container"), [(False, "pxc"), (True, "dcmesh-hold")])
def test_a_channel_is_asked_for_through_the_proxy_and_the_password_is_in_no_argument(
    switched: bool, container: str
) -> None:
    where = pxc.replica("wookie-dr", "db", switched=switched)
    assert (where.namespace, where.pod, where.container) == ("wookie-dr", "db-pxc-0", container)
    assert "--host=db-haproxy " in where.command[-1]
    assert "--password" not in where.command[-1]


def test_the_cluster_comes_after_all_that_it_needs(engine: Engine) -> None:
    create(engine, source=SOURCE)
    cluster, account, secret = engine.one("PerconaXtraDBCluster"), engine.one("ServiceAccount"), engine.one("Secret")
    assert cluster.object == ("wookie-dr", "db")
    assert account.object == ("wookie-dr", cluster.spec["pxc"]["serviceAccountName"])
    assert {account.name, secret.name, "operator"} <= engine.before(cluster.name)
    assert engine.one("Namespace").inputs["metadata"]["labels"] == {"istio.io/rev": "stable"}


def test_all_stands_in_the_given_cluster(engine: Engine) -> None:
    create(engine)
    inside = [resource for resource in engine.in_kubernetes() if resource.name != "operator"]
    assert {resource.provider for resource in inside} == {"dc2"}


def test_the_password_is_where_the_operator_looks_and_secret(engine: Engine) -> None:
    create(engine)
    secret = engine.one("Secret")
    assert secret.object == ("wookie-dr", "db-secrets")
    assert secret.inputs["stringData"] == {"replication": "password of replication"}
    assert "password of replication" not in set(readable_strings(secret.raw))


@pytest.mark.parametrize(("given", "state"), [({}, "ready"), ({"pause": True}, "paused")])
def test_pulumi_waits_for_the_state_in_which_the_cluster_ends(
    engine: Engine, given: dict[str, Any], state: str
) -> None:
    create(engine, spec=given)
    cluster = engine.one("PerconaXtraDBCluster")
    waited = cluster.inputs["metadata"]["annotations"]["pulumi.com/waitFor"]
    assert waited == f"jsonpath={{.status.state}}={state}"
    assert cluster.request.customTimeouts.create == cluster.request.customTimeouts.update == "30m"


def test_a_replica_of_what_is_not_there_yet_is_an_identity_alone(engine: Engine) -> None:
    create(engine, role="pending", replication_password=None)
    kinds = {resource.kind for resource in engine.in_kubernetes()} - {"Release"}
    assert kinds == {"Namespace", "ServiceAccount"}
