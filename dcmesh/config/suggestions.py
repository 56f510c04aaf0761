"""Suggestions: which known word was probably meant by a wrong one."""

import difflib
from collections.abc import Iterable, Sequence


def meant(word: object, known: Iterable[str]) -> str:
    """Return a question that suggests the known word nearest to a wrong one; nothing if none is near."""
    near = nearest(word, known)
    return f": did you mean {near}?" if near else ""


def choices(known: Sequence[str], word: object) -> str:
    """Return the known words to choose from instead of a wrong one."""
    return f"choose one of {', '.join(known)}{meant(word, known)}" if len(known) > 1 else f"choose {known[0]}"


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to a wrong one, if any is near."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else None
