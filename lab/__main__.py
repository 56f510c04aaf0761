"""The command line of the lab: `python -m lab VERB`.

Each verb imports what it needs only when it runs. To import everything takes half a second of processor time, and each
`up` runs this command once for every site's kubeconfig.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable
from typing import Any

from lab import paths
from lab.errors import LabError
from lab.paths import LabPaths


def main() -> None:
    """Run one verb."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    arguments = _parser().parse_args(words[:end], argparse.Namespace(command=words[end + 1 :]))
    verb: Callable[[LabPaths, argparse.Namespace], None] = arguments.run
    try:
        verb(LabPaths(arguments.lab), arguments)
    except LabError as error:
        sys.exit(f"lab: {error}")
    except KeyboardInterrupt:
        sys.exit("lab: interrupted; the same command goes on from here")


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--lab", type=_name(paths.check_lab), default="dev", help="the lab's name (default: dev)")
    parser = argparse.ArgumentParser(prog="python -m lab", description="Real Kubernetes sites on one machine.")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, run: Callable[[LabPaths, argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, parents=[common], help=text, description=text)
        added.set_defaults(run=run)
        return added

    verb("toolchain", _toolchain, "build all programs and images, or reuse what is built")
    create = verb("create", _create, "make a site, or repair it, or leave it if it is well")
    create.add_argument("site", type=_name(paths.check_site))
    create.add_argument(
        "--reachable-from",
        type=_name(paths.check_site),
        action="append",
        default=[],
        metavar="OTHER",
        help="a site that may reach this one's gateway (repeatable; it need not exist yet)",
    )
    delete = verb("delete", _delete, "remove a site and all that is its own")
    which = delete.add_mutually_exclusive_group(required=True)
    which.add_argument("site", type=_name(paths.check_site), nargs="?")
    which.add_argument("--all", action="store_true", help="all sites of the lab")
    shown = verb("kubeconfig", _kubeconfig, "print a site's kubeconfig, everything inline")
    shown.add_argument("site", type=_name(paths.check_site))
    verb("env", _env, 'print what a shell needs: eval "$(python -m lab env)"')
    status = verb("status", _status, "show the lab's sites")
    status.add_argument("--json", action="store_true")
    line = verb("wan", _wan, "cut, heal, impair or show the WAN between the sites")
    line.add_argument("action", choices=["cut", "heal", "impair", "show"])
    line.add_argument(
        "--mode",
        choices=["drop", "reset"],
        default="drop",
        help="what a cut WAN does: lose all packets, or answer TCP with resets (default: drop)",
    )
    line.add_argument(
        "--delay",
        type=float,
        default=0,
        metavar="MS",
        help="milliseconds that `impair` adds to a round trip (default: 0)",
    )
    line.add_argument(
        "--loss", type=float, default=0, metavar="SHARE", help="share of packets, 0 to 1, to lose each way (default: 0)"
    )
    enter = verb("enter", _enter, "run a shell inside a site, or the command that follows --")
    enter.add_argument("site", type=_name(paths.check_site))
    return parser


def _name(check: Callable[[str], str]) -> Callable[[str], str]:
    """Return `check` in the form that argparse wants, so that argparse shows the reason of a refusal."""

    def checked(text: str) -> str:
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _toolchain(_lab: LabPaths, _arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from lab import image_store, toolchain

    tools = toolchain.ensure()
    image_store.ensure(tools.images)
    Console().print(toolchain.table(tools))


def _create(lab: LabPaths, arguments: argparse.Namespace) -> None:
    from lab import site, toolchain

    _need_root()
    site.create(toolchain.ensure(), lab, arguments.site, tuple(sorted(set(arguments.reachable_from))))


def _delete(lab: LabPaths, arguments: argparse.Namespace) -> None:
    from lab import site

    _need_root()
    for name in site.names(lab) if arguments.all else [arguments.site]:
        site.delete(lab, name)


def _kubeconfig(lab: LabPaths, arguments: argparse.Namespace) -> None:
    import yaml

    from lab import kubeconfig

    print(yaml.safe_dump(kubeconfig.of_site(lab.site(arguments.site))), end="")


def _env(lab: LabPaths, _arguments: argparse.Namespace) -> None:
    from lab import toolchain

    tools = toolchain.ensure()
    exports = {
        "PULUMI_HOME": str(tools.pulumi_home),
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
    }
    if lab.kubeconfig.exists():
        exports["KUBECONFIG"] = str(lab.kubeconfig)
    print(f'export PATH={shlex.quote(str(tools.bin))}:"$PATH"')
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")


def _status(lab: LabPaths, arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from lab import record, wan

    state = record.load(lab.lab)
    rows = [_site_status(lab, name) for name in (sorted(state.sites) if state else [])]
    if arguments.json:
        line = {name: getattr(state, name, None) for name in ("wan", "delay", "loss")}
        print(json.dumps({"lab": lab.lab, **line, "sites": rows}, indent=2))
        return
    table = Table(title=f"lab {lab.lab}, {wan.summary(state)}" if state else f"lab {lab.lab}: no sites")
    for column in ("site", "state", "API", "load balancer addresses", "memory", "logs"):
        table.add_column(column, overflow="fold")
    for row in rows:
        balanced = "\n".join(row["load_balancers"])
        memory = f"{row['memory'] / 2**20:.0f} MiB"
        table.add_row(row["site"], row["state"], row["api"], balanced, memory, row["logs"])
    (Console() if sys.stdout.isatty() else Console(width=160)).print(table)


def _site_status(lab: LabPaths, name: str) -> dict[str, Any]:
    from lab import cgroup, node, site, wan
    from lab.cluster import Cluster

    this = lab.site(name)
    state = wan.standing(lab.lab)
    trouble = Cluster(this).lacks(node.started(this)) if node.runs(this) else "does not run"
    return {
        "site": name,
        "state": trouble or "ready",
        "pid": cgroup.first_process(this),
        "api": f"https://{site.addresses(state, name).node}:6443",
        "reachable_from": list(state.sites[name].reachable_from),
        "load_balancers": [] if trouble else Cluster(this).load_balancers(),
        "memory": cgroup.memory(this),
        "logs": str(this.logs),
    }


def _wan(lab: LabPaths, arguments: argparse.Namespace) -> None:
    from lab import wan
    from lab.record import Wan

    _need_root()
    if arguments.action == "cut":
        wan.set_mode(lab.lab, Wan(arguments.mode))
    elif arguments.action == "heal":
        wan.set_mode(lab.lab, Wan.UP)
    elif arguments.action == "impair":
        wan.impair(lab.lab, delay=arguments.delay, loss=arguments.loss)
    print(wan.describe(lab.lab))


def _enter(lab: LabPaths, arguments: argparse.Namespace) -> None:
    from lab import node

    _need_root()
    sys.exit(node.run_inside(lab.site(arguments.site), arguments.command or [os.environ.get("SHELL", "/bin/sh")]))


def _need_root() -> None:
    if os.geteuid() != 0:
        raise LabError("only root can make namespaces, mounts and cgroups: run this as root")


if __name__ == "__main__":
    main()
