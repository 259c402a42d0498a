"""One connection to PostgreSQL and the thread that uses it: psycopg on Trio, with a deadline for every call.

A call that takes too long has its socket shut down under it, since the server may be paused or its host gone. A commit
is certain or it is an error; errors become a code to count and one sentence, in which no password stands.
"""

from __future__ import annotations

import os
import re
import select
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import psycopg
import trio
from psycopg.conninfo import make_conninfo

from p2pworld.errors import LocalError
from shard_node.coordination.interface import CoordinationDown, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Db", "Lane", "commit", "one_line"]

_CONNECT_S: Final = 2  # libpq takes no less, for each host that is named
_SERVER_S: Final = 5  # what a vanished node has begun ends at the server after this
_LOCK_PART: Final = 0.8  # of a call, to wait for others' locks
_BACKOFF_S: Final = (0.0, 0.1, 0.2, 0.4, 0.8)  # before connecting, by how many failed in a row

_DEFAULTS: Final = {
    "application_name": "p2pworld",
    "connect_timeout": str(_CONNECT_S),
    "target_session_attrs": "read-write",
}
# no compiler: it takes 40 ms for the read of a few rows whose number the planner has not learnt yet
_SESSION: Final = """
SELECT set_config('synchronous_commit',
                  CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END,
                  false),
       set_config('jit', 'off', false),
       set_config('lock_timeout', %(lock_ms)s, false),
       set_config('statement_timeout', %(server_ms)s, false),
       set_config('idle_in_transaction_session_timeout', %(server_ms)s, false)
"""

T = TypeVar("T")
Db = psycopg.Connection[Any]


class Lane:
    """One connection and the one thread at a time that uses it.

    Calls use the tables of `schema`, and may raise `raises` beside what a coordination store does.
    """

    def __init__(
        self,
        conninfo: dict[str, str],
        call_s: float,
        schema: str = "p2pworld",
        raises: tuple[type[Exception], ...] = (),
    ) -> None:
        self._conninfo = conninfo
        self._turned = False  # another host is to be tried first
        self._call_s = call_s
        self._schema = schema
        self._raises: tuple[type[Exception], ...] = (CoordinationDown, OutcomeUnknown, LocalError, *raises)
        self._turn = trio.Lock()
        self._closed = False
        self._failures = 0
        self._connection: Db | None = None
        self._guard = threading.Lock()  # of what follows: a closed socket's number may be another one's next
        self._at_work: Db | None = None

    async def run(self, call: Callable[[Db], T]) -> T:
        """The result of `call`, within the time a call may take once it is connected.

        Raises:
            CoordinationDown: for what the database said.
            CoordinationDown, OutcomeUnknown, LocalError, and what else this lane's calls may raise: as `call` does.
        """
        async with self._turn:
            if self._connection is None and self._failures:
                await trio.sleep(_BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)])
            await trio.to_thread.run_sync(self._connected)
            watch = trio.CancelScope(shield=True)  # a caller that is cancelled waits for the thread, too
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cut_off, watch)
                try:
                    answer = await trio.to_thread.run_sync(self._call, call)
                finally:
                    watch.cancel()
        if isinstance(answer, _Raised):
            raise answer.error
        return answer

    def turn(self) -> None:
        """The next call connects anew, to the hosts after the first if several are named: this one is of no use."""
        lists = {name: self._conninfo.get(name, "").split(",") for name in ("host", "hostaddr", "port")}
        count = max(len(values) for values in lists.values())
        if count > 1:
            turned = {
                name: ",".join(values[1:] + values[:1]) for name, values in lists.items() if any(values)
            }
            self._conninfo = self._conninfo | turned
            self._turned = True

    async def close(self) -> None:
        self._closed = True
        async with self._turn:
            await trio.to_thread.run_sync(self._drop)

    async def _cut_off(self, watch: trio.CancelScope) -> None:
        """When the time is up, shut the socket down: the thread that waits for it finds it closed."""
        with watch:
            await trio.sleep(self._call_s)
            with self._guard:
                if self._at_work is not None and not self._at_work.closed:
                    with socket.socket(fileno=os.dup(self._at_work.fileno())) as same:
                        same.shutdown(socket.SHUT_RDWR)

    # ---- in the worker thread

    def _connected(self) -> None:
        if self._closed:
            raise CoordinationDown("closed", "the coordination store has been closed")
        if self._turned:
            self._turned = False
            self._drop()
        if self._connection is not None:
            if not select.select([self._connection], [], [], 0)[0]:
                return
            self._drop()  # an idle server says nothing but that it ends
        try:
            db = psycopg.connect(
                make_conninfo(**(_DEFAULTS | self._conninfo)),
                autocommit=True,
                prepare_threshold=None,  # a pooler may stand between
            )
        except psycopg.Error as error:
            self._failures += 1
            raise _not_connected(error) from None
        try:
            lock_ms, server_ms = round(self._call_s * _LOCK_PART * 1_000), _SERVER_S * 1_000
            db.execute(_SESSION, {"lock_ms": str(lock_ms), "server_ms": str(server_ms)})
        except psycopg.Error as error:
            db.close()
            self._failures += 1
            raise _failed(error, self._schema) from None
        self._failures = 0
        self._connection = db

    def _call(self, call: Callable[[Db], T]) -> T | _Raised:
        db = self._connection
        assert db is not None
        with self._guard:
            self._at_work = db
        try:
            return call(db)
        except psycopg.Error as error:
            return _Raised(_failed(error, self._schema))
        except self._raises as error:
            return _Raised(error)
        finally:
            with self._guard:
                self._at_work = None
                if db.closed or db.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
                    self._drop()

    def _drop(self) -> None:
        db, self._connection = self._connection, None
        if db is not None:
            db.close()


