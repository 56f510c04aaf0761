"""Percona XtraDB Clusters: what the operator would refuse later, or accept and ignore, and how it is installed."""

from collections.abc import Iterator, Mapping
from typing import Any

from dcmesh.config.checks.configuration import Configuration
from dcmesh.config.checks.names import OTHER_NAME, REMOVE_ONE, twice
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.model.link import MYSQL_PORT
from dcmesh.model.plan import exchanges
from dcmesh.model.settings import Pxc, PxcChannel


def _clusters(configuration: Configuration) -> Iterator[tuple[str, Pxc]]:
    for _, path, database in configuration.databases:
        if isinstance(database, Pxc):
            yield path, database


def _channels(configuration: Configuration) -> Iterator[tuple[str, Pxc, list[PxcChannel]]]:
    """Yield each cluster with the user's own channels, and their place."""
    for path, cluster in _clusters(configuration):
        channels = cluster.spec.pxc.replication_channels if cluster.spec.pxc else None
        if channels is not None:
            yield f"{path}.spec.pxc.replicationChannels", cluster, channels


def _at(spec: Mapping[str, Any], path: str) -> object:
    """Return the value at a path of the resource's spec as it was written; NOTHING if there is none."""
    found: object = spec
    for key in path.split("."):
        found = found.get(key, NOTHING) if isinstance(found, Mapping) else NOTHING
    return found


# --- the operator ----------------------------------------------------------------------------------------------------


def existing_operator(configuration: Configuration) -> Iterator[Finding]:
    """Find settings that have no effect on an operator that somebody else installed."""
    operator = configuration.settings.pxc
    for key in ("version", "charts", "values") if operator.existing else ():
        if key in operator.model_fields_set:
            advice = "has no effect beside `existing`, whose operator dcmesh leaves as it is: remove one of the two"
            yield Finding(f"pxc.{key}", getattr(operator, key), advice, given=("pxc.existing",))


def operators_namespace(configuration: Configuration) -> Iterator[Finding]:
    """Find workloads in the operator's namespace: each creates its own."""
    for path, site in configuration.sites:
        operator, needed = configuration.settings.pxc, any(isinstance(w, Pxc) for w in site.workloads)
        for index, workload in enumerate(site.workloads):
            if needed and workload.namespace == operator.namespace:
                advice = "is the namespace of Percona's operator, and a workload creates its own: choose another"
                yield Finding(f"{path}.workloads[{index}].namespace", workload.namespace, advice)


# --- the resource ----------------------------------------------------------------------------------------------------

OWN_KEYS = {
    "secretsName": "dcmesh makes the Secret NAME-secrets: remove it",
    "pxc.size": "set `size` of the workload instead",
    "pxc.serviceAccountName": "it is NAME-pxc, the identity that importers insist on: remove it",
    "pxc.configuration": "set `settings` of the workload instead",
}


def own_keys(configuration: Configuration) -> Iterator[Finding]:
    """Find keys of the resource that only dcmesh may set."""
    for path, cluster in _clusters(configuration):
        for key, advice in OWN_KEYS.items():
            value = _at(cluster.spec.as_values(), key)
            if value is not NOTHING:
                yield Finding(f"{path}.spec.{key}", value, f"is not to be set here: {advice}")


def volumes(configuration: Configuration) -> Iterator[Finding]:
    """Find details of volumes for a cluster without volumes."""
    for path, cluster in _clusters(configuration):
        value = _at(cluster.spec.as_values(), "pxc.volumeSpec")
        if value is not NOTHING and not cluster.storage:
            advice = "is for volumes, and without `storage` the cluster has none: set that as well"
            yield Finding(f"{path}.spec.pxc.volumeSpec", value, advice, given=(f"{path}.storage",))


def proxies(configuration: Configuration) -> Iterator[Finding]:
    """Find clusters with no proxy, or with both. By the proxy the operator knows the writer."""
    for path, cluster in _clusters(configuration):
        spec = cluster.spec.as_values()
        haproxy, proxysql = _at(spec, "haproxy.enabled") is not False, _at(spec, "proxysql.enabled") is True
        if not (haproxy or proxysql):
            advice = "leaves the cluster without a proxy, by which the operator knows its writer: enable proxysql"
            yield Finding(f"{path}.spec.haproxy.enabled", False, advice)
        if haproxy and proxysql:
            advice = "is enabled beside haproxy, which a cluster has by default: set haproxy.enabled to false"
            yield Finding(f"{path}.spec.proxysql.enabled", True, advice)


def proxies_of_primaries(configuration: Configuration) -> Iterator[Finding]:
    """Find clusters behind ProxySQL that can change roles. It hides nodes that start read-only from the operator."""
    for path, cluster in _clusters(configuration):
        switched = configuration.settings.primary and exchanges(configuration.settings, cluster)
        if switched and _at(cluster.spec.as_values(), "haproxy.enabled") is False:
            advice = "leaves the cluster to ProxySQL, and with `primary` it needs HAProxy: remove it"
            yield Finding(f"{path}.spec.haproxy.enabled", False, advice, given=("primary",))


