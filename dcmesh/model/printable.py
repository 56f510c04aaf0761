"""Printable: how texts that others have written get into a message, a log or a terminal."""

import json

LONGEST = 2000
"""How many characters of a text are shown by default."""

LONGEST_VALUE = 60
"""How many characters of a value are shown."""

SECRET = "[secret]"  # noqa: S105 — what is shown instead of one

PULUMI_COLOUR = "<{%"
"""How a colour begins in the messages of Pulumi's CLI."""


def printable(text: str, longest: int = LONGEST) -> str:
    """Return a text on one line, with nothing in it that a terminal would obey.

    Control characters, line breaks, invisible characters and those that change the direction of writing are escaped. A
    text that is too long ends in "…".
    """
    line = text if len(text) <= longest else f"{text[:longest]}…"
    line = line.replace(PULUMI_COLOUR, "<{ %")
    return line if line.isprintable() else "".join(map(_escaped, line))


def abridged(value: object) -> str:
    """Return a value on one line, much as a user would write it. A map or list only shows whether it is empty."""
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    except ValueError:  # Python refuses to write a number of thousands of digits
        return "a number too large to show"
    if "PRIVATE KEY" in text:
        return SECRET
    line = text.partition("\n")[0][:LONGEST_VALUE]
    shortened = "" if line == text else "…"
    return printable(f"{json.dumps(line, ensure_ascii=False) if isinstance(value, str) else line}{shortened}")


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
