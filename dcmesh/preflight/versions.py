"""Versions: what runs in a cluster, and what is to run there."""

from collections.abc import Iterator

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.cluster_reader import ClusterReader
from dcmesh.model import settings as model
from dcmesh.model import support


def _minor(version: str) -> support.Minor:
    """Return the minor version of a version that was checked before."""
    minor = support.minor_of(version)
    assert minor is not None, version  # noqa: S101 - for the type checker
    return minor


def untried(settings: model.Settings) -> Iterator[Remark]:
    """Warn of an Istio to be installed that is newer than the newest tested one."""
    warning = support.istio_warning(_minor(settings.istio.version))
    if settings.sites and warning and not settings.istio.existing:
        yield Remark("istio.version", settings.istio.version, warning)


def running(cluster: ClusterReader, istio: model.Istio, site: model.Site, path: str, named: str) -> Iterator[Finding]:
    """Compare a cluster's Kubernetes and istiod with what dcmesh supports."""
    running = cluster.istiod_version(istio.existing.revision if istio.existing else "default")
    kubernetes = cluster.kubernetes_version()
    meant = _minor(running if istio.existing and running else istio.version)
    runs, oldest = f"runs Kubernetes {support.shown(kubernetes)}", support.oldest_kubernetes(meant)
    if kubernetes < oldest:
        yield Finding(path, named, f"{runs}: {support.shown(oldest)} is the oldest supported")
    elif warning := support.kubernetes_warning(kubernetes, meant):
        yield Remark(path, named, f"{runs}, which {warning}")
    if running and istio.existing:
        yield from _existing_istiod(running, istio, istio.existing.revision, site)
    elif running and (step := support.next_istio(_minor(running), _minor(istio.version))):
        yield _too_far(running, step, istio, site)


def _existing_istiod(running: str, istio: model.Istio, revision: str, site: model.Site) -> Iterator[Finding]:
    """Compare an istiod that somebody else runs with what dcmesh supports, and the gateway's chart with it."""
    path, runs = "istio.existing.revision", f"runs Istio {running} in {site.name}"
    if _minor(running) < support.ISTIO_ENDED.minor:
        yield Finding(path, revision, f"{runs}: {support.ISTIO[-1].name} is the oldest supported, upgrade it")
        return
    if warning := support.istio_warning(_minor(running)):
        yield Remark(path, revision, f"{runs}, which {warning}")
    if _minor(istio.version) != _minor(running):
        kind = Finding if support.next_istio(_minor(running), _minor(istio.version)) else Remark
        nearest = max(_minor(running), support.ISTIO[-1].minor)
        advice = (
            f"is the gateway's chart's, and {site.name} runs istiod {running}: set a {support.shown(nearest)} version"
        )
        yield kind("istio.version", istio.version, advice)


def _too_far(running: str, step: support.Minor, istio: model.Istio, site: model.Site) -> Finding:
    """Refuse a change of Istio by more than one minor version, and say what comes first."""
    if step < support.ISTIO[-1].minor:
        first = f"Upgrade it to {support.ISTIO_ENDED.name} by Helm, one after another, first"
    else:
        first = f"Set {support.a_version_of(step)} first, run `pulumi up` and restart the workloads' pods"
    default = "" if "version" in istio.model_fields_set else "is the default, and "
    advice = (
        f"{default}is more than one minor version from {running}, which {site.name} runs: Istio is changed by one at"
    )
    return Finding("istio.version", istio.version, f"{advice} a time. {first} (docs/support.md)")
