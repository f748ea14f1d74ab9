"""Starts the real server and the real worker out of a process that has loaded their code already.

Loading takes longer than all else at a start, and every test here starts both.
"""

import faulthandler
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_NURSERY = multiprocessing.get_context("forkserver")
_NURSERY.set_forkserver_preload(["granian.cli", "pwa.app", "pwa.cli.main", "pwa.worker", "warm"])


def start(arguments: Sequence[str], environment: dict[str, str], log: Path) -> ForkServerProcess:
    """`cityline` with these arguments; what it says goes to the end of the log."""
    child = _NURSERY.Process(target=_run, args=(list(arguments), environment, str(log)))
    child.start()
    return child


def end(children: Sequence[ForkServerProcess], log: Path) -> None:
    """Asks them to end. Raises AssertionError for whoever does not, with where it stands."""
    for child in children:
        child.terminate()
    for child in children:
        child.join(60)
    stuck = [child for child in children if child.exitcode is None]
    for child in stuck:
        os.kill(child.pid or 0, signal.SIGABRT)
        child.join(60)
    assert not stuck, log.read_text()[-3000:]


def _run(arguments: list[str], environment: dict[str, str], log: str) -> None:
    from pwa.cli import main

    multiprocessing.set_start_method("fork", force=True)  # so that granian's own child has the code too
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(environment)
    os.execv = _instead  # type: ignore[assignment]
    sys.argv = ["cityline", *arguments]
    main.main()


def _instead(program: str, command: Sequence[Any]) -> None:
    """What `cityline web` would become, here without loading everything anew."""
    from granian import cli as granian

    assert Path(program).name == "granian"
    sys.argv = list(command)
    granian.entrypoint()
