"""Istio's Helm charts, out of the Go module that its programs are built from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab import golang
from lab.errors import LabError
from lab.parts import Recipe, Workplace

_CHARTS = {"base": "base", "istiod": "istio-control/istio-discovery", "gateway": "gateway"}
"""What a site's Istio is installed from."""

_HUB, _RELEASED_HUB = "registry.istio.io/testing", "docker.io/istio"


@dataclass(frozen=True)
class Charts(Recipe):
    """Charts, as Istio releases them.

    Attributes:
        module: the module under `lab/go` that pins Istio.
        version: the release; the module's source has placeholders that the release process fills in.
        charts: each chart's name and its directory below `manifests/charts`.
    """

    module: str
    version: str
    charts: Mapping[str, str] = field(default_factory=lambda: _CHARTS)

    @property
    def sources(self) -> Iterable[Path]:
        """What pins the module, and this file: it says what is filled in."""
        return (golang.module(self.module), Path(__file__))

    def make(self, work: Workplace) -> None:
        """Copy the charts and fill in version, hub and tag."""
        source = golang.dependency_source(self.module, "istio.io/istio", work) / "manifests" / "charts"
        for name, directory in self.charts.items():
            chart = work.out / name
            work.run("cp", "--recursive", "--no-preserve=mode", source / directory, chart)
            _replace(chart / "Chart.yaml", {"ersion: 1.0.0": f"ersion: {self.version}"})
            if name == "istiod":
                _replace(chart / "values.yaml", {_HUB: _RELEASED_HUB, "tag: latest": f"tag: {self.version}"})


def _replace(file: Path, replacements: dict[str, str]) -> None:
    text = file.read_text()
    for old, new in replacements.items():
        if old not in text:
            raise LabError(f"{file.parent.name}/{file.name} of Istio's charts has no {old}")
        text = text.replace(old, new)
    file.write_text(text)
