"""What dcmesh knows of a stack, asks its clusters and does. The program and `python -m dcmesh VERB` use it."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 — else the first import that is new fails, and nobody is told why
    print(
        f"dcmesh: needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}: "
        "remove `venv`, and make it anew: `python3.11 -m venv venv`",
        file=sys.stderr,
    )
    sys.exit(3)  # UNKNOWN for a monitor
