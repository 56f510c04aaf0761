"""Mariadb: options, manifests whose parts must agree, and their wiring.

Another file tests how a pod prepares itself.
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.databases import mariadb
from components.databases.mariadb import (
    BACKUP_SCRIPTS,
    DEFAULTS,
    MYSQL_USER,
    SCRIPTS,
    Mariadb,
    MariadbArgs,
    first_server_id,
    headless_service,
    server_cnf,
    stateful_set,
)
from components.monitoring.objects import DATABASE_PORT
from dcmesh.model import settings as model
from dcmesh.model.link import ExportedPort, ExportedService
from dcmesh.model.mariadb import COPY_PORT, OWN_SETTINGS, PLACE, REPLICATION
from dcmesh.model.switchover import Switchover
from tests.unit.databases import alone, changed
from tests.unit.engine import Engine, autonamed, readable_strings
from tests.unit.scripts import Programs

PASSWORDS = {"root": "secret-of-root", "replication": "secret-of-both-ends"}
KUBECONFIG = "secret-of-kubeconfig"
ARGS = MariadbArgs(
    database=model.Mariadb(kind="mariadb", namespace="dr", name="rows", replicas=2, image="example.com/mariadb:10.11"),
    plan=alone(site="dc2", namespace="dr", name="rows", kind="mariadb"),
    labels={"istio.io/rev": "stable"},
    after=[],
    replication_password=PASSWORDS["replication"],
    kubeconfig=KUBECONFIG,
)


def options(cnf: str) -> dict[str, str]:
    group, *lines = cnf.splitlines()
    assert group == "[mariadbd]"
    return dict(line.split("=", 1) for line in lines)


# --- options ---------------------------------------------------------------------------------------------------------


def test_options_are_the_users_and_dcmeshs() -> None:
    wished = {"innodb_buffer_pool_size": "4G", "sql_mode": "STRICT_ALL_TABLES,ANSI"}
    assert options(server_cnf(wished)) == {**DEFAULTS, **wished, **PLACE, **REPLICATION}


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_some_of_dcmeshs_options_are_but_defaults(key: str) -> None:
    assert options(server_cnf({key: "7"}))[key] == "7"
    assert key not in OWN_SETTINGS


@pytest.mark.parametrize(("wished", "given"), [("ON", "ON"), ("1", "ON"), ("on", "ON"), ("OFF", ""), ("DISABLED", "")])
def test_no_server_runs_events_before_it_is_the_primary(wished: str, given: str) -> None:
    cnf, at_start = server_cnf({"event_scheduler": wished}), environment(settings={"event_scheduler": wished})
    assert options(cnf)["event_scheduler"] == ("OFF" if given else wished)
    assert at_start["EVENTS"] == given


@pytest.mark.parametrize("key", sorted({*PLACE, *REPLICATION}))
def test_dcmeshs_options_are_stronger(key: str) -> None:
    """The configuration refuses these options. If one got through, replication would still work."""
    assert options(server_cnf({key: "other"})) == options(server_cnf({}))
    assert server_cnf({key: "other"}).count(f"\n{key}=") == 1


def test_whatever_a_pod_sets_itself_is_refused_too() -> None:
    assert {"server_id", "report_host", "read_only"} <= OWN_SETTINGS
    assert not {"innodb_buffer_pool_size", "max_connections", "expire_logs_days"} & OWN_SETTINGS


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("sync_binlog", "1"),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("gtid_strict_mode", "1"),
        ("log_slave_updates", "1"),
        ("skip_slave_start", "1"),
    ],
)
def test_no_replica_has_what_its_primary_lost(option: str, value: str) -> None:
    assert options(server_cnf({}))[option] == value


# --- server ids ------------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES, NAMES)
def test_ids_of_nine_pods_are_ids(site: str, namespace: str, name: str) -> None:
    first = first_server_id(site, namespace, name)
    assert first >= 1
    assert first + 8 < 2**32
    assert first == first_server_id(site, namespace, name), "a replica would lose its source's"


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_ids_are_ids_whatever_the_hash(monkeypatch: pytest.MonkeyPatch, byte: bytes) -> None:
    monkeypatch.setattr(mariadb, "sha256", lambda _: SimpleNamespace(digest=lambda: byte * 32))
    assert 1 <= first_server_id("dc1", "wookie", "db") < 2**32 - 8


@given(st.lists(st.tuples(NAMES, NAMES, NAMES), unique=True, min_size=2, max_size=8))
def test_no_two_pods_have_one_id(databases: list[tuple[str, str, str]]) -> None:
    ids = [first_server_id(*database) + ordinal for database in databases for ordinal in range(9)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("other", [("dc1", "dr", "rows"), ("dc2", "shop", "rows"), ("dc2", "dr", "db")])
def test_site_namespace_and_name_make_the_id(other: tuple[str, str, str]) -> None:
    assert first_server_id("dc2", "dr", "rows") != first_server_id(*other)


# --- manifests -------------------------------------------------------------------------------------------------------


def spec(**changes: Any) -> dict[str, Any]:
    return stateful_set(changed(ARGS, changes), settings="the-settings", passwords="the-passwords")


def pod(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = spec(**changes)["template"]["spec"]
    return found


# --- exporter --------------------------------------------------------------------------------------------------------


def test_without_metrics_there_is_no_exporter_and_no_user_of_its() -> None:
    assert [container["name"] for container in pod()["containers"]] == ["mariadb"]
    assert spec()["template"]["metadata"]["annotations"].keys() == {"sidecar.istio.io/nativeSidecar"}
    assert "EXPORTER" not in {variable["name"] for variable in pod()["initContainers"][0]["env"]}


def test_exporter_is_not_the_servers_user_and_listens_to_the_pod_alone() -> None:
    server, exporter = pod(exporter="example.com/mysqld-exporter:1")["containers"]
    assert (server["name"], exporter["image"]) == ("mariadb", "example.com/mysqld-exporter:1")
    user = exporter["securityContext"]["runAsUser"]
    assert user not in (0, MYSQL_USER), "the server's own user is its administrator"
    assert f"--web.listen-address=127.0.0.1:{mariadb.EXPORTER_PORT}" in exporter["args"]
    assert {mount["name"]: mount.get("readOnly") for mount in exporter["volumeMounts"]} == {
        "run": True,
        "settings": None,
    }


def test_sidecar_shows_what_the_exporter_has() -> None:
    annotations = spec(exporter="exporter")["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(mariadb.EXPORTER_PORT)


def test_without_a_sidecar_the_exporter_is_asked_itself() -> None:
    template = spec(exporter="exporter", sidecar=False)["template"]
    _, exporter = template["spec"]["containers"]
    assert f"--web.listen-address=:{mariadb.EXPORTER_PORT}" in exporter["args"]
    assert exporter["ports"] == [{"name": DATABASE_PORT, "containerPort": mariadb.EXPORTER_PORT}]
    assert "annotations" not in template["metadata"]


def test_exporter_logs_in_as_the_user_that_the_server_lets_in_without_a_password() -> None:
    prepare = pod(exporter="exporter")["initContainers"][0]
    (user,) = [variable["value"] for variable in prepare["env"] if variable["name"] == "EXPORTER"]
    assert f"user={user}\n" in mariadb.EXPORTER_CNF
    assert f"socket={PLACE['socket']}\n" in mariadb.EXPORTER_CNF


def server(**changes: Any) -> dict[str, Any]:
    (only,) = pod(**changes)["containers"]
    return dict(only)


def prepare(**changes: Any) -> dict[str, Any]:
    (only,) = pod(**changes)["initContainers"]
    return dict(only)


def environment(**changes: Any) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in prepare(**changes)["env"] if "value" in variable}


def volumes(**changes: Any) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod(**changes)["volumes"]}


def mounts(container: Mapping[str, Any]) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}


def test_pods_get_their_names_from_the_headless_service() -> None:
    service = headless_service(name="rows")
    assert spec()["serviceName"] == "rows"
    assert service["clusterIP"] == "None"
    assert service["selector"] == spec()["template"]["metadata"]["labels"] == spec()["selector"]["matchLabels"]
    assert environment()["DOMAIN"] == "rows.dr.svc.cluster.local"


def test_the_sidecar_does_not_wait_for_the_client_to_speak_first() -> None:
    """Both the port's name and its protocol say that it is not HTTP."""
    (port,) = headless_service(name="rows")["ports"]
    assert port["name"].startswith("tcp-")
    assert port["appProtocol"] == "tcp"
    (listened,) = server()["ports"]
    assert port["port"] == port["targetPort"] == listened["containerPort"] == int(PLACE["port"]) == 3306


