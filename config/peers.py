"""The links of sites that other stacks hold: from those stacks' outputs, from a file, or from the configuration."""

from collections.abc import Sequence

import yaml
from pydantic import ValidationError

from config.errors import ConfigError, Finding
from config.faults import faults_of
from config.model import Peer, PeerLink
from config.outside import Outside, ReadFile, ReadStack, read_stack, stack_name, why_not

__all__ = ["ReadStack", "links_of", "read_stack", "stack_of"]


def links_of(peers: Sequence[Peer], outside: Outside) -> tuple[dict[str, PeerLink], list[Finding]]:
    """Return the link of each peer that has one, and what is wrong with the others.

    A peer whose stack is there and exports nothing yet has none, which is no error.

    Args:
        peers: the peers.
        outside: where the stacks and files are.
    """
    links, findings = dict[str, PeerLink](), list[Finding]()
    for index, peer in enumerate(peers):
        try:
            link = _link_of(peer, f"peers[{index}]", outside)
        except ConfigError as error:
            findings += error.findings
        else:
            links |= {peer.name: link} if link else {}
    return links, findings


def stack_of(peer: Peer, project: str) -> str:
    """Return the name of the stack that holds a peer."""
    return peer.stack or stack_name(project, peer.name)


def _link_of(peer: Peer, path: str, outside: Outside) -> PeerLink | None:
    """Return a peer's link, or None if its stack is there but exports nothing yet.

    Raises:
        ConfigError: there is no such stack or file, or what it holds is no link of that site.
    """
    if peer.link:
        return _of_its_site(peer.link, peer, f"{path}.link.site")
    if peer.link_file:
        where = f"{path}.linkFile"
        found = _from_file(peer.link_file, peer.name, where, outside.read_file)
    else:
        where = f"{path}.stack"
        found = _from_stack(stack_of(peer, outside.project), peer.name, where, outside.read_stack)
    if found is None:
        return None
    try:
        link = PeerLink.model_validate(found, by_alias=True, by_name=False)
    except ValidationError as error:
        inside = (fault.finding for fault in faults_of(error, PeerLink))
        raise ConfigError(Finding(f"{where} → {f.path}", f.value, f.advice, f.secret) for f in inside) from None
    return _of_its_site(link, peer, f"{where} → site")


def _of_its_site(link: PeerLink, peer: Peer, path: str) -> PeerLink:
    if link.site != peer.name:
        raise ConfigError([Finding(path, link.site, f"is another site than {peer.name}: name the peer after its site")])
    return link


def _from_stack(stack: str, site: str, path: str, read: ReadStack) -> object:
    try:
        links = read(stack).get("link") or {}
    except LookupError as error:
        reason = " ".join(str(error).split())
        advice = f"cannot be read ({reason}): create that stack first, with `pulumi stack init`, or give `link`"
        raise ConfigError([Finding(path, stack, advice)]) from None
    return links.get(site) if isinstance(links, dict) else links


def _from_file(file: str, site: str, path: str, read: ReadFile) -> object:
    """Return what a file has: a link, or an output `link` whole, which has one for each exporting site."""
    try:
        found = yaml.safe_load(read(file))
    except (OSError, ValueError) as error:
        raise ConfigError([Finding(path, file, why_not(file, error))]) from None
    except yaml.YAMLError:
        raise ConfigError([Finding(path, file, "is neither JSON nor YAML")]) from None
    if isinstance(found, dict) and "site" not in found and site in found:
        return found[site]
    return {} if found is None else found
