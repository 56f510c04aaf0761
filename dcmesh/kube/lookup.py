"""Whether an object is there, by its metadata alone: it may be a Secret."""

import time
from collections.abc import Mapping
from threading import Lock
from typing import Any

from dcmesh.kube.api import ERRORS, SECONDS, ApiClient, connect, status_of

PAUSES = (1, 2, 4, 8)
"""Seconds before an API server is asked again that did not answer: it may be restarted just now."""

FINAL = (400, 403)
"""What it answers to a request that will not do better another time."""

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""What to accept from an API server, so that it sends nothing else of an object."""


def resource_of(kind: str) -> str:
    """Return by what name the API knows the objects of a kind, as Kubernetes itself guesses it."""
    name = kind.lower()
    if name.endswith("gateway"):
        return f"{name}s"
    return f"{name}es" if name.endswith("s") else f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


class Lookup:
    """One cluster, asked for the metadata of objects."""

    def __init__(self) -> None:
        """Begin without a connection."""
        self._api: ApiClient | None = None
        self._lock = Lock()

    def metadata(
        self, kubeconfig: str, version: str, kind: str, namespace: str | None, name: str, *, patient: bool
    ) -> Mapping[str, Any] | None:
        """Return the metadata of an object; None if it is not there.

        Args:
            kubeconfig: contents of the cluster's kubeconfig.
            version: the object's apiVersion.
            kind: its kind.
            namespace: its namespace, if it has one.
            name: its name.
            patient: whether to ask again after what may pass.

        Raises:
            ERRORS: the cluster does not say.
        """
        place = version, resource_of(kind), namespace, name
        for pause in PAUSES if patient else ():
            try:
                return self._read(kubeconfig, *place)
            except ERRORS as error:
                if status_of(error) in FINAL:
                    raise
            self._api = None  # its credentials may have run out
            time.sleep(pause)
        return self._read(kubeconfig, *place)

    def _read(
        self, kubeconfig: str, version: str, resource: str, namespace: str | None, name: str
    ) -> Mapping[str, Any] | None:
        with self._lock:  # credentials may be fetched by a program: once is enough
            api = self._api = self._api or connect(kubeconfig)
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        within = f"/namespaces/{namespace}" if namespace else ""
        try:
            found = api.call_api(
                f"{root}{within}/{resource}/{name}",
                "GET",
                header_params={"Accept": METADATA_ONLY},
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=SECONDS,
            )
        except ERRORS as error:
            if status_of(error) == 404:
                return None
            raise
        metadata: Mapping[str, Any] = found["metadata"]
        return metadata
