"""Starting a real web server, and finding the processes of one."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STARTED_WITHIN = 60.0


@contextmanager
def serving(environment: dict[str, str], *options: str) -> Iterator[int]:
    """`cityline web` on a port of loopback; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("cityline"))
    running = subprocess.Popen([program, "web", "--port", str(port), *options], env=environment)
    try:
        deadline = time.monotonic() + STARTED_WITHIN
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=STARTED_WITHIN)
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        running.terminate()
        running.wait(60)
        for left in servers_at(str(port)):
            os.kill(left, signal.SIGKILL)


def servers_at(port: str) -> list[int]:
    """The processes of the web server for that port."""
    found = []
    for told in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            words = told.read_bytes().decode(errors="replace").split("\0")
            if any(word.endswith("/granian") for word in words) and port in words:
                found.append(int(told.parent.name))
    return found
