"""The command line: `python -m dcmesh VERB`.

A verb imports what it needs when it runs, so the help appears at once.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

try:
    import typer
except ModuleNotFoundError as missing:
    ours = "run the one of the virtual environment, as in `venv/bin/python -m dcmesh`; in a clone `make venv` makes it"
    print(f"dcmesh: {sys.executable} has no module {missing.name}: {ours}", file=sys.stderr)
    sys.exit(3)  # UNKNOWN for a monitor

from dcmesh.model.facts import MAX_LAG, State
from dcmesh.model.printable import printable

if TYPE_CHECKING:
    from dcmesh.sites_in_outputs import DeployedSite

PROGRAM = "python -m dcmesh"
PROJECT = "Pulumi.yaml"

INTERVAL = 5
"""How many seconds `status --watch` waits between two looks, unless it is said otherwise."""

INTERRUPTED = 130
"""The exit code that typer returns for Ctrl-C."""


class Found(Protocol):
    """What a verb has found: it can be shown, and is an exit code."""

    @property
    def state(self) -> State:
        """How that is."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""


F = TypeVar("F", bound=Found)

Stack = Annotated[
    str | None,
    typer.Option("--stack", metavar="NAME", help="The stack. Default: the one that pulumi has selected."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Ask the clusters by this file, whose contexts have the sites' names. Default: as `pulumi up` did.",
    ),
]
Host = Annotated[str | None, typer.Argument(metavar="HOST", help="A host that is exported or imported. Default: all.")]
MAX_LAG_OPTION = typer.Option(
    "--max-lag",
    metavar="SECONDS",
    min=0,
    help=f"How far behind a replica may be without a warning. Default: {MAX_LAG}.",
    show_default=False,
)
Context = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="The kubeconfig's context. Default: its current one."),
]

DATABASE = "SITE/NAMESPACE/NAME"


class Kind(StrEnum):
    """The kinds of databases that can change roles."""

    MARIADB = "mariadb"
    PXC = "pxc"


def verbatim(text: str) -> str:
    """Return a text whose lines the help keeps as they are."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in text.strip().split("\n\n"))


app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # the help is plain text, in a pipe and on a terminal
    subcommand_metavar="VERB ...",
    epilog=verbatim("""
Examples:
  python -m dcmesh status              do replicas follow, do hosts answer?
  python -m dcmesh status --stack dc2  the same of another stack
  python -m dcmesh doctor              what is broken, and what mends it?
  python -m dcmesh doctor --help       options, exit codes, more examples
"""),
)


@app.callback()
def _program() -> None:
    """Look after the sites that `pulumi up` has joined.

    Run it where you run pulumi: in the project's directory, with pulumi's login. Which verbs need the stack's
    passphrase, and which rights in the clusters, stands in docs/credentials.md.
    """


def main() -> None:
    """Run one verb. Whatever happens, the exit code is one that a monitor understands."""
    gc.set_threshold(200_000)  # what a verb imports stays: to look through it for garbage takes a sixth of its start
    try:
        code = app(prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:  # the command line is wrong
        typed = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        complaint = f"{error.format_message().rstrip('.')} (see `{typed} --help`)"
    except Exception as error:  # Python's own exit code would mean WARNING, and a message may have what is secret
        complaint = f"failed unexpectedly: {type(error).__name__}"
    else:
        if code != INTERRUPTED:
            sys.exit(code)
        complaint = "interrupted"
    print(f"dcmesh: {printable(complaint)}", file=sys.stderr)
    sys.exit(State.UNKNOWN)


@app.command(
    epilog=verbatim("""
Examples:
  python -m dcmesh status
  python -m dcmesh status --stack dc2 --max-lag 300
  python -m dcmesh status --watch --interval 10
  python -m dcmesh status --json | jq .problems

Exit codes, as the Monitoring Plugins have them; --watch ends with the last:
  0  OK
  1  WARNING   a certificate of an authority expires soon, a replica lags
               behind, some of a gateway's pods are not ready
  2  CRITICAL  something does not work
  3  UNKNOWN   something could not be asked (no stack, no cluster, no pod to
               ask from), and nothing else is CRITICAL
