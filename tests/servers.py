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


def free_ports(count: int, *, twin: int) -> list[int]:
    """Ports that are free now, and each one's twin, so much higher.

    Every process begins elsewhere, also those with numbers side by side: they look at one moment. All lie
    below 32,768: above, the system chooses ports for whoever calls out, as every browser test does.
    """
    found: list[int] = []
    for port in range(10_011 + os.getpid() * 331 % 1000 * 7, 22_000, 7):
        if all(is_free(each) for each in (port, port + twin)):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
