"""What nodes enforce on people and what people are promised, over real node processes and sockets.

One city of two nodes serves the whole file. Its ground around Deoksugung and City Hall is dealt out in cells of 128 m
by turns, the rest lies at one or the other; its operator has added what docs/places.md shows, word for word.
"""

from __future__ import annotations

import json
import math
import re
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import trio

from client.bots import read_badge
from client.connect import Client, connect
from client.session import ClientAt
from p2pworld.crypto.keys import PersonKeys
from p2pworld.errors import LocalError
from p2pworld.geometry import Cell
from p2pworld.grants import sign_grant
from p2pworld.messages import Act, Beat, Bye, Correct, Done, Notice, Pose, Profile, Profiles, Said
from p2pworld.wire.codec import encode_play
from p2pworld.world.crowd import RIDE
from p2pworld.world.places import polygon_contains
from p2pworld.world.text import line_fault
from p2pworld.world.vehicles import BUSES, place
from shard_node.declared import read
from simulations.processes import City
from tests.nodes import PLACES, SIDE_M, soon
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_ready
from tests.web.hostile_strings import HOSTILE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from p2pworld.grants import Grant
    from p2pworld.messages import PlayMessage

DOCS = Path(__file__).resolve().parents[2] / "docs" / "places.md"
AT_MOST_S = PATIENCE_S
TOGETHER_MS = 50
ASK_AGAIN_S = 3.0
NUMBERS = count(1)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Two nodes, and the place and the programme of docs/places.md in the folder that it says."""
    folder = tmp_path_factory.mktemp("rules")
    blocks = re.findall(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    for path, text in zip(("places/teahouse.toml", "programmes/tea-time.toml"), blocks, strict=True):
        file = folder / "my-city" / path
        file.parent.mkdir(parents=True)
        file.write_text(text, "utf-8")
    with City(folder, 2, PLACES, SIDE_M, take_orphans=False, declared=folder / "my-city") as started:
        started.start()
        wait_ready(started)
        yield started
        assert started.end() == [], "a node had to be killed"


@asynccontextmanager
async def person(
    city: City,
    at: Pose,
    name: str = "김서울",
    node: int = 0,
    grants: tuple[Grant, ...] = (),
    keys: PersonKeys | None = None,
) -> AsyncIterator[Client]:
    """Somebody new, who has come in and is on the node that holds the ground there."""
    keys = keys or PersonKeys.from_seed(next(NUMBERS).to_bytes(32, "big"))
    urls = city.play_urls[node:] + city.play_urls[:node]
    async with connect(urls, keys, Profile(name), at, grants=grants) as client:
        home = next(
            node
            for node in city.nodes
            if any(cell.contains_point(at.east_cm, at.north_cm) for cell in node.cells)
        )
        with soon(AT_MOST_S, "a welcome where one stands"):
            await client.enter()
            session = client.session
            await client.until(lambda: session.at is ClientAt.PLAYING and session.node == home.keys.public)
        yield client


async def wait(client: Client, holds: Callable[[], bool], what: str) -> None:
    """Waits until something holds, which a message or a frame of this client will show."""
    with soon(AT_MOST_S, what):
        await client.until(holds)


async def wait_each(clients: Iterable[Client], holds: Callable[[Client], bool], what: str) -> None:
    """The same for each of them."""
    for client in clients:
        await wait(client, partial(holds, client), what)


def heard(client: Client, kind: type) -> list[Any]:
    return [message for message in client.said if isinstance(message, kind)]


def codes(client: Client) -> list[str]:
    return [notice.code for notice in heard(client, Notice)]


def was_told(client: Client, code: str) -> bool:
    return code in codes(client)


def corrections(client: Client) -> list[str]:
    return [correct.reason for correct in heard(client, Correct)]


async def goes(client: Client, place: str, holds: Callable[[], bool]) -> None:
    """Asks to be taken there until something holds: a wish is lost when the node has just given its client away."""
    with soon(AT_MOST_S, f"an answer to GO {place}"):
        while not holds():
            client.go(place)
            with trio.move_on_after(ASK_AGAIN_S):
                await client.until(holds)


async def asks(client: Client, avatar: int) -> Profiles:
    """What this client is told of somebody, asked again if the question was lost likewise."""
    before = len(heard(client, Profiles))
    with soon(AT_MOST_S, "who that is"):
        while len(heard(client, Profiles)) == before:
            client.session.ask([avatar])
            client.block(1)  # has what was asked sent
            with trio.move_on_after(ASK_AGAIN_S):
                await client.until(lambda: len(heard(client, Profiles)) > before)
    answer: Profiles = heard(client, Profiles)[before]
    return answer


async def wait_more(client: Client, before: int, what: str) -> None:
    """Waits until it has been corrected more often than before."""
    await wait(client, lambda: len(corrections(client)) > before, what)


# ---- walls and buses


def through_the_wall() -> tuple[Pose, Pose]:
    """A point 1 m outside and one 1 m inside of the middle of the longest side of Deoksugung's wall."""
    palace = read().by_id["deoksugung"]
    sides = [pair for wall in palace.walls for pair in pairwise(wall.line)]
    for a, b in sorted(sides, key=lambda side: -math.dist(*side)):
        middle = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
        length = math.dist(a, b)
        off = (b[1] - a[1]) / length * 100, (a[0] - b[0]) / length * 100
        ends = [(round(middle[0] + sign * off[0]), round(middle[1] + sign * off[1])) for sign in (1, -1)]
        inside = [polygon_contains(palace.outline, end) for end in ends]
        if sorted(inside) == [False, True]:
            outer, inner = sorted(ends, key=lambda end: polygon_contains(palace.outline, end))
            return Pose(*outer), Pose(*inner)
    raise AssertionError("Deoksugung has no wall")


