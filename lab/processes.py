"""What a site runs besides its pods: the commands and configuration of the processes, and of supervisord over them."""

import configparser
import io
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import network
from lab.network import SiteAddresses
from lab.paths import REPOSITORY, SitePaths
from lab.toolchain import PAUSE

CLUSTER_DNS = "10.43.0.10"
CLUSTER_DOMAIN = "cluster.local"
AUDITED = "audited"
"""Namespace whose service accounts' requests the API server writes into `audit.log`, in the site's logs."""

_CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_CNI_PLUGINS = "/usr/lib/cni"


@dataclass(frozen=True)
class Process:
    """One supervised process.

    Attributes:
        name: the name of the process and of its log.
        command: program and arguments.
        waits_for: a socket that must exist before the process starts.
        needs_api: whether it starts only when the API is ready. Earlier it would end, or try again ever less often.
    """

    name: str
    command: tuple[str, ...]
    waits_for: str = ""
    needs_api: bool = False


def processes(site: SitePaths, addresses: SiteAddresses) -> list[Process]:
    """Return the site's processes, in the order in which they start."""
    return [
        Process("containerd", ("containerd", f"--config={site.config / 'containerd.toml'}")),
        _etcd(site),
        _apiserver(site, addresses),
        _controller_manager(site),
        _scheduler(site),
        Process(
            "kubelet",
            (
                "kubelet",
                f"--config={site.config / 'kubelet.json'}",
                f"--kubeconfig={site.kubeconfig('kubelet')}",
                f"--hostname-override={site.name}",
                f"--node-ip={addresses.node}",
            ),
            waits_for=_CONTAINERD_SOCKET,
        ),
        Process("kube-proxy", ("kube-proxy", f"--config={site.config / 'kube-proxy.json'}"), needs_api=True),
        _own("load-balancer", site, *addresses.load_balancer),
        _own("volumes", site, str(site.volumes)),
    ]


def write_configuration(site: SitePaths, addresses: SiteAddresses) -> None:
    """Write the configuration files of all processes and supervisord's."""
    for name, settings in (("kubelet", _kubelet(site)), ("kube-proxy", _kube_proxy(site)), ("audit", _audit())):
        (site.config / f"{name}.json").write_text(json.dumps(settings, indent=2) + "\n")
    (site.config / "containerd.toml").write_text(_containerd(site))
    for directory in (cni_configuration(site), cni_programs(site)):
        directory.mkdir(exist_ok=True)
    for program in Path(_CNI_PLUGINS).glob("*"):
        link = cni_programs(site) / program.name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    (cni_configuration(site) / "pods.conflist").write_text(json.dumps(_cni(), indent=2) + "\n")
    supervisor_file(site).write_text(supervisor_configuration(processes(site, addresses)))


def cni_configuration(site: SitePaths) -> Path:
    """The directory with the configuration of the pods' network. A CNI plugin may write into it."""
    return site.config / "cni"


def cni_programs(site: SitePaths) -> Path:
    """The directory with the programs of the pods' network. A CNI plugin may install one there: it is the site's."""
    return site.config / "cni-bin"


def supervisor_file(site: SitePaths) -> Path:
    """The configuration of the site's supervisord."""
    return site.config / "supervisord.conf"


def supervisor_configuration(supervised: list[Process]) -> str:
    """Return supervisord's configuration.

    Every process is restarted whenever it ends, and its log is rotated at 20 MB.
    """
    config = configparser.RawConfigParser()
    config["unix_http_server"] = {"file": "/run/supervisor.sock", "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisorctl"] = {"serverurl": "unix:///run/supervisor.sock"}
    config["supervisord"] = {
        "user": "root",
        "nodaemon": "true",
        "silent": "true",
        "logfile": "/var/log/supervisord.log",
        "logfile_maxbytes": "5MB",
        "pidfile": "/run/supervisord.pid",
        "childlogdir": "/var/log",
        "directory": str(REPOSITORY),
        # With this, Kubernetes, etcd and containerd collect garbage a third as often. At the default, that was a fifth
        # of their work in a test.
        "environment": 'GOGC="300"',
    }
    for priority, process in enumerate(supervised):
        config[f"program:{process.name}"] = {
            # supervisord expands % in its configuration.
            "command": _command_line(process).replace("%", "%%"),
            "priority": str(priority),
            "autostart": str(not process.needs_api).lower(),
            "autorestart": "true",
            "startretries": "1000000",
            "startsecs": "3",
            "redirect_stderr": "true",
            "stdout_logfile": f"/var/log/{process.name}.log",
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "1",
        }
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def _command_line(process: Process) -> str:
    if not process.waits_for:
        return shlex.join(process.command)
    wait = f"until test -S {process.waits_for}; do sleep 0.05; done; exec {shlex.join(process.command)}"
    return shlex.join(("sh", "-c", wait))