@pytest.mark.parametrize("replicas", [1, 9])
def test_there_are_as_many_pods_as_asked_and_they_run_as_their_account(replicas: int) -> None:
    assert spec(replicas=replicas)["replicas"] == replicas
    assert pod()["serviceAccountName"] == "rows"
    assert {server()["image"], prepare()["image"]} == {"example.com/mariadb:10.11"}


def test_pods_do_not_wait_for_each_other_to_be_started() -> None:
    """A replica's pod 0 may wait for its source for days."""
    assert spec()["podManagementPolicy"] == "Parallel"


def test_the_sidecar_is_there_before_the_first_copy() -> None:
    assert spec()["template"]["metadata"]["annotations"] == {"sidecar.istio.io/nativeSidecar": "true"}


def test_pods_that_need_no_sidecar_get_none_whatever_their_namespace_says() -> None:
    meshed, bare = spec()["template"]["metadata"], spec(sidecar=False)["template"]["metadata"]
    assert "sidecar.istio.io/inject" not in meshed["labels"]
    assert bare == {"labels": {**meshed["labels"], "sidecar.istio.io/inject": "false"}}
    assert spec(sidecar=False)["selector"] == spec()["selector"], "Kubernetes lets nobody change it"


def test_all_is_run_by_the_images_user_who_owns_the_volumes() -> None:
    assert pod()["securityContext"] == {"runAsUser": 999, "runAsGroup": 999, "fsGroup": 999}


