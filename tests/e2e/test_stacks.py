"""One stack for each site, as in production: existing clusters, separate credentials, a stack that holds the trust.

One life, in the order of the tests: each begins where the one before it ended. Each site has a trust domain of its own.
"""

import json
import os
import shlex
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .certificates import asking, bundle_of, leaf
from .connect_proxy import connect_proxy
from .site_stack import ISTIO, TRUST, SiteStack
from .toolbox import (
    CLIENT,
    MARIADB,
    Kubectl,
    Lab,
    Project,
    curl,
    eventually,
    lab_for_a_while,
    run,
)

GATEWAY_NAME = "gateway.dc1.example"
DOMAINS = {"dc1": "dc1.dcmesh", "dc2": "dc2.dcmesh"}


def hosts(replicas: int, *, name: str = "hello", namespace: str = "demo") -> dict[str, str]:
    """Return the hosts of a StatefulSet, each with the pod that must answer."""
    return {f"{name}-{n}.{name}.{namespace}.svc.cluster.local": f"{name}-{n}" for n in range(replicas)}


def export(*, namespace: str, name: str = "hello", replicas: int, consumers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "replicas": replicas,
        "port": 8080,
        "protocol": "TCP",  # With this, one connection of the client is one connection all the way to the pod.
        "serviceAccount": name,
        "selector": {"app": name},
        "probe": "pod-name",
        "consumers": consumers,
    }


def consumer(site: str, namespace: str, **more: Any) -> dict[str, Any]:
    return {"site": site, "namespace": namespace, "serviceAccount": "client", **more}


def of_its_domain(site: str, namespace: str) -> dict[str, Any]:
    return consumer(site, namespace, trustDomains=[DOMAINS[site]])


def imported(source: str, name: str, namespace: str) -> dict[str, str]:
    return {"from": source, "export": name, "namespace": namespace, "serviceAccount": "client"}


def address(stack: SiteStack, last: int) -> str:
    """Return an address of the lab's pool for a site's load balancers."""
    network = stack.api.removeprefix("https://").rpartition(".")[0]
    return f"{network}.{last}"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in lab_for_a_while("stacks"):
        lab.create({"dc1": ["dc2"], "dc2": ["dc1"]})
        yield lab


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stacks")


@pytest.fixture(scope="module")
def state(directory: Path) -> Path:
    return directory / "state"


@pytest.fixture(scope="module")
def trust(directory: Path, state: Path) -> Project:
    config = {"dcmesh:trust": {"source": "generated", "issueFor": ["dc1", "dc2"], "trustDomains": DOMAINS}}
    return Project(directory / "trust", stack="trust", config=config, state=state)


@pytest.fixture(scope="module")
def dc1(directory: Path, state: Path, lab: Lab) -> SiteStack:
    consumers = [of_its_domain("dc2", "demo-dr")]
    site = {
        "name": "dc1",
        "trustDomain": DOMAINS["dc1"],
        "gateway": {"replicas": 1},
        "workloads": [
            {"kind": "hello", "namespace": "demo"},
            {"kind": "hello", "namespace": "extra", "name": "extra", "replicas": 1},
        ],
        "exports": [
            export(namespace="demo", replicas=3, consumers=consumers),
            export(namespace="extra", name="extra", replicas=1, consumers=[*consumers, of_its_domain("dc2", "guests")]),
        ],
    }
    return SiteStack(directory / "dc1", lab=lab, state=state, site=site)


@pytest.fixture(scope="module")
def dc2(directory: Path, state: Path, lab: Lab, dc1: SiteStack) -> SiteStack:
    """The importer.

    Its kubeconfig has contexts of other clusters too, one of which is current, as people's kubeconfigs do.
    Only its DNS knows a name for dc1's gateway, with an address that the gateway will have later.
    """
    site = {
        "name": "dc2",
        "trustDomain": DOMAINS["dc2"],
        "workloads": [{"kind": "hello-client", "namespace": "demo-dr"}],
        "imports": [imported("dc1", "hello", "demo-dr"), imported("dc1", "extra", "demo-dr")],
    }
    stack = SiteStack(directory / "dc2", lab=lab, state=state, site=site, peers=[{"name": "dc1"}])
    both = directory / "both-kubeconfigs"
    environment = os.environ | {"KUBECONFIG": f"{dc1.kubectl.path}:{stack.kubectl.path}"}
    both.touch(mode=0o600)
    both.write_text(run("kubectl", "config", "view", "--raw", "--flatten", env=environment).stdout)
    with stack.edit_site() as edited:
        edited["cluster"] = {"kubeconfig": str(both), "context": f"{lab.name}-dc2"}
    names = f"{GATEWAY_NAME} {{\n    hosts {{\n        {address(dc1, 105)} {GATEWAY_NAME}\n    }}\n}}\n"
    metadata = {"name": "coredns-custom", "namespace": "kube-system"}
    stack.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"dc1.server": names}})
    return stack


