"""The page: the verdict, what is wrong, the picture, and then all that was found."""

from datetime import UTC
from pathlib import Path

from dcmesh.model.facts import Problem, State
from dcmesh.status.sites import Status
from dcmesh.topology.html import Element, badge, document, element, items
from dcmesh.topology.picture import picture
from dcmesh.topology.tables import tables

STYLE = Path(__file__).with_name("page.css").read_text()


def page(status: Status) -> str:
    """Return a status as an HTML page that needs nothing else: no script, no picture, no font of others."""
    *others, last = (site.name for site in status.sites)
    title = f"{', '.join(others)} and {last}" if others else last
    return document(
        f"dcmesh: {title}",
        STYLE,
        element(
            "header",
            element("p", "dcmesh", class_="brand"),
            element("h1", title),
            element(
                "p",
                f"Asked {status.asked.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if status.asked else "",
                class_="aside",
            ),
        ),
        element("main", _verdict(status), picture(status), *tables(status)),
        element("footer", element("p", "Drawn by ", element("code", "python -m dcmesh topology"), ".")),
    )


def _verdict(status: Status) -> Element:
    problems = status.problems or (Problem(state=State.OK, text="all is well"),)
    lines = (element("p", badge(problem.state), " ", problem.text) for problem in problems)
    return element("section", items(lines), class_=f"verdict {status.state.name.lower()}")
