"""The documents: their links work, and their examples can be used."""

import re
from itertools import count
from pathlib import Path

import pytest

from tests.unit.configurations import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), ROOT / "lab/README.md"]
)


def prose(text: str) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    found = set[str]()
    for heading in re.findall(r"^#+ (.*)$", prose(document.read_text()), re.MULTILINE):
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        found.add(next(name for n in count() if (name := f"{slug}-{n}" if n else slug) not in found))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document.read_text())):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("name", ["k3d", *sorted(path.name for path in (ROOT / "examples/start").iterdir())])
def test_a_page_to_start_from_is_whole(name: str) -> None:
    """What is needed stands before the commands, and the way back is there."""
    sections = re.split(r"^## (.*)\n", (ROOT / f"docs/start/{name}.md").read_text(), flags=re.MULTILINE)[1:]
    text = dict(zip(sections[::2], sections[1::2], strict=True))
    wanted = ("must be there", "stack file", "The commands", "is printed", "termination and egress", "Taking it away")
    places = [next(n for n, heading in enumerate(text) if words in heading) for words in wanted]
    assert places[0] == 0
    assert places[1] < places[2] < places[3]
    for needed in ("[Pulumi CLI](", "Python 3.11 or newer with `venv`", "kubectl"):
        assert needed in text["What must be there"]
