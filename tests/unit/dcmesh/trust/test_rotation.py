"""Rotation: what is refused at each step, judged by the proxies, and what is written so that proxies follow."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from dcmesh.kube.proxies import parse_expiry, parse_secrets
from dcmesh.model.certificates import Bundle, CertificateHolder, holder_of, read_pem, signed_path
from dcmesh.model.name_constraints import bound
from dcmesh.trust import rotation
from dcmesh.trust.rotation import (
    Mesh,
    OtherSites,
    behind,
    certificates,
    given_or_held,
    guard,
    objections,
    read_others,
    settle,
    unseen_warning,
)
from tests.unit.certificates import Authority, authority
from tests.unit.conftest import settings_of, stack_dev
from tests.unit.servers import kubeconfig

CLUSTER_LOCAL = Mesh(trust_domain="cluster.local")
OLD, NEW = authority("Root CA"), authority("Root CA 2")
BY_OLD = authority("dc1 1", OLD)
BY_OLD_2 = authority("dc1 2", OLD, until=timedelta(days=29))
BY_NEW = authority("dc1 2.1", NEW, until=timedelta(days=28))


def bundle(intermediate: Authority, issuer: Authority, *roots: Authority) -> Bundle:
    return Bundle(chain=intermediate.pem + issuer.pem, root="".join(root.pem for root in roots))


def proxy(
    intermediate: Authority, issuer: Authority, *roots: Authority, where: str = "dc2 demo/client"
) -> CertificateHolder:
    leaf = authority("pod", intermediate, ca=False)
    chain = [leaf.certificate, intermediate.certificate, issuer.certificate]
    return CertificateHolder(where=where, roots=[root.certificate for root in roots], chain=chain)


STEPS = {
    "old": bundle(BY_OLD, OLD, OLD),
    "new intermediate": bundle(BY_OLD_2, OLD, OLD),
    "trusted": bundle(BY_OLD, OLD, OLD, NEW),
    "issuing": bundle(BY_NEW, NEW, OLD, NEW),
    "new": bundle(BY_NEW, NEW, NEW),
}
PROXIES = {
    "old": proxy(BY_OLD, OLD, OLD),
    "trusted": proxy(BY_OLD, OLD, OLD, NEW),
    "issuing": proxy(BY_NEW, NEW, OLD, NEW),
    "new": proxy(BY_NEW, NEW, NEW),
}

NOT_TRUSTED = (
    "dc2 demo/client does not trust Root CA 2, which is to issue: "
    "first run the step that trusts it beside the old root (`next: trusted`) on every site"
)
NO_LONGER_TRUSTED = (
    "dc2 demo/client does not trust Root CA, which is to issue: "
    "first run the step that trusts it beside the old root (`next: trusted`) on every site"
)
IN_USE = (
    "dc2 demo/client has a certificate under {}, which is to be trusted no more: "
    "first run the step in which the new root issues (`next: issuing`) on every site"
)
TEXT = (
    "istiod takes changed roots only where the new text contains the old, or the old the new: "
    "add roots behind the present ones in one step, and remove the old in another"
)


@pytest.mark.parametrize(
    ("held", "wanted", "others"),
    [
        ("old", "new intermediate", "old"),
        ("old", "trusted", "old"),
        ("old", "trusted", "trusted"),
        ("trusted", "issuing", "trusted"),
        ("trusted", "issuing", "issuing"),
        ("issuing", "new", "issuing"),
        ("issuing", "new", "new"),
        ("issuing", "trusted", "issuing"),
        ("trusted", "old", "trusted"),
    ],
)
def test_right_order_is_let_pass(held: str, wanted: str, others: str) -> None:
    assert list(objections(STEPS[wanted], STEPS[held], [PROXIES[others], holder_of("", STEPS[held])])) == []


@pytest.mark.parametrize(
    ("held", "wanted", "others", "said"),
    [
        ("trusted", "issuing", "old", [NOT_TRUSTED]),
        ("old", "issuing", "old", [NOT_TRUSTED]),
        ("old", "new", "old", [NOT_TRUSTED, TEXT]),
        ("trusted", "new", "trusted", [IN_USE.format("Root CA")]),
        ("issuing", "new", "trusted", [IN_USE.format("Root CA")]),
        ("issuing", "trusted", "new", [NO_LONGER_TRUSTED]),
        ("new", "issuing", "old", [NOT_TRUSTED]),
        ("new", "old", "new", [NO_LONGER_TRUSTED, TEXT]),
        ("trusted", "old", "issuing", [IN_USE.format("Root CA 2")]),
    ],
)
def test_wrong_order_is_refused(held: str, wanted: str, others: str, said: list[str]) -> None:
    assert list(objections(STEPS[wanted], STEPS[held], [PROXIES[others]])) == said


def test_who_cannot_be_asked_is_no_reason_to_go_on() -> None:
    silent = CertificateHolder(where="dc2 demo/client", unknown="no answer")
    (said,) = objections(STEPS["trusted"], STEPS["old"], [silent])
    assert said.startswith("dc2 demo/client cannot be asked (no answer)")


def test_text_of_the_roots_must_contain_the_present_one() -> None:
    swapped = bundle(BY_OLD, OLD, NEW, OLD)
    assert list(objections(swapped, STEPS["trusted"], [PROXIES["trusted"]])) == [TEXT]


# --- guard ---------------------------------------------------------------------------------------------------------


@dataclass
class FakeCluster:
    """A site whose istiods and proxies follow what is written, as real ones do."""

    held: Bundle | None
    shown: list[CertificateHolder] = field(default_factory=list)
    signs: Bundle | None = None
    written: list[str] = field(default_factory=list)
    stuck: bool = False
    site: str = "dc1"
    domain: str | None = None

    def bundle(self) -> Bundle | None:
        return self.held

    def proxies(self) -> list[CertificateHolder]:
        return self.shown

    def trust_domains(self, revision: str) -> tuple[str, ...]:
        assert revision == "default"
        return (self.domain,) if self.domain else ()

    def write_roots(self, pem: str) -> None:
        assert self.held
        self.written.append(pem)
        self.held = Bundle(chain=self.held.chain, root=pem)

    def hasten(self) -> None:
        assert self.held
        if not self.stuck:
            changed = self.signs is None or self.signs.root != self.held.root
            self.signs = self.held
            if changed:
                self.shown = [following(self.held) for _ in self.shown]

    def signs_until(self) -> Sequence[float]:
        assert self.signs
        return [read_pem(self.signs.chain)[0].not_valid_after_utc.timestamp()]


def following(held: Bundle) -> CertificateHolder:
    chain = read_pem(held.chain)
    leaf = authority("pod", next(a for a in (BY_OLD, BY_OLD_2, BY_NEW) if a.certificate == chain[0]), ca=False)
    return CertificateHolder(where="dc1 demo/hello-0", roots=read_pem(held.root), chain=[leaf.certificate, *chain])


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, FakeCluster]]:
    found: dict[str, FakeCluster] = {}
    monkeypatch.setattr(rotation, "MeshCluster", lambda site, _: found[site])
    monkeypatch.setattr("dcmesh.kube.proxies.MeshCluster", lambda site, _: found[site])
    monkeypatch.setattr(rotation, "INTERVAL", 0)
    monkeypatch.setattr(rotation, "BY_THEMSELVES", 0.05)
    return found  # type: ignore[return-value]


def others(**bundles: Bundle) -> OtherSites:
    return OtherSites(kubeconfigs={}, bundles=bundles, unseen={"dc3": "no", "dc1": "no"})


@pytest.mark.parametrize("held", [None, STEPS["issuing"]], ids=["not there yet", "the same"])
def test_nothing_is_asked_where_nothing_changes(clusters: dict[str, FakeCluster], held: Bundle | None) -> None:
    clusters["dc1"] = FakeCluster(held, [PROXIES["old"]])
    assert guard("dc1", "", STEPS["issuing"], others(), CLUSTER_LOCAL) == ""


def test_other_stacks_are_known_by_their_last_up(clusters: dict[str, FakeCluster]) -> None:
    clusters["dc1"] = FakeCluster(STEPS["trusted"], [following(STEPS["trusted"])])
    with pytest.raises(pulumi.RunError) as refusal:
        guard("dc1", "", STEPS["issuing"], others(dc2=STEPS["old"]), CLUSTER_LOCAL)
    first, *lines = str(refusal.value).splitlines()
    assert first == "dc1: its certificates must not be changed now, and were not:"
    assert [line.split(" does not")[0] for line in lines] == ["  dc2 (its last `pulumi up`)"]
    assert "and dc3 (no) cannot be seen from here" in guard(
        "dc1", "", STEPS["issuing"], others(dc2=STEPS["trusted"]), CLUSTER_LOCAL
    )


def test_the_stacks_other_sites_are_asked(clusters: dict[str, FakeCluster]) -> None:
    clusters["dc1"] = FakeCluster(STEPS["trusted"], [following(STEPS["trusted"])])
    clusters["dc2"] = FakeCluster(STEPS["trusted"], [PROXIES["old"]])
    here = OtherSites(kubeconfigs={"dc2": ""}, bundles={}, unseen={})
    with pytest.raises(pulumi.RunError, match="dc2 demo/client does not trust Root CA 2"):
        guard("dc1", "", STEPS["issuing"], here, CLUSTER_LOCAL)


def test_long_lists_are_cut(clusters: dict[str, FakeCluster]) -> None:
    clusters["dc1"] = FakeCluster(STEPS["trusted"], [PROXIES["old"]] * 20)
    with pytest.raises(pulumi.RunError, match="… and 12 more"):
        guard("dc1", "", STEPS["issuing"], others(), CLUSTER_LOCAL)


def test_what_must_be_checked_elsewhere() -> None:
    assert unseen_warning("dc1", STEPS["issuing"], {}) == ""
    said = unseen_warning("dc1", STEPS["issuing"], {"dc2": "no such stack"})
    assert "dc2 (no such stack) cannot be seen from here" in said
    assert "every proxy trusts Root CA 2" in said
    assert "under another root than Root CA, Root CA 2" in said


def test_sites_of_other_stacks() -> None:
    raw = stack_dev()
    (exporter, _), known = raw["sites"], {"certChain": "chain", "rootCert": "root"}
    exporter["exports"][0]["consumers"].append({"site": "dc3", "namespace": "a", "serviceAccount": "b"})
    outputs: dict[str, dict[str, Any]] = {
        "organization/dcmesh/dc1": {"sites": {"dc1": {}}, "kubeconfigs": {"dc1": "one", "gone": "two"}},
        "organization/dcmesh/dc2": {"certificates": {"dc2": known}},
    }
    raw["sites"] = [exporter]
    found = read_others(settings_of(raw), "dcmesh", "dc1", outputs.__getitem__)
    assert found == OtherSites(
        kubeconfigs={"dc1": "one"},
        bundles={"dc2": Bundle(chain="chain", root="root")},
        unseen={"dc3": "organization/dcmesh/dc3 cannot be read: 'organization/dcmesh/dc3'"},
    )


@pytest.mark.parametrize(
    ("outputs", "unseen"),
    [
        ({}, {}),
        ({"sites": {"dc1": {}}, "kubeconfigs": {"dc1": "one"}}, {}),
        (
            {"sites": {"dc1": {}, "dc2": {}}, "kubeconfigs": {"dc1": "one", "dc2": {}}},
            {"dc2": "its kubeconfig cannot be decrypted here"},
        ),
        (None, dict.fromkeys(("dc1", "dc2"), "organization/dcmesh/dev cannot be read: 'organization/dcmesh/dev'")),
    ],
    ids=["first up", "another site to come", "not decrypted", "not read"],
)
def test_what_cannot_be_seen_of_the_stack_itself_is_said(
    outputs: dict[str, Any] | None, unseen: dict[str, str]
) -> None:
    stacks = {} if outputs is None else {"organization/dcmesh/dev": outputs}
    assert read_others(settings_of(stack_dev()), "dcmesh", "dev", stacks.__getitem__).unseen == unseen


def test_existing_clusters_are_reached_by_what_the_configuration_names(tmp_path: Path) -> None:
    raw, file = stack_dev(), tmp_path / "kubeconfig"
    file.write_text(kubeconfig({f"context-{site}": f"http://127.0.0.1:{site[-1]}" for site in ("dc1", "dc2")}))
    for site in raw["sites"]:
        site["cluster"] = {"kubeconfig": str(file), "context": f"context-{site['name']}"}
    outputs = {"organization/dcmesh/dev": {"sites": {"dc2": {}}, "kubeconfigs": {}}}
    found = read_others(settings_of(raw), "dcmesh", "dev", outputs.__getitem__)
    (known,) = found.kubeconfigs.items()
    assert (known[0], yaml.safe_load(known[1])["current-context"]) == ("dc2", "context-dc2"), "dc1 is to come"


# --- an intermediate that is bound to a trust domain ----------------------------------------------------------------


def bound_bundle() -> Bundle:
    """Return an intermediate of the present root that may sign only names of dc1.dcmesh."""
    return Bundle(chain=bound(BY_OLD_2.pem, OLD.key_pem, "dc1.dcmesh") + OLD.pem, root=OLD.pem)


def pod_of(domain: str, where: str = "dc1 demo/hello-0") -> CertificateHolder:
    leaf = authority("pod", BY_OLD, ca=False, identity=f"spiffe://{domain}/ns/demo/sa/hello")
    chain = [leaf.certificate, BY_OLD.certificate, OLD.certificate]
    return CertificateHolder(where=where, roots=[OLD.certificate], chain=chain)


def guarded(clusters: dict[str, FakeCluster], domain: str | None, *shown: CertificateHolder) -> str:
    clusters["dc1"] = FakeCluster(STEPS["old"], list(shown), domain=domain)
    clusters["dc2"] = FakeCluster(STEPS["old"], [pod_of("cluster.local", "dc2 demo/client")])
    here = OtherSites(kubeconfigs={"dc1": "", "dc2": ""}, bundles={}, unseen={})
    return guard("dc1", "", bound_bundle(), here, Mesh(trust_domain="dc1.dcmesh"))


def test_a_bound_intermediate_comes_when_all_of_its_site_have_its_trust_domain(
    clusters: dict[str, FakeCluster],
) -> None:
    """Other sites' pods have others."""
    assert guarded(clusters, "dc1.dcmesh", pod_of("dc1.dcmesh")) == ""


