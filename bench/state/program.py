"""A program with as many resources as a pair, of the same size.

It creates nothing: its values are only in the state.
"""

import os

import pulumi

RESOURCES, BYTES, COMPONENTS = (int(os.environ[f"BENCH_{of}"]) for of in ("RESOURCES", "BYTES", "COMPONENTS"))
"""The resources of each export, the bytes of each resource in the state, and the number of exports."""


class Export(pulumi.ComponentResource):
    """A component with as many resources as an export, including itself."""

    def __init__(self, name: str) -> None:
        super().__init__("bench:state:Export", name)
        for number in range(RESOURCES - 1):
            # The state has each value twice, as input and as output.
            pulumi.Stash(f"{name}-{number}", input="x" * (BYTES // 2), opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


for number in range(COMPONENTS):
    Export(f"db{number:04}")