EXTRA = hosts(1, name="extra", namespace="extra")


def answers(stack: SiteStack, expected: dict[str, str], pod: tuple[str, ...] = CLIENT) -> bool:
    """Ask each host once, and tell whether its own pod answers."""
    return {host: curl(stack.kubectl, host, pod=pod) for host in expected} == {
        host: (own, "200") for host, own in expected.items()
    }


def test_a_site_whose_trust_does_not_exist_is_told_so(trust: Project, dc2: SiteStack) -> None:
    dc2.init()
    with dc2.edit() as config:
        peers = config.pop("dcmesh:peers")
        imports = config["dcmesh:sites"][0].pop("imports")
    for before in ("the stack is not there", "the stack is empty"):
        said = dc2.refused("up", "--yes")
        assert "trust" in said, before
        assert "Traceback" not in said, before
        assert dc2.resources() == []
        if before == "the stack is not there":
            trust.init()
    with dc2.edit() as config:
        config["dcmesh:peers"] = peers
        config["dcmesh:sites"][0]["imports"] = imports


def test_a_peer_that_attacks_is_refused_before_the_first_resource(directory: Path, state: Path) -> None:
    """The attack comes in its stack's outputs, and in a file. What the peer wrote does nothing to the terminal."""
    claims = {
        "name": "hello",
        "namespace": "demo",
        "hosts": ["hello-0.hello.demo.svc.cluster.local", "kubernetes-0.kubernetes.default.svc.cluster.local"],
        "port": 8080,
        "protocol": "TCP",
        "identity": "spiffe://cluster.local/ns/kube-system/sa/hello",
        "probe": "greeting",
    }
    of_stack = {"site": "dc1", "gateway": {"addresses": ["192.0.2.1"], "port": 15443}, "exports": [claims]}
    attack = "2001:db8::1%\n\x1b[2J<{%fg 1%}>"
    of_file = {"site": "dc3", "gateway": {"addresses": [attack]}, "exports": [], "\x1b]0;title\x07\n": 1}
    file = directory / "attack.json"
    file.write_text(json.dumps(of_file))
    peers = [{"name": "dc1", "stack": "organization/dcmesh/attacker"}, {"name": "dc3", "linkFile": str(file)}]
    config = {"dcmesh:trust": {"issueFor": ["dc9"]}, "dcmesh:peers": peers}
    attacker = Project(directory / "attacker", stack="attacker", config={}, state=state)
    attacker.init()
    exported = json.loads(attacker.pulumi("stack", "export"))
    kind = "pulumi:pulumi:Stack"
    urn = f"urn:pulumi:attacker::dcmesh::{kind}::dcmesh-attacker"
    exported["deployment"]["resources"] = [{"urn": urn, "type": kind, "outputs": {"link": {"dc1": of_stack}}}]
    attacker.pulumi("stack", "import", stdin=json.dumps(exported))
    attacked = Project(directory / "attacked", stack="attacked", config=config, state=state)
    attacked.init()
    said = attacked.refused("preview")
    for line in (
        'peers[0].stack → exports[0].hosts[1]: "kubernetes-0.kubernetes.default.svc.cluster.local" is not behind hello',
        'peers[0].stack → exports[0].identity: "spiffe://cluster.local/ns/kube-system/sa/hello" is not of the',
        'peers[1].linkFile → gateway.addresses[0]: "2001:db8::1%"… must be an IP address or DNS name',
        'peers[1].linkFile → ["\\u001b]0;title\\u0007\\n"]: ',
    ):
        assert line in said
    assert not {character for character in said if not character.isprintable()} - {"\n"}
    assert "Traceback" not in said
    assert "dcmesh:components" not in said, "the stack itself is all that is planned"
    for project in (attacker, attacked):
        assert project.resources() == []
        project.pulumi("stack", "rm", "--yes", "--force")


def test_the_trust_stack_needs_no_cluster(trust: Project) -> None:
    trust.up()
    assert set(trust.output("intermediates")) == {"dc1", "dc2"}
    shown = json.loads(trust.pulumi("stack", "output", "intermediates", "--json"))
    assert "PRIVATE KEY" not in json.dumps(shown)


def test_a_site_that_may_not_read_the_trusts_secrets_is_told_so(directory: Path, state: Path, lab: Lab) -> None:
    stranger = SiteStack(directory / "stranger", lab=lab, state=state, site={"name": "dc1"})
    stranger.environment |= {"PULUMI_CONFIG_PASSPHRASE": "another"}
    stranger.init()
    said = stranger.refused("up", "--yes")
    assert "trust.stack: 'organization/dcmesh/trust' has keys that cannot be decrypted here" in said
    assert "Traceback" not in said
    stranger.pulumi("stack", "rm", "--yes")


