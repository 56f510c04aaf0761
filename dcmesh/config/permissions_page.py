"""docs/permissions.md: the rights that dcmesh needs in a cluster, written from dcmesh/model/permissions.py."""

from collections.abc import Iterable

import yaml

from dcmesh.model.permissions import ANY_ISTIO, OWN_ISTIO, Rule, cluster_role


def page() -> str:
    """Return the document."""
    return _TEXT.format(
        any_istio=_table(ANY_ISTIO),
        own_istio=_table(OWN_ISTIO),
        role=yaml.safe_dump(cluster_role(own_istio=False), sort_keys=False, default_flow_style=None, width=120),
        role_with_istio=yaml.safe_dump(
            cluster_role(own_istio=True), sort_keys=False, default_flow_style=None, width=120
        ),
    )


def _table(rules: Iterable[Rule]) -> str:
    head = "| API group | resources | verbs | what for | in the logs |\n|---|---|---|---|---|\n"
    rows = (
        f"| {rule.group or 'core'} | {', '.join(rule.resources)} | {', '.join(rule.verbs)} | {rule.why} "
        f"| {'yes' if rule.seen else 'no'} |"
        for rule in rules
    )
    return head + "\n".join(rows)


_TEXT = """\
<!-- Written from dcmesh/model/permissions.py by `python -m dcmesh.config.generate`. -->
# Rights

The user of a kubeconfig needs these rights for `up`, `destroy`, `status`, `doctor` and `trust`. A soak test runs all of
these commands on two clusters, with a service account that has exactly these rights. The last column says whether the
API servers' audit logs show that it uses the right. Not tried in this way were the workload `pxc`, `monitoring`, a
switchover, a change of certificates, and `termination: ingress`.

For `pxc` the list is not complete. The clusters are `perconaxtradbclusters` of the API group `pxc.percona.com`. Where
dcmesh also installs Percona's operator, it needs all that the operator's chart creates (ClusterRoles among it, so
`escalate` and `bind`), and `get`, `create`, `patch` and `delete` on `validatingwebhookconfigurations`.

The rights are for the whole cluster, because dcmesh makes namespaces, and Kubernetes cannot grant rights in namespaces
that do not exist yet.

## With an existing Istio

{any_istio}

## In addition, if dcmesh installs Istio

{own_istio}

A user who makes a role, as Istio's charts do, must have all of the role's rights, or `escalate` and `bind`. These two
give the user the power of an administrator. Where that is not acceptable, let another user install Istio, and set
`istio.existing`.

## As ClusterRoles

```yaml
{role}```

```yaml
{role_with_istio}```
"""
