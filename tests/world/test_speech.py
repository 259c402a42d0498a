"""Who hears whom: two nodes beside each other, with people on both sides of the border."""

from __future__ import annotations

from itertools import count

import pytest

from p2pworld.crypto.keys import PersonKeys, sign_say
from p2pworld.geometry import Cell, partition_around
from p2pworld.ids import Incarnation, Login, avatar_id
from p2pworld.limits import BEAT_AHEAD_MS, BEAT_LEAD_MS, BLOCKS_MAX, HEAR_CM, SAYS_BURST
from p2pworld.messages import (
    Beat,
    Block,
    Group,
    Instant,
    Notice,
    Pose,
    Profile,
    Said,
    Say,
    Spoken,
    ToClient,
    ToPeer,
)
from p2pworld.world.citymap import CityMap, Holding, Member
from p2pworld.world.crowd import MINE, Crowd
from p2pworld.world.outbox import Outbox
from p2pworld.world.region import RegionIndex
from p2pworld.world.speech import Speech

ME, OTHER = Incarnation(b"a" * 32, 1), Incarnation(b"b" * 32, 1)
GROUND = Cell.at(3_300_000, 3_300_000, 8)
WEST, SOUTH, EAST, _ = GROUND.bounds_cm()
NOW = Instant(50.0, 1_700_000_000_000)


def city() -> CityMap:
    members = {who.node: Member(who.node, 1, "l", "p", "w") for who in (ME, OTHER)}
    cells = {c: Holding(ME if c == GROUND else OTHER, 1) for c in partition_around([GROUND])}
    return CityMap(1, 0, members, cells, {})


class House:
    """One node's voices, and the people who listen to it."""

    def __init__(self) -> None:
        self.out, self.crowd = Outbox(), Crowd(64)
        self.speech = Speech(
            self.crowd, self.out, lambda east, north: "here" if east < WEST + 5_000 else None
        )
        self.index = RegionIndex(city(), ME)
        self.keys: dict[int, PersonKeys] = {}
        self._n = count(1)

    def enter(self, conn: int, east_cm: int, north_cm: int = SOUTH + 10_000) -> int:
        keys = PersonKeys.from_seed(bytes([conn + 1]) * 32)
        avatar = avatar_id(keys.public)
        row = self.crowd.add(avatar, Login(1, bytes(16)), 0, 0, Pose(east_cm, north_cm), MINE, NOW.boot_s)
        self.crowd.attach(row, conn)
        self.keys[conn] = keys
        return avatar

    def say(self, conn: int, text: str, channel: str = "near", say: Say | None = None, **to: object) -> None:
        keys = self.keys[conn]
        avatar = avatar_id(keys.public)
        pose = self.crowd.pose(self.crowd.row_of[avatar])
        said = say or sign_say(keys, next(self._n), channel, text, NOW.wall_ms, **to)  # type: ignore[arg-type]
        self.speech.say(
            conn, avatar, keys.public, Profile("Kim"), pose, said, self.index, [OTHER], [OTHER], NOW
        )

    def heard(self) -> dict[int, list[str]]:
        told: dict[int, list[str]] = {}
        for send in self.out.sends:
            if isinstance(send, ToClient) and isinstance(send.message, Said):
                told.setdefault(send.conn, []).append(send.message.text)
        return told

    def notices(self) -> list[str]:
        sends = [s.message for s in self.out.sends if isinstance(s, ToClient)]
        return [m.code for m in sends if isinstance(m, Notice)]

    def passed_on(self) -> list[ToPeer]:
        return [s for s in self.out.sends if isinstance(s, ToPeer)]


@pytest.fixture
def house() -> House:
    return House()


def test_a_voice_carries_as_far_as_it_does(house: House) -> None:
    house.enter(0, WEST + 6_000)
    house.enter(1, WEST + 6_000 + HEAR_CM)
    house.enter(2, WEST + 6_000 + HEAR_CM + 1)
    house.say(0, "안녕")
    assert house.heard() == {0: ["안녕"], 1: ["안녕"]}


def test_a_voice_near_the_border_is_passed_to_the_neighbour_and_no_other(house: House) -> None:
    house.enter(0, WEST + 12_800)
    house.say(0, "in the middle")
    assert house.passed_on() == []
    house.enter(1, EAST - 100)
    house.say(1, "at the edge")
    (sent,) = house.passed_on()
    assert sent.peer == OTHER
    assert isinstance(sent.message, Spoken)
    other = House()
    other.enter(5, EAST + 200)
    other.speech.deliver(sent.message.said)
    assert other.heard() == {5: ["at the edge"]}


