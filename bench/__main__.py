"""`python -m bench`: measures, keeps the raw figures, and writes docs/performance.md.

python -m bench                        everything
python -m bench data-path --rounds 3   one part

"""

import argparse

from bench import document, machine
from bench.data_path.run import run as data_path
from bench.data_path.tuning import run as tuning
from bench.first_copy.run import run as first_copy
from bench.mysql.run import run as mysql
from bench.peers.run import run as peers
from bench.samples import Recorder
from bench.scale.gateways import run as scale_gateways
from bench.scale.run import run as scale
from bench.setup.run import run as setup
from bench.state.run import run as state

RUNS = {
    "data-path": data_path,
    "tuning": tuning,
    "mysql": mysql,
    "first-copy": first_copy,
    "peers": peers,
    "setup": setup,
    "state": state,
    "scale": scale,
    "scale-gateways": scale_gateways,
}
ALL = "all"
ROUNDS = 5


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="measure, and write docs/performance.md")
    parser.add_argument("parts", nargs="*", choices=(*RUNS, ALL), default=ALL, help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each measurement (default: %(default)s)")
    arguments = parser.parse_args()
    for part in RUNS if ALL in arguments.parts else arguments.parts:
        machine.note(document.machine_of(part))
        RUNS[part](Recorder(document.figures_of(part)), arguments.rounds)
    document.write()


if __name__ == "__main__":
    main()
