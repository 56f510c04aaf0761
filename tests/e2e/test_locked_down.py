"""Two clusters of a careful team: Pod Security and quotas everywhere, a private registry, and few rights.

The rights are exactly those of docs/permissions.md. The NetworkPolicies are those of docs/locked-down.md, and one that
denies everything; nothing in the lab enforces them. Sidecars have no init container, because Istio's CNI plugin sets
their pods' network rules. dc1's Istio is dcmesh's own, and dc2's was installed before.

The tests form one course of events.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi_kubernetes as k8s
import pytest
import yaml
from pulumi import ResourceOptions, automation

from dcmesh.model.permissions import ANY_ISTIO, OWN_ISTIO, Right, cluster_role, rights
from lab import istio_cni, toolchain
from lab.paths import SitePaths
from lab.processes import AUDITED, cni_configuration, cni_programs

from .site_stack import ISTIO, SiteStack
from .toolbox import ROOT, Kubectl, Lab, Project, database_passwords, lab_for_a_while

SOAK = pytest.mark.soak(
    proves=("components/pod_policy.py", "dcmesh/model/permissions.py", "dcmesh/preflight/admission.py")
)

PASSWORD = "one-word-for-both-ends"

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
HANDED_OVER = {"app.kubernetes.io/managed-by": "dcmesh"}

REGISTRY, SECRET = "localhost:5000", "registry"
LOGIN = ("--docker-server", REGISTRY, "--docker-username", "user", "--docker-password", "word")
SERVED = ("agnhost", "mariadb", "pilot-1.31", "proxyv2-1.31")
"""The images in the private registry, besides the CNI plugin's."""

AGNHOST = f"{REGISTRY}/e2e-test-images/agnhost:2.53"
IMAGES = {"probe": AGNHOST, "hello": AGNHOST, "pullSecrets": [SECRET]}
MARIADB = {"image": f"{REGISTRY}/library/mariadb:10.11", "replicas": 1, "sidecar": False, "storage": {"size": "1Gi"}}
UNENFORCED = "nothing in this cluster enforces NetworkPolicies"
"""The warning of `status` about the lab."""

LOCKED = {
    "dc1": ["istio-system", "dcmesh-gateway", "wookie", "demo"],
    "dc2": ["istio-system", "dcmesh-egress", "wookie-dr", "demo-dr"],
}
"""The namespaces with a quota and with `restricted` pods only: all except the cluster's own."""

SHUT = {"dc1": ["dcmesh-gateway", "wookie"], "dc2": ["dcmesh-egress", "wookie-dr"]}
"""The namespaces with NetworkPolicies."""

DB = {"namespace": "wookie", "replicas": 1, "port": 3306}
TO_DC2 = [{"site": "dc2", "namespace": "dcmesh-egress", "serviceAccount": "egress"}]
HELLO = {
    "name": "hello",
    "namespace": "demo",
    "replicas": 1,
    "port": 8080,
    "protocol": "HTTP",
    "serviceAccount": "hello",
}
CLIENT = {"namespace": "demo-dr", "serviceAccount": "client"}
DC1: dict[str, Any] = {
    "name": "dc1",
    "gateway": {"replicas": 1},
    "workloads": [
        {"kind": "hello", "namespace": "demo", "replicas": 1},
        {
            "kind": "mariadb",
            "namespace": "wookie",
            **MARIADB,
            "replicationPassword": PASSWORD,
        },
    ],
    "exports": [
        {"name": "db", "termination": "gateway", **DB, "consumers": TO_DC2},
        {**HELLO, "selector": {"app": "hello"}, "probe": "pod-name", "consumers": [{"site": "dc2", **CLIENT}]},
    ],
}
DC2: dict[str, Any] = {
    "name": "dc2",
    "workloads": [
        {"kind": "hello-client", "namespace": "demo-dr"},
        {
            "kind": "mariadb",
            "namespace": "wookie-dr",
            **MARIADB,
            "replicates": {"from": "dc1", "export": "db"},
            "replicationPassword": PASSWORD,
        },
    ],
    "imports": [
        {"from": "dc1", "export": "hello", **CLIENT},
        {
            "from": "dc1",
            "export": "db",
            "egress": "gateway",
            "namespace": "dcmesh-egress",
            "serviceAccount": "egress",
            "hostNamespace": "wookie",
            "clients": [{"namespace": "wookie-dr", "labels": {"app": "db"}}],
        },
    ],
}


