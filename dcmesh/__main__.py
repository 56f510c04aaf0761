"""The command line: `python -m dcmesh VERB`."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from dcmesh.deployment import StackError, read_stack
from dcmesh.doctor import screen as doctor_screen
from dcmesh.doctor.findings import Report
from dcmesh.doctor.walk import examine
from dcmesh.model.facts import State
from dcmesh.model.printable import printable
from dcmesh.pulumi_cli import PulumiError
from dcmesh.status import screen
from dcmesh.status.databases import MAX_LAG
from dcmesh.status.sites import Status, ask_all
from dcmesh.trust.roots import TrustReport, ask_trust
from dcmesh.unlock import UnlockError, unlock
from dcmesh.verbs import finish_switchover, settle_certificates

STATUS = """\
Ask a stack's sites how they are, now: gateways, certificates, imported hosts as their consumers see them, databases.

Run it where you run pulumi, with what pulumi needs. It creates nothing. To ask for hosts it connects from running
pods of their consumers; to ask databases and sidecars it runs their own clients in their containers."""

EXIT_CODES = """\
exit codes, as the Monitoring Plugins have them:
  0  OK
  1  WARNING   an authority's certificate expires soon, a replica lags behind, some of a gateway's pods are not ready
  2  CRITICAL  something does not work
  3  UNKNOWN   something could not be asked (no stack, no cluster, no pod to ask from), and nothing else is CRITICAL"""

TRUST = """\
Ask every proxy of a stack's sites, and the Secrets `cacerts`, which roots they trust, and under which their own
certificates are. Run it before each step of a root's replacement, on every site that the step's stack cannot see."""

TRUST_CODES = """\
exit codes, as the Monitoring Plugins have them:
  0  OK        all trust the same roots
  1  WARNING   a root is trusted by some: it must not issue yet
  2  CRITICAL  a certificate is refused
  3  UNKNOWN   something could not be asked, and nothing is CRITICAL"""

DOCTOR = """\
Walk the links of a stack hop by hop, from a consumer's name look-up to the server's own answer, and name the first hop
that is broken, with what was seen there and what to do. docs/doctor.md lists the hops and all findings.

It needs what pulumi needs, asks the sites of the stack, and creates nothing. Of a site that another stack has it says
what must be looked at there."""

DOCTOR_EXIT_CODES = """\
exit codes, as the Monitoring Plugins have them:
  0  OK
  1  WARNING   a link works, and something about it is not as it should be
  2  CRITICAL  a link is broken
  3  UNKNOWN   something could not be looked at (no stack, no such host, no cluster), and nothing else is CRITICAL"""


UNLOCK = """\
Remove the lock that a killed `pulumi` has left on a stack whose state is a directory. A lock stays if its process lives
or was another machine's. `make up` and `make down` do this first. Of a state elsewhere it says nothing."""

UNLOCK_CODES = """\
exit codes:
  0  OK        the stack is not locked, as far as can be told
  2  CRITICAL  it is locked by a run that lives, or may live
  3  UNKNOWN   it cannot be told"""


SETTLE = """\
Have all proxies of a site follow the certificates in its Secret `cacerts`, and wait until they do. `pulumi up` runs
this when it has changed them. By hand it takes the kubeconfig that kubectl would: python -m dcmesh settle dc1"""

FINISH = """\
Bring the switchover of two XtraDB clusters to its end, once their resources say which is the primary: wait until it is
open, drop the channel by which it followed, and start the other's if it has given up. `pulumi up` runs this."""

PROGRAMS_CODES = """\
exit codes:
  0  OK        it is done
  2  CRITICAL  it is not, and why has been printed"""

Verb = Callable[[argparse.Namespace], State]
Found = TypeVar("Found", Status, TrustReport, Report)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are no CRITICAL, which argparse's own exit code means to a monitor."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line."""
        self.print_usage(sys.stderr)
        self.exit(State.UNKNOWN, f"dcmesh: {message}\n")


