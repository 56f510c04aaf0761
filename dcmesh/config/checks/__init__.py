"""Cross-checks: what is wrong between parts of the configuration that are each right."""

from collections.abc import Iterator

from dcmesh.config.checks import (
    clusters,
    databases,
    deployed_databases,
    deployed_ports,
    egress,
    gateways,
    ingress,
    links,
    mesh,
    names,
    networks,
    passphrase,
    pxc,
    trust_domains,
)
from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.errors import Finding

__all__ = ["Configuration", "cross_checks"]

CHECKS = (
    names.sites_twice,
    names.issued_twice,
    names.workloads_twice,
    names.exports_twice,
    names.consumers_twice,
    names.imports_twice,
    names.reserved_namespaces,
    names.long_pod_names,
    names.long_probe_names,
    links.several_links,
    links.own_stack,
    links.unknown_sources,
    links.unknown_exports,
    links.not_consumers,
    links.local_consumers,
    links.same_names,
    links.same_hosts,
    links.impossible_probes,
    links.unlike_workloads,
    links.pods_or_whole,
    links.unstable_labels,
    links.ports_twice,
    links.server_names_twice,
    links.long_server_names,
    ingress.taken_ports,
    ingress.named_alike,
    ingress.moved,
    ingress.of_databases,
    databases.not_imported,
    databases.not_tcp,
    databases.circles,
    databases.vanished_sources,
    databases.primaries,
    databases.writer_services,
    databases.ends_of_sidecars,
    databases.other_ports_of_writers,
    databases.unknown_passwords,
    databases.other_passwords,
    databases.own_settings,
    databases.unlike_sources,
    deployed_databases.vanished_databases,
    deployed_databases.changed_volumes,
    deployed_databases.early_pod_exports,
    deployed_databases.changed_sidecars,
    deployed_ports.moved_names,
    pxc.existing_operator,
    pxc.operators_namespace,
    pxc.other_ports,
    pxc.own_keys,
    pxc.volumes,
    pxc.proxies,
    pxc.proxies_of_primaries,
    pxc.half_exported,
    pxc.back_at_once,
    pxc.unsafe,
    pxc.channels_twice,
    pxc.several_ends,
    pxc.channels_without,
    egress.half_said,
    egress.selectors,
    egress.other_names,
    egress.differing_names,
    egress.namespaces,
    egress.accounts,
    egress.ports,
    egress.hosts_twice,
    egress.vanished_sources,
    gateways.namespaces,
    gateways.node_ports,
    gateways.aws_addresses,
    networks.taken_ranges,
    networks.small_ranges,
    networks.ranges_with_gateways,
    clusters.kubeconfigs,
    clusters.same_commands,
    clusters.k3d_names,
    mesh.existing_istio,
    mesh.tag_of_another_version,
    mesh.existing_in_new_clusters,
    mesh.provided_once,
    mesh.own_keys,
    mesh.provided_certificates,
    mesh.short_root,
    mesh.nothing_to_do,
    trust_domains.alias_of_itself,
    trust_domains.told_twice,
    trust_domains.shared,
    trust_domains.issued,
    trust_domains.in_values,
    passphrase.empty_passphrase,
)


def cross_checks(configuration: Configuration, asks_clusters: bool = True) -> Iterator[Finding]:
    """Find what is wrong between parts that are each right.

    Args:
        configuration: the configuration.
        asks_clusters: whether kubeconfigs must be there.
    """
    for check in CHECKS:
        if asks_clusters or check is not clusters.kubeconfigs:
            yield from check(configuration)
