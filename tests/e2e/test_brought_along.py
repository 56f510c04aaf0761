"""What owners of sites already have: ways to reach a cluster, an Istio, certificates of their own authority.

Each test can be run by itself. CI runs test_stacks.py instead, which has a cluster behind `proxy-url`, a stack that
uses another's Istio, and `provided` certificates with the root that is there. Only here are:

- `HTTPS_PROXY` and `NO_PROXY`, and what is said when the proxy or the program for credentials fails;
- an existing Istio with a revision, its own `cacerts`, which `up` refuses to replace, a gateway and exports;
- `advertise` while the load balancer gives no address: `up` does not wait for one;
- a change of the root by `provided`.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from .connect_proxy import connect_proxy
from .site_stack import ISTIO, TRUST, SiteStack
from .test_stacks import (
    API_NAME,
    address,
    answers,
    behind_a_proxy,
    consumer,
    export,
    hosts,
    imported,
    istio_in,
    load_balancer,
)
from .toolbox import CLIENT, Kubectl, Lab, Project, eventually, lab_for_a_while


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in lab_for_a_while("brought-along"):
        lab.create({"dc1": ["dc2", "dc3"], "dc2": ["dc1"], "dc3": ["dc2"]})
        yield lab


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("brought-along")


@pytest.fixture(scope="module")
def state(directory: Path) -> Path:
    return directory / "state"


@pytest.fixture(scope="module")
def trust(directory: Path, state: Path) -> Project:
    config = {"dcmesh:trust": {"source": "generated", "issueFor": ["dc1", "dc2"]}}
    trust = Project(directory / "trust", stack="trust", config=config, state=state)
    trust.init()
    trust.up("--skip-preview")
    return trust


@pytest.fixture(scope="module")
def dc1(directory: Path, state: Path, lab: Lab, trust: Project) -> SiteStack:
    """The exporter, after its `up`."""
    site = {
        "name": "dc1",
        "gateway": {"replicas": 1},
        "workloads": [{"kind": "hello", "namespace": "demo", "replicas": 1}],
        "exports": [export(namespace="demo", replicas=1, consumers=[consumer("dc2", "demo-dr")])],
    }
    stack = SiteStack(directory / "dc1", lab=lab, state=state, site=site)
    stack.init()
    stack.follow()
    return stack


@pytest.fixture(scope="module")
def dc2(directory: Path, state: Path, lab: Lab, dc1: SiteStack) -> SiteStack:
    """The importer, after its `up`."""
    site = {
        "name": "dc2",
        "workloads": [{"kind": "hello-client", "namespace": "demo-dr"}],
        "imports": [imported("dc1", "hello", "demo-dr")],
    }
    stack = SiteStack(directory / "dc2", lab=lab, state=state, site=site, peers=[{"name": "dc1"}])
    stack.init()
    stack.follow()
    return stack


@pytest.fixture(scope="module")
def dc3(directory: Path, state: Path, lab: Lab) -> SiteStack:
    """A site whose Istio and Secret `cacerts` somebody else has installed, Istio with a revision."""
    site = {
        "name": "dc3",
        "gateway": {"replicas": 1},
        "workloads": [
            {"kind": "hello", "namespace": "demo3", "replicas": 1},
            {"kind": "hello-client", "namespace": "demo-dr3"},
        ],
        "exports": [export(namespace="demo3", replicas=1, consumers=[consumer("dc2", "demo-dr")])],
        "imports": [imported("dc1", "hello", "demo-dr3")],
    }
    istio = {
        "charts": ISTIO["charts"],
        "existing": {"revision": "stable"},
        "values": {"gateway": ISTIO["values"]["gateway"]},
    }
    config = {"trust": {"source": "existing"}, "istio": istio, "peers": [{"name": "dc1"}]}
    stack = SiteStack(directory / "dc3", lab=lab, state=state, site=site, **config)
    with stack.edit_site() as edited:
        edited["gateway"] |= {"loadBalancerIp": address(stack, 105), "advertise": [address(stack, 105)]}
    return stack


@pytest.fixture(scope="module")
def platform(directory: Path, lab: Lab) -> SiteStack:
    """The stack of the team that runs dc3's Istio, with its own state.

    For convenience dcmesh itself installs that Istio.
    """
    values = {
        **ISTIO["values"],
        "base": {"defaultRevision": "stable"},
        "istiod": {**ISTIO["values"]["istiod"], "revision": "stable"},
    }
    return SiteStack(
        directory / "platform",
        lab=lab,
        state=directory / "platform-state",
        site={"name": "dc3"},
        trust={"source": "existing"},
        istio={**ISTIO, "values": values},
    )


@pytest.mark.soak(proves=("dcmesh/kube/credentials.py", "dcmesh/kube/http_proxy.py"))
def test_a_cluster_is_reached_by_proxies_programs_and_relative_paths(dc1: SiteStack, directory: Path) -> None:
    """Pulumi's provider, which reads all objects for `refresh`, reaches it so.

    So does dcmesh, also for commands in pods.
    """
    home = directory / "home"
    known = behind_a_proxy(dc1, home)
    cluster = known["clusters"][0]["cluster"]
    with dc1.edit_site() as site:
        before, site["cluster"] = site["cluster"], {"kubeconfig": str(home / "config"), "context": "lab-dc1"}

    def reached() -> None:
        dc1.up("--skip-preview")
        dc1.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
        status = dc1.status()
        assert status["problems"] == []

    with connect_proxy({API_NAME: dc1.api.removeprefix("https://").partition(":")[0]}) as proxy:
        (home / "config").write_text(yaml.safe_dump(known))
        assert "cannot be reached" in dc1.refused("preview"), "nobody but the proxy knows its name"
        cluster["proxy-url"] = proxy
        (home / "config").write_text(yaml.safe_dump(known))
        reached()
        del cluster["proxy-url"]
        (home / "config").write_text(yaml.safe_dump(known))
        dc1.environment |= {"HTTPS_PROXY": proxy}
        reached()
        dc1.environment |= {"NO_PROXY": f".dc1.example:{cluster['server'].rpartition(':')[2]}"}
        assert "cannot be reached" in dc1.refused("preview"), "the proxy is not for it"
        (home / "bin/login").write_text("#!/bin/sh\necho log in first >&2\nexit 1\n")
        assert "login gives no credentials: exec: process returned 1. log in first" in dc1.refused("preview")
    for name in ("HTTPS_PROXY", "NO_PROXY"):
        del dc1.environment[name]
    with dc1.edit_site() as site:
        site["cluster"] = before
    dc1.up("--skip-preview")


@pytest.mark.soak(proves=("components/mesh/istio.py", "dcmesh/preflight/mesh.py", "dcmesh/preflight/certificates.py"))
def test_a_third_site_whose_istio_is_somebody_elses(
    lab: Lab, trust: Project, dc1: SiteStack, dc2: SiteStack, dc3: SiteStack, platform: SiteStack
) -> None:
    """dc1 exports to two sites. dc3 exports too, with existing Istio and certificates.

    Its gateway's address is advertised, so `up` does not wait until the load balancer gives it.
    """
    with trust.edit() as config:
        config["dcmesh:trust"]["issueFor"].append("dc3")
    trust.up()
    issued = trust.output("intermediates")["dc3"]
    files = {"ca-cert.pem": "caCert", "ca-key.pem": "caKey", "cert-chain.pem": "certChain", "root-cert.pem": "rootCert"}
    dc3.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "cacerts", "namespace": "istio-system"},
            "stringData": {file: issued[part] for file, part in files.items()},
        },
    )
    platform.init()
    platform.up()

    before = istio_in(dc3.kubectl, revision="stable")
    with dc1.edit_site() as site:
        site["exports"][0]["consumers"].append(consumer("dc3", "demo-dr3"))
    dc1.follow()
    dc3.init()
    with dc3.edit() as config:
        existing, config["dcmesh:trust"] = config["dcmesh:trust"], TRUST
    assert "would replace the Secret istio-system/cacerts of dc3, which dcmesh has not made" in dc3.refused(
        "up", "--yes"
    )
    with dc3.edit() as config:
        config["dcmesh:trust"] = existing
    load_balancer(lab, "dc3", "STOP")
    dc3.up()
    load_balancer(lab, "dc3", "CONT")
    assert dc3.hosts() == hosts(1)
    assert answers(dc3, hosts(1), pod=("--namespace", "demo-dr3", *CLIENT[2:]))
    with dc2.edit() as config:
        config["dcmesh:peers"].append({"name": "dc3"})
        config["dcmesh:sites"][0]["imports"].append(imported("dc3", "hello", "demo-dr"))
    dc2.follow()
    both = hosts(1) | hosts(1, namespace="demo3")
    assert dc2.hosts() == both
    assert answers(dc2, both)
    assert istio_in(dc3.kubectl, revision="stable") == before
    assert not [part for part in dc3.resources() if part["urn"].endswith(("-cacerts", "-istiod", "-base"))]

    with dc2.edit() as config:
        config["dcmesh:peers"].pop()
        config["dcmesh:sites"][0]["imports"].pop()
    dc2.follow()
    dc3.pulumi("destroy", "--yes", "--skip-preview")
    assert dc3.resources() == []
    assert istio_in(dc3.kubectl, revision="stable") == before
    platform.pulumi("destroy", "--yes", "--skip-preview")
    assert platform.resources() == []
    remaining = dc3.kubectl.get("secret", "cacerts", "istio-system")["metadata"]
    assert (remaining["uid"], remaining["resourceVersion"]) == before[0]


class Authority:
    """A company's own root, made with the library that most people use for it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = self.sign("Example Root", self.key.public_key(), path_length=1)

    def sign(self, name: str, key: ec.EllipticCurvePublicKey, *, path_length: int, days: int = 900) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer = self.cert.subject if path_length == 0 else common_name(name)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )
        return (
            x509.CertificateBuilder()
            .subject_name(common_name(name))
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, decipher_only=False, **usage),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, site: str) -> dict[str, str]:
        """Return what `trust.provided` needs for a site. The certificate expires soon."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = pem(self.sign(f"Example {site}", key.public_key(), path_length=0, days=60))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {"caCert": cert, "caKey": private, "certChain": cert + pem(self.cert), "rootCert": pem(self.cert)}


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem(cert: x509.Certificate) -> str:
    return cert.public_bytes(Encoding.PEM).decode()


def workload_chain(site: Kubectl, *pod: str) -> list[x509.Certificate]:
    """Return a sidecar's own certificate, and those above it."""
    dump = site("exec", *pod, "--container", "istio-proxy", "--", "pilot-agent", "request", "GET", "config_dump")
    (secrets,) = [part for part in json.loads(dump)["configs"] if "dynamic_active_secrets" in part]
    (own,) = [part["secret"] for part in secrets["dynamic_active_secrets"] if part["name"] == "default"]
    return x509.load_pem_x509_certificates(b64decode(own["tls_certificate"]["certificate_chain"]["inline_bytes"]))


