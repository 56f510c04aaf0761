"""The benchmark of the state: the program makes what it is asked for, and the table has what was measured."""

import runpy

import pulumi
import pytest

from bench.samples import Sample
from bench.state import report
from bench.state.figures import BEFORE, DEFAULT, ONCE, SETTINGS, STACKS, TEN_MORE, case_of
from bench.state.report import WORDS
from bench.state.run import PROGRAM


class Counted(pulumi.runtime.Mocks):
    """Keeps the bytes of each resource's input."""

    def __init__(self) -> None:
        self.sizes = dict[str, int]()

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, object]]:
        self.sizes[args.name] = len(args.inputs.get("input", ""))
        return args.name, {**args.inputs, "output": args.inputs.get("input")}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, object]:
        return {}


@pytest.mark.parametrize(("resources", "size"), STACKS.values())
def test_an_export_is_as_many_resources_of_that_size(
    resources: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RESOURCES": resources, "BYTES": size, "COMPONENTS": 2}.items():
        monkeypatch.setenv(f"BENCH_{name}", str(value))
    counted = Counted()
    pulumi.runtime.set_mocks(counted)

    @pulumi.runtime.test
    def made() -> None:
        runpy.run_path(str(PROGRAM))

    made()
    assert len(counted.sizes) == 2 * resources
    assert sorted(counted.sizes.values()) == [0] * 2 + [size // 2] * 2 * (resources - 1)


def test_every_way_of_writing_is_told() -> None:
    assert set(WORDS) == set(SETTINGS)
    samples = [
        Sample(metric=metric, unit="s", way=way, case=case_of(stack, before), round=1, value=value)
        for stack in STACKS
        for before in BEFORE
        for way, value in ((DEFAULT, 80), (ONCE, 30))
        for metric in (TEN_MORE, "CPU of ten more")
    ]
    text = report.section(samples)
    assert "| 100 exports, gateways | 80 (80 to 80) | 80 (80 to 80) | 30 (30 to 30) | 30 (30 to 30) |" in text
    assert "ZSTD" not in text.partition("\n\n")[0], "it was not measured"
