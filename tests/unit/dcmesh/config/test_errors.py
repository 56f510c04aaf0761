"""Wrong configurations, and the exact errors of each: the place, the value and what to do."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.configurations import GONE, changed, errors, stack

# places
AT_EXPORT = "sites[0].exports[0]"
AT_IMPORT = "sites[0].imports[0]"
AT_GATEWAY = "sites[0].gateway"
AT_CLUSTER = "sites[0].cluster"
AT_LINK = "peers[0].link"
AT_PRIMARY = "sites[0].workloads[0]"
AT_REPLICA = "sites[1].workloads[0]"

# values
CLIENT = {"site": "dc2", "namespace": "demo-dr", "serviceAccount": "client"}
IMPORT = {"from": "dc1", "export": "hello", "namespace": "demo-dr", "serviceAccount": "client"}
EXPORT = stack("dc1")["sites"][0]["exports"][0]
BY_LABEL = {
    "sites[0].exports[0].statefulSet": GONE,
    "sites[0].exports[0].replicas": GONE,
    "sites[0].exports[0].pods": ["pg-1", "pg-2"],
}
"""An export of pods by a label."""

INGRESS = stack("ingress-port")["sites"][0]["exports"][0]
OF_ALL_PORTS = {key: INGRESS[key] for key in INGRESS.keys() - {"termination", "ports", "services"}}
HELLO = stack("three-sites")["sites"][0]["exports"][0]
DATABASE = stack("mariadb")["sites"][0]["exports"][0]
OWN_REPLICA = {
    "kind": "mariadb",
    "namespace": "wookie-dr",
    "name": "db-pxc",
    "replicates": {"from": "dc1", "export": "db"},
}
NODEPORT = {"exposure": "nodeport", "nodePort": 31443, "advertise": ["192.0.2.11"]}

# advice
NAME = "must be a DNS label: at most 63 lower-case letters, digits and dashes, the first and last no dash"
ADDRESS = "must be an IP address or DNS name by which other sites reach the gateway, without scheme and port"
NETWORK = "must be a network as CIDR, given by its first address, such as 192.0.2.0/24 or 192.0.2.10/32"
IPV4_NETWORK = "must be an IPv4 network as CIDR, given by its first address, such as 241.0.0.0/8"
RANGE = ": choose another range, such as 241.0.0.0/8"
VERSION = (
    "must be a version that dcmesh offers, 1.30.0 or newer, with its patch level; a mesh that runs 1.29, which ended "
    "on 2026-10-15, goes to 1.30.4 first, then to 1.31.0"
)
CHARTS = "must be a chart repository (https://…), an OCI registry (oci://…) or a directory"
EXISTING = "has no effect beside `existing`, whose istiod dcmesh leaves as it is: remove one of the two"
NOTHING = "sites: is missing: name the sites of this stack, or, if it is to hold the root alone, `trust.issueFor`"
IMAGE = "must be an image, such as mariadb:10.11 or registry.example.com/mariadb:10.11"
SIZE = "must be a size as Kubernetes has them, such as 500Mi, 10Gi or 2Ti"
OPTION = "must be the name of a server's option with underscores, such as innodb_buffer_pool_size"
OWN_OPTION = "is set by dcmesh, for replication depends on it: remove it"
PASSWORD = "must be 12 to 32 ASCII characters without spaces, quotes and backslashes"
OTHER_PASSWORD = "is not the one of dc1's database: remove it, the replica finds that in this stack"
NO_PASSWORD = (
    "sites[0].workloads[0].replicationPassword: is missing: nothing here knows the password of dc1's database; take it "
    "from `pulumi stack output replicationPasswords --show-secrets` there, and set it with "
    "`pulumi config set --secret --path`"
)
NOT_IMPORTED = "does not reach the replica: add to the site's imports from: "
BALANCER = "is for load balancers: remove it, or choose another exposure"


@pytest.fixture(autouse=True)
def without_k3d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)


def wrong(name: str, changes: Mapping[str, Any], *lines: str) -> Any:
    """Return a case: the stack dev or an example, with changes, and all errors of it."""
    return pytest.param(name, changes, list(lines), id=f"{name}: {', '.join(changes)}")


WRONG = [
    # the whole
    wrong("dc1", {"site": []}, "site: [] is no known key: did you mean sites?"),
    wrong("dc1", {"Sites": []}, "Sites: [] is no known key: did you mean sites?"),
    wrong(
        "dc1",
        {"colour": "blue"},
        'colour: "blue" is no known key: the known ones are trust, istio, pxc, sites, peers, primary, failover, '
        "protect, monitoring, images",
    ),
    wrong("dc1", {"sites": {"name": "dc1"}}, "sites: {…} must be a list: an item a line, each after a dash"),
    wrong("dc1", {"sites": []}, NOTHING),
    wrong("dc1", {"sites[0]": "dc1"}, 'sites[0]: "dc1" must be a map: `key: value`, one a line'),
    wrong(
        "dc1",
        {"sites[0].colour": "blue"},
        'sites[0].colour: "blue" is no known key: the known ones are name, cluster, gateway, '
        "workloads, exports, imports, vipRange, trustDomain, trustDomainAlias, sharesTrustDomain, podSecurity",
    ),
    wrong("dc1", {"sites[0].exprots": []}, "sites[0].exprots: [] is no known key: did you mean exports?"),
    # names and numbers
    wrong(
        "dc1",
        {"sites[0].name": GONE},
        "sites[0].name: is missing: name of the site, the same in every stack that speaks of it",
    ),
    wrong("dc1", {"sites[0].name": None}, "sites[0].name: null is empty: give it a value or leave the key out"),
    wrong("dc1", {"sites[0].name": 1}, "sites[0].name: 1 must be text: put it in quotes"),
    wrong("dc1", {"sites[0].name": "DC1"}, 'sites[0].name: "DC1" ' + NAME),
    wrong("dc1", {"sites[0].name": "-dc1"}, 'sites[0].name: "-dc1" ' + NAME),
    wrong("dc1", {"sites[0].name": "dc_1"}, 'sites[0].name: "dc_1" ' + NAME),
    wrong("dc1", {"sites[0].name": ""}, 'sites[0].name: "" ' + NAME),
    wrong(
        "dc1",
        {"sites[0].name": "d" * 64},
        'sites[0].name: "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"… ' + NAME,
    ),
    wrong("dc1", {"sites[0].name": "dc1\n"}, 'sites[0].name: "dc1"… ' + NAME),
    wrong("dc1", {"sites[0].name": "\ud800"}, 'sites[0].name: "\\ud800" ' + NAME),
    wrong("dc1", {f"{AT_EXPORT}.port": GONE}, "sites[0].exports[0].port: is missing: TCP port that the pods listen on"),
    wrong("dc1", {f"{AT_EXPORT}.port": 0}, "sites[0].exports[0].port: 0 must be between 1 and 65535"),
    wrong("dc1", {f"{AT_EXPORT}.port": 65536}, "sites[0].exports[0].port: 65536 must be between 1 and 65535"),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.port": "3306"},
        'sites[0].exports[0].port: "3306" must be a whole number: write it without quotes',
    ),
    wrong("dc1", {f"{AT_EXPORT}.port": "mysql"}, 'sites[0].exports[0].port: "mysql" must be a whole number'),
    wrong("dc1", {f"{AT_EXPORT}.port": 3306.5}, "sites[0].exports[0].port: 3306.5 must be a whole number"),
    wrong("dc1", {f"{AT_EXPORT}.port": True}, "sites[0].exports[0].port: true must be a whole number"),
    wrong("dc1", {f"{AT_EXPORT}.replicas": 1001}, "sites[0].exports[0].replicas: 1001 must be between 1 and 1000"),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.service": "1db"},
        'sites[0].exports[0].service: "1db" must be the name of a Service: at most 63 lower-case '
        "letters, digits and dashes, the first a letter",
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.service_account": "db-pxc"},
        'sites[0].exports[0].service_account: "db-pxc" is no known key: did you mean serviceAccount?',
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.protocol": "tcp"},
        'sites[0].exports[0].protocol: "tcp" must be one of HTTP, TCP: did you mean TCP?',
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.probe": "ping"},
        'sites[0].exports[0].probe: "ping" must be one of pod-name, http, greeting, postgres, redis, mongodb, '
        "tcp, none",
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.selector": ["app"]},
        "sites[0].exports[0].selector: […] must be a map: `key: value`, one a line",
    ),
    wrong("dc1", {f"{AT_EXPORT}.selector": {}}, "sites[0].exports[0].selector: {} is empty: give at least one"),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.selector": {"app": True}},
        "sites[0].exports[0].selector.app: true must be text: put it in quotes",
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.selector": {"app": "the database"}},
        'sites[0].exports[0].selector.app: "the database" must be the value of a label: at most 63 '
        "letters, digits, dashes, dots and underscores, the first and last a letter or digit",
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.selector": {"the app": "database"}},
        'sites[0].exports[0].selector["the app"]: "the app" must be a key as Kubernetes has them, '
        "such as app or example.com/app",
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.consumers": None},
        "sites[0].exports[0].consumers: null is empty: give it a value or leave the key out",
    ),
    wrong("dc1", {f"{AT_EXPORT}.consumers": []}, "sites[0].exports[0].consumers: [] is empty: give at least one"),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.consumers": "dc2"},
        'sites[0].exports[0].consumers: "dc2" must be a list: an item a line, each after a dash',
    ),
    wrong("dc1", {f"{AT_EXPORT}.consumers[0].site": "Dc2"}, 'sites[0].exports[0].consumers[0].site: "Dc2" ' + NAME),
    # clusters
    wrong(
        "dc1",
        {AT_CLUSTER: GONE},
        "sites[0].cluster: is missing: an existing cluster, or what makes one: `k3d`, or commands of your own",
    ),
    wrong(
        "dc1",
        {AT_CLUSTER: "k3"},
        'sites[0].cluster: "k3" must be k3d, a map with the `kubeconfig` of an existing cluster, '
        "or a map with the commands `create`, `kubeconfig` and `delete`",
    ),
    wrong(
        "dc1",
        {AT_CLUSTER: []},
        "sites[0].cluster: [] must be k3d, a map with the `kubeconfig` of an existing cluster, "
        "or a map with the commands `create`, `kubeconfig` and `delete`",
    ),
    wrong(
        "dc1",
        {AT_CLUSTER: {}},
        "sites[0].cluster.kubeconfig: is missing: path of a kubeconfig, or several as in `KUBECONFIG`; `~` and "
        "environment variables are expanded",
    ),
    wrong(
        "dc1",
        {AT_CLUSTER: {"kubeconfg": "~/.kube/dc1"}},
        'sites[0].cluster.kubeconfg: "~/.kube/dc1" is no known key: did you mean kubeconfig?',
    ),
    wrong(
        "dc1",
        {f"{AT_CLUSTER}.kubeconfig": "apiVersion: v1\nclusters: []"},
        'sites[0].cluster.kubeconfig: "apiVersion: v1"… must be the path of a file, not what is in it',
    ),
    wrong(
        "dc1",
        {f"{AT_CLUSTER}.kubeconfig": "~/.kube/dc9"},
        'sites[0].cluster.kubeconfig: "~/.kube/dc9" cannot be read: No such file or directory: check the path',
    ),
    wrong(
        "dc1",
        {f"{AT_CLUSTER}.kubeconfig": "$NOWHERE/dc1"},
        'sites[0].cluster.kubeconfig: "$NOWHERE/dc1" cannot be read: an environment variable in it is'
        " not set: check the path",
    ),
    wrong(
        "dc1",
        {f"{AT_CLUSTER}.kubeconfig": "something-else"},
        'sites[0].cluster.kubeconfig: "something-else" is no kubeconfig: it has no list of contexts',
    ),
    wrong(
        "dc1",
        {f"{AT_CLUSTER}.kubeconfig": "no-yaml"},
        'sites[0].cluster.kubeconfig: "no-yaml" is no kubeconfig: it has no list of contexts',
    ),
    wrong(
        "dc1",
        {f"{AT_CLUSTER}.kubeconfig": "no-contexts"},
        'sites[0].cluster.context: "dc1-admin" is no context of no-contexts: it has none',
    ),
    wrong(
        "dc1",
        {f"{AT_CLUSTER}.context": "dc1-admim"},
        'sites[0].cluster.context: "dc1-admim" is no context of ~/.kube/dc1: choose one of dc1-admin,'
        " dc2-admin: did you mean dc1-admin?",
    ),
    wrong(
        "dc1",
        {AT_CLUSTER: {"kubeconfig": "no-current-context"}},
        "sites[0].cluster.context: is missing, and no-current-context has no current one: choose one "
        "of dc1-admin, dc2-admin",
    ),
    wrong(
        "dc1",
        {"sites[1]": {"name": "dc3", "cluster": {"kubeconfig": "~/.kube/dc1"}}},
        'sites[1].cluster.kubeconfig: "~/.kube/dc1" with the same context is the cluster of dc1 too: '
        "give each site a cluster of its own",
    ),
    wrong(
        "pair",
        {"sites[1].name": "datacenter-frankfurt-2"},
        'sites[1].imports[0].serviceAccount: "client" may not consume dc1/hello, which is for '
        "dc2/demo-dr/client: add datacenter-frankfurt-2/demo-dr/client to its consumers",
        'sites[1].name: "datacenter-frankfurt-2" is too long: the cluster would be '
        "dcmesh-test-datacenter-frankfurt-2, and k3d takes 32 characters",
    ),
    wrong(
        "lab",
        {"sites[1].cluster.kubeconfig": "venv/bin/python -m lab kubeconfig dc1 --lab dev"},
        'sites[1].cluster.kubeconfig: "venv/bin/python -m lab kubeconfig dc1 --lab dev" is what dc1 has, and prints '
        "one cluster's: give each site a cluster of its own",
    ),
    # gateways
    wrong("dc1", {AT_GATEWAY: "nodeport"}, 'sites[0].gateway: "nodeport" must be a map: `key: value`, one a line'),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.exposure": "aws"},
        'sites[0].gateway.exposure: "aws" must be one of load-balancer, aws-nlb, aws-nlb-internal, '
        "gcp, gcp-internal, azure, azure-internal, metallb, nodeport",
    ),
    wrong("dc1", {f"{AT_GATEWAY}.replicas": 0}, "sites[0].gateway.replicas: 0 must be between 1 and 20"),
    wrong("dc1", {f"{AT_GATEWAY}.replicas": 21}, "sites[0].gateway.replicas: 21 must be between 1 and 20"),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.advertise": "192.0.2.1"},
        'sites[0].gateway.advertise: "192.0.2.1" must be a list: an item a line, each after a dash',
    ),
    wrong("dc1", {f"{AT_GATEWAY}.advertise": ["192.0.2"]}, 'sites[0].gateway.advertise[0]: "192.0.2" ' + ADDRESS),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.advertise": ["gateway.example.com:15443"]},
        'sites[0].gateway.advertise[0]: "gateway.example.com:15443" ' + ADDRESS,
    ),
    wrong("dc1", {f"{AT_GATEWAY}.advertise": ["localhost"]}, 'sites[0].gateway.advertise[0]: "localhost" ' + ADDRESS),
    wrong("dc1", {f"{AT_GATEWAY}.advertise": ["127.0.0.1"]}, 'sites[0].gateway.advertise[0]: "127.0.0.1" ' + ADDRESS),
    wrong("dc1", {f"{AT_GATEWAY}.advertisePort": 0}, "sites[0].gateway.advertisePort: 0 must be between 1 and 65535"),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.annotations": {"internal": True}},
        "sites[0].gateway.annotations.internal: true must be text: put it in quotes",
    ),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.annotations": {"not a key": "x"}},
        'sites[0].gateway.annotations["not a key"]: "not a key" must be a key as Kubernetes has them,'
        " such as app or example.com/app",
    ),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.sourceRanges": ["10.0.0.1/8"]},
        'sites[0].gateway.sourceRanges[0]: "10.0.0.1/8" ' + NETWORK,
    ),
    wrong(
        "dc1", {f"{AT_GATEWAY}.sourceRanges": ["192.0.2.7"]}, 'sites[0].gateway.sourceRanges[0]: "192.0.2.7" ' + NETWORK
    ),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.loadBalancerIp": "gateway"},
        'sites[0].gateway.loadBalancerIp: "gateway" must be an IP address, such as 192.0.2.10',
    ),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.loadBalancerIp": "192.0.2.7"},
        'sites[0].gateway.loadBalancerIp: "192.0.2.7" has no effect on AWS: use the annotation '
        "service.beta.kubernetes.io/aws-load-balancer-eip-allocations or …-private-ipv4-addresses",
    ),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.loadBalancerClass": "a class"},
        'sites[0].gateway.loadBalancerClass: "a class" must be a key as Kubernetes has them, such as '
        "app or example.com/app",
    ),
    wrong(
        "pair",
        {f"{AT_GATEWAY}.namespace": "demo"},
        'sites[0].gateway.namespace: "demo" has workloads of dc1 in it: a gateway has a namespace of its own, '
        "name another",
    ),
    wrong(
        "pair",
        {f"{AT_GATEWAY}.namespace": "kube-system"},
        'sites[0].gateway.namespace: "kube-system" exists in every cluster: name one for the gateway alone',
    ),
    wrong(
        "pair",
        {f"{AT_GATEWAY}.formerNamespace": "istio-system"},
        'sites[0].gateway.formerNamespace: "istio-system" is where a gateway moves away from: set '
        "sites[0].gateway.namespace to where it moves to",
    ),
    wrong(
        "pair",
        {f"{AT_GATEWAY}.namespace": "one", f"{AT_GATEWAY}.formerNamespace": "istio-system"},
        'sites[0].gateway.formerNamespace: "istio-system" is not where the gateway is: dc1 has none yet',
    ),
    wrong("dc1", {f"{AT_GATEWAY}.nodePort": 80}, "sites[0].gateway.nodePort: 80 must be between 1024 and 65535"),
    wrong(
        "dc1",
        {f"{AT_GATEWAY}.nodePort": 31443},
        "sites[0].gateway.nodePort: 31443 has no effect with exposure aws-nlb-internal: remove it, or"
        " choose exposure nodeport",
    ),
    wrong(
        "dc1",
        {AT_GATEWAY: {"exposure": "nodeport"}},
        "sites[0].gateway.advertise: is missing: exposure nodeport needs the addresses of nodes, by "
        "which other sites reach the gateway",
        "sites[0].gateway.nodePort: is missing: exposure nodeport needs the port of every node that "
        "leads to the gateway",
    ),
    wrong(
        "dc1",
        {AT_GATEWAY: NODEPORT | {"loadBalancerIp": "192.0.2.7"}},
        'sites[0].gateway.loadBalancerIp: "192.0.2.7" ' + BALANCER,
    ),
    wrong(
        "dc1",
        {AT_GATEWAY: NODEPORT | {"loadBalancerClass": "metallb"}},
        'sites[0].gateway.loadBalancerClass: "metallb" ' + BALANCER,
    ),
    wrong(
        "dc1",
        {AT_GATEWAY: NODEPORT | {"sourceRanges": ["10.0.0.0/8"]}},
        "sites[0].gateway.sourceRanges: […] " + BALANCER,
    ),
    # virtual addresses
    wrong("dc2", {"sites[0].vipRange": "241.0.0.0"}, 'sites[0].vipRange: "241.0.0.0" ' + IPV4_NETWORK),
    wrong("dc2", {"sites[0].vipRange": "241.0.0.1/8"}, 'sites[0].vipRange: "241.0.0.1/8" ' + IPV4_NETWORK),
    wrong("dc2", {"sites[0].vipRange": "fd00::/64"}, 'sites[0].vipRange: "fd00::/64" ' + IPV4_NETWORK),
    wrong(
        "dc2",
        {"sites[0].vipRange": "127.1.0.0/16"},
        'sites[0].vipRange: "127.1.0.0/16" overlaps 127.0.0.0/8, loopback' + RANGE,
    ),
    wrong(
        "dc2",
        {"sites[0].vipRange": "169.254.0.0/16"},
        'sites[0].vipRange: "169.254.0.0/16" overlaps 169.254.0.0/16, link-local addresses' + RANGE,
    ),
    wrong(
        "dc2",
        {"sites[0].vipRange": "224.0.0.0/8"},
        'sites[0].vipRange: "224.0.0.0/8" overlaps 224.0.0.0/4, multicast' + RANGE,
    ),
    wrong(
        "dc2",
        {"sites[0].vipRange": "240.240.0.0/16"},
        'sites[0].vipRange: "240.240.0.0/16" overlaps 240.240.0.0/16, the addresses that Istio gives '
        "out by itself" + RANGE,
    ),
    wrong(
        "dc2",
        {"sites[0].vipRange": "10.9.8.0/30"},
        'sites[0].vipRange: "10.9.8.0/30" has 2 addresses for 3 imported hosts: choose a larger '
        "range, such as 241.0.0.0/8",
    ),
    wrong(
        "dc2",
        {"sites[0].vipRange": "10.9.8.7/32"},
        'sites[0].vipRange: "10.9.8.7/32" has 0 addresses for 3 imported hosts: choose a larger '
        "range, such as 241.0.0.0/8",
    ),
    wrong(
        "pair",
        {"sites[1].vipRange": "10.42.0.0/15"},
        'sites[1].vipRange: "10.42.0.0/15" overlaps 10.42.0.0/16, the cluster\'s pods' + RANGE,
        'sites[1].vipRange: "10.42.0.0/15" overlaps 10.43.0.0/16, the cluster\'s Services' + RANGE,
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.gateway.addresses": ["10.9.8.7"], "sites[0].vipRange": "10.9.0.0/16"},
        'sites[0].vipRange: "10.9.0.0/16" has the address 10.9.8.7 of dc1\'s gateway in it: choose another range',
    ),
    wrong(
        "pair",
        {"sites[0].gateway.advertise": ["10.9.8.7"], "sites[1].vipRange": "10.9.0.0/16"},
        'sites[1].vipRange: "10.9.0.0/16" has the address 10.9.8.7 of dc1\'s gateway in it: choose another range',
    ),
    # Istio
    wrong("dc1", {"istio": []}, "istio: [] must be a map: `key: value`, one a line"),
    wrong("dc1", {"istio.version": "1.28.3"}, 'istio.version: "1.28.3" ' + VERSION),
    wrong("dc1", {"istio.version": "1.29.1"}, 'istio.version: "1.29.1" ' + VERSION),
    wrong("dc1", {"istio.version": "1.31"}, 'istio.version: "1.31" ' + VERSION),
    wrong("dc1", {"istio.version": 1.31}, "istio.version: 1.31 must be text: put it in quotes"),
    wrong("dc1", {"istio.charts": "ftp://example.com"}, 'istio.charts: "ftp://example.com" ' + CHARTS),
    wrong("dc1", {"istio.charts": ""}, 'istio.charts: "" ' + CHARTS),
    wrong(
        "dc1",
        {"istio.hub": "https://registry.example.com/istio"},
        'istio.hub: "https://registry.example.com/istio" must be an image registry and path, without '
        "scheme and tag, such as registry.example.com/istio",
    ),
    wrong(
        "dc1",
        {"istio": {"version": "1.31.0", "tag": "1.30.4-mirror"}},
        'istio.tag: "1.30.4-mirror" is not of version 1.31.0: set both to the same minor version',
    ),
    wrong("dc1", {"istio.tag": "1.31.0 "}, 'istio.tag: "1.31.0 " must be an image tag, such as 1.31.0'),
    wrong(
        "dc1",
        {"istio.pullSecrets": "credentials"},
        'istio.pullSecrets: "credentials" must be a list: an item a line, each after a dash',
    ),
    wrong("dc1", {"istio.replicas": 11}, "istio.replicas: 11 must be between 1 and 10"),
    wrong("dc1", {"istio.egress": "DENY"}, 'istio.egress: "DENY" must be one of ALLOW_ANY, REGISTRY_ONLY'),
    wrong("dc1", {"sites[0].podSecurity": False}, "sites[0].podSecurity: false must be restricted"),
    wrong("dc1", {"istio.values.istoid": {}}, "istio.values.istoid: {} is no known key: did you mean istiod?"),
    wrong("dc1", {"istio.values.istiod": "hub"}, 'istio.values.istiod: "hub" must be a map: `key: value`, one a line'),
    wrong("dc1", {"istio": {"existing": {}, "replicas": 2}}, "istio.replicas: 2 " + EXISTING),
    wrong("dc1", {"istio": {"existing": {}, "egress": "ALLOW_ANY"}}, 'istio.egress: "ALLOW_ANY" ' + EXISTING),
    wrong(
        "dc1",
        {"istio": {"existing": {}, "hub": "registry.example.com/istio"}},
        'istio.hub: "registry.example.com/istio" ' + EXISTING,
    ),
    wrong("dc1", {"istio": {"existing": {}, "tag": "1.31.0"}}, 'istio.tag: "1.31.0" ' + EXISTING),
    wrong(
        "dc1",
        {"istio": {"existing": {}, "values": {"istiod": {"hub": "registry.example.com"}}}},
        "istio.values.istiod: {…} " + EXISTING,
    ),
    wrong(
        "pair",
        {"istio": {"existing": {}}},
        'istio.existing: "default" is for clusters that are there already, and dc1 is made by k3d: remove it',
        'istio.existing: "default" is for clusters that are there already, and dc2 is made by k3d: remove it',
    ),
    # trust
    wrong("dc1", {"trust": "stack"}, 'trust: "stack" must be a map: `key: value`, one a line'),
    wrong(
        "dc1",
        {"trust.source": "stck"},
        'trust.source: "stck" must be one of existing, generated, provided, stack: did you mean stack?',
    ),
    wrong("dc1", {"trust.source": 5}, "trust.source: 5 must be one of existing, generated, provided, stack"),
    wrong(
        "dc1",
        {"trust.stack": GONE},
        "trust.stack: is missing: name of that stack, as a StackReference has it: `organization/PROJECT/STACK`",
    ),
    wrong(
        "dc1",
        {"trust.stack": "trust"},
        'trust.stack: "trust" must be the whole name of a stack, such as organization/dcmesh/dc1',
    ),
    wrong(
        "dc1",
        {"trust.stack": "organization/dcmesh/test"},
        'trust.stack: "organization/dcmesh/test" is this stack itself: name another',
    ),
    wrong(
        "trust",
        {"trust.organization": " "},
        'trust.organization: " " must be a text of at most 64 characters on one line, no space first or last',
    ),
    wrong("trust", {"trust.rootValidityYears": 51}, "trust.rootValidityYears: 51 must be between 1 and 50"),
    wrong(
        "trust",
        {"trust.rootValidityYears": 1},
        "trust.intermediateValidityYears: 2 is longer than the root is valid, which is 1: lower it",
    ),
    wrong("trust", {"trust.intermediate": 0}, "trust.intermediate: 0 must be between 1 and 100"),
    wrong("trust", {"trust.root.generation": 101}, "trust.root.generation: 101 must be between 1 and 100"),
    wrong(
        "trust",
        {"trust.root.next": "trust"},
        'trust.root.next: "trust" must be one of none, trusted, issuing: did you mean trusted?',
    ),
    wrong("trust", {"trust.root": 2}, "trust.root: 2 must be a map: `key: value`, one a line"),
    wrong("trust", {"trust.issueFor": []}, NOTHING),
    wrong("trust", {"trust.issueFor": ["DC1"]}, 'trust.issueFor[0]: "DC1" ' + NAME),
    wrong("trust", {"trust.issueFor[2]": "dc1"}, 'trust.issueFor[2]: "dc1" occurs twice: remove one'),
    wrong(
        "pair",
        {"trust": {"issueFor": ["dc1"]}},
        'trust.issueFor[0]: "dc1" is a site of this stack, which has its intermediate anyway: remove it',
    ),
    wrong(
        "pair",
        {"trust": {"source": "existing"}},
        'trust.source: "existing" is for clusters that are there already, and dc1 is made by k3d: remove it',
        'trust.source: "existing" is for clusters that are there already, and dc2 is made by k3d: remove it',
    ),
    wrong(
        "provided-ca", {"trust.caCert": GONE}, "trust.caCert: is missing: PEM of the site's intermediate certificate"
    ),
    wrong("provided-ca", {"trust.caKey": 5}, "trust.caKey: [secret] must be text: put it in quotes"),
    wrong("provided-ca", {"trust.cakey": "x"}, "trust.cakey: [secret] is no known key: did you mean caKey?"),
    wrong(
        "provided-ca",
        {"sites[1]": {"name": "dc3", "cluster": {"kubeconfig": "~/.kube/dc2"}}},
        'trust.source: "provided" is the intermediate of one site, and the stack has more: use a stack for each site',
    ),
    wrong("provided-ca", {"sites": []}, NOTHING),
    wrong(
        "pair",
        {"trust": {"source": "stack", "stack": "organization/dcmesh/trust", "ownKey": 1}},
        "trust.ownKey: 1 is the key of one site, and the stack has more: use a stack for each site",
    ),
    wrong(
        "trust",
        {"trust.requests": {"dc9": "organization/dcmesh/dc9"}},
        'trust.requests.dc9: "organization/dcmesh/dc9" asks for dc9, which is none of `issueFor`: add it there',
    ),
    # names of several things
    wrong(
        "pair",
        {"sites[0].workloads[0].kind": "mysql"},
        'sites[0].workloads[0].kind: "mysql" must be one of hello, hello-client, mariadb, pxc',
    ),
    wrong(
        "pair",
        {"sites[0].workloads[0].kind": GONE},
        "sites[0].workloads[0].kind: is missing: must be one of hello, hello-client, mariadb, pxc",
    ),
    wrong(
        "pair",
        {"sites[0].workloads[0]": "hello"},
        'sites[0].workloads[0]: "hello" must be a map: `key: value`, one a line',
    ),
    wrong(
        "pair",
        {"sites[1].name": "dc1", "sites[1].imports": []},
        'sites[1].name: "dc1" occurs twice: give each a name of its own',
    ),
    wrong(
        "pair", {"peers": [{"name": "dc1"}]}, 'peers[0].name: "dc1" is a site of this stack, and so no peer: remove it'
    ),
    wrong("dc2", {"peers[1]": {"name": "dc1"}}, 'peers[1].name: "dc1" occurs twice: give each a name of its own'),
    wrong(
        "pair",
        {"sites[0].workloads[1]": {"kind": "hello-client", "namespace": "demo"}},
        'sites[0].workloads[1].namespace: "demo" occurs twice: give each workload a namespace of its own',
    ),
    wrong(
        "pair",
        {"sites[0].workloads[1]": {"kind": "hello-client", "namespace": "istio-system"}},
        'sites[0].workloads[1].namespace: "istio-system" exists in every cluster, and a workload '
        "creates its own: choose another",
    ),
    wrong(
        "pair",
        {"sites[0].workloads[1]": {"kind": "hello-client", "namespace": "kube-system"}},
        'sites[0].workloads[1].namespace: "kube-system" exists in every cluster, and a workload '
        "creates its own: choose another",
    ),
    wrong(
        "pair",
        {"sites[0].workloads[1]": {"kind": "hello", "namespace": "other", "name": "h" * 53}},
        'sites[0].workloads[1].name: "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh" is too '
        "long for a StatefulSet: at most 52 characters",
    ),
    wrong(
        "dc1",
        {"sites[0].exports[1]": EXPORT | {"statefulSet": "other"}},
        'sites[0].exports[1].name: "db" occurs twice: give each a name of its own',
    ),
    wrong(
        "dc1",
        {"sites[0].exports[1]": EXPORT | {"name": "again"}},
        'sites[0].exports[1].statefulSet: "wookie/db-pxc" is exported twice: make it one export',
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].consumers[1]": CLIENT},
        'sites[0].exports[0].consumers[1]: "dc2/demo-dr/client" occurs twice: remove one',
    ),
    wrong(
        "pair",
        {"sites[1].imports[1]": IMPORT},
        'sites[1].imports[1]: "dc1/hello for demo-dr/client" occurs twice: remove one',
    ),
    wrong(
        "dc1",
        {f"{AT_EXPORT}.statefulSet": "d" * 62},
        "sites[0].exports[0].statefulSet: "
        '"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"… is too long: its last pod '
        "would be dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd-2, and pods' names "
        "have at most 63 characters",
    ),
    wrong(
        "dc2",
        {f"{AT_IMPORT}.serviceAccount": "d" * 51, "peers[0].stack": "organization/dcmesh/dc2"},
        'sites[0].imports[0].serviceAccount: "ddddddddddddddddddddddddddddddddddddddddddddddddddd" is'
        " too long: the probe's Job is named dcmesh-probe-…, which leaves 50 characters",
    ),
    # links
    wrong(
        "dc2",
        {"peers": GONE},
        'sites[0].imports[0].from: "dc1" is neither another site of this stack nor one of its peers: add it to `peers`',
    ),
    wrong(
        "dc2",
        {"peers[0].name": "dc3"},
        'sites[0].imports[0].from: "dc1" is neither another site of this stack nor one of its peers: choose dc3',
    ),
    wrong(
        "dc2",
        {"peers[0].stack": "dc1"},
        'peers[0].stack: "dc1" must be the whole name of a stack, such as organization/dcmesh/dc1',
    ),
    wrong(
        "dc2",
        {"peers[0].stack": "organization/dcmesh/dc9"},
        'peers[0].stack: "organization/dcmesh/dc9" cannot be read (unknown stack '
        '"organization/dcmesh/dc9"): create that stack first, with `pulumi stack init`, or give '
        "`link`",
    ),
    wrong(
        "dc2",
        {"peers[0].stack": "organization/dcmesh/test"},
        'peers[0].stack: "organization/dcmesh/test" cannot be read (unknown stack '
        '"organization/dcmesh/test"): create that stack first, with `pulumi stack init`, or give '
        "`link`",
        'peers[0].stack: "organization/dcmesh/test" is this stack itself: name another',
    ),
    wrong(
        "dc2",
        {"peers[0].linkFile": "examples/links/dc1.json"},
        'peers[0]: "dc1" has stack and linkFile: keep one of them',
    ),
    wrong(
        "dc2",
        {"peers[0]": {"name": "dc1", "linkFile": "links/dc9.json"}},
        'peers[0].linkFile: "links/dc9.json" cannot be read: No such file or directory',
    ),
    wrong(
        "dc2",
        {"peers[0]": {"name": "dc1", "linkFile": "no-yaml"}},
        'peers[0].linkFile: "no-yaml" is neither JSON nor YAML',
    ),
    wrong(
        "dc2",
        {"peers[0]": {"name": "dc1", "linkFile": "no-contexts"}},
        "peers[0].linkFile → contexts: [] is no known key: the known ones are version, site, gateway, exports",
        "peers[0].linkFile → exports: is missing: what it exports",
        "peers[0].linkFile → gateway: is missing: its gateway",
        "peers[0].linkFile → site: is missing: the exporting site",
    ),
    wrong(
        "dc2", {f"{AT_IMPORT}.from": "dc2"}, 'sites[0].imports[0].from: "dc2" is this site itself: import from another'
    ),
    wrong(
        "dc2",
        {f"{AT_IMPORT}.from": "dc3"},
        'sites[0].imports[0].from: "dc3" is neither another site of this stack nor one of its peers: choose dc1',
    ),
    wrong("dc2", {f"{AT_IMPORT}.export": "dbs"}, 'sites[0].imports[0].export: "dbs" is not exported by dc1: choose db'),
    wrong(
        "dc2",
        {f"{AT_IMPORT}.namespace": "other"},
        'sites[0].imports[0].serviceAccount: "db-pxc" may not consume dc1/db, which is for '
        "dc2/wookie-dr/db-pxc: add dc2/other/db-pxc to its consumers",
    ),
    wrong(
        "dc2",
        {f"{AT_IMPORT}.serviceAccount": "other"},
        'sites[0].imports[0].serviceAccount: "other" may not consume dc1/db, which is for '
        "dc2/wookie-dr/db-pxc: add dc2/wookie-dr/other to its consumers",
    ),
    wrong(
        "dc2",
        {"sites[0].name": "dc3"},
        'sites[0].imports[0].serviceAccount: "db-pxc" may not consume dc1/db, which is for '
        "dc2/wookie-dr/db-pxc: add dc3/wookie-dr/db-pxc to its consumers",
    ),
    wrong(
        "dc2",
        {"sites[0].exports": [EXPORT | {"name": "own", "consumers": [CLIENT | {"site": "dc1"}]}]},
        'sites[0].imports[0].export: "db" is of Service db-pxc in namespace wookie, and dc2 has the '
        "same: the pods of both would have the same DNS names; use another namespace in one of the "
        "sites",
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.site": "dc3"},
        'peers[0].link.site: "dc3" is another site than dc1: name the peer after its site',
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.gateway.addresses": []},
        "peers[0].link.gateway.addresses: [] is empty: give at least one",
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.gateway.addresses": ["https://192.0.2.1"]},
        'peers[0].link.gateway.addresses[0]: "https://192.0.2.1" ' + ADDRESS,
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.exports[0].hosts": ["db.example.com"]},
        'peers[0].link.exports[0].hosts[0]: "db.example.com" must be the whole name of a pod, such as'
        " db-0.db.shop.svc.cluster.local, or of a Service, such as db.shop.svc.cluster.local",
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.exports[0].identity": "spiffe:/example.com/ns/wookie/sa/db-pxc"},
        'peers[0].link.exports[0].identity: "spiffe:/example.com/ns/wookie/sa/db-pxc" must be a '
        "SPIFFE id with the site's trust domain, such as spiffe://dc1.dcmesh/ns/shop/sa/mysql",
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.exports[0].port": 70000},
        "peers[0].link.exports[0].port: 70000 must be between 1 and 65535",
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.exports": []},
        'sites[0].imports[0].export: "db" is not exported by dc1: it exports nothing',
    ),
    wrong(
        "dc2-literal-link",
        {f"{AT_LINK}.exports[0].consumers": []},
        'sites[0].imports[0].serviceAccount: "db-pxc" may not consume dc1/db, which is for nobody: '
        "add dc2/wookie-dr/db-pxc to its consumers",
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].consumers[1]": CLIENT | {"site": "dc1"}},
        'sites[0].exports[0].consumers[1].site: "dc1" is the exporting site, where everybody may '
        "connect: name another site, or remove the consumer",
    ),
    wrong(
        "pair",
        {"sites[0].exports": []},
        'sites[1].imports[0].export: "hello" is not exported by dc1: it exports nothing',
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].namespace": "kube-system"},
        'sites[1].imports[0].export: "hello" is of namespace kube-system, and dc2 has one of that name, which is not '
        "dcmesh's: export from a namespace of its own",
    ),
    wrong(
        "pair",
        {"sites[1].workloads[0]": {"kind": "hello", "namespace": "demo"}},
        'sites[1].imports[0].export: "hello" is of Service hello in namespace demo, and dc2 has the '
        "same: the pods of both would have the same DNS names; use another namespace in one of the "
        "sites",
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].replicas": 4},
        "sites[0].exports[0].replicas: 4 is more than the 3 pods that the workload runs: lower it or "
        "raise the workload's",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].termination": "sidecar"},
        'sites[0].exports[0].termination: "sidecar" must be one of gateway, ingress, pod',
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].selector": {"app": "db"}},
        "sites[0].exports[0].selector: {…} is no known key: the known ones are name, namespace, statefulSet, service, "
        "consumers, connections, termination, replicas, pods, podLabel, whole, port, probe, ports",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].replicas": GONE},
        "sites[0].exports[0].replicas: is missing: how many pods of a StatefulSet to export, or `pods` for pods by a "
        "label, or `whole: true` for the Service as a whole",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].pods": ["db-1"]},
        "sites[0].exports[0].replicas: 3 is of a StatefulSet's pods, and `pods` names those that are exported: keep "
        "one of the two",
        'sites[0].exports[0].statefulSet: "db-pxc" is of a StatefulSet\'s pods, and `pods` names those that are '
        "exported: keep one of the two",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[1].pods": ["db-1"]},
        "sites[0].exports[1].pods: […] is of pods, and the export is of a Service as a whole: remove it, or `whole`",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].podLabel": "cnpg.io/instanceName"},
        'sites[0].exports[0].podLabel: "cnpg.io/instanceName" tells apart the pods that `pods` names, and there are '
        "none: add them, or remove it",
    ),
    *(
        wrong(
            "existing-database",
            BY_LABEL | {"sites[0].exports[0].podLabel": label},
            f'sites[0].exports[0].podLabel: "{label}" is a label that changes while a pod lives, or with its template: '
            "use one that has the pod's name, such as cnpg.io/instanceName; a role that moves is followed by its "
            "Service, with `whole: true`",
        )
        for label in ("role", "cnpg.io/instanceRole", "k8s.mariadb.com/role", "pod-template-hash")
    ),
    wrong(
        "existing-database",
        BY_LABEL | {"sites[0].exports[0].podLabel": "apps.kubernetes.io/pod-index", "sites[0].exports[0].pods": ["0"]},
        'sites[0].exports[0].podLabel: "apps.kubernetes.io/pod-index" is a label with a pod\'s number, which pods of '
        "other workloads have too: use one that has the pod's name, such as cnpg.io/instanceName",
    ),
    wrong(
        "existing-database",
        BY_LABEL | {"sites[0].exports[0].pods": ["pg-1", "pg-2", "pg-1"]},
        'sites[0].exports[0].pods[2]: "pg-1.db.wookie.dc1.dcmesh" is the name at the gateway of another host, or of '
        "another's port: export it once",
    ),
    wrong(
        "existing-database",
        BY_LABEL
        | {
            "sites[0].exports[0].service": "db-primary",
            "sites[0].exports[0].pods": ["p33060"],
            "sites[0].exports[1].port": GONE,
            "sites[0].exports[1].ports": [{"port": 3306}, {"port": 33060}],
        },
        'sites[0].exports[1].name: "p33060.db-primary.wookie.dc1.dcmesh" is the name at the gateway of another host, '
        "or of another's port: export it once",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].port": GONE, "sites[0].exports[0].ports": [{"port": 3306}, {"port": 3306}]},
        "sites[0].exports[0].ports[1].port: 3306 occurs twice: remove one",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].ports": [{"port": 33060}]},
        "sites[0].exports[0]: {…} has `ports` and `port`: write each port in `ports`, with its probe",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].port": GONE},
        "sites[0].exports[0]: {…} has no port: write `port`, or `ports` for several",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[1].port": GONE, "sites[0].exports[1].ports": [{"port": 8080, "probe": "pod-name"}]},
        'sites[0].exports[1].ports[0].probe: "pod-name" is for pods that say their name, and the export is of a '
        "Service as a whole: use another, such as greeting or http",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[1].replicas": 1, "sites[0].exports[1].statefulSet": "db"},
        "sites[0].exports[1].replicas: 1 is of pods, and the export is of a Service as a whole: remove it, or `whole`",
        'sites[0].exports[1].statefulSet: "db" is of pods, and the export is of a Service as a whole: remove it, or '
        "`whole`",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[1].probe": "pod-name"},
        'sites[0].exports[1].probe: "pod-name" is for pods that say their name, and the export is of a Service as a '
        "whole: use another, such as greeting or http",
    ),
    wrong(
        "ingress-port",
        {"sites[0].exports[1]": OF_ALL_PORTS | {"name": "again", "port": 3306}},
        'sites[0].exports[1].statefulSet: "wookie/db" is exported twice: make it one export',
    ),
    wrong(
        "ingress-port",
        {"sites[0].exports[1]": INGRESS | {"name": "again"}},
        'sites[0].exports[1].statefulSet: "wookie/db" is exported twice: make it one export',
    ),
    wrong(
        "ingress-port",
        {f"{AT_EXPORT}.ports[1]": {"port": 13306}},
        f"{AT_EXPORT}.ports[0].ingressPort: 13306 is another port of the export: set one that is free",
    ),
    wrong(
        "ingress-port",
        {f"{AT_EXPORT}.ports[0].ingressPort": 15090},
        f"{AT_EXPORT}.ports[0].ingressPort: 15090 is a port of Istio's own: set one that is free",
    ),
    wrong(
        "ingress-port",
        {f"{AT_EXPORT}.ports[1]": {"port": 33060, "ingressPort": 13306}},
        f"{AT_EXPORT}.ports[1].ingressPort: 13306 is another port of the export: set one that is free",
    ),
    wrong(
        "ingress-port",
        {"sites[0].exports[1]": OF_ALL_PORTS | {"name": "db-ingress", "statefulSet": "other", "port": 3306}},
        'sites[0].exports[1].name: "db-ingress" is what objects of another export are called, which has ingress ports: '
        "name it otherwise",
    ),
    wrong(
        "pair",
        {
            "sites[1].imports[0].selector": {"app": "client"},
            "sites[1].imports[1]": IMPORT | {"export": "again"},
            "sites[0].exports[1]": HELLO | {"name": "again", "statefulSet": "other", "consumers": [CLIENT]},
        },
        "sites[1].imports[1].selector: is not what another import for demo-dr/client says: write the same in all",
    ),
    wrong(
        "ingress-port",
        {f"{AT_EXPORT}.protocol": "HTTP", f"{AT_EXPORT}.ports[0].probe": "greeting"},
        f'{AT_EXPORT}.ports[0].probe: "greeting" is for servers that speak something else than HTTP: use http or '
        "pod-name",
    ),
    wrong(
        "ingress-port",
        {"sites[0].workloads": [{"kind": "mariadb", "namespace": "wookie"}]},
        f'{AT_EXPORT}.termination: "ingress" is for pods whose sidecars take in nothing else, and of a database of '
        "dcmesh's own: use gateway",
    ),
    wrong(
        "existing-database",
        {"sites[0].exports[0].consumers": []},
        "sites[0].exports[0].consumers: [] is empty: give at least one",
    ),
    wrong(
        "existing-database",
        {
            "sites[0].exports[2]": {
                "name": "again",
                "termination": "gateway",
                "namespace": "wookie",
                "service": "db-primary",
                "whole": True,
                "port": 3306,
                "consumers": [{"site": "dc2", "namespace": "dr", "serviceAccount": "db"}],
            }
        },
        'sites[0].exports[2].service: "Service wookie/db-primary" is exported twice: make it one export',
    ),
    wrong(
        "pair",
        {"sites[0].workloads[0].replicas": 2},
        "sites[0].exports[0].replicas: 3 is more than the 2 pods that the workload runs: lower it or "
        "raise the workload's",
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].port": 8081},
        "sites[0].exports[0].port: 8081 is not the workload's, which is 8080: use that",
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].service": "other"},
        'sites[0].exports[0].service: "other" is not the workload\'s, which is hello: use that',
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].serviceAccount": "other"},
        'sites[0].exports[0].serviceAccount: "other" is not the workload\'s, which is hello: use that',
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].selector": {"app": "other"}},
        'sites[0].exports[0].selector: "app: other" are not the labels of the workload\'s pods: use app: hello',
    ),
    wrong(
        "pair",
        {"sites[0].exports[0].probe": "greeting"},
        'sites[0].exports[0].probe: "greeting" is for servers that speak something else than '
        "HTTP: use http or pod-name",
    ),
    wrong(
        "three-sites",
        {
            "sites[1].exports": [HELLO],
            "sites[1].exports[0].consumers": [CLIENT | {"site": "dc3", "namespace": "reports"}],
            "sites[2].imports[1]": IMPORT | {"from": "dc2", "namespace": "reports"},
        },
        'sites[1].imports[0].export: "hello" is of Service hello in namespace demo, and dc2 has the '
        "same: the pods of both would have the same DNS names; use another namespace in one of the "
        "sites",
        'sites[2].imports[1].export: "hello" has hosts that dc1 has too: import one of them into another namespace',
    ),
    # databases
    *(
        wrong("mariadb", {f"{AT_PRIMARY}.image": image}, f'sites[0].workloads[0].image: "{image}" {IMAGE}')
        for image in ("MariaDB:10.11", "mariadb 10.11", "https://example.com/mariadb", "mariadb:", "a@sha256:12", "")
    ),
    *(
        wrong("mariadb", {f"{AT_PRIMARY}.storage.size": size}, f'sites[0].workloads[0].storage.size: "{size}" {SIZE}')
        for size in ("10", "10G", "10GB", "1.5Gi", "0Gi", "-1Gi", "10 Gi")
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.storage.size": 10},
        "sites[0].workloads[0].storage.size: 10 must be text: put it in quotes",
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.storage": "10Gi"},
        'sites[0].workloads[0].storage: "10Gi" must be a map: `key: value`, one a line',
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.storage.class": "fast"},
        'sites[0].workloads[0].storage.class: "fast" is no known key: the known ones are size, storageClass',
    ),
    *(
        wrong(
            "mariadb",
            {f"{AT_PRIMARY}.replicas": replicas},
            f"sites[0].workloads[0].replicas: {replicas} must be between 1 and 9",
        )
        for replicas in (0, 10)
    ),
    wrong(
        "mariadb", {f"{AT_PRIMARY}.namespace": GONE}, "sites[0].workloads[0].namespace: is missing: namespace to create"
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.size": "1Gi"},  # which may be a password
        "sites[0].workloads[0].size: [secret] is no known key: the known ones are kind, namespace, name, replicas, "
        "image, storage, replicates, rootPassword, replicationPassword, sidecar, firstCopy, writerService, settings, "
        "resources",
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.password": "correct-horse-1"},
        "sites[0].workloads[0].password: [secret] is no known key: did you mean rootPassword?",
    ),
    *(
        wrong("mariadb", {f"{AT_PRIMARY}.{key}": value}, f"sites[0].workloads[0].{key}: [secret] {PASSWORD}")
        for key in ("rootPassword", "replicationPassword")
        for value in (
            "elevenchars",
            "p" * 33,
            "correct horse battery",
            "it's-my-password",
            'my-"password"',
            "pass\\word-1234",
            "pässwörd-1234",
            "password-123\n",
        )
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.rootPassword": 123456789012},
        "sites[0].workloads[0].rootPassword: [secret] must be text: put it in quotes",
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.rootPassword": ["correct-horse-1"]},
        "sites[0].workloads[0].rootPassword: [secret] must be text",
    ),
    *(
        wrong(
            "mariadb",
            {f"{AT_PRIMARY}.settings": {name: "1"}},
            f'sites[0].workloads[0].settings.{name}: "{name}" {OPTION}',
        )
        for name in ("max-connections", "MaxConnections", "1st")
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.settings": {"max_connections": 500}},
        "sites[0].workloads[0].settings.max_connections: 500 must be text: put it in quotes",
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.settings": {"init_connect": "SET @a = 1\nserver_id=1"}},
        'sites[0].workloads[0].settings.init_connect: "SET @a = 1"… must be the text of an option on one line, as it '
        "stands behind its `=` in my.cnf",
    ),
    wrong(
        "mariadb",
        {f"{AT_PRIMARY}.settings": {"sql_mode": "ANSI", "server_id": "1", "log_bin": "0", "read_only": "0"}},
        f'sites[0].workloads[0].settings.log_bin: "0" {OWN_OPTION}',
        f'sites[0].workloads[0].settings.read_only: "0" {OWN_OPTION}',
        f'sites[0].workloads[0].settings.server_id: "1" {OWN_OPTION}',
    ),
    wrong(
        "mariadb",
        {f"{AT_REPLICA}.replicates": "dc1"},
        'sites[1].workloads[0].replicates: "dc1" must be a map: `key: value`, one a line',
    ),
    wrong(
        "mariadb",
        {f"{AT_REPLICA}.replicates.export": GONE},
        "sites[1].workloads[0].replicates.export: is missing: name of its export",
    ),
    wrong(
        "mariadb",
        {"sites[1].imports": []},
        f'sites[1].workloads[0].replicates.export: "db" {NOT_IMPORTED}dc1, export: db, namespace: wookie-dr, '
        "serviceAccount: db",
    ),
    wrong(
        "mariadb",
        {f"{AT_REPLICA}.replicates.export": "orders"},
        f'sites[1].workloads[0].replicates.export: "orders" {NOT_IMPORTED}dc1, export: orders, namespace: wookie-dr, '
        "serviceAccount: db",
    ),
    wrong(
        "mariadb",
        {f"{AT_REPLICA}.replicates.from": "dc3"},
        f'sites[1].workloads[0].replicates.export: "db" {NOT_IMPORTED}dc3, export: db, namespace: wookie-dr, '
        "serviceAccount: db",
    ),
    wrong(
        "mariadb",
        {f"{AT_REPLICA}.namespace": "other"},
        f'sites[1].workloads[0].replicates.export: "db" {NOT_IMPORTED}dc1, export: db, namespace: other, '
        "serviceAccount: db",
    ),
    wrong(
        "mariadb",
        {f"{AT_REPLICA}.name": "rows"},
        f'sites[1].workloads[0].replicates.export: "db" {NOT_IMPORTED}dc1, export: db, namespace: wookie-dr, '
        "serviceAccount: rows",
    ),
    wrong(
        "mariadb",
        {f"{AT_EXPORT}.protocol": "HTTP"},
        'sites[1].workloads[0].replicates.export: "db" is exported as HTTP, which no database speaks: make the '
        "export's protocol TCP",
    ),
    wrong(
        "mariadb",
        {
            f"{AT_PRIMARY}.replicates": {"from": "dc2", "export": "back"},
            "sites[0].imports": [{"from": "dc2", "export": "back", "namespace": "wookie", "serviceAccount": "db"}],
            "sites[1].exports": [
                DATABASE
                | {"name": "back", "namespace": "wookie-dr", "statefulSet": "db", "replicas": 1}
                | {"consumers": [{"site": "dc1", "namespace": "wookie", "serviceAccount": "db"}]}
            ],
        },
        'sites[0].workloads[0].replicates.from: "dc2" leads back to this database (dc1/wookie → dc2/wookie-dr → '
        "dc1/wookie), and so none is the primary: set `primary`",
        'sites[1].workloads[0].replicates.from: "dc1" leads back to this database (dc2/wookie-dr → dc1/wookie → '
        "dc2/wookie-dr), and so none is the primary: set `primary`",
    ),
    wrong("dc2-literal-link", {"sites[0].workloads": [OWN_REPLICA]}, NO_PASSWORD),
    wrong(
        "dc2",
        {
            "sites[0].workloads": [OWN_REPLICA],
            "peers": [{"name": "dc1", "linkFile": "examples/links/dc1.json"}],
        },
        NO_PASSWORD,
    ),
    wrong(
        "mariadb",
        {"sites[0].workloads": []},  # somebody else runs what is exported
        NO_PASSWORD.replace("sites[0]", "sites[1]"),
    ),
    wrong(
        "mariadb",
        {f"{AT_REPLICA}.replicationPassword": "correct-horse-1"},
        f"sites[1].workloads[0].replicationPassword: [secret] {OTHER_PASSWORD}",
    ),
    wrong(
        "mariadb",
        {
            f"{AT_PRIMARY}.replicationPassword": "correct-horse-1",
            f"{AT_REPLICA}.replicationPassword": "correct-horse-2",
        },
        f"sites[1].workloads[0].replicationPassword: [secret] {OTHER_PASSWORD}",
    ),
    wrong(
        "mariadb",
        {f"{AT_EXPORT}.port": 3307},
        "sites[0].exports[0].port: 3307 is not the workload's, which is 3306: use that",
    ),
    wrong(
        "mariadb",
        {f"{AT_EXPORT}.selector": {"app": "db", "tier": "data"}},
        'sites[0].exports[0].selector: "app: db, tier: data" are not the labels of the workload\'s pods: use app: db',
    ),
    wrong(
        "mariadb",
        {f"{AT_EXPORT}.serviceAccount": "default"},
        'sites[0].exports[0].serviceAccount: "default" is not the workload\'s, which is db: use that',
    ),
    wrong(
        "mariadb",
        {f"{AT_EXPORT}.service": "headless"},
        'sites[0].exports[0].service: "headless" is not the workload\'s, which is db: use that',
    ),
    wrong(
        "mariadb",
        {f"{AT_EXPORT}.replicas": 4},
        "sites[0].exports[0].replicas: 4 is more than the 3 pods that the workload runs: lower it or raise the "
        "workload's",
    ),
    wrong(
        "mariadb",
        {
            f"{AT_REPLICA}.namespace": "wookie",
            "sites[1].imports[0].namespace": "wookie",
            f"{AT_EXPORT}.consumers[0].namespace": "wookie",
        },
        'sites[1].imports[0].export: "db" is of Service db in namespace wookie, and dc2 has the same: the pods of both '
        "would have the same DNS names; use another namespace in one of the sites",
    ),
]


OF_DC1, OF_DC2 = AT_PRIMARY, AT_REPLICA
BOTH_MISS_PRIMARY = (
    'sites[0].workloads[0].replicates.from: "dc2" leads back to this database (dc1/wookie → dc2/wookie-dr → '
    "dc1/wookie), and so none is the primary: set `primary`",
    'sites[1].workloads[0].replicates.from: "dc1" leads back to this database (dc2/wookie-dr → dc1/wookie → '
    "dc2/wookie-dr), and so none is the primary: set `primary`",
)
NO_COMMON_PASSWORD = (
    "sites[0].workloads[0].replicationPassword: is missing: either site can be the primary, so give both stacks the "
    "same by `pulumi config set --secret --path`"
)
NO_PAIR = (
    "has no effect, for no MariaDB here replicates another, and no two XtraDB clusters of this stack each other: set "
    "`replicates` in both, or remove it"
)
SETTLED = (
    "needs two databases that can change roles: set `primary`, and `replicates` in both. Where they cannot, the "
    "primary's own name leads to it"
)
ONE_SIDED = "does not replicate this database in its turn: set its `replicates`, or remove `primary`"
GTIDS = (
    "must be GTIDs as `pulumi up` says them, of MariaDB such as 0-1968131073-42, or of MySQL such as "
    "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-42"
)
MYSQL = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
ALONE = {"sites[1]": GONE, "peers": [{"name": "dc2", "stack": "organization/dcmesh/dc2"}]}

WRONG += [
    wrong("mariadb-switchover", {"primary": GONE}, *BOTH_MISS_PRIMARY),
    wrong("mariadb-switchover", {"primary": None}, *BOTH_MISS_PRIMARY),
    wrong("mariadb-switchover", {"primary": "DC1"}, 'primary: "DC1" ' + NAME),
    wrong(
        "mariadb-switchover",
        {"primary": "dc11"},
        'primary: "dc11" is not one of the two sites of sites[0].workloads[0]: choose one of dc1, dc2: did you mean '
        "dc1?",
        'primary: "dc11" is not one of the two sites of sites[1].workloads[0]: choose one of dc2, dc1: did you mean '
        "dc1?",
    ),
    wrong("dev", {"primary": "dc1"}, f'primary: "dc1" {NO_PAIR}'),
    wrong(
        "mariadb-switchover",
        {f"{OF_DC1}.writerService": True},
        "sites[0].workloads[0].writerService: true is not set for dc2/wookie-dr, with which this one changes roles: "
        "set it in both",
    ),
    wrong(
        "mariadb",
        {f"{OF_DC1}.writerService": True, f"{OF_DC2}.writerService": True},
        f"sites[0].workloads[0].writerService: true {SETTLED}",
        f"sites[1].workloads[0].writerService: true {SETTLED}",
    ),
    wrong(
        "mariadb-switchover",
        {f"{OF_DC1}.replicates": GONE, f"{OF_DC2}.replicates": GONE},
        f'primary: "dc1" {NO_PAIR}',
    ),
    wrong(
        "mariadb-switchover",
        {f"{OF_DC1}.replicates": GONE},
        f'sites[1].workloads[0].replicates.from: "dc1" {ONE_SIDED}',
    ),
    wrong("mariadb", {"primary": "dc1"}, f'sites[1].workloads[0].replicates.from: "dc1" {ONE_SIDED}'),
    wrong(
        "mariadb",
        {"failover": {"without": "dc1"}},
        'failover.without: "dc1" has no effect without `primary`: set that, or remove this',
    ),
    wrong(
        "mariadb-switchover",
        {"failover": {"without": "dc1"}},
        'failover.without: "dc1" is the primary: name the site that is gone',
    ),
    wrong("mariadb-switchover", {"failover": {}}, "failover.without: is missing: the site that is gone"),
    *(
        wrong("mariadb-switchover", {"failover": {"without": "dc2", "at": at}}, f'failover.at: "{at}" {GTIDS}')
        for at in ("0-1", "0-1-2-3", "0-1-x", "0-1-2 0-1-3", "0-1-2,", "", MYSQL, f"{MYSQL}:1,0-1-2", f"{MYSQL}:1-")
    ),
    wrong(
        "mariadb-switchover",
        {"failover": {"without": "dc2", "on": "0-1-2"}},
        'failover.on: "0-1-2" is no known key: the known ones are without, at',
    ),
    wrong("mariadb-switchover", ALONE, NO_COMMON_PASSWORD),
    wrong("pxc-switchover", {"primary": GONE}, *BOTH_MISS_PRIMARY),
    wrong("pxc-switchover", {f"{OF_DC1}.replicates": GONE}, f'primary: "dc1" {NO_PAIR}'),
    wrong("pxc-switchover", ALONE, f'primary: "dc1" {NO_PAIR}'),
    wrong(
        "pxc-switchover",
        {"primary": "dc11"},
        'primary: "dc11" is not one of the two sites of sites[0].workloads[0]: choose one of dc1, dc2: did you mean '
        "dc1?",
        'primary: "dc11" is not one of the two sites of sites[1].workloads[0]: choose one of dc2, dc1: did you mean '
        "dc1?",
    ),
    wrong(
        "pxc-switchover",
        {f"{OF_DC2}.settings": {"read_only": "OFF"}},
        f'sites[1].workloads[0].settings.read_only: "OFF" {OWN_OPTION}',
    ),
    wrong(
        "pxc-switchover",
        {f"{OF_DC2}.spec": {"haproxy": {"enabled": False}, "proxysql": {"enabled": True}}},
        "sites[1].workloads[0].spec.haproxy.enabled: false leaves the cluster to ProxySQL, and with `primary` it needs "
        "HAProxy: remove it",
    ),
    wrong("mariadb-switchover", ALONE | {"primary": "dc2"}, NO_COMMON_PASSWORD),
    wrong(
        "mariadb-switchover",
        {f"{OF_DC1}.replicationPassword": "correct-horse-1", f"{OF_DC2}.replicationPassword": "correct-horse-2"},
        f"sites[0].workloads[0].replicationPassword: [secret] {OTHER_PASSWORD.replace('dc1', 'dc2')}",
        f"sites[1].workloads[0].replicationPassword: [secret] {OTHER_PASSWORD}",
    ),
]


@pytest.mark.parametrize(("name", "changes", "lines"), WRONG)
def test_what_is_wrong_is_said_with_its_place_and_what_to_do(
    name: str, changes: Mapping[str, Any], lines: list[str]
) -> None:
    assert errors(changed(name, changes)) == lines


def test_the_table_is_large_enough() -> None:
    assert len(WRONG) > 60
