"""What the doctor says, on one screen."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcmesh.doctor.findings import Diagnosis, Outcome, Report
from dcmesh.model.facts import State
from dcmesh.model.printable import printable
from dcmesh.screen import STYLES, captured, empty_table, short

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
    """Print the verdict first, then each link: in a line if all is well with it, otherwise hop by hop."""
    out.print(Text.assemble((report.state.name, STYLES[report.state]), f": {verdict(report)}"), soft_wrap=True)
    alone = len(report.diagnoses) == 1
    for diagnosis in report.diagnoses:
        host = f"{diagnosis.host}:{diagnosis.port}"
        out.print()
        out.print(Text.assemble((host, "bold"), f"  {diagnosis.source} to {diagnosis.consumer}"), soft_wrap=True)
        if alone or diagnosis.state != State.OK:
            out.print(_hops(diagnosis))
        else:
            out.print(Text.assemble(_mark("passed"), "  all hops"))
        for line in _findings(diagnosis):
            out.print(line, soft_wrap=True)


def verdict(report: Report) -> str:
    """Return the verdict on one line: the first broken hop, and how many more hosts are ill."""
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


def _hops(diagnosis: Diagnosis) -> Table:
    table = empty_table(short(""), "site", short("hop"), "")
    for step in diagnosis.steps:
        found = [
            Text.assemble((finding.state.name, STYLES[finding.state]), f" {finding.id}") for finding in step.findings
        ]
        why = [Text(printable(step.why))] if step.why else []
        table.add_row(_mark(step.outcome), step.site, step.hop, Text("\n").join([*found, *why]))
    return table


def _mark(outcome: Outcome) -> Text:
    return Text(*MARKS[outcome])


def _findings(diagnosis: Diagnosis) -> Iterable[Text]:
    """Yield what is wrong. This is below the table, because commands to be typed must not be folded."""
    for step, finding in diagnosis.findings:
        style = STYLES[finding.state]
        yield Text()
        yield Text.assemble(f"{step.site} {step.hop}: ", (finding.state.name, style), f" {finding.id}: {finding.says}")
        yield Text(f"  seen: {finding.evidence}")
        yield Text(f"  fix:  {finding.fix}")
