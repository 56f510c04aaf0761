"""Policy: the host's pod lets the consumer in."""

from collections.abc import Iterator, Sequence

from dcmesh.doctor.evidence import sidecar_state
from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import restore_object
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.authorization import Request, connection, denies, holding, refusing
from dcmesh.model.facts import State
from dcmesh.model.gateway import GATEWAY_NAME, GATEWAY_PORT
from dcmesh.model.istio_objects import Object, labels, name_of, selects, target_port
from dcmesh.model.link import ServiceAccount, as_written, is_whole, service_of
from dcmesh.model.network_policy import NAMESPACE_NAME, Caller, shutting_out
from dcmesh.model.object_names import ingress_name, opening
from dcmesh.status.hosts import Answer

NOT_CONSUMER = FindingKind("consumer-refused", "the export's own policy does not name the consumer")
DENIED = FindingKind("denied", "an AuthorizationPolicy denies the consumer")
NOT_ALLOWED = FindingKind("not-allowed", "there are AuthorizationPolicies that allow, and none allows the consumer")
NO_POLICY = FindingKind(
    "policy-missing", "no policy keeps others of the mesh out: every consumer of every site may connect", State.WARNING
)
OTHERS = FindingKind(
    "others-admitted", "whom the export does not name as its consumer is let in as well", State.WARNING
)
CLOSED = FindingKind(
    "network-closed",
    "a NetworkPolicy keeps the gateway from the host's pod, as far as something in the cluster enforces it",
    State.WARNING,
)


def judge(link: WalkedLink, policies: Sequence[Object], pod: Object, answer: Answer | None) -> Iterator[HopFinding]:
    """Yield the policies that keep the consumer out.

    Args:
        link: the link.
        policies: the AuthorizationPolicies of the cluster.
        pod: the host's pod.
        answer: what the host says to its consumer; None if that is not known. That it answers proves nothing: a
            server's greeting comes before Envoy looks at a policy, and an HTTP request may take an old connection.
    """
    namespace = pod["metadata"]["namespace"]
    holds = holding(policies, namespace, labels(pod))
    name = ingress_name(link.export) if link.export.ingress else f"{link.export.name}-consumers"
    ours = f"{link.export.namespace}/{name}"
    there = any(name_of(policy) == ours for policy in policies)
    again = restore_object(link.export.source, "authorizationpolicy", ours, there=there)
    domains = link.export.trust_domains
    request = connection(link.account, port=link.export.pod_port, sni=link.sni, trust_domains=domains)
    who = as_written(request.facts["principals"], domains[0])
    silent = answer is not None and not answer.ok
    for policy in holds:
        rules = policy["spec"].get("rules", ())
        rule = next((rule for rule in rules if request.matches(rule, unknown=silent)), None)
        if policy["spec"].get("action") != "DENY" or rule is None:
            continue
        evidence = f"AuthorizationPolicy {name_of(policy)}, DENY: {rule}; the consumer is {who}"
        delete = f"kubectl delete authorizationpolicy -n {name_of(policy).replace('/', ' ')}"
        if name_of(policy) != ours:
            yield DENIED(evidence, f"Exempt the consumer from it, or delete it: `{delete}`.")
        elif any(consumer.account == link.account for consumer in link.export.consumers):
            yield NOT_CONSUMER(evidence, again)
        else:
            site = link.export.source
            add = f"Add {link.account} of {link.consumer_site} to the export's `consumers` in the stack file of {site}"
            yield NOT_CONSUMER(evidence, f"{add} and run `pulumi up` there.")
        return
    allowing = [policy for policy in holds if policy["spec"].get("action", "ALLOW") == "ALLOW"]
    rules = [rule for policy in allowing for rule in policy["spec"].get("rules", ())]
    if allowing and not any(request.matches(rule, unknown=True) for rule in rules):
        names = ", ".join(name_of(policy) for policy in allowing)
        yield NOT_ALLOWED(
            f"AuthorizationPolicy {names}, ALLOW: no rule matches {who}",
            f"Add a rule for the principal {who} and port {link.export.pod_port} to it, or delete it.",
        )
        return
    known = set(link.export.consumer_principals)
    for own in (policy for policy in holds if name_of(policy) == ours):
        sources = [part.get("source", {}) for rule in own["spec"].get("rules", ()) for part in rule.get("from", ())]
        if others := sorted({one for source in sources for one in source.get("notPrincipals", ())} - known):
            yield OTHERS(f"AuthorizationPolicy {ours}: it does not deny {' '.join(others)}", again)
    if not any(name_of(policy) == ours for policy in holds):
        yield NO_POLICY(f"no AuthorizationPolicy {ours} holds for pod {name_of(pod)}", again)


