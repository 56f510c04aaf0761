"""The lab's command line. It must start fast, since each `up` runs it for every site, and tests run it often."""

import subprocess
import sys

import pytest

from tests.unit.conftest import ROOT

HEAVY = ("kubernetes", "pyroute2", "supervisor")


@pytest.mark.parametrize("verb", ["kubeconfig dc1", "enter dc1", "wan show"])
def test_a_verb_does_without_what_takes_long_to_import(verb: str) -> None:
    """The lab does not exist. Each verb says so, after importing everything that it needs until then."""
    program = f"""if True:
        import sys
        sys.argv[1:] = "{verb} --lab no-such-lab".split()
        from lab.__main__ import main
        try:
            main()
        except SystemExit as end:
            print(end)
        print(*sys.modules.keys() & {HEAVY})"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    said, loaded = done.stdout.splitlines()
    assert (said.startswith("lab: "), loaded, done.stderr) == (True, "", "")
