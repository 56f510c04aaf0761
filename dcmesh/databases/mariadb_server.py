"""MariaDB's side of a switchover: what its servers are asked and told.

A site's own server is asked by its own user over the socket, in its pod. One session does it all, and holds a lock by
which the server tells whether it is still the one that was looked at. The other site's server is asked from the same
pod over the link, as the account `replication`.
"""
# ruff: noqa: S608 - what gets into a statement is dcmesh's own, or has been checked

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace

from dcmesh.databases.mariadb_gtids import GTIDS, NUMBER, MariadbRows, reached
from dcmesh.databases.replication import EXTRA, READ_ONLY, checked
from dcmesh.databases.switchover import Channel, End, NoAnswer, NotSilent, Own, Side, Theirs, Token, understood
from dcmesh.kube.api import ERRORS, connect, why
from dcmesh.kube.container import Container, Conversation, Place
from dcmesh.model.mariadb import PLACE, SERVER

SITE = "[a-z0-9-]{1,63}"
HEX = "[0-9A-F]+"
TERM = "(?:0|[1-9][0-9]{0,14})"
"""What the other site's row may have: so that later terms can still be told."""
ANSWER = rf"{SITE}\t{TERM}\t[01]\n{GTIDS}\t{GTIDS}\n"
"""What the other site's server may say of its row and its rows."""

LIMIT, EVENTS_LIMIT = 2**14, 2**20
"""How many bytes of an answer of the other site are read: of its row, and of the names of its events."""

CLOSED = f"CONCAT(@@GLOBAL.read_only) IN ({', '.join(repr(word) for word, closed in READ_ONLY.items() if closed)})"
"""Whether a server takes no writes of clients, as mariadb_token.sh has it."""

TOKEN = (
    f"SELECT site, term, {CLOSED} AND @@GLOBAL.event_scheduler <> 'ON' FROM dcmesh.primary_site"
    " WHERE server_id = @@server_id"
)
"""What the other site's server is asked for its row, and whether nothing is written there. An event may write what a
client may not."""
ROWS = "SELECT @@GLOBAL.gtid_binlog_pos AS position, @@GLOBAL.gtid_binlog_state AS state"

CLIENTS = "user NOT IN ('root', 'mysql', 'replication', 'replication_local', 'system user', 'event_scheduler')"
NAME_OF_EVENT = "CONCAT(HEX(db), '.', HEX(name))"
REPLICATED = "FROM mysql.event WHERE status = 'SLAVESIDE_DISABLED'"
"""An event's name, and those that came by replication, which MariaDB marks all alike and runs none of."""

RUNS_EVENT = "command = 'Connect' AND user NOT IN ('system user', 'unauthenticated user')"
"""Which of the server's connections are clients', and which run an event."""

LOCKED = "error 1205"
"""What a server says of a statement that has waited too long for locked tables."""

PASSING = (LOCKED, "error 1040", "error 1053", "error 1213", "error 1317", "error 1927")
"""What a server says of a statement that it may run the next time."""

WRONG_POD = "its pod is another site's, or follows another site"

OF_PAIR = f"""\
[ "$SITE $SOURCE_SITE" = "$0" ] || {{ echo "{WRONG_POD}" >&2; exit 1; }}
"""
"""Ends what is run in a pod that is not the first of two sites, or does not follow the second: names are typed too."""

SESSION = f"""\
{OF_PAIR}exec mariadb --no-defaults --skip-ssl --socket={PLACE["socket"]} --unbuffered --skip-reconnect \
--init-command="SET sql_mode = '', autocommit = 1, max_statement_time = 0, lock_wait_timeout = 1, \
innodb_lock_wait_timeout = 1, wait_timeout = 86400, sql_log_bin = 0, @events = '$EVENTS'"
"""
"""The client of a site's own server. A user's settings do not reach it."""

OVER_THE_LINK = f"""\
{OF_PAIR}set -o pipefail
{{
  timeout 8 mariadb --defaults-file=/run/mysqld/source.cnf --connect-timeout=5 --quick --skip-column-names \\
    --execute="$1"
  code=$?
  [ "$code" != 124 ] || echo "ERROR 2013 (no answer within 8 seconds)"
  exit "$code"
}} 2>&1 | head -c "$2"
"""
"""Asks what a site's own server follows, or would. Of a long answer only the begin is read, and it counts as none."""

CHANNEL = "/run/mysqld/channel.sql"
"""What mariadb_prepare.sh has written into the pod: it sets @channel to the statement, which has a password."""


def number_of(complaint: str) -> str:
    """Return what may be told of what a client has printed: the number of its error. Its words may be anybody's."""
    if complaint == f"{WRONG_POD}\n":
        return WRONG_POD
    found = re.search(r"^ERROR ([0-9]{1,5}) \(", complaint, re.MULTILINE)
    return f"error {found[1]}" if found else "its client has ended"


