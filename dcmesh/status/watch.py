"""The status, live: the sites are asked again and again until Ctrl-C."""

import time
from collections.abc import Callable
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dcmesh.model.facts import State
from dcmesh.screen import under_way
from dcmesh.status.screen import text
from dcmesh.status.sites import Status


def watch(look: Callable[[], Status], interval: int) -> State:
    """Show on the terminal how everything is, until Ctrl-C, and return how it was at the last look.

    Args:
        look: asks the sites.
        interval: how many seconds pass until it asks again.

    Raises:
        KeyboardInterrupt: before the first look was over.
    """
    with under_way("asking the sites"):
        status = look()
    try:
        with Live(console=Console(highlight=False), auto_refresh=False) as live:
            while True:
                live.update(_shown(status, interval), refresh=True)
                time.sleep(interval)
                status = look()
    except KeyboardInterrupt:
        return status.state


def _shown(status: Status, interval: int) -> Text:
    """Return what the screen shows. Texts of others are harmless in it: the only codes are those of `text`."""
    foot = f"{datetime.now():%H:%M:%S}, and again every {interval} s. Ctrl-C ends it."
    return Text.assemble(Text.from_ansi(text(status)), "\n", (foot, "dim"))
