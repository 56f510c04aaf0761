"""Which proxy leads to a cluster's API server: the one of kubectl and Pulumi's provider, for REST and exec alike."""

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from kubernetes import client
from kubernetes.client import rest
from kubernetes.config import ConfigException

ALL, NONE = "*", "-"
"""Hosts to reach without the proxy: every one, or none (no host has that name)."""

# Otherwise REST would decide by itself and not as exec does, and change the environment of all threads meanwhile.
rest.should_bypass_proxies = lambda _, no_proxy: no_proxy == ALL


def set_proxy(configuration: client.Configuration, given: str | None) -> None:
    """Have a client reach its API server by the right proxy, or by none.

    Args:
        configuration: the client's, with the server's URL.
        given: `proxy-url` of the kubeconfig, which overrides the environment.

    Raises:
        ConfigException: no such proxy can be used.
    """
    server = urlsplit(configuration.host)
    name = f"{server.scheme}_proxy"
    proxy = given or os.environ.get(name.upper()) or os.environ.get(name)
    excepted = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    configuration.proxy, configuration.proxy_headers = None, None
    if not proxy:
        return
    if not given and is_excepted(server.hostname or "", excepted, port=_port(server)):
        # exec would take an empty proxy from the environment.
        configuration.proxy, configuration.no_proxy = f"http://{NONE}:80", ALL
        return
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if url.scheme != "http" or not url.hostname:
        raise ConfigException(f"its proxy is one of {url.scheme}://, and http:// alone can be used")
    configuration.proxy = f"http://{url.hostname}:{url.port or 80}"
    if url.username:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}"
        configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=user)
    configuration.no_proxy = NONE  # exec would take an empty one from the environment


def is_excepted(host: str, no_proxy: str, *, port: int) -> bool:
    """Tell whether a host is reached without the environment's proxy, by Go's rules.

    Args:
        host: the host.
        no_proxy: the exceptions, which may each name a port.
        port: the port at which it is reached.
    """
    given = [entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()]
    if ALL in given or host == "localhost":
        return True
    entries = [of for of, at in map(_split, given) if at in ("", str(port))]
    try:
        address = ip_address(host)
    except ValueError:
        names = [entry.removeprefix("*") for entry in entries]
        return any(host == name or host.endswith(f".{name.removeprefix('.')}") for name in names)
    return address.is_loopback or any(address in network for entry in entries for network in _networks(entry))


def _port(server: SplitResult) -> int:
    return server.port or (443 if server.scheme == "https" else 80)


def _split(entry: str) -> tuple[str, str]:
    """Return an exception's host and its port, if it has one; an IPv6 address has a port behind brackets alone."""
    if found := re.fullmatch(r"\[(.*)\](?::(\d+))?|([^:]*):(\d+)", entry):
        bracketed, of_bracketed, host, port = found.groups(default="")
        return bracketed or host, of_bracketed or port
    return entry, ""


def _networks(entry: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(entry, strict=False)]
    except ValueError:  # a name
        return []
