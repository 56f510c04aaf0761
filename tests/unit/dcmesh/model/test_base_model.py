"""The base model: the docstrings below fields become descriptions, and only when somebody asks for the schema."""

import subprocess
import sys

from dcmesh.model.base_model import Model


class Bread(Model):
    """What is baked."""

    baked_at: str
    """When it was baked."""
    flour: str = "rye"


class Roll(Bread):
    """A small one."""

    seeds: str = "poppy"
    """What is on top.

    All of it.
    """
    flour: str = "wheat"
    """What it is made of."""


def test_docstrings_are_descriptions_in_classes_that_inherit_too() -> None:
    described = {key: value.get("description") for key, value in Roll.model_json_schema()["properties"].items()}
    assert described == {
        "bakedAt": "When it was baked.",
        "flour": "What it is made of.",
        "seeds": "What is on top.\n\nAll of it.",
    }


def test_a_field_without_docstring_has_no_description() -> None:
    assert "description" not in Bread.model_json_schema()["properties"]["flour"]


def test_no_source_is_read_when_the_program_starts() -> None:
    """Reading the source would be a third of the settings' cost."""
    program = "import ast, inspect; ast.parse = inspect.getsource = inspect.getsourcelines = None; "
    subprocess.run([sys.executable, "-c", f"{program}import dcmesh.model.settings"], check=True)
