"""How often somebody tried something within the hour, counted in the database: every process counts alike."""

import hashlib
import hmac
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from city.db.models import RateLimitHit

SPAN = timedelta(hours=1)
# A household or a phone network's exit is one caller: the prefixes within which an address can be changed
# at will (RFC 6177 gives a site a /48; a /24 is the smallest block that is routed).
PREFIXES: Final = {4: 24, 6: 48}


def network(told: str | None) -> str:
    """The network that an address belongs to, such as 203.0.113.0/24."""
    told = told or "127.0.0.1"
    try:
        address = ip_address(told)
    except ValueError:  # a proxy that names ports, or nobody
        return told[:60]
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network((address, PREFIXES[address.version]), strict=False))


def source(secret: str, told: str | None) -> str:
    """What is kept of a caller's network: enough to count by, and no address."""
    return hmac.new(secret.encode(), b"source:" + network(told).encode(), hashlib.sha256).hexdigest()


def counted(s: Session, what: str, source: str, at: datetime) -> int:
    """How often within the last hour; `source` "" counts everybody."""
    asked = (
        select(func.count())
        .select_from(RateLimitHit)
        .where(RateLimitHit.what == what, RateLimitHit.at > at - SPAN)
    )
    return s.scalar(asked.where(RateLimitHit.source == source) if source else asked) or 0


def wait(s: Session, what: str, source: str, at: datetime) -> int:
    """Seconds until the oldest of the last hour no longer counts."""
    first = s.scalar(
        select(func.min(RateLimitHit.at)).where(
            RateLimitHit.what == what, RateLimitHit.source == source, RateLimitHit.at > at - SPAN
        )
    )
    return max(1, int((first + SPAN - at).total_seconds()) + 1) if first else int(SPAN.total_seconds())


def count_one(s: Session, what: str, source: str, at: datetime) -> None:
    """Counts one more."""
    s.add(RateLimitHit(what=what, source=source, at=at))
    s.flush()


def sweep(s: Session, at: datetime) -> int:
    """Forgets what is older than the hour; returns how many."""
    gone = s.execute(delete(RateLimitHit).where(RateLimitHit.at <= at - SPAN))
    return int(getattr(gone, "rowcount", 0))
