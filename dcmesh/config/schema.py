"""The model as JSON Schema: the one description of it for errors, editors and docs/configuration.md."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from dcmesh.config import setting_paths

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where an error is: the path, the schema of the value there, and that of the map around it."""

    path: str
    schema: Schema
    around: Schema = field(default_factory=dict)


@functools.cache
def schema_of(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema of a model."""
    return model.model_json_schema()


def resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a reference, and drop null where it is allowed beside something else. The outer description is kept."""
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            schema = {**option, **{key: schema[key] for key in schema if key != "anyOf"}}
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        return {**target, **{key: schema[key] for key in schema if key != "$ref"}}
    return schema


def _branch(schema: Schema, tag: object) -> Schema:
    """Return the branch of a union to which a tag leads."""
    named = schema.get("discriminator", {}).get("mapping", {}).get(tag)
    return {"$ref": named} if named else next(b for b in schema["oneOf"] if b.get("$ref", "").endswith(f"/{tag}"))


def _inside(schema: Schema, part: int | str) -> Schema:
    """Return the schema of an item of a list, or of a key's value."""
    others = schema.get("additionalProperties")
    other = others if isinstance(others, dict) else {}
    found = schema.get("items", other) if isinstance(part, int) else schema.get("properties", {}).get(part, other)
    return dict(found)


def locate(location: tuple[int | str, ...], root: Schema) -> Place:
    """Follow a location as pydantic gives it. It contains the tags of unions, and `[key]` for a key itself."""
    path, schema, around = "", root, dict[str, Any]()
    for part in location:
        if "oneOf" in schema:
            schema = resolve(_branch(schema, part), root)
            continue
        if part == "[key]":
            continue
        path, around = setting_paths.join(path, part), dict(schema)
        schema = resolve(_inside(schema, part), root)
    return Place(path, schema, around)


# --- for editors -----------------------------------------------------------------------------------------------------

_PULUMI = ("secretsprovider", "encryptedkey", "encryptionsalt")
"""What Pulumi itself writes into a stack file beside the configuration."""

_SECURE = {
    "type": "object",
    "description": "A secret, as `pulumi config set --secret` writes it.",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
}


def stack_schema(model: type[BaseModel], project: str) -> Schema:
    """Return the JSON Schema of a stack file, `Pulumi.STACK.yaml`."""
    root = _for_editors(schema_of(model))
    keys = {f"{project}:{key}": value for key, value in root["properties"].items()}
    config = {
        "description": "The stack's configuration.",
        "type": "object",
        "properties": keys,
        "propertyNames": {"anyOf": [{"enum": list(keys)}, {"not": {"pattern": f"^{project}:"}}]},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Pulumi.STACK.yaml of {project}",
        "type": "object",
        "properties": {"config": config, **{key: {"type": "string"} for key in _PULUMI}},
        "required": ["config"],
        "$defs": {**root["$defs"], "Secure": _SECURE},
    }


def _for_editors(node: Any) -> Any:  # noqa: ANN401 — any part of a schema
    """Leave out what only the program uses, close maps, and let secrets be encrypted."""
    if isinstance(node, list):
        return [_for_editors(item) for item in node]
    if not isinstance(node, dict):
        return node
    clean = {key: _for_editors(value) for key, value in node.items() if not _is_ours(key, value)}
    if "patternProperties" in clean:
        clean |= {"additionalProperties": False}
    if node.get("writeOnly") is True or node.get("x-kind") == "PEM":
        outer = {key: clean.pop(key) for key in ("description",) if key in clean}
        return outer | {"anyOf": [clean, {"$ref": "#/$defs/Secure"}]}
    return clean


def _is_ours(key: str, value: object) -> bool:
    """Tell whether editors do not need this: names that repeat the key, tags, and defaults of whole maps."""
    if key in ("title", "x-kind", "x-advice"):
        return isinstance(value, str)
    return key in ("discriminator", "propertyNames", "default") and isinstance(value, dict)
