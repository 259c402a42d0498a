"""Play sockets byte by byte: whatever pieces a stream comes in, it means what the slow way says; what goes is whole."""

from __future__ import annotations

import select
import socket
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.framing import ServerFrames
from p2pworld.limits import NEWCOMERS_S
from p2pworld.messages import Bye, ClientEvent, ClientLost, ClientOpened, ClientSaid, Frame, Go, Notice, Pace
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import encode_pose
from shard_node.play import PlaySockets
from shard_node.play_conn import listen_play
from shard_node.websocket import BINARY, ClientFrames, Event, unmask_frames
from tests.hostile.play_bytes import UPGRADE, raw_frame
from tests.shard_node.playing import HELLO, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Sink:
    """What was said, by number."""

    poses_of: dict[int, list[bytes]] = field(default_factory=dict)
    said: dict[int, list[object]] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)

    def step(self, event: ClientEvent) -> None:
        match event:
            case ClientOpened():
                self.poses_of[event.conn], self.said[event.conn] = [], []
            case ClientSaid():
                self.said[event.conn].append(event.message)
            case ClientLost():
                self.lost.append(event.conn)

    def poses(self, conns: NDArray[np.int32], rows: NDArray[Any]) -> None:
        for conn, row in zip(conns.tolist(), rows, strict=True):
            self.poses_of[conn].append(row.tobytes())


class Door:
    """Play sockets that are drained by hand, with a clock of work that goes on only when it is told."""

    def __init__(self) -> None:
        listener = listen_play("127.0.0.1", 0)
        self.address = listener.getsockname()
        self.worked_s = 0.0
        self.each_s = 0.0
        self.sink = Sink()
        self.play = PlaySockets(listener, lambda: 1_000.0, clients_max=64, cpu_s=self._cpu_s)
        self.play.attach(self.sink)
        self.clients: list[socket.socket] = []

    def _cpu_s(self) -> float:
        self.worked_s += self.each_s
        return self.worked_s

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.address)
        self.clients.append(client)
        return client

    def one_pass(self) -> None:
        """What the reading task does every 10 ms, once something is there."""
        poll = select.poll()
        poll.register(self.play.connections.epoll.fileno(), select.POLLIN)
        poll.poll(1_000)
        self.play.read_once()

    def open(self, clients: int) -> list[socket.socket]:
        """So many clients that have said HELLO; the i-th has number i."""
        opened = []
        for number in range(clients):
            client = self.connect()
            client.sendall(UPGRADE + raw_frame(0x82, encode_play(HELLO)))
            while len(self.sink.said.get(number, ())) == 0:
                self.one_pass()
            self.sink.said[number].clear()
            opened.append(client)
        return opened

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.play.close()


@contextmanager
def door() -> Iterator[Door]:
    at = Door()
    try:
        yield at
    finally:
        at.close()


# ---- reading

poses = st.builds(
    encode_pose,
    st.integers(0, 65_535),
    st.integers(0, 6_553_599),
    st.integers(0, 6_553_599),
    state=st.integers(0, 9),
)
masks = st.binary(min_size=4, max_size=4)


def _in_parts(pose: bytes, mask: bytes, cut: int) -> bytes:
    return b"".join(
        (
            raw_frame(0x02, pose[:cut], mask=mask),
            raw_frame(0x80 | 0xA, b"amid", mask=mask),
            raw_frame(0x80, pose[cut:], mask=mask),
        )
    )


frames = st.one_of(
    st.builds(lambda pose, mask: raw_frame(0x82, pose, mask=mask), poses, masks),
    st.builds(_in_parts, poses, masks, st.integers(0, 16)),
    st.builds(lambda mask: raw_frame(0x82, encode_play(Go("ddp")), mask=mask), masks),
    st.builds(lambda mask: raw_frame(0x82, b"\x11of the future.....", mask=mask), masks),
    st.builds(lambda mask: raw_frame(0x82, b"\x11" + bytes(15), mask=mask), masks),  # as long as a pose
)
few_poses = st.lists(
    st.builds(lambda pose, mask: raw_frame(0x82, pose, mask=mask), poses, masks), max_size=12
)
streams = st.lists(st.one_of(few_poses, st.lists(frames, max_size=4)), max_size=5).map(
    lambda runs: b"".join(frame for run in runs for frame in run)
)
cuts = st.lists(
    st.one_of(st.integers(1, 70), st.sampled_from((22, 44, 66, 176, 198))), min_size=1, max_size=12
)


