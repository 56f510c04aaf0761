"""Databases: each server, and the channel through which it follows another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dcmesh.databases.replication import parse_server
from dcmesh.kube.api import ERRORS, ApiClient, run_in, why
from dcmesh.kube.pods import RUNNING, last_words, read_pod
from dcmesh.model.facts import Fact, State
from dcmesh.sites_in_outputs import ExpectedServer

FULL = 90
"""How full a volume may be, in per cent."""

MORE_ROOM = "give it more room (storage.size, where it has one), or lower settings.binlog_expire_logs_seconds"


@dataclass(frozen=True, kw_only=True)
class DatabaseServer(Fact):
    """A database server.

    Attributes:
        namespace: its namespace.
        pod: its pod.
        follows: the hosts of which it should follow one; none for a primary.
        max_lag: how many seconds behind it may be.
        down: why it does not answer; empty if it does.
        source: the host that it follows; empty if it follows none.
        running: whether it is connected to that host, and fetches and applies rows.
        seconds_behind: the age of the rows that it applies; None while that is not known.
        position: the GTIDs up to which it has written or applied rows.
        read_only: whether it refuses writes of clients; None if it does not say.
        extra: the GTIDs of transactions that it has and its source has not.
        last_error: the last error of the channel; empty if there is none.
        volume_used: how full the volume with its data is, in per cent; None if it does not say.
        version: the series of its MariaDB, such as 10.11; empty if it does not say.
        source_version: that of what it follows; empty if it follows nothing, or is not told.
        waits_for: if it is read-only and should be the primary, what it waits for; empty if it does not say.
    """

    namespace: str
    pod: str
    follows: tuple[str, ...]
    max_lag: int
    down: str = ""
    source: str = ""
    running: bool = False
    seconds_behind: int | None = None
    position: str = ""
    read_only: bool | None = None
    extra: str = ""
    last_error: str = ""
    volume_used: int | None = None
    version: str = ""
    source_version: str = ""
    waits_for: str = ""

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} database {self.name}"

    @property
    def name(self) -> str:
        """Its namespace and pod."""
        return f"{self.namespace}/{self.pod}"

    @property
    def leader(self) -> str:
        """The host that it follows, or what it is instead, in a word."""
        if self.unknown or self.down:
            return "?"
        return self.source or ("nobody" if self.follows else "primary")

    @property
    def lag(self) -> str:
        """How far it is behind, in words; empty if it follows none."""
        if self.unknown or self.down:
            return "?"
        if not self.running:
            return "stopped" if self.source else ""
        return "?" if self.seconds_behind is None else f"{self.seconds_behind} s"

    @property
    def _older_than_source(self) -> bool:
        own, source = ([int(part) for part in of.split(".") if part] for of in (self.version, self.source_version))
        return bool(own and source) and own < source

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        if self.down:
            yield State.CRITICAL, self.down
            return
        if self.volume_used is not None and self.volume_used >= FULL:
            yield State.WARNING, f"its volume is {self.volume_used} % full: {MORE_ROOM}"
        if not self.follows:
            if self.source:
                yield State.CRITICAL, f"follows {self.source}, and should be the primary"
            if self.read_only:
                yield State.CRITICAL, self.waits_for or "is read-only, and should be the primary"
            return
        if self._older_than_source:
            than = self.source_version
            yield (
                State.WARNING,
                f"is MariaDB {self.version} and follows {than}, which may stop it or give it other data: set an image"
                f" of {than} or newer",
            )
        if self.read_only is False:
            yield State.CRITICAL, "takes writes, and should be a replica"
        if self.extra:
            yield State.CRITICAL, f"has transactions that its source has not, and does not follow: {self.extra}"
        elif self.source not in self.follows:
            yield State.CRITICAL, f"follows {self.source or 'nobody'} instead of {' or '.join(self.follows)}"
        elif not self.running:
            yield State.CRITICAL, f"does not replicate from {self.source}: {self.last_error or 'it was stopped'}"
        elif self.seconds_behind is not None and self.seconds_behind > self.max_lag:
            yield State.WARNING, f"is {self.seconds_behind} seconds behind {self.source}"


def ask_server(
    clients: Callable[[], ApiClient], site: str, expected: ExpectedServer, max_lag: int
) -> list[DatabaseServer]:
    """Ask a server how it is and how its channel is."""
    replica = expected.replica
    known: dict[str, Any] = {
        "site": site,
        "namespace": replica.namespace,
        "pod": replica.pod,
        "follows": expected.follows,
        "max_lag": max_lag,
    }
    try:
        with clients() as api:
            pod = read_pod(api, replica.namespace, replica.pod)
            if pod is None:
                return [DatabaseServer(**known, down="does not run: there is no such pod")]
            state = pod.states.get(replica.container, "no such container")
            if state != RUNNING:
                words = last_words(api, pod, pod.preparing or replica.container)
                return [DatabaseServer(**known, down=f"does not run: {words or state}")]
            try:
                said = parse_server(run_in(api, **vars(replica)))
            except (ChildProcessError, TimeoutError) as error:
                words = last_words(api, pod, replica.container)
                return [DatabaseServer(**known, down=f"does not answer: {words or why(error)}")]
            waits = not expected.follows and said.read_only
            words = last_words(api, pod, replica.container) if waits else ""
    except ERRORS as error:
        return [DatabaseServer(**known, unknown=why(error))]
    channel = said.channel
    found = DatabaseServer(
        **known,
        source=channel.source,
        running=channel.running,
        seconds_behind=channel.seconds_behind,
        position=said.position,
        read_only=said.read_only,
        extra=said.extra,
        last_error=channel.last_error if channel.source else "",
        volume_used=said.volume_used,
        version=said.version,
        source_version=said.source_version,
        waits_for=words,
    )
    return [found]
