"""Each fault happens while a writer commits numbered rows without a pause.

Replication resumes by itself, with every row.
"""

import pytest

from .faults import FAULTS, Fault
from .report import Outcome
from .stage import Stage
from .trial import cases, survive


@pytest.mark.parametrize("fault", cases(FAULTS))
def test_replication_survives(
    fault: Fault, stage: Stage, outcomes: list[Outcome], request: pytest.FixtureRequest
) -> None:
    if fault.short_lived:
        request.getfixturevalue("short_lived")
    survive(fault, stage, outcomes)
