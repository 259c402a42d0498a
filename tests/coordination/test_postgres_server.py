"""What PostgreSQL alone can suffer: a paused server, a COMMIT nobody knows of, a replica, a clock that jumps, TLS."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from p2pworld.world import citymap
from shard_node import coordination
from shard_node.coordination import CoordinationDown, OutcomeUnknown, postgres
from shard_node.coordination.postgres import HISTORY_KEPT, PostgresCoordination
from tests.coordination import conformance
from tests.coordination.certificates import Authority
from tests.coordination.conformance import cell, founded, lease, made, newest, registered
from tests.coordination.postgres_server import PostgresServer
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    OpenWith = Callable[..., PostgresCoordination]

CALL_S = 20.0
AT_MOST_S = PATIENCE_S
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
HOST_KEYS = ("ssl_cert_file", "ssl_key_file", "ssl_ca_file")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
async def open_with(server: PostgresServer) -> AsyncIterator[Callable[..., PostgresCoordination]]:
    server.execute("DROP SCHEMA IF EXISTS p2pworld CASCADE")
    opened: list[PostgresCoordination] = []

    def one_more(call_s: float = CALL_S, **conninfo: str) -> PostgresCoordination:
        opened.append(PostgresCoordination(server.conninfo(**conninfo), call_s=call_s, poll_s=0.002))
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()


async def refused(store: PostgresCoordination) -> CoordinationDown:
    with pytest.raises(CoordinationDown) as caught:
        await store.read(-1)
    await store.close()
    return caught.value


async def test_a_paused_server_holds_nobody_longer_than_a_call_may_take(
    server: PostgresServer, open_with: OpenWith
) -> None:
    store = open_with(call_s=0.5)
    patient = open_with()
    a, _, city = await founded(patient)
    assert await newest(store) == city
    server.signal_all(signal.SIGSTOP)
    try:
        with trio.fail_after(AT_MOST_S):
            for call in (lambda: store.renew(a), lambda: store.read(2)):
                with pytest.raises(CoordinationDown) as caught:
                    await call()
                assert (caught.value.reason, caught.value.lasting) == ("io", False)
    finally:
        server.signal_all(signal.SIGCONT)
    assert await newest(patient) == city
    assert await patient.renew(a)


async def test_a_backend_that_dies_at_its_commit_leaves_an_unknown_outcome(
    server: PostgresServer, open_with: OpenWith
) -> None:
    store = open_with()
    a, _, city = await founded(store)
    server.execute(
        "CREATE FUNCTION p2pworld.die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
    )
    server.execute(
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON p2pworld.map DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION p2pworld.die()"
    )
    following = made(citymap.split(city, cell("3")))
    with pytest.raises(OutcomeUnknown):
        await store.propose(following, 2)
    assert await newest(store) == city  # here it was not; the caller had to ask
    assert await store.renew(a)
    server.execute("DROP TRIGGER at_commit ON p2pworld.map")
    assert (await store.propose(following, 2)).ok


async def test_a_commit_that_reached_no_synchronous_standby_is_unknown(
    server: PostgresServer, open_with: OpenWith
) -> None:
    """It stands on the primary's disk and would be lost with it; to PostgreSQL a cancelled wait is but a warning."""
    store = open_with()
    _, _, city = await founded(store)
    following = made(citymap.split(city, cell("3")))

    async def propose() -> None:
        with pytest.raises(OutcomeUnknown):
            await store.propose(following, city.version)

    def cancel_the_wait() -> int:
        return len(
            server.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' "
                "AND application_name = 'p2pworld'"
            )
        )

    await trio.to_thread.run_sync(server.miss_a_standby)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(propose)
            with trio.fail_after(AT_MOST_S):
                while not await trio.to_thread.run_sync(cancel_the_wait):  # noqa: ASYNC110
                    await trio.sleep(0.01)
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
    assert await newest(store) == following