def statement(text: str) -> str:
    """Return a text between quotes. None that needs more is ever told to a server."""
    if not re.fullmatch(r"[\w .,:-]*", text, re.ASCII):
        raise ValueError(f"{text!r} is told to no server")
    return f"'{text}'"


class MariadbPeer:
    """The other site's server, asked over the link.

    Args:
        site: the own site.
        other: the other.
        place: the container of the own server.
    """

    def __init__(self, site: str, other: str, place: Place) -> None:
        self._sites, self._place = f"{site} {other}", place

    def look(self) -> Theirs:
        """Return who may write there, and what rows it has.

        Raises:
            NotSilent: it answers, with an error or what cannot be; or it could not be asked from here.
            NoAnswer: it does not answer.
        """
        said = self._ask(f"{TOKEN}; {ROWS}", LIMIT)
        with understood(NotSilent):
            (site, term, closed), (position, state) = (
                line.split("\t") for line in checked("its row", said, ANSWER).splitlines()
            )
            rows = MariadbRows.parse(position, state)
        return Theirs(token=Token(site=site, term=int(term)), read_only=closed == "1", rows=rows)

    def disabled_events(self, *, alone: bool) -> Sequence[str]:
        """Return the names of the events that are disabled there, in hex.

        Args:
            alone: whether to return none if it is silent.

        Raises:
            NoAnswer: it does not say.
        """
        try:
            said = self._ask(f"SELECT {NAME_OF_EVENT} FROM mysql.event WHERE status = 'DISABLED'", EVENTS_LIMIT)
        except NoAnswer as error:
            silent = not isinstance(error, NotSilent)
            if alone and silent:
                return ()
            gone = "; if it is gone, set failover.without to it" if silent else ""
            raise type(error)(f"the other site does not say which of them are off: {error}{gone}") from None
        with understood(NotSilent):
            return checked("its events", said, rf"(?:{HEX}[.]{HEX}\n)*").splitlines()

    def _ask(self, sql: str, limit: int) -> str:
        try:
            return self._place.run(("bash", "-c", OVER_THE_LINK, self._sites, sql, str(limit)))
        except ChildProcessError as error:
            reason = number_of(str(error))
            raise (NoAnswer if re.fullmatch("error 2[0-9]{3}", reason) else NotSilent)(reason) from None
        except ERRORS as error:
            raise NotSilent(f"it could not be asked: {why(error)}") from None


