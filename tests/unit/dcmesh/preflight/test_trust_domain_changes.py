"""A change of trust domain: what is refused at each step, judged by the last `up`'s outputs and by the pods."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.mesh import service_export, service_import
from dcmesh.config.environment import Environment
from dcmesh.config.errors import ConfigError, Finding, Remark
from dcmesh.model.certificates import CertificateHolder, read_pem
from dcmesh.model.link import Link, LinkGateway
from dcmesh.model.name_constraints import bound
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Istio
from dcmesh.preflight import trust_domain_changes
from dcmesh.sites_in_state import SiteInState
from dcmesh.stacks import NoStackError
from dcmesh.user_files import read_file
from tests.unit.certificates import authority
from tests.unit.conftest import settings_of, stack_dev

OLD, NEW = "cluster.local", "dc1.dcmesh"
ROOT = authority("root")
CA = authority("Intermediate CA dc1", ROOT)
STATE = {site: SiteInState(identity=None, kubeconfig=f"kubeconfig of {site}") for site in ("dc1", "dc2")}

Changes = Mapping[str, tuple[str, ...]]
"""Each site's trust domain, and its alias."""


def configured(domains: Changes) -> dict[str, Any]:
    raw = stack_dev()
    for site in raw["sites"]:
        keys = ("trustDomain", "trustDomainAlias")
        site |= dict(zip(keys, domains.get(site["name"], ()), strict=False))
    return raw


def outputs(domains: Changes) -> dict[str, Any]:
    """Return the outputs of an `up`."""
    plan = plan_of(settings_of(configured(domains)), {})
    links = {
        site.name: Link.of(site.name, LinkGateway(addresses=("192.0.2.1",)), site.exports).as_output()
        for site in plan.sites
        if site.exports
    }
    sites = {site.name: {"trustDomains": list(domains.get(site.name, (OLD,))), "links": links} for site in plan.sites}
    return {"sites": sites, "link": links}


def resources(domains: Changes) -> dict[str, Any]:
    """Return the resources in a state for the link from dc1 to dc2."""
    (export,) = plan_of(settings_of(configured(domains)), {}).site("dc1").exports
    selector = {"app": "hello"}
    of_export, of_import = "dc1.export.hello", "dc2-imports.demo-dr.dc1.hello"
    specs = {
        f"{of_export}-authorizationpolicy-hello-consumers": service_export.consumers_only(export, selector),
        f"{of_export}-envoyfilter-hello-trust-domains": service_export.of_other_domains(export, selector),
        f"{of_import}-serviceentry-hello-0": service_import.host_service_entry(
            export, export.hosts[0], vip="241.0.0.1", gateway=["192.0.2.1"], gateway_port=15443
        ),
    }
    found = {
        f"urn:pulumi:s::p::t::{name}": {"outputs": {"metadata": {"name": "dc1.hello.hello-0"}, "spec": spec}}
        for name, spec in specs.items()
        if spec
    }
    for site, (domain, *_) in domains.items():
        triggers = {"triggers": ["chain", "root", "id", domain]}
        found[f"urn:pulumi:s::p::t::{site}-certificates"] = {"outputs": triggers}
    return found


STATES: dict[str, dict[str, Any]] = {}
"""The resources of each stack."""


def read_resources(stack: str) -> dict[str, Any]:
    if stack not in STATES:
        raise NoStackError("no such stack")
    if "unreadable" in STATES[stack]:
        raise LookupError("the bucket does not answer")
    return STATES[stack]


DEV, DC2 = "organization/dcmesh/dev", "organization/dcmesh/dc2"


def pod(domain: str) -> CertificateHolder:
    leaf = authority("pod", CA, ca=False, identity=f"spiffe://{domain}/ns/demo/sa/hello")
    return CertificateHolder(where="dc1 demo/hello-0", chain=[leaf.certificate, CA.certificate])


LIVE: dict[str, tuple[str, ...] | None] = {}
"""What each site's mesh really has; None for one that does not answer."""


