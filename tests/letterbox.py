"""Letters as their readers see them."""

from email.message import EmailMessage


def text(letter: EmailMessage) -> str:
    """The plain text of a letter that comes as HTML too."""
    return _part(letter, "plain")


def html(letter: EmailMessage) -> str:
    """The HTML of it."""
    return _part(letter, "html")


def _part(letter: EmailMessage, kind: str) -> str:
    part = letter.get_body(preferencelist=(kind,))
    assert part is not None
    return str(part.get_content())