async def test_a_modified_client_does_not_get_through_deoksugung_s_wall(city: City) -> None:
    palace = read().by_id["deoksugung"]
    outside, inside = through_the_wall()
    async with person(city, outside) as cheat, person(city, outside, node=1) as watcher:
        seen: list[Pose] = []
        for share in (1.0, 0.55, 0.75, 1.0):
            before = len(corrections(cheat))
            # it believes to be where the wall does not let it, and says so from then on
            cheat.session.pose = replace(
                outside,
                east_cm=round(outside.east_cm + share * (inside.east_cm - outside.east_cm)),
                north_cm=round(outside.north_cm + share * (inside.north_cm - outside.north_cm)),
            )
            await wait_more(cheat, before, "a correction")
            assert corrections(cheat)[-1] == "wall"
            pose = cheat.session.pose
            assert pose is not None
            assert not polygon_contains(palace.outline, (pose.east_cm, pose.north_cm))
            if (shown := watcher.view.people.get(cheat.session.id)) is not None:
                seen.append(shown.pose)
        await wait(watcher, lambda: cheat.session.id in watcher.view.people, "the other in view")
        seen.append(watcher.view.people[cheat.session.id].pose)
        assert not any(polygon_contains(palace.outline, (one.east_cm, one.north_cm)) for one in seen)


async def test_who_claims_a_seat_on_a_bus_that_is_elsewhere_stays_on_foot(city: City) -> None:
    outside, _ = through_the_wall()
    async with person(city, outside) as cheat, person(city, outside, node=1) as watcher:
        now_ms = time.time_ns() // 1_000_000
        far = max(
            (place(bus, now_ms) for bus in range(1, BUSES + 1)),
            key=lambda bus: math.dist((bus.east_cm, bus.north_cm), (outside.east_cm, outside.north_cm)),
        )
        assert math.dist((far.east_cm, far.north_cm), (outside.east_cm, outside.north_cm)) > 100_000
        await goes(cheat, "bus", lambda: bool(codes(cheat)))
        assert set(codes(cheat)) <= {"no-bus", "bus-full"}
        # a seat on it all the same; then a seat on a bus that it says is here
        for claim in (Pose(far.east_cm, far.north_cm, 0, 0, RIDE), replace(outside, state=RIDE)):
            before = len(corrections(cheat))
            cheat.session.pose = claim
            await wait_more(cheat, before, "a correction")
            assert corrections(cheat)[-1] in ("reach", "ride")
            assert cheat.session.pose == outside
        assert corrections(cheat)[-1] == "ride"
        await wait(watcher, lambda: cheat.session.id in watcher.view.people, "the other in view")
        shown = watcher.view.people[cheat.session.id].pose
        assert (shown.state != RIDE, abs(shown.east_cm - outside.east_cm) <= 2) == (True, True)


# ---- hostile words


STRANGERS = 40  # five strings each: within what one may say at once


