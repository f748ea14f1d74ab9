"""What every server of the tests would work out anew, worked out once before they are started: see nursery.

Packing the static files as small as they go, making an application and compiling its statements and pages
takes longer than all that a test asks for. CITYLINE_WARM is the folder of a Larkhaven at which residents and
staff look here, and nobody after them.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import once  # noqa: F401
from flask import Flask
from jinja2 import FileSystemBytecodeCache

from city import settings as city_settings
from city.db import engine as db
from city.people import accounts, sessions
from pwa.app import create_app
from pwa.web import pwa_shell

VISITS = {
    "": ("/", "/report", "/report?service=light-out", "/cases", "/login", "/readyz"),
    "crew1@demo.test": ("/crew",),
    "dispatcher@demo.test": ("/dispatch",),
}


def pack() -> None:
    for file in pwa_shell.STATIC.rglob("*"):
        if file.suffix in (".js", ".css", ".svg", ".json"):
            pwa_shell._squeezed(pwa_shell._text(file.relative_to(pwa_shell.STATIC).as_posix()), "br")


def look_around(var: Path) -> None:
    app = create_app(city_settings.read({"CITYLINE_VAR": str(var)}))
    engine = app.extensions["cityline"].engine
    for email, paths in VISITS.items():
        client = app.test_client()
        if email:
            with db.transaction(engine) as s:
                person = accounts.by_email(s, email)
                assert person
                token = sessions.begin(s, person, datetime.now(UTC), how="code")
            with client.session_transaction() as session:
                session["login"] = token
        for path in paths:
            client.get(path)
    engine.dispose()


Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
pack()
if "CITYLINE_WARM" in os.environ:
    look_around(Path(os.environ["CITYLINE_WARM"]))
