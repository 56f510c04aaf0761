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
        f"| {'' if rule.seen else 'no'} |"
        for rule in rules
    )
    return head + "\n".join(rows)


_TEXT = """\
<!-- Written from dcmesh/model/permissions.py by `python -m dcmesh.config.generate`. -->
# Rights

What the user of a kubeconfig needs for `up`, `destroy`, `status`, `doctor` and `trust`. A soak test runs all of these
on two clusters by a service account that has these rights and no others; by the API servers' audit logs it uses every
one of them, but for those that are marked. Not tried so: the workload `pxc`, `monitoring`, a switchover, a change of
certificates, `termination: ingress`.

The rights hold for the whole cluster: dcmesh makes namespaces, and Kubernetes gives no rights for namespaces that are
not there.

## Where Istio is there already

{any_istio}

## Where dcmesh installs Istio: these as well

{own_istio}

Who makes a role, as Istio's charts do, must have all of its rights, or `escalate` and `bind`. These make their holder
as good as an administrator: where that cannot be, let another user install Istio, and set `istio.existing`.

## As ClusterRoles

```yaml
{role}```

```yaml
{role_with_istio}```
"""
