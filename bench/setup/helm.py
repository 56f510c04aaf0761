"""The command helm for the sequential way. Its version is that of the Helm inside Pulumi's provider."""

import os
import subprocess
from pathlib import Path

from lab.paths import CACHE

VERSION = "v3.18.6"


def directory() -> Path:
    """Return the directory with the command. The go command builds it once."""
    place = CACHE / f"helm-{VERSION}"
    if not (place / "helm").exists():
        print(f"helm {VERSION} is built, once", flush=True)
        subprocess.run(
            ["go", "install", "-trimpath", "-ldflags=-s -w", f"helm.sh/helm/v3/cmd/helm@{VERSION}"],
            env=os.environ | {"GOBIN": str(place), "CGO_ENABLED": "0"},
            check=True,
        )
    return place
