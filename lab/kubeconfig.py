"""Kubeconfigs, by which others reach a site's Kubernetes API."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lab.errors import LabError
from lab.paths import SitePaths


def of_site(site: SitePaths) -> dict[str, Any]:
    """Return an administrator's kubeconfig with everything inline. Its names are LAB-SITE.

    Raises:
        LabError: the site does not exist.
    """
    try:
        return named(site.kubeconfig("admin"), f"{site.lab}-{site.name}")
    except FileNotFoundError:
        raise LabError(f"there is no site {site.name} in lab {site.lab}") from None


def named(file: Path, name: str) -> dict[str, Any]:
    """Return the kubeconfig that kubeadm has made for a client. It has everything inline, and the given name."""
    made = yaml.safe_load(file.read_text())
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": made["clusters"][0]["cluster"]}],
        "users": [{"name": name, "user": made["users"][0]["user"]}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def of_sites(sites: Sequence[SitePaths]) -> dict[str, Any]:
    """Return one kubeconfig with a context for each site. The first one is current."""
    each = [of_site(site) for site in sites]
    lists = {key: [entry for one in each for entry in one[key]] for key in ("clusters", "users", "contexts")}
    current = each[0]["current-context"] if each else ""
    return {"apiVersion": "v1", "kind": "Config", **lists, "current-context": current}