def test_passwords_are_seen_by_prepare_alone() -> None:
    """No container has a password in its environment."""
    assert mounts(prepare())["passwords"] == "/etc/dcmesh/passwords"
    assert "passwords" not in mounts(server())
    assert volumes()["passwords"]["secret"] == {"secretName": "the-passwords", "defaultMode": 0o440}
    assert not [text for text in readable_strings(spec()) if text in PASSWORDS.values()]


def test_what_prepare_writes_of_passwords_is_in_memory() -> None:
    assert volumes()["run"]["emptyDir"] == {"medium": "Memory"}
    for place in (PLACE["socket"], PLACE["init_file"]):
        assert place.startswith(f"{mounts(server())['run']}/")


@pytest.mark.parametrize("container", [prepare, server])
def test_prepare_and_server_find_what_they_look_for(container: Callable[[], dict[str, Any]]) -> None:
    where = mounts(container())
    assert PLACE["datadir"].startswith(f"{where['data']}/"), "in a directory of its own: a volume has others"
    assert where["settings"] == "/etc/dcmesh/settings"
    assert volumes()["settings"]["configMap"] == {"name": "the-settings"}
    assert set(where) <= set(volumes()) | {"data"}


def test_prepare_and_server_start_what_they_should() -> None:
    assert prepare()["command"] == ["bash", "/etc/dcmesh/settings/prepare.sh"]
    assert server()["command"] == ["bash", "/etc/dcmesh/settings/start.sh"]
    assert server()["env"] == prepare()["env"]
    for text in ("/etc/dcmesh/settings/server.cnf", '"$run/server.cnf"', '"$run/start.sql"'):
        assert text in SCRIPTS["prepare.sh"]
    assert 'exec mariadbd --defaults-file="$run/server.cnf"' in SCRIPTS["start.sh"]
    assert f"data={PLACE['datadir']} run=/run/mysqld\n" in SCRIPTS["server.sh"]


