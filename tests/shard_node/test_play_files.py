"""FILE on play sockets: with a HELLO and without, as long as a submission may be, and bounded all the same."""

from __future__ import annotations

import pytest
import trio

from p2pworld.limits import (
    CONTROL_BYTES_MAX,
    DOOR_HALF_OPEN_MAX,
    FILE_BYTES_MAX,
    FILER_WAIT_S,
    FILES_BURST,
    FILES_BURST_ADDRESS,
    FILES_LONG_MAX,
    HELLO_WAIT_S,
)
from p2pworld.messages import ClientLost, ClientOpened, ClientsFiled, File, Filed, Go
from p2pworld.wire.codec import encode_play
from shard_node.doors import Doors
from shard_node.play_read import CONTROL_DROPS_MAX
from shard_node.websocket import TRY_LATER, Broken, ClientFrames, Room
from tests.shard_node.playing import HELLO, Stage, stage
from tests.shard_node.test_websocket import frame

LONG = File(1, bytes(FILE_BYTES_MAX - 64))


def filed(on: Stage) -> list[tuple[int, File]]:
    """Every FILE that was told, with its socket."""
    return [file for event in on.sink.events if isinstance(event, ClientsFiled) for file in event.files]


async def until_filed(on: Stage, count: int) -> None:
    while len(filed(on)) < count:
        await on.sink.until_events(len(on.sink.events) + 1)


async def test_what_is_filed_in_one_drain_is_told_together() -> None:
    async with stage() as on:
        client = await on.connect()
        await client.raw(b"".join(frame(0x2, encode_play(File(n, b"x"))) for n in range(50)))
        await until_filed(on, 50)
        assert [file.n for _, file in filed(on)] == list(range(50))
        assert len(on.sink.events) < 10


async def test_a_file_needs_no_hello_and_may_be_long() -> None:
    async with stage() as on:
        client = await on.connect()
        await client.say(encode_play(File(1, b"short")))
        await client.say(encode_play(LONG))
        await until_filed(on, 2)
        opened = on.sink.events[0]
        assert isinstance(opened, ClientOpened)
        assert filed(on) == [(opened.conn, File(1, b"short")), (opened.conn, LONG)]
        assert on.play.connections.room.left == FILES_LONG_MAX
        on.play.send(opened.conn, Filed(1, b"receipt"))
        assert await client.control() == Filed(1, b"receipt")


async def test_no_other_message_may_be_so_long() -> None:
    async with stage() as on:
        client = await on.connect()
        await client.say(bytes((Go.KIND,)) + bytes(CONTROL_BYTES_MAX))
        assert (await client.bye()).code == "malformed"
        other = await on.connect()
        await other.say(bytes((File.KIND,)) + bytes(FILE_BYTES_MAX))
        assert (await other.bye()).code == "malformed"
        assert on.play.counters["malformed_oversize"] == 2
        assert on.play.connections.room.left == FILES_LONG_MAX


async def test_who_files_without_a_hello_stays_while_it_files() -> None:
    async with stage() as on:
        client = await on.connect()
        await client.say(encode_play(File(1, b"one")))
        await until_filed(on, 1)
        on.now_s += HELLO_WAIT_S + 1
        on.play.housekeep()
        await client.say(encode_play(File(2, b"two")))
        await until_filed(on, 2)
        on.now_s += FILER_WAIT_S - 1
        on.play.housekeep()
        assert on.play.open == 1
        on.now_s += 2
        on.play.housekeep()
        bye = await client.bye()
        assert (bye.code, "FILE" in bye.reason) == ("expired", True)


async def test_a_hello_after_a_file_opens_the_door_as_ever() -> None:
    async with stage() as on:
        client = await on.connect()
        await client.say(encode_play(File(1, b"one")))
        await client.say(encode_play(HELLO))
        await on.sink.until_events(3)
        on.now_s += FILER_WAIT_S + 1
        on.play.housekeep()
        assert on.play.open == 1


