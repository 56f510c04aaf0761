"""Identity: how a site's cluster is recognised.

An existing cluster is recognised by the UID of its namespace kube-system, which no other cluster has. The state
keeps it as the provider's `clusterIdentifier`. As long as that stays, the provider replaces nothing, whatever else
changes in the kubeconfig.
"""

from collections.abc import Iterator
from typing import Any

from dcmesh.config.errors import Finding
from dcmesh.kube.kubeconfig import load_yaml
from dcmesh.sites_in_state import SiteInState

MOVING = 'docs/production.md, "Another cluster"'
STUCK = 'docs/production.md, "A replacement that is stuck"'


def other_cluster(
    known: SiteInState | None, identity: str, kubeconfig: str, *, site: str, path: str, named: str
) -> Iterator[Finding]:
    """Find a kubeconfig that leads, or may lead, to another cluster than the one that a site is on.

    Args:
        known: what the state has of the site's cluster; None for a site that was never there.
        identity: the identity of the cluster that the kubeconfig leads to.
        kubeconfig: its contents, with the used context alone.
        site: name of the site.
        path: place of the cluster in the configuration.
        named: the value there.
    """
    if known is None:
        return
    if known.doomed:
        advice = f"would lose namespaces with all that is in them: a replacement of {site} has failed half-way. See"
        yield Finding(path, named, f"{advice} {STUCK}")
    elif known.identity is None:
        before, now = _cluster(known.kubeconfig), _cluster(kubeconfig)
        if changed := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
            advice = (
                f"has another {', '.join(changed)} than at the last `pulumi up` ({before.get('server')}), by dcmesh "
                "0.1.0, which did not know clusters again: run `pulumi up` with the kubeconfig of then, and change it "
                "afterwards"
            )
            yield Finding(path, named, advice)
    elif known.identity != identity:
        advice = (
            f"is another cluster than the one that {site} is on: the UID of its namespace kube-system is {identity}, "
            f"and was {known.identity}. Correct the kubeconfig; if {site} moves, or was made anew, see {MOVING}"
        )
        yield Finding(path, named, advice)


def made_elsewhere(known: SiteInState | None, *, site: str, path: str, named: str) -> Iterator[Finding]:
    """Find a site whose cluster is to be created anew, though it is on an existing one or on one created otherwise."""
    if known and known.made_by != named:
        yield Finding(path, named, f"is another cluster than the one that {site} is on: if it moves, see {MOVING}")


def _cluster(kubeconfig: str) -> dict[str, Any]:
    """Return what a kubeconfig of one context says of its cluster. A provider without an identity compares this."""
    (found,) = load_yaml(kubeconfig)["clusters"]
    return dict(found["cluster"])
