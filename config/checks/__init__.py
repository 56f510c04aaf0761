"""Cross-checks: what is wrong between parts of the configuration that are each right."""

from collections.abc import Iterator

from config.checks import clusters, databases, gateways, links, made, mesh, names, networks, passphrase, pxc
from config.checks.subject import Subject
from config.errors import Finding

__all__ = ["Subject", "cross_checks"]

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
    databases.not_imported,
    databases.not_tcp,
    databases.circles,
    databases.vanished_sources,
    databases.primaries,
    databases.unknown_passwords,
    databases.other_passwords,
    databases.own_settings,
    databases.unlike_sources,
    made.vanished_databases,
    made.changed_volumes,
    pxc.existing_operator,
    pxc.existing_in_new_clusters,
    pxc.operators_namespace,
    pxc.other_ports,
    pxc.own_keys,
    pxc.volumes,
    pxc.proxies,
    pxc.proxies_of_primaries,
    pxc.unsafe,
    pxc.channels_twice,
    pxc.several_ends,
    pxc.channels_without,
    gateways.namespaces,
    gateways.node_ports,
    gateways.aws_addresses,
    networks.taken_ranges,
    networks.small_ranges,
    networks.ranges_with_gateways,
    clusters.kubeconfigs,
    clusters.k3d_names,
    mesh.existing_istio,
    mesh.tag_of_another_version,
    mesh.existing_in_new_clusters,
    mesh.provided_once,
    mesh.provided_certificates,
    mesh.short_root,
    mesh.nothing_to_do,
    passphrase.empty_passphrase,
)


def cross_checks(subject: Subject) -> Iterator[Finding]:
    """Find what is wrong between parts that are each right."""
    for check in CHECKS:
        yield from check(subject)