def from_registry(istio: dict[str, Any]) -> dict[str, Any]:
    """Return the lab's settings of Istio, changed for images from the private registry and for the CNI plugin."""
    kept = {key: value for key, value in istio["values"]["istiod"].items() if key not in ("hub", "tag", "global")}
    kept |= {"global": {"imagePullPolicy": "IfNotPresent"}, "cni": {"enabled": True}}
    images = {"hub": f"{REGISTRY}/istio", "tag": "1.31.0", "pullSecrets": [SECRET]}
    return {**istio, **images, "values": {**istio["values"], "istiod": kept}}


def hand_over(site: Kubectl, namespace: str, labels: dict[str, str]) -> None:
    """Make a namespace for dcmesh, with the credentials for the registry."""
    site.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels | HANDED_OVER}}
    )
    site("create", "secret", "docker-registry", SECRET, "--namespace", namespace, *LOGIN)


def serve(lab: Lab, site: str) -> None:
    """Start the private registry in a site. It ends with the site."""
    archives = [path for path in toolchain.ensure().images if path.parent.name.rpartition("-")[0][6:] in SERVED]
    assert len(archives) == len(SERVED)
    program, port = Path(__file__).with_name("registry.py"), REGISTRY.partition(":")[2]
    served = (str(archive) for archive in (*archives, istio_cni.ensure()[1]))
    lab.start("enter", site, "--", sys.executable, str(program), port, "user", "word", *served)


def lock(site: Kubectl, namespace: str) -> None:
    """Make a namespace for dcmesh, with Pod Security, a quota, and default limits for pods that set none."""
    hand_over(site, namespace, RESTRICTED)
    most = {"cpu": "8", "memory": "8Gi"}
    quota = {f"{kind}.{of}": much for kind in ("requests", "limits") for of, much in most.items()}
    least = {"cpu": "10m", "memory": "16Mi"}
    default = {"type": "Container", "default": {"cpu": "2", "memory": "2Gi"}, "defaultRequest": least}
    place = {"name": "locked", "namespace": namespace}
    site.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": place, "spec": {"hard": quota | {"pods": "10"}}},
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": place, "spec": {"limits": [default]}},
    )


def install_cni_plugin(directory: Path, lab: Lab, site: SiteStack) -> None:
    """Install Istio's CNI plugin in the cluster's own namespace, as the cluster's administrators do."""
    paths, namespace = SitePaths(lab.name, site.stack), "kube-system"
    site.kubectl("create", "secret", "docker-registry", SECRET, "--namespace", namespace, *LOGIN)
    chart = str(istio_cni.ensure()[0])
    values = {
        "cniBinDir": str(cni_programs(paths)),
        "cniConfDir": str(cni_configuration(paths)),
        "global": {"hub": f"{REGISTRY}/istio", "tag": toolchain.ISTIO.version, "imagePullSecrets": [SECRET]},
    }

    def program() -> None:
        own = ResourceOptions(provider=k8s.Provider("site", kubeconfig=str(site.kubectl.path)))
        k8s.helm.v3.Release("istio-cni", chart=chart, namespace=namespace, values=values, opts=own)

    directory.mkdir()
    environment = site.environment | {"PULUMI_BACKEND_URL": f"file://{directory}"}
    options = automation.LocalWorkspaceOptions(env_vars=environment)
    of = {"stack_name": site.stack, "project_name": "istio-cni", "program": program}
    automation.create_stack(**of, opts=options).up(suppress_outputs=True)


