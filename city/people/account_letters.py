"""Letters to the staff about their own login, as they are asked for. notifications.account_email sends them.

They wait whether the address is somebody's or nobody's, and only whoever writes them looks: so no answer
of a page, and no moment that it takes, tells who works for the city. What a letter says is the caller's.
"""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from city.db.models import AccountLetter

(CODE, CLOSED, LINK) = ("code", "closed", "link")


def add(
    s: Session, email: str, kind: str, *, lang: str, at: datetime, facts: dict[str, Any] | None = None
) -> None:
    """Lets a letter go out as soon as this is committed. `facts` are ids of what it is about, no words."""
    s.add(AccountLetter(email=email, kind=kind, lang=lang, facts=facts or {}, made_at=at, next_try_at=at))
