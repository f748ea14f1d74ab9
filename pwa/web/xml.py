"""What every XML document here is written with: instants, and text that XML allows. Pure."""

import re
from datetime import datetime

# One of these makes the whole of an XML document unreadable: https://www.w3.org/TR/xml/#charsets
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def moment(at: datetime | None) -> str | None:
    """An instant in W3C's form, to the second: 2026-05-12T13:30:00+00:00."""
    return at.isoformat(timespec="seconds") if at else None


def clean(words: str) -> str:
    """The words without the characters that XML forbids."""
    return FORBIDDEN.sub("", words)
