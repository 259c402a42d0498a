"""Play sockets over real loopback sockets: what clients say arrives whole, what breaks the rules ends only itself."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trio
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame as WsFrame
from websockets.frames import Opcode

from p2pworld.limits import (
    CONTROL_BURST,
    CONTROL_BYTES_MAX,
    CONTROL_QUEUE_BYTES,
    DOOR_HALF_OPEN_MAX,
    FRAME_BYTES_MAX,
    HELLO_WAIT_S,
    SOCKET_FULL_S,
    SOCKET_RECEIVE_BUFFER_BYTES,
    SOCKET_SEND_BUFFER_BYTES,
)
from p2pworld.messages import (
    Bye,
    ClientLost,
    ClientOpened,
    ClientSaid,
    Frame,
    Go,
    Notice,
    Who,
)
from p2pworld.wire.codec import encode_play
from p2pworld.wire.frames import encode_pose
from shard_node.doors import Doors
from shard_node.play_read import CONTROL_DROPS_MAX
from tests.shard_node.playing import HELLO, Client, Stage, stage

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


def masked(opcode: int, data: bytes, fin: bool = True) -> bytes:
    return WsFrame(Opcode(opcode), data, fin).serialize(mask=True)


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    """All that comes before the other side closes, in whatever way."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while piece := await stream.receive_some(4096):
            data += piece
    return data


def pose(seq: int) -> bytes:
    return encode_pose(seq=seq, east_cm=100 + seq, north_cm=200)


async def test_poses_and_control_messages_arrive_and_answers_go_back() -> None:
    async with stage() as on:
        client = await on.connect()
        await on.sink.until_events(1)
        opened = on.sink.events[0]
        assert isinstance(opened, ClientOpened)
        assert opened.remote == "127.0.0.1"
        await client.say(encode_play(Go("cityhall")))
        await on.sink.until_events(2)
        assert on.sink.events[1] == ClientSaid(opened.conn, Go("cityhall"))
        for seq in range(3):
            await client.say(pose(seq))
        await on.sink.until_poses(3)
        assert [(conn, int(row["seq"]), int(row["east_cm"])) for conn, row in on.sink.seen] == [
            (opened.conn, seq, 100 + seq) for seq in range(3)
        ]
        on.play.send(opened.conn, Notice("hello"), Notice("and welcome"))
        assert await client.control() == Notice("hello")
        assert await client.control() == Notice("and welcome")
        assert on.play.counters["control_out"] == 2
        await client.stream.aclose()
        await on.sink.until_events(3)
        assert on.sink.events[2] == ClientLost(opened.conn)
        assert on.play.counters["closed_left"] == 1
        assert on.play.open == 0


async def test_accepted_sockets_have_small_buffers_and_no_delay() -> None:
    async with stage() as on:
        await on.connect()
        await on.sink.until_events(1)
        conn = on.play.connections.table[0]
        assert conn is not None
        assert conn.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        # Linux doubles what is asked for
        assert conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SOCKET_SEND_BUFFER_BYTES
        assert conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * SOCKET_RECEIVE_BUFFER_BYTES


async def test_many_clients_in_any_pieces_are_read_the_same() -> None:
    rng = random.Random(7)
    async with stage() as on:
        clients = [await on.connect() for _ in range(12)]
        streams = []
        for _ in clients:
            stream = b""
            for seq in range(20):
                data = pose(seq)
                cut = rng.randrange(17)
                stream += rng.choice(
                    [
                        masked(2, data),
                        masked(2, data[:cut], fin=False) + masked(9, b"?") + masked(0, data[cut:]),
                    ]
                )
            streams.append(stream)
        while any(streams):
            for i, client in enumerate(clients):
                piece = rng.choice([1, 5, 22, 44, 60])
                if streams[i]:
                    await client.raw(streams[i][:piece])
                    streams[i] = streams[i][piece:]
        await on.sink.until_poses(240)
        for number in range(12):
            assert [int(row["seq"]) for conn, row in on.sink.seen if conn == number] == list(range(20))


