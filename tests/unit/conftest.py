"""Fixtures that unit tests share."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from dcmesh import config
from dcmesh.model.link import Consumer, ExportedPort, ExportedService, server_name
from tests.unit import configurations
from tests.unit.engine import Engine

ROOT = Path(__file__).parents[2]

# Imported modules stay. Searching them for garbage again and again takes a fifth of the time.
gc.disable()

hypothesis.settings.register_profile("unit", max_examples=30, deadline=None, database=None)
hypothesis.settings.load_profile("unit")


def pytest_collection_finish() -> None:
    """Let the garbage collector run as seldom as memory allows: a run of the whole program makes a million objects."""
    gc.freeze()
    gc.set_threshold(200_000)
    gc.enable()


def settings_of(raw: dict[str, Any]) -> config.Settings:
    """Parse a configuration that is right."""
    settings, _ = config.parse(raw, read=configurations.read_stack)
    return settings


def stack_dev() -> dict[str, Any]:
    """Return the configuration of the demo's pair, as plain data, on the lab's clusters: these have load balancers."""
    return configurations.stack("lab")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def dev() -> dict[str, Any]:
    return stack_dev()


@pytest.fixture
def database() -> ExportedService:
    """An export whose names are all different, so that a mix-up is noticed."""
    return ExportedService(
        name="orders",
        namespace="shop",
        hosts=("db-pxc-0.db.shop.svc.cluster.local", "db-pxc-1.db.shop.svc.cluster.local"),
        ports=(ExportedPort(port=3306, probe="greeting"),),
        protocol="TCP",
        identities=("spiffe://cluster.local/ns/shop/sa/mysql",),
        consumers=(Consumer(site="dc2", namespace="dr", service_account="replica"),),
    )


@pytest.fixture
def at_ingress(database: ExportedService) -> ExportedService:
    """The same with TLS that ends at two ingress ports, and with consumers of two trust domains."""
    own = Consumer(site="dc2", namespace="dr", service_account="replica", trust_domains=("dc2.dcmesh",))
    return database.model_copy(
        update={
            "ingress": True,
            "ports": (*database.ports, ExportedPort(port=33060)),
            "server_names": tuple(server_name(host, "dc1") for host in database.hosts),
            "consumers": (own, Consumer(site="dc2", namespace="dr", service_account="backup")),
        }
    )


@pytest.fixture
def executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a shell script at the beginning of the PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory), prepend=":")

    def write(name: str, script: str) -> Path:
        path = directory / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)
        return path

    return write