class FakeMesh:
    """A site's mesh."""

    def __init__(self, site: str, kubeconfig: str) -> None:
        assert kubeconfig == f"kubeconfig of {site}"
        self.site = site

    def trust_domains(self, revision: str) -> tuple[str, ...]:
        assert revision == "default"
        if (there := LIVE[self.site]) is None:
            raise ConnectionError("no answer")
        return there


@pytest.fixture(autouse=True)
def meshes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_domain_changes, "MeshCluster", FakeMesh)
    monkeypatch.setattr(trust_domain_changes, "read_resources", read_resources)
    STATES.clear()


@pytest.fixture
def holders(monkeypatch: pytest.MonkeyPatch) -> list[CertificateHolder]:
    """What a site's pods have, and its Secret."""
    found: list[CertificateHolder] = []

    def ask(sites: Mapping[str, str], question: object) -> list[CertificateHolder]:
        assert sites in ({"dc1": "kubeconfig of dc1"}, {"dc2": "kubeconfig of dc2"})
        assert question is trust_domain_changes.all_of
        return found

    monkeypatch.setattr(trust_domain_changes, "on_each", ask)
    return found


def found(before: dict[str, Any], now: Changes) -> list[Finding]:
    settings = settings_of(configured(now))
    environment = Environment("dcmesh", "dev", lambda _: before, read_file)
    return list(trust_domain_changes.changed(settings, plan_of(settings, {}), environment, STATE))


def said(before: Changes, now: Changes) -> list[str]:
    LIVE.update({site: before.get(site, (OLD,)) for site in STATE})
    STATES[DEV] = resources(before)
    return [finding.line() for finding in found(outputs(before), now)]


@pytest.mark.parametrize("domains", [{}, {"dc1": (NEW,)}])
def test_what_stays_is_not_looked_at(domains: Changes) -> None:
    """Otherwise every `up` would ask every proxy."""
    assert said(domains, domains) == []


def test_a_site_that_is_let_in_as_one_of_another_trust_domain_is_told() -> None:
    settings = settings_of(configured({"dc2": (NEW,)}))
    plan = plan_of(settings, {})
    site = settings.sites[1]
    assert list(trust_domain_changes.refused(site, "sites[1]", plan.site("dc2"))) == []
    (remark,) = trust_domain_changes.refused(site, "sites[1]", plan_of(settings_of(configured({})), {}).site("dc2"))
    assert remark.line().startswith('sites[1].imports[0].serviceAccount: "client" is let in by dc1 as one of cluster')


def test_sites_that_cannot_be_told_apart_are_told() -> None:
    plan = plan_of(settings_of(configured({"dc1": (NEW,)})), {}).site("dc2")
    assert list(trust_domain_changes.alike("sites[1]", plan)) == []
    twice = replace(plan, imports=(*plan.imports, replace(plan.imports[0], source="dc3")))
    (remark,) = trust_domain_changes.alike("sites[1]", twice)
    assert remark.line().startswith(f'sites[1].imports[1].from: "dc3" has the trust domain {NEW}, as dc1 has')


def test_a_mesh_of_somebody_else_changes_before_its_site(holders: list[CertificateHolder]) -> None:
    istio = Istio.model_validate({"existing": {"revision": "default"}})
    settings = settings_of(configured(STEPS[2])).model_copy(update={"istio": istio})
    environment = Environment("dcmesh", "dev", lambda _: outputs(STEPS[1]), read_file)
    STATES[DEV] = resources(STEPS[1])

    def look(*there: str) -> list[Finding]:
        LIVE.update({"dc1": there, "dc2": (OLD,)})
        return list(trust_domain_changes.changed(settings, plan_of(settings, {}), environment, STATE))

    (finding,) = look(OLD, NEW)
    assert f"is not yet that of the mesh, which is {OLD}: set meshConfig.trustDomain first" in finding.line()
    assert look(NEW, OLD) == []


