"""The program: what `pulumi up` runs, from the configuration to the outputs. It reads like a table of contents."""

import gc

gc.set_threshold(200_000)  # what is imported stays: to look through it for garbage takes a sixth of a start

import pulumi

from dcmesh import config
from dcmesh.config.environment import of_running_stack
from dcmesh.model.link import Link
from dcmesh.model.plan import plan_of
from dcmesh.model.protection import protects_root
from dcmesh.preflight.readiness import require_ready
from dcmesh.sites_in_state import gateway_namespace, is_begun, meshed_namespaces, read_sites_in_state
from dcmesh.trust.rotation import read_others

from .cluster_pair import ClusterPair, ClusterPairArgs
from .trust.intermediates import Trust, TrustArgs
from .trust.rotation import issued


def run() -> None:
    """Create what the running stack's configuration says, and export what others need to know of it.

    Creates a Trust `trust` and a ClusterPair `pair`. Exports link, sites, replicationPasswords, certificates,
    kubeconfigs and intermediates. A stack whose site makes its own key exports requests, and no more than that until
    its intermediate is issued.

    Raises:
        RunError: the configuration is wrong, or a cluster lacks what it needs. Nothing was created.
    """
    try:
        settings, peer_links = config.load(pulumi.Config())
        in_state = read_sites_in_state(settings, pulumi.get_project(), pulumi.get_stack())
        gateways = {site.name: gateway_namespace(site, in_state.get(site.name)) for site in settings.sites}
        meshed = {site.name: meshed_namespaces(site.name, in_state.get(site.name)) for site in settings.sites}
        plan = plan_of(settings, peer_links, gateways, meshed)
        warnings, identities = require_ready(settings, plan, of_running_stack(), in_state)
        for warning in warnings:
            pulumi.log.warn(warning)
    except config.ConfigError as error:
        raise pulumi.RunError(str(error)) from None

    trust = Trust(
        "trust",
        TrustArgs(
            trust=settings.trust,
            sites=[site.name for site in settings.sites],
            trust_domains={site.name: site.trust_domain for site in settings.sites if site.signs_for_itself_alone},
            protect=protects_root(settings),
            new=not is_begun(pulumi.get_project(), pulumi.get_stack()),
        ),
    )
    if trust.requests:
        pulumi.export("requests", trust.requests)
    if trust.waits:
        pulumi.log.warn(
            f"{', '.join(trust.requests)}: nothing is made yet but its key. Set `trust.requests` in the stack that "
            "issues its intermediate, run `pulumi up` there, then here once more"
        )
    else:
        pair = ClusterPair(
            "pair",
            ClusterPairArgs(
                settings=settings,
                plan=plan,
                intermediates=trust.intermediates,
                identities=identities,
                in_state=in_state,
                peer_links=peer_links,
                others=read_others(settings, pulumi.get_project(), pulumi.get_stack()),
                project=pulumi.get_project(),
                stack=pulumi.get_stack(),
            ),
        )

        for_others = {site: given for site, given in trust.intermediates.items() if site not in pair.sites}
        pulumi.export("link", {name: link.apply(Link.as_output) for name, link in pair.links.items()})
        pulumi.export("sites", pair.site_outputs)
        pulumi.export("replicationPasswords", pair.passwords.by_export)
        pulumi.export(
            "certificates", {**{site: issued(site, given) for site, given in for_others.items()}, **pair.certificates}
        )
        pulumi.export(
            "kubeconfigs", {name: of.cluster.kubeconfig for name, of in pair.sites.items() if of.cluster.made_by}
        )
        pulumi.export("intermediates", {site: given.as_output() for site, given in for_others.items()})