def test_prepare_knows_its_pod() -> None:
    (of_pod,) = [variable for variable in prepare()["env"] if "valueFrom" in variable]
    assert of_pod == {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert environment()["SERVER_IDS"] == str(first_server_id("dc2", "dr", "rows"))


def test_a_primary_has_no_source() -> None:
    assert (environment()["SOURCE_HOST"], environment()["SOURCE_PORT"]) == ("", "")


def test_a_replica_follows_the_first_host_of_its_source(database: ExportedService) -> None:
    given = environment(source=database.model_copy(update={"ports": (ExportedPort(port=3307),)}))
    assert (given["SOURCE_HOST"], given["SOURCE_PORT"]) == ("db-pxc-0.db.shop.svc.cluster.local", "3307")


def test_data_go_with_the_pod_unless_there_is_storage() -> None:
    assert spec()["volumeClaimTemplates"] == []
    assert volumes()["data"] == {"name": "data", "emptyDir": {}}


@pytest.mark.parametrize(
    ("storage_class", "said"), [(None, {}), ("fast", {"storageClassName": "fast"})], ids=["default", "fast"]
)
def test_storage_is_a_volume_for_each_pod(storage_class: str | None, said: dict[str, str]) -> None:
    changes = {"storage": {"size": "20Gi", "storage_class": storage_class}}
    (claim,) = spec(**changes)["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "20Gi"}},
        **said,
    }
    assert "data" not in volumes(**changes), "it would hide the claim"


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_the_server_itself_and_give_it_time(probe: str) -> None:
    asked = server()[probe]
    assert asked["exec"]["command"] == ["bash", "-c", mariadb.ALIVE]
    assert asked["timeoutSeconds"] >= 5


@pytest.mark.parametrize(
    ("client", "alive"),
    [
        ("true", True),
        ("echo 'ERROR 1040 (08004): Too many connections' >&2; exit 1", True),
        ("echo 'ERROR 2002 (HY000): no server' >&2; exit 1", False),
    ],
)
def test_a_server_without_a_free_connection_is_not_restarted(tmp_path: Path, client: str, alive: bool) -> None:
    status, _ = Programs(tmp_path, {"mariadb": client, "timeout": 'shift\n"$@"'}, files=("mariadb",)).run(
        mariadb.ALIVE, {}
    )
    assert (status == 0) == alive


def test_recovery_after_a_crash_may_take_an_hour() -> None:
    startup = server()["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600


def test_resources_are_small_unless_given() -> None:
    assert server()["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}}
    wished = {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi"}}
    assert server(resources=wished)["resources"] == wished


# --- sites that can change roles -------------------------------------------------------------------------------------

SWITCHOVER = Switchover(primary="dc2")


def test_nothing_in_a_pod_says_which_of_two_sites_is_the_primary() -> None:
    """A switchover restarts no server."""
    roles = [Switchover(primary="dc2"), Switchover(primary="dc1"), Switchover(primary="dc1", without="dc2", at="0-1-7")]
    first, *others = [spec(source_site="dc1", switchover=switchover) for switchover in roles]
    assert all(other == first for other in others)
    assert environment(source_site="dc1", switchover=SWITCHOVER)["PRIMARY"] == ""


@pytest.mark.parametrize(("source_site", "primary"), [(None, "dc2"), ("dc1", "dc1")])
def test_where_roles_do_not_change_a_pod_is_told_its_own(source_site: str | None, primary: str) -> None:
    given = environment(source_site=source_site)
    assert (given["SITE"], given["PRIMARY"], given["SOURCE_SITE"]) == ("dc2", primary, source_site or "")


def test_prepare_and_server_find_the_role_and_do_without() -> None:
    """A pod whose roles do not change has no ConfigMap with a role. The ConfigMap is read when the containers start."""
    assert mounts(prepare())["role"] == mounts(server())["role"] == "/etc/dcmesh/role"
    sources = [source["configMap"] for source in volumes()["role"]["projected"]["sources"]]
    assert sources == [{"name": name, "optional": True} for name in ("rows-role", "rows-begun")]


# --- wiring ----------------------------------------------------------------------------------------------------------

Create = Callable[..., Engine]


@pytest.fixture
def create(engine: Engine) -> Create:
    """Create a database as `dc2.dr`, after istiod."""

    def run(**changes: Any) -> Engine:
        def program() -> None:
            istiod = k8s.helm.v3.Release("istiod", chart="istiod")
            known = {
                "after": [istiod],
                "kubeconfig": pulumi.Output.secret(KUBECONFIG),
                "replication_password": pulumi.Output.secret(PASSWORDS["replication"]),
            }
            opts = pulumi.ResourceOptions(provider=k8s.Provider("dc2"))
            Mariadb("dc2.dr", changed(ARGS, {**known, **changes}), opts)

        return engine.run(program)

    return run


def test_all_stands_in_its_namespace_on_its_cluster(create: Create) -> None:
    engine = create()
    made = [resource for resource in engine.in_kubernetes() if resource.name != "istiod"]
    assert {(resource.kind, resource.object) for resource in made} == {
        ("Namespace", ("", "dr")),
        ("ServiceAccount", ("dr", "rows")),
        ("Secret", ("dr", autonamed("dc2.dr-passwords"))),
        ("ConfigMap", ("dr", autonamed("dc2.dr-settings"))),
        ("Service", ("dr", "rows")),
        ("StatefulSet", ("dr", "rows")),
    }
    assert {resource.provider for resource in made} == {"dc2"}
    assert engine.one("Namespace").inputs["metadata"]["labels"] == {"istio.io/rev": "stable"}


def test_claims_stay_and_grow_one_after_the_other_before_the_pods_want_them(create: Create) -> None:
    """Changes of the resources delete no volume, and a new pod finds a volume of the right size."""
    engine = create(storage={"size": "2Gi", "storage_class": "fast"})
    pods, patches = engine.one("StatefulSet"), engine.kind("PersistentVolumeClaimPatch")
    assert pods.request.ignoreChanges == ["spec.volumeClaimTemplates"], "Pulumi would replace it"
    assert pods.spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert [patch.object for patch in patches] == [("dr", "data-rows-0"), ("dr", "data-rows-1")]
    assert {patch.name for patch in patches} <= pods.dependencies
    assert patches[0].name in patches[1].dependencies
    (template,) = pods.spec["volumeClaimTemplates"]
    for patch in patches:
        assert engine.one("ServiceAccount").name in patch.dependencies, "it is in the namespace"
        assert patch.spec == template["spec"]
        assert patch.request.retainOnDelete
        annotations = patch.inputs["metadata"]["annotations"]
        assert annotations == {"pulumi.com/patchForce": "true", "pulumi.com/skipAwait": "true"}


def test_pods_without_volumes_have_no_claims(create: Create) -> None:
    assert create().kind("PersistentVolumeClaimPatch") == []


def test_pods_use_the_secret_and_the_options_of_this_up(create: Create) -> None:
    """Neither changes under a running pod. Others get new names, and so new pods."""
    engine = create(settings={"max_connections": "500"})
    passwords, settings, pods = (engine.one(kind) for kind in ("Secret", "ConfigMap", "StatefulSet"))
    used = {volume["name"]: volume for volume in pods.spec["template"]["spec"]["volumes"]}
    assert used["passwords"]["secret"]["secretName"] == passwords.object[1]
    assert used["settings"]["configMap"]["name"] == settings.object[1]
    for resource in (passwords, settings):
        assert resource.inputs["immutable"] is True
        assert "name" not in resource.inputs["metadata"]
    wanted = {"server.cnf": server_cnf({"max_connections": "500"}), **SCRIPTS}
    assert settings.inputs["data"] == wanted


def test_pods_start_after_istiod_their_account_and_what_they_mount(create: Create) -> None:
    engine = create()
    wanted = {"istiod", *(engine.one(kind).name for kind in ("ServiceAccount", "Secret", "ConfigMap", "Service"))}
    assert wanted <= engine.before(engine.one("StatefulSet").name)


def test_passwords_that_are_given_are_taken_and_never_readable(create: Create) -> None:
    engine = create(root_password=PASSWORDS["root"])
    given = dict(engine.one("Secret").inputs["stringData"])
    assert len(given.pop("replication_local")) == 32, "no `up` changes it"
    assert given == PASSWORDS
    for resource in engine.asked.values():
        assert not [text for text in readable_strings(resource.raw) if "secret-of" in text], resource.name


def test_own_passwords_are_generated_and_never_readable_and_root_has_none(create: Create) -> None:
    engine = create()
    given = engine.one("Secret").inputs["stringData"]
    password = given["replication_local"]
    assert given["root"] == ""
    assert {key.name: key.parent for key in engine.kind("PrivateKey")} == {
        "dc2.dr-root": "dc2.dr",
        "dc2.dr-local": "dc2.dr",
    }
    for resource in engine.asked.values():
        assert not [text for text in readable_strings(resource.raw) if password in text], resource.name


def test_a_secret_in_a_stack_is_a_secret_in_its_state(create: Create) -> None:
    assert {"stringData", "data"} <= create().one("Secret").secret_outputs


def test_while_its_source_is_not_there_a_replica_has_no_pods(create: Create) -> None:
    """Only its service account exists, for the source's list of consumers and for later imports."""
    engine = create(role="pending", replication_password=None)
    made = {resource.kind for resource in engine.asked.values()} - {"Release", "kubernetes"}
    assert made == {"Mariadb", "Namespace", "ServiceAccount"}


def test_a_pod_is_asked_where_its_server_is() -> None:
    """It is asked as the server's own user over the socket, without a password."""
    replica = mariadb.replica("dr", "rows-0")
    assert (replica.namespace, replica.pod, replica.container) == ("dr", "rows-0", server()["name"])
    shell, option, script, query = replica.command
    assert (shell, option) == ("bash", "-c")
    assert script.startswith(f'mariadb --socket={PLACE["socket"]} --execute="$0" && ')
    assert query.startswith("SHOW SLAVE STATUS\\G"), "it is one channel's, and repeated fields contradict each other"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("echo 11.8", "Source_Version: 11.8\n"),
        ("echo 11.8; echo 10.11", "Source_Version: 11.8\n"),
        ("echo '11.8 Read_Only: 1'; echo Read_Only: 1", "Source_Version: \n"),
        ("exit 1", "Source_Version: \n"),
    ],
    ids=["it answers", "two lines", "what cannot be", "it is gone"],
)
def test_what_is_followed_is_asked_for_its_version(tmp_path: Path, answer: str, told: str) -> None:
    client = tmp_path / "mariadb"
    client.write_text(f"#!/bin/sh\n{answer}\n")
    client.chmod(0o755)
    script = mariadb.SOURCE_VERSION.replace("/var/lib/mysql/data", str(tmp_path))

    def said() -> str:
        done = subprocess.run(
            ["bash", "-c", script], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert said() == "", "it follows nothing"
    (tmp_path / "master.info").touch()
    assert said() == told
    assert f" && {mariadb.SOURCE_VERSION}" in mariadb.replica("dr", "rows-0").command[2]


def test_containers_may_do_nothing_special() -> None:
    spec = pod(exporter="example.com/mysqld-exporter:1", first_copy="backup")
    assert spec["automountServiceAccountToken"] is False
    for container in (*spec["initContainers"], *spec["containers"]):
        confined = container["securityContext"]
        assert (confined["allowPrivilegeEscalation"], confined["runAsNonRoot"]) == (False, True), container["name"]
        assert confined["capabilities"] == {"drop": ["ALL"]}


def test_what_a_channel_says_may_be_read(create: Create, database: ExportedService) -> None:
    """The question contained a secret, but the answer is none."""
    assert create(source=database).secret_outputs == set()


# --- first copies that are backups -----------------------------------------------------------------------------------


def test_a_database_whose_copies_are_dumps_is_as_it_was(create: Create) -> None:
    assert [container["name"] for container in (*pod()["initContainers"], *pod()["containers"])] == [
        "prepare",
        "mariadb",
    ]
    assert not {"COPY_PORT", "SOURCE_COPY_PORT"} & environment().keys()
    engine = create()
    assert not BACKUP_SCRIPTS.keys() & engine.one("ConfigMap").inputs["data"].keys()
    assert [port["port"] for port in engine.one("Service").spec["ports"]] == [3306]


def test_a_backup_is_fetched_before_the_pod_prepares_itself_and_served_beside_its_server(create: Create) -> None:
    spec = pod(first_copy="backup")
    assert [container["name"] for container in spec["initContainers"]] == ["fetch", "prepare"]
    assert [container["name"] for container in spec["containers"]] == ["mariadb", "copies"]
    assert spec["containers"][1]["ports"] == [{"name": "copies", "containerPort": COPY_PORT}]
    engine = create(first_copy="backup")
    assert BACKUP_SCRIPTS.keys() < engine.one("ConfigMap").inputs["data"].keys()
    assert [port["port"] for port in engine.one("Service").spec["ports"]] == [3306, COPY_PORT]


def test_what_fetches_a_backup_can_write_to_one_directory_alone() -> None:
    fetch = pod(first_copy="backup")["initContainers"][0]
    assert fetch["securityContext"]["readOnlyRootFilesystem"] is True
    writable = {
        mount["mountPath"]: mount.get("subPath")
        for mount in fetch["volumeMounts"]
        if mount["name"] in ("data", "run") and not mount.get("readOnly")
    }
    assert writable == {"/incoming": "incoming"}
    assert "\nincoming=/var/lib/mysql/incoming " in SCRIPTS["prepare.sh"]
    assert '"$incoming/copy"' in SCRIPTS["prepare.sh"]
    assert "\ncopy=/incoming/copy " in BACKUP_SCRIPTS["fetch.sh"]


def test_what_serves_backups_only_reads_the_data() -> None:
    copies = pod(first_copy="backup")["containers"][-1]
    assert [m["mountPath"] for m in copies["volumeMounts"] if m["name"] == "data" and m["readOnly"]] == [
        "/var/lib/mysql"
    ]


@pytest.mark.parametrize(("ports", "given"), [((3306,), ""), ((3306, COPY_PORT), str(COPY_PORT))])
def test_a_backup_is_fetched_where_the_export_has_its_port(
    database: ExportedService, ports: tuple[int, ...], given: str
) -> None:
    offered = tuple(ExportedPort(port=port, probe="greeting") for port in ports)
    source = database.model_copy(update={"ports": offered})
    for container in pod(first_copy="backup", source=source)["initContainers"]:
        (found,) = [v["value"] for v in container["env"] if v["name"] == "SOURCE_COPY_PORT"]
        assert found == given


# --- wiring of sites that can change roles ---------------------------------------------------------------------------


def switchable(database: ExportedService, primary: str = "dc2", **changes: Any) -> dict[str, Any]:
    return {"source": database, "source_site": "dc1", "switchover": Switchover(primary=primary), **changes}


def test_the_role_is_there_before_the_pods(create: Create, database: ExportedService) -> None:
    engine = create(**switchable(database))
    role, settings = sorted(engine.kind("ConfigMap"), key=lambda resource: resource.name)
    assert role.object == ("dr", "rows-role")
    assert settings.object == ("dr", autonamed("dc2.dr-settings"))
    assert role.inputs["data"] == {"primary": "dc2", "without": ""}
    assert "immutable" not in role.inputs
    assert role.name in engine.before(engine.one("StatefulSet").name)


def test_there_is_no_role_where_roles_are_settled(create: Create, database: ExportedService) -> None:
    assert len(create(**switchable(database, switchover=None)).kind("ConfigMap")) == 1
