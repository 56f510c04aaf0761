"""The verbs that the program runs: work that is not a resource. Each can be typed by hand as well."""

import argparse
import os
import sys
from collections.abc import Callable

import pulumi

from dcmesh.config.kubeconfig import KubeconfigError, read_kubeconfig
from dcmesh.kube.api import ERRORS, why
from dcmesh.model.facts import State
from dcmesh.trust.rotation import CHAIN, ROOTS, given_or_held, settle

KUBECONFIG = "DCMESH_KUBECONFIG"
"""The environment's variable with the contents of a site's kubeconfig, which is no argument: others can read those."""


def settle_certificates(arguments: argparse.Namespace) -> State:
    """Have a site's proxies follow its certificates, and return whether they do."""

    def work() -> None:
        kubeconfig = os.environ.get(KUBECONFIG) or _kubectls(arguments.context)
        wanted = given_or_held(arguments.site, kubeconfig, os.environ.get(CHAIN), os.environ.get(ROOTS))
        settle(arguments.site, kubeconfig, wanted)

    return _done(arguments.site, work)


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
