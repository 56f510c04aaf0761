"""The Kubernetes client whose classes are imported when used: it has all names of the real one, and imports little."""

import subprocess
import sys

from tests.unit.conftest import ROOT

FEW = """
import sys
import dcmesh.kube.api
import dcmesh.kube.cluster_reader
loaded = [name for name in sys.modules if name.startswith("kubernetes.client.models.")]
assert not loaded, loaded
"""

ALL = """
import ast
from importlib import import_module
from pathlib import Path
import dcmesh.kube
from kubernetes import __version__, client
(directory,) = client.__path__
for line in ast.walk(ast.parse(Path(directory, "__init__.py").read_text())):
    if isinstance(line, ast.ImportFrom) and line.module != "__future__":
        for name in line.names:
            assert getattr(client, name.name) is getattr(import_module(line.module), name.name), name.name
assert __version__ == client.__version__ == import_module("importlib.metadata").version("kubernetes")
assert import_module("kubernetes.dynamic").DynamicClient
assert client.models.V1APIGroup is client.V1APIGroup
assert not hasattr(client, "V1Nothing")
"""

TOO_LATE = """
import kubernetes
import dcmesh.kube
from kubernetes import client
assert type(client).__name__ == "module"
"""


def run(program: str) -> tuple[int, str]:
    """Run a program in a fresh Python, and return its exit status and its errors."""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


def test_no_kind_is_imported_before_it_is_asked_for() -> None:
    assert run(FEW) == (0, "")


def test_it_has_all_that_the_client_has() -> None:
    assert run(ALL) == (0, "")


def test_a_client_that_is_there_stays_as_it_is() -> None:
    assert run(TOO_LATE) == (0, "")
