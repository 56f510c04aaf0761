"""What has certificates in a cluster: its proxies, its istiods and the Secret that these read."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import yaml
from kubernetes import client

from dcmesh.kube.api import ERRORS, answer_or_none, connect, run_in, why
from dcmesh.kube.mesh_config import mesh_config
from dcmesh.model.cacerts import layout_of, pem_of
from dcmesh.model.certificates import UNREADABLE, Bundle, CertificateHolder, holder_of
from dcmesh.model.istio import ISTIO_NAMESPACE, TRUST_DOMAIN
from dcmesh.model.printable import printable

SECRET = "cacerts"  # noqa: S105 — its name
PROXY, ISTIOD = "istio-proxy", "discovery"
"""Names of containers."""

SECONDS = 10
"""How long an API server may take for one answer."""

AT_ONCE = 16
"""How many proxies of a cluster are asked at the same time."""


def parse_secrets(where: str, dump: str) -> CertificateHolder:
    """Return a proxy's certificates, from its answer at `config_dump?resource=dynamic_active_secrets`."""
    try:
        return _parse_secrets(where, dump)
    except (ValueError, TypeError, AttributeError, RecursionError):  # a proxy's pod may answer anything
        return CertificateHolder(where=where, unknown=UNREADABLE)


def _parse_secrets(where: str, dump: str) -> CertificateHolder:
    pems = {"chain": "", "roots": ""}
    for found in json.loads(dump).get("configs", ()):
        secret = found.get("secret", {})
        for part, *path in (("chain", "tls_certificate", "certificate_chain"), ("roots", "validation_context")):
            if secret.get("name") == {"chain": "default", "roots": "ROOTCA"}[part]:
                inner: Mapping[str, Any] = secret
                for key in [*path, *(["trusted_ca"] if part == "roots" else [])]:
                    inner = inner.get(key, {})
                pems[part] = base64.b64decode(inner.get("inline_bytes", "")).decode()
    if not all(pems.values()):
        return CertificateHolder(where=where, unknown="it has no certificate yet")
    return holder_of(where, Bundle(chain=pems["chain"], root=pems["roots"]))