def roots(stack: SiteStack) -> set[str]:
    """Return the root with which each namespace's pods start."""
    selector = ("--all-namespaces", "--field-selector", "metadata.name=istio-ca-root-cert")
    listed = json.loads(stack.kubectl("get", "configmaps", *selector, "--output", "json"))["items"]
    return {item["data"]["root-cert.pem"] for item in listed}


@pytest.mark.soak(proves=("components/trust/*.py", "dcmesh/trust/*.py"))
def test_certificates_of_ones_own_authority(trust: Project, dc1: SiteStack, dc2: SiteStack) -> None:
    """Existing sites get a new root, in three steps. Every site takes a step before any takes the next one."""
    authority = Authority()
    present = trust.output("intermediates")
    new = {site.stack: authority.issue(site.stack) for site in (dc1, dc2)}
    both = {"rootCert": present["dc1"]["rootCert"] + pem(authority.cert)}
    steps = [{name: {**parts, **both} for name, parts in of.items()} for of in (present, new)]
    for step in (*steps, new):
        for site in (dc1, dc2):
            issued = dict(step[site.stack])
            key = issued.pop("caKey").strip()
            with site.edit() as config:
                config["dcmesh:trust"] = {"source": "provided", **issued}
            site.pulumi("config", "set", "--secret", "--path", "dcmesh:trust.caKey", stdin=key)
            assert "PRIVATE KEY" not in site.stack_file.read_text()
            said = site.follow()
            soon = f"{site.stack}: the certificate of Example {site.stack} expires on"
            assert (soon in said) == (step is not steps[0])
            cacerts = site.kubectl.get("secret", "cacerts", "istio-system")["data"]
            held = {name: b64decode(value).decode() for name, value in cacerts.items()}
            assert held == {
                "ca-cert.pem": issued["caCert"],
                "ca-key.pem": key,
                "cert-chain.pem": issued["certChain"],
                "root-cert.pem": issued["rootCert"],
            }
            assert key not in site.pulumi("stack", "export")
            assert answers(dc2, dc2.hosts())
    for site, pod in ((dc1, ("--namespace", "demo", "hello-0")), (dc2, CLIENT[:-2])):
        leaf, intermediate, *_ = workload_chain(site.kubectl, *pod)
        leaf.verify_directly_issued_by(intermediate)
        intermediate.verify_directly_issued_by(authority.cert)
        assert intermediate.subject == common_name(f"Example {site.stack}")
        eventually("all pods would start with the new root", lambda site=site: roots(site) == {pem(authority.cert)})
        status = site.status()
        soon = f"{site.stack} certificate of intermediate Example {site.stack}: expires in 60 days"
        assert [problem["text"].partition(",")[0] for problem in status["problems"]] == [soon]
    for site in (dc1, dc2):
        site.follow("--expect-no-changes")
