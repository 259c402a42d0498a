"""What etcd alone can suffer: a change of leader, users, TLS, compaction, other programs' keys, a newer release."""

from __future__ import annotations

import re
import signal
import ssl
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from p2pworld.membership import LeaseJudge, OwnLease
from p2pworld.world import citymap
from shard_node import coordination, doctor
from shard_node.config import parse
from shard_node.coordination import Coordination, CoordinationDown, OutcomeUnknown
from shard_node.coordination.etcd import EtcdCoordination
from shard_node.coordination.gateway import Gateway
from tests.coordination.certificates import Authority
from tests.coordination.conformance import cell, founded, made, newest, registered
from tests.coordination.etcd_server import EtcdServer, ask
from tests.patience import PATIENCE_S
from tests.shard_node.test_config import GOOD as NODE

if TYPE_CHECKING:
    from p2pworld.ids import Incarnation

LONG_S = 20.0
AT_MOST_S = PATIENCE_S


def text(value: str) -> str:
    return b64encode(value.encode()).decode()


async def renewed(store: Coordination, who: Incarnation) -> bool:
    """One renewal, asked until the store answers."""
    while True:
        try:
            return await store.renew(who)
        except CoordinationDown:
            await trio.sleep(0.02)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_change_of_leader_costs_no_failover(tmp_path: Path, stop: signal.Signals) -> None:
    """The leader is gone or stands still; nobody is judged dead, and the next leader takes renewals and proposals."""
    ttl_s = 3.0
    with trio.fail_after(AT_MOST_S), EtcdServer(tmp_path, members=3) as server:
        holder, observer = (EtcdCoordination(server.endpoints[i:] + server.endpoints[:i]) for i in (0, 1))
        a, b, city = await founded(holder)
        judge, own = LeaseJudge(ttl_s), OwnLease(ttl_s)
        leader = server.leader()
        own.renewal_done(own.renewal_sent(trio.current_time()), await holder.renew(a))
        judge.observe((await observer.read(2)).leases, trio.current_time())
        over = trio.Event()

        async def observe() -> None:
            """As a node does: read often; when it cannot renew its own lease it begins to judge anew."""
            while not over.is_set():
                try:
                    assert await observer.renew(b)
                    judge.observe((await observer.read(2)).leases, trio.current_time())
                except CoordinationDown:
                    judge.restart()
                assert not judge.is_dead(a)
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(observe)
            assert leader.process is not None
            leader.process.send_signal(stop)
            for _ in range(8):
                assert await renewed(holder, a)
                await trio.sleep(0.1)
            following = made(citymap.split(city, cell("3")))
            try:
                assert (await holder.propose(following, 2)).ok
            except OutcomeUnknown:
                assert (await newest(holder)).version in (2, 3)
            over.set()
        if (
            stop is signal.SIGSTOP
        ):  # the deposed one comes back, with its own idea of the time that has passed
            leader.signal(signal.SIGCONT)
            for _ in range(4):
                assert await renewed(holder, a)
                assert a in {lease.who for lease in (await observer.read(-1)).leases}
                await trio.sleep(0.1)
        for store in (holder, observer):
            await store.close()


SEOUL = {"permType": "READWRITE", "key": text("seoul/"), "range_end": text("seoul0")}
USERS: tuple[
    tuple[str, dict[str, Any]], ...
] = (  # root, and `city` whose role reads and writes under its prefix
    ("/v3/auth/user/add", {"name": "root", "password": "r00t"}),
    ("/v3/auth/user/add", {"name": "city", "password": "hush"}),
    ("/v3/auth/role/add", {"name": "root"}),
    ("/v3/auth/user/grant", {"user": "root", "role": "root"}),
    ("/v3/auth/role/add", {"name": "city"}),
    ("/v3/auth/role/grant", {"name": "city", "perm": SEOUL}),
    ("/v3/auth/user/grant", {"user": "city", "role": "city"}),
    ("/v3/auth/enable", {}),
)


