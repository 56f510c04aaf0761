"""What dcmesh's own containers may do: no more than any program."""

from typing import Any

CONFINED: dict[str, Any] = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
"""Security context of a container that runs as a user of its own."""

RESTRICTED: dict[str, Any] = {**CONFINED, "seccompProfile": {"type": "RuntimeDefault"}}
"""The same as Kubernetes' Pod Security Standard `restricted` wants it.

Not for a database's server: it takes io_uring, which a runtime's profile denies, and MariaDB is slower without.
"""

NOBODY = 65534
"""Id of a user that owns nothing in any image."""

PROBE_RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
"""What a probe may use: without both a ResourceQuota of CPU or memory refuses it. It asks 16 hosts at a time."""

SECCOMP = {"seccompProfile": RESTRICTED["seccompProfile"]}
"""What the pods of Istio's charts, and a database's, lack for `restricted`."""