def test_an_importer_whose_source_is_no_stack_is_told_what_to_do(dc2: SiteStack) -> None:
    said = dc2.refused("up", "--yes")
    assert 'peers[0].stack: "organization/dcmesh/dc1"' in said
    assert "pulumi stack init" in said
    assert "Traceback" not in said
    assert dc2.resources() == []
    assert "istio-system" not in dc2.kubectl.names("namespaces")


def test_an_importer_whose_source_is_not_up_yet_leaves_the_import_pending(dc1: SiteStack, dc2: SiteStack) -> None:
    dc1.init()
    said = dc2.up()
    assert "dc1 exports nothing yet: imports from it are left pending" in said
    assert dc2.hosts() == {}
    assert dc2.kubectl.names("serviceentries") == []


def test_the_import_follows_when_its_source_is_up(dc1: SiteStack, dc2: SiteStack) -> None:
    dc1.up()
    dc2.follow()
    assert dc2.hosts() == hosts(3) | EXTRA
    assert answers(dc2, hosts(3) | EXTRA)


def test_both_sites_have_the_root_of_the_trust_stack(trust: Project, dc1: SiteStack, dc2: SiteStack) -> None:
    bundles = [site.kubectl.get("secret", "cacerts", "istio-system")["data"] for site in (dc1, dc2)]
    assert len({bundle["root-cert.pem"] for bundle in bundles}) == 1
    assert len({bundle["ca-cert.pem"] for bundle in bundles}) == 2


def test_no_site_signs_for_another(lab: Lab, dc1: SiteStack, dc2: SiteStack, tmp_path: Path) -> None:
    """A name of dc1's pods, which gets in, is refused if dc2's intermediate has signed it."""
    pod, client = "spiffe://dc1.dcmesh/ns/demo/sa/hello", "spiffe://dc2.dcmesh/ns/demo-dr/sa/client"
    attempts = {}
    for name, signer, identity in (("the consumer", dc2, client), ("dc1's pod", dc1, pod), ("a thief", dc2, pod)):
        (directory := tmp_path / name).mkdir()
        attempts[name] = leaf(directory, bundle_of(signer.kubectl), identity)
    answered = json.loads(lab(*asking("answered", dc1, attempts, tmp_path)))
    assert answered == {"the consumer": "answered", "dc1's pod": "answered", "a thief": "refused"}


def test_no_stack_holds_what_is_the_others(trust: Project, dc1: SiteStack, dc2: SiteStack) -> None:
    deployment = json.loads(trust.pulumi("stack", "export", "--show-secrets"))["deployment"]
    (root,) = [part for part in deployment["resources"] if part["urn"].endswith("::trust-root-key")]
    root_key = json.loads(root["outputs"]["privateKeyPem"]["plaintext"])
    assert "PRIVATE KEY" in root_key
    issued = trust.output("intermediates")
    for own, other in ((dc1, dc2), (dc2, dc1)):
        everything = own.everything()
        assert own.api in everything
        assert own.client_key in everything
        assert other.api not in everything
        assert other.client_key not in everything
        assert issued[own.stack]["caKey"] in everything
        assert issued[other.stack]["caKey"] not in everything
        assert root_key not in everything


def test_a_second_up_changes_nothing_and_refresh_finds_no_drift(trust: Project, dc1: SiteStack, dc2: SiteStack) -> None:
    trust.up("--expect-no-changes")
    for site in (dc1, dc2):
        site.up("--expect-no-changes")
        site.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")


def test_nothing_is_made_over_what_is_there(dc2: SiteStack) -> None:
    """This holds for others' objects with a name that dcmesh needs, and for hosts in others' ServiceEntries."""
    name, namespace, host = "dcmesh-dashboard", "istio-system", next(iter(hosts(1)))
    own = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"a": "b"},
    }
    dc2.kubectl.apply(own)
    before = dc2.kubectl.get("configmap", name, namespace)
    with dc2.edit() as config:
        config["dcmesh:monitoring"] = {"prometheus": "plain"}
    said = dc2.refused("up", "--yes")
    assert f"dc2: ConfigMap {namespace}/{name} is there already, and this stack has not made it: it was left as" in said
    assert dc2.kubectl.get("configmap", name, namespace) == before
    with dc2.edit() as config:
        del config["dcmesh:monitoring"]
    dc2.kubectl("delete", "configmap", name, "--namespace", namespace)
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "theirs", "namespace": "demo-dr"},
        "spec": {"hosts": [host], "resolution": "DNS", "ports": [{"number": 1, "name": "tcp", "protocol": "TCP"}]},
    }
    dc2.kubectl.apply(entry)
    said = dc2.pulumi("preview")
    dc2.kubectl("delete", "serviceentries.networking.istio.io", "theirs", "--namespace", "demo-dr")
    assert f'imports[0].export: "hello" has the host {host}, which the ServiceEntry demo-dr/theirs in dc2 has' in said
    dc2.up("--expect-no-changes")


