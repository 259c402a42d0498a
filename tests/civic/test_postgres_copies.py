"""A civic database that its operator has dumped and restored: it takes nothing, and is brought up to its log."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import trio
from psycopg.conninfo import make_conninfo

from p2pworld.civic.log import Stage
from p2pworld.civic.transaction import open_sealed
from p2pworld.crypto.seal import sealing_public, secret_text
from shard_node import doctor
from shard_node.civic.postgres import PostgresCivicStore, Server
from tests.civic.conformance import filed
from tests.civic.kept import (
    Counts,
    check_receipts,
    file_all,
    held,
    holder_of,
    keep_in_postgres,
    places,
    read_log,
)
from tests.civic.log_world import STREAM, submission
from tests.civic.test_copies import CIVIC, civic, live
from tests.civic.test_postgres_store import files_with
from tests.patience import PATIENCE_S
from tests.shard_node.test_config import GOOD

if TYPE_CHECKING:
    from pathlib import Path

    from p2pworld.errors import Refusal
    from p2pworld.merkle.receipt import Receipt
    from tests.coordination.postgres_server import PostgresServer

NAME = "dumped"
AT_MOST_S = PATIENCE_S
STORE = 'store = {{ dsn = "host=127.0.0.1 port={} dbname={}", user = "postgres", password_env = "CIVIC_PASSWORD" }}'


@pytest.fixture
def home(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's folder, of which the log is kept in an empty database."""
    created(postgres)
    keep_in_postgres(tmp_path, postgres.conninfo(NAME))
    monkeypatch.setenv("CIVIC_PASSWORD", postgres.conninfo()["password"])
    text = GOOD.replace('path = "city.sqlite"', 'path = "coordination.sqlite"')
    store = STORE.format(postgres.port, NAME)
    (tmp_path / "node.toml").write_text(text + CIVIC.replace('store = "civic.sqlite"', store))
    for name in ("node.pem", "grant.txt"):
        (tmp_path / name).touch()
    (tmp_path / "log.key").write_text(bytes([1] * 32).hex())
    (tmp_path / "published").mkdir()
    (tmp_path / "log").mkdir()
    (tmp_path / "published" / STREAM).symlink_to(tmp_path / "log")
    return tmp_path


def created(server: PostgresServer) -> None:
    server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    server.execute(f"CREATE DATABASE {NAME} STRATEGY FILE_COPY")


def run(server: PostgresServer, program: str, *arguments: str) -> None:
    subprocess.run([str(server.programs / program), *arguments], check=True, timeout=AT_MOST_S)


def dumped(server: PostgresServer, path: Path) -> None:
    run(server, "pg_dump", "--format=custom", f"--file={path}", make_conninfo(**server.conninfo(NAME)))


def restored(server: PostgresServer, path: Path) -> None:
    created(server)
    run(server, "pg_restore", f"--dbname={make_conninfo(**server.conninfo(NAME))}", str(path))


def held_again(home: Path, epoch: int) -> tuple[Stage, list[str]]:
    """How a holder of this epoch ends that finds what is there, and its alarms."""

    async def hold() -> tuple[Stage, list[str]]:
        where, meter = places(home), Counts()
        with trio.fail_after(AT_MOST_S):
            stage = await holder_of(where, epoch, meter=meter).run()
        await where.store.close()
        return stage, meter.alarms

    return trio.run(hold)


def answered(home: Path, epoch: int, *numbers: int) -> dict[int, Receipt | Refusal]:
    """What the holder of this epoch answers to these."""

    async def ask() -> dict[int, Receipt | Refusal]:
        async with held(home, epoch) as holder:
            return await file_all(holder, numbers)

    return trio.run(ask)