""")
)
def status(
    stack: Stack = None,
    as_json: Json = False,
    max_lag: Annotated[int, MAX_LAG_OPTION] = MAX_LAG,
    kubeconfig: Kubeconfig = None,
    watch: Annotated[bool, typer.Option("--watch", help="Ask again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        int | None,
        typer.Option("--interval", metavar="SECONDS", min=1, help=f"Between two looks. Default: {INTERVAL}."),
    ] = None,
) -> State:
    """Show how gateways, hosts and databases are now.

    It shows when certificates end, too. It asks the clusters live and creates nothing. To ask for hosts it connects
    from running pods of their consumers; to ask databases and sidecars it runs their own clients in their containers.
    """
    if interval and not watch:
        raise typer.BadParameter("--interval is for --watch")
    if watch and (as_json or not sys.stdout.isatty()):
        raise typer.BadParameter("--watch is for a terminal, and not for --json: run `status` each time")
    from dcmesh.status.screen import text
    from dcmesh.status.sites import Status, ask_all
    from dcmesh.status.watch import watch as go_on

    def ask(sites: tuple["DeployedSite", ...]) -> Status:
        return ask_all(sites, max_lag)

    if watch:
        return go_on(lambda: look(stack, kubeconfig, ask, Status), interval or INTERVAL)
    return show(asked(stack, kubeconfig, ask, Status), text, as_json)


@app.command(
    epilog=verbatim("""
Examples:
  python -m dcmesh topology > topology.html
  python -m dcmesh status --stack dc2 --json > dc2.json
  python -m dcmesh topology dc2.json > dc2.html

Exit codes:
  0  OK        the page is on standard output, whatever it shows
  3  UNKNOWN   there is nothing to draw; the reason is on standard error
""")
)
def topology(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="What `status --json` has printed; - is standard input. Default: ask."),
    ] = None,
    stack: Stack = None,
    max_lag: Annotated[int | None, MAX_LAG_OPTION] = None,
    kubeconfig: Kubeconfig = None,
) -> State:
    """Draw the sites and their links as an HTML page.

    It shows gateways, links, exports, replication and the ends of certificates, by what `status` finds, or found: of a
    FILE no cluster is asked. The page needs nothing else, and runs nothing.
    """
    if file and (stack or kubeconfig or max_lag is not None):
        raise typer.BadParameter("a FILE says what was asked: leave out --stack, --max-lag and --kubeconfig")
    from dcmesh.status.from_json import read_status
    from dcmesh.status.sites import Status, ask_all
    from dcmesh.topology.page import page

    lag = MAX_LAG if max_lag is None else max_lag
    found = read_status(file) if file else asked(stack, kubeconfig, lambda sites: ask_all(sites, lag), Status)
    if found.unreadable:
        print(f"dcmesh: {printable(found.unreadable)}", file=sys.stderr)
        return State.UNKNOWN
    write(page(found))
    return State.OK


@app.command(
    epilog=verbatim("""
Examples:
  python -m dcmesh doctor
  python -m dcmesh doctor db-0.db.wookie.svc.cluster.local --stack dc2

Exit codes, as the Monitoring Plugins have them:
  0  OK
  1  WARNING   a link works, and something about it is not as it should be
  2  CRITICAL  a link is broken
  3  UNKNOWN   something could not be looked at (no stack, no such host, no
               cluster), and nothing else is CRITICAL
""")
)
def doctor(host: Host = None, stack: Stack = None, as_json: Json = False, kubeconfig: Kubeconfig = None) -> State:
    """Find where a link is broken, and what to do.

    It walks each link hop by hop, from the consumer's name look-up to the server's own answer, and names the first hop
    that is broken, with what was seen there and the fix. It asks the sites of the stack and creates nothing. Of a site
    that another stack has it says what must be looked at there. docs/doctor.md lists all hops and findings.
    """
    from dcmesh.doctor.findings import Report
    from dcmesh.doctor.screen import text
    from dcmesh.doctor.walk import examine

    return show(asked(stack, kubeconfig, lambda sites: examine(sites, host), Report), text, as_json)


@app.command(
    epilog=verbatim("""
Examples:
  python -m dcmesh plan
  python -m dcmesh plan --stack dc2 --json | jq .sites

Exit codes:
  0  OK
  3  UNKNOWN   there is no such stack, or its configuration is wrong
