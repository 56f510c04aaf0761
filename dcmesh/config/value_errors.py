"""What is wrong with single values, in plain words."""

from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dcmesh.config import setting_paths
from dcmesh.config.errors import NOTHING, Finding
from dcmesh.config.schema import Place, Schema, locate, resolve, schema_of
from dcmesh.config.suggestions import meant, nearest
from dcmesh.model import value_types as kinds
from dcmesh.model.link import VERSION_ERROR


@dataclass(frozen=True)
class Fault:
    """One error of a single value.

    Attributes:
        finding: what the user is told.
        drop: what to leave out so that the rest can be read.
        meant: the place that was probably meant, if a key is unknown.
    """

    finding: Finding
    drop: str
    meant: str | None = None


def _untagged(error: ErrorDetails, place: Place) -> Fault:
    """Describe a part of a union that does not say which kind it is."""
    key, known = place.schema["discriminator"]["propertyName"], place.schema["discriminator"]["mapping"]
    path = setting_paths.join(place.path, key)
    if key not in error["input"]:
        return Fault(Finding(path, NOTHING, f"is missing: must be one of {', '.join(known)}"), drop=place.path)
    value = error["input"][key]
    return Fault(Finding(path, value, f"must be one of {', '.join(known)}{meant(value, known)}"), drop=place.path)


def _fault(error: ErrorDetails, root: Schema) -> Fault:
    place = locate(error["loc"], root)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _untagged(error, place)
    if error["type"] == VERSION_ERROR:
        wrong = Finding(setting_paths.join(place.path, "version"), error["input"]["version"], error["msg"])
        return Fault(wrong, drop=place.path)
    advice = _advice(error, place)
    if error["type"] == "missing":
        return Fault(Finding(place.path, NOTHING, advice), drop=setting_paths.parent(place.path))
    if error["type"] == "extra_forbidden":
        known = place.around.get("properties", {})
        near = nearest(error["loc"][-1], known)
        # The unknown key may be a misspelt secret one.
        secret = any(resolve(schema, root).get("writeOnly") for schema in known.values())
        finding = Finding(place.path, error["input"], advice, secret)
        return Fault(finding, place.path, near and setting_paths.join(setting_paths.parent(place.path), near))
    secret = place.schema.get("writeOnly", False)
    return Fault(Finding(place.path, error["input"], advice, secret), place.path)


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Translate what pydantic found in data for a model."""
    found = error.errors(include_url=False, include_context=False)
    # To pydantic a tuple is also too short when its items are wrong.
    faults = [_fault(e, schema_of(model)) for e in found if not (e["type"] == "too_short" and e["input"])]
    meant_places = {fault.meant for fault in faults}
    # If a key is misspelt, it is not reported as missing as well.
    return [f for f in faults if f.finding.value is not NOTHING or f.finding.path not in meant_places]


# --- advice ----------------------------------------------------------------------------------------------------------


def _type_advice(wanted: str, value: object) -> str:
    """Say what a value of the wrong type must be."""
    if value is None:
        return "is empty: give it a value or leave the key out"
    if wanted == TEXT and isinstance(value, int | float):
        return f"must be {TEXT}: put it in quotes"
    return f"must be {wanted}"


def _summary(schema: Schema) -> str:
    """Return the first sentence of a description, as the continuation of a message."""
    sentence = str(schema["description"]).split(". ")[0].rstrip(".")
    return sentence if sentence[:2].isupper() else sentence[0].lower() + sentence[1:]


TEXT = "text"
_MAP = "a map: `key: value`, one a line"
_LIST = "a list: an item a line, each after a dash"
_WANTED = {
    "string_type": TEXT,
    "bool_type": "true or false",
    "string_unicode": TEXT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _MAP,
    "model_type": _MAP,
    "model_attributes_type": _MAP,
}
"""What is expected, for each of pydantic's types of error."""


def _advice(error: ErrorDetails, place: Place) -> str:
    kind, value = error["type"], error["input"]
    if kind in _WANTED or value is None:
        return _type_advice(_WANTED.get(kind, ""), value)
    match kind:
        case kinds.ADVICE:
            return error["msg"]
        case "missing":
            return f"is missing: {_summary(place.schema)}"
        case "extra_forbidden":
            known = place.around.get("properties", {})
            question = meant(error["loc"][-1], known)
            return f"is no known key{question or ': the known ones are ' + ', '.join(known)}"
        case "literal_error":
            known = [str(value) for value in place.schema.get("enum") or [place.schema["const"]]]
            among = "one of " if len(known) > 1 else ""
            return f"must be {among}{', '.join(known)}{meant(value, known)}"
        case "greater_than_equal" | "less_than_equal":
            return f"must be between {place.schema['minimum']} and {place.schema['maximum']}"
        case "too_short":
            return "is empty: give at least one"
        case "too_long":
            return f"is too long: at most {place.schema['maxItems']}"
        case "invalid_key":
            return "must be text: put the key in quotes"
    return f"is wrong: {error['msg']}"
