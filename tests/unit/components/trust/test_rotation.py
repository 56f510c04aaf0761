"""The questions that are asked before a site's certificates change."""

import asyncio
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.trust.rotation import guard_hook
from components.trust.shared_ca import Intermediate
from dcmesh.model.certificates import Bundle
from dcmesh.trust.rotation import Mesh, OtherSites
from tests.unit.engine import Engine
from tests.unit.hooks import refusal

MESH = Mesh(trust_domain="dc1.dcmesh")
OTHERS = OtherSites(kubeconfigs={}, bundles={}, unseen={})
Guard = Callable[..., str]


def unknown() -> pulumi.Output[str]:
    """Return an output that a preview does not know."""

    async def of(value: Any) -> Any:
        return value

    return pulumi.Output(*(asyncio.ensure_future(of(value)) for value in (set(), None, False)))


def looked(guard: Guard, *, chain: Callable[[], pulumi.Input[str]], preview: bool = False) -> tuple[str, Engine]:
    """Return why certificates may not change, if so, and what else is said."""

    async def look() -> str:
        known = Intermediate(cert="cert", key=pulumi.Output.secret("key"), chain=chain(), root="root")
        binding = guard_hook("dc1", known, pulumi.Output.secret("kubeconfig"), OTHERS, MESH)
        return await refusal(binding, on_dry_run=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.trust.rotation.guard", guard)
        engine = Engine(preview=preview).run(lambda: pulumi.export("said", pulumi.Output.from_input(look())))
    return str(engine.outputs["said"]), engine


def test_a_refusal_is_the_hooks() -> None:
    def refuse(site: str, kubeconfig: str, wanted: Bundle, others: OtherSites, mesh: Mesh) -> str:
        assert (site, kubeconfig, wanted, others) == ("dc1", "kubeconfig", Bundle(chain="chain", root="root"), OTHERS)
        assert mesh == MESH
        raise pulumi.RunError("not now")

    said, _ = looked(refuse, chain=lambda: "chain")
    assert said == "not now"


def test_what_cannot_be_seen_is_warned_of() -> None:
    said, engine = looked(lambda *_: "look at dc2", chain=lambda: "chain")
    assert (said, engine.warnings) == ("", ["look at dc2"])


def test_what_a_preview_does_not_know_yet_is_not_asked() -> None:
    """A new intermediate is made by the same `up`."""

    def never(*_: object) -> str:
        raise AssertionError("asked")

    assert looked(never, chain=unknown, preview=True)[0] == ""