def half_exported(configuration: Configuration) -> Iterator[Finding]:
    """Find clusters that can change roles and export only some of their nodes.

    A switchover goes by the majority of a cluster's nodes, and the other site sees only the exported ones.
    """
    for site, path, export in configuration.exports:
        cluster = site.workload_of(export)
        if not (isinstance(cluster, Pxc) and configuration.settings.primary):
            continue
        if exchanges(configuration.settings, cluster) and export.replicas != cluster.size:
            advice = f"is not the {cluster.size} nodes of a cluster that can change roles: export all of them"
            yield Finding(f"{path}.replicas", export.replicas, advice, given=("primary",))


def back_at_once(configuration: Configuration) -> Iterator[Finding]:
    """Find a site that was gone and is to be the primary before it was a replica again. It lacks the rows since."""
    settings = configuration.settings
    gone = {known.get("lost") for known in configuration.before.values()} - {None}
    switched = any(exchanges(settings, cluster) for _, cluster in _clusters(configuration))
    if switched and settings.primary in gone and settings.failover is None:
        advice = (
            "was gone at the last `pulumi up`, and has not the rows that were committed since: leave `primary` as it "
            "was then, and remove `failover` alone; once that `up` has made the site a replica, it can be the primary"
        )
        yield Finding("primary", settings.primary, advice)


def unsafe(configuration: Configuration) -> Iterator[Finding]:
    """Find what the operator refuses unless an unsafe flag allows it."""
    for path, cluster in _clusters(configuration):
        spec = cluster.spec.as_values()
        for proxy in ("haproxy", "proxysql"):
            size = _at(spec, f"{proxy}.size")
            if isinstance(size, int) and size < 2 and _at(spec, "unsafeFlags.proxySize") is not True:
                advice = "is less than 2: raise it, or set unsafeFlags.proxySize to true"
                yield Finding(f"{path}.spec.{proxy}.size", size, advice)
        if _at(spec, "tls.enabled") is False and _at(spec, "unsafeFlags.tls") is not True:
            advice = "leaves Galera's traffic in plaintext: remove it, or set unsafeFlags.tls to true"
            yield Finding(f"{path}.spec.tls.enabled", False, advice)


# --- channels --------------------------------------------------------------------------------------------------------


def other_ports(configuration: Configuration) -> Iterator[Finding]:
    """Find replicas of something that is no MySQL, by its port."""
    for path, cluster in _clusters(configuration):
        offer = cluster.replicates and configuration.offer(cluster.replicates)
        if offer and (port := offer[1].port_numbers[0]) != MYSQL_PORT:
            advice = f"has the port {port}, and the nodes of a cluster listen on {MYSQL_PORT}: name such an export"
            yield Finding(f"{path}.replicates.export", offer[1].name, advice, given=(offer[0],))


def channels_twice(configuration: Configuration) -> Iterator[Finding]:
    """Find channels with the same name, and sources of a channel with the same host: the operator goes by these."""
    for path, _, channels in _channels(configuration):
        yield from twice(((f"{path}[{i}].name", channel.name) for i, channel in enumerate(channels)), OTHER_NAME)
        for index, channel in enumerate(channels):
            hosts = ((f"{path}[{index}].sourcesList[{i}].host", s.host) for i, s in enumerate(channel.sources_list))
            yield from twice(hosts, REMOVE_ONE)


def several_ends(configuration: Configuration) -> Iterator[Finding]:
    """Find clusters that are both source and replica, or that are made replicas by two keys."""
    for path, cluster, channels in _channels(configuration):
        if cluster.replicates:
            advice = "would replace the channel that follows from `replicates`: keep one of the two"
            yield Finding(path, [*channels], advice)
        for index, channel in enumerate(channels):
            if channel.is_source != channels[0].is_source:
                advice = "is not as that of the first channel, and a cluster is source or replica: make them equal"
                yield Finding(f"{path}[{index}].isSource", channel.is_source, advice)


def channels_without(configuration: Configuration) -> Iterator[Finding]:
    """Find channels of replicas that lack what they need."""
    for path, _, channels in _channels(configuration):
        for index, channel in enumerate(channels):
            details, at = channel.configuration, f"{path}[{index}]"
            if channel.is_source:
                continue
            if not channel.sources_list:
                hosts = f"{at}.sourcesList"
                yield Finding(hosts, NOTHING, "is missing: name the hosts to follow", given=(at, hosts))
            if not details:
                advice = "is missing: the operator's own would try a source for three minutes before the next"
                yield Finding(f"{at}.configuration", NOTHING, advice, given=(at,))
            elif details.ssl and not details.ca:
                advice = "is missing: with ssl the operator needs the path of the authority's certificate"
                yield Finding(f"{at}.configuration.ca", NOTHING, advice, given=(f"{at}.configuration",))
