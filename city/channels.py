"""The channels by which people hear of a case, and what sets each apart. Pure.

The row names the module of `city/notifications/` that sends, by a function `open_sender(settings)`, and what
it takes: the words for that are written in `pwa/messages/`. What is sent is asked of the row, never of its
name.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

LETTER, TEXT, NOTE = "letter", "text", "note"


class Channel(NamedTuple):
    """One of them. `address` says whose the addresses are: a mailbox's, a telephone's or a browser's.

    `needs_confirmation`: anybody can type the address, so its reader is asked first. `rings`: it waits for
    the end of quiet hours. `is_searchable`: a person may know the address, and look for it.
    """

    sender: str
    takes: str
    address: str
    needs_confirmation: bool = True
    rings: bool = True
    is_searchable: bool = True


EMAIL, SMS, PUSH = "email", "sms", "push"
CHANNELS: Final[Mapping[str, Channel]] = {
    EMAIL: Channel("email", LETTER, "mailbox", rings=False),
    SMS: Channel("sms", TEXT, "telephone"),
    PUSH: Channel("webpush", NOTE, "browser", needs_confirmation=False, is_searchable=False),
}
SILENT: Final = tuple(name for name, each in CHANNELS.items() if not each.rings)
SEARCHABLE: Final = tuple(name for name, each in CHANNELS.items() if each.is_searchable)
CONFIRMED: Final = tuple(name for name, each in CHANNELS.items() if each.needs_confirmation)