@pytest.mark.parametrize(
    ("data", "reason", "code"),
    [
        (b"\x82\x05hello", "malformed_unmasked", 1002),
        (masked(1, b"text"), "malformed_text", 1003),
        (masked(2, bytes(CONTROL_BYTES_MAX + 1)), "malformed_oversize", 1009),
        (masked(2, b"\x01" * 15), "malformed_pose_size", 1007),
        (masked(2, b""), "malformed_empty", 1007),
        (masked(2, b"\x42\xc1"), "malformed_", 1007),
        (masked(2, b"\x7f\x80"), "malformed_", 1007),
        (b"\x82\x90" + bytes(4) + b"\x46" + bytes(15), "malformed_", 1007),
    ],
    ids=lambda value: "data" if isinstance(value, bytes) else None,  # the masks differ in each process
)
async def test_a_broken_rule_ends_that_connection_only(data: bytes, reason: str, code: int) -> None:
    async with stage() as on:
        bystander = await on.connect()
        client = await on.connect()
        await on.sink.until_events(2)
        await client.raw(data)
        bye = await client.bye()
        assert bye.code == "malformed"
        assert client.protocol.close_code == code
        assert on.sink.events[2] == ClientLost(1)
        assert any(name.startswith(reason) and count == 1 for name, count in on.play.counters.items())
        assert on.play.counters["closed_malformed"] == 1
        await bystander.say(pose(1))
        await on.sink.until_poses(1)


async def test_thousands_of_mutated_frames_end_only_their_own_connections() -> None:
    rng = random.Random(11)
    good = [pose(1), encode_play(HELLO), encode_play(Go("x")), encode_play(Who((1, 2)))]
    async with stage() as on:
        bystander = await on.connect()
        await on.sink.until_events(1)
        for round_ in range(40):
            client = await on.connect()
            for _ in range(50):
                data = bytearray(masked(rng.choice([0, 2, 2, 2]), rng.choice(good), rng.random() < 0.9))
                for _ in range(rng.choice([0, 1, 2])):
                    data[rng.randrange(len(data))] = rng.randrange(256)
                try:
                    await client.raw(
                        bytes(data[: rng.randrange(1, len(data) + 1)] if rng.random() < 0.1 else data)
                    )
                except trio.BrokenResourceError:
                    break
            await client.stream.aclose()
            await bystander.say(pose(round_))
        await on.sink.until_poses(1)
        while on.play.open > 1:
            await on.sink.until_events(len(on.sink.events) + 1)
        closed = sum(count for name, count in on.play.counters.items() if name.startswith("closed_"))
        assert closed == 40
        assert on.play.counters["closed_malformed"] >= 20
        assert all(
            conn.fd in on.play.connections.by_fd
            for conn in [*on.play.connections.timed, *on.play.connections.lingers]
        )
        on.play.send(0, Notice("still"))
        assert await bystander.control() == Notice("still")


async def test_unknown_kinds_below_control_are_ignored_and_counted() -> None:
    async with stage() as on:
        client = await on.connect()
        await client.say(b"\x11whatever")
        await client.say(pose(1))
        await on.sink.until_poses(1)
        assert on.play.counters["unknown_kind"] == 1


async def test_a_ping_is_answered_and_a_close_is_returned() -> None:
    async with stage() as on:
        client = await on.connect()
        client.protocol.send_ping(b"there?")
        await client.flush()
        answer = await client.frame()
        assert answer is not None
        assert (answer.opcode, bytes(answer.data)) == (Opcode.PONG, b"there?")
        client.protocol.send_close(1000)
        await client.flush()
        answer = await client.frame()
        assert answer is not None
        assert answer.opcode is Opcode.CLOSE
        await on.sink.until_events(2)
        assert on.sink.events[1] == ClientLost(0)


