"""Which processors a thread may run on, where the system lets us choose: Linux does.

Only one of a process's threads computes in Python at a time. Where they wake each other on one processor that
takes 0.005 ms there and back, and on two of a rented machine 0.1, in which nobody computes. See
docs/decisions/0018-one-processor-for-python.md.
"""

import os
import random
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress

_others: Set[int] = frozenset()  # those that long work may have; none where nothing was kept


def keep_to_one() -> None:
    """Keeps this thread on one processor from now on, and all threads that it starts.

    For a process that does little but Python. By chance which one, as there may be several such processes.
    Where the system refuses, all stays as it is.
    """
    global _others
    if not hasattr(os, "sched_setaffinity"):
        return
    with suppress(OSError):
        ours = os.sched_getaffinity(0)
        one = {random.choice(sorted(ours))}
        os.sched_setaffinity(0, one)
        _others = ours - one or one


@contextmanager
def on_others() -> Iterator[None]:
    """Meanwhile this thread runs on the other processors: for long work that leaves Python to the rest."""
    if not _others:
        yield
        return
    kept = os.sched_getaffinity(0)
    _run_on(_others)
    try:
        yield
    finally:
        _run_on(kept)


def _run_on(processors: Set[int]) -> None:
    """Where they were taken from us since then, as from a container, this thread runs where it may."""
    with suppress(OSError):
        os.sched_setaffinity(0, processors)
