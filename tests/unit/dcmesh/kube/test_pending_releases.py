"""Unfinished Helm releases: which are forgotten, which are waited for, and which are somebody else's."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest

from dcmesh.kube import pending_releases
from dcmesh.kube.api import connect
from dcmesh.kube.kubeconfig import read_kubeconfig
from dcmesh.kube.pending_releases import MARGIN, BusyError, ForeignError, Hold, Record, begin, left
from tests.unit.servers import kubernetes_api

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
STACK = "organization/dcmesh/dev"
HOLD = Hold(host="here", session=42, stack=STACK, since=NOON, made=NOON, seconds=360)


def record(status: str, version: int = 1, *, seconds: int = 1) -> Record:
    return Record(secret=f"v{version}", status=status, begun=NOON + timedelta(seconds=seconds))


INSTALLING, UPGRADING, DEPLOYED = record("pending-install"), record("pending-upgrade", 2), record("deployed")
OLD = replace(DEPLOYED, begun=NOON - timedelta(days=1))


def forgotten(*records: Record, hold: Hold | None = HOLD, known: bool = False, at_work: bool = False, **to: Any) -> Any:
    """Return the releases that are forgotten, by default a minute after the hold was taken."""
    given = {"stack": STACK, "timeout": 300, "now": NOON + timedelta(minutes=1)}
    return list(left(records, hold, known=known, at_work=lambda _: at_work, **given | to))


LATER = NOON + timedelta(seconds=300 + MARGIN + 2)


def test_what_is_not_there_or_done_is_left_alone() -> None:
    assert forgotten() == []
    assert forgotten(OLD, known=True) == []
    assert forgotten(OLD, record("failed", 2), known=True, hold=None) == []


@pytest.mark.parametrize("status", ["pending-install", "deployed", "failed"])
def test_a_first_install_of_a_dead_run_is_forgotten_whole(status: str) -> None:
    """If only pulumi is killed, its plugin lives on, and finishes a release that no state contains."""
    assert forgotten(record(status)) == [record(status)]


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-rollback"])
def test_of_an_upgrade_the_pending_revision_alone_is_forgotten(status: str) -> None:
    assert forgotten(OLD, record(status, 2), known=True) == [record(status, 2)]


@pytest.mark.parametrize("hold", [HOLD, None, replace(HOLD, stack="organization/dcmesh/other")])
@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_may_live_is_waited_for_until_it_cannot(hold: Hold | None, known: bool) -> None:
    pending = UPGRADING if known else INSTALLING
    with pytest.raises(BusyError):
        forgotten(pending, hold=hold, known=known, at_work=True)
    assert forgotten(pending, hold=hold, known=known, at_work=True, now=LATER) == [pending]


def test_a_release_may_have_a_time_out_of_its_own() -> None:
    with pytest.raises(BusyError) as waits:
        forgotten(INSTALLING, hold=None, timeout=900, now=LATER)
    assert waits.value.until == INSTALLING.begun + timedelta(seconds=900 + MARGIN)


@pytest.mark.parametrize(
    "hold",
    [
        None,
        replace(HOLD, stack="organization/dcmesh/other"),
        replace(HOLD, made=NOON + timedelta(seconds=2)),  # it was there before this stack's run
        replace(HOLD, made=NOON - timedelta(days=1)),  # that run was over by then
    ],
)
def test_somebody_elses_release_is_not_taken_over(hold: Hold | None) -> None:
    with pytest.raises(ForeignError):
        forgotten(DEPLOYED, hold=hold)


# --- in the cluster --------------------------------------------------------------------------------------------------


def test_revisions_and_the_hold_are_read_as_helm_and_dcmesh_write_them() -> None:
    namespace = "namespaces/istio-system"

    def secret(version: int, status: str) -> dict[str, Any]:
        labels = {"owner": "helm", "name": "istiod", "status": status, "version": str(version)}
        return {"metadata": {"name": f"v{version}", "labels": labels, "creationTimestamp": "2026-11-28T12:00:01Z"}}

    with kubernetes_api() as cluster:
        secrets = [secret(10, "pending-upgrade"), secret(9, "deployed")]
        cluster.objects = {
            f"/api/v1/{namespace}/secrets?labelSelector=owner=helm,name=istiod": {"items": secrets},
            f"/apis/coordination.k8s.io/v1/{namespace}/leases/dcmesh-helm-istiod": {
                "metadata": {"creationTimestamp": "2026-11-28T12:00:00Z"},
                "spec": {
                    "holderIdentity": f"here/42/{STACK}",
                    "acquireTime": "2026-11-28T12:00:00.000000Z",
                    "leaseDurationSeconds": 360,
                },
            },
        }
        with connect(read_kubeconfig("it", lambda _: cluster.kubeconfig()).only("there")) as api:
            release = pending_releases.Release(api, "istio-system", "istiod")
            assert release.records() == [record("deployed", 9), record("pending-upgrade", 10)]
            assert release.hold() == HOLD
            assert pending_releases.Release(api, "istio-system", "istio-base").hold() is None


# --- waiting and doing -----------------------------------------------------------------------------------------------


class Release:
    """A release whose state changes each time that it is looked at. It records what is done to it."""

    namespace = "istio-system"

    def __init__(self, *looks: list[Record], hold: Hold | None = None) -> None:
        self.looks = list(looks)
        self.done: list[str] = []
        self._hold = hold

    def __str__(self) -> str:
        return "istio-system/istiod"

    def records(self) -> list[Record]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def hold(self) -> Hold | None:
        return self._hold

    def forget(self, record: Record) -> None:
        self.done.append(f"forget {record.secret}")

    def take(self, stack: str, seconds: int, now: datetime) -> None:
        assert (stack, seconds) == (STACK, 300 + MARGIN)
        self.done.append("take")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    lines: list[str] = []
    monkeypatch.setattr(pending_releases, "INTERVAL", 0)
    monkeypatch.setattr("pulumi.log.info", lines.append)
    return iter([lines]).__next__()


def just_now(status: str, **changes: Any) -> Record:
    return replace(record(status, **changes), begun=datetime.now(UTC))


def test_it_waits_for_a_run_that_lives_says_so_once_and_goes_on(said: list[str]) -> None:
    busy = [OLD, just_now("pending-upgrade", version=2)]
    release: Any = Release(busy, busy, [OLD, just_now("deployed", version=2)])
    begin(release, STACK, known=True, timeout=300)
    assert release.done == ["take"]
    (line,) = said
    assert "istio-system/istiod is pending-upgrade since" in line
    assert "delete the Secret v2 there" in line


def test_a_dead_runs_release_is_forgotten_then_taken(said: list[str]) -> None:
    release: Any = Release([INSTALLING], hold=HOLD)
    begin(release, STACK, known=False, timeout=300)
    assert release.done == ["forget v1", "take"]
    assert "pending-install by a run that is dead" in said[0]


def test_somebody_elses_is_refused_by_name(said: list[str]) -> None:
    release: Any = Release([OLD])
    with pytest.raises(pulumi.RunError, match=r"istio-system/istiod is there already \(deployed\).*istio.existing"):
        begin(release, STACK, known=False, timeout=300)
    assert (release.done, said) == ([], [])