def test_certificates_that_are_there_stay_whatever_is_changed(trust: Project) -> None:
    with trust.edit() as config:
        config["dcmesh:trust"] |= {"organization": "Another", "rootValidityYears": 20, "intermediateValidityYears": 5}
    trust.up("--expect-no-changes")


def test_a_changed_kubeconfig_replaces_nothing(dc1: SiteStack, dc2: SiteStack) -> None:
    before = dc1.kubectl.path.read_text()
    changed = yaml.safe_load(before)
    (cluster,), (user,), (context,) = changed["clusters"], changed["users"], changed["contexts"]
    cluster["cluster"]["server"] += "/"
    authority = b64decode(cluster["cluster"]["certificate-authority-data"])
    cluster["cluster"]["certificate-authority-data"] = b64encode(authority * 2).decode()
    changed["current-context"] = context["name"] = cluster["name"] = user["name"] = "moved"
    context["context"] |= {"cluster": "moved", "user": "moved"}
    try:
        dc1.kubectl.path.write_text(yaml.safe_dump(changed))
        told = ("command:local:Command", "dc1-certificates")  # Nothing else runs because of it.
        assert dc1.changes() == {"update": {("pulumi:providers:kubernetes", "dc1-cluster-kubernetes"), told}}
        dc1.kubectl.path.write_text(dc2.kubectl.path.read_text())
        said = dc1.refused("up", "--yes", "--skip-preview")
    finally:
        dc1.kubectl.path.write_text(before)
    assert "is another cluster than the one that dc1 is on" in said
    uids = [site.kubectl.get("namespace", "kube-system", "default")["metadata"]["uid"] for site in (dc2, dc1)]
    assert f"is {uids[0]}, and was {uids[1]}" in said
    assert "Traceback" not in said


API_NAME = "api.dc1.example"
"""A name of dc1's API that only a proxy can resolve."""


def behind_a_proxy(stack: SiteStack, home: Path) -> dict[str, Any]:
    """Write a kubeconfig as a cloud's tools do, usable only from where it lies. Return its content.

    Its server has a name that no DNS knows. A program gives the credentials. The paths of the program and the CA are
    relative.
    """
    known: dict[str, Any] = yaml.safe_load(stack.kubectl.path.read_text())
    (cluster,), (user,) = known["clusters"], known["users"]
    for directory in ("pki", "bin"):
        (home / directory).mkdir(parents=True)
    (home / "pki/ca.crt").write_bytes(b64decode(cluster["cluster"].pop("certificate-authority-data")))
    credentials = {
        f"client{part.title()}Data": b64decode(user["user"][f"client-{part}-data"]).decode()
        for part in ("certificate", "key")
    }
    version = "client.authentication.k8s.io/v1"
    answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": credentials})
    (home / "pki/answer.json").write_text(answer)
    login = home / "bin/login"
    login.write_text(f'#!/bin/sh\n[ "$SITE" = "$1" ] && exec cat {home}/pki/answer.json\n')
    for secret, mode in ((login, 0o700), (home / "pki/answer.json", 0o600)):
        secret.chmod(mode)
    user["user"] = {
        "exec": {
            "apiVersion": version,
            "command": "./bin/login",
            "args": ["dc1"],
            "env": [{"name": "SITE", "value": "dc1"}],
            "interactiveMode": "Never",
        }
    }
    port = stack.api.rpartition(":")[2]
    cluster["cluster"] |= {
        "server": f"https://{API_NAME}:{port}",
        "certificate-authority": "pki/ca.crt",
        "tls-server-name": "kubernetes.default.svc",
    }
    known["contexts"][0]["name"] = "lab-dc1"
    known["current-context"] = "nowhere"
    return known


def test_a_cluster_is_reached_by_a_proxy_a_program_and_relative_paths(dc1: SiteStack, directory: Path) -> None:
    """By Pulumi's provider, which `--refresh` has read all objects, and by dcmesh. The next `up` leads back."""
    home = directory / "home"
    known = behind_a_proxy(dc1, home)
    with dc1.edit_site() as site:
        before, site["cluster"] = site["cluster"], {"kubeconfig": str(home / "config"), "context": "lab-dc1"}
    with connect_proxy({API_NAME: dc1.api.removeprefix("https://").partition(":")[0]}) as proxy:
        known["clusters"][0]["cluster"]["proxy-url"] = proxy
        (home / "config").write_text(yaml.safe_dump(known))
        dc1.follow("--refresh")
        assert dc1.status()["problems"] == []
    with dc1.edit_site() as site:
        site["cluster"] = before


