"""What a killed `up` leaves of a Helm release. Helm would refuse it for ever; here it is forgotten before the next."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pulumi
from kubernetes import client

from dcmesh.kube.api import SECONDS
from dcmesh.pulumi_processes import helm_may_be_at_work

PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
TIMEOUT = 300
"""The time-out of a release of which the program says none: Pulumi's."""

MARGIN = 60
"""Seconds that Helm may need beyond a release's time-out, which begins when all objects are there."""

INTERVAL, TELL = 2, 30
"""How often a release that others may be at work on is looked at, and how often the user is told so, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One revision of a release, as Helm keeps it: the Secret's name, the status, and when it was begun."""

    secret: str
    status: str
    begun: datetime


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Which run is at work on a release, or was when it was killed.

    Attributes:
        host: the machine that runs it.
        session: the session of processes there that it is in.
        stack: the stack, by its whole name.
        since: since when, by that machine's clock.
        made: since when, by the cluster's.
        seconds: for how long at most.
    """

    host: str
    session: int
    stack: str
    since: datetime
    made: datetime
    seconds: int

    @property
    def end(self) -> datetime:
        """Until when the run may be at work."""
        return self.since + timedelta(seconds=self.seconds)

    def covers(self, record: Record) -> bool:
        """Tell whether the run has begun a revision."""
        return self.made <= record.begun <= self.made + timedelta(seconds=self.seconds)


class ForeignError(Exception):
    """A release is there already, and it is not the stack's."""


class BusyError(Exception):
    """A run may be at work on a release."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until


def left(
    records: Sequence[Record],
    hold: Hold | None,
    *,
    stack: str,
    known: bool,
    timeout: int,
    now: datetime,
    at_work: Callable[[Hold], bool],
) -> Sequence[Record]:
    """Return the revisions that a killed run has left, and that Helm must not find.

    Args:
        records: all of the release, the newest last.
        hold: the last run that was at work on it and did not come to an end.
        stack: this stack.
        known: whether the release is in the stack's state; else Helm is to install it.
        timeout: its time-out in seconds.
        now: the present.
        at_work: tells whether a run may be at work still.

    Raises:
        BusyError: somebody may be at work on it.
        ForeignError: it is somebody else's.
    """
    if not records or (known and records[-1].status not in PENDING):
        return []
    newest = records[-1]
    own = hold if hold and hold.stack == stack and hold.covers(newest) else None
    if newest.status in PENDING:
        until = own.end if own else newest.begun + timedelta(seconds=timeout + MARGIN)
        if now < until and (own is None or at_work(own)):
            raise BusyError(until)
    elif not own:
        raise ForeignError
    # What is installed anew takes over the objects, which have Helm's annotations.
    return records[-1:] if known else records


class Release:
    """A Helm release in a cluster, as far as it is looked at before Helm."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name
        self._core = client.CoreV1Api(api)
        self._leases = client.CoordinationV1Api(api)
        self._lease = f"dcmesh-helm-{name}"

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"{self.namespace}/{self.name}"

    def records(self) -> list[Record]:
        """Return its revisions, the newest last."""
        found = self._core.list_namespaced_secret(
            self.namespace, label_selector=f"owner=helm,name={self.name}", _request_timeout=SECONDS
        ).items
        return [
            Record(
                secret=secret.metadata.name,
                status=secret.metadata.labels["status"],
                begun=secret.metadata.creation_timestamp,
            )
            for secret in sorted(found, key=lambda secret: int(secret.metadata.labels["version"]))
        ]

    def forget(self, record: Record) -> None:
        """Delete a revision, and nothing of what it has made."""
        self._core.delete_namespaced_secret(record.secret, self.namespace, _request_timeout=SECONDS)

    def hold(self) -> Hold | None:
        """Return which run is at work on it, or was when it was killed."""
        try:
            lease = self._leases.read_namespaced_lease(self._lease, self.namespace, _request_timeout=SECONDS)
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        host, session, stack = lease.spec.holder_identity.split("/", 2)
        return Hold(
            host=host,
            session=int(session),
            stack=stack,
            since=lease.spec.acquire_time,
            made=lease.metadata.creation_timestamp,
            seconds=lease.spec.lease_duration_seconds,
        )

    def take(self, stack: str, seconds: int, now: datetime) -> None:
        """Note that this run is at work on it."""
        self.give_up()
        self._leases.create_namespaced_lease(
            self.namespace,
            client.V1Lease(
                metadata=client.V1ObjectMeta(name=self._lease),
                spec=client.V1LeaseSpec(
                    holder_identity=f"{socket.gethostname()}/{os.getsid(0)}/{stack}",
                    acquire_time=now,
                    lease_duration_seconds=seconds,
                ),
            ),
            _request_timeout=SECONDS,
        )

    def give_up(self) -> None:
        """Note that no run is at work on it."""
        try:
            self._leases.delete_namespaced_lease(self._lease, self.namespace, _request_timeout=SECONDS)
        except client.ApiException as error:
            if error.status != 404:
                raise


def begin(release: Release, stack: str, *, known: bool, timeout: int) -> None:
    """Wait until nobody is at work on a release, forget what a killed run has left of it, and take it.

    Raises:
        pulumi.RunError: it is somebody else's.
    """
    told = 0.0
    while True:
        now = datetime.now(UTC)
        records = release.records()
        try:
            dead = left(
                records,
                release.hold(),
                stack=stack,
                known=known,
                timeout=timeout,
                now=now,
                at_work=lambda hold: helm_may_be_at_work(hold.host, hold.session, hold.since),
            )
            break
        except ForeignError:
            raise pulumi.RunError(
                f"the Helm release {release} is there already ({records[-1].status}), and this stack has not made it: "
                "remove it by `helm uninstall`. An Istio or an operator can be used as it is (`istio.existing`, "
                "`pxc.existing`)"
            ) from None
        except BusyError as busy:
            if time.monotonic() - told > TELL:
                told = time.monotonic()
                newest = records[-1]
                pulumi.log.info(
                    f"the Helm release {release} is {newest.status} since {newest.begun:%H:%M:%S} UTC. If the run that "
                    f"does it is dead, this goes on by itself at {busy.until:%H:%M:%S}, or as soon as you delete the "
                    f"Secret {newest.secret} there"
                )
        time.sleep(INTERVAL)
    for record in dead:
        pulumi.log.info(f"the Helm release {release} is {record.status} by a run that is dead: it is begun again")
        release.forget(record)
    release.take(stack, timeout + MARGIN, now)
