"""The part's measurements.

One pair on two existing sites of the lab grows from step to step, and is destroyed in the end. While it is small,
unrelated Services come and go. Pulumi writes its state once, at the end of each command, except where the cost of the
default is measured.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import yaml

from bench.clusters import clusters
from bench.samples import Recorder, Sample
from bench.scale import stage
from bench.scale.processes import cpu_seconds
from bench.scale.proxies import Site
from tests.e2e.toolbox import Kubectl, Project, eventually

LAB = "scale"

STEPS = (1, 10, 100, 300)
"""How many exports the pair has."""

MOST = 3
"""The largest number of rounds of any measurement: this part has 15 minutes."""

FEW = 10
"""Up to this many exports, long measurements are made in each round; with more exports, once."""

MORE = (10, 100)
"""The numbers of exports at which the cost of ten more is measured. With 300, this alone would take minutes."""

CHANGES = 10
"""How many changes istiod gets one after another. Its CPU time is counted in hundredths of a second only."""

UNDISTURBED = 1.0
"""Seconds between a change and the question to istiod.

Without them, kubectl would compete with the push for the cores.
"""

UNRELATED = 500
"""Services that have nothing to do with dcmesh, in each site."""

LAST = {"PULUMI_SKIP_CHECKPOINTS": "true"}
"""The environment with which Pulumi writes its state only once, at the end."""

PROXIES = {
    "gateway": ("dc1", "dcmesh-gateway", "istio=dcmesh-gateway"),
    "source": ("dc1", stage.SOURCE, "statefulset.kubernetes.io/pod-name=hello-0"),
    "replica": ("dc2", stage.REPLICA, "app=client"),
    "consumer of all": ("dc2", stage.EVERYTHING, "app=client"),
}
"""The site, namespace and label of each proxy that is measured."""


def run(record: Recorder, rounds: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as directory, clusters(LAB, Path(directory)) as sites:
        pair = Pair(sites, Path(directory), record, min(rounds, MOST))
        for exports in STEPS:
            pair.step(exports)
            if exports == STEPS[0]:
                pair.unrelated()
        pair.destroy(str(STEPS[-1]))


class Pair:
    """The pair, with any number of exports."""

    proxies: ClassVar[Mapping[str, tuple[str, str, str]]] = PROXIES
    exporting = staticmethod(stage.sites)

    def __init__(self, sites: Mapping[str, Kubectl], directory: Path, record: Recorder, rounds: int) -> None:
        """Set up the mesh, without any export."""
        self._record = record
        self._rounds = rounds
        self._directory = directory
        self._kubeconfigs = {name: str(kubectl.path) for name, kubectl in sites.items()}
        self._sites = {name: Site(name, kubectl) for name, kubectl in sites.items()}
        self._project = Project(
            directory / "project",
            stack=LAB,
            config=stage.configuration(self.exporting(0, self._kubeconfigs)),
            state=directory / "state",
        )
        self._project.environment |= LAST
        self._project.init()
        self._project.up("--skip-preview")
        self._sites["dc1"].kubectl.apply(stage.backing_service())
        service = self._sites["dc1"].kubectl.get("service", "backing", stage.SOURCE)
        self._backing = service["spec"]["clusterIP"]
        self._exports = 0

    def step(self, exports: int) -> None:
        """Grow to this many exports, and measure everything."""
        case, rounds = str(exports), range(1, (self._rounds if exports <= FEW else 1) + 1)
        self._configure(exports)
        for number in rounds:
            begun = time.monotonic()
            spent = cpu_seconds(self._project, "preview")
            self._note("preview", "s", case, number, {"pair": time.monotonic() - begun})
            self._note("CPU of a preview", "s", case, number, spent)
        self._time("up", case, 1, self._up)
        for number in rounds:
            self._time("no-op up", case, number, self._up)
        self.weigh(case)
        if exports in MORE:
            self._ten_more(case)

    def weigh(self, case: str) -> None:
        """Measure the state, the proxies and the istiods."""
        state = next(self._directory.glob("state/.pulumi/stacks/*/*.json"))
        size = {"size": float(state.stat().st_size)}
        self._note("state", "B", case, 1, size)
        self._note("resources", "", case, 1, {"stack": float(len(self._project.resources()))})
        self._proxies(case)
        self._istiods(case)

    def unrelated(self) -> None:
        """Measure how Services that are not dcmesh's change a replica's proxy, with its scope and without.

        Each figure is of a pod that has just started, since a proxy gives little memory back.
        """
        for count in (0, UNRELATED):
            if count:
                self._add_services(count)
            for number in range(1, self._rounds + 1):
                for way in ("scoped", "unscoped"):
                    with_services = f"{count} unrelated Services"
                    if way == "unscoped":
                        removed = self._remove_scope()
                    self._restart("dc2", stage.REPLICA, "client")
                    self._proxy("replica", way, with_services, number)
                    if way == "unscoped":
                        self._sites["dc2"].kubectl("create", "--filename", "-", stdin=removed)
            for name in ("gateway", "source"):
                self._proxy(name, name, f"{count} unrelated Services", 1)
        for site in self._sites.values():
            site.kubectl("delete", "namespace", "unrelated")

    def destroy(self, case: str) -> None:
        """Remove it all."""
        self._time("destroy", case, 1, lambda: self._project.pulumi("destroy", "--yes", "--skip-preview"))

    def _configure(self, exports: int) -> None:
        with self._project.edit() as config:
            config.update(stage.configuration(self.exporting(exports, self._kubeconfigs)))
        entries = stage.backing_entries(range(self._exports, exports), self._backing)
        self._sites["dc1"].kubectl("create", "--filename", "-", stdin=yaml.safe_dump_all(entries))
        self._exports = exports

    def _up(self) -> None:
        self._project.up("--skip-preview")

    def _ten_more(self, case: str) -> None:
        """Add ten exports with the state written for each resource (the default), and ten with it written once."""
        for way in ("for each resource", "at the end"):
            self._configure(self._exports + 10)
            if way == "for each resource":
                self._project.environment = {k: v for k, v in self._project.environment.items() if k not in LAST}
            self._time("ten more", case, 1, self._up, way)
            self._project.environment |= LAST

    def _proxies(self, case: str) -> None:
        for number in range(1, self._rounds + 1):
            for name in self.proxies:
                self._proxy(name, name, case, number)

    def _proxy(self, name: str, way: str, case: str, number: int) -> None:
        site, namespace, label = self.proxies[name]
        pod = self._sites[site].pod(namespace, label)
        given = self._sites[site].configuration(namespace, pod)
        for metric, unit, value in (
            ("configuration", "B", given.size),
            ("clusters", "", given.clusters),
            ("listeners", "", given.listeners),
            ("endpoints", "", given.endpoints),
            ("Envoy's memory", "B", self._sites[site].allocated(namespace, pod)),
            ("working set", "B", self._sites[site].working_set(namespace, pod, "istio-proxy")),
        ):
            self._note(metric, unit, case, number, {way: float(value)})

    def _istiods(self, case: str) -> None:
        """Let istiod push a change to all proxies, and measure how long that takes."""
        for number in range(1, self._rounds + 1):
            for site in self._sites.values():
                before = site.pushes()
                change = stage.change_for_all(number)
                site.kubectl.apply(change)
                time.sleep(UNDISTURBED)
                cost = eventually("the change is pushed to all", partial(site.pushed, before), within=60)
                site.kubectl("delete", "--filename", "-", stdin=yaml.safe_dump(change))
                for metric, seconds in cost.items():
                    self._note(metric, "s", case, number, {site.name: seconds})
                memory = site.working_set("istio-system", site.istiod(), "discovery")
                self._note("istiod's working set", "B", case, number, {site.name: memory})
                changes = [stage.change_for_all(one) for one in range(1, CHANGES + 1)]
                spent = site.processor_for_a_push(changes)
                site.kubectl("delete", "--filename", "-", stdin=yaml.safe_dump_all(changes))
                self._note("CPU of a push", "s", case, number, {site.name: spent})

    def _add_services(self, count: int) -> None:
        for site in self._sites.values():
            site.kubectl("create", "namespace", "unrelated")
            site.kubectl("create", "--filename", "-", stdin=yaml.safe_dump_all(stage.unrelated_services(count)))

    def _remove_scope(self) -> str:
        """Remove the namespace's Sidecar behind Pulumi's back. Return a function that creates it again."""
        kubectl = self._sites["dc2"].kubectl
        scope = kubectl.get("sidecar", "default", stage.REPLICA)
        metadata = {
            key: scope["metadata"][key]
            for key in ("name", "namespace", "annotations", "labels")
            if key in scope["metadata"]
        }
        kubectl("delete", "sidecar", "default", "--namespace", stage.REPLICA)
        return json.dumps({**scope, "metadata": metadata})

    def _restart(self, site: str, namespace: str, deployment: str) -> None:
        kubectl = self._sites[site].kubectl
        kubectl("rollout", "restart", f"deployment/{deployment}", "--namespace", namespace)
        kubectl("rollout", "status", f"deployment/{deployment}", "--namespace", namespace, "--timeout=120s")

    def _time(self, metric: str, case: str, number: int, action: Callable[[], object], way: str = "pair") -> None:
        begun = time.monotonic()
        action()
        self._note(metric, "s", case, number, {way: time.monotonic() - begun})

    def _note(self, metric: str, unit: str, case: str, number: int, values: Mapping[str, float]) -> None:
        for way, value in values.items():
            self._record(Sample(metric=metric, unit=unit, way=way, case=case, round=number, value=value))
            print(f"{metric}, {way}, {case}, round {number}: {value:.6g} {unit}", file=sys.stderr, flush=True)