def test_a_restored_database_takes_nothing_before_it_is_brought_up_to_its_log(
    home: Path, postgres: PostgresServer
) -> None:
    live(home, 1, *range(5))
    before = check_receipts(home, answered(home, 2, *range(5)))
    dumped(postgres, home / "dump")
    live(home, 3, *range(5, 8), erased=(1, 6))
    restored(postgres, home / "dump")
    assert held_again(home, 4) == (Stage.READ_ONLY, ["log-behind"])
    code, said = civic(home, "fsck")
    assert code == 4
    assert "It has 5 entries, and 10 are published" in said
    code, said = civic(home, "reconcile", "--json")
    assert code == 4  # what was sealed with entries 5 and 7 is lost; that of 6 was erased anyway
    assert [one["index"] for one in json.loads(said)[STREAM]] == [5, 7]
    code, said = civic(home, "fsck")
    assert (code, said.rstrip()) == (
        0,
        f"PostgreSQL, database {NAME}: jongno 10; 4 sealed, 1 erased, 3 lost; 0 faults",
    )
    assert civic(home, "reconcile")[0] == 0  # once more there is nothing to do
    after = answered(home, 5, *range(9))
    assert before.items() <= check_receipts(home, after).items()
    assert len(read_log(home)) == 11

    async def sealed() -> list[bool]:
        store = places(home).store
        found = [await store.sealed(STREAM, index) is not None for index in range(6)]
        assert await store.check() == []
        await store.close()
        return found

    assert trio.run(sealed) == [True, False, True, True, True, False]


def test_the_doctor_asks_the_server(
    home: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> str:
        found = trio.run(doctor.examine, home / "node.toml")
        (finding,) = [each for each in found if each.about == "civic"]
        return f"{finding.ok}: {finding.sentence}"

    assert "log.key can be read by others: chmod 600" in said()
    (home / "log.key").chmod(0o600)
    assert said() == "False: fsync is off in PostgreSQL, so what is accepted may be lost: turn it on."
    monkeypatch.setattr(PostgresCivicStore, "server", lambda _: answered_with(Server(copies=1, flushes=True)))
    assert said() == "True: logs may be held here; each commit is on 1 disk(s) in PostgreSQL."
    text = (home / "node.toml").read_text()
    (home / "node.toml").write_text(text.replace("password_env", "copies = 2, password_env"))
    assert "on 1 disk(s), and civic.store.copies is 2" in said()
    assert postgres.execute("SELECT to_regnamespace('p2pworld_civic')", NAME) == [(None,)]  # nothing was made


async def answered_with(server: Server) -> Server:
    return server


def test_an_office_changes_its_key_and_the_old_wraps_are_gone(home: Path, postgres: PostgresServer) -> None:
    live(home, 1, *range(4), erased=(2,))
    new_secret = bytes([43]) * 32
    (home / "office.key").write_text(secret_text(bytes([40]) * 32))
    rewrap = ("rewrap", STREAM, "--old", home / "office.key", "--new", sealing_public(new_secret).hex())
    old = [each.wraps[0].key for number in range(4) if (each := submission(number).sealed)]
    assert [bool(files_with(postgres, key, NAME)) for key in old] == [True, True, False, True]
    code, said = civic(home, *rewrap)
    assert (code, "jongno: 3 were wrapped" in said) == (0, True)
    assert not any(files_with(postgres, key, NAME) for key in old)
    assert civic(home, *rewrap)[1].startswith("jongno: 0 were wrapped")

    async def look() -> None:
        store = places(home).store
        assert await store.check() == []
        for number in (0, 1, 3):
            kept = await store.sealed(STREAM, number)
            assert kept is not None
            assert open_sealed(submission(number).filing, kept, new_secret)
        await store.close()

    trio.run(look)


def test_what_a_garbled_or_foreign_database_is_is_said_with_its_place(
    home: Path, postgres: PostgresServer
) -> None:
    live(home, 1, 0, 1, 2)
    assert civic(home, "fsck")[0] == 0
    postgres.execute("UPDATE p2pworld_civic.entry SET leaf = leaf || '!' WHERE number = 1", NAME)
    code, said = civic(home, "fsck")
    assert code == 4
    assert "wrong  entry 1 of stream 1: " in said
    assert "wrong  stream jongno: In the civic store entry 1 of stream 1 is damaged." in said
    created(postgres)

    async def other() -> None:
        store = places(home).store
        await filed(store, await store.fence(STREAM, 9), 5)
        await store.close()

    trio.run(other)
    code, said = civic(home, "reconcile")
    assert code == 2
    assert "a fork" in said
    postgres.kill()
    try:
        code, said = civic(home, "fsck")
    finally:
        postgres.start()
    assert code == 2
    assert "PostgreSQL cannot be reached" in said
    code, said = civic(home, "backup", home / "copy")
    assert code == 2
    assert "with the server's own programs" in said
