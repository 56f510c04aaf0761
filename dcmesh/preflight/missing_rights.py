"""What the kubeconfig's user may not read in a cluster: it is reported, and everything else is still looked at."""

from collections.abc import Iterable, Iterator

from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.api import ApiException
from dcmesh.kube.read_rights import Allowed, words_of


def unseen(allowed: Allowed, path: str, site: str) -> Iterator[Remark]:
    """Report what the user may not read. Whether anything there harms a link is not known.

    Args:
        allowed: the cluster, after everything has been asked of it.
        path: the place of the site in the configuration.
        site: its name.
    """
    for reason in dict.fromkeys(allowed.refused.values()):
        advice = (
            f"was looked at in part, for its kubeconfig's user may not read all of it ({reason}). Anything there that "
            "harms a link is not seen: allow the user to read it"
        )
        yield Remark(f"{path}.name", site, advice)


def as_far_as_allowed(
    found: Iterable[Finding], path: str, value: object, told: type[Finding] = Finding
) -> Iterator[Finding]:
    """Yield what a check finds, until it meets something that it may not read.

    Args:
        found: what it finds.
        path: the place of what it looks at.
        value: what stands there.
        told: whether what may not be read is an error or a warning.
    """
    try:
        yield from found
    except ApiException as error:
        if error.status != 403:
            raise
        yield unlooked(error, path, value, told)


def unlooked(error: ApiException, path: str, value: object, told: type[Finding] = Finding) -> Finding:
    """Report something that had to be read and may not be."""
    return told(path, value, f"cannot be looked at ({words_of(error)}): allow the kubeconfig's user to read that")
