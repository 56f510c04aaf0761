"""What is measured, by which ways and in which stacks: the names in the raw figures."""

TEN_MORE, CPU = "ten more", "CPU of ten more"

DEFAULT, COMPRESSED, UNCHECKED, ONCE = "as it comes", "compressed", "unchecked", "written once"
WAYS = (DEFAULT, COMPRESSED, UNCHECKED, ONCE)
SETTINGS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    DEFAULT: ({}, ()),
    COMPRESSED: ({"PULUMI_DIY_BACKEND_ZSTD": "true"}, ()),
    UNCHECKED: ({}, ("--disable-integrity-checking",)),
    ONCE: ({"PULUMI_SKIP_CHECKPOINTS": "true"}, ()),
}
"""The environment and the options of each."""

SIDECARS, GATEWAYS = "sidecars", "gateways"
STACKS = {SIDECARS: (13, 4400), GATEWAYS: (37, 5900)}
"""An export's resources in each pair, and the bytes of one in the state."""

BEFORE = (10, 100)
"""How many exports there are before."""


def case_of(stack: str, before: int) -> str:
    """Return a case's name."""
    return f"{before} exports, {stack}"
