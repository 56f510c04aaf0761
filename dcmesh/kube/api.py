"""Asking a cluster what no Pulumi resource says: what is there before the first `up`, what runs."""

import re
from collections.abc import Sequence

import yaml
from kubernetes import client, config
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL
from urllib3.exceptions import HTTPError, MaxRetryError
from websocket import WebSocketException, setdefaulttimeout

from dcmesh.kube.http_proxy import set_proxy
from dcmesh.model.printable import printable

SECONDS = 10
"""How long a command in a container may take."""

LONGEST_REASON = 400
"""How many characters are shown of why something could not be asked."""

ERRORS = (client.ApiException, HTTPError, WebSocketException, OSError)
"""What is raised when a cluster, or a container in it, cannot be asked."""

setdefaulttimeout(SECONDS)  # else a container's API server that is silent is waited for as long as TCP does


def connect(kubeconfig: str) -> client.ApiClient:
    """Return a client of the API server that a kubeconfig names.

    Args:
        kubeconfig: its contents, whose current context is the cluster's.
    """
    known = yaml.safe_load(kubeconfig)
    configuration = client.Configuration()
    config.load_kube_config_from_dict(known, client_configuration=configuration)
    named = {key: {e["name"]: e[key] for e in known[f"{key}s"]} for key in ("context", "cluster")}
    cluster = named["cluster"][named["context"][known["current-context"]]["cluster"]]
    set_proxy(configuration, cluster.get("proxy-url"))
    return client.ApiClient(configuration)


def run_in(api: client.ApiClient, *, namespace: str, pod: str, container: str, command: Sequence[str]) -> str:
    """Run a command in a container and return what it prints.

    The client does nothing else meanwhile: kubernetes.stream changes it for that time. Each thread needs its own.

    Raises:
        client.ApiException, WebSocketException, OSError: the container cannot be reached.
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
    text = f"{cause.status or ''} {cause.reason}" if isinstance(cause, client.ApiException) else str(cause)
    text = re.sub(r"^HTTPS?Connection(?:Pool)?\(host='([^']*)', port=(\d+)\)", r"\1:\2", text)
    return printable(" ".join(text.split()), LONGEST_REASON) or type(error).__name__
