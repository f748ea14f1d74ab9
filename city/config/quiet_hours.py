"""Quiet hours: when nobody's phone is to ring for the city's sake. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Quiet:
    """From `begins` to `ends` of every day, by the city's clocks; mostly over midnight."""

    begins: time
    ends: time
    zone: ZoneInfo

    def holds(self, now: datetime) -> bool:
        """Whether it is quiet now."""
        at = now.astimezone(self.zone).time()
        if self.begins < self.ends:
            return self.begins <= at < self.ends
        return at >= self.begins or at < self.ends


def parse(words: str, zone: ZoneInfo) -> Quiet | None:
    """ "21:00-08:00"; None where it is no such span, or an empty one."""
    found = _SPAN.fullmatch(words)
    if found is None:
        return None
    from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
    begins, ends = time(from_hour, from_minute), time(to_hour, to_minute)
    return Quiet(begins, ends, zone) if begins != ends else None