async def test_who_files_too_much_is_told_to_wait_and_in_the_end_sent_away() -> None:
    async with stage() as on:
        client = await on.connect()
        for n in range(FILES_BURST):
            await client.say(encode_play(File(n, b"x")))
        await until_filed(on, FILES_BURST)
        await client.say(encode_play(File(1_000, b"x")))
        told = await client.control()
        assert isinstance(told, Filed)
        assert (told.n, told.receipt, told.reason) == (1_000, b"", "civic-busy")
        on.now_s += 1.0  # as much comes back as a second gives
        await client.say(encode_play(File(1_001, b"x")))
        await until_filed(on, 1 + FILES_BURST)
        on.now_s -= 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_file_on, client, CONTROL_DROPS_MAX + 200)
            assert (await client.bye()).code == "malformed"
            nursery.cancel_scope.cancel()
        assert isinstance(on.sink.events[-1], ClientLost)
        assert on.play.counters["closed_flood"] == 1


async def _file_on(client: object, times: int) -> None:
    from tests.shard_node.playing import Client

    assert isinstance(client, Client)
    for n in range(times):
        try:
            await client.raw(frame(0x2, encode_play(File(n, b"x"))))
        except trio.BrokenResourceError:
            return


def test_one_address_files_so_much_and_loopback_as_much_as_it_will() -> None:
    doors = Doors()
    taken = sum(doors.may_file("203.0.113.7", 0.0) for _ in range(2 * FILES_BURST_ADDRESS))
    assert taken == FILES_BURST_ADDRESS
    assert doors.may_file("203.0.113.8", 0.0)
    assert doors.may_file("203.0.113.7", 1.0)
    assert all(doors.may_file("127.0.0.1", 0.0) for _ in range(2 * FILES_BURST_ADDRESS))
    assert doors.half_open("203.0.113.7") == 0


def test_filers_of_one_address_count_as_half_open() -> None:
    doors = Doors()
    assert all(doors.may_enter("203.0.113.7", 0.0) for _ in range(DOOR_HALF_OPEN_MAX))
    assert not doors.may_enter("203.0.113.7", 10.0)  # nobody has said HELLO, whatever else they said


# ---- long messages, frame by frame


def frames_of(*parts: bytes) -> list[bytes]:
    """The frames of one message in so many parts."""
    last = len(parts) - 1
    return [frame(0x2 if at == 0 else 0x0, part, fin=at == last) for at, part in enumerate(parts)]


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_a_long_message_comes_in_whatever_pieces(parts: int, piece: int) -> None:
    room = Room(0x55, 20_000, 2)
    client = ClientFrames(100, room)
    whole = b"\x55" + bytes(range(256)) * 20
    step = -(-len(whole) // parts)
    data = b"".join(frames_of(*(whole[at : at + step] for at in range(0, len(whole), step))))
    events: list[object] = []
    for at in range(0, len(data), piece):
        events += client.feed(data[at : at + piece])
        assert room.left >= 1
    assert [event.payload for event in events] == [whole]  # type: ignore[attr-defined]
    assert room.left == 2
    assert client.at_boundary


def test_there_is_room_for_so_many_long_messages_at_once() -> None:
    room = Room(0x55, 20_000, 2)
    begun = frame(0x2, b"\x55" + bytes(5_000))
    clients = [ClientFrames(100, room) for _ in range(3)]
    assert [client.feed(begun[:50]) for client in clients[:2]] == [[], []]
    assert room.left == 0
    assert clients[2].feed(begun[:50]) == [Broken(TRY_LATER, "no_room")]
    clients[0].close()  # its socket is gone
    assert room.left == 1
    clients[0].close()
    assert room.left == 1
    assert len(clients[1].feed(begun[50:])) == 1
    assert room.left == 2
    short = ClientFrames(100, room)
    assert len(short.feed(frame(0x2, b"\x55" + bytes(99)))) == 1
    assert room.left == 2


def test_a_long_message_grows_no_longer_than_it_may() -> None:
    room = Room(0x55, 1_000, 1)
    client = ClientFrames(100, room)
    first, second = frames_of(b"\x55" + bytes(800), bytes(300))
    assert client.feed(first) == []
    (broken,) = client.feed(second)
    assert isinstance(broken, Broken)
    assert broken.reason == "oversize"
    client.close()
    assert room.left == 1
