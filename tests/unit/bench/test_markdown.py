"""The Markdown of docs/performance.md."""

import pytest

from bench.markdown import WIDTH, number, table, wrapped


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,230"), (0.12345, "0.123"), (-0.0371, "-0.0371"), (2.0, "2"), (-1e-13, "0")]
)
def test_a_number_is_written_in_full(value: float, text: str) -> None:
    assert number(value) == text


def test_paragraphs_are_wrapped_and_nothing_else() -> None:
    words, rows = "word " * 100, table(("a", "b"), [("x" * 200, "y y")])
    text = f"# A heading\n\n{words}\n{words}\n\n{rows}\n\n- an item\n- {words}\n"
    lines = wrapped(text).splitlines()
    assert lines[:2] == ["# A heading", ""]
    assert rows in wrapped(text)
    assert [line for line in lines if line.startswith("- ")] == ["- an item", f"- {words}"]
    prose = [line for line in lines if line.startswith("word")]
    assert " ".join(prose).split() == words.split() * 2
    assert all(WIDTH - len("word ") < len(line) <= WIDTH for line in prose[:-1])