def test_a_stack_of_before_has_the_first_trust_domain() -> None:
    before = outputs({})
    for site in before["sites"].values():
        del site["trustDomains"]
    assert found(before, {}) == []
    assert [finding.value for finding in found(before, {"dc1": (NEW,)})] == [NEW]


@pytest.mark.parametrize(("there", "refused"), [(None, False), ((), False), ((NEW,), False), ((OLD,), True)])
def test_a_stack_that_has_told_nothing_has_what_its_mesh_has(there: tuple[str, ...] | None, refused: bool) -> None:
    """Its first `up` may have failed, with pods that run."""
    LIVE.update({"dc1": there, "dc2": ()})
    assert bool(found({}, {"dc1": (NEW,), "dc2": ("dc2.dcmesh",)})) is refused
    assert bool(found({}, {})) is (there == (NEW,)), "it is not removed again either"


def test_what_an_up_wanted_is_not_what_the_mesh_has(holders: list[CertificateHolder]) -> None:
    before = outputs(STEPS[1])
    STATES[DEV] = resources(STEPS[1])
    LIVE.update({"dc1": (OLD,), "dc2": (OLD,)})
    (finding,) = found(before, STEPS[2])
    assert f"is to be swapped, and the mesh does not take {NEW} yet: run `pulumi up` with it as" in finding.line()
    LIVE["dc1"] = None
    (finding,) = found(before, STEPS[2])
    assert "is to be swapped, and its mesh cannot be asked what it takes" in finding.line()


def test_consumers_of_other_stacks_are_not_shut_out() -> None:
    """This is judged by their site's trust domain. If a site has not output its domain, there is only a warning."""
    raw = configured({})
    raw["sites"] = raw["sites"][:1]
    consumer = raw["sites"][0]["exports"][0]["consumers"][0]
    told = outputs({})
    stacks = {DEV: {**told, "sites": {"dc1": told["sites"]["dc1"]}}, DC2: {"sites": {"dc2": {}}}}

    def look(*accepted: str) -> list[Finding]:
        def read(stack: str) -> Mapping[str, Any]:
            return stacks[stack]

        consumer["trustDomains"] = list(accepted)
        settings = settings_of(raw)
        environment = Environment("dcmesh", "dev", read, read_file)
        return list(trust_domain_changes.changed(settings, plan_of(settings, {}), environment, STATE))

    assert look(OLD, "dc2.dcmesh") == []
    (unseen,) = look("dc2.dcmesh")
    assert isinstance(unseen, Remark)
    STATES[DC2] = {"urn::t::other": {"outputs": {}}}
    (finding,) = look("dc2.dcmesh")
    assert not isinstance(finding, Remark)
    wrong = f"would shut out demo-dr/client of dc2, whose pods may have the trust domain {OLD}: keep it among"
    assert wrong in finding.line()
    stacks[DC2] = {"sites": {"dc2": {"trustDomains": ["dc2.dcmesh", OLD]}}}
    (finding,) = look("dc2.dcmesh")
    assert wrong in finding.line(), "dcmesh has not made these certificates, so its step may have failed"
    stacks[DC2] = {"sites": {"dc2": {"trustDomains": ["dc2.dcmesh"]}}}
    assert look("dc2.dcmesh") == []
    STATES[DC2] = resources({})
    STATES[DC2]["urn::t::dc2-certificates"] = {"outputs": {"triggers": ["chain", "root", "id"]}}
    assert len(look("dc2.dcmesh")) == 1, "it was wanted, and is not completed"
    STATES[DC2] = resources({"dc2": ("dc2.dcmesh",)})
    assert look("dc2.dcmesh") == []


def test_a_new_stack_has_whichever_it_wants() -> None:
    settings = settings_of(configured({"dc1": (NEW,)}))
    environment = Environment("dcmesh", "dev", lambda _: {}, read_file)
    assert list(trust_domain_changes.changed(settings, plan_of(settings, {}), environment, {})) == []


STEPS = [{}, {"dc1": (OLD, NEW)}, {"dc1": (NEW, OLD)}, {"dc1": (NEW,)}]


