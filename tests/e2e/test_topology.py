"""The page of `python -m dcmesh topology` in a real browser: at two widths, light and dark, all well or broken."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from dcmesh.status.sites import Status
from dcmesh.topology.page import page
from tests.e2e.browser import Scheme, Tab, browser
from tests.unit.statuses import two_sites

pytestmark = pytest.mark.soak(proves=("dcmesh/topology/*",))

WIDE, NARROW = 1280, 360

SCHEMES: tuple[Scheme, ...] = ("light", "dark")

SMALLEST = 11
"""The smallest permitted size of text, in pixels."""

CONTRAST = 4.5
"""The contrast that WCAG requires between a text and its background, for people with weak sight."""

TEXTS = """
(() => {
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = text => text.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    const found = colour(getComputedStyle(element).backgroundColor);
    return found.length === 4 && found[3] === 0 ? behind(element.parentElement) : found;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const pair = [light(colour(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    for (const box of range.getClientRects()) {
      const over = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
      found.push({
        text: node.textContent,
        left: box.left, right: box.right, height: box.height,
        covered: !(over && (over === element || element.contains(over) || over.contains(element))),
        contrast: (pair[0] + 0.05) / (pair[1] + 0.05),
        size: parseFloat(getComputedStyle(element).fontSize),
      });
    }
  }
  return found;
})()
"""
"""Each line of each text: where it is, whether something covers it, and its contrast with the background."""

BOXES = """
[...document.querySelectorAll(SELECTOR)].map(element => {
  const {left, right, top, bottom} = element.getBoundingClientRect();
  return {left, right, top, bottom};
})
"""

NAMES = "[...document.querySelectorAll('code')].filter(e => e.getClientRects().length).map(e => e.textContent)"


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as running:
        yield running


def boxes(tab: Tab, selector: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = tab.run(BOXES.replace("SELECTOR", repr(selector)))
    return found


def names(status: Status) -> set[str]:
    """Return the names that a page must show."""
    found = set[str]()
    for site in status.as_json()["sites"].values():
        found |= {f"{address}:{site['gateway']['toldPort']}" for address in site["gateway"]["toldAddresses"]}
        found |= {gateway["account"] for gateway in site["egressGateways"]}
        found |= {certificate["subject"] for certificate in site["certificates"]}
        found |= {host["consumer"] for host in site["hosts"]}
        found |= {f"{server['namespace']}/{server['pod']}" for server in site["databases"]}
        for export in site["exports"]:
            found |= {f"{export['namespace']}/{export['name']}", *export["hosts"]}
    return found


@pytest.mark.parametrize("broken", [False, True], ids=["well", "broken"])
def test_all_can_be_read_at_two_widths_light_and_dark(tab: Tab, tmp_path: Path, broken: bool) -> None:
    status = two_sites(broken=broken)
    (tmp_path / "page.html").write_text(page(status))
    for width, scheme in product((WIDE, NARROW), SCHEMES):
        tab.show(tmp_path / "page.html", width=width, scheme=scheme)
        tab.picture(tmp_path / f"{width}-{scheme}.png")
        assert tab.run("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
        assert tab.run("document.documentElement.scrollWidth") <= width, "the page must be scrolled sideways"
        texts = tab.run(TEXTS)
        assert [text for text in texts if text["left"] < 0 or text["right"] > width + 0.5] == []
        assert [text for text in texts if text["covered"]] == []
        assert [text for text in texts if text["contrast"] < CONTRAST] == []
        assert [text for text in texts if text["size"] < SMALLEST] == []
        assert names(status) - set(tab.run(NAMES)) == set()


def test_gateways_face_each_other_and_lines_lead_from_door_to_door(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(two_sites()))
    tab.show(tmp_path / "page.html", width=WIDE, scheme="light")
    left, right = boxes(tab, ".pair > .site:first-child .door"), boxes(tab, ".pair > .site:last-child .door")
    assert (len(left), len(right)) == (2, 3)
    lines = boxes(tab, ".wires .connection .line")
    assert len(lines) == 3
    near = 4
    for line in lines:
        assert any(
            abs(line["left"] - door["right"]) < near and door["top"] < line["top"] < door["bottom"] for door in left
        )
        assert any(
            abs(line["right"] - door["left"]) < near and door["top"] < line["top"] < door["bottom"] for door in right
        )


def test_on_a_narrow_screen_one_site_is_above_the_other(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(two_sites()))
    tab.show(tmp_path / "page.html", width=NARROW, scheme="light")
    (above,), (wires,), (below,) = (
        boxes(tab, selector) for selector in (".pair > .site:first-child", ".wires", ".pair > .site:last-child")
    )
    assert above["bottom"] <= wires["top"] + 2
    assert wires["bottom"] <= below["top"] + 2
    doors = boxes(tab, ".pair > .site:first-child .door")
    inside = boxes(tab, ".pair > .site:first-child .inside")
    assert all(door["top"] >= inside[0]["bottom"] - 2 for door in doors), "the gateways are where the lines lead"


def test_what_others_say_runs_nothing(tab: Tab, tmp_path: Path) -> None:
    attack = "</style></title><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    status = two_sites()
    first = replace(status.sites[0], unreachable=attack)
    (tmp_path / "page.html").write_text(page(replace(status, sites=(first, *status.sites[1:]))))
    tab.show(tmp_path / "page.html", width=WIDE, scheme="light")
    assert tab.run("document.title") == "dcmesh: dc1 and dc2"
    assert tab.run("document.querySelectorAll('script, img').length") == 0
    assert attack in tab.run("document.querySelector('.verdict').textContent")
    injected = (
        "const s = document.createElement('script'); s.textContent = \"document.title='run'\"; document.head.append(s)"
    )
    tab.run(injected)
    assert tab.run("document.title") == "dcmesh: dc1 and dc2", "even if there were a script, it would not run"
