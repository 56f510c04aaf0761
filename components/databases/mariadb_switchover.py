"""Which of two sites is MariaDB's primary, and the Job that brings a site to its role."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.confined import RESTRICTED
from dcmesh.model.link import ExportedService
from dcmesh.model.switchover import Switchover

PASSWORDS = "/etc/dcmesh/passwords"
ROLE = "/etc/dcmesh/role"
"""Where the pods find the Secret with the passwords, and the ConfigMap with the role."""

SCRIPT = Path(__file__).with_name("mariadb_token.sh").read_text() + Path(__file__).with_suffix(".sh").read_text()

MYSQL_USER = 999
"""Id of the user and group `mysql` in the official image."""

POD_USER = {"runAsUser": MYSQL_USER, "runAsGroup": MYSQL_USER, "fsGroup": MYSQL_USER}
"""As whom the pods and the Job run."""

PATIENCE = 120
"""Seconds that a Job waits for the other site's database to do its part; for one that does not answer a quarter."""

JOB_SECONDS = 600
"""How long a Job may take in all, the pulling of its images included."""


def role(switchover: Switchover) -> dict[str, str]:
    """Return what a pod that starts must know."""
    return {"primary": switchover.primary, "without": switchover.without}


@dataclass(frozen=True, kw_only=True)
class MariadbSwitchoverArgs:
    """Arguments of MariadbSwitchover.

    Attributes:
        namespace: namespace of the database.
        name: its name, and that of its service account.
        image: image with the client.
        site: this site.
        own_host: this site's pod 0.
        source_site: the other site.
        source: its database.
        switchover: which is the primary.
        events: whether the primary runs events.
        passwords: name of the Secret with the passwords.
    """

    namespace: str
    name: str
    image: str
    site: str
    own_host: str
    source_site: str
    source: ExportedService
    switchover: Switchover
    events: bool
    passwords: pulumi.Input[str]


def job(args: MariadbSwitchoverArgs, passwords: str) -> dict[str, Any]:
    """Return the spec of the Job. It runs again when its template changes: with the role, a host or a password."""
    environment = {
        "SITE": args.site,
        "OWN_HOST": args.own_host,
        "OTHER": args.source_site,
        "OTHER_HOST": args.source.hosts[0],
        "OTHER_PORT": str(args.source.port),
        "WANTED": args.switchover.primary,
        "WITHOUT": args.switchover.without,
        "AT": args.switchover.at,
        "EVENTS": "ON" if args.events else "",
        "PATIENCE": str(PATIENCE),
    }
    container = {
        "name": "switchover",
        "image": args.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", SCRIPT],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "volumeMounts": [{"name": "passwords", "mountPath": PASSWORDS}, {"name": "run", "mountPath": "/run/dcmesh"}],
        "securityContext": RESTRICTED,
        # So that the reason stands in the pod's status, where Pulumi reads it for its error.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {
        "backoffLimit": 0,
        "activeDeadlineSeconds": JOB_SECONDS,
        "template": {
            "metadata": {
                "labels": {"app": f"{args.name}-switchover", "sidecar.istio.io/inject": "true"},
                # A sidecar that ends when the Job's container does; Kubernetes has them from 1.29 on.
                "annotations": {"sidecar.istio.io/nativeSidecar": "true"},
            },
            "spec": {
                "serviceAccountName": args.name,
                "automountServiceAccountToken": False,
                "securityContext": POD_USER,
                "restartPolicy": "Never",
                # It can be interrupted anywhere, and the next one waits for its end.
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                "volumes": [
                    {"name": "run", "emptyDir": {"medium": "Memory"}},
                    {"name": "passwords", "secret": {"secretName": passwords, "defaultMode": 0o440}},
                ],
            },
        },
    }


class MariadbSwitchover(pulumi.ComponentResource):
    """Brings a site's database to the role that it is to have, and fails with the reason if it must not.

    Creates:
        - `Job` that does it: mariadb_switchover.sh. `pulumi up` waits for it.
    """

    def __init__(self, name: str, args: MariadbSwitchoverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:workloads:MariadbSwitchover", name, {}, opts)
        k8s.batch.v1.Job(
            f"{name}-job",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=f"{args.name}-switchover",
                namespace=args.namespace,
                # A Job that failed stays failed: the next `up` must make another.
                annotations={"pulumi.com/replaceUnready": "true"},
            ),
            spec=pulumi.Output.from_input(args.passwords).apply(lambda passwords: job(args, passwords)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
