"""HTML as a tree: text gets into it by being escaped, and no other way."""

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from dcmesh.model.facts import State
from dcmesh.model.printable import printable

Element = ElementTree.Element
Content = Element | str


def element(tag: str, *content: Content, **attributes: str) -> Element:
    """Return an element.

    Args:
        tag: its name.
        content: what is in it: elements, and texts, which may be somebody else's.
        attributes: its attributes, `_` for `-`; `class_` is `class`.
    """
    made = ElementTree.Element(
        tag, {name.rstrip("_").replace("_", "-"): printable(value) for name, value in attributes.items()}
    )
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + printable(part)
        else:
            made.text = (made.text or "") + printable(part)
    return made


def items(content: Iterable[Content], **attributes: str) -> Element:
    """Return a list."""
    return element("ul", *(element("li", part) for part in content), **attributes)


def name(text: str) -> Element:
    """Return a name that is broken behind its dots and slashes, if it must be."""
    first, *others = re.split(r"(?<=[./:,])", text)
    return element("code", first, *(part for other in others for part in (element("wbr"), other)))


def badge(state: State) -> Element:
    """Return a state as a word, in its colour."""
    return element("span", state.name, class_=f"state {state.name.lower()}")


def document(title: str, style: str, *body: Content) -> str:
    """Return a whole page of ASCII that loads nothing and runs nothing, whatever is in it.

    Args:
        title: its title.
        style: its style sheet, of ASCII.
        body: what it shows.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    styles = ElementTree.Element("style")
    styles.text = style  # which is dcmesh's own
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", title),
            styles,
        ),
        element("body", *body),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{ElementTree.tostring(page, encoding='us-ascii', method='html').decode()}\n"
