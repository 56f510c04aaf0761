"""The benchmark of peers: what is applied, and the table that is made from the figures."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bench.data_path.figures import STREAMED
from bench.peers import authority, haproxy, multi_primary, report, run
from bench.peers.dcmesh import objects_of
from bench.peers.figures import CUT, DCMESH, FAULTS, HAPROXY, MULTI_PRIMARY, PAIR, SET_UP, UNANSWERED, WAYS
from bench.peers.haproxy import HaProxy
from bench.peers.peer import POD, REPLICA, SOURCE
from bench.samples import Sample
from tests.e2e.toolbox import Kubectl


class Recorded(Kubectl):
    """Records what is applied, and has a LoadBalancer with an address."""

    def __init__(self, path: Path) -> None:
        super().__init__("", path)
        self.objects = list[dict[str, Any]]()

    def __call__(self, *_: str, check: bool = True, stdin: str | None = None) -> str:
        return ""

    def apply(self, *objects: dict[str, Any]) -> None:
        self.objects += objects

    def get(self, kind: str, name: str, namespace: str) -> Any:
        return {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [of for of in self.objects if of["kind"] == kind]


@pytest.fixture
def sites(tmp_path: Path) -> Mapping[str, Recorded]:
    return {name: Recorded(tmp_path / name) for name in ("dc1", "dc2")}


@pytest.fixture
def joined(sites: Mapping[str, Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HaProxy:
    made = {haproxy.HAPROXY_PROGRAM.name: type("Made", (), {"path": tmp_path})}
    monkeypatch.setattr(haproxy.parts, "provide", lambda *_: made)
    peer = HaProxy(sites, tmp_path)
    peer.set_up()
    return peer


def verified(certificate: str, trusted: str) -> bool:
    """Tell whether openssl verifies a certificate against one of these roots."""
    roots = x509.load_pem_x509_certificates(trusted.encode())
    (own,) = x509.load_pem_x509_certificates(certificate.partition("-----BEGIN PRIVATE")[0].encode())
    for root in roots:
        try:
            own.verify_directly_issued_by(root)
        except Exception:  # noqa: S112 — whatever it is, it is not of this root
            continue
        return True
    return False


def test_what_haproxy_listens_on_is_what_is_dialled(joined: HaProxy, sites: Mapping[str, Recorded]) -> None:
    near, far = (sites[site].of("ConfigMap")[0]["data"]["haproxy.cfg"] for site in ("dc2", "dc1"))
    (balancer,) = sites["dc1"].of("Service")
    assert f"bind :{balancer['spec']['ports'][0]['targetPort']} ssl" in far
    assert f"server it db-0.db.{SOURCE}.svc.cluster.local:3306" in far
    assert "server it 192.0.2.1:15443" in near
    assert "verify required verifyhost server" in near
    (service,) = sites["dc2"].of("Service")
    assert joined.host == f"{service['metadata']['name']}.{REPLICA}.svc.cluster.local"
    assert (joined.steps, joined.objects) == (7, 8)


def test_no_step_of_a_rotation_leaves_an_end_that_the_other_does_not_trust(
    joined: HaProxy, sites: Mapping[str, Recorded]
) -> None:
    joined.rotate()
    server, client = ([of["stringData"] for of in sites[site].of("Secret")] for site in ("dc1", "dc2"))
    assert len(server) == len(client) == 4
    for step in range(4):
        for other in (step, min(step + 1, 3)):
            assert verified(server[step]["own.pem"], client[other]["ca.pem"])
            assert verified(client[step]["own.pem"], server[other]["ca.pem"])
    assert not verified(server[0]["own.pem"], server[3]["ca.pem"])


def test_a_chain_is_what_openssl_accepts(tmp_path: Path) -> None:
    root = authority.root("root")
    between = authority.intermediate("between", root)
    for name, text in {"root": root.pem, "between": between.pem, "leaf": authority.leaf("leaf", between).pem}.items():
        (tmp_path / name).write_text(text)
    files = ("-CAfile", tmp_path / "root", "-untrusted", tmp_path / "between", tmp_path / "leaf")
    assert subprocess.run(["openssl", "verify", *files], check=False, capture_output=True).returncode == 0


def test_a_pods_service_selects_that_pod() -> None:
    assert multi_primary.service()["spec"]["selector"] == POD
    assert multi_primary.MultiPrimary.host == f"db-0.{SOURCE}.svc.cluster.local"


def test_a_charts_objects_count_one_by_one() -> None:
    names = {"Deployment.apps/v1": ["istio-system/istiod"], "ConfigMap/v1": ["istio-system/a", "istio-system/b"]}
    release = {"type": "kubernetes:helm.sh/v3:Release", "outputs": {"resourceNames": names}}
    secret = {"type": "kubernetes:core/v1:Secret", "outputs": {"kind": "Secret"}}
    others = [{"type": "pulumi:providers:kubernetes"}, {"type": "dcmesh:components:Site"}]
    assert objects_of([release, secret, *others]) == 4


def test_memory_is_that_of_what_joins_the_sites() -> None:
    def pod(namespace: str, **containers: int | None) -> dict[str, Any]:
        sizes = [
            (name, {} if size is None else {"memory": {"workingSetBytes": size}}) for name, size in containers.items()
        ]
        ref = {"name": "pod", "namespace": namespace}
        return {"podRef": ref, "containers": [{"name": name, **size} for name, size in sizes]}

    pods = [pod("kube-system", coredns=1), pod(SOURCE, mariadb=10, proxy=100), pod("istio-system", discovery=1000)]
    assert run.working_sets(pods) == 1100
    with pytest.raises(ValueError, match="the memory of proxy"):
        run.working_sets([*pods, pod(REPLICA, proxy=None)])


def test_the_table_has_all_that_was_measured() -> None:
    def sample(metric: str, way: str, value: float, case: str = PAIR) -> Sample:
        return Sample(metric=metric, unit="", way=way, case=case, round=1, value=value)

    samples = [sample(SET_UP, way, 40) for way in WAYS] + [sample(STREAMED, DCMESH, 300)]
    samples += [sample(metric, HAPROXY, 1, fault) for metric in (UNANSWERED, CUT) for fault in FAULTS]
    text = report.section(samples)
    assert f"|  | {DCMESH} | {MULTI_PRIMARY} | {HAPROXY} |" in text
    assert "| bulk, streamed, MB/s | 300 (300 to 300) |  |  |" in text
    cell = "1 (1 to 1); replica cut off in 1 of 1"
    assert all(f"| {fault}: unanswered, s |  |  | {cell} |" in text for fault in FAULTS)
    assert all(f"| {fact} | {of[DCMESH]} |" in text for fact, of in report.FACTS.items())
