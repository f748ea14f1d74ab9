"""E-mail: a letter goes to the city's mail server, or into a folder. What it says is the caller's."""

import copy
import mailbox
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit

from city.notifications.sender import PermanentFailure, Sender
from city.settings import Settings

SMTP_SECONDS = 20
NOBODY = (550, 551, 553)  # of RFC 5321: no such mailbox
POLICY = b"5.7."  # of RFC 3463: the server does not trust us, which says nothing of the mailbox


def open_sender(settings: Settings) -> Sender:
    """The mailer of the setting SMTP_URL."""
    return open_mailer(settings.smtp_url)


def open_mailer(url: str) -> Sender:
    """The mailer for `file:/folder` (a Maildir, for trying out) or `smtp(s)://user:word@host:port`."""
    return MaildirMailer(Path(url[5:])) if url.startswith("file:") else SmtpMailer(url)


class MaildirMailer:
    """Puts messages into a Maildir that any mail program can open."""

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._box = mailbox.Maildir(folder, create=True)

    def send(self, message: EmailMessage) -> None:
        self._box.add(_readable(message))


def _readable(message: EmailMessage) -> EmailMessage:
    """The letter as it can be read in its file: quoted-printable would break its links at the line's end."""
    shown = copy.deepcopy(message)
    for part in shown.walk():
        if part.get_content_maintype() != "text":
            continue
        language = part["Content-Language"]
        part.set_content(part.get_content(), subtype=part.get_content_subtype(), cte="8bit")
        if language:
            part["Content-Language"] = language
    return shown


class SmtpMailer:
    """Hands messages to the city's mail server, one connection a message."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    def send(self, message: EmailMessage) -> None:
        smtp = self._connection()
        try:
            self._greet(smtp)
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as refused:
            if all(code in NOBODY and POLICY not in said for code, said in refused.recipients.values()):
                raise PermanentFailure("; ".join(map(str, refused.recipients.values()))) from refused
            raise
        finally:
            # The letter is taken or not by now: a server that is rude at parting must not get it twice.
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            smtp.close()

    def _connection(self) -> smtplib.SMTP:
        if self._url.scheme == "smtps":
            return smtplib.SMTP_SSL(context=ssl.create_default_context(), timeout=SMTP_SECONDS)
        return smtplib.SMTP(timeout=SMTP_SECONDS)

    def _greet(self, smtp: smtplib.SMTP) -> None:
        secure = self._url.scheme == "smtps"
        smtp.connect(self._url.hostname or "localhost", self._url.port or (465 if secure else 25))
        smtp.ehlo_or_helo_if_needed()
        # A password never goes over an open line, and words only if need be.
        if not secure and (self._url.username or smtp.has_extn("starttls")):
            smtp.starttls(context=ssl.create_default_context())
        if self._url.username:
            smtp.login(unquote(self._url.username), unquote(self._url.password or ""))