""")
)
def plan(stack: Stack = None, as_json: Json = False) -> State:
    """Show who is to follow whom, and how hosts are reached.

    That follows from the configuration, and from what other stacks export now: the next `up` goes by it. It asks no
    cluster and creates nothing. It does not know an address that a gateway's Service gets in the cluster.
    """
    from dcmesh.plan_report import read_plan, text
    from dcmesh.screen import under_way

    with under_way("reading the stack"):
        report = read_plan(stack)
    return show(report, text, as_json)


@app.command(
    epilog=verbatim("""
Example, before each step of a root's replacement:
  python -m dcmesh trust --stack dc1

Exit codes, as the Monitoring Plugins have them:
  0  OK        all trust the same roots
  1  WARNING   a root is trusted by some: it must not issue yet
  2  CRITICAL  a certificate is refused
  3  UNKNOWN   something could not be asked, and nothing is CRITICAL
""")
)
def trust(stack: Stack = None, as_json: Json = False, kubeconfig: Kubeconfig = None) -> State:
    """Show who trusts which root certificate.

    It asks every proxy of the stack's sites, and the Secrets `cacerts`, which roots they trust, and under which their
    own certificates are. Run it before each step of a root's replacement, on every site that the step's stack cannot
    see.
    """
    from dcmesh.status.screen import text
    from dcmesh.trust.trust_report import TrustReport, ask_trust

    return show(asked(stack, kubeconfig, ask_trust, TrustReport), text, as_json)


@app.command(
    epilog=verbatim("""
Example, when pulumi says `the stack is currently locked`, and nobody runs it:
  python -m dcmesh unlock --stack dc1

Exit codes:
  0  OK        the stack is not locked, as far as can be told
  2  CRITICAL  it is locked by a run that lives, or may live
  3  UNKNOWN   it cannot be told
""")
)
def unlock(stack: Stack = None) -> State:
    """Remove the lock that a killed run of pulumi has left.

    A lock stays if its process lives or was another machine's. `make up` and `make down` do this first. It can do so if
    the stack's state is a directory; of a state elsewhere it says nothing.
    """
    from dcmesh.pulumi_cli import PulumiError
    from dcmesh.screen import under_way
    from dcmesh.unlock import UnlockError
    from dcmesh.unlock import unlock as remove_dead_locks

    try:
        with under_way("looking for a lock"):
            state, said = remove_dead_locks(stack)
    except (UnlockError, PulumiError) as error:
        state, said = State.UNKNOWN, str(error)
    except FileNotFoundError as error:
        if error.filename != PROJECT:
            raise
        state, said = State.UNKNOWN, f"there is no {PROJECT} here: run it in the project's directory"
    if said:
        write("".join(f"{printable(line)}\n" for line in said.split("\n")))
    return state


@app.command(
    epilog=verbatim("""
Example; docs/production.md says when, and what else is to be done:
  pulumi stack export --stack dc1 > stuck.json
  python -m dcmesh unstick < stuck.json > mended.json
  pulumi stack import --stack dc1 --file mended.json

Exit codes:
  0  OK        the mended state is on standard output
  3  UNKNOWN   standard input is not the state of a stack
""")
)
def unstick() -> State:
    """Take a stuck replacement out of a stack's state.

    It reads a state that 0.1.0 has left, as `pulumi stack export` prints it, from standard input, and writes the mended
    one to standard output. It asks no cluster and changes no stack.
    """
    from dcmesh.stuck_replacement import NotAStateError, mended

    try:
        state = mended(sys.stdin.read())
    except NotAStateError as error:
        print(f"dcmesh: {error}", file=sys.stderr)
        return State.UNKNOWN
    write(state)
    return State.OK


@app.command(
    epilog=verbatim("""
Example, with the kubeconfig that kubectl would use:
  python -m dcmesh settle dc1 --context dc1-admin

Exit codes:
  0  OK        all proxies follow them
  2  CRITICAL  they do not; the reason is on standard error
""")
)
def settle(
    site: Annotated[str, typer.Argument(metavar="SITE", help="The site, as messages are to name it.")],
    context: Context = None,
) -> State:
    """Make a site's proxies follow its certificates.

    It waits until all follow those in the Secret `cacerts`. `pulumi up` runs this when it has changed them.
    """
    from dcmesh.verbs import settle_certificates

    return settle_certificates(site, context)


@app.command(
    epilog=verbatim("""
Example, with the kubeconfig that kubectl would use:
  python -m dcmesh wait-for-rollout dc1 wookie db --context dc1-admin