async def test_a_user_sees_its_own_city_and_is_known_again_after_a_restart(tmp_path: Path) -> None:
    with EtcdServer(tmp_path) as server:
        for path, question in USERS:
            ask(server.members[0].url, path, question)

        def open_as(prefix: str = "seoul/", **options: Any) -> EtcdCoordination:
            return EtcdCoordination(server.endpoints, prefix=prefix, call_s=LONG_S, **options)

        store = open_as(user="city", password="hush")
        a, _, city = await founded(store)
        server.kill()
        server.start()
        assert (await store.propose(made(citymap.split(city, cell("3"))), 2)).ok
        assert await store.wait_change(2, LONG_S) == 3
        assert await store.renew(a)
        for refused in (
            open_as(user="city", password="wrong"),
            open_as(user="nobody", password="hush"),
            open_as(),
            open_as("busan/", user="city", password="hush"),
        ):
            with pytest.raises(CoordinationDown) as caught:
                await refused.read(-1)
            assert (caught.value.reason, caught.value.lasting) == ("denied", True)
            await refused.close()
        await store.close()


async def test_by_tls_with_certificates_on_both_sides_and_a_user(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "others")
    pair, named, mine = authority.issue("etcd"), authority.issue("named"), authority.issue("node", False)
    stranger = other.issue("stranger")
    arguments = (
        *("--cert-file", str(pair.cert), "--key-file", str(pair.key)),
        *("--client-cert-auth", "--trusted-ca-file", str(authority.cert)),
    )

    def context(ca: Path, cert: Any) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=ca)
        if cert is not None:
            made.load_cert_chain(cert.cert, cert.key)
        return made

    with EtcdServer(tmp_path, tls_arguments=arguments) as server:
        anybody = Gateway(server.endpoints, context(authority.cert, mine), "", "")
        for path, question in USERS:
            await anybody.ask(path, question, trio.current_time() + LONG_S)
        await anybody.close()

        def open_with(tls: ssl.SSLContext, password: str = "hush") -> EtcdCoordination:
            return EtcdCoordination(
                server.endpoints, prefix="seoul/", tls=tls, user="city", password=password, call_s=LONG_S
            )

        store = open_with(context(authority.cert, mine))
        _, _, city = await founded(store)
        assert await store.wait_change(1, LONG_S) == 2
        assert await newest(store) == city
        for ca, cert in (
            (other.cert, mine),
            (authority.cert, None),
            (authority.cert, stranger),
            (authority.cert, named),
        ):
            refused = open_with(context(ca, cert))
            with pytest.raises(CoordinationDown) as caught:
                await refused.read(-1)
            assert (caught.value.reason, caught.value.lasting) == ("untrusted", True)
            await refused.close()
        refused = open_with(context(authority.cert, mine), "wrong")
        with pytest.raises(CoordinationDown, match="password"):
            await refused.read(-1)
        await refused.close()
        await store.close()


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with EtcdServer(tmp_path) as running:
        yield running


def put(server: EtcdServer, key: str, value: str) -> int:
    url = server.members[0].url
    answer = ask(url, "/v3/kv/put", {"key": text(key), "value": text(value)})
    return int(answer["header"]["revision"])


async def test_history_that_was_compacted_stops_no_watch(server: EtcdServer) -> None:
    store = EtcdCoordination(server.endpoints, call_s=LONG_S)
    _, _, city = await founded(store)
    revision = put(server, "elsewhere", "x")
    ask(server.members[0].url, "/v3/kv/compaction", {"revision": str(revision)})
    with trio.fail_after(LONG_S):
        assert not await store._head_written(2)  # etcd no longer knows: it is read anew
        async with trio.open_nursery() as nursery:
            seen: list[int] = []

            async def watch() -> None:
                seen.append(await store.wait_change(2, LONG_S))

            nursery.start_soon(watch)
            assert (await store.propose(made(citymap.split(city, cell("3"))), 2)).ok
        assert seen == [3]
    await store.close()