@pytest.fixture
def guest(directory: Path, state: Path, dc2: SiteStack) -> Project:
    """Another stack in dc2, to which its Istio is somebody else's."""
    site = {
        "name": "dc2",
        "trustDomain": DOMAINS["dc2"],
        "cluster": {"kubeconfig": str(dc2.kubectl.path)},
        "workloads": [{"kind": "hello-client", "namespace": "guests"}],
        "imports": [imported("dc1", "extra", "guests")],
    }
    config = {
        "dcmesh:trust": {"source": "existing"},
        "dcmesh:istio": {"charts": ISTIO["charts"], "existing": {}},
        "dcmesh:sites": [site],
        "dcmesh:peers": [{"name": "dc1"}],
    }
    return Project(directory / "guest", stack="guest", config=config, state=state)


def test_an_istio_that_is_somebody_elses(guest: Project, dc2: SiteStack) -> None:
    """It is used, and left as it is. test_brought_along.py has one with a revision, a gateway and exports."""
    before = (running(dc2.kubectl), istio_in(dc2.kubectl))
    guest.init()
    guest.up("--skip-preview")
    assert answers(dc2, EXTRA, pod=("--namespace", "guests", *CLIENT[2:]))
    assert istio_in(dc2.kubectl) == before[1]
    guest.pulumi("destroy", "--yes", "--skip-preview")
    assert guest.resources() == []
    assert "guests" not in dc2.kubectl.names("namespaces")
    assert (running(dc2.kubectl), istio_in(dc2.kubectl)) == before


def istio_in(site: Kubectl, *, revision: str = "") -> list[tuple[str, str]]:
    """Return uid and version of what a cluster's Istio has: certificates, istiod, settings, Helm's records."""
    suffix = f"-{revision}" if revision else ""
    named = ("secret/cacerts", f"deployment/istiod{suffix}", f"configmap/istio{suffix}")
    records = ("secrets", "--selector", "owner=helm,name in (istio-base,istiod)")
    listed = [site("get", *which, "--namespace", "istio-system", "--output", "json") for which in (named, records)]
    found = [item["metadata"] for items in listed for item in json.loads(items)["items"]]
    assert len(found) >= len(named) + 2, "Helm has a record of each of its two releases"
    # A Deployment's status changes its resourceVersion. Nothing but a change of its spec changes its generation.
    return [(known["uid"], str(known.get("generation", known["resourceVersion"]))) for known in found]


def running(site: Kubectl) -> dict[str, Any]:
    """Return each pod of a cluster that has not ended, with values that change when it is made anew or restarted."""
    pods = json.loads(site("get", "pods", "--all-namespaces", "--output", "json"))["items"]
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            [of["restartCount"] for of in pod["status"]["containerStatuses"]],
        )
        for pod in pods
        if pod["status"]["phase"] == "Running"
    }


def test_a_state_that_is_lost(dc2: SiteStack) -> None:
    """This follows docs/production.md: with a backup of the state, and without one, from what the cluster has."""
    backup = dc2.pulumi("stack", "export")

    def lose() -> None:
        dc2.pulumi("stack", "rm", "--yes", "--force", "--preserve-config")
        dc2.init()

    pods, cacerts = running(dc2.kubectl), dc2.kubectl.get("secret", "cacerts", "istio-system")
    lose()
    dc2.pulumi("stack", "import", stdin=backup)
    dc2.up("--expect-no-changes")
    lose()
    with dc2.edit() as config:
        config["dcmesh:trust"] = {"source": "generated"}
    said = dc2.refused("preview")
    assert 'trust.source: "generated" would give dc2 another root: this stack made its Secret' in said
    forget = "kubectl delete secret --namespace istio-system --selector 'owner=helm,name in (istio-base,istiod)'"
    assert f"`{forget}`" in " ".join(said.split())
    held = {file: b64decode(text).decode() for file, text in cacerts["data"].items()}
    files = {"caCert": "ca-cert.pem", "certChain": "cert-chain.pem", "rootCert": "root-cert.pem"}
    with dc2.edit() as config:
        config["dcmesh:trust"] = {"source": "provided"} | {part: held[file] for part, file in files.items()}
    dc2.pulumi("config", "set", "--secret", "--path", "dcmesh:trust.caKey", stdin=held["ca-key.pem"].strip())
    dc2.kubectl(*shlex.split(forget)[1:])
    dc2.up()
    assert running(dc2.kubectl) == pods
    after = dc2.kubectl.get("secret", "cacerts", "istio-system")
    assert (after["metadata"]["uid"], after["data"].keys()) == (cacerts["metadata"]["uid"], cacerts["data"].keys())
    assert answers(dc2, dc2.hosts())
    dc2.up("--expect-no-changes")
    with dc2.edit() as config:
        config["dcmesh:trust"] = TRUST
    dc2.up("--skip-preview")
    assert running(dc2.kubectl) == pods


