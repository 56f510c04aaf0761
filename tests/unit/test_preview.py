"""A preview of a new stack completes, and shows what `up` then makes."""

import pytest

from tests.unit.configurations import stack
from tests.unit.engine import Engine
from tests.unit.program import program_of, run_program


@pytest.mark.parametrize("example", ["mariadb-egress", "mariadb-switchover"])
def test_a_preview_shows_what_is_made(example: str) -> None:
    config = stack(example)
    shown = run_program(Engine(preview=True), config)
    assert {(one.name, one.type) for one in shown.asked.values()} == {
        (one.name, one.type) for one in program_of(config).asked.values()
    }
