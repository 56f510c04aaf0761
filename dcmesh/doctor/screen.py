"""What the doctor says, on one screen."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from dcmesh.doctor.findings import Diagnosis, Outcome, Report, Step
from dcmesh.model.facts import State
from dcmesh.status.screen import STYLES, captured

MARKS: dict[Outcome, tuple[str, str]] = {
    "passed": ("ok", STYLES[State.OK]),
    "broken": ("broken", STYLES[State.CRITICAL]),
    "unseen": ("unseen", STYLES[State.UNKNOWN]),
    "elsewhere": ("elsewhere", "dim"),
    "not reached": ("-", "dim"),
}


def text(report: Report) -> str:
    """Return what standard output is to show."""
    return captured(lambda out: show(report, out))


def show(report: Report, out: Console) -> None:
    """Print the verdict first, then each link: one in which all is well on a line, another hop by hop."""
    out.print(Text.assemble((report.state.name, STYLES[report.state]), f": {verdict(report)}"), soft_wrap=True)
    alone = len(report.diagnoses) == 1
    for diagnosis in report.diagnoses:
        for line in lines(diagnosis, whole=alone or diagnosis.state != State.OK):
            out.print(line, soft_wrap=True)


def verdict(report: Report) -> str:
    """Return on one line what is wrong: the first hop that is broken, of however many hosts."""
    if report.unreadable:
        return report.unreadable
    ill = sorted(
        (diagnosis for diagnosis in report.diagnoses if diagnosis.state != State.OK),
        key=lambda diagnosis: diagnosis.state != report.state,
    )
    if not ill:
        count = len(report.diagnoses)
        hosts = (
            "1 host: nothing is wrong with its link"
            if count == 1
            else f"{count} hosts: nothing is wrong with their links"
        )
        return f"{hosts}{_elsewhere(report)}"
    more = f" (and {len(ill) - 1} more)" if ill[1:] else ""
    return f"{ill[0].host} for {ill[0].consumer}: {_worst(ill[0])}{more}"


def _worst(diagnosis: Diagnosis) -> str:
    for step, finding in diagnosis.findings:
        if finding.state == diagnosis.state:
            return f"{step.site} {step.hop}: {finding.says}"
    step = next(step for step in diagnosis.steps if step.outcome == "unseen")
    return f"{step.site} {step.hop}: cannot be looked at: {step.why}"


def _elsewhere(report: Report) -> str:
    sites = dict.fromkeys(step.site for d in report.diagnoses for step in d.steps if step.outcome == "elsewhere")
    return f", as far as this stack sees; the rest: `python -m dcmesh doctor` at {' and '.join(sites)}" if sites else ""


def lines(diagnosis: Diagnosis, *, whole: bool) -> Iterable[Text]:
    """Yield the lines of one link; whole: each hop, and not only that all is well."""
    yield Text()
    ends = f"{diagnosis.source} to {diagnosis.consumer}"
    yield Text.assemble((f"{diagnosis.host}:{diagnosis.port}", "bold"), f"  {ends}")
    if not whole:
        yield Text.assemble("  ", _mark("passed"), " all hops")
        return
    for step in diagnosis.steps:
        yield Text.assemble("  ", _mark(step.outcome), f" {step.site}  {step.hop}", f": {step.why}" if step.why else "")
        yield from _findings(step)


def _mark(outcome: Outcome) -> tuple[str, str]:
    word, style = MARKS[outcome]
    return f"{word:<9}", style


def _findings(step: Step) -> Iterable[Text]:
    for finding in step.findings:
        indent = " " * 12
        yield Text.assemble(indent, (finding.state.name, STYLES[finding.state]), f" {finding.id}: {finding.says}")
        yield Text(f"{indent}seen: {finding.evidence}")
        yield Text(f"{indent}fix:  {finding.fix}")
