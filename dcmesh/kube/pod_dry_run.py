"""Whether a cluster would let a pod in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcmesh.kube.api import LONGEST_REASON, SECONDS, ApiClient, ApiException, HTTPError, why
from dcmesh.kube.read_rights import words_of
from dcmesh.model.printable import printable

NAME = "dcmesh-would-be"
"""Name of the pod that is asked about. It is never made."""

NO_ACCOUNT = "looking up service account"
"""What the API server says of a service account that is not there."""

OWN = re.compile(
    rf'pods "{NAME}" is forbidden: '
    r'(violates PodSecurity "|(exceeded|failed) quota: |'
    r"\[?((minimum|maximum) \S+ usage|\S+ max limit to request ratio) per )"
)
"""How Pod Security, ResourceQuotas and LimitRanges begin to refuse a pod. Webhooks and policies begin otherwise."""


@dataclass(frozen=True, kw_only=True)
class Objection:
    """What a cluster said of a pod, or that it said nothing.

    Attributes:
        words: its words.
        final: whether Pod Security, a ResourceQuota or a LimitRange refuses the pod.
        silent: whether it, or a webhook that it asks, has not answered in time, or at all.
    """

    words: str
    final: bool = False
    silent: bool = False


def objection(api: ApiClient, namespace: str, pod: Mapping[str, Any]) -> Objection | None:
    """Ask whether a pod would be let into a namespace; None if nothing speaks against it.

    Nothing speaks against a namespace or a service account that is not there. Without the account the rest of the pod
    is asked about.

    Args:
        api: the cluster.
        namespace: the namespace.
        pod: labels, annotations and spec.
    """
    metadata = {key: pod[key] for key in ("labels", "annotations") if key in pod}
    spec = pod["spec"]
    said = _said(api, namespace, {"metadata": {"name": NAME, **metadata}, "spec": spec})
    if not (said and NO_ACCOUNT in said.words):
        return said
    if "serviceAccountName" not in spec:
        return None
    rest = {key: value for key, value in spec.items() if key != "serviceAccountName"}
    return objection(api, namespace, {**pod, "spec": rest})


def _said(api: ApiClient, namespace: str, pod: Mapping[str, Any]) -> Objection | None:
    try:
        api.call_api(
            f"/api/v1/namespaces/{namespace}/pods",
            "POST",
            query_params=[("dryRun", "All")],
            body={"apiVersion": "v1", "kind": "Pod", **pod},
            auth_settings=["BearerToken"],
            _request_timeout=SECONDS,
        )
    except ApiException as error:
        if error.status == 404:
            return None
        words = words_of(error)
        final = error.status == 403 and OWN.match(words) is not None
        words = printable(" ".join(words.split()), LONGEST_REASON)
        return Objection(words=words, final=final, silent=error.status >= 500)
    except (HTTPError, OSError) as error:
        return Objection(words=why(error), silent=True)
    return None