async def test_too_many_control_messages_are_dropped_then_end_the_connection() -> None:
    async with stage() as on:
        client = await on.connect()
        await client.raw(masked(2, encode_play(Go("x"))) * (CONTROL_BURST + CONTROL_DROPS_MAX + 1))
        assert (await client.bye()).code == "malformed"
        assert on.play.counters["control_in"] == CONTROL_BURST
        assert on.play.counters["control_dropped"] == CONTROL_DROPS_MAX + 1
        assert on.play.counters["closed_flood"] == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /else HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET /play HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"POST /play HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (
            b"GET /play HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            b"400",
        ),
        (b"GET /play HTTP/1.1\r\nX: " + b"y" * 9000, b"431"),
        (b"\x16\x03\x01\x00\x05hello\r\n\r\n", b""),
    ],
)
async def test_what_is_no_handshake_is_refused_with_an_http_answer(head: bytes, status: bytes) -> None:
    async with stage() as on:
        stream = await on.tcp()
        await stream.send_all(head)
        answer = await read_to_end(stream)
        assert answer.partition(b" ")[2][:3] == status
        assert on.sink.events == []
        assert on.play.counters["closed_handshake"] == 1
        assert on.play.connections.handshaking == 0


async def test_beyond_the_limit_a_client_is_told_that_it_is_full() -> None:
    async with stage(clients_max=2) as on:
        on.play.urls = ("ws://other/play",)
        first, second = await on.connect(), await on.connect()
        third = await on.connect()
        bye = await third.bye()
        assert (bye.code, bye.urls) == ("full", ("ws://other/play",))
        await first.stream.aclose()
        await on.sink.until_events(3)
        fourth = await on.connect()
        await on.sink.until_events(4)
        assert on.sink.events[2:] == [ClientLost(0), ClientOpened(0, "127.0.0.1")]
        on.play.send(0, Notice("a"))
        on.play.send(1, Notice("b"))
        assert await fourth.control() == Notice("a")
        assert await second.control() == Notice("b")


async def test_silence_where_a_hello_is_due_ends_the_connection() -> None:
    async with stage() as on:
        silent, polite = await on.connect(), await on.connect()
        half = await on.tcp()
        await half.send_all(b"GET /play")
        await polite.say(encode_play(HELLO))
        await on.sink.until_events(3)
        on.now_s += HELLO_WAIT_S - 0.1
        on.play.housekeep()
        assert on.play.open == 2
        on.now_s += 0.2
        on.play.housekeep()
        assert (await silent.bye()).code == "expired"
        assert await read_to_end(half) == b""
        assert on.play.open == 1
        assert on.play.counters["closed_no_hello"] == 1
        assert on.play.counters["closed_handshake_timeout"] == 1
        on.play.send(1, Notice("hello"))
        assert await polite.control() == Notice("hello")


async def test_one_that_never_closes_after_a_bye_is_closed() -> None:
    async with stage() as on:
        client = await on.connect()
        await on.sink.until_events(1)
        on.play.hang_up(0, Bye("leaving"))
        assert on.sink.events[1] == ClientLost(0)
        assert on.play.lingering == 1
        on.now_s += 3
        on.play.housekeep()
        assert on.play.lingering == 0
        assert (await client.bye()).code == "leaving"


async def test_a_frame_goes_to_each_of_its_clients_as_whole_messages() -> None:
    async with stage() as on:
        clients = [await on.connect() for _ in range(3)]
        on.play.send_frames((Frame((0, 2, 9), (b"\x02first", b"\x03second")), Frame((1,), (b"\x02third",))))
        assert [await clients[0].payload() for _ in range(2)] == [b"\x02first", b"\x03second"]
        assert [await clients[2].payload() for _ in range(2)] == [b"\x02first", b"\x03second"]
        assert await clients[1].payload() == b"\x02third"
        assert on.play.counters["frames_sent"] == 3
        assert on.play.counters["frames_to_gone"] == 1


