"""Replication channels: what a database says of the one through which it follows another."""

import re
from dataclasses import dataclass

from dcmesh.model.printable import printable

NUMBER = r"[0-9]{1,10}"
GTID = rf"{NUMBER}-{NUMBER}-[0-9]{{1,20}}|[0-9a-fA-F-]{{36}}(:\w{{1,32}})?(:[0-9]{{1,20}}(-[0-9]{{1,20}})?)+"
GTIDS = rf"(({GTID})(, *({GTID}))*)?"
"""Those of MariaDB and of MySQL."""

GOES_ON = re.compile(r",\n *(?=[0-9a-fA-F-]{36}:)")
"""Where MySQL goes on with a set of GTIDs on another line: each server that has written has one of its own."""

EXTRA = r"[\w:,. -]{0,16384}"
"""As a switchover notes it: ranges of GTIDs."""

READ_ONLY = {"0": False, "OFF": False, **dict.fromkeys(("1", "ON", "NO_LOCK", "NO_LOCK_NO_ADMIN"), True)}
"""Whether a server takes no writes, by what it says. MariaDB 12.0.1 and newer say it in words."""

HOST = r"[\w.:-]{0,255}"

SERIES = r"[0-9]{1,3}\.[0-9]{1,3}"
"""Of MariaDB, such as 10.11."""


@dataclass(frozen=True, kw_only=True)
class Replica:
    """Where a channel can be asked for.

    Attributes:
        namespace: the replica's namespace.
        pod: name of the pod.
        container: its container that has the client.
        command: prints `SHOW REPLICA STATUS`, and then the server's `Gtid_Position` and `Read_Only`, and its
            `Extra_Transactions` if it knows of any, and `Volume_Used` in per cent, and of MariaDB its `Server_Version`
            and `Source_Version`, as lines of `Key: value`.
    """

    namespace: str
    pod: str
    container: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ChannelStatus:
    """What is known of a replication channel.

    Attributes:
        source: the host that is followed; empty if there is no channel.
        running: whether the source is connected, and rows are taken over and applied.
        seconds_behind: how old what is being applied is; None while not running.
        last_error: the last error, empty if there is none.
        position: the GTIDs up to which rows have been applied.
    """

    source: str
    running: bool
    seconds_behind: int | None
    last_error: str
    position: str = ""


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """What a database server says of itself.

    Attributes:
        channel: the channel through which it follows another.
        position: the GTIDs up to which it has written or applied rows.
        read_only: whether it takes no writes of clients.
        extra: the GTIDs of transactions that it has and its source has not; it cannot follow then.
        volume_used: how full the volume with its data is, in per cent; None if it does not say.
        version: the series of its MariaDB; empty if it says none.
        source_version: that of what it follows; empty if it follows nothing, or is not told.
    """

    channel: ChannelStatus
    position: str = ""
    read_only: bool | None = None
    extra: str = ""
    volume_used: int | None = None
    version: str = ""
    source_version: str = ""


def parse_lines(text: str) -> dict[str, str]:
    """Return what lines of `Key: value` say, by MySQL's names.

    Raises:
        ChildProcessError: two of them contradict each other. A client prints the line ends within a value as they are:
            so the words of another site, in an error for example, could pass for what the server says.
    """
    said = dict[str, str]()
    for key, value in re.findall(r"^ *(\w+): ?(.*)$", GOES_ON.sub(",", text), re.MULTILINE):
        name = key.replace("Master", "Source").replace("Slave", "Replica")
        if said.setdefault(name, value.strip()) != value.strip():
            raise ChildProcessError(f"it contradicts itself: {name} is {printable(said[name])} and {printable(value)}")
    return said


def checked(name: str, value: str, pattern: str) -> str:
    """Return a value that a server has said, if it is what it must be.

    Raises:
        ChildProcessError: it is not.
    """
    if not re.fullmatch(pattern, value, re.ASCII):
        raise ChildProcessError(f"it says what cannot be: {name} is {printable(value, 100)}")
    return value


def _number(value: str) -> int | None:
    return int(value) if re.fullmatch(NUMBER, value) else None


def _series(value: str) -> str:
    """Return a server's series, or nothing if its user has given it a version of other words."""
    return value if re.fullmatch(SERIES, value, re.ASCII) else ""


def parse_server(text: str) -> ServerStatus:
    """Return what a replica's command prints.

    Raises:
        ChildProcessError: that cannot be.
    """
    said = parse_lines(text)
    return ServerStatus(
        channel=_channel(said),
        position=checked("Gtid_Position", said.get("Gtid_Position", ""), GTIDS),
        read_only=READ_ONLY.get(said.get("Read_Only", "")),
        extra=checked("Extra_Transactions", said.get("Extra_Transactions", "").removeprefix("NULL"), EXTRA),
        volume_used=_number(said.get("Volume_Used", "")),
        version=_series(said.get("Server_Version", "")),
        source_version=_series(said.get("Source_Version", "")),
    )


def _channel(status: dict[str, str]) -> ChannelStatus:
    if "Source_Host" not in status:
        return ChannelStatus(source="", running=False, seconds_behind=None, last_error="there is no channel")
    behind = _number(status.get("Seconds_Behind_Source", ""))
    errors = [status.get(key, "") for key in ("Last_IO_Error", "Last_SQL_Error")]
    return ChannelStatus(
        source=checked("Source_Host", status["Source_Host"], HOST),
        # Both threads say Yes before the first connection too; how far behind is known only after it.
        running=behind is not None
        and all(status.get(f"Replica_{thread}_Running") == "Yes" for thread in ("IO", "SQL")),
        seconds_behind=behind,
        last_error=printable("; ".join(error for error in errors if error)),
        position=checked(
            "the channel's position", status.get("Gtid_Replica_Pos") or status.get("Executed_Gtid_Set", ""), GTIDS
        ),
    )
