"""Istio's CNI plugin, made from package registries. It is not in the toolchain, because only one soak test runs it."""

from pathlib import Path

from lab import packages, parts, toolchain
from lab.charts import Charts
from lab.golang import GoPrograms
from lab.images import ARCHIVE, Image
from lab.parts import Part
from lab.paths import TOOLCHAIN
from lab.toolchain import ISTIO

_MODULE = "istio-cni"
_IMAGE = f"image-install-cni-{ISTIO.line}"

PARTS = (
    Part(
        _MODULE,
        65,
        GoPrograms(
            _MODULE,
            ("istio.io/istio/cni/cmd/install-cni", "istio.io/istio/cni/cmd/istio-cni"),
            variables={f"istio.io/istio/pkg/version.{name}": ISTIO.version for name in ("buildVersion", "buildTag")},
        ),
    ),
    Part("istio-cni-chart", 3, Charts(_MODULE, ISTIO.version, {"istio-cni": "istio-cni"})),
    Part(
        _IMAGE,
        1,
        Image(
            f"docker.io/istio/install-cni:{ISTIO.version}",
            {
                "/usr/local/bin/install-cni": "istio-cni/install-cni",
                "/opt/cni/bin/istio-cni": "istio-cni/istio-cni",
            },
            ("/usr/local/bin/install-cni",),
            base="base",
        ),
    ),
)


def ensure() -> tuple[Path, Path]:
    """Return the chart's directory and the image's archive. Missing parts are made first, as the toolchain does it.

    Raises:
        LabError: a part cannot be made; the message names the log.
    """
    packages.ensure()
    made = parts.provide((*toolchain.PARTS, *PARTS), TOOLCHAIN)
    return made["istio-cni-chart"].path / "istio-cni", made[_IMAGE].path / ARCHIVE
