"""DnsCapture: has the sidecars of consumers answer their DNS queries, and those of no other pods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.model.capture import DNS_CAPTURE
from dcmesh.model.object_names import capturing

PROBE = {"app": "dcmesh-probe"}
"""Labels of the pods of LinkProbe."""


@dataclass(frozen=True, kw_only=True)
class DnsCaptureArgs:
    """Arguments of DnsCapture.

    Attributes:
        namespace: the importing namespace.
        consumers: by service account the labels of its pods.
        after: what must be there first: the site's istiod, whose webhook checks Istio's objects, and the namespace.
    """

    namespace: str
    consumers: Mapping[str, Mapping[str, str]]
    after: Sequence[pulumi.Resource]


def capture(selector: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of the ProxyConfig for pods with these labels. It holds for those that start from then on."""
    return {"selector": {"matchLabels": dict(selector)}, "environmentVariables": DNS_CAPTURE}


class DnsCapture(pulumi.ComponentResource):
    """What lets consumers' pods look up imported hosts, whatever the mesh says of DNS.

    Creates in the importing namespace:
        - `ProxyConfig` for each consumer, for pods with its labels, and another for the probe's.
    """

    def __init__(self, name: str, args: DnsCaptureArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:DnsCapture", name, {}, opts)
        chosen = {capturing(account): selector for account, selector in args.consumers.items()}
        for own, selector in {**chosen, capturing(""): PROBE}.items():
            k8s.apiextensions.CustomResource(
                f"{name}-proxyconfig-{own}",
                api_version="networking.istio.io/v1beta1",
                kind="ProxyConfig",
                metadata=k8s.meta.v1.ObjectMetaArgs(name=own, namespace=args.namespace),
                spec=capture(selector),
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
            )
        self.register_outputs({})
