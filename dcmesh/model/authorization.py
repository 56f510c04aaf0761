"""AuthorizationPolicies: which of them apply to a pod, and whether they allow a connection to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcmesh.model.istio import ISTIO_NAMESPACE, TRUST_DOMAIN
from dcmesh.model.istio_objects import Object, annotations, selects
from dcmesh.model.link import ServiceAccount

Rule = Mapping[str, Any]

PRINCIPALS = ("principals", "source.principal")
"""The fields in which rules name an identity."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A new connection.

    Attributes:
        facts: what is known of it, by the fields of rules.
        trust_domains: the trust domains of the mesh that it enters; rules may write them as `cluster.local`.
    """

    facts: Mapping[str, str]
    trust_domains: Sequence[str] = (TRUST_DOMAIN,)

    def matches(self, rule: Rule, *, unknown: bool) -> bool:
        """Tell whether a rule matches.

        Args:
            rule: the rule.
            unknown: the answer if only fields that are not known here decide.
        """
        clauses = [
            [self._fields(part.get("source", {})) for part in rule.get("from", ())],
            [self._fields(part.get("operation", {})) for part in rule.get("to", ())],
        ]
        answers = [any(clause) if None not in clause or True in clause else None for clause in clauses if clause]
        answers += [self._one(c["key"], c.get("values"), c.get("notValues")) for c in rule.get("when", ())]
        return False not in answers and (unknown or None not in answers)

    def _fields(self, fields: Rule) -> bool | None:
        """Tell whether all fields match; None if that depends on something that is not known."""
        names = {field if not field.startswith("not") else field[3].lower() + field[4:] for field in fields}
        negated = {name: f"not{name[0].upper()}{name[1:]}" for name in names}
        answers = [self._one(name, fields.get(name), fields.get(negated[name])) for name in names]
        return False if False in answers else None if None in answers else True

    def _one(self, name: str, values: Sequence[str] | None, not_values: Sequence[str] | None) -> bool | None:
        if name not in self.facts:
            return None
        fact = self.facts[name]
        if name in PRINCIPALS:
            values, not_values = (self._meant(of or ()) for of in (values, not_values))
        return (not values or any(like(fact, value) for value in values)) and not any(
            like(fact, value) for value in not_values or ()
        )

    def _meant(self, principals: Sequence[str]) -> list[str]:
        """Return principals as Istio reads them: one with any of the mesh's trust domains stands for all of them."""
        found = list[str]()
        for principal in principals:
            domain, _, account = principal.partition("/")
            own = domain in (TRUST_DOMAIN, *self.trust_domains)
            found += [f"{one}/{account}" for one in self.trust_domains] if account and own else [principal]
        return found


def connection(
    account: ServiceAccount, *, port: int, sni: str, trust_domains: Sequence[str] = (TRUST_DOMAIN,)
) -> Request:
    """Return the connection that a service account makes by mutual TLS.

    Args:
        account: the service account.
        port: the port of the pod that it reaches.
        sni: the server name that it asks for.
        trust_domains: the trust domains of the mesh that it enters. Default: Istio's own.
    """
    return Request(
        trust_domains=trust_domains,
        facts={
            "principals": account.principal,
            "namespaces": account.namespace,
            "serviceAccounts": str(account),
            "ports": str(port),
            "connection.sni": sni,
            "destination.port": str(port),
            "source.principal": account.principal,
            "source.namespace": account.namespace,
        },
    )


def like(fact: str, pattern: str) -> bool:
    """Match as AuthorizationPolicy does: the whole text, or with `*` at one end."""
    if pattern == "*":
        return bool(fact)
    if pattern.startswith("*"):
        return fact.endswith(pattern[1:])
    return fact.startswith(pattern[:-1]) if pattern.endswith("*") else fact == pattern


def holding(policies: Sequence[Object], namespace: str, labels: Mapping[str, str]) -> list[Object]:
    """Return the policies that apply to pods of a namespace with these labels."""
    return [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] in (namespace, ISTIO_NAMESPACE)
        and selects(policy["spec"].get("selector", {}).get("matchLabels"), labels)
        and not policy["spec"].get("targetRefs")
        and annotations(policy).get("istio.io/dry-run") != "true"
    ]


def denies(policy: Object) -> bool:
    """Tell whether a policy denies what its rules match."""
    return bool(policy["spec"].get("action") == "DENY")


def refusing(policies: Sequence[Object], request: Request) -> list[Object]:
    """Return which of the policies for a pod refuse a connection.

    What is not known of the connection counts in its favour.
    """

    def speaks(policy: Object, *, unknown: bool) -> bool:
        return any(request.matches(rule, unknown=unknown) for rule in policy["spec"].get("rules", ()))

    denying = [policy for policy in policies if denies(policy) and speaks(policy, unknown=False)]
    allowing = [policy for policy in policies if policy["spec"].get("action", "ALLOW") == "ALLOW"]
    let_in = any(speaks(policy, unknown=True) for policy in allowing)
    return denying if let_in else [*denying, *allowing]
