"""Soak: which tests belong to it, the page of their results, and when that page is no longer valid."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests import soak
from tests.soak import Row, Soak, digest, merged, page, problems, read

pytest_plugins = ["pytester"]

CUT = Row("tests/test_a.py::test_a[long, 2]", "passed", 75, "2026-11-24", {"a.py": "0123abcd", "b_*.py": "4567cdef"})
AWAY = Row("tests/test_a.py::test_b", "passed", 120, "2026-11-23", {"a.py": "0123abcd"})
TESTS = {row.test: row.proves for row in (CUT, AWAY)}


def test_the_digest_is_of_content_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a_1.py").write_text("one")
    first = digest(tmp_path, "a_*.py")
    assert len(first) == 8
    (tmp_path / "b.py").write_text("other")
    assert digest(tmp_path, "a_*.py") == first
    (tmp_path / "a_2.py").write_text("two")
    second = digest(tmp_path, "a_*.py")
    (tmp_path / "a_2.py").write_text("three")
    third = digest(tmp_path, "a_*.py")
    assert len({first, second, third}) == 3


def test_renamed_files_have_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "a_1.py").write_text("one")
    (tmp_path / "a_2.py").write_text("two")
    before = digest(tmp_path, "a_*.py")
    (tmp_path / "a_1.py").rename(tmp_path / "a_3.py")  # behind the other
    assert digest(tmp_path, "a_*.py") == before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a_3.py").rename(tmp_path / "elsewhere/b_3.py")
    (tmp_path / "a_2.py").rename(tmp_path / "elsewhere/b_2.py")
    assert digest(tmp_path, "elsewhere/b_*.py") == before
    (tmp_path / "elsewhere/b_4.py").write_text("two")  # a copy is one file more
    assert digest(tmp_path, "elsewhere/b_*.py") != before


def test_the_digest_of_a_script_is_of_what_it_does(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("# Says.\nread -r line # and goes on\n")
    first = digest(tmp_path, "a.sh")
    (tmp_path / "a.sh").write_text("# Says more.\n  # Why.\nread -r line # and goes on\n")
    assert digest(tmp_path, "a.sh") == first
    (tmp_path / "a.sh").write_text("read -r other # and goes on\n")
    assert digest(tmp_path, "a.sh") != first


def test_the_digest_of_python_is_of_what_it_does(tmp_path: Path) -> None:
    def digest_of(folder: str, text: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "a.py").write_text(text)
        return digest(tmp_path, f"{folder}/a.py")

    body = "def f(x):\n    return x + 1\n"
    first = digest_of("one", f'"""Says."""\nfrom a import b\n{body}')
    moved = digest_of("two", f'"""Says more."""\nfrom c import b\nimport d\n\n# Why.\n{body}')
    assert moved == first
    assert digest_of("two", body.replace("+ 1", "+ 2")) != first


def test_a_glob_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(pytest.UsageError, match=r"nowhere/\*\.py matches no file"):
        digest(tmp_path, "nowhere/*.py")


def test_the_page_is_read_as_it_was_written() -> None:
    text = page([CUT, AWAY])
    assert read(text) == [CUT, AWAY]
    assert "| `tests/test_a.py::test_b` | passed | 120 | 2026-11-23 | `a.py` 0123abcd |" in text.splitlines()
    assert read(page([])) == []


def test_a_run_of_some_tests_keeps_the_others_rows_but_not_those_of_tests_that_are_gone() -> None:
    again = replace(AWAY, seconds=121)
    assert merged(TESTS, [AWAY, CUT, replace(CUT, test="gone")], [again]) == [CUT, again]
    assert merged(TESTS, [], [AWAY]) == [AWAY]


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([CUT, AWAY], []),
        ([CUT], [f"{AWAY.test}: never run"]),
        ([CUT, replace(AWAY, outcome="skipped")], [f"{AWAY.test}: skipped"]),
        ([CUT, AWAY, replace(AWAY, test="gone")], ["gone: no such test any more"]),
        (
            [replace(CUT, proves={"a.py": "0123abcd", "b_*.py": "other", "c.py": "0123abcd"}), AWAY],
            [f"{CUT.test}: changed since: b_*.py, c.py"],
        ),
        ([replace(CUT, proves={"old/a.py": "0123abcd", "b_*.py": "4567cdef"}), AWAY], []),
        (
            [replace(CUT, proves={"old/a.py": "other", "b_*.py": "4567cdef"}), AWAY],
            [f"{CUT.test}: changed since: a.py, old/a.py"],
        ),
    ],
)
def test_what_does_not_hold_is_named(rows: list[Row], wrong: list[str]) -> None:
    assert problems(TESTS, rows) == wrong


SUITE = """
import pathlib, pytest

@pytest.mark.soak(proves=("*.txt",))
def test_long(): assert not pathlib.Path("broken").exists()

@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.soak(proves=("*.txt", "test_*.py")))])
def test_some(n): pass
"""


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A repository with three tests, two of them soak tests."""
    # This leaves out the plugin that collects this process's garbage five times at the end of each run.
    options = "--strict-markers -p no:unraisableexception"
    pytester.makeini(f"[pytest]\nmarkers = soak(proves)\naddopts = {options}")
    pytester.maketxtfile(proven="as it is")
    pytester.makepyfile(test_suite=SUITE)
    (pytester.path / "docs").mkdir()
    monkeypatch.setattr(soak, "ROOT", pytester.path)
    monkeypatch.setattr(soak, "DOCUMENT", pytester.path / "docs/soak.md")
    monkeypatch.setattr(soak, "SUITES", ["test_suite.py"])
    return pytester


def test_soak_tests_are_known_whatever_is_chosen(repository: pytest.Pytester) -> None:
    plugin = Soak(repository.path)
    repository.inline_run("-m", "soak", "-k", "long", plugins=[plugin])
    assert {test: list(proves) for test, proves in plugin.tests.items()} == {
        "test_suite.py::test_long": ["*.txt"],
        "test_suite.py::test_some[2]": ["*.txt", "test_*.py"],
    }
    assert [(row.test, row.outcome) for row in plugin.rows.values()] == [("test_suite.py::test_long", "passed")]


def test_the_page_holds_when_all_have_passed(repository: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.run("some") == 0
    assert soak.check() == 1
    assert "test_suite.py::test_long: never run\ndocs/soak.md does not hold: run `make soak`" in capsys.readouterr().out
    assert soak.run("long") == 0
    capsys.readouterr()
    assert soak.check() == 0
    assert capsys.readouterr().out == ""
    repository.maketxtfile(proven="otherwise")
    assert soak.check() == 1
    assert "test_suite.py::test_long: changed since: *.txt\n" in capsys.readouterr().out


def test_a_run_that_fails_leaves_the_page_alone(
    repository: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    assert soak.run("") == 0
    before = soak.DOCUMENT.read_text()
    (repository.path / "broken").touch()
    assert soak.run("") != 0
    assert soak.DOCUMENT.read_text() == before
    assert "docs/soak.md stays as it was" in capsys.readouterr().out
    assert soak.run("no test at all") != 0


@pytest.mark.parametrize(
    ("proves", "said"), [("proves=('*.md',)", "*.md matches no file"), ("", "does not say what it proves")]
)
def test_a_mark_that_proves_nothing_is_an_error(
    repository: pytest.Pytester, capsys: pytest.CaptureFixture[str], proves: str, said: str
) -> None:
    repository.makepyfile(test_suite=f"import pytest\n\n@pytest.mark.soak({proves})\ndef test_it(): pass")
    assert soak.check() != 0
    assert said in capsys.readouterr().err
