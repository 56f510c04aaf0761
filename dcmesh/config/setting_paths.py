"""Places in a configuration as users write them: `sites[1].imports[0].from`."""

import itertools
import json
import re
from collections.abc import Collection

_PART = re.compile(r'\.?[^.\[\]]+|\[\d+\]|\["(?:[^"\\]|\\.)*"\]')


def join(path: str, part: object) -> str:
    """Return the place of a part: an item of a list, or the value of a key."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    key = str(part)
    if not re.fullmatch(r"[\w-]+", key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def parent(path: str) -> str:
    """Return the place around a place."""
    parts = _PART.findall(path)
    return "".join(parts[:-1])


def is_within(path: str, around: str) -> bool:
    """Tell whether a place is another or inside it."""
    return path == around or path.startswith((f"{around}.", f"{around}["))


def without(value: object, lost: Collection[str], path: str = "") -> object:
    """Return plain data without what is at the lost places."""
    if isinstance(value, dict):
        kept = {key: join(path, key) for key in value}
        return {key: without(value[key], lost, place) for key, place in kept.items() if place not in lost}
    if isinstance(value, list):
        places = ((item, join(path, index)) for index, item in enumerate(value))
        return [without(item, lost, place) for item, place in places if place not in lost]
    return value


def before(path: str, lost: Collection[str]) -> str:
    """Return where something was before `without` took the lost places away, which moved the items behind them."""
    found = ""
    for part in _PART.findall(path):
        if re.fullmatch(r"\[\d+\]", part):
            left = (item for index in itertools.count() if (item := f"{found}[{index}]") not in lost)
            found = next(itertools.islice(left, int(part[1:-1]), None))
        else:
            found += part
    return found
