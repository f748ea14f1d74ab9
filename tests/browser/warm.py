"""What every server of the tests would work out anew, worked out once before they are started: see nursery.

Packing the static files as small as they go, making an application and compiling its statements and pages
takes longer than all that a test asks for. CITYLINE_VAR is a Larkhaven to be looked at, as residents and
staff do.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask
from jinja2 import FileSystemBytecodeCache

sys.path.insert(0, str(Path(__file__).parents[1]))
import once  # noqa: F401

from city.db import engine as db
from city.people import accounts, sessions
from city.settings import read
from pwa.app import create_app
from pwa.web import pwa_shell

VISITS = {
    "": ("/", "/report", "/report?service=light-out", "/cases", "/login", "/healthz", "/readyz"),
    "crew1@demo.test": ("/crew", "/sync/v1/jobs"),
    "dispatcher@demo.test": ("/board",),
}

Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
for _file in pwa_shell.STATIC.rglob("*"):
    if _file.suffix in (".js", ".css", ".svg", ".json"):
        pwa_shell._squeezed(pwa_shell._text(_file.relative_to(pwa_shell.STATIC).as_posix()), "br")


def look(settings):
    app = create_app(settings)
    engine = app.extensions["cityline"].engine
    for email, paths in VISITS.items():
        client = app.test_client()
        if email:
            with db.transaction(engine) as s:
                token = sessions.begin(s, accounts.by_email(s, email), datetime.now(UTC), how="code")
            with client.session_transaction() as session:
                session["login"] = token
        for path in paths:
            client.get(path)
    engine.dispose()


if "CITYLINE_WARM" in os.environ:
    look(read({"CITYLINE_VAR": os.environ["CITYLINE_WARM"]}))