def test_a_blocked_voice_does_not_reach_the_one_who_blocked_it(house: House) -> None:
    loud = house.enter(0, WEST + 100)
    house.enter(1, WEST + 200)
    house.speech.block(1, Block(loud))
    house.say(0, "one")
    house.speech.block(1, Block(loud, on=False))
    house.say(0, "two")
    assert house.heard() == {0: ["one", "two"], 1: ["two"]}


def test_a_new_client_under_an_old_number_inherits_no_blocks_and_no_groups(house: House) -> None:
    loud = house.enter(0, WEST + 100)
    house.enter(1, WEST + 200)
    house.speech.block(1, Block(loud))
    house.speech.group(1, Group(b"g" * 16))
    house.speech.lost(1)
    house.speech.group(0, Group(b"g" * 16))
    house.say(0, "near")
    house.say(0, "group", "group", to=b"g" * 16)
    assert house.heard()[1] == ["near"]


def test_a_group_hears_and_nobody_else(house: House) -> None:
    for conn in range(3):
        house.enter(conn, WEST + 100 * conn)
    house.say(0, "not yet a member", "group", to=b"g" * 16)
    assert house.notices() == ["say-group"]
    house.speech.group(0, Group(b"g" * 16))
    house.speech.group(2, Group(b"g" * 16))
    house.say(0, "members", "group", to=b"g" * 16)
    assert house.heard() == {0: ["members"], 2: ["members"]}


def test_everybody_at_a_place_hears(house: House) -> None:
    house.enter(0, WEST + 10)
    house.enter(1, WEST + 4_990, SOUTH + 25_000)
    house.enter(2, WEST + 5_010)
    house.say(0, "to the place", "place")
    house.say(2, "no place here", "place")
    assert house.heard() == {0: ["to the place"], 1: ["to the place"]}
    assert house.notices() == ["say-place"]


def test_a_direct_word_goes_to_one_here_or_to_the_home_that_knows_where(house: House) -> None:
    house.enter(0, WEST + 100)
    friend = house.enter(1, WEST + 20_000)
    house.say(0, "psst", "direct", avatar=friend)
    assert house.heard() == {0: ["psst"], 1: ["psst"]}
    assert house.passed_on() == []
    house.say(0, "far away", "direct", avatar=12345)
    assert [sent.peer for sent in house.passed_on()] == [OTHER]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"text": "other words"}, "say-signature"),
        ({"text": "two\nlines"}, "say-text"),
        ({"ms": NOW.wall_ms + 121_000}, "say-clock"),
        ({"channel": "shout"}, "say-signature"),
    ],
)
def test_what_is_not_fit_to_pass_on_is_answered(house: House, change: dict[str, object], code: str) -> None:
    house.enter(0, WEST + 100)
    signed = sign_say(house.keys[0], 1, "near", "words", NOW.wall_ms)
    fields = {name: getattr(signed, name) for name in ("n", "channel", "text", "ms", "sig")} | change
    house.say(0, "", say=Say(**fields))
    assert house.notices() == [code]
    assert house.heard() == {}


def test_who_speaks_too_fast_is_told(house: House) -> None:
    house.enter(0, WEST + 100)
    for i in range(SAYS_BURST + 2):
        house.say(0, f"word {i}")
    assert len(house.heard()[0]) == SAYS_BURST
    assert house.notices() == ["say-rate"] * 2


def test_blocks_are_bounded(house: House) -> None:
    for avatar in range(1, BLOCKS_MAX + 2):
        house.speech.block(0, Block(avatar))
    assert house.notices() == ["blocks-full"]


@pytest.mark.parametrize(
    ("wish_ms", "at_ms"),
    [(200, 200), (BEAT_AHEAD_MS + 1, BEAT_LEAD_MS), (-1, BEAT_LEAD_MS)],
)
def test_a_drum_sounds_at_one_moment_for_everybody(house: House, wish_ms: int, at_ms: int) -> None:
    drummer = house.enter(0, WEST + 100)
    house.enter(1, WEST + 200)
    pose = house.crowd.pose(house.crowd.row_of[drummer])
    house.speech.beat(0, drummer, pose, Beat(NOW.wall_ms + wish_ms, 3), house.index, [OTHER], NOW)
    beats = [s.message for s in house.out.sends if isinstance(s, ToClient)]
    assert beats == [Beat(NOW.wall_ms + at_ms, 3, drummer, pose.east_cm, pose.north_cm)] * 2
    assert [sent.peer for sent in house.passed_on()] == [OTHER]
