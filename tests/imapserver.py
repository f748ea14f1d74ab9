"""A real mailbox: Dovecot on a port of loopback, with one user and one folder."""

import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

USER, WORD = "311", "a word: with / and @"
OWNER = "mail"  # Dovecot keeps no mail as root
STARTED_WITHIN = 30.0
CONFIGURATION = """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
mail_driver = maildir
mail_path = {folder}/mail
ssl = no
auth_allow_cleartext = yes
first_valid_uid = 1
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb static {{
  password = "{word}"
}}
userdb static {{
  fields {{
    uid = {owner}
    gid = {owner}
    home = {folder}
  }}
}}
"""


class Mailbox(NamedTuple):
    """A mailbox that runs; `open` logs in as a person's mail program does."""

    port: int

    def open(self) -> imaplib.IMAP4:
        box = imaplib.IMAP4("127.0.0.1", self.port, timeout=STARTED_WITHIN)
        box.login(USER, WORD)
        box.select("INBOX")
        return box

    def put(self, raw: bytes) -> None:
        with self.open() as box:
            box.append("INBOX", "", "", raw)

    def flags(self) -> list[str]:
        """Of each mail its marks, in order, without what only tells of this session."""
        with self.open() as box:
            _status, found = box.fetch("1:*", "(FLAGS)")
            flags = [imaplib.ParseFlags(each) for each in found if isinstance(each, bytes)]
            return [" ".join(sorted(one.decode() for one in each if one != rb"\Recent")) for each in flags]


@contextmanager
def mailbox(folder: Path) -> Iterator[Mailbox]:
    """Starts it in an empty folder; skips the test where there is no Dovecot that knows our configuration."""
    program = shutil.which("dovecot")
    if program is None or os.geteuid() != 0 or _version(program) < (2, 4):
        pytest.skip("no Dovecot 2.4, or not root")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "mail").mkdir()
    owner = pwd.getpwnam(OWNER)
    os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
    for each in [folder, *folder.parents]:
        if not each.stat().st_mode & 1:
            each.chmod(each.stat().st_mode | 0o111)
    written = folder / "dovecot.conf"
    written.write_text(CONFIGURATION.format(folder=folder, port=port, word=WORD, owner=OWNER))
    running = subprocess.Popen([program, "-F", "-c", str(written)])
    try:
        until = time.monotonic() + STARTED_WITHIN
        while True:
            with suppress(OSError, imaplib.IMAP4.error):
                Mailbox(port).open().logout()
                break
            if running.poll() is not None or time.monotonic() > until:
                raise AssertionError((folder / "log").read_text())
            time.sleep(0.1)
        yield Mailbox(port)
    finally:
        running.terminate()
        running.wait(STARTED_WITHIN)


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.split()[0].split("-")[0].split(".")[:2])