def deny(site: Kubectl, namespace: str) -> None:
    """Make a NetworkPolicy that lets nothing in or out."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    place = {"name": "deny", "namespace": namespace}
    site.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": place, "spec": spec})


def documented(gateway: str) -> list[dict[str, Any]]:
    """Return the NetworkPolicies of docs/locked-down.md.

    Args:
        gateway: the address of the other site's gateway. The document has 192.0.2.1 instead.
    """
    text = (ROOT / "docs" / "locked-down.md").read_text().replace("192.0.2.1", gateway)
    objects = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]
    return [one for one in objects if one["kind"] == "NetworkPolicy"]


def give_rights(site: Kubectl, *, own_istio: bool) -> None:
    """Make the service account, and give it the rights of docs/permissions.md."""
    role = cluster_role(own_istio=own_istio)
    name, group = role["metadata"]["name"], "rbac.authorization.k8s.io"
    site.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": AUDITED}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dcmesh", "namespace": AUDITED}},
        role,
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "dcmesh", "namespace": AUDITED}],
        },
    )


def kubeconfig_of_account(site: Kubectl) -> str:
    """Return a kubeconfig of the service account."""
    token = site("create", "token", "dcmesh", "--namespace", AUDITED, "--duration", "3h")
    known = yaml.safe_load(site.path.read_text())
    known["users"][0]["user"] = {"token": token}
    return yaml.safe_dump(known)


def used(lab: Lab, site: str) -> set[Right]:
    """Return the rights that the service account has used, according to the API server's audit log."""
    found = set[Right]()
    for line in (SitePaths(lab.name, site).logs / "audit.log").read_text().splitlines():
        event = json.loads(line)
        if of := event.get("objectRef"):
            assert event["annotations"]["authorization.k8s.io/decision"] == "allow", line
            resource = "/".join(filter(None, (of["resource"], of.get("subresource"))))
            found.add(Right(of.get("apiGroup", ""), resource, event["verb"]))
            if (
                event["verb"] == "patch" and event["responseStatus"]["code"] == 201
            ):  # The object did not exist, so the request was a create.
                found.add(Right(of.get("apiGroup", ""), resource, "create"))
    return found


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in lab_for_a_while("locked"):
        lab.create({"dc1": ["dc2"], "dc2": []})
        yield lab


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("locked")


@pytest.fixture(scope="module")
def trust(directory: Path) -> Project:
    config = {"dcmesh:trust": {"source": "generated", "issueFor": ["dc1", "dc2"]}, "dcmesh:protect": False}
    trust = Project(directory / "trust", stack="trust", config=config, state=directory / "state")
    trust.init()
    trust.up("--skip-preview")
    return trust


