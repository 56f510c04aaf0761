"""The verbs that the program runs: work that is not a resource. Each can be typed by hand as well.

A verb imports what it alone needs when it runs: it is run for each site and database that an `up` changes.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest

import pulumi

from dcmesh.kube.api import ERRORS, why
from dcmesh.kube.kubeconfig import KubeconfigError, read_kubeconfig
from dcmesh.model.facts import State
from dcmesh.model.printable import printable
from dcmesh.model.switchover import Switchover

CHAIN, ROOTS = "DCMESH_CERT_CHAIN", "DCMESH_ROOT_CERTS"
"""The environment's variables with the certificates that a site's proxies are to follow."""

DOMAIN = "DCMESH_TRUST_DOMAIN"
"""The environment's variable with the trust domain that their certificates are to have."""

KUBECONFIGS = (KUBECONFIG, OTHER_KUBECONFIG) = ("DCMESH_KUBECONFIG", "DCMESH_OTHER_KUBECONFIG")
"""The environment's variables with a site's kubeconfig. It is no argument, because others can read arguments."""


def settle_certificates(site: str, context: str | None) -> State:
    """Have a site's proxies follow its certificates, and return whether they do.

    Args:
        site: the site.
        context: context of the kubeconfig that kubectl would use. Default: its current one.
    """
    from dcmesh.trust.rotation import given_or_held, settle

    def work() -> None:
        kubeconfig = os.environ.get(KUBECONFIG) or _kubectls(context)
        with _under_way(f"{site}: waiting for its istiods and proxies to follow"):
            wanted = given_or_held(site, kubeconfig, os.environ.get(CHAIN), os.environ.get(ROOTS))
            settle(site, kubeconfig, wanted, os.environ.get(DOMAIN))

    return _done(site, work)


def wait_for_rollout(site: str, namespace: str, name: str, context: str | None) -> State:
    """Wait until all pods of a StatefulSet are new and pod 0 is ready, and return whether that is so.

    Args:
        site: the site, for messages.
        namespace: the StatefulSet's namespace.
        name: its name.
        context: context of the kubeconfig that kubectl would use, where the environment has none. Default: its current
            one.
    """
    from dcmesh.kube.rollout import wait_for

    def work() -> None:
        kubeconfig = os.environ.get(KUBECONFIG) or _kubectls(context)
        with _under_way(f"{site}: asking for {namespace}/{name}") as say:
            wait_for(site, kubeconfig, namespace, name, say=say)

    return _done(site, work)


def switch(
    kind: str, ends: Sequence[str], other: str, switchover: Switchover, *, contexts: Sequence[str], dry_run: bool
) -> State:
    """Bring databases that can change roles to theirs, and return whether they have them.

    Args:
        kind: their kind. The roles of `pxc` are in resources, which only `pulumi up` changes.
        ends: `SITE/NAMESPACE/NAME` of each database, of one site or of both.
        other: the other site, where there is one.
        switchover: which is to be the primary.
        contexts: contexts of the kubeconfig that kubectl would use, in this order, where the environment has none.
            Default for one site: its current one.
        dry_run: whether to say only what would be done. Then it returns whether an `up` would do it.
    """
    from dcmesh.databases.mariadb_server import sides_of
    from dcmesh.databases.pxc_server import pxc_sides
    from dcmesh.databases.switchover import End, switch_over
    from dcmesh.databases.switchover_dry_run import foreseen

    def work() -> None:
        known = [End(**place) for place in _databases(ends, other, switchover, contexts)]
        with (
            _under_way("asking the databases") as say,
            sides_of(known, other) if kind == "mariadb" else pxc_sides(known, other) as sides,
        ):
            if not dry_run:

                def tell(line: str) -> None:
                    say("switching over")
                    _tell(line)

                switch_over(switchover, sides, tell)
                return
            lines, possible = foreseen(switchover, sides)
        for line in ("nothing is changed; this would be said:", *lines):
            print(printable(line))
        if not possible:
            raise pulumi.RunError("it would be refused")

    return _done(" or ".join(end.partition("/")[0] for end in ends), work)


def _under_way(what: str) -> AbstractContextManager[Callable[[str], None]]:
    """Show what is under way to the person who typed the verb. Pulumi itself shows how long its commands take."""
    if not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    from dcmesh.screen import under_way

    return under_way(what)


def _tell(line: str) -> None:
    """Print a step on standard error, where Pulumi shows it at once."""
    print(printable(line), file=sys.stderr, flush=True)


def _databases(
    ends: Sequence[str], other: str, switchover: Switchover, contexts: Sequence[str]
) -> list[dict[str, str]]:
    """Return the databases that are named on the command line, and how their clusters are reached.

    Raises:
        pulumi.RunError: they are not databases of two sites, or the options do not say where they are.
    """
    places = [tuple(end.split("/")) for end in ends]
    if any(len(place) != 3 or not all(place) for place in places):
        raise pulumi.RunError("--site is SITE/NAMESPACE/NAME")
    if len(contexts) > len(ends):
        raise pulumi.RunError("--context is given more often than --site")
    own = [site for site, *_ in places]
    sites = [*own, *([other] if other else [])]
    if len({*sites}) != 2 or len(sites) != 2:
        raise pulumi.RunError("name two sites: --site twice, or once beside --other")
    if switchover.primary not in sites or switchover.without in (switchover.primary, *own):
        raise pulumi.RunError("--primary is one of the two sites, and --without can only be that of --other")
    found = []
    for (site, namespace, name), variable, context in zip_longest(places, KUBECONFIGS[: len(ends)], contexts):
        kubeconfig = os.environ.get(variable) or _kubectls(context if len(ends) == 1 else _named(context))
        found.append({"site": site, "namespace": namespace, "name": name, "kubeconfig": kubeconfig})
    return found


def _named(context: str | None) -> str:
    """Return a context that was given.

    Raises:
        pulumi.RunError: none was. Both clusters would be that of the current context.
    """
    if not context:
        raise pulumi.RunError("the kubeconfig's contexts are missing, one for each of the two clusters: see --help")
    return context


def _kubectls(context: str | None) -> str:
    """Return the kubeconfig that kubectl would use."""
    paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        return read_kubeconfig(paths).only(context)
    except KubeconfigError as error:
        raise pulumi.RunError(f"the kubeconfig {paths} {error}") from None


def _done(site: str, work: Callable[[], None]) -> State:
    """Do the work, and return whether it succeeded. If not, the reason is printed."""
    try:
        work()
    except pulumi.RunError as error:
        reason = str(error)
    except ERRORS as error:
        reason = f"{site}: cannot be asked: {why(error)}"
    else:
        return State.OK
    print(reason, file=sys.stderr)
    return State.CRITICAL
