"""The links of sites that other stacks hold: from those stacks' outputs, from a file, or from the configuration."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import yaml
from pydantic import ValidationError

from dcmesh.config.environment import Environment
from dcmesh.config.errors import NOTHING, ConfigError, Finding
from dcmesh.config.value_errors import faults_of
from dcmesh.model.gateway import GATEWAY_NAME
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.link import (
    CLUSTER_DOMAIN,
    DOMAINS,
    INGRESS,
    LISTS,
    ExportedService,
    Link,
    is_whole,
    server_name,
    service_of,
    trust_domain_of,
)
from dcmesh.model.settings import Peer
from dcmesh.stacks import ReadStack, read_stack, stack_of
from dcmesh.user_files import ReadFile, why_not

__all__ = ["ReadStack", "links_of", "read_link", "read_stack", "stack_of"]

MOST_PARTS = 50_000
"""How many parts a link may have. Somebody else writes it, and each `preview` reads it."""

DEEPEST = 8
"""How deep they may be nested."""

TOO_LARGE = f"is no link: it has more than {MOST_PARTS} parts, or they are nested more than {DEEPEST} deep"

MOST_BYTES = 2**20
"""How many characters a file with links may have. Reading YAML of that length takes seconds."""

MOST_DOMAINS = 2
"""How many trust domains a site's identities may have."""

MOST_SHOWN = 20
"""How many errors of a link are shown."""


def links_of(peers: Sequence[Peer], environment: Environment) -> tuple[dict[str, Link], list[Finding]]:
    """Return the link of each peer that has one, and what is wrong with the others.

    A peer whose stack exists but exports nothing yet has no link, and that is no error.

    Args:
        peers: the peers.
        environment: where the stacks and files are.
    """
    links, findings = dict[str, Link](), list[Finding]()
    for index, peer in enumerate(peers):
        try:
            link = _link_of(peer, f"peers[{index}]", environment)
        except ConfigError as error:
            findings += error.findings
        else:
            links |= {peer.name: link} if link else {}
    return links, findings


def _link_of(peer: Peer, path: str, environment: Environment) -> Link | None:
    """Return a peer's link, or None if its stack exists but exports nothing yet.

    Raises:
        ConfigError: there is no such stack or file, or it has no link of that site.
    """
    if peer.link:
        return _sound(peer.link, peer.name, f"{path}.link.")
    if peer.link_file:
        where = f"{path}.linkFile"
        found = _from_file(peer.link_file, peer.name, where, environment.read_file)
    else:
        where = f"{path}.stack"
        found = _from_stack(stack_of(peer, environment.project), peer.name, where, environment.read_stack)
    return None if found is None else read_link(found, peer.name, where)


def read_link(found: object, site: str, place: str) -> Link:
    """Return a link that somebody else has written, once each part is valid and claims only what its site may.

    Args:
        found: the link, as plain data.
        site: the site whose link it must be.
        place: where it was found.

    Raises:
        ConfigError: it is no link of that site.
    """
    path = f"{place} → "
    if not _is_small(found):
        raise ConfigError([Finding(place, found, TOO_LARGE)])
    try:
        link = Link.model_validate(found, by_alias=True, by_name=False)
    except ValidationError as error:
        inside = (fault.finding for fault in faults_of(error, Link))
        raise _refusal(Finding(f"{path}{f.path}", f.value, f.advice, f.secret) for f in inside) from None
    return _sound(link, site, path)


def _is_small(value: object) -> bool:
    """Tell whether plain data are small enough to be looked at."""
    left, seen = [(value, 0)], 0
    while left:
        part, depth = left.pop()
        seen += 1
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        if depth > DEEPEST or seen + len(left) + len(parts) > MOST_PARTS:
            return False
        left += [(below, depth + 1) for below in parts]
    return True


def _is_small_text(text: str) -> bool:
    """Tell whether a text in YAML has few enough parts to be read: PyYAML takes a minute for 1 MiB of brackets.

    Raises:
        yaml.YAMLError: it is none.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        # In a whole output the link is one level deeper. A part has a key before it, and may have an end.
        if depth > DEEPEST + 1 or number > 3 * MOST_PARTS:
            return False
    return True


def _refusal(findings: Iterable[Finding]) -> ConfigError:
    """Return an error that says what is wrong with a link, which may contain anything."""
    first, more = (found := list(findings))[:MOST_SHOWN], len(found) - MOST_SHOWN
    if more > 0:
        first.append(replace(first[-1], value=NOTHING, advice=f"and {more} more that are wrong"))
    return ConfigError(first)


def _sound(link: Link, site: str, path: str) -> Link:
    """Return a link, if it is its site's and its exports claim nothing that belongs to others.

    Raises:
        ConfigError: it is another site's, or they do.
    """
    if found := list(_false_claims(link, site, path)):
        raise _refusal(found)
    return link


def _false_claims(link: Link, site: str, path: str) -> Iterator[Finding]:
    """Find where a link claims to be another site's, or an export claims what belongs to another."""
    if link.site != site:
        yield Finding(f"{path}site", link.site, f"is another site than {site}: name the peer after its site")
    if len({domain for export in link.exports for domain in export.trust_domains}) > MOST_DOMAINS:
        advice = f"have more than {MOST_DOMAINS} trust domains: {site} has one, and another while that changes"
        yield Finding(f"{path}exports", NOTHING, advice)
    names, hosts = set[str](), set[tuple[bool, str]]()
    for index, export in enumerate(link.exports):
        at = f"{path}exports[{index}]"
        if export.name in names:
            yield Finding(f"{at}.name", export.name, f"occurs twice: {site} must give each export a name of its own")
        names.add(export.name)
        yield from _false_identity(export, site, at, link.version)
        yield from _false_names(export, site, at, link.version)
        yield from _of_gateways_alone(export, site, at)
        service = service_of(export.hosts[0])[1]
        for number, host in enumerate(export.hosts):
            where = f"{at}.hosts[{number}]"
            # An export by the pods' own ports may exist beside another, while importers move from one to the other.
            named = (export.termination == "pod", host)
            if named in hosts:
                yield Finding(where, host, f"occurs twice: {site} must export each host once")
            hosts.add(named)
            if service_of(host) != (export.namespace, service):
                own = f"{service}.{export.namespace}.svc.{CLUSTER_DOMAIN}"
                advice = f"is not behind {own}: all hosts of an export are of its namespace and of one Service"
                yield Finding(where, host, advice)


