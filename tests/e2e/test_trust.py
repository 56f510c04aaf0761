"""Certificates are replaced under a load of new and held connections, each site by its own `up`. Nothing fails.

Each site has two istiods, which take new certificates at different times. The tests form one course of events.
"""

import json
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from dcmesh.model.gateway import GATEWAY_NAME, GATEWAY_NAMESPACE
from lab.toolchain import ISTIOS, Istio

from .certificates import Attempts, Chain, asking, bundle_of, leaf
from .site_stack import SiteStack, strings
from .test_stacks import DOMAINS, consumer, export, imported
from .toolbox import CLIENT, Kubectl, Lab, Project, eventually, lab_config, lab_for_a_while, name_on, on_istio

URL = "http://hello-0.hello.demo.svc.cluster.local:8080/hostname"


class Load:
    """Requests from dc2 to dc1: several a second, each on a new connection, and some on one that is held open."""

    def __init__(self, site: Kubectl, directory: Path) -> None:
        asking = "curl --silent --output /dev/null --max-time 5 --write-out '%{stderr}%{num_connects} %{http_code}\\n'"
        self.files = {"new": directory / "new", "held": directory / "held"}
        commands = {
            "new": f"while :; do {asking} {URL}; sleep 0.2; done",
            "held": f"{asking} --rate 2/s '{URL}?[1-9999]'",
        }
        self.asking = [
            subprocess.Popen(site.command("exec", *CLIENT, "--", "sh", "-c", script), stderr=self.files[kind].open("w"))
            for kind, script in commands.items()
        ]

    def answers(self, kind: str) -> list[str]:
        return self.files[kind].read_text().splitlines()[:-1]  # The last line may be incomplete.

    def answered(self) -> None:
        """Assert that nothing has failed and that the load goes on with new connections."""
        counts = {kind: len(self.answers(kind)) for kind in self.files}
        for kind, count in counts.items():
            eventually(f"more {kind} requests", lambda kind=kind, count=count: len(self.answers(kind)) > count + 3)
        assert [answer for answer in self.answers("new") if answer != "1 200"] == []
        assert {answer.partition(" ")[2] for answer in self.answers("held")} == {"200"}

    def __call__(self) -> None:
        """Assert the same, and that the held connection is still the first one."""
        self.answered()
        assert [answer for answer in self.answers("held") if answer != "0 200"] == ["1 200"]


AGAIN = pytest.mark.soak(proves=("components/trust/*.py", "dcmesh/trust/*.py", "components/mesh/istio.py"))
ON_THE_NEWEST = pytest.mark.parametrize(
    "istio", ISTIOS[:1], ids=lambda istio: f"istio-{istio.line}", indirect=True, scope="module"
)


@pytest.fixture(
    scope="module",
    params=[istio if istio is ISTIOS[0] else pytest.param(istio, marks=AGAIN) for istio in ISTIOS],
    ids=lambda istio: f"istio-{istio.line}",
)
def istio(request: pytest.FixtureRequest) -> Istio:
    """The newest of the lab's versions of Istio. Soak runs the others too."""
    found: Istio = request.param
    return found


@pytest.fixture(scope="module")
def lab(istio: Istio) -> Iterator[Lab]:
    for lab in lab_for_a_while(name_on("trust", istio)):
        lab.create({"dc1": ["dc2"], "dc2": []})
        yield lab


