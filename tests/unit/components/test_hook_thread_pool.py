"""Hooks can run even while Pulumi waits in every thread of the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from threading import Event

from components import hook_thread_pool
from components.hook_thread_pool import in_hook_thread

WHERE = ContextVar("WHERE", default="nowhere")


def test_it_needs_no_thread_of_the_event_loops_own() -> None:
    done = Event()

    async def program() -> str:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        waiting = loop.run_in_executor(None, done.wait)  # A resource waits in this way until its hooks were called.
        WHERE.set("here")
        try:
            return await asyncio.wait_for(in_hook_thread(WHERE.get), timeout=10)
        finally:
            done.set()
            await waiting

    assert asyncio.run(program()) == "here"


def test_nothing_else_in_components_takes_a_thread() -> None:
    """Nor may a hook: ruff refuses `asyncio.to_thread`, which takes one of the event loop's own."""
    modules = Path(hook_thread_pool.__file__).parent.rglob("*.py")
    users = [module.name for module in modules if "run_in_executor" in module.read_text()]
    assert users == ["hook_thread_pool.py"]
