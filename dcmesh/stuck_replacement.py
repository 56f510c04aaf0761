"""Takes a stuck replacement of a cluster's provider out of a stack's state.

Such a state has each object twice, once for the old provider and once for the new one, but the cluster has it once. The
next `up` would delete the old entries, and with them what runs.
"""

import json
from typing import Any

PROVIDER = "pulumi:providers:kubernetes"


class NotAStateError(ValueError):
    """A text is not the state of a stack; the message is for the user."""


def mended(text: str) -> str:
    """Return a state without the stuck entries. Both are as `pulumi stack export` writes them.

    Raises:
        NotAStateError: it is something else.
    """
    try:
        state = json.loads(text)
        state["deployment"]["resources"] = unstuck(state["deployment"]["resources"])
    except (ValueError, LookupError, TypeError, AttributeError):
        said = "standard input is not the state of a stack: give it what `pulumi stack export` prints"
        raise NotAStateError(said) from None
    return json.dumps(state, indent=4)


def unstuck(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the resources of a state with one provider for each cluster, and each object once.

    What a replacement has left under a name of its own is still to be deleted, by the remaining provider.
    """
    there = {(r["urn"], r.get("id")) for r in resources if not r.get("delete")}
    providers = {r["urn"]: f"{r['urn']}::{r['id']}" for r in resources if r["type"] == PROVIDER and not r.get("delete")}

    def superseded(resource: dict[str, Any]) -> bool:
        return resource["type"] == PROVIDER or (resource["urn"], resource.get("id")) in there

    left = [dict(r) for r in resources if not (r.get("delete") and superseded(r))]
    for resource in left:
        by = resource.get("provider", "")
        if current := providers.get(by.rpartition("::")[0]):
            resource["provider"] = current
    return left