class Conversation:
    """One connection from the demo's consumer to a host, with ten requests a second."""

    def __init__(self, site: Kubectl, host: str) -> None:
        self.site = site
        script = (
            "echo $$; exec curl --silent --show-error --no-buffer --max-time 3600 --rate 10/s "
            f"--write-out ' %{{http_code}} %{{num_connects}}\\n' 'http://{host}:8080/?[1-100000]' 2>&1"
        )
        command = site.command("exec", *CLIENT, "--", "sh", "-c", script)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.pid = self.process.stdout.readline().strip()
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def stop(self) -> list[str]:
        """End it, and return the answers: the body, the status, the number of new connections."""
        complete = len(self.lines)
        self.site("exec", *CLIENT, "--", "sh", "-c", f"kill {self.pid}")
        self.process.wait()
        self.reader.join()
        return self.lines[:complete]


def draining(site: Kubectl, *pod: str) -> int:
    """Return how many filter chains and listeners of a proxy are draining."""
    stats = site("exec", *pod, "--container", "istio-proxy", "--", "pilot-agent", "request", "GET", "stats")
    gauges = [line for line in stats.splitlines() if line.startswith("listener_manager.total_") and "draining" in line]
    assert len(gauges) == 2
    return sum(int(line.rpartition(" ")[2]) for line in gauges)


def vips(site: Kubectl) -> dict[str, str]:
    """Return the virtual address of each imported host."""
    entries = json.loads(site("get", "serviceentries", "--namespace", "demo-dr", "--output", "json"))["items"]
    return {entry["spec"]["hosts"][0]: entry["spec"]["addresses"][0] for entry in entries}


def test_an_export_grows_and_disturbs_no_open_connection(dc1: SiteStack, dc2: SiteStack) -> None:
    before = vips(dc2.kubectl)
    conversation = Conversation(dc2.kubectl, "hello-0.hello.demo.svc.cluster.local")
    eventually("the connection is in use", lambda: len(conversation.lines) > 5)
    with dc1.edit_site() as site:
        site["workloads"][0]["replicas"] = 5
        site["exports"][0]["replicas"] = 5
    dc1.follow()
    dc2.follow()
    assert dc2.hosts() == hosts(5) | EXTRA
    for where in (
        (dc1.kubectl, "--namespace", "demo", "hello-0"),
        (dc1.kubectl, "--namespace", "dcmesh-gateway", "deployment/istio-eastwestgateway"),
        (dc2.kubectl, "--namespace", "demo-dr", "deployment/client"),
    ):
        eventually("whatever had to end has ended", lambda where=where: draining(*where) == 0, within=90)
    seen = len(conversation.lines)
    eventually("the connection is still in use", lambda: len(conversation.lines) > seen + 5)
    first, *others = conversation.stop()
    assert first == "hello-0 200 1"
    assert set(others) == {"hello-0 200 0"}
    assert {host: vip for host, vip in vips(dc2.kubectl).items() if host in before} == before
    assert answers(dc2, hosts(5))


def load_balancer(lab: Lab, site: str, signal: str) -> None:
    """Send a signal to the load balancer of a site, which gives Services their addresses."""
    lab("enter", site, "--", "sh", "-c", f"kill -{signal} $(pgrep -f 'lab[.]load_balancer')")


def test_a_gateways_new_address_reaches_the_importer_with_its_next_up(lab: Lab, dc1: SiteStack, dc2: SiteStack) -> None:
    """This holds however long the load balancer takes: `up` does not accept the old address."""
    (old,) = dc1.gateway()
    new = address(dc1, 105)
    assert old != new
    probe = dc2.kubectl.get("job", "dcmesh-probe-client", "demo-dr")["metadata"]["uid"]
    with dc1.edit_site() as site:
        site["gateway"]["loadBalancerIp"] = new
    load_balancer(lab, "dc1", "STOP")
    up = dc1.start("up", "--yes", "--skip-preview")
    with pytest.raises(subprocess.TimeoutExpired):
        up.communicate(timeout=25)
    load_balancer(lab, "dc1", "CONT")
    said, _ = up.communicate(timeout=120)
    assert up.returncode == 0, said
    assert dc1.gateway() == [new]
    dc2.follow()
    assert dc2.kubectl.get("job", "dcmesh-probe-client", "demo-dr")["metadata"]["uid"] != probe
    assert answers(dc2, dc2.hosts())
    dc1.follow("--expect-no-changes")


