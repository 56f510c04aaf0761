"""What `up` waits for before it changes the role in the resource of one of two XtraDB clusters."""

from contextlib import nullcontext
from typing import Any

import pulumi
import pytest

from components.databases.pxc_switchover_hook import Switched, hand_over_hook
from dcmesh.databases.pxc_cluster import PxcCluster
from dcmesh.model.switchover import Switchover
from tests.unit.databases import alone
from tests.unit.engine import Engine
from tests.unit.hooks import refusal

TO_DC1 = Switchover(primary="dc1")


def switched(site: str) -> Switched:
    return Switched(
        plan=alone(site=site, namespace="wookie", name="db", kind="pxc", channel="dcmesh"),
        kubeconfig=pulumi.Output.secret(f"kubeconfig of {site}"),
    )


def refused(answer: Exception | None) -> str:
    """Return why the resource may not be changed; empty if it may."""
    connected = list[str]()

    def connect(kubeconfig: str) -> Any:
        connected.append(kubeconfig)
        return nullcontext()

    def hand_over(wanted: Switchover, site: str, other: str, clusters: tuple[PxcCluster, PxcCluster]) -> None:
        assert (wanted, site, other, len(clusters)) == (TO_DC1, "dc1", "dc2", 2)
        if answer:
            raise answer

    async def wait() -> str:
        binding = hand_over_hook("dc1.wookie", switched("dc1"), lambda: switched("dc2"), TO_DC1)
        return await refusal(binding, on_dry_run=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.databases.pxc_switchover_hook.connect", connect)
        patch.setattr("components.databases.pxc_switchover_hook.hand_over", hand_over)
        engine = Engine().run(lambda: pulumi.export("said", pulumi.Output.from_input(wait())))
    assert connected == ["kubeconfig of dc1", "kubeconfig of dc2"]
    return str(engine.outputs["said"])


def test_it_may_when_the_other_has_handed_over() -> None:
    assert refused(None) == ""


def test_a_refusal_is_the_hooks() -> None:
    assert refused(pulumi.RunError("dc1: not yet")) == "dc1: not yet"
