"""What the doctor says: findings, what could not be seen, and each hop's outcome."""

from dataclasses import dataclass
from typing import Any, Literal

from dcmesh.model.facts import State, worst
from dcmesh.model.json_data import plain

Side = Literal["consumer", "source"]
"""The two ends of a link."""


@dataclass(frozen=True, kw_only=True)
class HopFinding:
    """What is wrong at a hop.

    Attributes:
        id: the finding's name, for scripts and for the documentation.
        says: what is wrong.
        evidence: where that was seen, and what is there.
        fix: what to do.
        state: CRITICAL if it breaks the link; WARNING if the link works in spite of it.
    """

    id: str
    says: str
    evidence: str
    fix: str
    state: State


@dataclass(frozen=True)
class FindingKind:
    """A kind of finding. Called with what was seen, it returns a finding.

    Attributes:
        id: its name.
        says: what is wrong.
        state: how bad that is.
    """

    id: str
    says: str
    state: State = State.CRITICAL

    def __call__(self, evidence: str, fix: str) -> HopFinding:
        """Return a finding of this kind."""
        return HopFinding(id=self.id, says=self.says, evidence=evidence, fix=fix, state=self.state)


class UnseenError(Exception):
    """A hop cannot be looked at; the message says why, on one line."""


class ElsewhereError(Exception):
    """Another stack has to look at a hop; the message says which site's."""


Outcome = Literal["passed", "broken", "unseen", "elsewhere", "not reached"]
"""`unseen`: it could not be looked at; `elsewhere`: the other side's stack has to look at it."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A hop as it was found.

    Attributes:
        hop: its name.
        site: where it was looked at.
        outcome: the result.
        findings: what is wrong; warnings do not break a hop.
        why: why it was not looked at, and where it can be.
    """

    hop: str
    site: str
    outcome: Outcome
    findings: tuple[HopFinding, ...] = ()
    why: str = ""

    @property
    def state(self) -> State:
        """How bad it is. A hop that another stack has to look at is not UNKNOWN."""
        unseen = [State.UNKNOWN] if self.outcome == "unseen" else []
        return worst([*unseen, *(finding.state for finding in self.findings)])


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A host of a link, walked.

    Attributes:
        host: the host.
        port: its port.
        source: the exporting site.
        consumer: who connects: the site, and namespace and service account there.
        steps: the hops in order.
    """

    host: str
    port: int
    source: str
    consumer: str
    steps: tuple[Step, ...]

    @property
    def state(self) -> State:
        """The worst of its hops."""
        return worst(step.state for step in self.steps)

    @property
    def findings(self) -> tuple[tuple[Step, HopFinding], ...]:
        """What is wrong, with where."""
        return tuple((step, finding) for step in self.steps for finding in step.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**plain(self), "state": plain(self.state)}


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that was walked.

    Attributes:
        diagnoses: one for each host.
        unreadable: why nothing could be walked; empty if something could.
    """

    diagnoses: tuple[Diagnosis, ...] = ()
    unreadable: str = ""

    @property
    def state(self) -> State:
        """The worst of all."""
        return State.UNKNOWN if self.unreadable else worst(diagnosis.state for diagnosis in self.diagnoses)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "state": plain(self.state),
            "unreadable": self.unreadable,
            "hosts": [diagnosis.as_json() for diagnosis in self.diagnoses],
        }