@pytest.fixture(scope="module")
def stacks(directory: Path, lab: Lab, trust: Project) -> dict[str, SiteStack]:
    """The stacks of both sites, on locked-down clusters. dc2 already has Istio and the certificates."""
    state, base = directory / "state", {"protect": False}
    images = {"images": IMAGES, **base}
    existing = {
        "charts": ISTIO["charts"],
        "existing": {},
        "pullSecrets": [SECRET],
        "values": {"gateway": ISTIO["values"]["gateway"]},
    }
    of_dc2 = {"trust": {"source": "existing"}, "istio": existing, "peers": [{"name": "dc1"}], **images}
    found = {
        "dc1": SiteStack(directory / "dc1", lab=lab, state=state, site=DC1, istio=from_registry(ISTIO), **images),
        "dc2": SiteStack(directory / "dc2", lab=lab, state=state, site=DC2, **of_dc2),
    }
    for name, stack in found.items():
        serve(lab, name)
        install_cni_plugin(directory / f"{name}-cni", lab, stack)
        for namespace in LOCKED[name]:
            lock(stack.kubectl, namespace)
        for namespace in SHUT[name]:
            deny(stack.kubectl, namespace)
        give_rights(stack.kubectl, own_istio=name == "dc1")
        file = directory / f"{name}-account"
        file.touch(mode=0o600)
        file.write_text(kubeconfig_of_account(stack.kubectl))
        with stack.edit_site() as edited:
            edited["cluster"] = {"kubeconfig": str(file)}
        stack.init()
    site, issued = found["dc2"].kubectl, trust.output("intermediates")["dc2"]
    files = {"ca-cert.pem": "caCert", "ca-key.pem": "caKey", "cert-chain.pem": "certChain", "root-cert.pem": "rootCert"}
    cacerts = {file: issued[part] for file, part in files.items()}
    place = {"name": "cacerts", "namespace": "istio-system"}
    site.apply({"apiVersion": "v1", "kind": "Secret", "metadata": place, "stringData": cacerts})
    platform = SiteStack(
        directory / "platform",
        lab=lab,
        state=directory / "platform-state",
        site={"name": "dc2", "podSecurity": "restricted"},
        istio=from_registry(ISTIO),
        trust={"source": "existing"},
        **base,
    )
    platform.init()
    platform.up("--skip-preview")
    return found


@SOAK
def test_pods_that_would_not_be_let_in_are_named_before_anything_is_made(stacks: dict[str, SiteStack]) -> None:
    said = stacks["dc1"].refused("preview")
    for place, namespace, what in (
        ("gateway.namespace", "dcmesh-gateway", "the gateway"),
        ("workloads[1].namespace", "wookie", "mariadb"),
    ):
        assert f'sites[0].{place}: "{namespace}" would not let in {what} in dc1' in said
    assert "set `podSecurity: restricted` of the site" in said
    assert stacks["dc1"].resources() == []


def images(site: Kubectl) -> set[str]:
    """Return the images of all containers, except those of the cluster itself."""
    pods = json.loads(site("get", "pods", "--all-namespaces", "--output", "json"))["items"]
    specs = [pod["spec"] for pod in pods if pod["metadata"]["namespace"] != "kube-system"]
    return {of["image"] for spec in specs for of in [*spec.get("initContainers", []), *spec["containers"]]}


@SOAK
def test_exactly_the_rights_of_the_list_are_used(lab: Lab, stacks: dict[str, SiteStack]) -> None:
    for name, stack in stacks.items():
        with stack.edit_site() as site:
            site["podSecurity"] = "restricted"
        assert f"/deny in {name}" in stack.pulumi("preview")
        gateway = "192.0.2.1" if name == "dc1" else stacks["dc1"].gateway()[0]
        mine = [policy for policy in documented(gateway) if policy["metadata"]["namespace"] in SHUT[name]]
        assert mine
        stack.kubectl.apply(*mine)
        assert " NetworkPolicy " not in stack.up("--skip-preview")
    for stack in stacks.values():
        stack.up("--expect-no-changes")
        for verb in ("status", "doctor", "trust"):
            done = stack.dcmesh(verb)
            said = f"{stack.stack}: {verb}: {done.stdout}{done.stderr}"
            assert done.returncode == 0 or UNENFORCED in said, said
            assert "orbidden" not in said
        assert {image.partition("/")[0] for image in images(stack.kubectl)} == {REGISTRY}
    assert database_passwords(stacks["dc2"].kubectl, "wookie-dr")["replication"] == PASSWORD
    for stack in reversed(stacks.values()):
        stack.pulumi("destroy", "--yes", "--skip-preview")
    of_dc1, of_dc2 = used(lab, "dc1"), used(lab, "dc2")
    listed = rights(rule for rule in [*ANY_ISTIO, *OWN_ISTIO] if rule.seen)
    assert of_dc1 | of_dc2 == listed
    assert of_dc2 <= rights(ANY_ISTIO)
