"""A channel is a row and a module: whatever else must know it finds it by what it takes."""

import re
from pathlib import Path

import pytest

from city.channels import CHANNELS
from city.notifications import outbox
from city.settings import Settings
from pwa.messages import follower_messages, report_messages

ROOT = Path(__file__).parents[3]


def test_every_channel_has_a_sender_and_words(settings: Settings) -> None:
    assert set(outbox.open_senders(settings)) == set(CHANNELS)
    takes = {each.takes for each in CHANNELS.values()}
    assert set(report_messages._WRITERS) >= takes
    assert set(follower_messages.WRITERS) >= takes


@pytest.mark.parametrize("room", ["city", "pwa", "sync"])
def test_nobody_asks_a_channel_for_its_name(room: str) -> None:
    """Only for what it is, or as a constant: a name in quotes hides from whoever adds a channel."""
    asks = re.compile(rf"""channel\s*(==|!=|in)\s*\(?["']({"|".join(CHANNELS)})["']""")
    files = [path for path in (ROOT / room).rglob("*.py") if "migrations" not in path.parts]
    assert [str(path) for path in files if asks.search(path.read_text("utf-8"))] == []