async def test_two_hundred_hostile_strings_harm_nothing_in_names_words_wishes_and_notes(city: City) -> None:
    """Each is refused in words or passed on as it is; a listener is shown no line that turns or covers others."""
    at, _ = through_the_wall()
    shares = [HOSTILE[number::STRANGERS] for number in range(STRANGERS)]
    outcomes: list[tuple[str, str]] = []

    async def insult(texts: tuple[str, ...]) -> None:
        for text in texts[:3]:
            await name_oneself(city, at, text, outcomes)
        async with person(city, at) as stranger:
            for text in texts:
                outcomes.append(("say", await say(stranger, text)))
                for verb in ("hang", "note"):
                    outcomes.append((verb, await put_up(stranger, verb, text)))

    async with person(city, at, node=1) as listener:
        with soon(PATIENCE_S, "two hundred hostile strings"):
            async with trio.open_nursery() as nursery:
                for share in shares:
                    nursery.start_soon(insult, share)
        words = [message.text for message in heard(listener, Said)]
        shown = [one.text for cell in listener.view.objects.values() for one in cell.values() if one.text]
        assert [text for text in (*words, *shown) if line_fault(text, 300)] == []
        assert set(words) <= set(HOSTILE)
        assert words
        assert shown
        await wait(listener, lambda: listener.session.playing, "the listener in the city")
    for what in ("say", "hang", "note"):
        met = {outcome for kind, outcome in outcomes if kind == what}
        assert len([kind for kind, _ in outcomes if kind == what]) == 200
        assert met <= {"unsendable", "said", "say-text", "disk", "standby", "text"}, met
        assert {"unsendable"} < met
    assert {outcome for kind, outcome in outcomes if kind == "name"} >= {"malformed", "welcome"}
    assert not city.dead()


async def name_oneself(city: City, at: Pose, text: str, outcomes: list[tuple[str, str]]) -> None:
    """Comes in under such a name, or a modified client does as nearly as bytes allow; the name is told as it is."""
    try:
        async with person(city, at, text[:32]) as stranger:
            answer = await asks(stranger, stranger.session.id)
            assert answer.profiles[0].name == text[:32]
            outcomes.append(("name", "welcome"))
    except* LocalError:
        outcomes.append(("name", "malformed" if await refused_raw(city, at, text[:32]) else "let in"))


async def refused_raw(city: City, at: Pose, name: str) -> bool:
    """Whether a message with text that no message may hold ends the connection as malformed."""
    async with person(city, at) as stranger:
        body = msgpack.packb({"place": name}, unicode_errors="surrogatepass")
        stranger._send(stranger.session.main, b"\x4c" + body)
        await wait(stranger, lambda: bool(heard(stranger, Bye)), "a goodbye")
        return str(heard(stranger, Bye)[0].code) == "malformed"


def sendable(message: PlayMessage) -> bool:
    """Whether the wire has bytes for it at all."""
    try:
        encode_play(message)
    except LocalError:
        return False
    return True


async def say(stranger: Client, text: str) -> str:
    """Says it near; `said` when it was heard again, or why not."""
    if not text or not sendable(Notice("speech", text)):
        return "unsendable"
    said, told = len(heard(stranger, Said)), len(codes(stranger))
    stranger.say("near", text)

    def answered() -> bool:
        mine = [one for one in heard(stranger, Said)[said:] if one.id == stranger.session.id]
        return bool(mine) or len(codes(stranger)) > told

    await wait(stranger, answered, f"an answer to {text!a}")
    return (codes(stranger)[told:] or ["said"])[0]


async def put_up(stranger: Client, verb: str, text: str) -> str:
    """Hangs or pins it; how durable it is, or why not."""
    if not sendable(Act(1, verb, text)):
        return "unsendable"
    done = await stranger.act(verb, text)
    return done.durable or done.reason


# ---- a crowded cell


async def test_a_newcomer_of_a_crowded_cell_is_shown_all_of_it_and_loses_no_connection(city: City) -> None:
    """Three hundred long wishes are 180 kB: all at once they would not fit what may wait for one client."""
    at = Pose(*PLACES[1].position_cm)
    wish = "가" * 200

    async def hang(number: int) -> None:
        async with person(city, replace(at, east_cm=at.east_cm + 10 * number)) as hanger:
            for _ in range(30):
                done = await hanger.act("hang", wish)
                assert done.durable in ("disk", "standby")

    with soon(2 * AT_MOST_S, "three hundred lanterns"):
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(hang, number)
    async with person(city, at) as newcomer:

        def wishes() -> int:
            return sum(one.text == wish for cell in newcomer.view.objects.values() for one in cell.values())

        await wait(newcomer, lambda: wishes() == 300, "three hundred lanterns shown")
        assert newcomer.session.counters["logins"] == 1
        assert heard(newcomer, Bye) == []


# ---- drums