@pytest.fixture(scope="module")
def sites(istio: Istio, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The stacks `trust`, `dc1` and `dc2`, after their `up`."""
    directory = tmp_path_factory.mktemp(lab.name)
    state = directory / "state"
    exports = [export(namespace="demo", replicas=1, consumers=[consumer("dc2", "demo-dr")])]
    hello = {"kind": "hello", "namespace": "demo", "replicas": 1}
    exporter = {"name": "dc1", "gateway": {"replicas": 1}, "workloads": [hello], "exports": exports}
    client = {"kind": "hello-client", "namespace": "demo-dr"}
    importer = {"name": "dc2", "workloads": [client], "imports": [imported("dc1", "hello", "demo-dr")]}
    settings = {**on_istio(lab_config(), istio)["dcmesh:istio"], "replicas": 2}
    issuing = {"dcmesh:trust": {"issueFor": ["dc1", "dc2"]}}
    stacks: dict[str, Any] = {
        "trust": Project(directory / "trust", stack="trust", config=issuing, state=state),
        "dc1": SiteStack(directory / "dc1", lab=lab, state=state, site=exporter, istio=settings),
        "dc2": SiteStack(
            directory / "dc2", lab=lab, state=state, site=importer, istio=settings, peers=[{"name": "dc1"}]
        ),
    }
    for stack in stacks.values():
        stack.init()
        stack.up("--skip-preview")
    return stacks


@pytest.fixture(scope="module")
def load(sites: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    load = Load(sites["dc2"].kubectl, tmp_path_factory.mktemp("load"))
    yield load
    for process in load.asking:
        process.kill()
        process.wait()


@pytest.fixture
def step(sites: dict[str, Any]) -> Callable[..., None]:
    """Change the stack `trust`, which touches no cluster."""

    def take(**changes: Any) -> None:
        with sites["trust"].edit() as config:
            config["dcmesh:trust"].update(changes)
        sites["trust"].up("--skip-preview")

    return take


CONSUMER = "spiffe://cluster.local/ns/demo-dr/sa/client"

Ask = Callable[[Attempts], dict[str, str]]


@pytest.fixture
def ask(lab: Lab, sites: dict[str, Any], tmp_path: Path) -> Ask:
    """Ask with each of some certificates, and return whether there is an answer."""

    def found(attempts: Attempts) -> dict[str, str]:
        answers: dict[str, str] = json.loads(lab(*asking("answered", sites["dc1"], attempts, tmp_path)))
        return answers

    return found


def own_key(site: SiteStack) -> str:
    """Return the key of a site's intermediate."""
    return b64decode(site.kubectl.get("secret", "cacerts", "istio-system")["data"]["ca-key.pem"]).decode()


def verifies(site: SiteStack, chain: str, directory: Path) -> bool:
    """Tell whether a certificate, with those above it, verifies against a site's roots."""
    roots = directory / "roots.pem"
    roots.write_text(site.output("certificates")[site.stack]["rootCert"])
    command = ["openssl", "verify", "-CAfile", str(roots), "-untrusted", chain, chain]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    # The other certificate has an e-mail address that looks like an identity. The constraints must be checked on it
    # too.
    reasons = ("permitted subtree violation", "unsupported or invalid name syntax")
    assert said.returncode == 0 or any(reason in said.stderr for reason in reasons), said.stderr
    return said.returncode == 0


@pytest.fixture
def genuine(sites: dict[str, Any], tmp_path: Path) -> Callable[[], Attempts]:
    """Return the certificate of dc2's client. If that is refused too, a test has not told good from bad."""

    def issued() -> Attempts:
        (directory := tmp_path / "genuine").mkdir()
        return {"consumer": leaf(directory, bundle_of(sites["dc2"].kubectl), CONSUMER)}

    return issued


@pytest.fixture(scope="module")
def stolen(sites: dict[str, Any]) -> Chain:
    """The first intermediate of dc2, with its key."""
    return bundle_of(sites["dc2"].kubectl)


def refused(site: SiteStack, *reasons: str) -> None:
    said = site.refused("up", "--yes", "--skip-preview")
    assert f"{site.stack}: its certificates must not be changed now, and were not" in said
    for reason in reasons:
        assert reason in said
    assert "Traceback" not in said


def together(*commands: Callable[[], object]) -> None:
    with ThreadPoolExecutor() as pool:
        for running in [pool.submit(command) for command in commands]:
            running.result()


def held(site: SiteStack) -> tuple[str, list[str]]:
    """Return the version of the Secret `cacerts`, and the roots that the site's proxies trust."""
    return (
        site.kubectl.get("secret", "cacerts", "istio-system")["metadata"]["resourceVersion"],
        list(site.output("certificates")[site.stack]["rootsExpire"]),
    )


def asked(site: SiteStack, verb: str) -> Any:
    """Return what `python -m dcmesh VERB` says of a site. All must be well at every step."""
    said = json.loads(site.dcmesh(verb, "--json").stdout)
    assert (said["state"], said["problems"]) == ("ok", [])
    return said


def roots(site: SiteStack) -> dict[str, str]:
    """Return what `python -m dcmesh trust` permits for each root that a site's proxies trust."""
    may = {(True, False): "issue", (True, True): "issue or go"}
    return {root["subject"]: may[root["mayIssue"], root["mayGo"]] for root in asked(site, "trust")["roots"]}


def authorities(site: SiteStack) -> list[str]:
    """Return the subjects of the certificates in `python -m dcmesh status`: the roots, then the intermediate."""
    certificates = asked(site, "status")["sites"][site.stack]["certificates"]
    assert all(certificate["daysLeft"] > 700 for certificate in certificates if certificate["kind"] != "pod")
    return [certificate["subject"] for certificate in certificates if certificate["kind"] != "pod"]


@AGAIN
def test_intermediates(sites: dict[str, Any], load: Load, step: Callable[..., None], stolen: Chain) -> None:
    """Both sites at once. In CI tests/e2e/istios/test_rotation.py has that in one stack."""
    load()
    dc1, dc2 = sites["dc1"], sites["dc2"]
    step(intermediate=2)
    together(dc1.follow, dc2.follow)
    assert [site.output("certificates")[site.stack] for site in (dc1, dc2)] == [
        sites["trust"].output("certificates")[name] for name in ("dc1", "dc2")
    ]
    assert authorities(dc1) == ["Root CA", "Intermediate CA dc1 1.2"]
    assert authorities(dc2) == ["Root CA", "Intermediate CA dc2 1.2"]
    load()


def test_the_next_root_is_trusted(sites: dict[str, Any], load: Load, step: Callable[..., None]) -> None:
    """A root must not issue before it is trusted everywhere."""
    dc1, dc2 = sites["dc1"], sites["dc2"]
    step(root={"next": "trusted"})
    dc1.follow()
    step(root={"next": "issuing"})
    before = held(dc1)
    together(
        lambda: refused(dc1, "dc2 (its last `pulumi up`) does not trust Root CA 2"),
        lambda: refused(dc2, "dc2 demo-dr/client-", "does not trust Root CA 2"),
    )
    assert held(dc1) == before
    assert roots(dc1) == {"Root CA": "issue", "Root CA 2": "issue or go"}
    assert roots(dc2) == {"Root CA": "issue"}
    step(root={"next": "trusted"})
    dc2.follow()
    assert held(dc2)[1] == ["Root CA", "Root CA 2"]
    load()


def test_the_next_root_issues(sites: dict[str, Any], load: Load, step: Callable[..., None]) -> None:
    """The old root must not be removed while anybody has a certificate under it."""
    dc1, dc2 = sites["dc1"], sites["dc2"]
    step(root={"next": "issuing"})
    dc1.follow()
    assert roots(dc1) == {"Root CA": "issue or go", "Root CA 2": "issue"}
    load()
    step(root={"generation": 2})
    before = held(dc1)
    assert "dc1: its certificates must not be changed now" in dc1.refused("preview"), "what is to be written is known"
    refused(dc1, "dc2 (its last `pulumi up`) has a certificate under Root CA,")
    assert held(dc1) == before
    step(root={"next": "issuing"})
    dc2.follow()
    load()


def test_the_old_root_goes(
    sites: dict[str, Any],
    load: Load,
    step: Callable[..., None],
    stolen: Chain,
    ask: Ask,
    genuine: Callable[[], Attempts],
    tmp_path: Path,
) -> None:
    """Everything that was signed under it becomes invalid with it. That is how a stolen intermediate is locked out."""
    dc1, dc2 = sites["dc1"], sites["dc2"]
    thief = {"thief": leaf(tmp_path, stolen, CONSUMER)}
    assert ask(thief) == {"thief": "answered"}
    step(root={"generation": 2})
    assert "command:local:Command dc1-certificates replaced" in " ".join(dc1.follow().split())
    load()
    assert ask(thief | genuine()) == {"thief": "refused", "consumer": "answered"}
    dc2.follow()
    dc2.follow("--expect-no-changes")
    for site in (dc1, dc2):
        assert held(site)[1] == ["Root CA 2"]
        assert roots(site) == {"Root CA 2": "issue"}
    with sites["trust"].edit() as config:
        number = config["dcmesh:trust"].get("intermediate", 1)
    assert authorities(dc2) == ["Root CA 2", f"Intermediate CA dc2 2.{number}"]
    load()
    counts = {kind: len(load.answers(kind)) for kind in load.files}
    print(f"requests without a failure: {counts}")


OLD = "cluster.local"


@pytest.fixture
def named(sites: dict[str, Any]) -> Callable[..., None]:
    """Change the trust domains of sites (by default of both): where the new one is used, and where the old one."""

    def change(*of: str, **keys: str) -> None:
        for name in of or DOMAINS:
            domains = {key: {"old": OLD, "new": DOMAINS[name]}[which] for key, which in keys.items()}
            with sites[name].edit_site() as site:
                site.pop("trustDomainAlias", None)
                site |= domains
            if name == "dc2":
                with sites["dc1"].edit_site() as site:
                    site["exports"][0]["consumers"][0]["trustDomains"] = list(domains.values())

    return change


@AGAIN
def test_another_trust_domain(sites: dict[str, Any], load: Load, named: Callable[..., None]) -> None:
    """The change has steps, each by every site's own `up`. No step can be left out. Held connections may reconnect.

    In CI test_stacks.py has sites with domains of their own from the beginning.
    """
    dc1, dc2 = sites["dc1"], sites["dc2"]
    load.answered()
    named(trustDomain="new")
    assert "is new: first add it as `trustDomainAlias` beside cluster.local" in dc1.refused("preview")
    named(trustDomain="old", trustDomainAlias="new")
    dc1.follow()
    named(trustDomain="new", trustDomainAlias="old")
    assert "is not accepted by dc2 yet, at its imports" in dc1.refused("preview")
    named(trustDomain="old", trustDomainAlias="new")
    dc2.follow()
    load.answered()
    named(trustDomain="new", trustDomainAlias="old")
    together(dc1.follow, dc2.follow)
    load.answered()
    named(trustDomain="new")
    dc2.follow()
    dc1.follow()
    load.answered()


@AGAIN
def test_no_site_signs_for_another(
    sites: dict[str, Any], load: Load, step: Callable[..., None], ask: Ask, tmp_path: Path
) -> None:
    """Whatever kind of name a site signs, its certificate is refused by the other.

    Correct certificates go on working.
    """
    dc1, dc2 = sites["dc1"], sites["dc2"]
    with dc2.edit() as config:
        config["dcmesh:trust"]["ownKey"] = 1
    dc2.follow()
    step(trustDomains=DOMAINS, requests={"dc2": "organization/dcmesh/dc2"})
    together(dc1.follow, dc2.follow)
    dc2.follow("--expect-no-changes")
    load.answered()
    thief = bundle_of(dc2.kubectl)
    known = [json.loads(sites[of].pulumi("stack", "export", "--show-secrets")) for of in ("dc2", "trust")]
    assert [own_key(dc2) in "\n".join(strings(of)) for of in known] == [True, False]
    own, pods = "spiffe://dc2.dcmesh/ns/demo-dr/sa/client", "spiffe://dc1.dcmesh/ns/demo/sa/hello"
    attempts = {"the consumer": leaf(tmp_path, thief, own)}
    for kind in (x509.UniformResourceIdentifier, x509.DNSName, x509.RFC822Name):
        attempts[f"dc1's own pods as {kind.__name__}"] = leaf(tmp_path, thief, pods, kind)
    attempts["the consumer's name as DNSName"] = leaf(tmp_path, thief, own, x509.DNSName)
    assert ask(attempts) == {**dict.fromkeys(attempts, "refused"), "the consumer": "answered"}
    # dc1's pods accept URIs only. An importer is not that strict, so only the constraints stop it.
    for name, parts in attempts.items():
        assert verifies(dc1, parts["certificate"], tmp_path) == (name == "the consumer"), name
    load.answered()


@AGAIN
@ON_THE_NEWEST
def test_the_way_back(sites: dict[str, Any], load: Load, step: Callable[..., None], named: Callable[..., None]) -> None:
    """One site goes back after the other, and then dc1 forward again. No authority's constraints prevent it."""
    dc1, dc2 = sites["dc1"], sites["dc2"]

    def take(name: str, **keys: str) -> None:
        named(name, **keys)
        dc1.follow()
        dc2.follow()
        load.answered()

    take("dc2", trustDomain="new", trustDomainAlias="old")
    named("dc2", trustDomain="old", trustDomainAlias="new")
    assert "is none for which Intermediate CA dc2" in dc2.refused("preview")
    step(trustDomains={"dc1": DOMAINS["dc1"]})
    take("dc2", trustDomain="new", trustDomainAlias="old")
    take("dc2", trustDomain="old", trustDomainAlias="new")
    take("dc2", trustDomain="old")
    step(trustDomains={})
    take("dc1", trustDomain="new", trustDomainAlias="old")
    take("dc1", trustDomain="old", trustDomainAlias="new")
    take("dc1", trustDomain="new", trustDomainAlias="old")
    take("dc1", trustDomain="new")
    assert asked(dc2, "status")["state"] == "ok"


@AGAIN
@ON_THE_NEWEST
def test_a_stolen_intermediate(
    lab: Lab,
    sites: dict[str, Any],
    load: Load,
    step: Callable[..., None],
    ask: Ask,
    genuine: Callable[[], Attempts],
    tmp_path: Path,
) -> None:
    """This follows docs/production.md, "A stolen intermediate".

    Existing connections last until the gateway is restarted.
    """
    dc1, dc2 = sites["dc1"], sites["dc2"]
    thief = {"thief": leaf(tmp_path, bundle_of(dc2.kubectl), CONSUMER)}
    assert ask(thief) == {"thief": "answered"}
    kept = lab.start(*asking("kept", dc1, thief, tmp_path))
    with sites["trust"].edit() as config:
        last = config["dcmesh:trust"].get("root", {}).get("generation", 1)
    key, begun = own_key(dc2), time.monotonic()
    with dc2.edit() as config:
        config["dcmesh:trust"]["ownKey"] = config["dcmesh:trust"].get("ownKey", 0) + 1
    dc2.follow()
    for root in (
        {"generation": last, "next": "trusted"},
        {"generation": last, "next": "issuing"},
        {"generation": last + 1},
    ):
        step(root=root, requests={"dc2": "organization/dcmesh/dc2"})
        together(dc1.follow, dc2.follow)
        print(f"{root}: taken after {time.monotonic() - begun:.0f} s")
    assert own_key(dc2) != key, "otherwise the stolen one was signed again"
    assert ask(thief | genuine()) == {"thief": "refused", "consumer": "answered"}
    load.answered()
    assert kept.poll() is None
    gateway = ("--namespace", GATEWAY_NAMESPACE)
    dc1.kubectl("rollout", "restart", f"deployment/{GATEWAY_NAME}", *gateway)
    dc1.kubectl("rollout", "status", f"deployment/{GATEWAY_NAME}", *gateway, "--timeout=120s")
    eventually("the thief's connection ends", lambda: kept.poll() is not None, within=90)
    print(f"and whoever was connected is cut after {time.monotonic() - begun:.0f} s")
