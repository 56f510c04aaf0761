"""Writes what is made of code: schema, docs/configuration.md, docs/doctor.md, docs/support.md, docs/permissions.md.

Usage:
    python -m dcmesh.config.generate          write them
    python -m dcmesh.config.generate --check  fail if one of them is stale
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from dcmesh.config import permissions_page, support_page
from dcmesh.config.configuration_page import reference
from dcmesh.config.schema import stack_schema
from dcmesh.doctor import findings_page as doctor
from dcmesh.model.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "dcmesh"


def generated() -> Iterator[tuple[Path, str]]:
    """Yield each file and what belongs in it."""
    schema = stack_schema(Settings, PROJECT)
    yield ROOT / "schema" / "stack.json", json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    yield ROOT / "docs" / "configuration.md", reference(Settings, PROJECT, ROOT / "examples")
    yield ROOT / "docs" / "doctor.md", doctor.reference()
    yield ROOT / "docs" / "support.md", support_page.page()
    yield ROOT / "docs" / "permissions.md", permissions_page.page()


def main(arguments: list[str] | None = None, today: date | None = None) -> int:
    """Write the files, or tell which are stale; return the exit code.

    It refuses both if the default Istio ends within `support_page.NOTICE` of `today` (default: the present day).
    """
    parser = argparse.ArgumentParser(prog="python -m dcmesh.config.generate", description="Write schema and reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check = parser.parse_args(arguments).check
    if ending := support_page.ending(today or datetime.now(UTC).date()):
        print(ending, file=sys.stderr)
        return 1
    stale = [(path, text) for path, text in generated() if not path.exists() or path.read_text() != text]
    for path, text in stale:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is stale: run `python -m dcmesh.config.generate`", file=sys.stderr)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"{name} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
