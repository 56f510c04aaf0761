"""Reading the answers of clusters, sidecars and databases."""

import re
import socketserver
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from shutil import which
from time import monotonic, sleep
from typing import Any
from urllib.parse import unquote

import pytest

from components.mesh.service_import import export_destination_rule
from dcmesh.kube.host_protocols import CONNECT_SECONDS, OPEN_SECONDS
from dcmesh.kube.pods import Pod, parse_pod
from dcmesh.model.link import ExportedService
from dcmesh.status.certificates import parse_authorities, parse_proxy
from dcmesh.status.gateways import envoys, refused_by
from dcmesh.status.hosts import SCRIPT, Answer, clusters_path, parse_answers, parse_clusters
from tests.unit import statuses
from tests.unit.doctors import counts
from tests.unit.servers import listening, nobody
from tests.unit.statuses import DB0, DB1, DB_EXPORT, IDENTITY

# --- pods --------------------------------------------------------------------------------------------------------


def with_states(**states: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": name.replace("_", "-"), "state": state} for name, state in states.items()]
    spec = {"containers": [{"name": container["name"]} for container in named]}
    status = {"phase": "Running", "containerStatuses": named}
    return statuses.pod("dr", spec=spec, status=status)


def test_a_native_sidecar_is_a_container_and_other_init_containers_are_not() -> None:
    pod = parse_pod(statuses.pod("dr"))
    assert pod.states == {"mariadb": "running", "istio-proxy": "running"}
    assert (pod.has_proxy, pod.own_containers, pod.leaving) == (True, ["mariadb"], False)


def test_a_sidecar_may_be_an_ordinary_container() -> None:
    pod = parse_pod(with_states(istio_proxy={"running": {}}, mysql={"running": {}}, backup={"terminated": {}}))
    assert (pod.has_proxy, pod.own_containers) == (True, ["mysql"])


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
        ({"terminated": {"reason": "OOMKilled"}}, "OOMKilled"),
        ({"terminated": {}}, "terminated"),
        ({}, "Running"),
    ],
)
def test_a_container_that_does_not_run_says_why(state: dict[str, Any], shown: str) -> None:
    assert parse_pod(with_states(mysql=state)).states == {"mysql": shown}


def test_a_pod_that_has_no_node_yet() -> None:
    pod = parse_pod(statuses.pod("dr", status={"phase": "Pending"}))
    assert (pod.states, pod.has_proxy) == ({"mariadb": "Pending"}, False)


def test_a_pod_that_is_deleted_is_leaving() -> None:
    metadata = {"namespace": "dr", "name": "db-0", "deletionTimestamp": "2026-11-23T09:00:00Z"}
    assert parse_pod(statuses.pod("dr", metadata=metadata)).leaving


# --- certificates ------------------------------------------------------------------------------------------------


def test_authorities_of_a_site() -> None:
    now = datetime.now(UTC)
    root, intermediate = parse_authorities("dc1", statuses.cacerts(), now)
    assert (root.kind, root.subject, root.days_left) == ("root", "Root CA", pytest.approx(4000, abs=1))
    assert (intermediate.kind, intermediate.subject) == ("intermediate", "Intermediate CA dc1")
    assert intermediate.days_left == pytest.approx(400, abs=1)
    assert root.fingerprint != intermediate.fingerprint


def test_authorities_as_cert_manager_writes_them() -> None:
    data, now = statuses.cacerts(), datetime.now(UTC)
    renamed = {"ca.crt": data["root-cert.pem"], "tls.crt": data["ca-cert.pem"], "tls.key": ""}
    assert parse_authorities("dc1", renamed, now) == parse_authorities("dc1", data, now)