def test_the_link_can_be_handed_over_by_hand(directory: Path, state: Path, dc1: SiteStack, dc2: SiteStack) -> None:
    """The link is pasted, or given as a file.

    It equals the stack's output, so nothing changes. The stack itself is unreachable.
    """
    link = dc1.pulumi("stack", "output", "link", "--json")
    file = directory / "link.json"
    file.write_text(link)
    stored = state / ".pulumi/stacks/dcmesh/dc1.json"
    stored.rename(directory / "dc1.json")
    for peer in ({"link": json.loads(link)["dc1"]}, {"linkFile": str(file)}):
        with dc2.edit() as config:
            config["dcmesh:peers"] = [{"name": "dc1", **peer}]
        dc2.follow("--expect-no-changes")
    with dc2.edit() as config:
        config["dcmesh:peers"] = [{"name": "dc1"}]
    assert 'peers[0].stack: "organization/dcmesh/dc1" cannot be read' in dc2.refused("up", "--yes")
    (directory / "dc1.json").rename(stored)


def resolution(stack: SiteStack) -> set[tuple[str, tuple[str, ...]]]:
    """Return the resolution of the imported hosts' gateway, and its addresses."""
    listed = stack.kubectl("get", "serviceentries", "--namespace", "demo-dr", "--output", "json")
    specs = [entry["spec"] for entry in json.loads(listed)["items"]]
    return {(spec["resolution"], tuple(end["address"] for end in spec["endpoints"])) for spec in specs}


def advertise(dc1: SiteStack, *addresses: str) -> None:
    """Advertise these addresses of the gateway, not its Service's."""
    with dc1.edit_site() as site:
        site["gateway"]["advertise"] = list(addresses)
    dc1.follow()


def test_of_two_gateways_one_may_be_dead(dc1: SiteStack, dc2: SiteStack) -> None:
    good, dead = address(dc1, 105), address(dc1, 109)
    advertise(dc1, good, dead)
    dc2.follow()
    assert resolution(dc2) == {("STATIC", (good, dead))}
    assert dc2.hosts() == hosts(5) | EXTRA
    rule = dc2.kubectl.get("destinationrule", "dc1.hello", "demo-dr")["spec"]["trafficPolicy"]
    assert rule["outlierDetection"]["maxEjectionPercent"] == 50
    host = "hello-0.hello.demo.svc.cluster.local"

    def left_out() -> bool:
        curl(dc2.kubectl, host)
        proxy = (*CLIENT[:-1], "istio-proxy")
        clusters = dc2.kubectl("exec", *proxy, "--", "pilot-agent", "request", "GET", "clusters")
        mark = f"outbound|8080||{host}::{dead}:15443::health_flags::/failed_outlier_check"
        return any(line.startswith(mark) for line in clusters.splitlines())

    eventually("the dead gateway is left out", left_out)
    assert [curl(dc2.kubectl, host) for _ in range(10)] == [("hello-0", "200")] * 10


def test_a_gateway_with_a_name(dc1: SiteStack, dc2: SiteStack) -> None:
    advertise(dc1, GATEWAY_NAME)
    dc2.follow()
    assert resolution(dc2) == {("DNS", (GATEWAY_NAME,))}
    assert dc2.hosts() == hosts(5) | EXTRA
    assert answers(dc2, hosts(5) | EXTRA)


BACK_CLIENT = ("--namespace", "demo2-dr", "deployment/client", "--container", "agnhost")
BACK = hosts(1, namespace="demo2")


def test_both_directions_at_once(dc1: SiteStack, dc2: SiteStack) -> None:
    """Each site needs the other's link. The first `up` leaves its imports pending, so there is no cycle."""
    with dc1.edit() as config:
        config["dcmesh:peers"] = [{"name": "dc2"}]
        config["dcmesh:sites"][0]["workloads"].append({"kind": "hello-client", "namespace": "demo2-dr"})
        config["dcmesh:sites"][0]["imports"] = [imported("dc2", "hello", "demo2-dr")]
    with dc2.edit_site() as site:
        site["gateway"] = {"replicas": 1}
        site["workloads"].append({"kind": "hello", "namespace": "demo2", "replicas": 1})
        site["exports"] = [export(namespace="demo2", replicas=1, consumers=[of_its_domain("dc1", "demo2-dr")])]
    assert "dc2 exports nothing yet: imports from it are left pending" in dc1.follow()
    assert dc1.hosts() == {}
    dc2.follow()
    assert dc2.hosts() == hosts(5) | EXTRA
    dc1.follow()
    assert dc1.hosts() == BACK
    assert answers(dc1, BACK, pod=BACK_CLIENT)
    assert answers(dc2, hosts(5) | EXTRA)
    dc2.follow("--expect-no-changes")


def objects(stack: SiteStack) -> str:
    """Return all objects that dcmesh makes for exports and imports, as JSON."""
    kinds = ("serviceentries", "gateways.networking.istio.io", "peerauthentications", "authorizationpolicies")
    kinds += ("destinationrules", "sidecars.networking.istio.io", "jobs")
    return stack.kubectl("get", ",".join(kinds), "--all-namespaces", "--output", "json")


