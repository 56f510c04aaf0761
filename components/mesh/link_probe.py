"""LinkProbe: proves at the end of `pulumi up` that every imported host is answered, as its consumer would see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.kube.host_protocols import asking
from dcmesh.model.images import AGNHOST
from dcmesh.model.link import ExportedService, Link, ServiceAccount
from dcmesh.model.security_contexts import NOBODY, PROBE_RESOURCES, RESTRICTED

PROBE_IMAGE = AGNHOST
PROBE_SECONDS = 120
"""How long the probe asks a host for the right answer before it gives up. Within one stack it begins while the
exporting site's pods still start."""

JOB_SECONDS = 600
"""How long the Job may take in all, the pulling of its images included."""

AT_ONCE = 16
"""How many hosts are asked at the same time."""

ANSWER_SECONDS = 2
"""How long a host may take for one answer."""

SCRIPT = asking(Path(__file__).with_suffix(".sh").read_text(), seconds=ANSWER_SECONDS)
ASK_ALL = f'printf \'%s\' "$PROBE_HOSTS" | xargs -n 3 -P {AT_ONCE} /bin/sh -c "$PROBE_SCRIPT" probe'


@dataclass(frozen=True, kw_only=True)
class LinkProbeArgs:
    """Arguments of LinkProbe.

    Attributes:
        consumer: the service account as which the probe connects.
        imports: what is probed: each export with the link that it comes by, which may be known only once it is there.
        image: an image with bash, or any shell and curl. Default: agnhost, as `hello` uses it.
    """

    consumer: ServiceAccount
    imports: Sequence[tuple[pulumi.Input[Link], ExportedService]]
    image: str = PROBE_IMAGE


def probe_lines(exports: Sequence[ExportedService]) -> str:
    """Return the script's input: a line for each port of each host."""
    ports = [of for export in exports for of in export.by_port]
    return "".join(f"{host} {of.port} {of.probe}\n" for of in ports for host in of.hosts)


def pod_template(
    *, service_account: str, image: str, lines: str, path: Sequence[str], labels: dict[str, str]
) -> dict[str, Any]:
    """Return the pod template of the Job.

    Args:
        service_account: as whom the probe connects.
        image: an image with bash, or any shell and curl.
        lines: the script's input.
        path: what the probe goes through and meets. It changes nothing in the pod, but a Job runs again only
            when its template changes, and it must when a gateway has moved.
        labels: labels of the pod.
    """
    return {
        "metadata": {
            "labels": {**labels, "sidecar.istio.io/inject": "true"},
            "annotations": {
                # A sidecar that ends when the Job's container does; Kubernetes has them from 1.29 on.
                "sidecar.istio.io/nativeSidecar": "true",
                "dcmesh/path": " ".join(path),
            },
        },
        "spec": {
            "serviceAccountName": service_account,
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", ASK_ALL],
                    "env": [
                        {"name": "PROBE_SCRIPT", "value": SCRIPT},
                        {"name": "PROBE_HOSTS", "value": lines},
                        {"name": "PROBE_SECONDS", "value": str(PROBE_SECONDS)},
                    ],
                    "securityContext": {"runAsUser": NOBODY, "runAsGroup": NOBODY, **RESTRICTED},
                    "resources": PROBE_RESOURCES,
                    # So that the reason stands in the pod's status, where Pulumi reads it for its error.
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
        },
    }


class LinkProbe(pulumi.ComponentResource):
    """A check from inside: an update that succeeds means that the imports work.

    Creates:
        - `Job` in the importing namespace, with a sidecar and the consumer's service account. It asks every
          imported host until the right pod answers; `pulumi up` waits for it and fails with its log. It runs
          again when the hosts or the gateways' addresses change, and after a failure.

    The caller orders it after the imports by `depends_on`.
    """

    def __init__(self, name: str, args: LinkProbeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:LinkProbe", name, {}, opts)
        job_name = f"dcmesh-probe-{args.consumer.name}"
        labels = {"app": "dcmesh-probe"}
        exports = [export for _, export in args.imports]
        path = pulumi.Output.all(*(link for link, _ in args.imports)).apply(
            lambda links: sorted(
                {f"{address}:{link.gateway.port}" for link in links for address in link.gateway.addresses}
                | {identity for export in exports for identity in export.identities}
            )
        )
        k8s.batch.v1.Job(
            f"{name}-job",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=job_name,
                namespace=args.consumer.namespace,
                labels=labels,
                # A Job that failed stays failed: the next `up` must make another.
                annotations={"pulumi.com/replaceUnready": "true"},
            ),
            spec={
                "backoff_limit": 0,
                "active_deadline_seconds": JOB_SECONDS,
                "template": path.apply(
                    lambda path: pod_template(
                        service_account=args.consumer.name,
                        image=args.image,
                        lines=probe_lines(exports),
                        path=path,
                        labels=labels,
                    )
                ),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