def main() -> None:
    """Run one verb."""
    arguments = parser().parse_args()
    verb: Verb = arguments.run
    try:
        sys.exit(verb(arguments))
    except KeyboardInterrupt:
        complaint = "interrupted"
    except Exception as error:  # Python's own exit code would mean WARNING, and a message may have what is secret
        complaint = f"failed, which it should not: {type(error).__name__}"
    print(f"dcmesh: {complaint}", file=sys.stderr)
    sys.exit(State.UNKNOWN)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    whole = Parser(prog="python -m dcmesh", description="Commands for a stack that is up.")
    verbs = whole.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, run: Verb, *, does: str, description: str, codes: str) -> argparse.ArgumentParser:
        plain = argparse.RawDescriptionHelpFormatter
        one = verbs.add_parser(name, help=does, description=description, epilog=codes, formatter_class=plain)
        one.add_argument("--stack", metavar="NAME", help="the stack (default: the one that is selected)")
        one.set_defaults(run=run)
        return one

    def asking(name: str, run: Verb, *, does: str, description: str, codes: str) -> argparse.ArgumentParser:
        one = verb(name, run, does=does, description=description, codes=codes)
        one.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        return one

    def asked_by_the_program(name: str, run: Verb, *, does: str, description: str) -> argparse.ArgumentParser:
        plain = argparse.RawDescriptionHelpFormatter
        one = verbs.add_parser(name, help=does, description=description, epilog=PROGRAMS_CODES, formatter_class=plain)
        one.set_defaults(run=run)
        return one

    status = asking("status", show_status, does="ask all sites how they are", description=STATUS, codes=EXIT_CODES)
    status.add_argument(
        "--max-lag",
        type=int,
        default=MAX_LAG,
        metavar="SECONDS",
        help="how far behind a replica may be without a warning (default: %(default)s)",
    )
    asking("trust", show_trust, does="who trusts which root", description=TRUST, codes=TRUST_CODES)
    doctor = asking("doctor", show_report, does="find what breaks a link", description=DOCTOR, codes=DOCTOR_EXIT_CODES)
    doctor.add_argument("host", nargs="?", metavar="HOST", help="an imported or exported host (default: all)")
    settling = asked_by_the_program(
        "settle", settle_certificates, does="have a site's proxies follow its certificates", description=SETTLE
    )
    settling.add_argument("site", metavar="SITE", help="the site, as messages are to name it")
    settling.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    finishing = asked_by_the_program(
        "finish-switchover",
        finish_switchover,
        does="end a switchover of XtraDB clusters",
        description=FINISH,
    )
    end = ("SITE", "NAMESPACE", "NAME", "NODES", "CHANNEL")
    finishing.add_argument("--primary", nargs=5, metavar=end, required=True, help="the cluster that is the primary now")
    finishing.add_argument("--replica", nargs=5, metavar=end, required=True, help="the other")
    finishing.add_argument("--without", metavar="SITE", default="", help="the site that is gone, which need not answer")
    finishing.add_argument(
        "--contexts",
        nargs=2,
        metavar=("PRIMARY", "REPLICA"),
        help="contexts of the kubeconfig (default: its current one)",
    )
    verb("unlock", remove_locks, does="remove a dead run's lock", description=UNLOCK, codes=UNLOCK_CODES)
    return whole


def show_status(arguments: argparse.Namespace) -> State:
    """Print how a stack is, and return it."""
    try:
        status = ask_all(read_stack(arguments.stack), arguments.max_lag)
    except StackError as error:
        status = Status(unreadable=str(error))
    return show(status, screen.text, arguments)


def show_trust(arguments: argparse.Namespace) -> State:
    """Print who trusts which root, and return how that is."""
    try:
        trust = ask_trust(read_stack(arguments.stack))
    except StackError as error:
        trust = TrustReport(unreadable=str(error))
    return show(trust, screen.text, arguments)


def show_report(arguments: argparse.Namespace) -> State:
    """Print what is wrong with a stack's links, and return how bad that is."""
    try:
        report = examine(read_stack(arguments.stack), arguments.host)
    except StackError as error:
        report = Report(unreadable=str(error))
    return show(report, doctor_screen.text, arguments)


def remove_locks(arguments: argparse.Namespace) -> State:
    """Remove the locks of dead runs, and return whether the stack can be run."""
    try:
        state, said = unlock(arguments.stack)
    except (UnlockError, PulumiError) as error:
        state, said = State.UNKNOWN, str(error)
    if said:
        write("".join(f"{printable(line)}\n" for line in said.split("\n")))
    return state


def show(found: Found, text: Callable[[Found], str], arguments: argparse.Namespace) -> State:
    """Print what was found, and return how that is."""
    write(json.dumps(found.as_json(), indent=2) + "\n" if arguments.json else text(found))
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
