"""Trust domains of sites and of their consumers: set once, and not shared by accident."""

from typing import Any

import pytest

from dcmesh.model.plan import plan_of
from tests.unit.configurations import changed, errors, parse

CONSUMER = "sites[0].exports[0].consumers[0]"
OWN = {"sites[0].trustDomain": "dc1.dcmesh", "sites[1].trustDomain": "dc2.dcmesh"}
SAME = {"sites[0].trustDomain": "corp.test", "sites[1].trustDomain": "corp.test"}


def stack(changes: dict[str, Any]) -> dict[str, Any]:
    return changed("mariadb-egress", changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sites[0].trustDomain": "dc1/x"}, 'sites[0].trustDomain: "dc1/x" must be a trust domain: DNS labels'),
        (
            {**OWN, "sites[0].trustDomainAlias": "dc1.dcmesh"},
            'sites[0].trustDomainAlias: "dc1.dcmesh" is the trust domain itself: remove it',
        ),
        (
            {**OWN, f"{CONSUMER}.trustDomains": ["dc2.dcmesh"]},
            f'{CONSUMER}.trustDomains: "dc2.dcmesh" are for sites of other stacks, and dc2 has its own',
        ),
        (SAME, 'sites[0].trustDomain: "corp.test" is that of dc2 too, and nobody could tell the pods of the two apart'),
        (
            {**OWN, "sites[0].trustDomainAlias": "dc2.dcmesh"},
            'sites[0].trustDomainAlias: "dc2.dcmesh" is that of dc2 too',
        ),
        (
            {**OWN, "istio.values.istiod.meshConfig.trustDomain": "other"},
            'sites[0].trustDomain: "dc1.dcmesh" is not that of `istio.values.istiod`, which is other',
        ),
        (
            {
                **OWN,
                "sites[0].trustDomainAlias": "cluster.local",
                "istio.values.istiod.meshConfig.trustDomainAliases": ["other"],
            },
            'sites[0].trustDomainAlias: "cluster.local" would be overruled by `istio.values.istiod`',
        ),
        (
            {**OWN, "istio.values.istiod.meshConfig.trustDomainAliases": ["other"]},
            'sites[0].exports[0].name: "db" is of pods whose own callers may be of meshConfig.trustDomainAliases',
        ),
    ],
)
def test_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    assert any(line.startswith(said) for line in errors(stack(changes)))


@pytest.mark.parametrize(
    ("domains", "said"),
    [
        ({"dc9": "dc9.dcmesh"}, 'trust.trustDomains.dc9: "dc9.dcmesh" is of none of `issueFor`, and a site of this'),
        ({"dc1": "cluster.local"}, 'trust.trustDomains.dc1: "cluster.local" is what all sites begin with'),
        ({"dc1": "a.test", "dc2": "a.test"}, 'trust.trustDomains.dc1: "a.test" is that of dc2 too'),
    ],
)
def test_what_is_wrong_with_what_is_issued(domains: dict[str, str], said: str) -> None:
    found = errors(changed("trust", {"trust.trustDomains": domains}))
    assert any(line.startswith(said) for line in found)


def test_intermediates_that_are_issued_here_are_bound_when_the_trust_domain_has_changed() -> None:
    assert [site.signs_for_itself_alone for site in parse(stack({})).sites] == [False, False]
    moving = {**OWN, "sites[0].trustDomainAlias": "cluster.local"}
    assert [site.signs_for_itself_alone for site in parse(stack(moving)).sites] == [False, True]


def test_sites_share_a_trust_domain_if_both_accept_it() -> None:
    half = {**SAME, "sites[0].sharesTrustDomain": True}
    assert [line.partition(":")[0] for line in errors(stack(half))] == ["sites[1].trustDomain"]
    parse(stack({**half, "sites[1].sharesTrustDomain": True}))


def test_all_sites_may_go_on_with_the_first_one() -> None:
    parse(stack({}))


def test_the_link_tells_identities_and_consumers_with_their_trust_domains() -> None:
    settings = parse(stack({**OWN, "sites[0].trustDomainAlias": "cluster.local"}))
    (export,) = plan_of(settings, {}).site("dc1").exports
    assert export.trust_domains == ("dc1.dcmesh", "cluster.local")
    (consumer,) = export.consumers
    assert consumer.trust_domains == ("dc2.dcmesh",)
    assert export.consumer_ids == [f"spiffe://dc2.dcmesh/ns/{consumer.namespace}/sa/{consumer.service_account}"]


def test_a_consumer_of_another_stack_has_those_that_are_given() -> None:
    given = {f"{CONSUMER}.site": "dc3", f"{CONSUMER}.trustDomains": ["dc3.dcmesh", "cluster.local"]}
    settings = parse(stack({**given, "sites[1].imports": [], "sites[1].workloads": []}))
    (export,) = plan_of(settings, {}).site("dc1").exports
    assert [of.partition("/ns/")[0] for of in export.consumer_ids] == ["spiffe://cluster.local", "spiffe://dc3.dcmesh"]
