"""The proxy through which an API server is reached: real REST and exec, against a proxy that records its requests."""

import socketserver
from collections.abc import Iterator

import pytest
import yaml
from kubernetes import client
from kubernetes.config import ConfigException

from dcmesh.kube.api import ERRORS, connect, run_in
from dcmesh.kube.http_proxy import is_excepted
from tests.unit.servers import kubeconfig, listening

SERVER = "https://api.dc1.example:6443"


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy that connects to nothing.

    Attributes:
        asked: the first line of each request, and its credentials.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refusal)
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Refusal(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        lines = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n") if line.strip()]
        credentials = [line.rpartition(" ")[2] for line in lines if line.lower().startswith("proxy-authorization")]
        self.server.asked.append(" ".join([*lines[:1], *credentials]))
        self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = Proxy()
    with listening(server):
        yield server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(server: str = SERVER, proxy_url: str | None = None) -> None:
    """Ask a server that does not answer, in both ways."""
    known = yaml.safe_load(kubeconfig({"dc1": server}))
    if proxy_url:
        known["clusters"][0]["cluster"]["proxy-url"] = proxy_url
    with connect(yaml.safe_dump(known)) as api:
        api.configuration.retries = False
        with client.ApiClient(api.configuration) as once, pytest.raises(ERRORS):
            client.VersionApi(once).get_code(_request_timeout=5)
        with pytest.raises(ERRORS):
            run_in(api, namespace="demo", pod="p", container="c", command=["true"])


TUNNEL = "CONNECT api.dc1.example:6443 HTTP/1.1"


def versionless(asked: list[str]) -> list[str]:
    return [line.replace("HTTP/1.0", "HTTP/1.1") for line in asked]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_both_go_by_the_environments_proxy(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    monkeypatch.setenv(name, scheme + proxy.address)
    ask()
    assert versionless(proxy.asked) == [TUNNEL, TUNNEL]


def test_both_go_by_the_kubeconfigs_proxy_whatever_the_environment_says(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    ask(proxy_url=f"http://{proxy.address}")
    assert versionless(proxy.asked) == [TUNNEL, TUNNEL]


def test_both_have_the_proxys_credentials(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://us%40er:pass@{proxy.address}")
    ask()
    assert versionless(proxy.asked) == [f"{TUNNEL} dXNAZXI6cGFzcw=="] * 2


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_neither_goes_by_a_proxy_that_the_environment_excepts(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv(name, "localhost, dc1.example")
    ask()
    assert proxy.asked == []


def test_neither_goes_by_the_proxy_of_another_scheme(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
    ask()
    assert proxy.asked == []


def test_a_proxy_that_an_exception_spares_may_be_of_any_kind(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")  # exec would use this by itself.
    monkeypatch.setenv("NO_PROXY", "api.dc1.example:6443")
    ask()
    assert proxy.asked == []


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1080", "https://proxy.example"])
def test_a_proxy_that_cannot_be_used_is_said(url: str) -> None:
    with pytest.raises(ConfigException, match=r"http:// alone can be used"):
        ask(proxy_url=url)


@pytest.mark.parametrize(
    ("host", "no_proxy", "excepted"),
    [
        ("api.example", "", False),
        ("api.example", "*", True),
        ("api.example", "other.example,api.example", True),
        ("api.example", "example", True),
        ("api.example", ".example", True),
        ("api.example", "*.example", True),
        ("example", ".example", False),
        ("theapi.example", "api.example", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.30,192.168.0.0/16,example", False),
        ("2001:db8::1", "2001:db8::/32", True),
        ("localhost", "", True),
        ("127.0.0.1", "", True),
        ("api.example", "api.example:6443", True),
        ("api.example", "api.example:443", False),
        ("api.example", ".example:6443", True),
        ("10.1.2.3", "10.1.2.3:6443", True),
        ("10.1.2.3", "10.1.2.3:443", False),
        ("2001:db8::1", "[2001:db8::1]:6443", True),
        ("2001:db8::1", "[2001:db8::1]:443", False),
        ("2001:db8::1", "[2001:db8::1]", True),
    ],
)
def test_what_the_environment_excepts(host: str, no_proxy: str, excepted: bool) -> None:
    assert is_excepted(host, no_proxy, port=6443) is excepted
