"""The whole program, the real `__main__.py`, run under mocks: in one stack, or in several one after the other."""

import functools
import json
import re
import runpy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dcmesh.model.ownership_marks import OURS
from tests.unit.conftest import ROOT
from tests.unit.engine import PROJECT, Engine, Resource
from tests.unit.servers import KUBE_SYSTEM, VERSION, KubernetesAPI, kubernetes_api

Config = dict[str, Any]

ISTIO_SYSTEM = "/api/v1/namespaces/istio-system"


def site_of(resource: Resource) -> str:
    """Return the site of a resource, with which the resource's name begins."""
    return re.split("[-.]", resource.name)[0]


def imported(engine: Engine, kind: str) -> list[Resource]:
    """Return the importing sites' resources of a kind."""
    return [r for r in engine.kind(kind) if any(part.kind == "SiteImports" for part in engine.parents(r.name))]


def exported(engine: Engine, kind: str) -> list[Resource]:
    """Return the exporting sites' resources of a kind."""
    return [r for r in engine.kind(kind) if any(part.kind == "ServiceExport" for part in engine.parents(r.name))]


def probed(job: Resource) -> list[list[str]]:
    """Return what a Job's probe asks: hosts with port and kind."""
    (container,) = job.spec["template"]["spec"]["containers"]
    (lines,) = [variable["value"] for variable in container["env"] if variable["name"] == "PROBE_HOSTS"]
    return [line.split() for line in lines.splitlines()]


def probes(engine: Engine) -> list[Resource]:
    """Return the Jobs that probe imports."""
    return [job for job in engine.kind("Job") if any(part.kind == "LinkProbe" for part in engine.parents(job.name))]


def asked_hosts(engine: Engine) -> dict[str, set[str]]:
    """Return the hosts that each importing site's probes ask."""
    found = dict[str, set[str]]()
    for job in probes(engine):
        found.setdefault(site_of(job), set()).update(host for host, *_ in probed(job))
    return found


def source_of(database: Resource) -> str:
    """Return the host that pod 0 of a database's StatefulSet follows."""
    (prepare,) = database.spec["template"]["spec"]["initContainers"]
    (host,) = [variable["value"] for variable in prepare["env"] if variable["name"] == "SOURCE_HOST"]
    return str(host)


@contextmanager
def existing_clusters(directory: Path, *sites: str) -> Iterator[KubernetesAPI]:
    """Fake a cluster for each site, as `$CLUSTERS/SITE`, with an Istio of revision `stable` and certificates.

    One server stands in for all of them. They differ in their tokens.
    """
    with kubernetes_api() as server, pytest.MonkeyPatch.context() as patch:
        for site in sites:
            (directory / site).write_text(server.kubeconfig(token=f"secret token of {site}"))
        patch.setenv("CLUSTERS", str(directory))
        keys = ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem")
        dns_capture = "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}"
        server.objects = {
            **KUBE_SYSTEM,
            "/version/": VERSION,
            "/api/v1/nodes": {"items": []},
            f"{ISTIO_SYSTEM}/secrets/cacerts": {"metadata": {"labels": OURS}, "data": dict.fromkeys(keys, "")},
            f"{ISTIO_SYSTEM}/configmaps/istio-stable": {"data": {"mesh": dns_capture}},
        }
        yield server


def existing_cluster(site: str) -> Config:
    """Return where a site finds its cluster."""
    return {"kubeconfig": f"$CLUSTERS/{site}", "context": "there"}


def run_program(engine: Engine, stack: Config) -> Engine:
    """Run `__main__.py` with a configuration, on a machine without k3d. Each probe succeeds.

    Args:
        engine: the engine that it asks.
        stack: the configuration.
    """

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.which", lambda _: None)
        patch.setattr("components.site.with_rto_max", lambda *_: ["node-1"])
        patch.setattr(
            "components.trust.rotation.certificates",
            lambda _, given: {"certChain": given.chain, "rootCert": given.root},
        )
        patch.chdir(ROOT)
        return engine.run(
            lambda: runpy.run_path(str(ROOT / "__main__.py")),
            {key: json.dumps(value) for key, value in stack.items()},
        )


def running_once() -> Callable[[Config], Engine]:
    """Return a function that runs the program with a configuration, once for all tests that only look at the result."""
    run = functools.cache(lambda stack: run_program(Engine(), json.loads(stack)))
    return lambda stack: run(json.dumps(stack))


program_of = running_once()
"""This is for configurations without existing clusters: only some tests have one."""


def run_apart(stacks: Iterable[tuple[str, Config]], before: Mapping[str, Engine] | None = None) -> dict[str, Engine]:
    """Run stacks one after the other. Each sees the outputs that the others have by then.

    Args:
        stacks: name and configuration of each. A stack that occurs twice runs twice. A stack that has not run yet
            exists without outputs, as after `pulumi stack init`.
        before: the stacks that ran before.
    """
    stacks = list(stacks)
    engines = dict(before or {})
    for name, stack in stacks:
        known = {other: Engine() for other, _ in stacks} | engines
        outputs = {f"organization/{PROJECT}/{other}": engine.outputs for other, engine in known.items()}
        engines[name] = run_program(Engine(stacks=outputs), stack)
    return engines


def together(engines: Iterable[Engine]) -> Engine:
    """Return the resources of several stacks, as if one stack had all of them."""
    union = Engine()
    for engine in engines:
        assert union.asked.keys() & engine.asked.keys() <= {"trust", "pair", "pair-passwords"}
        union.asked |= engine.asked
        union.secret_outputs |= engine.secret_outputs
        for key, value in engine.outputs.items():
            union.outputs.setdefault(key, {}).update(value)
        union.raw_outputs |= {str(len(union.raw_outputs)): engine.raw_outputs}
    return union
