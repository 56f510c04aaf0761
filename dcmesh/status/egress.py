"""Egress gateways: whether their pods run, accept what istiod sends, and are closed to all but their clients."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dcmesh.kube.api import ERRORS, ApiClient, why
from dcmesh.kube.pods import Pod, ask_proxy, read
from dcmesh.model.egress import EGRESS_NAME, STRANGER
from dcmesh.model.facts import State
from dcmesh.model.link import ServiceAccount
from dcmesh.status.gateways import GatewayPods, refused_in


@dataclass(frozen=True, kw_only=True)
class EgressStatus(GatewayPods):
    """An egress gateway.

    Attributes:
        account: its namespace and service account.
        open: whether it answered a pod that is not one of its clients; None while that is not known.
    """

    account: str
    open: bool | None = None

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} egress gateway {self.account}"

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        for refusal in self.refusals:
            yield State.CRITICAL, f"{refusal}: hosts that are new are not reached, and after a restart none is"
        yield from super().judge()
        if self.open:
            yield (
                State.WARNING,
                "a pod that is none of its clients was answered: nothing in this cluster enforces NetworkPolicies, so "
                "every pod of it is a client. Once something does, delete the Job "
                f"{self.account.partition('/')[0]}/{STRANGER} and run `pulumi up --refresh`: it asks again",
            )


def ask_egress(clients: Callable[[], ApiClient], site: str, account: ServiceAccount) -> list[EgressStatus]:
    """Ask a cluster for one of its egress gateways."""
    try:
        with clients() as api:
            return [find_egress(site, account, partial(read, api), partial(ask_proxy, api))]
    except ERRORS as error:
        return [EgressStatus(site=site, account=str(account), unknown=why(error))]


def find_egress(
    site: str, account: ServiceAccount, get: Callable[[str], Any], proxy: Callable[[Pod, str], Any]
) -> EgressStatus:
    """Return an egress gateway as it is.

    Args:
        site: its site.
        account: its service account.
        get: returns what the API has at a path; None if nothing.
        proxy: returns what a pod's Envoy answers at a path.

    Raises:
        ERRORS: the cluster cannot be asked.
    """
    namespace = account.namespace
    deployment = get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{EGRESS_NAME}") or {}
    refusals, unasked = refused_in(namespace, deployment, get, proxy)
    return EgressStatus(
        site=site,
        account=str(account),
        ready=deployment.get("status", {}).get("readyReplicas", 0),
        wanted=deployment.get("spec", {}).get("replicas", 0),
        open=_open(get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{STRANGER}") or {}),
        refusals=refusals,
        unasked=unasked,
    )


def _open(job: Mapping[str, Any]) -> bool | None:
    """Return whether the Job that is none of its clients was answered; None if it has not ended, or failed otherwise.

    If it is answered, its pod exits with a code for which the Job's failure policy makes it fail at once.
    """
    conditions = job.get("status", {}).get("conditions") or ()
    ended = {of["type"]: of.get("reason") for of in conditions if of["status"] == "True"}
    return False if "Complete" in ended else True if ended.get("Failed") == "PodFailurePolicy" else None
