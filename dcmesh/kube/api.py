"""How a cluster is reached and asked for what no Pulumi resource knows."""

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import yaml
from kubernetes import client
from kubernetes.client import ApiClient, ApiException
from kubernetes.config import ConfigException
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL
from urllib3.exceptions import HTTPError, MaxRetryError
from websocket import WebSocketException, setdefaulttimeout

from dcmesh.kube.credentials import load
from dcmesh.kube.http_proxy import set_proxy
from dcmesh.kube.kubeconfig import load_yaml
from dcmesh.model.printable import printable

SECONDS = 10
"""How long an API server may take for one answer, and a command in a container."""

SOON = 5
"""How long an API server may take for an answer while somebody waits for it."""

__all__ = [
    "ERRORS",
    "SECONDS",
    "SOON",
    "ApiClient",
    "ApiException",
    "ConfigException",
    "HTTPError",
    "answer_or_none",
    "connect",
    "custom_object",
    "reach",
    "run_in",
    "secret_data",
    "status_of",
    "why",
]

LONGEST_REASON = 400
"""How many characters of a reason are shown."""

ERRORS = (ApiException, HTTPError, WebSocketException, OSError)
"""What is raised when a cluster, or a container in it, cannot be asked."""

setdefaulttimeout(SECONDS)  # without it a silent API server would be waited for as long as TCP does


def connect(kubeconfig: str) -> ApiClient:
    """Return a client of the API server that a kubeconfig names.

    Args:
        kubeconfig: its contents, whose current context is the cluster's.

    Raises:
        ConfigException: it cannot be used.
        ConnectionError: its program for credentials has failed, which may pass: one of ERRORS.
    """
    known = load_yaml(kubeconfig)
    configuration = client.Configuration()
    load(known, configuration)
    named = {key: {e["name"]: e[key] for e in known[f"{key}s"]} for key in ("context", "cluster")}
    cluster = named["cluster"][named["context"][known["current-context"]]["cluster"]]
    set_proxy(configuration, cluster.get("proxy-url"))
    return ApiClient(configuration)


def reach(kubeconfig: str) -> Callable[[], ApiClient]:
    """Return a function that makes clients of a cluster, one for each thread. Credentials are fetched once.

    Raises:
        ConnectionError: it does not answer, or that is no kubeconfig.
    """
    try:
        with connect(kubeconfig) as api:
            configuration = api.configuration
            configuration.retries = False  # the caller tries again
        with ApiClient(configuration) as api:
            client.VersionApi(api).get_code(_request_timeout=SOON)
    except (ConfigException, yaml.YAMLError):  # their messages may show the kubeconfig's contents
        raise ConnectionError("its kubeconfig cannot be used") from None
    except ERRORS as error:
        raise ConnectionError(why(error)) from None
    return partial(ApiClient, configuration)


def answer_or_none(ask: Callable[..., Any], *arguments: Any, none: Collection[int] = (404,), **options: Any) -> Any:  # noqa: ANN401 — the client has no types
    """Return what an API server answers; None if it refuses with one of these statuses.

    Args:
        ask: the client's function.
        arguments: its arguments.
        none: the statuses. Default: 404, that there is no such thing.
        options: its named arguments.

    Raises:
        ERRORS: the cluster cannot be asked.
    """
    try:
        return ask(*arguments, **options)
    except ApiException as error:
        if error.status in none:
            return None
        raise


def custom_object(api: ApiClient, *place: str) -> dict[str, Any] | None:
    """Return a custom object; None if there is none.

    Args:
        api: the cluster.
        place: group, version, namespace, plural and name.

    Raises:
        ERRORS: the cluster cannot be asked.
    """
    get = client.CustomObjectsApi(api).get_namespaced_custom_object
    found: dict[str, Any] | None = answer_or_none(get, *place, _request_timeout=SECONDS)
    return found


def secret_data(api: ApiClient, namespace: str, name: str) -> dict[str, str]:
    """Return what a Secret has, in Base64.

    Raises:
        ERRORS: the cluster cannot be asked, or has none.
    """
    found = client.CoreV1Api(api).read_namespaced_secret(name, namespace, _request_timeout=SOON)
    return found.data or {}


def status_of(error: Exception) -> int | None:
    """Return the HTTP status with which an API server refused; None if the error is another one."""
    return error.status if isinstance(error, ApiException) else None


def run_in(api: ApiClient, *, namespace: str, pod: str, container: str, command: Sequence[str]) -> str:
    """Run a command in a container and return what it prints.

    Meanwhile the client can do nothing else, because kubernetes.stream changes it. So each thread needs its own.

    Raises:
        ApiException, WebSocketException, OSError: the container cannot be reached.
        TimeoutError: the command takes longer than SECONDS.
        ChildProcessError: it cannot be started, or fails; the message is what it printed.
    """
    running = stream(
        client.CoreV1Api(api).connect_get_namespaced_pod_exec,
        pod,
        namespace,
        container=container,
        command=list(command),
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _preload_content=False,
    )
    try:
        running.run_forever(timeout=SECONDS)
        if running.is_open():
            raise TimeoutError(f"no answer within {SECONDS} seconds")
        printed, complaint = str(running.read_stdout(0)), str(running.read_stderr(0))
        end = yaml.safe_load(running.read_channel(ERROR_CHANNEL)) or {}
    finally:
        running.close()
    if end.get("status") != "Success":
        raise ChildProcessError(complaint or printed or end.get("message", "the connection broke"))
    return printed


def why(error: Exception) -> str:
    """Return on one line why a cluster, or a container in it, could not be asked."""
    cause = error.reason if isinstance(error, MaxRetryError) else error
    text = f"{cause.status or ''} {cause.reason}" if isinstance(cause, ApiException) else str(cause)
    text = re.sub(r"^ *Handshake status (.*?) -\+-\+- .*$", r"\1", text, flags=re.DOTALL)  # headers and body follow
    text = re.sub(r"^HTTPS?Connection(?:Pool)?\(host='([^']*)', port=(\d+)\)", r"\1:\2", text)
    return printable(" ".join(text.split()), LONGEST_REASON) or type(error).__name__
