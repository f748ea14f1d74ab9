"""The part of the worker that tells people, in a process that a test may kill, on a clock that runs fast.

python tests/telling.py BEGAN SPEED     the settings come from the environment, as the worker's do
"""

import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from city import settings
from city.db import engine as db
from city.notifications import fan_out, outbox
from pwa.app import create_app
from pwa.messages import report_messages

PAUSE = 0.02  # seconds


def clock(began: float, speed: float) -> Callable[[], datetime]:
    """What time it is, where every second since `began` (of the epoch) lasted `speed` seconds."""
    return lambda: datetime.fromtimestamp(began, UTC) + timedelta(seconds=(time.time() - began) * speed)


def main(began: float, speed: float) -> None:
    """Tells people until it is killed, each channel in a lane of its own."""
    now, read = clock(began, speed), settings.read()
    app = create_app(read, now=now)
    engine, render = app.extensions["cityline"].engine, report_messages.render(app)

    def send(lane: outbox.Channels) -> None:
        while True:
            outbox.send_due(engine, lane, render, now())
            time.sleep(PAUSE)

    for name, channel in outbox.open_senders(read).items():
        threading.Thread(target=send, args=({name: channel},), daemon=True).start()
    while True:
        with db.transaction(engine) as s:
            fan_out.process_events(s, now())
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
