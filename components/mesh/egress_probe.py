"""EgressProbe: proves at the end of `pulumi up` that pods without a sidecar reach every host, and who else does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.kube.host_protocols import asking
from dcmesh.model.egress import STRANGER
from dcmesh.model.link import ExportedService, Link

from ..mesh.egress_gateway import PROBE_LABELS
from ..mesh.link_probe import (
    ANSWER_SECONDS,
    JOB_SECONDS,
    PROBE_IMAGE,
    PROBE_SECONDS,
    SCRIPT,
    pod_template,
    probe_lines,
)

STRANGER_SCRIPT = asking(Path(__file__).with_suffix(".sh").read_text(), seconds=ANSWER_SECONDS)

STRANGER_SECONDS = 20
"""How long a policy engine may take to notice a new pod."""

ANSWERED = {
    "rules": [
        # xargs' exit code if one of those that it runs fails
        {"action": "FailJob", "onExitCodes": {"containerName": "probe", "operator": "In", "values": [123]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
}
"""How a Job treats a pod that has failed: an answer counts, an eviction or a missing image does not."""


@dataclass(frozen=True, kw_only=True)
class EgressProbeArgs:
    """Arguments of EgressProbe.

    Attributes:
        namespace: namespace of the egress gateway.
        imports: what comes by it: each export with its link, which may be known only once it is there.
        image: an image with bash, or any shell and curl. Default: agnhost, as `hello` uses it.
    """

    namespace: str
    imports: Sequence[tuple[pulumi.Input[Link], ExportedService]]
    image: str = PROBE_IMAGE


def outside(pod: Mapping[str, Any], script: str, seconds: int) -> dict[str, Any]:
    """Return the pod template of a LinkProbe as one without a sidecar, and of no account, that runs a script.

    Args:
        pod: the template.
        script: what asks one host.
        seconds: how long it goes on asking.
    """
    (container,), metadata = pod["spec"]["containers"], pod["metadata"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    env |= {"PROBE_SCRIPT": script, "PROBE_SECONDS": str(seconds)}
    return {
        "metadata": {
            "labels": {**metadata["labels"], "sidecar.istio.io/inject": "false"},
            "annotations": {"dcmesh/path": metadata["annotations"]["dcmesh/path"]},
        },
        "spec": {
            **pod["spec"],
            "containers": [{**container, "env": [{"name": key, "value": value} for key, value in env.items()]}],
        },
    }


class EgressProbe(pulumi.ComponentResource):
    """A check of an egress gateway, from pods without a sidecar.

    Creates, in its namespace:
        - `Job` `dcmesh-probe`, which it lets in. It asks every host until the right pod answers; `pulumi up` waits
          for it and fails with its log.
        - `Job` `dcmesh-stranger`, which is no client. It fails, by its policy for failed pods, if a host answers it, as
          where nothing enforces NetworkPolicies. No `up` waits for it: `python -m dcmesh status` tells how it ended.

    Both run again when the hosts or the gateways' addresses change. The caller orders them after the imports by
    `depends_on`.
    """

    def __init__(self, name: str, args: EgressProbeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:EgressProbe", name, {}, opts)
        exports = [export for _, export in args.imports]
        path = pulumi.Output.all(*(link for link, _ in args.imports)).apply(
            lambda links: sorted(
                {f"{address}:{link.gateway.port}" for link in links for address in link.gateway.addresses}
                | {identity for export in exports for identity in export.identities}
            )
        )

        def job(
            job_name: str,
            script: str,
            seconds: int,
            annotations: Mapping[str, str],
            opts: pulumi.ResourceOptions,
            **more: object,
        ) -> pulumi.Resource:
            labels = {"app": job_name}
            return k8s.batch.v1.Job(
                f"{name}-{job_name}",
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=job_name, namespace=args.namespace, labels=labels, annotations=annotations
                ),
                spec={
                    "backoff_limit": 0,
                    "active_deadline_seconds": JOB_SECONDS,
                    **more,
                    "template": path.apply(
                        lambda path: outside(
                            pod_template(
                                service_account="default",
                                image=args.image,
                                lines=probe_lines(exports),
                                path=path,
                                labels=labels,
                            ),
                            script,
                            seconds,
                        )
                    ),
                },
                opts=opts,
            )

        child = pulumi.ResourceOptions(parent=self)
        # A Job that failed stays failed: the next `up` must make another.
        again = {"pulumi.com/replaceUnready": "true"}
        probe = job(PROBE_LABELS["app"], SCRIPT, PROBE_SECONDS, again, child)
        after = pulumi.ResourceOptions(parent=self, depends_on=[probe])
        told = {"pod_failure_policy": ANSWERED}
        # Each Job has this at once. `skipAwait` would not wait for the end of one that is replaced either.
        made = {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}
        job(STRANGER, STRANGER_SCRIPT, STRANGER_SECONDS, made, after, **told)
        self.register_outputs({})
