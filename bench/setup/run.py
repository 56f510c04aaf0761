"""The part's measurements: the demo's pair on new clusters, set up by `pulumi up` and by hand."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.clusters import clusters
from bench.samples import Recorder, Sample
from bench.setup import by_hand, helm
from bench.setup.timings import Line, Span, previewed, resources, script_steps, waits
from lab.toolchain import ISTIO
from tests.e2e.toolbox import CLIENT, ROOT, Kubectl, Project, curl, lab_config

LAB = "bsetup"
MOST_ROUNDS = 3
"""A round makes four clusters and takes three minutes."""

SCRIPT = Path(__file__).with_name("sequential.sh")
CHARTS = ROOT / ".lab" / ISTIO.charts
CHANGES = "{.metadata.name} {.status.phase} {.status.conditions[?(@.type=='Ready')].status}{'\\n'}"


def run(record: Recorder, rounds: int) -> None:
    """Measure both ways, each time on new clusters."""
    helm_directory = helm.directory()
    for number in range(1, min(rounds, MOST_ROUNDS) + 1):
        for way in (_dcmesh, partial(_sequential, helm_directory)):
            with tempfile.TemporaryDirectory() as directory, clusters(LAB, Path(directory)) as sites:
                way(Notes(record, number), Path(directory), sites)


class Notes:
    """Records the figures of one round."""

    def __init__(self, record: Recorder, number: int) -> None:
        self._record = record
        self._number = number

    def seconds(self, metric: str, way: str, case: str, value: float) -> None:
        """Record how long something took."""
        self._record(Sample(metric=metric, unit="s", way=way, case=case, round=self._number, value=value))

    def spans(self, what: str, way: str, spans: Mapping[str, Span]) -> None:
        """Record when things began and ended."""
        for case, span in spans.items():
            self.seconds(f"{what} begin", way, case, span.begin)
            self.seconds(f"{what} end", way, case, span.end)


class Output:
    """The output of a process, each line with the second at which it came."""

    def __init__(self, process: subprocess.Popen[str], start: float) -> None:
        self.lines: list[Line] = []
        self.process = process
        self._start = start
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append((time.monotonic() - self._start, line))

    def end(self) -> float:
        """Wait until the process ends, and return when that was.

        Raises:
            RuntimeError: the process failed.
        """
        code = self.process.wait()
        end = time.monotonic() - self._start
        self._reader.join()
        if code:
            raise RuntimeError(f"{self.process.args!r} exited {code}:\n{''.join(line for _, line in self.lines)}")
        return end

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()
        self._reader.join()


@contextmanager
def watched_pods(sites: Mapping[str, Kubectl], start: float) -> Iterator[dict[str, Output]]:
    """Watch all pods of all sites."""
    watch = ("get", "pods", "--all-namespaces", "--watch", "--output", f"jsonpath={CHANGES}")
    with ExitStack() as stack:
        outputs = dict[str, Output]()
        for name, site in sites.items():
            process = subprocess.Popen(site.command(*watch), stdout=subprocess.PIPE, text=True)
            outputs[name] = Output(process, start)
            stack.callback(outputs[name].stop)
        yield outputs


def busy() -> float:
    """Return for how many seconds the machine's processors have been busy, added up."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return sum((user, nice, system, *interrupts)) / os.sysconf("SC_CLK_TCK")


def verify(sites: Mapping[str, Kubectl]) -> None:
    """Check that every host is answered by its own pod.

    Raises:
        RuntimeError: a host is not.
    """
    for pod in ("hello-0", "hello-1", "hello-2"):
        answer = curl(sites["dc2"], f"{pod}.hello.demo.svc.cluster.local", pod=CLIENT)
        if answer != (pod, "200"):
            raise RuntimeError(f"{pod} was asked for, and answered was {answer}")


def _dcmesh(notes: Notes, directory: Path, sites: Mapping[str, Kubectl]) -> None:
    config = lab_config()
    for site in config["dcmesh:sites"]:
        site["cluster"] = {"kubeconfig": str(sites[site["name"]].path)}
    stack = {**config, "dcmesh:protect": False}
    project = Project(directory / "project", stack="pair", config=stack, state=directory / "state")
    project.init()

    def timed(what: str, *arguments: str) -> None:
        begin = time.monotonic()
        project.pulumi(*arguments)
        notes.seconds("command", "dcmesh", what, time.monotonic() - begin)

    start, before = time.monotonic(), busy()
    with watched_pods(sites, start) as pods:
        up = Output(project.start("up", "--yes", "--json"), start)
        notes.seconds("set-up", "dcmesh", "pair", up.end())
        work = busy() - before
        notes.seconds("processors", "dcmesh", "pair", work)
        notes.seconds("processors, shared out", "dcmesh", "pair", work / (os.cpu_count() or 1))
        verify(sites)
    notes.seconds("preview", "dcmesh", "pair", previewed(up.lines))
    notes.spans("resource", "dcmesh", resources(up.lines))
    for name, output in pods.items():
        notes.spans("wait", "dcmesh", waits(name, output.lines))
    timed("preview of nothing", "preview")
    timed("up of nothing", "up", "--yes", "--expect-no-changes")
    sites["dc1"].apply(*by_hand.hello("more", "more"))
    sites["dc1"]("rollout", "status", "statefulset/more", "--namespace", "more", "--timeout=120s")
    with project.edit() as edited:
        _export_more(edited["dcmesh:sites"])
    timed("up with another export", "up", "--yes")
    timed("destroy", "destroy", "--yes")


def _export_more(sites: list[dict[str, Any]]) -> None:
    exporter, importer = sites
    (first,) = exporter["exports"]
    of_more = {"name": "more", "namespace": "more", "serviceAccount": "more", "selector": {"app": "more"}}
    exporter["exports"].append(first | of_more)
    (imported,) = importer["imports"]
    importer["imports"].append(imported | {"export": "more"})


def _sequential(helm_directory: Path, notes: Notes, directory: Path, sites: Mapping[str, Kubectl]) -> None:
    by_hand.write(directory, lab_config()["dcmesh:istio"]["values"])
    environment = os.environ | {"PATH": f"{helm_directory}:{os.environ['PATH']}", "HELM_CACHE_HOME": str(directory)}
    start, before = time.monotonic(), busy()
    with watched_pods(sites, start) as pods:
        script = subprocess.Popen(
            [SCRIPT, str(directory), str(CHARTS)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = Output(script, start)
        end = output.end()
        notes.seconds("set-up", "sequential", "pair", end)
        notes.seconds("processors", "sequential", "pair", busy() - before)
        verify(sites)
    notes.spans("step", "sequential", script_steps(output.lines, end))
    for name, seen in pods.items():
        notes.spans("wait", "sequential", waits(name, seen.lines))
