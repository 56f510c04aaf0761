"""Asks a web server over TLS on one connection until that ends: `python -m tests.e2e.kept FILE`, run inside a site.

FILE is like that of answered.py, with one attempt.
"""

import json
import sys
import time
from pathlib import Path

from tests.e2e.answered import ASKING, connected

INTERVAL = 0.5


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text())
    (how,) = asked["attempts"].values()
    with connected(asked, **how) as connection:
        connection.sendall(ASKING)
        while connection.recv(65536):
            time.sleep(INTERVAL)
            connection.sendall(ASKING)


if __name__ == "__main__":
    main()
