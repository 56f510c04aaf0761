"""Threads for what hooks do that takes time, apart from those that Pulumi waits in.

Pulumi's Python program waits for each resource that it has registered in a thread of the event loop's own pool, four
for each operation that Pulumi does at once (`--parallel`, by default four a processor): 32 on two. A hook that needed
one of these threads as well would wait for a resource that waits for the hook, and the `up` would never end (seen
with 3.276: pulumi-language-python-exec sets the pool, `runtime/resource.py` waits in it).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_POOL = ThreadPoolExecutor(max_workers=32, thread_name_prefix="hook")


async def in_hook_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do what takes time in a thread for hooks, with this task's context, and return what it returns."""
    call = partial(copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_POOL, call)