class _Raised(NamedTuple):
    """What a call raised, carried out of its thread past the nursery that would wrap it."""

    error: Exception


def commit(db: Db) -> None:
    """Commit for certain, or raise psycopg.Error.

    A wait for a synchronous standby that somebody cancels is a mere warning to PostgreSQL; here it is a failure.
    """
    warnings: list[str] = []

    def noticed(notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            warnings.append(notice.message_primary or "")

    db.add_notice_handler(noticed)
    try:
        done = db.execute("COMMIT").statusmessage
    finally:
        db.remove_notice_handler(noticed)
    if done != "COMMIT" or warnings:
        raise psycopg.OperationalError(f"the commit ended with {done} {warnings}")


# ---- what went wrong, as a code and a sentence

_BY_STATE: Final = (  # SQLSTATE or its class
    ("53100", "full", "is full: its disk has no room"),
    ("53", "busy", "has too much to do"),
    ("55P03", "busy", "is held up by another transaction"),
    ("57014", "busy", "was too slow"),
    ("40", "busy", "has another transaction in the way"),
    ("42501", "denied", "does not let this user read and write schema {schema}, or create it"),
    ("28", "denied", "does not let this user in"),
    ("3D000", "not_a_store", "has no such database"),
    ("42", "not_a_store", "has another program's tables in schema {schema}"),
    ("XX001", "corrupt", "is damaged; restore it from a copy"),
    ("XX002", "corrupt", "is damaged; restore it from a copy"),
)
_BY_TEXT: Final = (  # while connecting, libpq tells the server's text and nothing else
    (
        r"password authentication failed|no pg_hba\.conf entry|role \S+ does not exist|no password supplied",
        "denied",
    ),
    (r"authentication failed|permission denied for database", "denied"),
    (r"database \S+ does not exist", "not_a_store"),
    (r"certificate|SSL error|does not support SSL", "untrusted"),
    (r"too many clients|remaining connection slots", "busy"),
)


def one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:300]


def _failed(error: psycopg.Error, schema: str) -> CoordinationDown:
    state = error.sqlstate or ""
    for prefix, reason, what in _BY_STATE:
        if state.startswith(prefix):
            return CoordinationDown(reason, f"PostgreSQL {what.format(schema=schema)}: {one_line(error)}")
    return CoordinationDown("io", f"PostgreSQL failed: {one_line(error)}")


def _not_connected(error: psycopg.Error) -> CoordinationDown:
    text = one_line(error)
    reason = next((reason for pattern, reason in _BY_TEXT if re.search(pattern, text)), "io")
    return CoordinationDown(reason, f"PostgreSQL cannot be reached: {text}")
