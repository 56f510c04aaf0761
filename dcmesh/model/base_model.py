"""The base class of what is read from a stack file, and of what one stack passes to another."""

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema


class Model(BaseModel):
    """Typed data: immutable, camel case as in Kubernetes, no unknown keys.

    The docstring below a field is its description in the JSON Schema. Pydantic itself can read these docstrings, but
    does it for each class when the program starts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in _descriptions(cls):
            properties[cls.model_fields[name].alias or name]["description"] = text
        return schema


def _descriptions(model: type[Model]) -> Iterator[tuple[str, str]]:
    """Yield each field with a docstring, and the docstring. Those of a class come after those of its base."""
    for part in reversed(model.__mro__):
        if issubclass(part, Model):
            for field, below in pairwise(_classes(part.__module__)[part.__name__].body):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(text))):
                        yield name, inspect.cleandoc(text)


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """Return the classes in a module's source."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {part.name: part for part in tree.body if isinstance(part, ast.ClassDef)}
