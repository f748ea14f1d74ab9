"""The part of the worker that tells people, in a process that a test may kill, on a clock that runs fast.

python tests/telling.py BEGAN SPEED     the settings come from the environment, as the worker's do
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from city import db, delivery, notices, settings
from pwa import mail
from pwa.app import create_app

PAUSE = 0.02  # seconds


def clock(began: float, speed: float) -> Callable[[], datetime]:
    """What time it is, where every second since `began` (of the epoch) lasted `speed` seconds."""
    return lambda: datetime.fromtimestamp(began, UTC) + timedelta(seconds=(time.time() - began) * speed)


def main(began: float, speed: float) -> None:
    """Tells people until it is killed."""
    now, read = clock(began, speed), settings.read()
    app = create_app(read, now=now)
    engine, channels, render = (
        app.extensions["cityline"].engine,
        delivery.open_channels(read),
        mail.render(app),
    )
    while True:
        with db.transaction(engine) as s:
            notices.follow(s, now())
        delivery.send_due(engine, channels, render, now())
        time.sleep(PAUSE)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
