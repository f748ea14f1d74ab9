"""Finding the processes of a web server that a test has started."""

from contextlib import suppress
from pathlib import Path


def servers_at(port: str) -> list[int]:
    """The processes of the web server for that port."""
    found = []
    for told in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            words = told.read_bytes().decode(errors="replace").split("\0")
            if any(word.endswith("/granian") for word in words) and port in words:
                found.append(int(told.parent.name))
    return found