@pytest.mark.parametrize("secret", [{}, {"root-cert.pem": "bm90aGluZw==", "ca-cert.pem": "bm90aGluZw=="}])
def test_what_is_no_certificate(secret: dict[str, str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_authorities("dc1", secret, datetime.now(UTC))


def test_a_sidecars_certificate() -> None:
    now = datetime.now(UTC)
    found = parse_proxy("dc2", "dr/db", statuses.proxy_certs(timedelta(hours=12)), now)
    assert (found.kind, found.subject, found.state.name) == ("pod", "dr/db", "OK")
    assert found.days_left == pytest.approx(0.5, abs=0.01)


def test_the_first_to_expire_counts() -> None:
    answers = [statuses.proxy_certs(timedelta(hours=hours))["certificates"] for hours in (20, 1, 10)]
    found = parse_proxy(
        "dc2", "dr/db", {"certificates": [entry for answer in answers for entry in answer]}, datetime.now(UTC)
    )
    assert found.state.name == "WARNING"


@pytest.mark.parametrize("answer", [{}, {"certificates": [{"ca_cert": [{}]}]}])
def test_a_sidecar_without_certificate(answer: dict[str, Any]) -> None:
    assert parse_proxy("dc2", "dr/db", answer, datetime.now(UTC)).unknown == "its sidecar has none"


# --- what Envoy accepts ------------------------------------------------------------------------------------------


def test_the_path_matches_the_hosts_clusters_and_no_others() -> None:
    pattern = unquote(clusters_path((DB_EXPORT,)).partition("name_regex=")[2])
    assert re.fullmatch(pattern, f"outbound|3306||{DB0}")
    assert re.fullmatch(pattern, f"outbound|3306||{DB1}")
    for other in (f"outbound|3307||{DB0}", f"outbound|3306||{DB0.replace('.', 'x', 1)}", f"inbound|3306||{DB0}"):
        assert not re.search(pattern, other)


@pytest.mark.parametrize("accepted", [(), (IDENTITY,), ("spiffe://b", "spiffe://a")])
def test_identities_that_envoy_accepts(accepted: tuple[str, ...]) -> None:
    found = parse_clusters(statuses.clusters(*accepted))
    assert found == {(DB0, 3306): tuple(sorted(accepted)), (DB1, 3306): tuple(sorted(accepted))}


def test_newer_envoys_and_sockets_by_endpoint() -> None:
    """Automatic mutual TLS chooses the socket by the endpoint. Newer versions of Istio give the kind of each name."""
    names = [
        {"san_type": "URI", "matcher": {"exact": IDENTITY}},
        {"san_type": "URI", "matcher": {"prefix": "spiffe://evil/"}},
    ]
    context = {"common_tls_context": {"validation_context": {"match_typed_subject_alt_names": names}}}
    sockets = [
        {"match": {"exact": "no name"}, "transport_socket": {"typed_config": context}},
        {"transport_socket": {}},
    ]
    cluster = {"name": f"outbound|3306||{DB0}", "transport_socket_matches": sockets}
    assert parse_clusters({"configs": [{"cluster": cluster}]}) == {(DB0, 3306): ("prefix spiffe://evil/", IDENTITY)}


def test_the_ports_of_a_host_are_told_apart() -> None:
    configs = [{"cluster": {"name": f"outbound|{port}||{DB0}"}} for port in (3306, 33060)]
    assert parse_clusters({"configs": configs}) == {(DB0, 3306): (), (DB0, 33060): ()}
    said = parse_answers(f"ok {DB0} 3306 greeting\nfailed {DB0} 33060 no\n", {(DB0, 3306): "greeting"}, "client")
    assert {of: answer.ok for of, answer in said.items()} == {(DB0, 3306): True, (DB0, 33060): False}


def test_an_envoy_that_knows_none_of_the_hosts() -> None:
    assert parse_clusters({}) == {}


# --- answers of hosts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "probe", "answer"),
    [
        ("ok h 1 greeting", "greeting", Answer(ok=True, text="greeting")),
        ("failed h 1 closed without answer", "greeting", Answer(ok=False, text="closed without answer")),
        ("failed h 1", "greeting", Answer(ok=False, text="no answer")),
        ("ok h 1 HTTP 403 RBAC: access denied", "pod-name", Answer(ok=False, text="HTTP 403")),
        ("ok h 1 HTTP 404 db-0", "pod-name", Answer(ok=False, text="HTTP 404")),
        ("ok h 1 HTTP 200 h", "http", Answer(ok=True, text="HTTP 200")),
        ("ok h 1 HTTP 404", "http", Answer(ok=True, text="HTTP 404")),
        ("ok h 1 HTTP 503", "http", Answer(ok=False, text="HTTP 503")),
        ("ok h 1 postgres", "postgres", Answer(ok=True, text="postgres")),
        ("ok h 1 stays open", "tcp", Answer(ok=True, text="stays open")),
        ("ok h 1 not asked", "none", Answer(ok=True, text="not asked")),
    ],
)
def test_answers(line: str, probe: str, answer: Answer) -> None:
    assert parse_answers(f"a warning\n{line}\n", {("h", 1): probe}, "client") == {("h", 1): answer}


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("db-0", Answer(ok=True, text="db-0")),
        ("db-1", Answer(ok=False, text="answered by 'db-1' instead of db-0")),
        ("db-0 and more", Answer(ok=False, text="answered by 'db-0 and more' instead of db-0")),
        ("", Answer(ok=False, text="HTTP 200 without a name")),
        ("\x1b[2Jdb-0", Answer(ok=False, text="answered by '\\x1b[2Jdb-0' instead of db-0")),
    ],
)
def test_the_pod_that_answers_is_the_hosts(said: str, answer: Answer) -> None:
    assert parse_answers(f"ok {DB0} 1 HTTP 200 {said}\n", {(DB0, 1): "pod-name"}, "client") == {(DB0, 1): answer}


