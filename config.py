"""The stack's configuration: typed, and validated whole before anything is created."""

import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pulumi
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from components.istio import Charts
from components.link import ProbeKind, Protocol

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
"""A DNS label, as Kubernetes wants names to be."""

Port = Annotated[int, Field(ge=1, le=65535)]


class ConfigError(Exception):
    """The configuration is wrong; the message lists every error with its path."""


class Model(BaseModel):
    """A part of the configuration: immutable, camel case as in Kubernetes, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Trust(Model):
    """The shared root and the sites' intermediates."""

    organization: str = "dcmesh"
    root_validity_years: Annotated[int, Field(ge=1, le=50)] = 10
    intermediate_validity_years: Annotated[int, Field(ge=1, le=10)] = 2


class IstioValues(Model):
    """Helm values laid over those that dcmesh sets."""

    base: dict[str, Any] = {}
    istiod: dict[str, Any] = {}
    gateway: dict[str, Any] = {}


class Istio(Model):
    """Istio in every site of the stack."""

    version: Annotated[str, StringConstraints(pattern=r"^1\.\d+\.\d+$")] = "1.29.1"
    charts: str = "https://istio-release.storage.googleapis.com/charts"
    replicas: Annotated[int, Field(ge=1, le=10)] = 2
    egress: Literal["ALLOW_ANY", "REGISTRY_ONLY"] = "ALLOW_ANY"
    values: IstioValues = IstioValues()

    def helm_charts(self) -> Charts:
        """Return where the charts come from."""
        return Charts(version=self.version, repository=self.charts)


class ExistingCluster(Model):
    """A cluster that somebody else made."""

    kubeconfig: str
    context: str | None = None


class Gateway(Model):
    """The gateway of an exporting site."""

    replicas: Annotated[int, Field(ge=1, le=20)] = 2
    advertise: list[str] = []


class Hello(Model):
    """The demo: a StatefulSet whose pods answer with their names."""

    kind: Literal["hello"]
    namespace: Name
    name: Name = "hello"
    replicas: Annotated[int, Field(ge=1)] = 3
    port: Port = 8080


class HelloClient(Model):
    """The demo's consumer: a pod to run curl in."""

    kind: Literal["hello-client"]
    namespace: Name
    name: Name = "client"


Workload = Annotated[Hello | HelloClient, Field(discriminator="kind")]


class Consumer(Model):
    """A service account of another site that may connect to an export."""

    site: Name
    namespace: Name
    service_account: Name


class Export(Model):
    """A StatefulSet made reachable, pod by pod, for named consumers."""

    name: Name
    namespace: Name
    stateful_set: Name | None = None
    service: Name | None = None
    replicas: Annotated[int, Field(ge=1)]
    port: Port
    protocol: Protocol = "TCP"
    service_account: Name
    selector: Annotated[dict[str, str], Field(min_length=1)]
    consumers: Annotated[list[Consumer], Field(min_length=1)]
    probe: ProbeKind | None = None


class Import(Model):
    """The counterpart of an export, for one consumer."""

    from_: Annotated[Name, Field(alias="from")]
    export: Name
    namespace: Name
    service_account: Name

    @property
    def consumer(self) -> tuple[str, str]:
        """Namespace and service account that connect."""
        return self.namespace, self.service_account


class Site(Model):
    """One datacenter: one cluster with one mesh."""

    name: Name
    cluster: Literal["auto", "k3d", "lab"] | ExistingCluster
    gateway: Gateway = Gateway()
    workloads: list[Workload] = []
    exports: list[Export] = []
    imports: list[Import] = []

    @property
    def cluster_kind(self) -> Literal["k3d", "lab", "existing"]:
        """What makes the cluster. `auto` is k3d where it is installed, else the lab."""
        match self.cluster:
            case ExistingCluster():
                return "existing"
            case "auto":
                return "k3d" if shutil.which("k3d") else "lab"
            case kind:
                return kind


class Lab(Model):
    """What differs on sites that the lab makes."""

    istio: Istio = Istio()