class MariadbServer:
    """A site's own server.

    Args:
        site: the site.
        other: the site that it follows, or would.
        place: the server's container.
    """

    def __init__(self, site: str, other: str, place: Place) -> None:
        self._sites, self._place, self._peer = f"{site} {other}", place, MariadbPeer(site, other, place)
        self._session: Conversation | None = None
        self._refused = dict[str, str]()
        self._lock = statement(f"dcmesh.watch.{secrets.token_hex(8)}")

    def close(self) -> None:
        """End the session, and the lock with it."""
        if self._session:
            self._session.close()
            self._session = None

    def look(self) -> Own:
        """Return who may write here, what rows it has, and how its channel and its events are.

        Raises:
            NoAnswer: it does not answer.
        """
        said = self._row(
            f"SELECT IFNULL(IS_USED_LOCK({self._lock}) = CONNECTION_ID(), 0) AS watched, site, term, {CLOSED} AS"
            " closed, extra, @@GLOBAL.event_scheduler = 'ON' AS scheduler,"
            f" (SELECT COUNT(*) FROM information_schema.processlist WHERE {RUNS_EVENT}) AS running,"
            " (@events <> '' AND @@GLOBAL.event_scheduler <> 'ON')"
            f" OR EXISTS (SELECT * {self._to_be_altered()}) AS idle_events"
            " FROM dcmesh.primary_site WHERE server_id = @@server_id"
        )
        log = self._row(ROWS)
        channel = self._channel()
        applied = self._row("SELECT @@GLOBAL.gtid_slave_pos AS applied")["applied"]
        with understood():
            return Own(
                token=Token(site=checked("its site", said["site"], SITE), term=number("its term", said["term"])),
                read_only=said["closed"] == "1",
                rows=MariadbRows.parse(log["position"], log["state"]),
                watched=said["watched"] == "1",
                applied=checked("what is applied", applied, GTIDS),
                channel=channel_of(channel, applied) if channel else None,
                scheduler=said["scheduler"] == "1",
                running=number("its events", said["running"]),
                idle_events=said["idle_events"] == "1",
                refused_events=", ".join(f"{readable(name)} ({error})" for name, error in self._refused.items()),
                extra=checked("what it has of its own", said["extra"], EXTRA),
            )

    def watch(self) -> None:
        """Take the lock by which this server is known to be the same, as long as the session goes on."""
        self._ask(f"SELECT GET_LOCK({self._lock}, 0) AS held;")

    def write(self, seen: Token, token: Token) -> None:
        """Write a token into the row."""
        self._change(
            seen,
            f"UPDATE dcmesh.primary_site SET site = {statement(token.site)}, term = {token.term}"
            " WHERE server_id = @@server_id AND @go = 1;",
        )

    def stop_events(self, seen: Token) -> None:
        """Have no event begin, and end those that run."""
        off = "IF(@go = 1 AND @@GLOBAL.event_scheduler <> 'DISABLED', 'SET GLOBAL event_scheduler = OFF', 'DO 0')"
        if self._change(seen, f"EXECUTE IMMEDIATE {off};"):
            self._end(RUNS_EVENT)

    def fence(self, seen: Token) -> None:
        """Refuse new transactions, and those under way: they cannot commit any more.

        Whoever has locked tables is waited for. So connections are closed also if that took too long: then the row
        was as it was seen. Of any other error that is not known.
        """
        try:
            done = self._change(seen, if_still("SET GLOBAL read_only = 1"))
        except NoAnswer as error:
            if str(error) == LOCKED:
                self._end(CLIENTS)
            raise
        if done:
            self._end(CLIENTS)

    def follow(self, seen: Token) -> None:
        """Follow the other site, from where the own rows end."""
        setting_up = "" if self._channel() else f"source {CHANNEL}\nEXECUTE IMMEDIATE IF(@go = 1, @channel, 'DO 0');\n"
        self._change(seen, f"{setting_up}{if_still('START SLAVE')}")

    def note(self, seen: Token, extra: str) -> None:
        """Write down which transactions this server has and the other has not."""
        self._change(
            seen,
            f"UPDATE dcmesh.primary_site SET extra = {statement(extra)} WHERE server_id = @@server_id AND @go = 1;",
        )

    def open(self, seen: Token) -> None:
        """Take writes, and follow nobody any more."""
        self._change(seen, "\n".join(map(if_still, ("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"))))

    def run_events(self, seen: Token, *, alone: bool) -> None:
        """Have the scheduler run, if it is to, and events that came by replication.

        One that the other site has disabled stays so. One that the server refuses to alter is left as it is, and told
        of: its role does not hang on that.
        """
        self._change(
            seen, "EXECUTE IMMEDIATE IF(@go = 1 AND @events <> '', 'SET GLOBAL event_scheduler = ON', 'DO 0');"
        )
        if not self._table(f"SELECT name {self._to_be_altered()} LIMIT 1"):
            return
        disabled = "".join(f"'{event}', " for event in self._peer.disabled_events(alone=alone))
        alters = self._table(
            # Names and definers may hold any character.
            f"SELECT {NAME_OF_EVENT} AS name, HEX(CONCAT('ALTER DEFINER = ',"
            " QUOTE(LEFT(definer, CHAR_LENGTH(definer) - LOCATE('@', REVERSE(definer)))),"
            " '@', QUOTE(SUBSTRING_INDEX(definer, '@', -1)), ' EVENT `', REPLACE(db, '`', '``'),"
            " '`.`', REPLACE(name, '`', '``'), '` ',"
            f" IF({NAME_OF_EVENT} IN ({disabled}''), 'DISABLE', 'ENABLE'))) AS altered {self._to_be_altered()}"
        )
        with understood():
            altered = {
                checked("an event's name", row["name"], rf"{HEX}[.]{HEX}"): checked("an event", row["altered"], HEX)
                for row in alters
            }
        for name, event in altered.items():
            sql = f"EXECUTE IMMEDIATE IF(@go = 1, CONVERT(UNHEX('{event}') USING utf8mb4), 'DO 0');"
            try:
                self._change(seen, sql)
            except NoAnswer as error:
                if re.fullmatch("error [134][0-9]{3}", str(error)) and str(error) not in PASSING:
                    self._refused[name] = str(error)
                raise

    def _to_be_altered(self) -> str:
        """Return where the events are that came by replication, but for those that the server has refused to alter."""
        refused = "".join(f"'{name}', " for name in self._refused)
        return f"{REPLICATED} AND {NAME_OF_EVENT} NOT IN ({refused}'')"

    def _change(self, seen: Token, statements: str) -> bool:
        """Run statements, each of which looks at @go, if the row is as it was seen, and the server the same.

        Returns:
            Whether that was so.
        """
        (said,) = self._table(
            "SET @go = 0;\nSELECT GET_LOCK('dcmesh.primary_site', 5) INTO @locked;\n"
            "SELECT COUNT(*) INTO @go FROM dcmesh.primary_site WHERE server_id = @@server_id"
            f" AND site = {statement(seen.site)} AND term = {seen.term} AND @locked = 1"
            f" AND IS_USED_LOCK({self._lock}) = CONNECTION_ID();\n"
            f"{statements}\nDO RELEASE_LOCK('dcmesh.primary_site');\nSELECT @go AS go"
        )
        return said["go"] == "1"

    def _end(self, which: str) -> None:
        """End connections."""
        found = self._table(f"SELECT id FROM information_schema.processlist WHERE {which}")
        if found:
            with understood():
                kills = " ".join(f"KILL {number('a connection', row['id'])};" for row in found)
            # One that has ended by itself is an error.
            handler = "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;"
            self._ask(f"DELIMITER //\nBEGIN NOT ATOMIC {handler} {kills} END//\nDELIMITER ;\n")

    def _channel(self) -> dict[str, str]:
        """Return the status of the channel; empty if there is none."""
        return next(iter(self._table("SHOW SLAVE STATUS")), {})

    def _row(self, sql: str) -> dict[str, str]:
        found = self._table(sql)
        if len(found) != 1:
            raise NoAnswer("it has no row that says who is the primary")
        return found[0]

    def _table(self, sql: str) -> list[dict[str, str]]:
        """Return the rows that statements give, by the names of their columns. No value has a tab or ends a line."""
        names, *values = [line.split("\t") for line in self._ask(f"{sql};").removesuffix("\n").split("\n")]
        return [dict(zip(names, row, strict=False)) for row in values]

    def _ask(self, sql: str) -> str:
        """Return what statements print.

        The first error ends the client, and the statements with it.

        Raises:
            NoAnswer: the server does not answer, or a statement has failed.
        """
        end = secrets.token_hex(8)
        try:
            if self._session is None:
                self._session = self._place.begin(("bash", "-c", SESSION, self._sites))
                sql = f"SET SESSION TRANSACTION READ WRITE;\n{sql}"
            return self._session.ask(f"{sql}\nSELECT '{end}' AS `{end}`;\n", f"{end}\n{end}")
        except ChildProcessError as error:
            reason = number_of(str(error))
        except ERRORS as error:
            reason = why(error)
        with suppress(*ERRORS):
            self.close()
        self._session = None
        raise NoAnswer(reason)


