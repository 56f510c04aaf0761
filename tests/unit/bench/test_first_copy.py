"""The benchmark of a first copy: its configuration, what it reads from the script, and what its section says."""

import subprocess
from pathlib import Path

import pytest

from bench.first_copy import report, run
from bench.first_copy.figures import BACKUP, CASES, COPIED, DUMP, PLAIN_BACKUP, PLAIN_BYTES, PREPARED, WAYS
from bench.samples import Sample
from components.databases.mariadb import BACKUP_SCRIPTS
from dcmesh.model.mariadb import COPY_PORT
from tests.e2e.toolbox import Kubectl
from tests.unit.configurations import parse

SAID = """\
100.5 dcmesh: waits for a backup of db-0.db.wookie: it serves another one
101.5 dcmesh: copies db-0.db.wookie: about 1100 MiB
106.5 dcmesh: copies db-0.db.wookie: 600 of about 1100 MiB, 100 MiB/s, about 5 s left
112.5 dcmesh: prepares the copy of db-0.db.wookie
112.6 came 111.75
115.1 dcmesh: has copied db-0.db.wookie
"""


def measured(**values: float) -> list[Sample]:
    """Three rounds of everything. Each value is 1, or as given by way."""
    return [
        Sample(metric=metric, unit="", way=way, case=case.name, round=number, value=values.get(way, 1))
        for case in CASES
        for number in (1, 2, 3)
        for metric, ways in ((COPIED, WAYS), (PREPARED, (BACKUP, PLAIN_BACKUP)))
        for way in ways
    ]


def test_coming_and_preparing_are_told_apart() -> None:
    came, prepared = run.times(SAID)
    assert came == pytest.approx(10.25)
    assert prepared == pytest.approx(2.5)


def test_a_copy_that_was_begun_again_counts_from_there() -> None:
    again = SAID.replace("112.5", "108 dcmesh: copies db-0.db.wookie: about 1100 MiB\n112.5")
    assert run.times(again)[0] == pytest.approx(3.75)


def test_a_copy_that_was_none_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="takes a dump"):
        run.times("100.5 dcmesh: takes a dump of db-0.db.wookie: no backup is served there\n")


def test_the_script_is_changed_where_it_is_meant_to_be(tmp_path: Path) -> None:
    (line,) = (line for line in run.FETCH.splitlines() if line.startswith("sed "))
    script = tmp_path / "fetch.sh"
    script.write_text(BACKUP_SCRIPTS["fetch.sh"])
    changes = "\n".join(line for line in run.FETCH.splitlines() if line.startswith(("came=", "changes=")))
    shown = line.replace("/etc/dcmesh/settings/fetch.sh", str(script)).rpartition(" >")[0]
    done = subprocess.run(
        ["bash", "-c", f"to={tmp_path}\n{changes}\n{shown}"], check=True, capture_output=True, text=True
    )
    assert f"copy={tmp_path}/copy received={tmp_path}/received" in done.stdout
    assert '\necho "came $(stat --format=%.9Y "$received/$COMPLETE")"; restore\n' in done.stdout
    assert "/incoming" not in done.stdout
    assert "/nowhere" in done.stdout


def test_it_is_a_right_configuration_with_one_pod_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    sites = run.configuration({name: Kubectl("", tmp_path / name) for name in ("dc1", "dc2")})["dcmesh:sites"]
    source, replica = parse({"sites": [{**site, "cluster": "k3d"} for site in sites]}).sites
    assert [of.replicas for site in (source, replica) for of in site.workloads] == [1, 1]
    assert [port.port for port in source.exports[0].ports] == [3306, COPY_PORT]


def test_the_section_has_every_wan_and_way() -> None:
    text = report.section(measured(**{BACKUP: 6, PLAIN_BACKUP: 8, PLAIN_BYTES: 24, DUMP: 2}))
    assert all(f"| {case.name}: GB a minute |" in text for case in CASES)
    assert f"| {BACKUP} |{' 6 (6 to 6) | 0.75 (0.75 to 0.75) |' * 3} 6 (6 to 6) |" in text
    assert f"| {PLAIN_BYTES} |{' 24 (24 to 24) | 3 (3 to 3) |' * 3}  |" in text


@pytest.mark.parametrize(("backup", "met"), [(0.8, True), (0.79, False)])
def test_a_backup_is_judged_beside_the_same_by_plain_tcp(backup: float, met: bool) -> None:
    (aim,) = report.aims(measured(**{BACKUP: backup}))
    assert aim.met == met
    assert [case.name in aim.measured for case in CASES] == [True] * 3


def test_what_was_not_measured_is_no_aim() -> None:
    assert not list(report.aims([of for of in measured() if of.way == DUMP]))