class Settings(Model):
    """A stack's whole configuration."""

    trust: Trust = Trust()
    istio: Istio = Istio()
    lab: Lab = Lab()
    sites: Annotated[list[Site], Field(min_length=1)]

    def istio_of(self, site: Site) -> Istio:
        """Return the Istio settings that hold for a site: the lab's are used instead of the others, whole."""
        return self.lab.istio if site.cluster_kind == "lab" else self.istio


Finding = tuple[str, object, str]
"""Path, value and what to do."""


def _duplicates(path: str, key: str, values: list[str]) -> Iterator[Finding]:
    seen = Counter[str]()
    for index, value in enumerate(values):
        seen[value] += 1
        if seen[value] == 2:
            yield f"{path}[{index}].{key}", value, "is there twice: give each a name of its own"


def _check_import(settings: Settings, site: Site, imported: Import, path: str) -> Iterator[Finding]:
    source = next((other for other in settings.sites if other.name == imported.from_), None)
    if source is None or source is site:
        others = ", ".join(other.name for other in settings.sites if other is not site) or "none"
        yield f"{path}.from", imported.from_, f"is no other site of this stack: choose one of {others}"
        return
    export = next((e for e in source.exports if e.name == imported.export), None)
    if export is None:
        names = ", ".join(e.name for e in source.exports) or "nothing"
        yield f"{path}.export", imported.export, f"is not exported by {source.name}, which exports {names}"
        return
    consumer = Consumer(
        site=site.name, namespace=imported.namespace, service_account=imported.service_account
    )
    if consumer not in export.consumers:
        yield (
            f"{path}.serviceAccount",
            imported.service_account,
            f"of {site.name}/{imported.namespace} may not consume {source.name}/{export.name}: add it to "
            "that export's consumers",
        )
    if export.namespace in {w.namespace for w in site.workloads} | {e.namespace for e in site.exports}:
        yield (
            f"{path}.export",
            imported.export,
            f"comes from namespace {export.namespace}, which {site.name} has too: the pods of both would have "
            "the same DNS names; use another namespace in one of the sites",
        )


def _check_site(settings: Settings, site: Site, path: str) -> Iterator[Finding]:
    yield from _duplicates(f"{path}.workloads", "namespace", [w.namespace for w in site.workloads])
    yield from _duplicates(f"{path}.exports", "name", [e.name for e in site.exports])
    replicas = {(w.namespace, w.name): w.replicas for w in site.workloads if isinstance(w, Hello)}
    for index, export in enumerate(site.exports):
        running = replicas.get((export.namespace, export.stateful_set or export.name), export.replicas)
        if export.replicas > running:
            yield (
                f"{path}.exports[{index}].replicas",
                export.replicas,
                f"is more than the {running} pods that the workload runs: lower it or raise the workload's",
            )
    for index, imported in enumerate(site.imports):
        yield from _check_import(settings, site, imported, f"{path}.imports[{index}]")


def cross_checks(settings: Settings) -> Iterator[Finding]:
    """Find what is wrong between parts that are each right."""
    yield from _duplicates("sites", "name", [site.name for site in settings.sites])
    for index, site in enumerate(settings.sites):
        yield from _check_site(settings, site, f"sites[{index}]")


def _path(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def parse(raw: dict[str, Any]) -> Settings:
    """Validate a configuration.

    Args:
        raw: the configuration's keys without the project's prefix, as plain data.

    Raises:
        ConfigError: it is wrong; all that was found is in the message, a line an error.
    """
    try:
        settings = Settings.model_validate(raw)
        findings = list(cross_checks(settings))
    except ValidationError as error:
        findings = [(_path(e["loc"]), e["input"], e["msg"]) for e in error.errors()]
    if findings:
        lines = (f"  {path}: {value!r} {advice}" for path, value, advice in findings)
        raise ConfigError("\n".join(["the configuration is wrong, nothing was changed:", *lines]))
    return settings


def load(config: pulumi.Config) -> Settings:
    """Read and validate the configuration of the stack that runs.

    Raises:
        ConfigError: see `parse`.
    """
    found = {key: config.get_object(key) for key in (f.alias or n for n, f in Settings.model_fields.items())}
    return parse({key: value for key, value in found.items() if value is not None})
