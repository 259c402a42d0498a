"""A real PostgreSQL for tests and benchmarks: on a free loopback port, in a folder of its own, run by an ordinary user.

It syncs nothing to its disk (the machine does not crash, processes do) unless it is to be `durable`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.conninfo import make_conninfo

from simulations.processes import die_with_parent, free_ports

__all__ = ["PASSWORD", "NoPostgres", "PostgresServer", "Standby", "programs"]

READY_S = 120.0
POLL_S = 0.02
MEMORY = "/dev/shm"
MEMORY_BYTES = 1 << 30
PASSWORD = "p0stgres"
NOT_FOR_ROOT = "postgres"


class NoPostgres(Exception):
    """This machine has none; the message says what to install."""


def programs() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        NoPostgres: there is none, or nobody who may run it.
    """
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            if os.geteuid() == 0 and not any(user.pw_name == NOT_FOR_ROOT for user in pwd.getpwall()):
                break
            return folder
    raise NoPostgres("NO POSTGRESQL: install Debian's postgresql (or any PostgreSQL 12 or newer)")


def _memory() -> str | None:
    """A file system in memory with room for a few clusters of 60 MB, if there is one: a cluster is a thousand files."""
    try:
        return (
            MEMORY if shutil.disk_usage(MEMORY).free >= MEMORY_BYTES and os.access(MEMORY, os.W_OK) else None
        )
    except OSError:
        return None


class PostgresServer:
    """One server; as a context it runs, and is gone with its data afterwards."""

    def __init__(self, *, durable: bool = False) -> None:
        self.programs = programs()
        place = None if durable else _memory()
        self.folder = Path(tempfile.mkdtemp(prefix="p2pworld-postgres-", dir=place))
        self.data = self.folder / "data"
        (self.port,) = free_ports(1)
        self.settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if durable else "off",
            "synchronous_commit": "off",  # a node asks for more by itself
            "shared_buffers": "16MB",
            "max_connections": "60",
            "log_min_messages": "warning",
        }
        self.environment = dict(os.environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to be run by root
            self._as_user = {"user": NOT_FOR_ROOT, "group": NOT_FOR_ROOT, "extra_groups": []}
            self.own(self.folder)

    def own(self, *paths: Path) -> None:
        """Give files to the user that runs the server."""
        if self._as_user:
            for path in paths:
                shutil.chown(path, NOT_FOR_ROOT, NOT_FOR_ROOT)

    def conninfo(self, database: str = "postgres", **more: str) -> dict[str, str]:
        """How libpq reaches one of its databases as the superuser, unless `more` says else."""
        there = {"host": "127.0.0.1", "port": str(self.port), "dbname": database}
        return there | {"user": "postgres", "password": PASSWORD} | more

    def make(self) -> None:
        """Make the empty cluster."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        self.own(secret)
        subprocess.run(
            [
                *(str(self.programs / "initdb"), "--pgdata", str(self.data), "--username", "postgres"),
                *("--auth", "scram-sha-256", "--pwfile", str(secret), "--encoding", "UTF8"),
                *("--locale", "C", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **self._as_user,
        )

    def start(self) -> None:
        """Start it (again) on the same port and data, and wait until it answers."""
        arguments = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
                **self._as_user,
            )
        until_s = time.monotonic() + READY_S
        while True:
            try:
                psycopg.connect(make_conninfo(**self.conninfo(connect_timeout="2"))).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, f"PostgreSQL has ended:\n{self.log_tail()}"
                assert time.monotonic() < until_s, f"PostgreSQL does not come up:\n{self.log_tail()}"
                time.sleep(POLL_S)
            else:
                return

    def set(self, name: str, value: str) -> None:
        """Change a setting while it runs."""
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """One statement by the superuser, as any other program would put it."""
        with psycopg.connect(make_conninfo(**self.conninfo(database)), autocommit=True) as db:
            cursor = db.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def signal_all(self, number: int) -> None:
        """Send every process of the server a signal."""
        assert self._process is not None
        pids = [self._process.pid]
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = status.read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == self._process.pid:
                pids.append(int(status.parent.name))
        for pid in pids:
            with suppress(ProcessLookupError):  # it was just ending
                os.kill(pid, number)

    def kill(self) -> None:
        """End it as a crash does: nothing is finished, clients are cut off."""
        if self._process is not None:
            self.signal_all(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def log_tail(self) -> str:
        log = self.folder / "log"
        return log.read_text(errors="replace")[-2_000:] if log.exists() else ""

    def __enter__(self) -> Self:
        with ExitStack() as undone:
            undone.callback(self.__exit__)
            self.make()
            self.start()
            undone.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Standby(PostgresServer):
    """A streaming standby of a server that runs, which knows it by this name."""

    NAME = "standby"

    def __init__(self, primary: PostgresServer, *, durable: bool = False) -> None:
        super().__init__(durable=durable)
        self._primary = primary
        self.settings |= {"wal_retrieve_retry_interval": "50ms"}

    def make(self) -> None:
        """Make it from a copy of the primary, taken while that runs."""
        subprocess.run(
            [
                *(str(self.programs / "pg_basebackup"), "--pgdata", str(self.data), "--write-recovery-conf"),
                *("--dbname", make_conninfo(**self._primary.conninfo(application_name=self.NAME))),
                *("--checkpoint", "fast", "--no-sync"),
            ],
            check=True,
            cwd=self.folder,
            **self._as_user,
        )