@pytest.mark.parametrize(
    ("mesh", "pod", "said"),
    [
        (
            "cluster.local",
            "dc1.dcmesh",
            "the mesh has the trust domain cluster.local, for which dc1 2 may not sign",
        ),
        ("dc1.dcmesh", "cluster.local", "dc1 demo/hello-0 has a certificate of cluster.local, for which dc1 2 may not"),
    ],
)
def test_a_bound_intermediate_is_refused_while_anything_has_another_trust_domain(
    clusters: dict[str, FakeCluster], mesh: str, pod: str, said: str
) -> None:
    with pytest.raises(pulumi.RunError) as refusal:
        guarded(clusters, mesh, pod_of(pod))
    (line,) = str(refusal.value).splitlines()[1:]
    assert line.strip().startswith(said)


@pytest.mark.parametrize("there", [None, "cluster.local"])
def test_a_mesh_that_is_there_gets_no_first_intermediate_that_is_bound_to_another_trust_domain(
    clusters: dict[str, FakeCluster], there: str | None
) -> None:
    clusters["dc1"] = FakeCluster(None, domain=there)
    if there is None:
        assert guard("dc1", "", bound_bundle(), others(), Mesh(trust_domain="dc1.dcmesh")) == ""
        return
    with pytest.raises(pulumi.RunError, match=r"the mesh has the trust domain cluster\.local"):
        guard("dc1", "", bound_bundle(), others(), Mesh(trust_domain="dc1.dcmesh"))


