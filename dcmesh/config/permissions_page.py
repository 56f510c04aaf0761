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
    head = "| API group | resources | verbs | what for |\n|---|---|---|---|\n"
    rows = (
        f"| {rule.group or 'core'} | {', '.join(rule.resources)} | {', '.join(rule.verbs)} | {rule.why} |"
        for rule in rules
    )
    return head + "\n".join(rows)


_TEXT = """\
<!-- Written from dcmesh/model/permissions.py by `python -m dcmesh.config.generate`. -->
# Rights

What the user of a kubeconfig needs for `up`, `destroy`, `status`, `doctor` and `trust`. The list is what the audit logs
of two of the lab's clusters showed: of `up` and `status` on both, one with dcmesh's own Istio and one with an Istio
that was there, and of `doctor` and `trust` on the first. `delete` was not in them. That Pulumi lists and watches what
it deletes was read in its Kubernetes provider. Who patches what is not there yet needs `create` as well, which no log
shows: a user without it was refused on the lab. **A user with exactly these rights has not been tried yet.**

The workload `pxc`, `monitoring`, a switchover, a change of certificates and `termination: ingress` were not looked at.

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