def _false_identity(export: ExportedService, site: str, at: str, version: int) -> Iterator[Finding]:
    """Find an identity that is neither that of pods of the export's namespace nor, where that ends TLS, a gateway's."""
    gateways = f"/sa/{GATEWAY_NAME}"
    for number, identity in enumerate(export.identities):
        place = f"{at}.identity" if version < LISTS else f"{at}.identities[{number}]"
        domain = trust_domain_of(identity)
        prefix = f"spiffe://{domain}/ns/{export.namespace}/sa/"
        if version < DOMAINS and domain != TRUST_DOMAIN:
            advice = f"has another trust domain than {TRUST_DOMAIN}, which a link from version {DOMAINS} on may have"
            yield Finding(place, identity, advice)
        if export.termination == "gateway" and not identity.endswith(gateways):
            own = f"spiffe://{domain}/ns/…{gateways}"
            yield Finding(place, identity, f"is not a gateway's, where TLS ends: {site} may claim {own} alone")
        if export.termination != "gateway" and not identity.startswith(prefix):
            advice = f"is not of the namespace {export.namespace}, whose pods it has: {site} may claim {prefix}… alone"
            yield Finding(place, identity, advice)


def _false_names(export: ExportedService, site: str, at: str, version: int) -> Iterator[Finding]:
    """Find server names that do not fit their hosts, and whole Services for which the gateway has no name."""
    wanted = tuple(server_name(host, site) for host in export.hosts)
    if export.server_names not in ((), wanted):
        told = " ".join(export.server_names)
        yield Finding(f"{at}.serverNames", told, f"are not those of its hosts: {' '.join(wanted)}")
    if export.ingress and version < INGRESS:
        yield Finding(f"{at}.ingress", True, f"is for links from version {INGRESS} on, and this one is older")
    if export.ingress and not export.server_names:
        yield Finding(f"{at}.serverNames", NOTHING, f"are missing: hosts with ingress ports have names in {site}")
    if export.termination != "gateway" and any(map(is_whole, export.hosts)):
        yield Finding(f"{at}.hosts[0]", export.hosts[0], "is no pod, and TLS ends at pods: its serverNames are missing")


def _of_gateways_alone(export: ExportedService, site: str, at: str) -> Iterator[Finding]:
    """Find what is possible only at a gateway that ends TLS, and ports that occur twice."""
    accounts = {identity.partition("/ns/")[2] for identity in export.identities}  # of one in each trust domain
    at_pods = export.termination != "gateway"
    several = {"identities": at_pods and len(accounts) > 1, "ports": not export.server_names and len(export.ports) > 1}
    for key, wrong in several.items():
        if wrong:
            yield Finding(f"{at}.{key}", NOTHING, f"are several, and TLS ends at pods: {site} must give one")
    for number, port in enumerate(export.port_numbers):
        if port in export.port_numbers[:number]:
            yield Finding(f"{at}.ports[{number}].port", port, f"occurs twice: {site} must give each port once")


def _from_stack(stack: str, site: str, path: str, read: ReadStack) -> object:
    try:
        links = read(stack).get("link") or {}
    except LookupError as error:
        reason = " ".join(str(error).split())
        advice = f"cannot be read ({reason}): create that stack first, with `pulumi stack init`, or give `link`"
        # A link that is wrong is left out of the output, so the stack itself may be the wrong one.
        given = tuple(f"{path.removesuffix('stack')}{way}" for way in ("link", "linkFile"))
        raise ConfigError([Finding(path, stack, advice, given=given)]) from None
    return links.get(site) if isinstance(links, dict) else links


def _from_file(file: str, site: str, path: str, read: ReadFile) -> object:
    """Return the contents of a file: a link, or a whole output `link` with one for each exporting site."""
    try:
        text = read(file)
    except (OSError, ValueError) as error:
        raise ConfigError([Finding(path, file, why_not(file, error))]) from None
    if len(text) > MOST_BYTES:
        raise ConfigError([Finding(path, file, f"is no link: it is longer than {MOST_BYTES} characters")])
    try:
        if not _is_small_text(text):
            raise ConfigError([Finding(path, file, TOO_LARGE)])
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        # For a tag that does not fit its value, PyYAML raises whatever its constructors raise.
        raise ConfigError([Finding(path, file, "is neither JSON nor YAML")]) from None
    if isinstance(found, dict) and "site" not in found and site in found:
        return found[site]
    return {} if found is None else found