def test_an_intermediate_that_cannot_sign_for_its_site_is_refused_at_once(clusters: dict[str, FakeCluster]) -> None:
    clusters["dc1"] = FakeCluster(None)
    with pytest.raises(pulumi.RunError, match=r"^dc1: dc1 2 may not sign for its trust domain, cluster\.local: "):
        guard("dc1", "", bound_bundle(), others(), CLUSTER_LOCAL)


# --- seeing it through ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["old", "trusted", "issuing", "new"])
def test_nothing_is_written_where_all_follow(clusters: dict[str, FakeCluster], step: str) -> None:
    clusters["dc1"] = FakeCluster(STEPS[step], [following(STEPS[step])])
    settle("dc1", "", STEPS[step])
    assert clusters["dc1"].written == []


@pytest.mark.parametrize(("before", "step"), [("old", "trusted"), ("issuing", "new")])
def test_changed_roots_are_followed_by_themselves(clusters: dict[str, FakeCluster], before: str, step: str) -> None:
    clusters["dc1"] = FakeCluster(STEPS[step], [following(STEPS[before])], signs=STEPS[before])
    settle("dc1", "", STEPS[step])
    assert clusters["dc1"].written == []
    assert behind(STEPS[step], clusters["dc1"].proxies()) == []


@pytest.mark.parametrize(("before", "step"), [("old", "new intermediate"), ("trusted", "issuing")])
def test_of_a_new_intermediate_proxies_are_told_by_the_roots_text(
    clusters: dict[str, FakeCluster], before: str, step: str
) -> None:
    clusters["dc1"] = FakeCluster(STEPS[step], [following(STEPS[before])], signs=STEPS[before])
    settle("dc1", "", STEPS[step])
    varied, restored = clusters["dc1"].written
    assert restored == STEPS[step].root
    assert varied == restored + {"issuing": NEW, "new intermediate": OLD}[step].pem
    assert behind(STEPS[step], clusters["dc1"].proxies()) == []


