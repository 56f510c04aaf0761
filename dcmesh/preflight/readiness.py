"""Preflight: whether an existing cluster has what it must have. It runs before anything is created there."""

from collections.abc import Mapping
from typing import Any

from dcmesh.config.environment import Environment
from dcmesh.config.errors import ConfigError, Finding, Remark
from dcmesh.config.stack_config import secret_keys
from dcmesh.kube.api import ApiException, ConfigException, HTTPError, connect, why
from dcmesh.kube.cluster_reader import ClusterReader, identity_of
from dcmesh.kube.kubeconfig import read_kubeconfig
from dcmesh.model import settings as model
from dcmesh.model.plan import Plan, SitePlan
from dcmesh.preflight import (
    added_containers,
    admission,
    certificates,
    egress,
    foreign_objects,
    gateway_exports,
    hosts,
    ingress_exports,
    istiod_names,
    local_clients,
    lost_state,
    mesh,
    namespace_purposes,
    network_policies,
    plaintext,
    platforms,
    port_names,
    removed_sidecars,
    selectors,
    taken_names,
    termination_changes,
    trust_domain_changes,
    versions,
    volumes,
)
from dcmesh.preflight.cluster_identity import made_elsewhere, other_cluster
from dcmesh.preflight.missing_rights import as_far_as_allowed, unlooked, unseen
from dcmesh.sites_in_state import SiteInState, gateway_namespace
from dcmesh.stacks import stack_name


def require_ready(
    settings: model.Settings, plan: Plan, environment: Environment, in_state: Mapping[str, SiteInState]
) -> tuple[list[str], dict[str, str]]:
    """Look at every existing cluster of the stack.

    Args:
        settings: the configuration.
        plan: what follows from it.
        environment: the project and stack in which the configuration is read.
        in_state: what the stack's state has of each site's cluster.

    Returns:
        Warnings for the user, and the identity of each site's existing cluster.

    Raises:
        ConfigError: something is wrong or missing; the message lists everything.
    """
    found: list[Finding] = [*versions.untried(settings)]
    found += trust_domain_changes.changed(settings, plan, environment, in_state)
    identities = {site: known.identity for site, known in in_state.items() if known.identity}
    for index, site in enumerate(settings.sites):
        path, known = f"sites[{index}]", in_state.get(site.name)
        if site.name == settings.lost:
            continue  # the state says which cluster it is
        found += namespace_purposes.changed(site, path, gateway_namespace(site, known), known)
        found += termination_changes.changed(path, plan.site(site.name), known)
        found += termination_changes.replaced(path, plan.site(site.name), known)
        found += removed_sidecars.kept(site, path, plan.site(site.name))
        found += trust_domain_changes.alike(path, plan.site(site.name))
        found += trust_domain_changes.refused(site, path, plan.site(site.name))
        found += certificates.given_unbound(settings.trust, site, environment)
        if isinstance(site.cluster, model.ExistingCluster):
            identities[site.name], findings = _of_site(
                settings, site, site.cluster, path, plan.site(site.name), environment, known
            )
            found += findings
        else:
            found += made_elsewhere(known, site=site.name, path=f"{path}.cluster", named=site.made_by or "")
    if wrong := [finding for finding in found if not isinstance(finding, Remark)]:
        raise ConfigError(wrong)
    return [remark.line(secret_keys()) for remark in found], identities


def mesh_of(cluster: ClusterReader, settings: model.Settings) -> Mapping[str, Any]:
    """Return the mesh configuration of an existing istiod; empty if dcmesh installs istiod."""
    existing = settings.istio.existing
    return (cluster.mesh_config(existing.revision) or {}) if existing else {}


def _of_site(
    settings: model.Settings,
    site: model.Site,
    existing: model.ExistingCluster,
    path: str,
    plan: SitePlan,
    environment: Environment,
    known: SiteInState | None,
) -> tuple[str, list[Finding]]:
    """Return a cluster's identity and what is found in it. If it is not the site's, nothing else is looked at."""
    where = f"{path}.cluster"
    named = existing.context or existing.kubeconfig
    identity = ""
    try:
        used = read_kubeconfig(existing.kubeconfig).only(existing.context)
        with connect(used) as api:
            stacks = frozenset({stack_name(environment.project, environment.stack), *(known.stacks if known else ())})
            cluster = ClusterReader.of(api, stacks)
            identity = identity_of(api)
            if other := list(other_cluster(known, identity, used, site=site.name, path=where, named=named)):
                return identity, other
            gateway, there, allowed = gateway_namespace(site, known), mesh_of(cluster, settings), cluster.allowed
            checks = [
                platforms.managed_mesh(cluster, where, named, known),
                platforms.ipv6_alone(cluster, site, path, known),
                versions.running(cluster, settings.istio, site, where, named),
                lost_state.unknown(cluster, settings, site, path, gateway, environment, known),
                certificates.cacerts(cluster, settings, site, environment if known else None),
                mesh.existing_istio(cluster, settings, site, path),
                istiod_names.not_signed(cluster, settings, site, path),
                mesh.scope(allowed, settings, site),
                mesh.namespaces(cluster, settings, site, path),
                mesh.pxc_operator(cluster, settings, site),
                volumes.claims(cluster, site, path),
                taken_names.taken(cluster, settings, site, path, gateway),
                hosts.own_names(cluster, site, path, plan, known),
                hosts.claimed(cluster, path, plan, gateway, known),
                hosts.virtual_addresses(cluster, site, path),
                egress.occupied(cluster, site, path, known),
                egress.unseen(cluster, there, site, path),
                egress.absent_clients(cluster, site, path),
                egress.denied(cluster, site, path),
                egress.kept_in(cluster, site, path, plan),
                gateway_exports.ready_to_export(allowed, there, site, path, plan, gateway, known),
                ingress_exports.ready_to_export(allowed, there, settings.istio, site, path, plan, gateway, known),
                local_clients.abandoned(allowed, site, path, known),
                selectors.misled(allowed, site, path, plan, known),
                port_names.taken(allowed, site, path, plan, known),
                foreign_objects.met(allowed, settings.istio, path, plan, gateway, known),
                network_policies.shut_gateway(allowed, path, plan, gateway),
                network_policies.shut_in(allowed, path, plan),
                removed_sidecars.shut_out(allowed, site, path, plan),
                plaintext.taken(allowed, site, path, plan),
                admission.not_let_in(allowed, settings, site, path, plan, gateway, known),
                added_containers.outgrown(allowed, site, path),
                unseen(allowed, path, site.name),  # everything that was read before
            ]
            return identity, [found for check in checks for found in as_far_as_allowed(check, where, named)]
    except ConfigException as error:
        found = Finding(where, named, f"cannot be used ({error}): check the kubeconfig")
    except (HTTPError, OSError) as error:
        advice = "check the VPN, the address and the credentials"
        found = Finding(where, named, f"cannot be reached: {why(error)}: {advice}")
    except ApiException as error:
        if error.status == 403:
            return identity, [unlooked(error, where, named)]
        found = Finding(where, named, f"refuses to answer ({error.status} {error.reason}): check the credentials")
    return identity, [found]