async def test_frames_that_wait_too_long_are_dropped_for_newer_ones_and_that_is_told() -> None:
    async with stage() as on:
        client = await on.connect()
        await on.sink.until_events(1)
        told = [on.play.send_frames((Frame((0,), (bytes((2, i)),)),)) for i in range(3)]
        assert told == [False, True, True]
        assert await client.payload() == b"\x02\x02"
        assert on.play.counters["frames_late"] == 2


async def fill(on: Stage) -> int:
    """Sends frames to client 0 until its socket is full and one was skipped; returns how many were sent."""
    while not on.play.counters["frames_skipped"]:
        await on.send_frames(Frame((0,), (b"\x02" + bytes(3_000),)))
    return on.play.counters["frames_sent"]


async def small_window_client(on: Stage) -> Client:
    """A client whose own receive buffer is small, so that it is soon full."""
    client = await on.connect(receive_buffer_bytes=4_096)
    await client.say(encode_play(HELLO))
    await on.sink.until_events(2)
    return client


async def test_a_full_socket_skips_frames_and_keeps_messages_whole_and_in_order() -> None:
    async with stage() as on:
        client = await small_window_client(on)
        sent = await fill(on)
        for i in range(5):
            on.play.send(0, Notice(f"n{i}"))
        for _ in range(sent):
            assert await client.payload() == b"\x02" + bytes(3_000)
        assert [await client.control() for _ in range(5)] == [Notice(f"n{i}") for i in range(5)]
        on.play.send_frames((Frame((0,), (b"\x02again",)),))
        assert await client.payload() == b"\x02again"
        assert on.play.connections.writer.full == {}


async def test_a_client_that_reads_nothing_holds_at_most_64_kib() -> None:
    assert 2 * SOCKET_SEND_BUFFER_BYTES + CONTROL_QUEUE_BYTES + FRAME_BYTES_MAX <= 65_536
    async with stage() as on:
        await small_window_client(on)
        await fill(on)
        conn = on.play.connections.table[0]
        assert conn is not None
        held = 0
        while on.play.connections.table[0] is conn:
            held = max(held, len(conn.out))
            on.play.send(0, Notice("n", "s" * 290))
        assert held <= CONTROL_QUEUE_BYTES + FRAME_BYTES_MAX
        assert on.play.counters["closed_slow"] == 1


async def test_a_full_socket_is_not_tried_again_before_epoll_says_so() -> None:
    async with stage() as on:
        client = await small_window_client(on)
        sent = await fill(on)
        conn = on.play.connections.table[0]
        assert conn is not None
        tried: list[int] = []

        def try_it(data: Buffer, flags: int = 0) -> int:
            tried.append(flags)
            return 0

        send, conn.send = conn.send, try_it
        for _ in range(5):
            await on.send_frames(Frame((0,), (b"\x02",)))
        assert (tried, on.play.counters["frames_skipped"]) == ([], 6)
        conn.send = send
        for _ in range(sent):
            assert await client.payload() == b"\x02" + bytes(3_000)


async def test_a_reader_beyond_hope_is_let_go() -> None:
    async with stage() as on:
        await small_window_client(on)
        await fill(on)
        on.now_s += SOCKET_FULL_S - 0.1
        await on.send_frames(Frame((), ()))
        assert on.play.open == 1
        on.now_s += 0.2
        await on.send_frames(Frame((), ()))
        assert on.sink.events[-1] == ClientLost(0)
        assert on.play.counters["closed_slow"] == 1


async def test_a_full_queue_of_control_messages_is_let_go() -> None:
    async with stage() as on:
        await small_window_client(on)
        await fill(on)
        for _ in range(400):
            on.play.send(0, Notice("n", "s" * 290))
        assert on.sink.events[-1] == ClientLost(0)
        assert on.play.counters["closed_slow"] == 1
        assert on.play.counters["control_to_gone"] > 0


