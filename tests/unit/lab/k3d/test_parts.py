"""k3d's programs and images: they are made like the toolchain's parts, but are none of them."""

import re
from pathlib import Path

from lab import golang, parts, toolchain
from lab.images import Image
from lab.k3d import parts as k3d
from lab.parts import Part


def test_its_parts_come_after_those_that_they_need_and_leave_the_toolchains_alone() -> None:
    whole = parts.places_of((*toolchain.PARTS, *k3d.PARTS), Path("store"))
    assert len(whole) == len(toolchain.PARTS) + len(k3d.PARTS)
    assert whole.items() > parts.places_of(toolchain.PARTS, Path("store")).items()


def test_it_is_built_from_the_version_that_it_claims_and_its_images_have() -> None:
    required = (golang.module("k3d") / "go.mod").read_text()
    assert re.search(rf"\bgithub\.com/k3d-io/k3d/v5 v{re.escape(k3d.VERSION)}\b", required)
    names = [part.recipe.name for part in k3d.PARTS if isinstance(part.recipe, Image)]
    assert names == [k3d.NODE, f"ghcr.io/k3d-io/k3d-tools:{k3d.VERSION}", f"ghcr.io/k3d-io/k3d-proxy:{k3d.VERSION}"]


def test_the_nodes_image_says_which_one_it_is_made_of() -> None:
    dockerfile = (golang.REPOSITORY / "lab" / "k3d" / "Dockerfile").read_text()
    assert f"\nFROM {k3d.NODE}\n" in dockerfile


def test_a_new_image_of_istio_is_a_new_image_of_the_node() -> None:
    def place(istio: str) -> Path:
        changed = [
            Part(part.name, part.seconds, toolchain.Links({istio: "pause/pause"})) if part.name == pilot else part
            for part in (*toolchain.PARTS, *k3d.PARTS)
        ]
        return parts.places_of(changed, Path("store"))["image-node"]

    pilot = f"image-pilot-{toolchain.ISTIO.line}"
    assert place("one") != place("another")
