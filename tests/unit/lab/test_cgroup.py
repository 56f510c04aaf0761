"""Nothing is left of a site's cgroups when the site is gone."""

from pathlib import Path

import pytest

from lab import cgroup, paths


def test_the_groups_of_a_sites_containers_go_with_it_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """containerd puts them beside the site's own group, and keeps those of containers that were killed with it."""
    root = tmp_path / "cgroup"
    monkeypatch.setattr(cgroup, "_ROOT", root)
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    site = paths.SitePaths("demo", "dc1")
    own = site.cgroup.lstrip("/")
    for hierarchy in ("pids", "memory"):
        for group in (f"{own}/system", "k8s.io/ours", "k8s.io/anothers"):
            (root / hierarchy / group).mkdir(parents=True, exist_ok=True)
        (root / hierarchy / "cgroup.procs").touch()
    (site.run / "containerd/io.containerd.runtime.v2.task/k8s.io/ours").mkdir(parents=True)
    cgroup.remove(site)
    for hierarchy in ("pids", "memory"):
        left = [str(group.relative_to(root / hierarchy)) for group in (root / hierarchy).rglob("*/")]
        assert left == ["k8s.io", "k8s.io/anothers"]
