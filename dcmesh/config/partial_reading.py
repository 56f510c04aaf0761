"""Reading: as much of a configuration as can be read although other parts are wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from dcmesh.config import setting_paths
from dcmesh.config.errors import Finding
from dcmesh.config.value_errors import Fault, faults_of
from dcmesh.model.settings import Settings


@dataclass(frozen=True)
class Reading:
    """What could be read of a configuration.

    Attributes:
        settings: the parts that are right; None if none is.
        findings: what is wrong with single values.
        lost: places that were left out.
        unsure: places that may have been meant by unknown keys.
    """

    settings: Settings | None
    findings: tuple[Finding, ...] = ()
    lost: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()

    def is_sure(self, finding: Finding) -> bool:
        """Tell whether a finding is certain, whatever is at the places that could not be read.

        Args:
            finding: a finding with places as the user wrote them.
        """
        missing = self.lost | self.unsure
        hit = any(setting_paths.is_within(finding.path, place) for place in missing)
        return not hit and all(self._is_whole(place) for place in finding.given)

    def _is_whole(self, place: str) -> bool:
        """Tell whether all items of a list or map have been read, though perhaps not everything inside them."""
        missing = self.lost | self.unsure
        return not any(
            setting_paths.is_within(place, other) or setting_paths.parent(other) == place for other in missing
        )

    def as_written(self, finding: Finding) -> Finding:
        """Return a finding about the settings with places as the user wrote them."""
        given = tuple(setting_paths.before(place, self.lost) for place in finding.given)
        return replace(finding, path=setting_paths.before(finding.path, self.lost), given=given)


def read_settings(raw: Mapping[str, Any]) -> Reading:
    """Read a configuration. What is wrong, and what depends on it, is left out until the rest is right."""
    settings, faults = _validated(raw)
    lost, found = frozenset[str](), faults
    while found:
        more = lost | {setting_paths.before(fault.drop, lost) for fault in found}
        if "" in more or more == lost:
            break
        lost = more
        settings, found = _validated(setting_paths.without(raw, lost))
    # Later findings only follow from what was left out.
    unsure = frozenset(fault.meant for fault in faults if fault.meant)
    return Reading(settings, tuple(fault.finding for fault in faults), lost, unsure)


def _validated(raw: object) -> tuple[Settings | None, list[Fault]]:
    try:
        return Settings.model_validate(raw, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, faults_of(error, Settings)