Exit codes:
  0  OK        all pods are new, and pod 0 is ready
  2  CRITICAL  nothing has changed for ten minutes; why is on standard error
""")
)
def wait_for_rollout(
    site: Annotated[str, typer.Argument(metavar="SITE", help="The site, as messages are to name it.")],
    namespace: Annotated[str, typer.Argument(metavar="NAMESPACE", help="The StatefulSet's namespace.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    context: Context = None,
) -> State:
    """Wait until all pods of a StatefulSet are new.

    Pod 0, which comes last, must be ready too. `pulumi up` runs this when it has changed one.
    """
    from dcmesh import verbs

    return verbs.wait_for_rollout(site, namespace, name, context)


@app.command(
    epilog=verbatim("""
Examples, with the kubeconfig that kubectl would use:
  python -m dcmesh switchover --primary dc2 --dry-run \\
    --site dc1/wookie/db --context dc1-admin \\
    --site dc2/wookie-dr/db --context dc2-admin
  python -m dcmesh switchover --primary dc2 --site dc2/wookie-dr/db \\
    --other dc1 --without dc1 --at 0-1-4711

With --kind pxc it changes no resource: --dry-run says what `pulumi up` would
refuse, and without it what is left after `pulumi up` is done. The --other
site is not asked.

Exit codes:
  0  OK        each site has its role; with --dry-run: would have it
  2  CRITICAL  it has not; the reason is on standard error
""")
)
def switchover(
    primary: Annotated[str, typer.Option("--primary", metavar="SITE", help="The site that is to be the primary.")],
    site: Annotated[
        list[str],
        typer.Option("--site", metavar=DATABASE, help="A database that is brought to its role: one, or both."),
    ],
    other: Annotated[
        str, typer.Option("--other", metavar="SITE", help="The other site, where --site is given once.")
    ] = "",
    without: Annotated[
        str, typer.Option("--without", metavar="SITE", help="The other site, if it is gone and need not answer.")
    ] = "",
    at: Annotated[
        str, typer.Option("--at", metavar="GTIDS", help="What came after that may be lost, where a site is gone.")
    ] = "",
    context: Annotated[
        list[str] | None,
        typer.Option("--context", metavar="NAME", help="The kubeconfig's context, for each --site in turn."),
    ] = None,
    kind: Annotated[Kind, typer.Option("--kind", help="The databases' kind.")] = Kind.MARIADB,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, or why not. Change nothing.")] = (
        False
    ),
) -> State:
    """Bring two databases to their roles.

    `pulumi up` runs this. It can be interrupted anywhere and run again, and ends with a reason if a site must not have
    its role. Each site's own server is asked in its pod. With one --site the other's is asked from there, by the link.
    """
    from dcmesh import verbs
    from dcmesh.model.switchover import Switchover

    wanted = Switchover(primary=primary, without=without, at=at)
    return verbs.switch(kind, site, other, wanted, contexts=context or (), dry_run=dry_run)


def asked(
    stack: str | None,
    kubeconfig: str | None,
    ask: Callable[[tuple["DeployedSite", ...]], F],
    unreadable: Callable[..., F],
) -> F:
    """Return what `look` does, and show meanwhile that it is waited for."""
    from dcmesh.screen import under_way

    with under_way("asking the stack's sites"):
        return look(stack, kubeconfig, ask, unreadable)


def look(
    stack: str | None,
    kubeconfig: str | None,
    ask: Callable[[tuple["DeployedSite", ...]], F],
    unreadable: Callable[..., F],
) -> F:
    """Return what was found of a stack's sites.

    Args:
        stack: its name. Default: the one that is selected.
        kubeconfig: path of a kubeconfig whose contexts have the sites' names. Default: those of the stack.
        ask: what asks them.
        unreadable: makes, of the reason, what is found of a stack that cannot be read.
    """
    from dcmesh.sites_in_outputs import StackError, read_stack

    try:
        return ask(read_stack(stack, kubeconfig))
    except StackError as error:
        return unreadable(unreadable=str(error))


def show(found: F, text: Callable[[F], str], as_json: bool) -> State:
    """Print what was found, and return how that is."""
    write(json.dumps(found.as_json(), indent=2) + "\n" if as_json else text(found))
    return found.state


def write(text: str) -> None:
    """Print a text. Whoever reads may stop, as a monitor may after the first line: the exit code is the same."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own flush at the end


if __name__ == "__main__":
    main()
