"""Rules of AuthorizationPolicies: which of them hold for a connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcmesh.doctor.link import WalkedLink
from dcmesh.model.link import CLUSTER_DOMAIN

Rule = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A new connection.

    Attributes:
        facts: what is known of it, by the names that rules have for that.
    """

    facts: Mapping[str, str]

    @classmethod
    def of(cls, link: WalkedLink) -> "Request":
        """Return the connection that a link's consumer makes."""
        account, port = link.account, str(link.export.port)
        principal = f"{CLUSTER_DOMAIN}/ns/{account.namespace}/sa/{account.name}"
        return cls(
            facts={
                "principals": principal,
                "namespaces": account.namespace,
                "serviceAccounts": str(account),
                "ports": port,
                "connection.sni": link.sni,
                "destination.port": port,
                "source.principal": principal,
                "source.namespace": account.namespace,
            }
        )

    def matches(self, rule: Rule, *, unknown: bool) -> bool:
        """Tell whether a rule holds.

        Args:
            rule: the rule.
            unknown: what to say of a rule that asks for what is not known here, and holds otherwise.
        """
        clauses = [
            [self._fields(part.get("source", {})) for part in rule.get("from", ())],
            [self._fields(part.get("operation", {})) for part in rule.get("to", ())],
        ]
        answers = [any(clause) if None not in clause or True in clause else None for clause in clauses if clause]
        answers += [self._one(c["key"], c.get("values"), c.get("notValues")) for c in rule.get("when", ())]
        return False not in answers and (unknown or None not in answers)

    def _fields(self, fields: Rule) -> bool | None:
        """Tell whether all fields hold; None if that hangs on what is not known."""
        names = {field if not field.startswith("not") else field[3].lower() + field[4:] for field in fields}
        negated = {name: f"not{name[0].upper()}{name[1:]}" for name in names}
        answers = [self._one(name, fields.get(name), fields.get(negated[name])) for name in names]
        return False if False in answers else None if None in answers else True

    def _one(self, name: str, values: Sequence[str] | None, not_values: Sequence[str] | None) -> bool | None:
        if name not in self.facts:
            return None
        fact = self.facts[name]
        return (not values or any(like(fact, value) for value in values)) and not any(
            like(fact, value) for value in not_values or ()
        )


def like(fact: str, pattern: str) -> bool:
    """Match as AuthorizationPolicy does: whole, or by `*` at one end."""
    if pattern == "*":
        return bool(fact)
    if pattern.startswith("*"):
        return fact.endswith(pattern[1:])
    return fact.startswith(pattern[:-1]) if pattern.endswith("*") else fact == pattern
