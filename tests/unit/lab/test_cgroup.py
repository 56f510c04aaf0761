"""A site's cgroups have their share of the processor, and nothing is left of them when the site is gone."""

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


@pytest.mark.parametrize("setting", ["cpu.shares", "cpu.weight"])
def test_all_sites_together_and_all_containers_have_more_processor_time_than_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str
) -> None:
    """Containers of all labs are in one group. With the default they get one process's time, and probes time out."""
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    usual = {"cpu.shares": 1024, "cpu.weight": 100}[setting]
    for group in ("cpu/dcmesh-lab", "cpu/k8s.io"):
        (tmp_path / group).mkdir(parents=True)
        (tmp_path / group / setting).write_text(str(usual))
    (tmp_path / "cpu/cgroup.procs").touch()
    cgroup.create(paths.SitePaths("demo", "dc1"))
    for group in ("cpu/dcmesh-lab", "cpu/k8s.io"):
        assert int((tmp_path / group / setting).read_text()) == 2 * usual


def test_the_containers_group_goes_with_the_last_site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is shared, so no site can tell from the group alone that nobody needs it."""
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    (tmp_path / "cgroup.procs").touch()
    first, second = (paths.SitePaths("demo", name) for name in ("dc1", "dc2"))
    cgroup.create(first)
    cgroup.create(second)
    cgroup.remove(first)
    assert (tmp_path / "k8s.io").is_dir()
    cgroup.remove(second)
    assert [entry.name for entry in tmp_path.iterdir()] == ["cgroup.procs"]
