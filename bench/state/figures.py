"""The names in the raw figures: what is measured, by which ways and in which stacks."""

TEN_MORE, CPU = "ten more", "CPU of ten more"

DEFAULT, COMPRESSED, ONCE = "as it comes", "compressed", "written once"
SETTINGS: dict[str, dict[str, str]] = {
    DEFAULT: {},
    COMPRESSED: {"PULUMI_DIY_BACKEND_ZSTD": "true"},
    ONCE: {"PULUMI_SKIP_CHECKPOINTS": "true"},
}
"""The environment of each way."""

SIDECARS, GATEWAYS = "sidecars", "gateways"
STACKS = {SIDECARS: (13, 4400), GATEWAYS: (37, 5900)}
"""An export's resources in each pair, and the bytes of one in the state."""

BEFORE = (10, 100)
"""How many exports the stack has before."""


def case_of(stack: str, before: int) -> str:
    """Return a case's name."""
    return f"{before} exports, {stack}"