async def test_renewals_wait_for_no_proposal_that_is_held_up(
    server: PostgresServer, open_with: OpenWith
) -> None:
    store, patient = open_with(call_s=1.0), open_with()
    a, _, city = await founded(patient)
    assert await newest(store) == city
    with psycopg.connect(make_conninfo(**server.conninfo())) as other:
        other.execute("SELECT * FROM p2pworld.store FOR UPDATE")
        over = trio.Event()
        renewals = 0

        async def propose() -> None:
            with pytest.raises(CoordinationDown) as caught:
                await store.propose(made(citymap.split(city, cell("3"))), 2)
            assert caught.value.reason in ("busy", "io")
            over.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(propose)
            while not over.is_set():
                assert await patient.renew(a)
                renewals += 1
        assert renewals > 1
    assert (await patient.propose(made(citymap.split(city, cell("3"))), 2)).ok


async def test_a_replica_is_never_read(server: PostgresServer, open_with: OpenWith) -> None:
    store = open_with()
    a, _, city = await founded(store)
    signal_file = server.data / "standby.signal"
    server.kill()
    signal_file.touch()
    server.own(signal_file)
    server.start()
    try:
        for attributes in ("read-write", "any"):
            replica = open_with(target_session_attrs=attributes)
            with pytest.raises(CoordinationDown):
                await replica.renew(a)
            down = await refused(replica)
            assert (down.reason, down.lasting) == ("io", False)
            assert "read-only" in str(down) or "replica" in str(down)
    finally:
        server.kill()
        signal_file.unlink()
        server.start()
    assert await newest(store) == city


