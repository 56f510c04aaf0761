"""A program with as many resources as a pair has, of the same size, that makes nothing: its values lie in the state."""

import os

import pulumi

RESOURCES, BYTES, COMPONENTS = (int(os.environ[f"BENCH_{of}"]) for of in ("RESOURCES", "BYTES", "COMPONENTS"))
"""Of each export: resources and the bytes of each in the state. How many exports there are."""


class Export(pulumi.ComponentResource):
    """As many resources as an export has, one of them itself."""

    def __init__(self, name: str) -> None:
        super().__init__("bench:state:Export", name)
        for number in range(RESOURCES - 1):
            # It is there twice, as input and as output.
            pulumi.Stash(f"{name}-{number}", input="x" * (BYTES // 2), opts=pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


for number in range(COMPONENTS):
    Export(f"db{number:04}")
