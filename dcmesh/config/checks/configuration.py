"""What the cross-checks look at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dcmesh.config.environment import Environment
from dcmesh.model.link import ExportedService, Link, known_in
from dcmesh.model.settings import Database, Export, Import, Replicates, Settings, Site

Offer = tuple[str, Export | ExportedService]
"""An export and its place, in this stack or another."""


@dataclass(frozen=True)
class Configuration:
    """A configuration, and what it refers to.

    Attributes:
        settings: the configuration.
        links: the links of peers, as far as they exist.
        environment: its surroundings.
    """

    settings: Settings
    links: Mapping[str, Link]
    environment: Environment

    @cached_property
    def sites(self) -> Sequence[tuple[str, Site]]:
        """Each site with its place."""
        return [(f"sites[{index}]", site) for index, site in enumerate(self.settings.sites)]

    @property
    def exports(self) -> Iterator[tuple[Site, str, Export]]:
        """Each export with its site and place."""
        for path, site in self.sites:
            for index, export in enumerate(site.exports):
                yield site, f"{path}.exports[{index}]", export

    @property
    def imports(self) -> Iterator[tuple[Site, str, Import]]:
        """Each import with its site and place."""
        for path, site in self.sites:
            for index, imported in enumerate(site.imports):
                yield site, f"{path}.imports[{index}]", imported

    @property
    def databases(self) -> Iterator[tuple[Site, str, Database]]:
        """Each workload that may replicate, with its site and place."""
        for path, site in self.sites:
            for index, workload in enumerate(site.workloads):
                if isinstance(workload, Database):
                    yield site, f"{path}.workloads[{index}]", workload

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, Sequence[Offer]] | None]:
        """For each site, the place of its exports and the exports; None for a peer that has no link yet."""
        found = dict[str, tuple[str, Sequence[Offer]] | None]()
        for index, peer in enumerate(self.settings.peers):
            link, path = self.links.get(peer.name), f"peers[{index}].link.exports"
            found[peer.name] = (path, _with_places(path, link.exports)) if link else None
        for path, site in self.sites:
            found[site.name] = (f"{path}.exports", _with_places(f"{path}.exports", site.exports))
        return found

    @property
    def before(self) -> Mapping[str, Any]:
        """The stack's output `sites`, as its last `up` left it."""
        before: Mapping[str, Any] = self._outputs.get("sites", {})
        return before

    @property
    def links_before(self) -> Mapping[str, Any]:
        """The stack's output `link`, as its last `up` left it: this is what importers know."""
        before: Mapping[str, Any] = self._outputs.get("link", {})
        return before

    @cached_property
    def _outputs(self) -> Mapping[str, Any]:
        return self.environment.own_outputs()

    def offer(self, imported: Import | Replicates) -> Offer | None:
        """Return the export that an import or a replica names, if it exists."""
        return self._offers.get((imported.from_, imported.export))

    def hosts(self, imported: Import) -> tuple[str, ...]:
        """Return the hosts of an import by the names that they have for it; none while the export is not there."""
        offer = self.offer(imported)
        return known_in(offer[1].hosts, imported.host_namespace) if offer else ()

    @cached_property
    def _offers(self) -> Mapping[tuple[str, str], Offer]:
        """Each export with its place, by site and name. Of two with the same name it is the first."""
        offers = ((site, offer) for site, source in self.sources.items() if source for offer in reversed(source[1]))
        return {(site, offer[1].name): offer for site, offer in offers}


def _with_places(path: str, exports: Sequence[Export | ExportedService]) -> Sequence[Offer]:
    return [(f"{path}[{index}]", export) for index, export in enumerate(exports)]