def slow_way(stream: bytes) -> tuple[list[bytes], list[object]]:
    """The poses and messages of a stream, read in one piece by the plain parser."""
    said: tuple[list[bytes], list[object]] = [], []
    for event in ClientFrames().feed(stream):
        assert isinstance(event, Event)
        if event.opcode == BINARY and event.payload[0] == 0x01:
            said[0].append(event.payload)
        elif event.opcode == BINARY and event.payload[0] >= 0x40:
            said[1].append(decode_play(event.payload))
    return said


@SLOW
@given(st.lists(st.tuples(streams, cuts), min_size=1, max_size=4))
def test_streams_in_any_pieces_mean_what_the_slow_way_says(told: list[tuple[bytes, list[int]]]) -> None:
    with door() as at:
        clients = at.open(len(told))
        places = [0] * len(told)
        turn = 0
        while any(place < len(stream) for place, (stream, _) in zip(places, told, strict=True)):
            for i, (stream, sizes) in enumerate(told):
                size = sizes[turn % len(sizes)]
                clients[i].sendall(stream[places[i] : places[i] + size])
                places[i] += size
            at.one_pass()
            turn += 1
        for i, (stream, _) in enumerate(told):
            expected = slow_way(stream)
            while (len(at.sink.poses_of[i]), len(at.sink.said[i])) < (len(expected[0]), len(expected[1])):
                at.one_pass()
            assert (at.sink.poses_of[i], at.sink.said[i]) == expected
        assert at.sink.lost == []


@SLOW
@given(st.lists(st.binary(min_size=22, max_size=22), min_size=1, max_size=9), st.integers(0, 8))
def test_rows_that_only_look_like_poses_end_nobody_else(rows: list[bytes], good: int) -> None:
    lead = [raw_frame(0x82, encode_pose(seq, 1, 2)) for seq in range(good)]
    stream = b"".join([*lead, *rows])
    events = ClientFrames().feed(stream)
    with door() as at:
        odd, bystander = at.open(2)
        odd.sendall(stream)
        bystander.sendall(raw_frame(0x82, encode_pose(7, 1, 2)))
        if all(isinstance(event, Event) and event.opcode == BINARY for event in events):
            kinds = [event.payload[:1] for event in events if isinstance(event, Event)]
            if kinds.count(b"\x01") == len(kinds):
                while len(at.sink.poses_of[0]) < len(kinds):
                    at.one_pass()
        elif not isinstance(events[-1], Event):
            while at.sink.lost != [0]:
                at.one_pass()
        while not at.sink.poses_of[1]:
            at.one_pass()
        assert len(at.sink.poses_of[1]) == 1
        assert 1 not in at.sink.lost


@given(st.lists(st.tuples(masks, st.binary(min_size=16, max_size=16)), max_size=20))
def test_frames_are_unmasked_together_as_one_by_one(told: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(raw_frame(0x82, payload, mask=mask) for mask, payload in told)
    whole, payloads = unmask_frames(np.frombuffer(data, np.uint8).reshape(-1, 22), 16)
    assert whole.all()
    assert [row.tobytes() for row in payloads] == [payload for _, payload in told]


@given(st.binary(min_size=22, max_size=22))
def test_only_a_whole_masked_binary_message_counts_as_one(row: bytes) -> None:
    whole, _ = unmask_frames(np.frombuffer(row, np.uint8).reshape(1, 22), 16)
    assert whole.tolist() == [row[:2] == b"\x82\x90"]


# ---- newcomers


def test_a_flood_at_the_door_gets_its_share_of_each_pass_and_the_crowd_all_of_its_poses() -> None:
    with door() as at:
        (inside,) = at.open(1)
        for _ in range(20):
            at.connect().sendall(UPGRADE + raw_frame(0x82, encode_play(HELLO)))
        at.each_s = (
            0.4 * NEWCOMERS_S
        )  # each one's accept, and each one's handshake, takes 0.4 of a pass's share
        passes = 0
        while len(at.sink.said) < 21:
            before = len(at.sink.said)
            inside.sendall(raw_frame(0x82, encode_pose(passes, 1, 2)))
            at.one_pass()
            passes += 1
            assert len(at.sink.said) - before <= 3
        assert passes > 6
        assert at.play.open == 21
        while len(at.sink.poses_of[0]) < passes:
            at.one_pass()


def test_those_who_are_half_in_go_before_those_outside() -> None:
    with door() as at:
        half_in = [at.connect() for _ in range(6)]
        while at.play.counters["accepted"] < 6:
            at.one_pass()
        at.each_s = 0.4 * NEWCOMERS_S
        for client in half_in:
            client.sendall(UPGRADE + raw_frame(0x82, encode_play(HELLO)))
        for _ in range(30):
            at.connect().sendall(UPGRADE)
        for fd in at.play.connections.by_fd:
            readable = select.poll()
            readable.register(fd, select.POLLIN)
            assert readable.poll(10_000)
        while at.play.counters["opened"] < 6:
            at.one_pass()
        assert at.play.counters["accepted"] == 6
        while at.play.counters["opened"] < 36:
            at.one_pass()


def test_who_finds_the_table_of_handshakes_full_waits_in_the_backlog() -> None:
    with door() as at:
        at.play.connections.handshaking = 1_024
        client = at.connect()
        client.sendall(UPGRADE)
        at.one_pass()
        assert at.play.counters["accepted"] == 0
        at.play.connections.handshaking = 0
        while not at.sink.poses_of:
            at.one_pass()
        assert client.recv(12) == b"HTTP/1.1 101"


# ---- writing

actions = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(1, 6_000)),
        st.tuples(st.just("say"), st.integers(0, 290)),
        st.tuples(st.just("read"), st.integers(1, 20_000)),
    ),
    max_size=60,
)


