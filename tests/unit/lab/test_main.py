"""The lab's command line: it starts with little, for tests run it again and again."""

import subprocess
import sys

from tests.unit.conftest import ROOT


def test_a_verb_that_asks_no_api_does_without_the_kubernetes_client() -> None:
    program = "import sys, lab.__main__; sys.exit('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