async def test_what_renewals_leave_behind_is_compacted(
    server: EtcdServer, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EtcdCoordination(server.endpoints, call_s=LONG_S)
    a, _, _ = await founded(store)
    for _ in range(5):
        assert await store.renew(a)
        mock_clock.jump(100.0)
    kept = {"key": text("p2pworld/"), "range_end": text("p2pworld0"), "count_only": True}
    for revision, known in ((2, False), (8, True)):
        if known:
            ask(server.members[0].url, "/v3/kv/range", {**kept, "revision": str(revision)})
        else:
            with pytest.raises(OSError, match="400"):
                ask(server.members[0].url, "/v3/kv/range", {**kept, "revision": str(revision)})
    await store.close()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("p2pworld/schema", "2", "newer_schema"),
        ("p2pworld/schema", "two", "not_a_store"),
        ("p2pworld/map", "\x81\xa6format\x03", "newer_schema"),
        ("p2pworld/map", "notes", "corrupt"),
        ("p2pworld/lease/birds", "x", "not_a_store"),
    ],
)
async def test_what_another_release_or_program_wrote_is_refused_and_left_alone(
    server: EtcdServer, key: str, value: str, reason: str
) -> None:
    store = EtcdCoordination(server.endpoints, call_s=LONG_S)
    _, _, city = await founded(store)
    url = server.members[0].url
    raw = {"key": text(key), "value": b64encode(value.encode("latin-1")).decode()}
    ask(url, "/v3/kv/put", raw)
    everything = {"key": text("p2pworld/"), "range_end": text("p2pworld0")}
    before = ask(url, "/v3/kv/range", everything)["kvs"]
    late = EtcdCoordination(server.endpoints, call_s=LONG_S)
    for call in (
        lambda: late.read(-1),
        lambda: late.propose(made(citymap.split(city, cell("3"))), 2),
        lambda: registered(late, "c"),
    ):
        with pytest.raises(CoordinationDown) as caught:
            await call()
        assert (caught.value.reason, caught.value.lasting) == (reason, True)
    assert ask(url, "/v3/kv/range", everything)["kvs"] == before
    for one in (store, late):
        await one.close()


async def test_keys_of_another_program_under_the_prefix_are_no_store(server: EtcdServer) -> None:
    put(server, "p2pworld/lease/x", "y")
    store = EtcdCoordination(server.endpoints, call_s=LONG_S)
    with pytest.raises(CoordinationDown) as caught:
        await store.read(-1)
    assert caught.value.reason == "not_a_store"
    await store.close()


async def test_the_doctor_asks_the_store(server: EtcdServer, tmp_path: Path) -> None:
    for name in ("node.pem", "grant.txt", "password"):
        (tmp_path / name).write_text("hush-hush")
    store = f'engine = "etcd"\nendpoints = ["{server.members[0].url}"]\n'

    async def finding(more: str = "") -> doctor.Finding:
        text = NODE.replace('path = "city.sqlite"\n', store + more)
        return await doctor._store(parse(text, tmp_path))

    well = await finding()
    assert (well.ok, "etcd answered" in well.sentence, "no certificate" in well.sentence) == (
        True,
        True,
        True,
    )
    told = 'user = "city"\npassword_file = "password"\n'
    (tmp_path / "password").chmod(0o644)
    assert "chmod 600" in (await finding(told)).sentence
    (tmp_path / "password").chmod(0o600)
    unknown = await finding(told)
    assert (unknown.ok, "enable its authentication" in unknown.sentence) == (False, True)
    assert "hush" not in unknown.sentence
    server.kill()
    gone = await finding()
    assert (gone.ok, "coordination.endpoints" in gone.sentence, "refused" in gone.sentence) == (
        False,
        True,
        True,
    )


def test_etcds_clock_and_leases_are_never_asked() -> None:
    """A clock that is off by minutes changes nothing: no lease of etcd's is granted, kept alive or looked at."""
    source = (Path(coordination.__file__).parent / "etcd.py").read_text()
    assert set(re.findall(r"/v3/[a-z/]+", source)) == {"/v3/kv/txn", "/v3/kv/compaction", "/v3/watch"}
