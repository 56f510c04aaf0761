"""Printable: how text that is somebody else's gets into a message, a log or a terminal."""

LONGEST = 2000
"""How many characters of a text are shown, unless it is said otherwise."""

PULUMI_COLOUR = "<{%"
"""What begins a colour in the messages of Pulumi's CLI."""


def printable(text: str, longest: int = LONGEST) -> str:
    """Return a text on one line, with nothing in it that a terminal would obey.

    Control characters, line breaks, and what turns the direction of writing or is not seen stand there escaped. What is
    too long ends in "…".
    """
    line = text if len(text) <= longest else f"{text[:longest]}…"
    line = line.replace(PULUMI_COLOUR, "<{ %")
    return line if line.isprintable() else "".join(map(_escaped, line))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
