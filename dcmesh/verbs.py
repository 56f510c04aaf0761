"""The verbs that the program runs: work that is not a resource. Each can be typed by hand as well."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest

import pulumi

from dcmesh.config.kubeconfig import KubeconfigError, read_kubeconfig
from dcmesh.databases.mariadb_server import MariadbEnd, sides_of
from dcmesh.databases.pxc_switchover import PxcEnd, see_through
from dcmesh.databases.switchover import switch_over
from dcmesh.databases.switchover_foreseen import foreseen
from dcmesh.kube.api import ERRORS, why
from dcmesh.kube.rollout import wait_for
from dcmesh.model.facts import State
from dcmesh.model.printable import printable
from dcmesh.model.pxc import stateful_set_name
from dcmesh.model.switchover import Switchover
from dcmesh.trust.rotation import given_or_held, settle

CHAIN, ROOTS = "DCMESH_CERT_CHAIN", "DCMESH_ROOT_CERTS"
"""The environment's variables with the certificates that a site's proxies are to follow."""

KUBECONFIGS = (KUBECONFIG, OTHER_KUBECONFIG) = ("DCMESH_KUBECONFIG", "DCMESH_OTHER_KUBECONFIG")
PRIMARY_KUBECONFIG, REPLICA_KUBECONFIG = "DCMESH_PRIMARY_KUBECONFIG", "DCMESH_REPLICA_KUBECONFIG"
"""The environment's variables with the contents of a site's kubeconfig, which is no argument: others can read those."""


def settle_certificates(site: str, context: str | None) -> State:
    """Have a site's proxies follow its certificates, and return whether they do.

    Args:
        site: the site.
        context: context of the kubeconfig that kubectl would use. Default: its current one.
    """

    def work() -> None:
        kubeconfig = os.environ.get(KUBECONFIG) or _kubectls(context)
        wanted = given_or_held(site, kubeconfig, os.environ.get(CHAIN), os.environ.get(ROOTS))
        settle(site, kubeconfig, wanted)

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
    return _done(site, lambda: wait_for(site, os.environ.get(KUBECONFIG) or _kubectls(context), namespace, name))


def switch(ends: Sequence[str], other: str, switchover: Switchover, *, contexts: Sequence[str], dry_run: bool) -> State:
    """Bring MariaDBs that can change roles to theirs, and return whether they have them.

    Args:
        ends: `SITE/NAMESPACE/NAME` of each that is brought there: of one site, or of both.
        other: the other site, where there is one.
        switchover: which is to be the primary.
        contexts: contexts of the kubeconfig that kubectl would use, in this order, where the environment has none.
            Default for one site: its current one.
        dry_run: whether to say only what would be done. Then what is returned is whether an `up` would do it.
    """

    def work() -> None:
        with sides_of(_mariadbs(ends, other, switchover, contexts), other) as sides:
            if not dry_run:
                switch_over(switchover, sides, _tell)
                return
            lines, possible = foreseen(switchover, sides)
            for line in ("nothing is changed; this would be said:", *lines):
                print(printable(line))
            if not possible:
                raise pulumi.RunError("it would be refused")

    return _done(" or ".join(end.partition("/")[0] for end in ends), work)


def _tell(line: str) -> None:
    """Tell what is done, where Pulumi shows it while it is done."""
    print(printable(line), file=sys.stderr, flush=True)


def _mariadbs(ends: Sequence[str], other: str, switchover: Switchover, contexts: Sequence[str]) -> list[MariadbEnd]:
    """Return the databases that are named on the command line.

    Raises:
        pulumi.RunError: they are not those of two sites that can change roles, or none says where they are.
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
        found.append(MariadbEnd(site=site, namespace=namespace, name=name, kubeconfig=kubeconfig))
    return found


def finish_switchover(
    primary: Sequence[str], replica: Sequence[str], *, without: str, contexts: tuple[str, str]
) -> State:
    """Bring the switchover of two XtraDB clusters to its end, and return whether it is there.

    Args:
        primary: site, namespace, name, number of nodes and channel of the cluster that is the primary now.
        replica: the same of the other.
        without: the site that is gone, if one is.
        contexts: contexts of the kubeconfig that kubectl would use, the primary's first, where the environment has
            none.
    """

    def work() -> None:
        kubeconfigs = (
            os.environ.get(PRIMARY_KUBECONFIG) or _kubectls(_named(contexts[0])),
            os.environ.get(REPLICA_KUBECONFIG) or _kubectls(_named(contexts[1])),
        )
        see_through(_end(kubeconfigs[0], *primary), _end(kubeconfigs[1], *replica), kubeconfigs, without=without)

    return _done(f"{primary[0]} or {replica[0]}", work)


def _named(context: str | None) -> str:
    """Return a context that was given.

    Raises:
        pulumi.RunError: none was. Both clusters would be the current one's.
    """
    if not context:
        raise pulumi.RunError("the kubeconfig's contexts are missing, one for each of the two clusters: see --help")
    return context


def _end(kubeconfig: str, site: str, namespace: str, name: str, nodes: str, channel: str) -> PxcEnd:
    """Return a cluster that is named by its words on the command line.

    Raises:
        pulumi.RunError: it cannot have so many nodes.
    """
    if not re.fullmatch("[1-9]", nodes):
        raise pulumi.RunError(f"{nodes!r} is no number of nodes")
    pods = tuple(f"{stateful_set_name(name)}-{ordinal}" for ordinal in range(int(nodes)))
    return PxcEnd(site=site, kubeconfig=kubeconfig, namespace=namespace, name=name, pods=pods, channel=channel)


def _kubectls(context: str | None) -> str:
    """Return the kubeconfig that kubectl would use."""
    paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        return read_kubeconfig(paths).only(context)
    except KubeconfigError as error:
        raise pulumi.RunError(f"the kubeconfig {paths} {error}") from None


def _done(site: str, work: Callable[[], None]) -> State:
    """Do what there is to do, and return whether it succeeded; if not, the reason has been printed."""
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
