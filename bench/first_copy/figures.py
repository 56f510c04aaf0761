"""The names in the raw figures: what is measured, by which ways, and under which circumstances."""

from bench.data_path import figures

BACKUP, DUMP = "backup", "dump"
"""The first copies that dcmesh makes, through gateways at both ends."""

PLAIN_BACKUP, PLAIN_BYTES = "backup by plain TCP", "bytes by plain TCP"
"""The same backup without dcmesh on the way, and the table's file as it is."""

WAYS = (BACKUP, PLAIN_BACKUP, PLAIN_BYTES, DUMP)

COPIED, PREPARED = "copied", "prepared"

CASES = tuple(case for case in figures.CASES if not case.loss)
"""The WANs, of which only the delay counts here."""
