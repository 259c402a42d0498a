"""A process that holds a log and is killed, by itself and for good, at one point after another of what it does.

Run as `python -m tests.civic.filer DIRECTORY SCENARIO STEP [CONNINFO]`. For n = 1, 1 + STEP, … it forks a child that
works below `DIRECTORY/n` and ends by SIGKILL just before the n-th thing that leaves a trace: a statement that writes,
or a file flushed or moved. It stops at the first child that lives to the end. With CONNINFO (libpq's keywords, as JSON)
the store is in PostgreSQL, each child's in a database of its own, called as the child. What a child signed and what it
was answered is written down at once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import trio
from psycopg.conninfo import make_conninfo

from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal
from p2pworld.merkle.note import NoteSignature, NoteSigner
from shard_node.civic.folder import PublishedLog
from tests.civic.kept import file_all, held, keep_in_postgres
from tests.merkle.signed import LOG, ORIGIN

SIGNED, ANSWERED = "signed", "answered"
WRITING = ("BEGIN", "CREATE", "INSERT", "UPDATE", "COPY", "COMMIT", "PRAGMA wal_checkpoint")


class Telling(NoteSigner):
    """The log's signer, which writes down what it signs before it does."""

    def __init__(self, path: Path) -> None:
        super().__init__(ORIGIN, Signer.from_seed(bytes([1]) * 32))
        assert self.key == LOG.key
        self._path = path

    def sign(self, text: str, time_s: int = 0) -> NoteSignature:
        tell(self._path, text.replace("\n", "|"))
        return super().sign(text, time_s)


def tell(path: Path, line: str) -> None:
    """Add a line, in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def die_at(point: int) -> None:
    """From now on, die just before the `point`-th thing that leaves a trace."""
    points = count(1)

    def reach() -> None:
        if next(points) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(statement: str) -> None:
        if statement.lstrip().startswith(WRITING):
            reach()

    def wrapped(name: str) -> Any:
        own = getattr(os, name)

        def call(*args: Any) -> Any:
            reach()
            return own(*args)

        return call

    connect: Any = sqlite3.connect

    def connected(*args: Any, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **options)
        db.set_trace_callback(traced)
        return db

    def asked(name: str) -> Any:
        own = getattr(psycopg.Cursor, name)

        def call(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
            traced(str(query))
            return own(cursor, query, *args, **options)

        return call

    setattr(sqlite3, "connect", connected)  # noqa: B010
    for name in ("execute", "copy"):
        setattr(psycopg.Cursor, name, asked(name))
    for name in ("fsync", "replace"):
        setattr(os, name, wrapped(name))


async def live(directory: Path, epoch: int, *batches: list[int]) -> None:
    """Hold the log and file these, one batch after the other."""
    async with held(directory, epoch, Telling(directory / SIGNED)) as holder:
        for numbers in batches:
            for number, answer in (await file_all(holder, numbers)).items():
                assert not isinstance(answer, Refusal)
                tell(directory / ANSWERED, f"{number} {answer.index}")


def child(point: int, directory: Path, epoch: int, *batches: list[int]) -> bool:
    """Whether a child that dies at this point (0: at none) came to its end."""
    pid = os.fork()
    if pid == 0:
        die_at(point)
        trio.run(live, directory, epoch, *batches)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL)
    return status == 0


def begin(directory: Path, copied: Path | None, conninfo: dict[str, str] | None) -> None:
    """A place to live in: a new one, or a copy of what another one left."""
    if copied is None:
        directory.mkdir()
    else:
        shutil.copytree(copied, directory)
    if conninfo is not None:
        like = "template0" if copied is None else f'"{copied.name}"'
        with psycopg.connect(make_conninfo(**conninfo), autocommit=True) as db:
            db.execute(f'CREATE DATABASE "{directory.name}" TEMPLATE {like} STRATEGY FILE_COPY')
        keep_in_postgres(directory, conninfo | {"dbname": directory.name})


def main(base: Path, scenario: str, step: int, conninfo: dict[str, str] | None) -> None:
    """Kill children of one scenario: a `new` log, or one that `goes-on` and has its folder to write anew."""
    start = base / "start"
    begin(start, None, conninfo)
    if scenario == "goes-on":
        assert child(0, start, 1, [0, 1])
        shutil.rmtree(PublishedLog(start / "log").path)
    for point in count(1, step):
        begin(base / str(point), start, conninfo)
        if child(point, base / str(point), 2, [0, 2, 3]):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *map(json.loads, sys.argv[4:] or ["null"]))
