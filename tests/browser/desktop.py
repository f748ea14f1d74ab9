"""A desktop that shows notifications and on which somebody presses them: D-Bus alone, without a screen."""

import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, MessageType, message_bus, new_method_return, new_signal
from jeepney.io.blocking import DBusConnection, open_dbus_connection

PATH, NAME = "/org/freedesktop/Notifications", "org.freedesktop.Notifications"
DESKTOP = DBusAddress(PATH, interface=NAME)
# A bus of its own that starts nobody else's services.
BUS = """<busconfig><type>session</type><listen>unix:dir={folder}</listen>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy>
</busconfig>"""


@dataclass
class Desktop:
    """What is shown, as titles and texts in their order. `address` is the bus that a browser joins."""

    address: str
    shown: list[tuple[str, str]] = field(default_factory=list)
    presses: "queue.Queue[int]" = field(default_factory=queue.Queue)

    def press(self, number: int) -> None:
        """Presses the notification that came as the n-th, from 1."""
        self.presses.put(number)


def is_here() -> bool:
    """Whether this machine has what a desktop needs."""
    return shutil.which("dbus-daemon") is not None


@contextmanager
def running(folder: Path) -> Iterator[Desktop]:
    """`folder` holds the bus's own files; its path is short enough for a socket."""
    config = folder / "bus.conf"
    config.write_text(BUS.format(folder=folder))
    command = ["dbus-daemon", f"--config-file={config}", "--print-address", "--nofork"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as bus:
        assert bus.stdout
        desktop, ready, stop = Desktop(bus.stdout.readline().strip()), threading.Event(), threading.Event()
        serving = threading.Thread(target=_serve, args=(desktop, ready, stop))
        serving.start()
        try:
            assert ready.wait(60)
            yield desktop
        finally:
            stop.set()
            serving.join(60)
            bus.terminate()


def _serve(desktop: Desktop, ready: threading.Event, stop: threading.Event) -> None:
    with open_dbus_connection(desktop.address) as line:
        line.send_and_get_reply(message_bus.RequestName(NAME))
        ready.set()
        while not stop.is_set():
            while not desktop.presses.empty():
                pressed = (desktop.presses.get(), "default")
                line.send(new_signal(DESKTOP, "ActionInvoked", "us", pressed))
            try:
                asked = line.receive(timeout=0.05)
            except TimeoutError:
                continue
            if asked.header.message_type is MessageType.method_call:
                _answer(desktop, line, asked)


def _answer(desktop: Desktop, line: DBusConnection, asked: Any) -> None:
    what = asked.header.fields.get(HeaderFields.member)
    if what == "GetCapabilities":
        line.send(new_method_return(asked, "as", (["body", "actions", "persistence"],)))
    elif what == "GetServerInformation":
        line.send(new_method_return(asked, "ssss", ("desktop", "tests", "1", "1.2")))
    elif what == "Notify":
        _app, _replaces, _icon, title, text, *_rest = asked.body
        desktop.shown.append((title, text))
        line.send(new_method_return(asked, "u", (len(desktop.shown),)))
    else:
        line.send(new_method_return(asked))