@SLOW
@given(actions)
def test_what_a_slow_reader_gets_is_whole_in_order_and_control_messages_all(
    doing: list[tuple[str, int]],
) -> None:
    async def write_and_read() -> None:
        async with stage() as on:
            sock = trio.socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            on.sockets.append(sock)
            await sock.connect(("127.0.0.1", on.port))
            await sock.send(UPGRADE + raw_frame(0x82, encode_play(HELLO)))
            await on.sink.until_events(2)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await sock.recv(1)
            frames_, got = ServerFrames(), []
            said, framed = 0, 0
            for what, size in doing:
                if what == "frame":
                    await on.send_frames(
                        Frame((0,), (struct.pack("<BI", 2, framed) + bytes(size), b"\x03counts"))
                    )
                    framed += 1
                elif what == "say":
                    on.play.send(0, Notice(f"n{said}", "s" * size))
                    said += 1
                else:
                    with trio.move_on_after(0):
                        got += frames_.feed(await sock.recv(size))
            on.play.send(0, Pace(1))
            while not (got and got[-1][1] == encode_play(Pace(1))):
                got += frames_.feed(await sock.recv(65_536))
            payloads = [payload for _, payload in got]
            notices = [decode_play(payload) for payload in payloads if payload[0] == Notice.KIND]
            assert [notice.code for notice in notices if isinstance(notice, Notice)] == [
                f"n{i}" for i in range(said)
            ]
            seen = [struct.unpack_from("<BI", payload)[1] for payload in payloads if payload[0] == 2]
            assert seen == sorted(set(seen))
            assert [payload for payload in payloads if payload[0] == 3] == [b"\x03counts"] * len(seen)
            assert on.play.counters["frames_sent"] == len(seen)
            assert len(seen) + on.play.counters["frames_skipped"] == framed
            await on.send_frames(Frame((0,), (b"\x02last",)))
            while not (got and got[-1][1] == b"\x02last"):
                got += frames_.feed(await sock.recv(65_536))

    trio.run(write_and_read)


async def test_a_chunk_of_sends_is_followed_by_a_checkpoint_however_the_leaves_fall() -> None:
    async with stage(clients_max=8) as on:
        turns = []

        async def count_turns() -> None:
            while True:
                turns.append(on.play.counters["frames_to_gone"])
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            conns = tuple(range(8)) * 75  # six hundred sends
            await on.send_frames(
                Frame(conns, (b"\x02",)), Frame(conns[:100], (b"\x02",)), Frame(conns, (b"\x02",))
            )
            nursery.cancel_scope.cancel()
        assert on.play.counters["frames_to_gone"] == 1_300
        # of two tasks that take turns, one may run twice before the other runs again
        assert np.diff(turns).max() <= 512


def test_a_reset_while_frames_are_sent_ends_that_client_alone() -> None:
    async def send_to_the_dead() -> None:
        async with stage() as on:
            first, second = await on.connect(), await on.connect()
            await on.sink.until_events(2)
            sock = on.sockets[0]
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await first.stream.aclose()
            for _ in range(3):
                await on.send_frames(Frame((0, 1), (b"\x02frame",)))
            assert [await second.payload() for _ in range(3)] == [b"\x02frame"] * 3
            await on.sink.until_events(3)
            assert on.sink.events[2] == ClientLost(0)
            on.play.hang_up(1, Bye("leaving"))

    trio.run(send_to_the_dead)
