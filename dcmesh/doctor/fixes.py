"""Fixes that several hops share."""

from dcmesh.model.istio import ISTIO_NAMESPACE

OWN_WORKLOAD = "A workload of dcmesh's own:"

INJECTOR = "the webhook istio-sidecar-injector"
"""What gives pods their sidecars."""


def restore(site: str) -> str:
    """Return how to put back what dcmesh has made and somebody has changed or deleted."""
    return f"Run `pulumi up --refresh` with the stack of {site}."


def restore_object(site: str, kind: str, name: str, *, there: bool) -> str:
    """Return how to put back an object of dcmesh's own.

    Args:
        site: where it is.
        kind: its kind, as kubectl has it.
        name: its namespace and name.
        there: whether it exists. Then somebody may have added something to it.
    """
    if not there:
        return restore(site)
    delete = f"kubectl delete {kind} -n {name.replace('/', ' ')}"
    return f"{restore(site)} It does not see what was added to an object: if it changes nothing, `{delete}` first."


def restore_service(site: str, name: str) -> str:
    """Return how to put back a Service that was changed. It is not deleted: another may get another address.

    Changed ports cannot be previewed: in a dry run Kubernetes takes a port with a new number for a second port of the
    same name.
    """
    edit = f"kubectl edit service -n {name.replace('/', ' ')}"
    return (
        f"Run `pulumi up --refresh --skip-preview` with the stack of {site}. It does not see what was added: "
        f"take that out by `{edit}`."
    )


def restore_release(name: str, what: str, namespace: str = ISTIO_NAMESPACE) -> str:
    """Return how to put back what a Helm release has made: Pulumi knows the release, not its objects.

    Args:
        name: the release.
        what: which of its objects may have been changed.
        namespace: where it is.
    """
    # To its present revision. Without a number Helm would go to the previous one, with another version of the chart.
    here = f"-n {namespace}"
    revision = f"$(helm get all {name} {here} --template '{{{{.Release.Version}}}}')"
    return f"If {what} was changed: `helm rollback {name} {revision} {here}`."


def catch_up(site: str) -> str:
    """Return how to make proxies take over what the objects say."""
    return (
        f"Restart istiod in {site} (`kubectl rollout restart -n istio-system deployment -l app=istiod`), then the pod."
    )
