"""The process in which strangers' bytes are decoded: processing.py begins it, and hands over each photo.

Each photo gets a process of its own, forked from this one, where the decoders are loaded already. It ends
with the photo: memory goes back at once, a decoder that breaks breaks nothing else, and none sees what came
before. The system holds it to so much memory and time.

On the connection of a photo come what is asked, as JSON, and its bytes in parts, the last one empty. Back go
what is told of it, as JSON, and its JPEGs; at last how its process ended.
"""

import gc
import json
import os
import resource
import signal
import socket
import traceback
import warnings
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from city.photos import decoding
from city.photos.processing import ENDED, MOST_SECONDS, BadPhoto, Box

# With this process, which has 35 MB, less than 600 MB whatever comes: one photo is decoded at a time.
MOST_MEMORY = 560_000_000  # bytes of address space, of which 75 MB are the program
MOST_COMPUTED = 10  # seconds of all its processors together; the dearest photos take 2.5
LIMITS = {resource.RLIMIT_AS: MOST_MEMORY, resource.RLIMIT_CPU: MOST_COMPUTED, resource.RLIMIT_CORE: 0}


def serve(control: socket.socket) -> None:
    """Takes photos until whoever hands them over has ended."""
    while True:
        _, given, _, _ = socket.recv_fds(control, 1, 1)
        if not given:
            return
        with Connection(given[0]) as photo, suppress(OSError):  # nobody waits, or no fork
            child = os.fork()
            if child == 0:
                control.close()
                _alone(photo)
            _, status = os.waitpid(child, 0)
            photo.send_bytes(ENDED + b"%d" % os.waitstatus_to_exitcode(status))


def _alone(photo: Connection) -> None:
    """Does what is asked of one photo, in a process of its own, and ends that."""
    ended = 1
    try:
        signal.alarm(MOST_SECONDS)
        for what, most in LIMITS.items():
            _hold_to(what, most)
        asked = json.loads(photo.recv_bytes())
        told, jpegs = _done(asked, b"".join(iter(photo.recv_bytes, b"")))
        photo.send_bytes(json.dumps(told).encode())
        for jpeg in jpegs:
            photo.send_bytes(jpeg)
        ended = 0
    except (EOFError, BrokenPipeError):
        pass  # nobody waits for it any more
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(ended)


def _hold_to(what: int, most: int) -> None:
    """Where the system has no such limit, as macOS of memory, only the bounds of decoding.py count."""
    hard = resource.getrlimit(what)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _done(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What is told of it, and its JPEGs."""
    try:
        if asked["do"] == "small":
            return {}, [decoding.small(data, asked["most"])]
        if asked["do"] == "cover":
            boxes = [Box(*box) for box in asked["boxes"]]
            new = decoding.cover(data, boxes, asked["upload_sha256"])
        else:
            new = decoding.develop(data)
    except BadPhoto as bad:
        return {"refused": bad.code}, []
    told = asdict(new)
    return told, [told["jpegs"].pop(size) for size in list(told["jpegs"])]


def main() -> None:
    """Serves at the standard input, and ends with whoever holds the other end.

    What a terminal or a service manager tells all processes is for that one: it may have to finish a photo.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # who began it may hold back those that end a photo
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
    warnings.simplefilter("ignore")  # Pillow has much to say about what strangers send
    gc.freeze()  # so that no process of a photo writes into what it shares
    with socket.socket(fileno=0) as control:
        serve(control)


if __name__ == "__main__":
    main()