@pytest.mark.parametrize("now", range(4))
@pytest.mark.parametrize("before", range(4))
def test_steps_are_taken_one_by_one_forth_and_back(holders: list[CertificateHolder], before: int, now: int) -> None:
    allowed = abs(before - now) <= 1
    assert (said(STEPS[before], STEPS[now]) == []) == allowed
    if not allowed:
        (line,) = said(STEPS[before], STEPS[now])
        assert line.startswith("sites[0].trustDomain: ")
        assert 'docs/production.md, "Another trust domain"' in line


@pytest.mark.parametrize(("site", "steps"), [("dc1", STEPS), ("dc2", [{}, {"dc2": (OLD, NEW)}, {"dc2": (NEW, OLD)}])])
def test_the_other_end_must_have_accepted_it_at_its_last_up(
    holders: list[CertificateHolder], site: str, steps: list[Changes]
) -> None:
    """An `up` that failed half-way has output what it wanted. The state has what it did."""
    LIVE.update({of: steps[1].get(of, (OLD,)) for of in STATE})
    STATES[DEV] = resources({})
    (finding,) = found(outputs(steps[1]), steps[2])
    other = {"dc1": "dc2", "dc2": "dc1"}[site]
    assert f'"{NEW}" is not accepted by {other} yet, ' in finding.line()
    assert not isinstance(finding, Remark)


def test_sites_of_other_stacks_are_asked_by_their_states(holders: list[CertificateHolder]) -> None:
    now = configured(STEPS[2])
    now["sites"] = now["sites"][:1]
    before = outputs(STEPS[1])
    LIVE.update({"dc1": STEPS[1]["dc1"]})
    settings = settings_of(now)
    STATES[DEV] = {}

    def look() -> list[Finding]:
        environment = Environment("dcmesh", "dev", lambda _: before, read_file)
        return list(trust_domain_changes.changed(settings, plan_of(settings, {}), environment, STATE))

    (unseen,) = look()
    assert isinstance(unseen, Remark)
    assert "must be accepted by dc2 first, which cannot be seen from here" in unseen.line()
    STATES[DC2] = {"unreadable": {}}
    with pytest.raises(ConfigError, match="the state of organization/dcmesh/dc2 cannot be read: the bucket"):
        look()
    STATES[DC2] = resources({})
    (late,) = look()
    assert "is not accepted by dc2 yet, at its imports: first run `pulumi up` there" in late.line()
    STATES[DC2] = resources(STEPS[1])
    assert look() == []


@pytest.mark.parametrize(("domain", "refused"), [(OLD, True), (NEW, False)])
def test_the_old_one_goes_when_no_pod_has_it(holders: list[CertificateHolder], domain: str, refused: bool) -> None:
    holders.append(pod(domain))
    lines = said(STEPS[2], STEPS[3])
    assert [f"dc1 demo/hello-0 still has {OLD}: restart its pod first" in line for line in lines] == [True] * refused
    assert said(STEPS[1], STEPS[2]) == [], "while both are valid, nothing prevents it"


def test_who_cannot_be_asked_is_no_reason_to_go_on(holders: list[CertificateHolder]) -> None:
    holders.append(CertificateHolder(where="dc1's cluster", unknown="no answer"))
    (line,) = said(STEPS[2], STEPS[3])
    assert "dc1's cluster cannot be asked for its certificate (no answer)" in line
    assert said(STEPS[0], STEPS[1]) == [], "if one is only added, nobody need be asked"


def test_going_back_needs_an_intermediate_that_may_sign_for_the_old_one(holders: list[CertificateHolder]) -> None:
    chain = read_pem(bound(CA.pem, ROOT.key_pem, NEW))
    holders.append(CertificateHolder(where="dc1 Secret istio-system/cacerts", chain=chain))
    assert said(STEPS[3], STEPS[2]) == []
    (line,) = said(STEPS[2], STEPS[1])
    assert "is none for which Intermediate CA dc1 may sign: first have one issued that may" in line