async def test_the_drums_of_twenty_people_sound_together(city: City) -> None:
    """Each strikes for one moment of the server; all hear all of them, in time, and by their clocks at one moment."""
    border = Cell.at(*PLACES[0].position_cm, 9)
    west, south, _, _ = border.bounds_cm()
    spots = [Pose(west + (-300 if n % 2 else 300), south + 1_000 + 100 * n) for n in range(20)]
    async with trio.open_nursery() as nursery:
        drummers: list[Client] = []
        come, over = trio.Event(), trio.Event()

        async def drum(at: Pose, node: int) -> None:
            async with person(city, at, node=node) as client:
                drummers.append(client)
                if len(drummers) == len(spots):
                    come.set()
                await over.wait()

        for number, at in enumerate(spots):
            nursery.start_soon(drum, at, number % 2)
        with soon(AT_MOST_S, "twenty drummers"):
            await come.wait()
        await wait_each(drummers, lambda one: one.view.frames >= 30, "the server's time by thirty frames")
        nodes = {one.session.node for one in drummers}
        assert len(nodes) == 2, "they all stand on one node's ground"
        for one in drummers:
            one.said.clear()
        moment_ms = drummers[0].session.server_ms(trio.current_time()) + 400
        for one in drummers:
            one.session.beat(moment_ms, 1)
            one.block(1)  # has what was wished for sent
        await wait_each(drummers, lambda one: len(heard(one, Beat)) == 20, "twenty beats")
        for one in drummers:
            beats = heard(one, Beat)
            assert len({beat.id for beat in beats}) == 20
            assert max(beat.at_ms for beat in beats) - min(beat.at_ms for beat in beats) <= TOGETHER_MS
        # when each would strike by its own idea of the server's time
        ahead = [one.session.server_ms(0.0) for one in drummers]
        assert max(ahead) - min(ahead) <= TOGETHER_MS
        over.set()


# ---- roles


async def test_a_room_of_officials_is_open_to_who_shows_a_grant(city: City) -> None:
    outside, _ = through_the_wall()
    badge = read_badge(*city.official)
    keys = PersonKeys.from_seed(bytes([77]) * 32)
    now_ms = time.time_ns() // 1_000_000
    over = (sign_grant(city.root, keys.public, "official", ("cells:*",), 0, now_ms - 1),)
    room = read().by_id["meeting-room"]
    async with (
        person(city, outside, "다산콜", grants=badge.grants, keys=badge.keys) as official,
        person(city, outside, node=1) as citizen,
        person(city, outside, grants=over, keys=keys) as former,
    ):
        await wait(former, lambda: "grant-expired" in codes(former), "why the grant does not count")
        await wait(citizen, lambda: official.session.id in citizen.view.people, "the official in view")
        assert (await asks(citizen, official.session.id)).roles == ("official",)
        for one in (citizen, former):
            await goes(one, "meeting-room", partial(was_told, one, "place-closed"))

        def within() -> bool:
            pose = official.session.pose
            return pose is not None and room.contains(pose.east_cm, pose.north_cm)

        await goes(official, "meeting-room", within)
        assert (await asks(official, official.session.id)).roles == ("official",)
        assert codes(official) == []


# ---- a place and a programme of an operator


async def test_a_place_and_a_programme_are_two_files_by_following_the_docs(city: City) -> None:
    """Served, gone to, walled, rung, told once to people on both nodes' sockets, without a line of code."""
    table = [json.loads(node.ask("/api/v1/places") or b"{}") for node in city.nodes]
    assert table[0] == table[1]
    (teahouse,) = [one for one in table[0]["places"] if one["id"] == "teahouse"]
    (tea_time,) = [one for one in table[0]["programmes"] if one["id"] == "tea-time"]
    assert (teahouse["name"]["ko"], tea_time["place"]) == ("찻집", "teahouse")
    at, _ = through_the_wall()
    async with person(city, at) as guest, person(city, at, node=1) as other:
        await goes(guest, "teahouse", lambda: "go" in corrections(guest))
        await goes(other, "찻집", lambda: "go" in corrections(other))
        spawns = {(spawn["east_cm"], spawn["north_cm"]) for spawn in teahouse["spawns"]}
        for one in (guest, other):
            assert one.session.pose is not None
            assert (one.session.pose.east_cm, one.session.pose.north_cm) in spawns
        with soon(2 * AT_MOST_S, "the end of the rehearsal"):
            done: Done = await guest.act("start", "tea-time")
            assert done.durable == "started"
            assert (await other.act("ring")).durable in ("disk", "standby")
            assert (await guest.act("note", "차 모임")).durable in ("disk", "standby")
            await wait_each((guest, other), lambda one: "programme" in codes(one), "the words")
        words = "차가 준비되었습니다. · Tea is served."
        for one in (guest, other):
            notices = [(notice.code, notice.sentence) for notice in heard(one, Notice)]
            told = [notice for notice in notices if notice[0] != "stroke"]  # of the bell
            assert told == [("rehearsal", "차 시간 · Tea time"), ("programme", words)]