def test_the_way_to_take_an_export_back(dc1: SiteStack, dc2: SiteStack) -> None:
    """The importer goes first. In the other order, the importer's `up` says what is wrong.

    And the gateway's address is its Service's again.
    """
    with dc1.edit() as config:
        del config["dcmesh:sites"][0]["gateway"]["advertise"]
        del config["dcmesh:peers"]
        del config["dcmesh:sites"][0]["imports"]
        assert config["dcmesh:sites"][0]["exports"].pop()["name"] == "extra"
    dc1.follow()
    said = dc2.refused("up", "--yes")
    assert 'sites[0].imports[1].export: "extra" is not exported by dc1' in said
    assert "Traceback" not in said
    with dc2.edit_site() as site:
        assert site["imports"].pop()["export"] == "extra"
        del site["exports"]
        del site["gateway"]
        assert site["workloads"].pop()["namespace"] == "demo2"
    dc2.follow()
    assert dc2.hosts() == hosts(5)
    assert resolution(dc2) == {("STATIC", (address(dc1, 105),))}
    for stack in (dc1, dc2):
        assert "hello-4.hello.demo.svc.cluster.local" in objects(stack)
        assert "extra" not in objects(stack)
        assert "demo2" not in objects(stack)
    assert "istio-eastwestgateway" not in dc2.kubectl.names("services")


HIDDEN = "SET @hidden = 'not for everybody'"


def test_a_database_is_kept_until_it_is_given_up(dc2: SiteStack) -> None:
    """A cluster that existed before is not to be thrown away. Meanwhile the database's volume grows."""
    with dc2.edit_site() as site:
        place = f"sites[0].workloads[{len(site['workloads'])}]"
        database = {"kind": "mariadb", "namespace": "kept", "replicas": 1, "image": MARIADB, "storage": {"size": "1Gi"}}
        site["workloads"].append(database)
    dc2.pulumi("config", "set", "--secret", "--path", f"dcmesh:{place}.settings.init_connect", HIDDEN)
    dc2.follow()
    assert HIDDEN not in dc2.pulumi("stack", "export")
    assert HIDDEN in dc2.everything()
    before = dc2.kubectl.get("pod", "db-0", "kept")["metadata"]["uid"]
    with dc2.edit_site() as site:
        site["workloads"][-1]["name"] = "other"
    said = dc2.refused("up", "--yes", "--skip-preview")
    assert f'{place}.name: [secret] was "db" at the last `pulumi up`, and the mariadb kept/db would be gone' in said
    assert "`pulumi config set protect false` and `pulumi up`, and make this change then" in said
    with dc2.edit() as config:
        config["dcmesh:sites"][0]["workloads"][-1].update(name="db", storage={"size": "2Gi"})
        config["dcmesh:protect"] = False
    dc2.follow()
    claim = dc2.kubectl.get("persistentvolumeclaim", "data-db-0", "kept")["spec"]
    assert claim["resources"]["requests"]["storage"] == "2Gi"
    volume = ("get", "persistentvolume", claim["volumeName"], "--output", "jsonpath={.spec.capacity.storage}")
    eventually("the volume has grown", lambda: dc2.kubectl(*volume) == "2Gi")
    assert dc2.kubectl.get("pod", "db-0", "kept")["metadata"]["uid"] == before


def test_destroy_leaves_nothing_but_istios_crds(trust: Project, dc1: SiteStack, dc2: SiteStack) -> None:
    """The importer goes first. The CRDs stay because Helm keeps them, as Istio's chart tells it to."""
    before = {"default", "kube-node-lease", "kube-public", "kube-system"}
    for stack in (dc2, dc1):
        stack.pulumi("destroy", "--yes", "--skip-preview")
        assert stack.resources() == []
        assert set(stack.kubectl.names("namespaces")) == before
        crds = stack.kubectl.names("customresourcedefinitions")
        assert crds
        for crd in crds:
            assert crd.endswith(".istio.io")
            assert stack.kubectl.names(crd) == []
        webhooks = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
        assert [name for name in stack.kubectl.names(webhooks) if "istio" in name] == []
        assert [name for name in stack.kubectl.names("clusterroles") if "istio" in name] == []
    assert "::trust-root-" in trust.refused("destroy", "--yes")
    with trust.edit() as config:
        config["dcmesh:protect"] = False
    trust.up("--skip-preview")
    trust.pulumi("destroy", "--yes", "--skip-preview")
    assert trust.resources() == []


def test_nothing_of_the_lab_is_left(lab: Lab) -> None:
    lab("delete", "--all")
    assert lab.leftovers() == {}
