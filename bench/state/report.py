"""The part's section of docs/performance.md."""

from collections.abc import Mapping, Sequence

from bench.aims import Aim
from bench.markdown import spread, table
from bench.samples import Sample, by_round, summary
from bench.state.figures import BEFORE, COMPRESSED, CPU, DEFAULT, ONCE, STACKS, TEN_MORE, UNCHECKED, case_of

WORDS = {
    DEFAULT: "as it comes",
    COMPRESSED: "`PULUMI_DIY_BACKEND_ZSTD=true`",
    UNCHECKED: "`--disable-integrity-checking`",
    ONCE: "`PULUMI_SKIP_CHECKPOINTS=true`",
}

HOW = """\
A stack with the resources of so many exports, of the same size, that make nothing; ten more are added. What is left is
what Pulumi itself takes: on a file or a bucket it writes the whole state twice for a resource and three times for a
component, and copies the one before. Upstream's journal, which writes what has changed alone, is for Pulumi Cloud: in
3.276 no other backend has it. What is written once is lost if that `up` is killed, so it is nothing for daily use; nor
are the checks of a state to be without. A stack a site halves the state, and both run at once."""


def section(samples: Sequence[Sample]) -> str:
    """Return the section's text."""
    cases = [case_of(stack, before) for stack in STACKS for before in BEFORE]
    rows = [
        (case, words, *(spread(summary(samples, metric, way, case)) for metric in (TEN_MORE, CPU)))
        for case in cases
        for way, words in WORDS.items()
        if by_round(samples, TEN_MORE, way, case)
    ]
    return f"{table(('before', 'how', 'ten more, s', 's of a core'), rows)}\n\n{HOW}"


def aims(_: Sequence[Sample]) -> Sequence[Aim]:
    """Return no aims: that of ten more is of a real pair."""
    return ()


def plots(_: Sequence[Sample]) -> Mapping[str, str]:
    """Return no plots."""
    return {}