async def test_a_number_on_its_way_in_a_frame_is_not_given_to_another() -> None:
    async with stage() as on:
        first = await on.connect()
        await on.sink.until_events(1)
        on.play.send_frames((Frame((0,), (b"\x02for the first",)),))
        on.play.hang_up(0, Bye("leaving"))  # before the frame has left
        second = await on.connect()
        await on.sink.until_events(3)
        opened = on.sink.events[2]
        assert isinstance(opened, ClientOpened)
        on.play.send(opened.conn, Notice("for the second"))
        assert await second.control() == Notice("for the second")
        assert (await first.bye()).code == "leaving"


async def test_no_room_means_nobody_new_after_listening_stopped() -> None:
    async with stage() as on:
        client = await on.connect()
        await on.sink.until_events(1)
        on.play.stop_listening()
        with pytest.raises(OSError, match="connect"):
            await on.tcp()
        opened = on.sink.events[0]
        assert isinstance(opened, ClientOpened)
        on.play.hang_up(opened.conn, Bye("leaving", urls=("ws://other/play",)))
        assert (await client.bye()).urls == ("ws://other/play",)


async def test_a_missing_subprotocol_is_said_so() -> None:
    async with stage() as on:
        client = Client(await on.tcp())
        client.protocol.available_subprotocols = None
        with pytest.raises(InvalidStatus, match="400"):
            await client.open()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An ordinary certificate for 127.0.0.1, as a browser would see it."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "play")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("cert")
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


async def test_wss_says_the_same_things(certificate: tuple[str, str]) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    trust = ssl.create_default_context(cafile=certificate[0])
    async with stage(tls=server) as on:
        tcp = await on.tcp()
        client = Client(trio.SSLStream(tcp, trust, server_hostname="127.0.0.1"))
        await client.open()
        await on.sink.until_events(1)
        # one record far larger than one row of a drain
        await client.raw(masked(2, pose(1)) * 200 + masked(2, encode_play(HELLO)))
        await on.sink.until_events(2)
        await on.sink.until_poses(200)
        assert on.sink.events[1] == ClientSaid(0, HELLO)
        for i in range(20):
            on.play.send(0, Notice("n", f"{i:03}" * 100))
        for i in range(20):
            assert await client.control() == Notice("n", f"{i:03}" * 100)
        on.play.send_frames((Frame((0,), (b"\x02" + bytes(30_000),)),))
        assert await client.payload() == b"\x02" + bytes(30_000)
        plain = await on.tcp()
        await plain.send_all(b"GET /play HTTP/1.1\r\n\r\n")
        await read_to_end(plain)
        assert on.play.counters["closed_tls"] == 1


class NarrowDoors(Doors):
    """Doors that count loopback too."""

    def _name(self, address: str) -> str | None:
        return address


async def test_one_address_stands_at_the_door_only_so_often_and_who_says_hello_stands_there_no_more() -> None:
    doors = NarrowDoors()
    here = "127.0.0.1"
    async with stage(doors=doors) as on:
        first, second = await on.connect(), await on.connect()
        await on.sink.until_events(2)
        assert doors.half_open(here) == 2
        await first.say(encode_play(HELLO))
        await on.sink.until_events(3)
        assert doors.half_open(here) == 1
        await first.say(encode_play(HELLO))  # a second one opens nothing
        await on.sink.until_events(4)
        await second.stream.aclose()
        await on.sink.until_events(5)
        assert doors.half_open(here) == 0
        await first.stream.aclose()
        await on.sink.until_events(6)
        assert doors.half_open(here) == 0
        on.now_s += 100.0
        for _ in range(DOOR_HALF_OPEN_MAX):
            doors.may_enter(here, on.now_s)
        turned_away = await on.tcp()
        assert await read_to_end(turned_away) == b""
        assert on.play.counters["accept_address"] == 1
        doors.closed(here)
        on.now_s += 1.0
        third = await on.connect()
        await on.sink.until_events(7)
        assert doors.half_open(here) == DOOR_HALF_OPEN_MAX
        await third.stream.aclose()
