"""What is waited for before the resource of one of two XtraDB clusters makes it the primary."""

from contextlib import nullcontext
from typing import Any

import pulumi
import pytest

from components.databases.pxc_switchover import hand_over_hook
from dcmesh.databases.pxc_switchover import PxcClient, PxcEnd
from dcmesh.model.switchover import Switchover
from tests.unit.engine import Engine
from tests.unit.hooks import refusal

TO_DC1 = Switchover(primary="dc1")


def end(site: str) -> PxcEnd:
    kubeconfig = pulumi.Output.secret(f"kubeconfig of {site}")
    return PxcEnd(site=site, kubeconfig=kubeconfig, namespace="wookie", name="db", pods=(), channel="dcmesh")


def refused(answer: Exception | None) -> str:
    """Return why the resource may not be changed; empty if it may."""
    asked = list[str]()

    def connect(kubeconfig: str) -> Any:
        asked.append(kubeconfig)
        return nullcontext()

    def hand_over(own: PxcClient, other: PxcClient, switchover: Switchover) -> None:
        assert (own.end.site, other.end.site, switchover) == ("dc1", "dc2", TO_DC1)
        if answer:
            raise answer

    async def wait() -> str:
        binding = hand_over_hook("dc1.wookie", end("dc1"), end("dc2"), TO_DC1)
        return await refusal(binding, on_dry_run=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.databases.pxc_switchover.connect", connect)
        patch.setattr("components.databases.pxc_switchover.hand_over", hand_over)
        engine = Engine().run(lambda: pulumi.export("said", pulumi.Output.from_input(wait())))
    assert asked == ["kubeconfig of dc1", "kubeconfig of dc2"]
    return str(engine.outputs["said"])


def test_it_may_when_the_other_has_handed_over() -> None:
    assert refused(None) == ""


def test_a_refusal_is_the_hooks() -> None:
    assert refused(pulumi.RunError("dc1/wookie: not yet")) == "dc1/wookie: not yet"


def test_a_server_that_cannot_be_asked_is_a_refusal() -> None:
    said = "dc1/wookie: a server cannot be asked (no route to host): nothing is promoted, run `pulumi up` again"
    assert refused(OSError("no route to host")) == said
