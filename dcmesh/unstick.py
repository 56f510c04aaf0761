"""`python -m dcmesh.unstick < STATE > STATE`: take a replacement of a cluster's provider that is stuck out of a state.

Such a state has each object twice, by the old provider and by the new: the cluster has it once. The next `up` would
delete the old ones, and so what runs.
"""

import json
import sys
from typing import Any

PROVIDER = "pulumi:providers:kubernetes"


def unstuck(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the resources of a state with one provider for each cluster, and each object once.

    What a replacement has left under a name of its own stays to be deleted, by the provider that is there.
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


if __name__ == "__main__":
    state = json.load(sys.stdin)
    state["deployment"]["resources"] = unstuck(state["deployment"]["resources"])
    json.dump(state, sys.stdout, indent=4)