class MeshCluster:
    """One cluster that is asked and, during a rotation, hurried."""

    def __init__(self, site: str, kubeconfig: str) -> None:
        """Connect.

        Args:
            site: name of the site.
            kubeconfig: contents of its kubeconfig.
        """
        self.site = site
        with connect(kubeconfig) as api:
            self._configuration = api.configuration

    def _api(self) -> client.ApiClient:
        return client.ApiClient(self._configuration)

    def _pods(self, container: str, **selectors: str) -> list[tuple[str, str]]:
        """Return namespace and name of each pod that runs a container of this name and is not being deleted."""
        with self._api() as api:
            listed = client.CoreV1Api(api).list_pod_for_all_namespaces(
                field_selector="status.phase=Running", _request_timeout=SECONDS, **selectors
            )
        return [
            (pod.metadata.namespace, pod.metadata.name)
            for pod in listed.items
            if not pod.metadata.deletion_timestamp
            for status in (*(pod.status.container_statuses or ()), *(pod.status.init_container_statuses or ()))
            if status.name == container and status.state.running
        ]

    def _each(self, container: str, command: Sequence[str], **selectors: str) -> dict[str, str | Exception]:
        """Run a command in each container of a name. Return what each printed, or why not; lost pods are left out."""

        def ask(pod: tuple[str, str]) -> str | Exception | None:
            try:
                with self._api() as api:
                    return run_in(api, namespace=pod[0], pod=pod[1], container=container, command=command)
            except client.ApiException as error:
                return None if error.status == 404 else error
            except ERRORS as error:
                return error

        pods = self._pods(container, **selectors)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = dict(zip(pods, pool.map(ask, pods), strict=True))
        return {
            printable(f"{self.site} {'/'.join(of)}"): answer for of, answer in answers.items() if answer is not None
        }

    def _secret(self) -> Mapping[str, str] | None:
        with self._api() as api:
            get = client.CoreV1Api(api).read_namespaced_secret
            found = answer_or_none(get, SECRET, ISTIO_NAMESPACE, _request_timeout=SECONDS)
        return None if found is None else found.data or {}

    def bundle(self) -> Bundle | None:
        """Return what the Secret `cacerts` has; None if it is not there."""
        data = self._secret()
        if data is None:
            return None
        layout = layout_of(data)
        return Bundle(chain=pem_of(data, layout.chain), root=pem_of(data, layout.root))

    def trust_domains(self, revision: str) -> tuple[str, ...]:
        """Return the trust domain of the mesh of that revision, and its aliases; none if there is no mesh."""
        with self._api() as api:
            found = mesh_config(api, revision)
        if found is None:
            return ()
        return (found.get("trustDomain", TRUST_DOMAIN), *(found.get("trustDomainAliases") or ()))

    def write_roots(self, pem: str) -> None:
        """Replace the roots in the Secret `cacerts`."""
        key = layout_of(self._secret() or {}).root
        with self._api() as api:
            data = {"data": {key: base64.b64encode(pem.encode()).decode()}}
            client.CoreV1Api(api).patch_namespaced_secret(SECRET, ISTIO_NAMESPACE, data, _request_timeout=SECONDS)

    def hasten(self) -> None:
        """Make istiod's pods see a changed Secret within 2 s instead of a minute: kubelets look when a pod changes."""
        now = {"metadata": {"annotations": {"dcmesh/cacerts-changed": datetime.now(UTC).isoformat()}}}
        for namespace, name in self._pods(ISTIOD, label_selector="app=istiod"):
            with self._api() as api:
                client.CoreV1Api(api).patch_namespaced_pod(name, namespace, now, _request_timeout=SECONDS)

    def proxies(self) -> list[CertificateHolder]:
        """Ask every proxy."""
        command = ("pilot-agent", "request", "GET", "config_dump?resource=dynamic_active_secrets")
        return [
            CertificateHolder(where=where, unknown=why(answer))
            if isinstance(answer, Exception)
            else parse_secrets(where, answer)
            for where, answer in self._each(PROXY, command).items()
        ]

    def signs_until(self) -> list[float | None]:
        """Ask every istiod until when the certificate that it signs with is valid, as a Unix time."""
        answers = self._each(ISTIOD, ("pilot-discovery", "request", "GET", "/metrics"), label_selector="app=istiod")
        return [None if isinstance(answer, Exception) else parse_expiry(answer) for answer in answers.values()]


def parse_expiry(metrics: str) -> float | None:
    """Return until when an istiod's metrics say that its certificate is valid."""
    lines = (line.split() for line in metrics.splitlines())
    return next((float(line[1]) for line in lines if line[:1] == ["citadel_server_cert_chain_expiry_timestamp"]), None)


def on_each(
    sites: Mapping[str, str], question: Callable[[MeshCluster], list[CertificateHolder]]
) -> list[CertificateHolder]:
    """Ask several clusters. For one that cannot be reached the answer is the reason.

    Args:
        sites: the kubeconfig of each, by name.
        question: what to ask.
    """
    found = list[CertificateHolder]()
    for site, kubeconfig in sites.items():
        try:
            found += question(MeshCluster(site, kubeconfig))
        except ERRORS as error:
            found.append(CertificateHolder(where=f"{site}'s cluster", unknown=why(error)))
        except (client.exceptions.OpenApiException, ValueError, yaml.YAMLError):
            found.append(CertificateHolder(where=f"{site}'s cluster", unknown="its kubeconfig cannot be used"))
    return found


def all_of(cluster: MeshCluster) -> list[CertificateHolder]:
    """Return the certificates of a cluster's proxies, and those that its new pods will get."""
    bundle = cluster.bundle()
    secret = f"{cluster.site} Secret {ISTIO_NAMESPACE}/{SECRET}"
    return [*([holder_of(secret, bundle)] if bundle else []), *cluster.proxies()]
