"""The addresses that letters are answered to: the city's own mailbox, and behind "+" what a letter is about.

That part is signed, so whoever answers need not log in, and nobody can make one up. Mail programs and servers
change the case of letters, so there are small ones and digits only.
"""

import hashlib
import hmac
import re
from typing import Final

REPORT, ENTRY = "r", "e"  # what a letter was about: a report, or an entry of the inbox
LETTERS: Final = 32  # of the signature: 128 bits
_TAG: Final = re.compile(rf"([{REPORT}{ENTRY}])([0-9]{{1,15}})-([0-9a-f]{{{LETTERS}}})")


def signed(mailbox: str, secret: str, kind: str, number: int) -> str:
    """The address for answers about a report or an entry (its id); "" where the city has no `mailbox`."""
    if not mailbox:
        return ""
    name, _at, host = mailbox.rpartition("@")
    return f"{name}+{kind}{number}-{_signature(secret, kind, number)}@{host}"


def read(address: str, mailbox: str, secret: str) -> tuple[str, int] | None:
    """The kind and the id that an address was signed for; None for any other."""
    name, _at, host = mailbox.lower().rpartition("@")
    local, _at, its_host = address.lower().rpartition("@")
    base, _plus, tag = local.partition("+")
    found = _TAG.fullmatch(tag)
    if (base, its_host) != (name, host) or found is None:
        return None
    kind, number = found[1], int(found[2])
    return (kind, number) if hmac.compare_digest(found[3], _signature(secret, kind, number)) else None


def is_ours(address: str, mailbox: str) -> bool:
    """Whether mail to `address` is the city's, with something behind a "+" or not."""
    name, _at, host = mailbox.lower().rpartition("@")
    local, _at, its_host = address.lower().rpartition("@")
    return (local.partition("+")[0], its_host) == (name, host)


def _signature(secret: str, kind: str, number: int) -> str:
    told = f"reply:{kind}:{number}"
    return hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()[:LETTERS]
