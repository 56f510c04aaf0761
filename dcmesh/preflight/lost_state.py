"""A state that is lost: the cluster has what the stack made, and the stack's state knows nothing of it."""

from collections.abc import Iterable, Iterator

from dcmesh.config.environment import Environment
from dcmesh.config.errors import Finding
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model.egress import EGRESS_NAME
from dcmesh.model.gateway import GATEWAY_NAME
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.sites_in_state import SiteInState

RELEASES = frozenset({"istio-base", "istiod", GATEWAY_NAME, EGRESS_NAME, "pxc-operator"})
"""The Helm releases that dcmesh makes."""

CURE = "Import the state that was backed up, by `pulumi stack import`. If there is none,"
SEE = 'docs/production.md, "A state that is lost"'


def unknown(
    cluster: ClusterReader,
    settings: model.Settings,
    site: model.Site,
    path: str,
    gateway: str,
    environment: Environment,
    known: SiteInState | None,
) -> Iterator[Finding]:
    """Find what this `up` would give other keys or passwords, or what Helm would refuse, in a cluster of this stack's.

    All else that the stack made is taken on by it, whatever its state knows.

    Args:
        cluster: the cluster.
        settings: the configuration.
        site: its part of it.
        path: the place of that.
        gateway: namespace of the site's gateway.
        environment: what the configuration is read in.
        known: what the state has of the cluster. An `up` that was killed leaves that from the first object on. So
            does a backup, which may be older than a database.
    """
    yield from _databases(cluster, site, path, known)
    if known:
        return
    trust = settings.trust
    certified = environment.own_outputs().get("certificates", {})
    if (
        isinstance(trust, model.GeneratedTrust)
        and site.name not in certified  # else the state was made to forget the cluster, and has the root
        and cluster.is_own("namespaced_secret", "cacerts", ISTIO_NAMESPACE)
    ):
        advice = (
            f"would give {site.name} another root: this stack made its Secret {ISTIO_NAMESPACE}/cacerts, and the "
            f"stack's state has not the key. {CURE} set `provided`, with what that Secret has: {SEE}"
        )
        yield Finding("trust.source", trust.source, advice)
    for namespace in _of_releases(settings, site, gateway):
        releases = RELEASES & cluster.helm_releases(namespace) if cluster.is_own("namespace", namespace) else ()
        if releases:
            names = ",".join(sorted(releases))
            advice = (
                f"has Helm releases of this stack's ({names}, in namespace {namespace}), of which the stack's state "
                f"knows nothing. {CURE} have Helm forget them, which changes nothing that runs: `kubectl delete secret "
                f"--namespace {namespace} --selector 'owner=helm,name in ({names})'`, and see {SEE}"
            )
            yield Finding(f"{path}.name", site.name, advice)


def _databases(cluster: ClusterReader, site: model.Site, path: str, known: SiteInState | None) -> Iterator[Finding]:
    """Find databases whose passwords the state has not.

    An `up` that was killed while it made the namespace leaves that without a database, and is gone on with.
    """
    there = set(known.objects.values()) if known else set()
    for index, workload in enumerate(site.workloads):
        if not isinstance(workload, model.Database) or ("", workload.namespace) in there:
            continue
        servers = f"/apis/apps/v1/namespaces/{workload.namespace}/statefulsets/{workload.pods.stateful_set}"
        runs = known is None or cluster.allowed.read(servers) is not None
        if runs and cluster.is_own("namespace", workload.namespace):
            advice = (
                f"has a database of this stack's in {site.name}, of which the stack's state knows nothing: it would "
                f"get other passwords, and restart. {CURE} it goes on without being a workload: {SEE}"
            )
            yield Finding(f"{path}.workloads[{index}].namespace", workload.namespace, advice)


def _of_releases(settings: model.Settings, site: model.Site, gateway: str) -> Iterable[str]:
    """Return the namespaces in which this stack makes Helm releases."""
    namespaces = [] if settings.istio.existing else [ISTIO_NAMESPACE]
    namespaces += [gateway] if site.exports else []
    if not settings.pxc.existing and any(isinstance(workload, model.Pxc) for workload in site.workloads):
        namespaces.append(settings.pxc.namespace)
    return dict.fromkeys([*namespaces, *(of.namespace for of in site.imports if of.by_gateway)])