def readable(name: str) -> str:
    """Return an event's name, which is told in hex."""
    return ".".join(bytes.fromhex(part).decode(errors="replace") for part in name.split("."))


def if_still(sql: str) -> str:
    """Return a statement that is run if the row is as it was seen."""
    return f"EXECUTE IMMEDIATE IF(@go = 1, '{sql}', 'DO 0');"


def number(name: str, value: str) -> int:
    """Return a number that a server has said.

    Raises:
        ChildProcessError: it is none.
    """
    return int(checked(name, value, NUMBER))


def channel_of(said: dict[str, str], applied: str) -> Channel:
    """Return how a channel is.

    Args:
        said: its status.
        applied: up to where it is applied.

    Raises:
        ChildProcessError, ValueError: that cannot be.
    """
    return Channel(
        receives=said["Slave_IO_Running"] == "Yes",
        applies=said["Slave_SQL_Running"] == "Yes",
        error=number("its error", said["Last_SQL_Errno"]) or number("its error", said["Last_IO_Errno"]),
        idle=reached(applied, said["Gtid_IO_Pos"]),
        # Where both its threads have stopped, MariaDB begins with an empty relay log, whichever is started.
        keeps={said["Slave_IO_Running"], said["Slave_SQL_Running"]} != {"No"} or reached(applied, said["Gtid_IO_Pos"]),
    )


@contextmanager
def sides_of(ends: Sequence[End], other: str) -> Iterator[list[Side]]:
    """Give the sides of a switchover for as long as it runs.

    Args:
        ends: the databases that are brought to their roles: those of both sites, which are asked each in its own
            cluster, or one. That asks the other over the link.
        other: the other site, where there is but one.
    """
    others = [end.site for end in ends[::-1]] if len(ends) > 1 else [other]
    with ExitStack() as opened:
        sides = list[Side]()
        for end, there in zip(ends, others, strict=True):
            api = opened.enter_context(connect(end.kubeconfig))
            place = Container(api=api, namespace=end.namespace, pod=f"{end.name}-0", name=SERVER)
            server = opened.enter_context(closing(MariadbServer(end.site, there, place)))
            sides.append(Side(site=end.site, other=there, server=server, peer=MariadbPeer(end.site, there, place)))
        if len(sides) > 1:
            sides = [replace(side, peer=there.server) for side, there in zip(sides, sides[::-1], strict=True)]
        yield sides
