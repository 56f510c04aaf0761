"""By what proxy a cluster's API server is reached: as kubectl and Pulumi's provider say, for REST and exec alike."""

import os
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

import urllib3
from kubernetes import client
from kubernetes.client import rest
from kubernetes.config import ConfigException

ALL, NONE = "*", "-"
"""Hosts to reach without the proxy: every one, or none (no host has that name)."""

# Else REST would decide again, otherwise than exec, and change the environment of all threads meanwhile.
rest.should_bypass_proxies = lambda _, no_proxy: no_proxy == ALL


def set_proxy(configuration: client.Configuration, given: str | None) -> None:
    """Have a client reach its API server by the right proxy, or by none.

    Args:
        configuration: the client's, with the server's URL.
        given: `proxy-url` of the kubeconfig, which counts before the environment.

    Raises:
        ConfigException: no such proxy can be used.
    """
    server = urlsplit(configuration.host)
    name = f"{server.scheme}_proxy"
    proxy = given or os.environ.get(name.upper()) or os.environ.get(name)
    configuration.proxy, configuration.proxy_headers = None, None
    if not proxy:
        return
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if url.scheme != "http" or not url.hostname:
        raise ConfigException(f"its proxy is one of {url.scheme}://, and http:// alone can be used")
    configuration.proxy = f"http://{url.hostname}:{url.port or 80}"
    if url.username:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}"
        configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=user)
    excepted = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    # Never empty: exec would ask the environment then.
    configuration.no_proxy = ALL if not given and is_excepted(server.hostname or "", excepted) else NONE


def is_excepted(host: str, no_proxy: str) -> bool:
    """Tell whether a host is reached without the environment's proxy, by Go's rules."""
    entries = [entry.strip().lower() for entry in no_proxy.split(",") if entry.strip()]
    if ALL in entries or host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        names = [entry.removeprefix("*") for entry in entries]
        return any(host == name or host.endswith(f".{name.removeprefix('.')}") for name in names)
    return address.is_loopback or any(address in network for entry in entries for network in _networks(entry))


def _networks(entry: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(entry, strict=False)]
    except ValueError:  # a name
        return []