def judge_at_gateway(
    link: WalkedLink, policies: Sequence[Object], gateways: Sequence[Object], pod: Object
) -> Iterator[HopFinding]:
    """Yield what keeps the consumer from the gateway, where that ends its TLS.

    Args:
        link: the link.
        policies: the AuthorizationPolicies of the cluster.
        gateways: its Gateways.
        pod: a pod of the gateway.
    """
    ours, who = opening(link.export, link.host, link.gateway.namespace), link.account.spiffe_id
    servers = [server for of in gateways if name_of(of) == ours for server in of["spec"].get("servers", ())]
    if not any(who in server.get("tls", {}).get("subjectAltNames", ()) for server in servers):
        site = link.export.source
        again = restore_object(site, "gateway.networking.istio.io", ours, there=bool(servers))
        add = f"Add {link.account} of {link.consumer_site} to the export's `consumers` in the stack file of {site}"
        known = any(consumer.account == link.account for consumer in link.export.consumers)
        evidence = f"Gateway {ours}: its subjectAltNames have not got {who}"
        yield NOT_CONSUMER(evidence, again if known else f"{add} and run `pulumi up` there.")
        return
    admitted = {of for server in servers for of in server.get("tls", {}).get("subjectAltNames", ())}
    if others := sorted(admitted - set(link.export.consumer_ids)):
        again = restore_object(link.export.source, "gateway.networking.istio.io", ours, there=True)
        yield OTHERS(f"Gateway {ours}: its subjectAltNames have {' '.join(others)}", again)
    asked = connection(link.account, port=GATEWAY_PORT, sni=link.sni, trust_domains=link.export.trust_domains)
    yield from _refused(holding(policies, link.gateway.namespace, labels(pod)), asked, "the gateway")


def judge_behind_gateway(link: WalkedLink, policies: Sequence[Object], pod: Object, port: int) -> Iterator[HopFinding]:
    """Yield the policies that keep the gateway from a pod with a sidecar."""
    if sidecar_state(pod):
        account = ServiceAccount(link.gateway.namespace, GATEWAY_NAME, link.export.trust_domains)
        name = link.export.behind_gateway(link.host)
        sni = f"outbound_.{link.export.port}_._.{name}"
        asked = connection(account, port=port, sni=sni, trust_domains=link.export.trust_domains)
        yield from _refused(holding(policies, link.export.namespace, labels(pod)), asked, f"pod {name_of(pod)}")


def behind_gateway(link: WalkedLink) -> list[tuple[Object, int]]:
    """Return the pods to which the gateway leads, each with the port that it listens on."""
    if not is_whole(link.host):
        return [(link.server, link.export.pod_port)] if link.server else []
    namespace, name = service_of(link.real_host)
    spec = (link.source.service(namespace, name) or {}).get("spec", {})
    pods = [
        pod for pod in link.source.pods(namespace) if spec.get("selector") and selects(spec["selector"], labels(pod))
    ]
    return [(pod, target_port(spec, link.export.port, pod)) for pod in pods]


def judge_networks(
    link: WalkedLink, networks: Sequence[Object], caller: Caller, behind: Sequence[tuple[Object, int]]
) -> Iterator[HopFinding]:
    """Yield the NetworkPolicies that keep the gateway from the pods.

    Args:
        link: the link.
        networks: the NetworkPolicies of the pods' namespace.
        caller: the gateway's pods.
        behind: the pods, each with the port that it listens on.
    """
    for pod, port in behind:
        if shut := shutting_out(networks, pod, caller, port):
            peer = f"from: [{{namespaceSelector: {{matchLabels: {{{NAMESPACE_NAME}: {caller.namespace}}}}}}}]"
            yield CLOSED(
                f"NetworkPolicy {', '.join(shut)} lets no gateway of {caller.namespace} in at port {port} of pod "
                f"{name_of(pod)}",
                f"Add to its `ingress` the rule `{peer}, ports: [{{port: {port}}}]`.",
            )
            return


def _refused(holds: Sequence[Object], asked: Request, where: str) -> Iterator[HopFinding]:
    who = as_written(asked.facts["principals"], asked.trust_domains[0])
    for policy in refusing(holds, asked):
        evidence = f"AuthorizationPolicy {name_of(policy)} refuses {who} at {where}"
        if denies(policy):
            yield DENIED(evidence, f"Exempt the principal {who} from it.")
        else:
            yield NOT_ALLOWED(evidence, f"Add a rule for the principal {who} to it.")


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    if link.ends_at_gateway:
        policies = link.source.istio("AuthorizationPolicy")
        for gateway in link.gateway_pods[:1]:
            yield from judge_at_gateway(link, policies, link.source.istio("Gateway"), gateway)
        for behind, port in behind_gateway(link):
            yield from judge_behind_gateway(link, policies, behind, port)
    elif pod := link.server:
        yield from judge(link, link.source.istio("AuthorizationPolicy"), pod, link.known_answer)
    namespace = link.gateway.namespace
    for gateway in link.gateway_pods[:1]:
        home = labels(link.source.namespace(namespace) or {"metadata": {"labels": {NAMESPACE_NAME: namespace}}})
        caller = Caller(namespace=namespace, namespace_labels=home, labels=labels(gateway))
        networks = link.source.listed(f"/apis/networking.k8s.io/v1/namespaces/{link.export.namespace}/networkpolicies")
        yield from judge_networks(link, networks, caller, behind_gateway(link))


HOP = Hop(
    name="policy",
    about="who ends the TLS lets the consumer in, the export's policy keeps others out, and the gateway gets to the "
    "pod",
    side="source",
    kinds=(NOT_CONSUMER, DENIED, NOT_ALLOWED, NO_POLICY, OTHERS, CLOSED),
    look=_look,
)