def test_of_a_new_trust_domain_proxies_are_told_likewise(
    clusters: dict[str, FakeCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise their certificates would have the old one until they are renewed."""
    clusters["dc1"] = FakeCluster(STEPS["old"], [pod_of("cluster.local")], signs=STEPS["old"])
    monkeypatch.setitem(globals(), "following", lambda _: pod_of("dc1.dcmesh"))
    settle("dc1", "", STEPS["old"])
    assert clusters["dc1"].written == []
    settle("dc1", "", STEPS["old"], "dc1.dcmesh")
    assert len(clusters["dc1"].written) == 2
    assert behind(STEPS["old"], clusters["dc1"].proxies(), "dc1.dcmesh") == []


def test_what_an_interrupted_up_left_is_put_right(clusters: dict[str, FakeCluster]) -> None:
    left = Bundle(chain=STEPS["issuing"].chain, root=STEPS["issuing"].root + NEW.pem)
    clusters["dc1"] = FakeCluster(left, [following(left)], signs=left)
    settle("dc1", "", STEPS["issuing"])
    assert clusters["dc1"].held == STEPS["issuing"]


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        ("trusted", "dc1: istiod has not taken its new certificates (an istiod"),
        ("issuing", "dc1: proxies have not"),
    ],
)
def test_a_site_that_does_not_follow(clusters: dict[str, FakeCluster], signs: str, said: str) -> None:
    shown = [following(STEPS["trusted"])]
    clusters["dc1"] = FakeCluster(STEPS["issuing"], shown, signs=STEPS[signs], stuck=True)
    with pytest.raises(pulumi.RunError) as late:
        settle("dc1", "", STEPS["issuing"], seconds=0)
    assert said in str(late.value)


def test_what_is_to_be_followed_is_what_the_program_says_or_else_the_secret(clusters: dict[str, FakeCluster]) -> None:
    wanted = STEPS["issuing"]
    clusters["dc1"] = FakeCluster(Bundle(chain=wanted.chain, root=wanted.root + NEW.pem))
    assert given_or_held("dc1", "", "chain", "roots") == Bundle(chain="chain", root="roots")
    assert given_or_held("dc1", "", None, None) == wanted, "an interrupted `up` has left a root in it twice"
    clusters["dc1"].held = None
    with pytest.raises(pulumi.RunError, match=r"^dc1: its cluster has no Secret istio-system/cacerts$"):
        given_or_held("dc1", "", None, None)


# --- what is shown -------------------------------------------------------------------------------------------------


def secret(name: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "secret": {"name": name, **parts}}


def test_what_a_proxy_says_of_itself() -> None:
    def inline(pem: str) -> dict[str, str]:
        return {"inline_bytes": base64.b64encode(pem.encode()).decode()}

    chain = secret("default", tls_certificate={"certificate_chain": inline(BY_OLD.pem + OLD.pem)})
    roots = secret("ROOTCA", validation_context={"trusted_ca": inline(OLD.pem + NEW.pem)})
    found = parse_secrets("dc1 a/b", json.dumps({"configs": [chain, roots]}))
    assert (list(found.chain), list(found.roots)) == (
        [BY_OLD.certificate, OLD.certificate],
        [OLD.certificate, NEW.certificate],
    )
    for part in ([chain], [roots], []):
        assert parse_secrets("dc1 a/b", json.dumps({"configs": part})).unknown


@pytest.mark.parametrize("above", [[OLD, OLD, NEW], [NEW, OLD]], ids=["as istiod has it", "no root in the chain"])
def test_a_proxys_root_is_that_which_has_signed(above: list[Authority]) -> None:
    """Its chain ends with all roots, whichever of them has signed it."""
    leaf = authority("pod", BY_OLD, ca=False)
    found = signed_path([part.certificate for part in (leaf, BY_OLD, *above)])
    assert found == [leaf.certificate, BY_OLD.certificate, OLD.certificate]


def test_until_when_an_istiod_signs() -> None:
    name = "citadel_server_cert_chain_expiry_timestamp"
    assert parse_expiry(f"# HELP {name} The\n{name} 1.85849927e+09\n") == 1858499270
    assert parse_expiry("") is None


@pytest.mark.parametrize(("days", "warned"), [(89, True), (92, False)])
def test_an_end_that_is_near_is_warned_of(monkeypatch: pytest.MonkeyPatch, days: int, warned: bool) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    end = OLD.certificate.not_valid_after_utc
    shown = certificates("dc1", STEPS["old"], now=end - timedelta(days=days, hours=-1))
    assert shown["intermediateExpires"] == f"{end:%Y-%m-%d}"
    assert shown["rootsExpire"] == {"Root CA": f"{end:%Y-%m-%d}"}
    assert [line.split(":")[0] for line in said] == ["dc1", "dc1"] * warned
    assert datetime.now(UTC) < end