def _own(name: str, site: SitePaths, *arguments: str) -> Process:
    """Return the process that runs one of the lab's own modules."""
    module = f"lab.{name.replace('-', '_')}"
    kubeconfig = f"--kubeconfig={site.kubeconfig('super-admin')}"
    return Process(name, (sys.executable, "-m", module, kubeconfig, *arguments), needs_api=True)


def _etcd(site: SitePaths) -> Process:
    pki = site.pki / "etcd"
    return Process(
        "etcd",
        (
            "etcd",
            f"--data-dir={site.state / 'etcd'}",
            "--listen-client-urls=https://127.0.0.1:2379",
            "--advertise-client-urls=https://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            f"--cert-file={pki / 'server.crt'}",
            f"--key-file={pki / 'server.key'}",
            f"--trusted-ca-file={pki / 'ca.crt'}",
            "--client-cert-auth",
            "--unsafe-no-fsync",
        ),
    )


def _apiserver(site: SitePaths, addresses: SiteAddresses) -> Process:
    pki = site.pki
    return Process(
        "kube-apiserver",
        (
            "kube-apiserver",
            f"--advertise-address={addresses.node}",
            "--secure-port=6443",
            f"--service-cluster-ip-range={network.SERVICES}",
            "--allow-privileged",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--audit-policy-file={site.config / 'audit.json'}",
            "--audit-log-path=/var/log/audit.log",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            "--etcd-servers=https://127.0.0.1:2379",
            f"--etcd-cafile={pki / 'etcd/ca.crt'}",
            f"--etcd-certfile={pki / 'apiserver-etcd-client.crt'}",
            f"--etcd-keyfile={pki / 'apiserver-etcd-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
            f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
            f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
        ),
    )


def _audit() -> dict[str, Any]:
    """Return what the API server writes down: what is asked by service accounts of one namespace, which tests make."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "userGroups": [f"system:serviceaccounts:{AUDITED}"]}, {"level": "None"}],
    }


def _controller_manager(site: SitePaths) -> Process:
    pki = site.pki
    return Process(
        "kube-controller-manager",
        (
            "kube-controller-manager",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            *_kubeconfig_flags(site, "controller-manager"),
            "--use-service-account-credentials",
            # Before it starts it asks for a token for each controller. With the default limit that takes seconds.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            # The default path lies outside the site's own directories.
            f"--flex-volume-plugin-dir={site.state / 'volume-plugins'}",
        ),
        needs_api=True,
    )


def _scheduler(site: SitePaths) -> Process:
    return Process(
        "kube-scheduler",
        ("kube-scheduler", "--bind-address=127.0.0.1", "--leader-elect=false", *_kubeconfig_flags(site, "scheduler")),
        needs_api=True,
    )


def _kubeconfig_flags(site: SitePaths, client: str) -> tuple[str, ...]:
    flags = ("--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig")
    return tuple(f"{flag}={site.kubeconfig(client)}" for flag in flags)


def _kubelet(site: SitePaths) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": str(site.pki / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": "",
        "containerRuntimeEndpoint": f"unix://{_CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": site.cgroup,
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,  # The machine's cgroups may be of version 1 or 2.
        "failSwapOn": False,
        # Without these rights, which a kubelet has elsewhere, it works here too.
        "featureGates": {"KubeletInUserNamespace": True},
        # The disk is the whole machine's. When it is full, images that nobody can pull again must not be deleted, nor
        # pods.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "volumePluginDir": str(site.state / "volume-plugins"),
        # A container that a test kills again and again should not wait for up to five minutes before it restarts.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "5s"},
    }


def _kube_proxy(site: SitePaths) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(site.kubeconfig("kube-proxy"))},
        "hostnameOverride": site.name,
        "mode": "nftables",
        "clusterCIDR": network.PODS,
        # These settings are the whole machine's, and cannot be written from a network namespace.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _containerd(site: SitePaths) -> str:
    """Return containerd's configuration (1.6, version 2)."""
    return f"""\
version = 2
root = "{site.containerd}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{_CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:{PAUSE}"
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{cni_programs(site)}"
  conf_dir = "{cni_configuration(site)}"
"""


def _cni() -> dict[str, Any]:
    """Return the pods' network.

    Each pod has a link and a route of its own, so that all traffic passes through the node.

    With a bridge, the answers of a Service between two pods would bypass the node unless br_netfilter is loaded.
    """
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": network.PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": ipam}]}
