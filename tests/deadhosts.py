"""Machines on loopback that take a connection and never say a word, or do not even take it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class DeadHosts:
    """Their ports, and how often somebody came."""

    ports: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)  # the port of each, in order
    called: threading.Event = field(default_factory=threading.Event)

    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}/" for port in self.ports]


@contextmanager
def listening(count: int = 1) -> Iterator[DeadHosts]:
    """So many of them."""
    hosts = DeadHosts()

    def serve(listener: socket.socket, port: int) -> None:
        with ExitStack() as held, suppress(OSError):  # the test is over
            while True:
                held.enter_context(listener.accept()[0])
                hosts.calls.append(port)
                hosts.called.set()

    with ExitStack() as stack:
        for _ in range(count):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            # Closing alone would leave a thread that waits in accept().
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            hosts.ports.append(listener.getsockname()[1])
            threading.Thread(target=serve, args=(listener, hosts.ports[-1]), daemon=True).start()
        yield hosts


@contextmanager
def full() -> Iterator[int]:
    """The port of one that takes no more connections: who comes waits as at an address where nobody is."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # until its queue is full
            waits = stack.enter_context(socket.socket())
            waits.setblocking(False)
            waits.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