async def test_the_servers_clock_may_be_off_by_minutes_and_jump() -> None:
    if not FAKETIME:
        pytest.skip("NO LIBFAKETIME: install Debian's faketime to have this test run")
    server = PostgresServer()
    wrong = server.folder / "clock"
    wrong.write_text("+7m")
    server.environment |= {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(wrong),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with server:
        opened: list[PostgresCoordination] = []

        async def open_store() -> PostgresCoordination:
            opened.append(PostgresCoordination(server.conninfo(), call_s=CALL_S, poll_s=0.002))
            return opened[-1]

        def ahead_s() -> float:
            (row,) = server.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            return float(row[0]) - time.time()

        assert 400 < ahead_s() < 440
        for number, test in enumerate(
            (
                conformance.test_a_holder_paused_beyond_its_lease_is_succeeded_and_told,
                conformance.test_a_takeover_loses_to_a_renewal,
                conformance.test_many_rivals_take_their_steps_one_after_another,
                conformance.test_a_watcher_wakes_for_another_processs_change,
            )
        ):
            server.execute("DROP SCHEMA IF EXISTS p2pworld CASCADE")
            await test(open_store)
            wrong.write_text("-7m" if number % 2 == 0 else "+7m")
        store = await open_store()
        a, b = (one.who for one in (await store.read(-1)).leases)
        wrong.write_text("-15m")
        assert -940 < ahead_s() < -880
        assert [await store.renew(a), await store.renew(b)] == [True, True]
        for one in opened:
            await one.close()


def test_no_statement_asks_for_the_time() -> None:
    source = (Path(coordination.__file__).parent / "postgres.py").read_text()
    assert not re.search(
        r"\bnow\s*\(|current_time|clock_timestamp|_timestamp|localtime|age\(", source, re.IGNORECASE
    )


async def test_passwords_certificates_and_rights(tmp_path: Path) -> None:
    authority, others = Authority(tmp_path), Authority(tmp_path, "others")
    pair, mine, stranger = authority.issue("server"), authority.issue("node"), others.issue("stranger")
    server = PostgresServer()
    there = [server.folder / name for name in ("server.crt", "server.key", "ca.crt")]
    for source, target in zip((pair.cert, pair.key, authority.cert), there, strict=True):
        target.write_bytes(source.read_bytes())
        target.chmod(0o600)
    server.own(*there)
    server.settings |= dict(zip(HOST_KEYS, map(str, there), strict=True)) | {"ssl": "on"}
    with server:
        hba = server.data / "pg_hba.conf"
        hba.write_text(
            "hostssl all city 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
        )
        server.execute("CREATE ROLE city LOGIN PASSWORD 'hush-hush'")
        server.execute("CREATE ROLE guest LOGIN PASSWORD 'hush-hush'")
        server.execute("CREATE DATABASE seoul OWNER city")
        server.execute("SELECT pg_reload_conf()")

        def open_as(**more: Any) -> PostgresCoordination:
            told = {"user": "city", "password": "hush-hush", "sslmode": "verify-full"} | {
                "sslrootcert": str(authority.cert),
                "sslcert": str(mine.cert),
                "sslkey": str(mine.key),
            }
            info = {key: value for key, value in (told | more).items() if value}
            return PostgresCoordination(server.conninfo("seoul", **info), call_s=CALL_S)

        store = open_as()
        await founded(store)
        (row,) = server.execute("SELECT count(*) FROM pg_stat_ssl WHERE ssl AND client_dn IS NOT NULL")
        assert row[0] >= 1
        for more, reason in (
            ({"password": "wrong"}, "denied"),
            ({"user": "nobody"}, "denied"),
            ({"user": "guest"}, "denied"),
            ({"sslrootcert": str(others.cert)}, "untrusted"),
            ({"sslcert": str(stranger.cert), "sslkey": str(stranger.key)}, "untrusted"),
            ({"sslcert": "", "sslkey": ""}, "untrusted"),
            ({"dbname": "busan"}, "not_a_store"),
        ):
            down = await refused(open_as(**more))
            assert (down.reason, down.lasting) == (reason, True), (more, down)
            assert "\n" not in str(down)
            assert "hush-hush" not in str(down)
        await store.close()


async def test_a_newer_schema_is_refused_and_an_older_one_brought_up(
    server: PostgresServer, open_with: OpenWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_with()
    a, _, city = await founded(store)
    with monkeypatch.context() as newer:
        steps = (*postgres._TABLES.steps, "ALTER TABLE p2pworld.node ADD note text")
        newer.setattr(postgres, "_TABLES", replace(postgres._TABLES, steps=steps))
        next_release = open_with()
        assert await newest(next_release) == city
        following = made(citymap.split(city, cell("3")))
        assert (await next_release.propose(following, 2)).ok
        assert await next_release.renew(a)
    for call in (
        lambda: store.read(-1),
        lambda: store.propose(made(citymap.split(following, cell("2"))), 3),
        lambda: registered(open_with(), "c"),
    ):
        with pytest.raises(CoordinationDown, match="newer release") as caught:
            await call()
        assert (caught.value.reason, caught.value.lasting) == ("newer_schema", True)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE p2pworld.map SET form = 'notes'", "corrupt"),
        (r"UPDATE p2pworld.map SET form = '\x81a6666f726d617403'", "newer_schema"),
        ("DELETE FROM p2pworld.store", "not_a_store"),
        ("DROP TABLE p2pworld.lease CASCADE", "not_a_store"),
        ("DROP TABLE p2pworld.store", "not_a_store"),
    ],
)
async def test_what_is_no_store_of_this_release_is_refused(
    server: PostgresServer, open_with: OpenWith, statement: str, reason: str
) -> None:
    await founded(open_with())
    server.execute(statement)
    down = await refused(open_with())
    assert (down.reason, down.lasting) == (reason, True)
    assert len(server.execute("SELECT * FROM pg_tables WHERE schemaname = 'p2pworld'")) >= 3


async def test_two_nodes_make_a_new_store_at_once(open_with: OpenWith) -> None:
    numbers: list[int] = []

    async def register(letter: str) -> None:
        numbers.append((await registered(open_with(), letter)).number)

    async with trio.open_nursery() as nursery:
        for letter in "abcd":
            nursery.start_soon(register, letter)
    assert numbers == [1] * 4


async def test_the_history_of_maps_is_bounded(server: PostgresServer, open_with: OpenWith) -> None:
    store = open_with()
    a, _, city = await founded(store)
    for i in range(HISTORY_KEPT):
        step = citymap.split(city, cell("3")) if i % 2 == 0 else citymap.merge(city, cell("3"))
        city = made(step)
        assert (await store.propose(city, city.version - 1)).ok
    (row,) = server.execute("SELECT count(*), min(version), max(version) FROM p2pworld.map")
    assert row == (HISTORY_KEPT, city.version - HISTORY_KEPT + 1, city.version)
    assert await lease(store, a) is not None
