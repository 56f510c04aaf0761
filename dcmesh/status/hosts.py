"""Hosts: whether imported hosts answer now, and which identities the consumer's sidecar accepts from them."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dcmesh.kube.api import ERRORS, ApiClient, run_in, why
from dcmesh.kube.host_protocols import asking
from dcmesh.kube.pods import PROXY, Pod, ask_proxy, meshed_pod
from dcmesh.model.egress import HostPort
from dcmesh.model.facts import Fact, State
from dcmesh.model.link import CLUSTER_DOMAIN, HTTP_PROBES, ServiceAccount, pod_of
from dcmesh.model.printable import printable
from dcmesh.sites_in_outputs import DeployedExport
from dcmesh.status.certificates import Certificate, parse_proxy

ANSWER_SECONDS = 3
"""How long a host may take for an answer."""

LONGEST_ANSWER = 200
"""How many characters of an answer are shown."""

ANOTHER = "answered by"
"""How a host's answer begins when another pod's name is in it."""

SCRIPT = asking(Path(__file__).with_suffix(".sh").read_text(), seconds=ANSWER_SECONDS)


NONSENSE = (LookupError, ValueError, TypeError, AttributeError, RecursionError)
"""Errors that an answer causes if it is not like a sidecar's."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a host said to a new connection.

    Attributes:
        ok: whether that was as expected.
        text: the answer (of a host that answers with its pod's name, that name), or why there was none.
    """

    ok: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Host(Fact):
    """An imported host, as a consumer sees it.

    Attributes:
        source: the exporting site.
        consumer: who asked: namespace and service account.
        gateways: the addresses that lead to it.
        host: its name.
        port: its port.
        answer: what it said to a new connection.
        identity: the SPIFFE id that it must prove, or several, separated by spaces, of which it must prove one.
        accepted: the identities that the consumer's sidecar accepts; None if the sidecar could not be asked.
    """

    source: str
    consumer: str
    gateways: tuple[str, ...]
    host: str
    port: int
    answer: Answer | None = None
    identity: str
    accepted: tuple[str, ...] | None = None

    @property
    def where(self) -> str:
        """What problems begin with."""
        # If nothing can be asked the reason is the same for all hosts of a consumer, and so they are one problem.
        what = f"hosts of {self.source}" if self.unknown else f"{self.host}:{self.port}"
        return f"{self.site} {self.consumer} to {what}"

    @property
    def must_be(self) -> str:
        """Namespace and service account of the identity that it must prove, or of each of several."""
        # spiffe://DOMAIN/ns/NAMESPACE/sa/NAME
        return " ".join("/".join(of.split("/")[-3::2]) for of in self.identity.split())

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        if self.answer and not self.answer.ok:
            yield State.CRITICAL, self.answer.text
        if self.accepted is None:
            yield State.UNKNOWN, "the sidecar does not say whom it takes for the host"
        elif set(self.accepted) != set(self.identity.split()):
            accepted = " ".join(self.accepted) or "anybody"
            yield State.CRITICAL, f"the sidecar accepts {accepted} instead of {self.identity}"


def ask_account(
    clients: Callable[[], ApiClient], site: str, account: ServiceAccount, imports: tuple[DeployedExport, ...]
) -> list[Fact]:
    """Ask a running pod of a service account for its certificate, and for the hosts that it imports."""
    who = str(account)
    try:
        with clients() as api:
            pod = meshed_pod(api, account)
            if not pod:
                raise LookupError("no pod with a sidecar runs as this service account")
            certificate = parse_proxy(site, who, ask_proxy(api, pod, "certs"), datetime.now(UTC))
    except (*ERRORS, *NONSENSE) as error:
        unknown = why(error)
        certificate = Certificate(site=site, kind="pod", subject=who, unknown=unknown)
        return [certificate, *_hosts(site, who, imports, {}, {}, unknown)]
    if not imports:
        return [certificate]
    unknown, answers, accepted = "", dict[HostPort, Answer](), dict[HostPort, tuple[str, ...]]()
    with clients() as api:
        try:
            answers = ask_hosts(api, pod, imports)
        except ERRORS as error:
            unknown = why(error)
        try:
            accepted = parse_clusters(ask_proxy(api, pod, clusters_path(imports)))
        except (*ERRORS, *NONSENSE):
            accepted = {}
    return [certificate, *_hosts(site, who, imports, answers, accepted, unknown)]


def _hosts(
    site: str,
    consumer: str,
    imports: tuple[DeployedExport, ...],
    answers: Mapping[HostPort, Answer],
    accepted: Mapping[HostPort, tuple[str, ...]],
    unknown: str,
) -> list[Host]:
    nothing = Answer(ok=False, text="no answer")
    return [
        Host(
            site=site,
            unknown=unknown,
            source=imported.source,
            consumer=consumer,
            gateways=imported.gateways,
            host=host,
            port=imported.port,
            answer=None if unknown else answers.get((host, imported.port), nothing),
            identity=" ".join(imported.identities),
            accepted=accepted.get((imported.known_as(host), imported.port)),
        )
        for imported in imports
        for host in imported.hosts
    ]


def ask_hosts(api: ApiClient, pod: Pod, imports: tuple[DeployedExport, ...]) -> dict[HostPort, Answer]:
    """Have a pod connect to every host, from the first of its containers that can. An egress gateway's has one.

    Raises:
        ERRORS: none can; the reason is the last one's.
    """
    words = [word for i in imports for host in i.hosts for word in (host, str(i.port), i.probe)]
    problem: Exception = ChildProcessError(f"no container of {pod.namespace}/{pod.name} runs")
    for container in [PROXY] if any(i.by_gateway for i in imports) else pod.own_containers:
        for shell in ("bash", "sh"):
            command = (shell, "-c", SCRIPT, "ask", *words)
            try:
                printed = run_in(api, namespace=pod.namespace, pod=pod.name, container=container, command=command)
            except ChildProcessError as error:
                reason = why(error) if shell == "sh" else "it has no shell"
                problem = ChildProcessError(f"{pod.namespace}/{pod.name} ({container}) cannot ask: {reason}")
            else:
                probes = {(host, i.port): i.probe for i in imports for host in i.hosts}
                return parse_answers(printed, probes, pod.name)
    raise problem


def parse_answers(printed: str, probes: Mapping[HostPort, str], asker: str) -> dict[HostPort, Answer]:
    """Return the answers that hosts.sh prints, by host and port.

    Args:
        printed: its lines.
        probes: what is expected, by host and port.
        asker: name of the pod that asked.
    """
    answers = dict[HostPort, Answer]()
    for verdict, host, port, said in re.findall(r"^(ok|failed) (\S+) (\d{1,5}) ?(.*)$", printed, re.MULTILINE):
        text = printable(said, LONGEST_ANSWER)
        pod = pod_of(host) if host.endswith(CLUSTER_DOMAIN) else asker
        wrong = Answer(ok=False, text=text or "no answer")
        of = (host, int(port))
        answers[of] = _judged(text, probes.get(of), pod) if verdict == "ok" and text else wrong
    return answers


def _judged(text: str, probe: str | None, pod: str | None) -> Answer:
    """Return whether a host's answer is right, and what to show of it. link_probe.sh has the same rules."""
    http = re.match(r"(HTTP \S+) ?(.*)", text)
    if probe not in HTTP_PROBES or not http:
        return Answer(ok=probe not in (*HTTP_PROBES, None), text=text)
    status, said = http[1], http[2]
    if (probe, status) == ("pod-name", "HTTP 200"):
        right, another = said == pod, f"{ANOTHER} '{said}' instead of {pod}"
        return Answer(ok=right, text=said if right else another if said else "HTTP 200 without a name")
    return Answer(ok=probe == "http" and bool(re.match("HTTP [1-4][0-9][0-9]", status)), text=status)


def clusters_path(imports: tuple[DeployedExport, ...]) -> str:
    """Return the path at which Envoy shows its clusters for these hosts."""
    names = "|".join(re.escape(f"|{i.port}||{i.known_as(host)}") for i in imports for host in i.hosts)
    return f"config_dump?resource=dynamic_active_clusters&name_regex={quote(f'outbound({names})', safe='')}"


def parse_clusters(answer: Mapping[str, Any]) -> dict[HostPort, tuple[str, ...]]:
    """Return the identities that Envoy accepts, by host and port."""
    clusters = (config["cluster"] for config in answer.get("configs", ()))
    return {_place(cluster["name"]): tuple(sorted(set(_names(cluster)))) for cluster in clusters}


def _place(cluster: str) -> HostPort:
    """Return host and port of the name of a cluster: `outbound|PORT||HOST`."""
    _, port, _, host = cluster.split("|")
    return host, int(port)


def _names(config: Any, *, matched: bool = False) -> Iterator[str]:  # noqa: ANN401 — a tree
    """Yield the names of which a certificate must have one, wherever they are in a cluster's configuration."""
    match config:
        case Mapping():
            for key, part in config.items():
                if matched and key in ("exact", "prefix", "suffix", "contains"):
                    yield part if key == "exact" else f"{key} {part}"
                else:
                    yield from _names(part, matched=matched or key.endswith("subject_alt_names"))
        case list():
            for part in config:
                yield from _names(part, matched=matched)
