"""Soak: what only repeats or waits. CI leaves it out; docs/soak.md says how it went, and is checked in its place.

python -m tests.soak [-k EXPRESSION]    run the soak tests, or those that pytest's -k names, and write the page
python -m tests.soak --check            say whether the page holds for all tests and files as they are; CI does

A test belongs to soak by a mark. It says what the test proves, as globs of the repository's files:

    @pytest.mark.soak(proves=("components/mesh/gateway.py", "components/mesh/service_*.py"))
"""

import argparse
import ast
import hashlib
import io
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "soak.md"
SUITES = ("tests/e2e", "tests/faults")

HEAD = """<!-- Written by `make soak`. -->
# Soak

Tests that only repeat or wait are left out of CI. `make soak` runs them. Each line is the last run of a test. A line is
valid as long as the code in the files that the test proves has not changed since (files may have other names now).
`make lint` fails when a line is no longer valid.

| test | outcome | seconds | date | what it proves |
|---|---|---|---|---|
"""

Proves = Mapping[str, str]
"""What a test proves: digests by glob."""


@dataclass(frozen=True)
class Row:
    """The last run of a test: its pytest id, how it ended, how long it took, the day, and what the files were."""

    test: str
    outcome: str
    seconds: int
    date: str
    proves: Proves


def code(file: Path) -> bytes:
    """Return what a file does: no comments, and of Python no imports and docstrings: a move changes these as well."""
    if file.suffix == ".sh":
        return b"".join(line for line in file.read_bytes().splitlines(True) if not line.lstrip().startswith(b"#"))
    if file.suffix != ".py":
        return file.read_bytes()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [n for n in node.body if not isinstance(n, ast.Import | ast.ImportFrom) and not _is_text(n)]
    return ast.dump(tree).encode()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def digest(root: Path, glob: str) -> str:
    """Return a short hash of what the files do that a glob matches, whatever their names and folders are."""
    files = [path for path in root.glob(glob) if path.is_file() and "__pycache__" not in path.parts]
    if not files:
        raise pytest.UsageError(f"soak: {glob} matches no file")
    each = sorted(hashlib.sha256(code(file)).hexdigest() for file in files)
    return hashlib.sha256("\n".join(each).encode()).hexdigest()[:8]


def page(rows: Iterable[Row]) -> str:
    """Return the document."""

    def line(row: Row) -> str:
        proves = ", ".join(f"`{glob}` {found}" for glob, found in row.proves.items())
        return f"| `{row.test}` | {row.outcome} | {row.seconds} | {row.date} | {proves} |\n"

    return HEAD + "".join(map(line, rows))


def read(text: str) -> list[Row]:
    """Return the rows of a document that `page` wrote."""
    rows = []
    for line in text.splitlines():
        if line.startswith("| `"):
            test, outcome, seconds, date, proves = line.strip("| ").split(" | ")
            rows.append(Row(test.strip("`"), outcome, int(seconds), date, dict(re.findall(r"`(\S+)` (\w+)", proves))))
    return rows


def merged(tests: Iterable[str], old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Return a row for each of the tests that has one, in the tests' order, the new before the old."""
    rows = {row.test: row for row in (*old, *new)}
    return [rows[test] for test in tests if test in rows]


def problems(tests: Mapping[str, Proves], rows: Iterable[Row]) -> list[str]:
    """Return why rows do not hold for the tests that there are and what they prove now."""
    known = {row.test: row for row in rows}
    found = []
    for test, proves in tests.items():
        if test not in known:
            found.append(f"{test}: never run")
        elif known[test].outcome != "passed":
            found.append(f"{test}: {known[test].outcome}")
        else:
            then = known[test].proves
            now, before = proves.items() - then.items(), then.items() - proves.items()
            moved = {same for _, same in now} & {same for _, same in before}
            changed = sorted({glob for glob, other in now | before if other not in moved})
            found += [f"{test}: changed since: {', '.join(changed)}"] if changed else []
    return found + [f"{test}: no such test any more" for test in known if test not in tests]


class Soak:
    """A plugin of pytest that notes which soak tests there are, and how those ended that were run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tests: dict[str, Proves] = {}
        self.rows: dict[str, Row] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Note all soak tests, before -m and -k choose from them."""
        for item in items:
            if mark := item.get_closest_marker("soak"):
                globs = mark.kwargs.get("proves", ())
                if not globs:
                    raise pytest.UsageError(f"soak: {item.nodeid} does not say what it proves")
                self.tests[item.nodeid] = {glob: digest(self.root, glob) for glob in globs}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended; what it waits for before and after is not its own."""
        if report.when == "call" or not report.passed:
            test, today = report.nodeid, f"{datetime.now(UTC):%Y-%m-%d}"
            self.rows[test] = Row(test, report.outcome, round(report.duration), today, self.tests[test])


def recorded() -> list[Row]:
    """Return the rows of the document, if there is one."""
    return read(DOCUMENT.read_text()) if DOCUMENT.exists() else []


def run(expression: str) -> int:
    """Run the soak tests that an expression names, all if it is empty; write the document if they pass."""
    soak = Soak(ROOT)
    status = pytest.main([*SUITES, "-m", "soak", "-k", expression], plugins=[soak])
    if status == pytest.ExitCode.OK:
        DOCUMENT.write_text(page(merged(soak.tests, recorded(), soak.rows.values())))
    else:
        print(f"docs/{DOCUMENT.name} stays as it was: the run has failed")
    return status


def check() -> int:
    """Collect the tests and compare the document with them."""
    soak = Soak(ROOT)
    with redirect_stdout(io.StringIO()) as said:
        status = pytest.main([*SUITES, "--collect-only", "--quiet"], plugins=[soak])
    if status != pytest.ExitCode.OK:
        print(said.getvalue())
        return status
    found = problems(soak.tests, recorded())
    if found:
        print(*found, f"docs/{DOCUMENT.name} does not hold: run `make soak`", sep="\n")
    return 1 if found else 0


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="tests.soak", description="Run what only repeats or waits.")
    parser.add_argument("-k", metavar="EXPRESSION", default="", help="only the tests that this names, as pytest's -k")
    parser.add_argument("--check", action="store_true", help="run nothing; say whether docs/soak.md holds")
    arguments = parser.parse_args()
    return check() if arguments.check else run(arguments.k)


if __name__ == "__main__":
    sys.exit(main())
