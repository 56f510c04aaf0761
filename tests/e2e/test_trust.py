"""Certificates are replaced under a load of new and of held connections, each site by its own `up`: nothing fails.

Two istiods a site: they take what is new at different times. One life, in the order of the tests.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.toolchain import ISTIOS, Istio

from .site_stack import SiteStack
from .test_stacks import consumer, export, imported
from .toolbox import CLIENT, Kubectl, Lab, Project, eventually, lab_config, lab_for_a_while, name_on, on_istio

URL = "http://hello-0.hello.demo.svc.cluster.local:8080/hostname"


class Load:
    """Requests from dc2 to dc1: several a second each on a connection of its own, and some on one that is held."""

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
        return self.files[kind].read_text().splitlines()[:-1]  # the last line may be half written

    def __call__(self) -> None:
        """Nothing has failed, and the load goes on: each new request connects, and the held connection is the first."""
        counts = {kind: len(self.answers(kind)) for kind in self.files}
        for kind, count in counts.items():
            eventually(f"more {kind} requests", lambda kind=kind, count=count: len(self.answers(kind)) > count + 3)
        assert [answer for answer in self.answers("new") if answer != "1 200"] == []
        assert [answer for answer in self.answers("held") if answer != "0 200"] == ["1 200"]


AGAIN = pytest.mark.soak(proves=("components/trust/*.py", "dcmesh/trust/*.py", "components/mesh/istio.py"))


@pytest.fixture(
    scope="module",
    params=[istio if istio is ISTIOS[0] else pytest.param(istio, marks=AGAIN) for istio in ISTIOS],
    ids=lambda istio: f"istio-{istio.line}",
)
def istio(request: pytest.FixtureRequest) -> Istio:
    """The newest of the lab's Istios; soak has the others, too."""
    found: Istio = request.param
    return found


@pytest.fixture(scope="module")
def lab(istio: Istio) -> Iterator[Lab]:
    for lab in lab_for_a_while(name_on("trust", istio)):
        lab.create({"dc1": ["dc2"], "dc2": []})
        yield lab


@pytest.fixture(scope="module")
def sites(istio: Istio, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The stacks `trust`, `dc1` and `dc2`, up."""
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
    for asking in load.asking:
        asking.kill()
        asking.wait()


@pytest.fixture
def step(sites: dict[str, Any]) -> Callable[..., None]:
    """Change the stack `trust`, which touches no cluster."""

    def take(**changes: Any) -> None:
        with sites["trust"].edit() as config:
            config["dcmesh:trust"].update(changes)
        sites["trust"].up("--skip-preview")

    return take


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
    """Return the version of the Secret `cacerts`, and the roots that the site's proxies follow."""
    return (
        site.kubectl.get("secret", "cacerts", "istio-system")["metadata"]["resourceVersion"],
        list(site.output("certificates")[site.stack]["rootsExpire"]),
    )


def asked(site: SiteStack, verb: str) -> Any:
    """Return what `python -m dcmesh VERB` says of a site; all is well, whatever step it has taken."""
    said = json.loads(site.dcmesh(verb, "--json").stdout)
    assert (said["state"], said["problems"]) == ("ok", [])
    return said


def roots(site: SiteStack) -> dict[str, str]:
    """Return what `python -m dcmesh trust` says that may be done with each root that a site's proxies trust."""
    may = {(True, False): "issue", (True, True): "issue or go"}
    return {root["subject"]: may[root["mayIssue"], root["mayGo"]] for root in asked(site, "trust")["roots"]}


def authorities(site: SiteStack) -> list[str]:
    """Return whose certificates `python -m dcmesh status` shows: the roots', then the intermediate's."""
    certificates = asked(site, "status")["sites"][site.stack]["certificates"]
    assert all(certificate["daysLeft"] > 700 for certificate in certificates if certificate["kind"] != "pod")
    return [certificate["subject"] for certificate in certificates if certificate["kind"] != "pod"]


def test_intermediates(sites: dict[str, Any], load: Load, step: Callable[..., None]) -> None:
    """Both sites at once."""
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
    """It must not issue before it is trusted everywhere."""
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
    """The old one must not go before nobody has a certificate under it."""
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


def test_the_old_root_goes(sites: dict[str, Any], load: Load, step: Callable[..., None]) -> None:
    dc1, dc2 = sites["dc1"], sites["dc2"]
    step(root={"generation": 2})
    assert "command:local:Command dc1-certificates replaced" in " ".join(dc1.follow().split())
    load()
    dc2.follow()
    dc2.follow("--expect-no-changes")
    for site in (dc1, dc2):
        assert held(site)[1] == ["Root CA 2"]
        assert roots(site) == {"Root CA 2": "issue"}
    assert authorities(dc2) == ["Root CA 2", "Intermediate CA dc2 2.2"]
    load()
    counts = {kind: len(load.answers(kind)) for kind in load.files}
    print(f"requests without a failure: {counts}")