@pytest.mark.parametrize("address", ["10.42.0.6", "fd00::6"])
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("db-0", Answer(ok=True, text="db-0")),
        ("web", Answer(ok=False, text="answered by 'web' instead of db-0")),
        ("", Answer(ok=False, text="HTTP 200 without a name")),
    ],
)
def test_at_an_address_a_pod_asks_itself(address: str, said: str, answer: Answer) -> None:
    of = (address, 1)
    assert parse_answers(f"ok {address} 1 HTTP 200 {said}\n", {of: "pod-name"}, "db-0") == {of: answer}


ENDLESS = b"HTTP/1.1 200 OK\r\n"
CHUNKED = ENDLESS + b"Transfer-Encoding: Chunked\r\n\r\n"
TRICKLES = CHUNKED + b"1\r\n"
"""Each further byte comes in time, but they never end."""


STAYS = 5
"""For how many seconds a server waits that does not close the connection."""


class Handler(socketserver.BaseRequestHandler):
    """Sends its server's text, and then waits or closes the connection."""

    def handle(self) -> None:
        said, stays = self.server.plays  # type: ignore[attr-defined]
        if said.startswith(b"HTTP"):
            with self.request.makefile("rb") as request:
                while request.readline().strip():
                    pass
        self.request.sendall(said)
        if stays:
            self.request.settimeout(stays)
            with suppress(OSError):
                while self.request.recv(4096):  # Unread bytes would reset the connection, and discard what was sent.
                    pass
        with suppress(OSError):
            while more := {ENDLESS: b"More: of them\r\n", TRICKLES: b"x\r\n1\r\n"}.get(said):
                self.request.sendall(more)
                sleep(0.2)


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """The ports of servers, by what the servers do."""
    plays = {
        "mysql": (b"J\x00\x00\x00\n11.4.2-MariaDB\x00", STAYS),
        "full": (b"\x17\x00\x00\x00\xff\x10\x04Too many connections", 0),
        "picky": (b"\x30\x00\x00\x01\xff\x6a\x04Host '192.0.2.1' is not allowed", 0),
        "nul": (b"\x00", STAYS),
        "silent": (b"", STAYS),
        "closes": (b"", 0),
        "gives up": (b"", 0.3),
        "gives up after bytes": (b"x", 0.3),
        "web": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        "pod": (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhello-0", 0),
        "line": (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhello-0\nmore", 0),
        "chunks": (CHUNKED + b"3\r\nhel\r\n0004;of=it\r\nlo-0\r\n0\r\n\r\n", 0),
        "large": (CHUNKED + b"2710\r\nhello-0\n" + 9992 * b"x" + b"\r\n0\r\n\r\n", 0),
        "short": (b"HTTP/1.1 200\r\nContent-Length: 7\r\n\r\nhello-0", 0),
        "trickles": (TRICKLES, 0),
        "denies": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 19\r\n\r\nRBAC: access denied", 0),
        "escapes": (b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n-n \\c*\\n200\tok", 0),
        "endless": (ENDLESS, 0),
        "postgres": (b"N", STAYS),
        "postgres with TLS": (b"S", STAYS),
        "postgres that is full": (b"E\x00\x00\x00\x2fSFATAL\x00", 0),
        "redis": (b"+PONG\r\n", STAYS),
        "redis with a password": (b"-NOAUTH Authentication required.\r\n", STAYS),
        "redis that is full": (b"-ERR max number of clients reached\r\n", 0),
        "mongodb": (b"\x4d\x01\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\xdd\x07\x00\x00" + bytes(5) + b"helloOk", STAYS),
        "broken": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 0),
    }
    with ExitStack() as stack:
        ports = {"refused": stack.enter_context(nobody())}
        for name, played in plays.items():
            server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
            server.daemon_threads = True
            server.plays = played  # type: ignore[attr-defined]
            ports[name] = stack.enter_context(listening(server))
        yield ports


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    errors: str
    seconds: float


def asked(shell: str, *words: str, open_seconds: int = OPEN_SECONDS) -> Said:
    script = SCRIPT.replace("seconds=3", "seconds=1")
    script = script.replace(f"open_seconds={OPEN_SECONDS}", f"open_seconds={open_seconds}")
    command = (shell, "-c", script, "ask", *words)
    begun = monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return Said(done.returncode, done.stdout, done.stderr, monotonic() - begun)


Ask = Callable[[str, str, str], Said]

SHELLS = ("bash", "dash")
WAITS = [
    *((server, "greeting") for server in ("mysql", "silent")),
    ("silent", "http"),
    ("silent", "pod-name"),
    ("endless", "pod-name"),
    ("trickles", "pod-name"),
    *(("silent", kind) for kind in ("postgres", "redis", "mongodb", "tcp")),
    *((server, "tcp") for server in ("mysql", "closes", "gives up", "gives up after bytes", "refused")),
    *((f"redis{which}", "redis") for which in ("", " with a password", " that is full")),
    *((f"postgres{which}", "postgres") for which in ("", " with TLS", " that is full")),
    ("mongodb", "mongodb"),
    *(("mysql", kind) for kind in ("postgres", "redis", "mongodb")),
]


@pytest.fixture(scope="module")
def ask(ports: dict[str, int]) -> Ask:
    """Ask a server in a shell. Slow questions are asked beforehand, all at once, because each takes some seconds."""

    def now(shell: str, server: str, kind: str) -> Said:
        if not which(shell):
            pytest.skip(f"there is no {shell}")
        # On a busy machine a server may take seconds to close.
        stays = server in ("silent", "mysql")
        return asked(shell, "127.0.0.1", str(ports[server]), kind, open_seconds=2 if stays else 6)

    cases = [(shell, *case) for shell in filter(which, SHELLS) for case in WAITS]
    with ThreadPoolExecutor(len(cases)) as threads:
        waited = dict(zip(cases, threads.map(lambda case: now(*case), cases), strict=True))
    return lambda *case: waited.get(case) or now(*case)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("server", "kind", "answer"),
    [
        ("mysql", "greeting", "ok 127.0.0.1 PORT greeting"),
        ("silent", "greeting", "failed 127.0.0.1 PORT no "),
        ("closes", "greeting", "failed 127.0.0.1 PORT"),
        ("refused", "greeting", "failed 127.0.0.1 PORT"),
        ("web", "http", "ok 127.0.0.1 PORT HTTP 200"),
        ("broken", "http", "ok 127.0.0.1 PORT HTTP 503"),
        ("pod", "http", "ok 127.0.0.1 PORT HTTP 200 hello-0\n"),
        ("pod", "pod-name", "ok 127.0.0.1 PORT HTTP 200 hello-0\n"),
        ("line", "pod-name", "ok 127.0.0.1 PORT HTTP 200 hello-0\n"),
        ("chunks", "pod-name", "ok 127.0.0.1 PORT HTTP 200 hello-0\n"),
        ("large", "pod-name", "ok 127.0.0.1 PORT HTTP 200 hello-0\n"),
        ("short", "pod-name", "ok 127.0.0.1 PORT HTTP 200 hello-0\n"),
        ("web", "pod-name", "ok 127.0.0.1 PORT HTTP 200\n"),
        ("denies", "pod-name", "ok 127.0.0.1 PORT HTTP 403 RBAC: access denied\n"),
        ("escapes", "pod-name", "ok 127.0.0.1 PORT HTTP 200 -n \\c*\\n200 ok\n"),
        ("silent", "pod-name", "failed 127.0.0.1 PORT"),
        ("closes", "pod-name", "failed 127.0.0.1 PORT"),
        ("silent", "http", "failed 127.0.0.1 PORT"),
        ("closes", "http", "failed 127.0.0.1 PORT"),
        ("refused", "http", "failed 127.0.0.1 PORT"),
        ("postgres", "postgres", "ok 127.0.0.1 PORT postgres\n"),
        ("postgres with TLS", "postgres", "ok 127.0.0.1 PORT postgres\n"),
        ("postgres that is full", "postgres", "failed 127.0.0.1 PORT no answer of postgres\n"),
        ("redis", "redis", "ok 127.0.0.1 PORT redis\n"),
        ("redis with a password", "redis", "ok 127.0.0.1 PORT redis\n"),
        (
            "redis that is full",
            "redis",
            "failed 127.0.0.1 PORT refused by the server: ERR max number of clients reached",
        ),
        ("mongodb", "mongodb", "ok 127.0.0.1 PORT mongodb\n"),
        ("mysql", "postgres", "failed 127.0.0.1 PORT no answer of postgres\n"),
        ("mysql", "redis", "failed 127.0.0.1 PORT no answer of redis\n"),
        ("mysql", "mongodb", "failed 127.0.0.1 PORT no answer of mongodb\n"),
        ("silent", "postgres", "failed 127.0.0.1 PORT"),
        ("silent", "redis", "failed 127.0.0.1 PORT"),
        ("silent", "mongodb", "failed 127.0.0.1 PORT"),
        ("silent", "tcp", "ok 127.0.0.1 PORT stays open\n"),
        ("mysql", "tcp", "ok 127.0.0.1 PORT stays open\n"),
        ("closes", "tcp", "failed 127.0.0.1 PORT closed"),
        ("gives up", "tcp", "failed 127.0.0.1 PORT closed"),
        ("gives up after bytes", "tcp", "failed 127.0.0.1 PORT closed"),
        ("refused", "tcp", "failed 127.0.0.1 PORT"),
        ("refused", "none", "ok 127.0.0.1 PORT not asked\n"),
    ],
)
def test_a_host_is_asked(shell: str, server: str, kind: str, answer: str, ask: Ask, ports: dict[str, int]) -> None:
    said = ask(shell, server, kind)
    assert (said.status, said.errors) == (0, "")
    assert said.out.startswith(answer.replace("PORT", str(ports[server])))
    assert len(said.out.splitlines()) == 1


def test_a_connection_must_outlast_a_proxy_that_reaches_nobody(database: ExportedService) -> None:
    """The proxy accepts the consumer's connection at once, and closes it when it gives up reaching the other site."""
    policy = export_destination_rule(database, gateways=1)["trafficPolicy"]
    assert policy["connectionPool"]["tcp"]["connectTimeout"] == f"{CONNECT_SECONDS}s"
    assert f" open_seconds={CONNECT_SECONDS + 2}\n" in SCRIPT


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("server", ["endless", "trickles"])
def test_an_answer_without_an_end_does_not_keep_it(shell: str, server: str, ask: Ask, ports: dict[str, int]) -> None:
    said = ask(shell, server, "pod-name")
    (line,) = said.out.splitlines()
    assert said.seconds < 10, "a second for the answer, one for the name, and some for a busy machine"
    (answer,) = parse_answers(line, {("127.0.0.1", ports[server]): "pod-name"}, "hello-0").values()
    assert not answer.ok


def test_a_name_that_does_not_resolve() -> None:
    said = asked("bash", "nowhere.invalid", "1", "greeting").out
    assert said == "failed nowhere.invalid 1 no such name, or refused\n"


@pytest.mark.parametrize(
    ("shell", "kind", "server", "reason"),
    [
        ("bash", "greeting", "silent", "no answer in 1 s"),
        ("dash", "pod-name", "endless", "no answer in 1 s"),
        *[
            (*how, server, reason)
            for how in (("bash", "greeting"), ("bash", "http"), ("dash", "http"))
            for server, reason in (("closes", "closed without answer"), ("refused", "no such name, or refused"))
        ],
    ],
)
def test_silence_is_told_from_a_closed_connection(
    shell: str, kind: str, server: str, reason: str, ask: Ask, ports: dict[str, int]
) -> None:
    assert ask(shell, server, kind).out == f"failed 127.0.0.1 {ports[server]} {reason}\n"


@pytest.mark.parametrize(
    ("server", "error"), [("full", "Too many connections"), ("picky", "Host '192.0.2.1' is not allowed")]
)
def test_an_error_in_place_of_a_greeting_is_told(ports: dict[str, int], server: str, error: str) -> None:
    said = asked("bash", "127.0.0.1", str(ports[server]), "greeting").out
    assert said == f"failed 127.0.0.1 {ports[server]} refused by the server: {error}\n"


def test_hosts_are_asked_at_the_same_time(ports: dict[str, int]) -> None:
    words = [word for host in range(1, 9) for word in ("127.0.0.1", str(ports["silent"]), "greeting")]
    assert asked("bash", *words).out.count("no answer in 1 s") == 8


def test_a_container_without_tools_says_so(ports: dict[str, int]) -> None:
    command = ("/bin/sh", "-c", SCRIPT.replace("${BASH_VERSION-}", ""), "ask", "h", "1", "http")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/nowhere"})
    assert (done.returncode, done.stderr.strip()) == (1, "it has neither bash nor curl")


# --- what a gateway refuses --------------------------------------------------------------------------------------

GATEWAY_POD = Pod(namespace="istio-system", name="gateway-1", states={"istio-proxy": "running"}, leaving=False)
BEFORE, LAST = "2026-11-28T22:04:58Z/9", "2026-11-28T22:05:07Z/10"


@pytest.mark.parametrize(
    ("listeners", "clusters", "error", "refused"),
    [
        ((0, LAST), (0, LAST), "", []),
        ((1, BEFORE), (0, LAST), "duplicate\n matcher", [("listeners", "duplicate matcher")]),
        ((2, ""), (0, LAST), "duplicate matcher", [("listeners", "duplicate matcher")]),
        ((1, LAST), (0, LAST), "", []),  # It has accepted the configuration that came afterwards.
        ((0, LAST), (1, BEFORE), "", [("clusters", "")]),
        ((0, LAST), (1, ""), "", [("clusters", "")]),
        ((0, LAST), (1, LAST), "", []),
        ((0, LAST), (0, BEFORE), "", []),  # istiod does not send unchanged configuration again.
    ],
)
def test_what_an_envoy_refuses_now(
    listeners: tuple[int, str], clusters: tuple[int, str], error: str, refused: list[tuple[str, str]]
) -> None:
    def ask(path: str) -> Any:
        if path.startswith("stats"):
            return counts(listeners=listeners, clusters=clusters)
        failed = [{"error_state": {"details": error}}] if error else []
        return {"configs": [{"name": "0.0.0.0_15443", "active_state": {}}, *failed]}

    found = [*refused_by(GATEWAY_POD, ask)]
    assert [(one.pod, one.of, one.details) for one in found] == [("istio-system/gateway-1", *one) for one in refused]


def test_whose_envoys_are_asked() -> None:
    chosen = {"app": "gateway"}
    pods = [statuses.pod("istio-system", name) for name in ("own", "other", "leaving")]
    for one in pods:
        one["metadata"]["labels"] = {**chosen, "hash": "1"} if one["metadata"]["name"] != "other" else {}
    pods[2]["metadata"]["deletionTimestamp"] = "2026-11-28T22:05:07Z"
    deployment = {"spec": {"selector": {"matchLabels": chosen}}}
    assert [one.name for one in envoys(deployment, pods)] == ["own"]
    assert envoys({}, pods) == []
