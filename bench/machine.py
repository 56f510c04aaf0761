"""Describes the machine on which the figures were measured."""

import csv
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from lab import toolchain

CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def note(path: Path) -> None:
    """Write down the facts on which the figures of this run depend."""
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": str(os.cpu_count()),
        "processor": models[0] if models else platform.machine(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "congestion control": CONGESTION_CONTROL.read_text().strip(),
        "kubernetes": toolchain.KUBERNETES,
        "istio": toolchain.ISTIO.version,
        "envoy": toolchain.ISTIO.envoy,
        "mariadb": toolchain.MARIADB,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("what", "is"), *facts.items()])


def described(path: Path) -> str:
    """Return what was written down, as a sentence."""
    with path.open(newline="") as file:
        facts = {row["what"]: row["is"] for row in csv.DictReader(file)}
    return (
        f"{facts['date']}, one machine of {facts['cores']} cores ({facts['processor']}) and {facts['memory']}, "
        f"Linux {facts['kernel']}, TCP with {facts['congestion control']}; Kubernetes {facts['kubernetes']}, "
        f"Istio {facts['istio']}, Envoy {facts['envoy']}, MariaDB {facts['mariadb']}"
    )
