"""The long line of an impaired WAN. It delays each packet and loses some. It stands in for the kernel's netem.

Run in the WAN's namespace as `python lab/line.py NAMESPACE DELAY LOSS`. It makes the interface `line`. The kernel has
one end of it and this process the other: what is routed into the interface comes out of it again later. The command
returns when the interface is there. The line goes on in the background until the interface is deleted.
"""

import contextlib
import fcntl
import os
import random
import struct
import sys
import time
from collections import deque
from select import select

INTERFACE = "line"

# From linux/if_tun.h.
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_CHECKSUMS_AND_SEGMENTATION = 0x01 | 0x02 | 0x04 | 0x08

_LARGEST = 1 << 17
"""Bytes: more than any packet has, including the header that says how it is to be segmented."""


def attach(*, whole: bool) -> int:
    """Make the interface and return its end here.

    Args:
        whole: whether segments of up to 64 KB pass unchanged. Otherwise they come as the packets that a wire carries.
    """
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", INTERFACE.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR))
    fcntl.ioctl(end, _TUNSETOFFLOAD, _CHECKSUMS_AND_SEGMENTATION if whole else 0)
    return end


def carry(end: int, hold: float, loss: float) -> None:
    """Carry packets until the interface is deleted. Packets that are under way then are lost.

    Args:
        end: the end of the interface where packets come in and go out.
        hold: seconds for which each packet is held.
        loss: share of the packets that are lost.

    Raises:
        OSError: the interface is gone.
    """
    under_way: deque[tuple[float, bytes]] = deque()
    while True:
        try:
            packet = os.read(end, _LARGEST)
        except BlockingIOError:
            packet = b""
        now = time.monotonic()
        if packet and random.random() >= loss:  # noqa: S311 - no secret
            under_way.append((now + hold, packet))
        while under_way and under_way[0][0] <= now:
            os.write(end, under_way.popleft()[1])
        if not packet:
            select((end,), (), (), max(0, under_way[0][0] - time.monotonic()) if under_way else None)


def main() -> None:
    """Make the line, and carry packets in the background."""
    delay, loss = float(sys.argv[2]), float(sys.argv[3])
    end = attach(whole=not loss)
    # Some containers do not permit this. There the delay grows when the machine is busy.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    if os.fork():
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    with contextlib.suppress(OSError):
        carry(end, delay / 2000, loss)


if __name__ == "__main__":
    main()
