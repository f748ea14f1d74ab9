"""Which processors a thread may run on. On Linux alone; elsewhere nothing happens.

Only one of a process's threads computes in Python at a time. Where the next one has to be woken on another
processor, nobody computes until that has happened: 0.1 ms on a rented machine, 0.005 on the same processor.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

_others: set[int] | None = None  # all that were ours before; None where nothing was kept


def keep_to_one() -> None:
    """Keeps this thread on one processor from now on, and all threads that it starts.

    For a process that does little but Python. By chance which one, as there may be several such processes.
    """
    global _others
    if hasattr(os, "sched_setaffinity"):
        _others = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {random.choice(sorted(_others))})


@contextmanager
def on_any() -> Iterator[None]:
    """Meanwhile this thread may run on all again: for long work that leaves Python to the other threads."""
    if _others is None:
        yield
        return
    kept = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, kept)
