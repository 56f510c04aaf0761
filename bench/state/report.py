"""The part's section of docs/performance.md."""

from collections.abc import Sequence

from bench.markdown import figure, without_empty
from bench.samples import Sample
from bench.state.figures import BEFORE, COMPRESSED, CPU, DEFAULT, ONCE, STACKS, TEN_MORE, case_of

WORDS = {
    DEFAULT: "as it comes",
    COMPRESSED: "`PULUMI_DIY_BACKEND_ZSTD=true`",
    ONCE: "`PULUMI_SKIP_CHECKPOINTS=true`",
}

HOW = """\
Ten exports are added to a stack with as many resources as these, of the same size, but which create nothing: the time
is Pulumi's own. On a file or a bucket it writes the whole state twice for a resource and three times for a component.
Upstream's journal writes only what has changed, but in 3.276 only Pulumi Cloud has it. A state that is written only
once is lost when that `up` is killed, so this is not for daily use; a compressed one is as safe as the default. One
stack for each site halves the state. A fifth of it says where in the program each resource was made. Pulumi's SDK for
Python has no option against that, and needs 0.6 ms of CPU time for each resource."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    header = ("before", *(f"{words}: {unit}" for words in WORDS.values() for unit in ("s", "s of a core")))
    rows = [
        (case, *(figure(samples, metric, way, case) for way in WORDS for metric in (TEN_MORE, CPU)))
        for case in (case_of(stack, before) for stack in STACKS for before in BEFORE)
    ]
    return f"{without_empty(header, rows)}\n\n{HOW}"
