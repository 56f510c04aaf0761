"""The programs and images that k3d needs, made from packages. Sites need none of them, so the toolchain has none."""

from dataclasses import dataclass
from pathlib import Path

from lab import packages, parts, toolchain
from lab.debian import DebianFiles
from lab.golang import GoPrograms
from lab.images import ARCHIVE, BaseLayer, Image
from lab.parts import Part
from lab.paths import TOOLCHAIN
from lab.toolchain import ISTIO, Links

VERSION = "5.8.3"
NODE = "dcmesh.lab/node:1"
"""The image with everything that a node runs, except the lab's own programs."""

_K3D = "github.com/k3d-io/k3d/v5"
_PODS = (
    "image-pause",
    "image-coredns",
    "image-agnhost",
    *(f"image-{name}-{ISTIO.line}" for name in ("pilot", "proxyv2")),
)
"""The images that the demo's pods run. The real k3s imports such archives too."""

_NODE_PACKAGES = (
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "etcd-server",
    "iproute2",
    "iptables",
    "mount",
    "nftables",
    "procps",
    "python3-kubernetes",
    "python3-pyroute2",
    "python3-rich",
    "python3-yaml",
    "runc",
    "supervisor",
)

PARTS = (
    Part("docker", 5, DebianFiles("docker.io", ("usr/bin/docker", "usr/sbin/docker-proxy", "usr/sbin/dockerd"))),
    Part("tini", 1, DebianFiles("tini", ("usr/bin/tini-static",))),
    Part("k3d", 50, GoPrograms("k3d", (_K3D,), variables={f"{_K3D}/version.Version": f"v{VERSION}"})),
    Part("k3d-proxy", 2, GoPrograms("k3d-proxy")),
    Part("base-node", 40, BaseLayer(_NODE_PACKAGES)),
    Part(
        "image-node",
        5,
        Image(
            NODE,
            {"/usr/local/bin/kube": "kube/kube", **{f"/images/{image}.tar": f"{image}/{ARCHIVE}" for image in _PODS}},
            (),
            base="base-node",
        ),
    ),
    Part("image-k3d-tools", 1, Image(f"ghcr.io/k3d-io/k3d-tools:{VERSION}", {"/pause": "pause/pause"}, ("/pause",))),
    Part(
        "image-k3d-proxy",
        1,
        Image(f"ghcr.io/k3d-io/k3d-proxy:{VERSION}", {"/k3d-proxy": "k3d-proxy/k3d-proxy"}, ("/k3d-proxy",)),
    ),
    Part(
        "k3d-bin",
        0,
        Links(
            {program: f"docker/{program}" for program in ("docker", "docker-proxy", "dockerd")}
            | {"docker-init": "tini/tini-static", "k3d": "k3d/k3d"}
        ),
    ),
)
"""Every part, each after the parts that it needs. Some need parts of the toolchain."""


@dataclass(frozen=True)
class Programs:
    """What k3d is run with.

    Attributes:
        bin: the directory with a link to each program.
        images: the archives of the images.
    """

    bin: Path
    images: tuple[Path, ...]


def ensure() -> Programs:
    """Return the programs and images. Those that do not exist yet are made first, as the toolchain does it.

    Raises:
        LabError: a part cannot be made; the message names the log.
    """
    packages.ensure()
    made = parts.provide((*toolchain.PARTS, *PARTS), TOOLCHAIN)
    images = (made[part.name].path / ARCHIVE for part in PARTS if isinstance(part.recipe, Image))
    return Programs(made["k3d-bin"].path, tuple(images))
