"""What the senders of all channels have in common: each takes one message, or says in a word why not."""

from typing import Any, Protocol


class PermanentFailure(Exception):
    """It will never arrive: the other end says that there is nobody. Trying again is of no use."""


class SubscriptionGone(Exception):
    """Whoever wanted to hear there does not any more: the wish itself ends."""


class Sender(Protocol):
    """What sends by one channel. What it takes is the channel's own: a letter, a note, a text.

    Raises PermanentFailure or SubscriptionGone; any other fault is one that passes, and the message is tried
    again.
    """

    def send(self, what: Any) -> None: ...
