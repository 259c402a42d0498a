"""Lives as machines: who is greeted and answered, who drums when, who rides, and what everybody does with their day."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from client.lives import LEAST, mix, populate
from client.lives.bus import Rider
from client.lives.drums import CYCLE_MS, FORM, TROUPE, Drummer
from client.lives.ground import Ground
from client.lives.hosts import (
    GONE_MS,
    POSTS,
    REHEARSE_AGAIN_MS,
    REHEARSE_EVERY_MS,
    SPEAK_EVERY_MS,
    THEIRS_MS,
    BellRinger,
    Host,
)
from client.lives.life import DRUM, Ask, Drum, Life, Perform, Speak, Travel, Wish
from client.lives.walkers import HERITAGE, Tourist
from client.lives.words import REMARKS, TOPICS, WISHES, bearing, is_korean, topic_of
from client.walk import STAND, places_around
from p2pworld.limits import BEAT_AHEAD_MS, BEATS_PER_S, BOARD_CM, SAYS_PER_S
from p2pworld.messages import Done, Pose, Profile, Profiles, Said
from p2pworld.world.crowd import RIDE
from p2pworld.world.places import NO_PLACES
from p2pworld.world.text import line_fault
from p2pworld.world.vehicles import STOPS, place
from shard_node.declared import read

PLACES = read()
GROUND = Ground(PLACES, places_around())
NOON_MS = 1_800_000_000_000 // CYCLE_MS // len(FORM) * CYCLE_MS * len(FORM)  # the first cycle of the form
TICK_S = 0.1


def pass_time(life: Life, seconds: float, from_ms: int = NOON_MS) -> list[Wish]:
    """What a life wishes within so long."""
    wishes: list[Wish] = []
    for tick in range(round(seconds / TICK_S)):
        life.step(TICK_S, from_ms + round(tick * TICK_S * 1000))
        wishes += life.wishes
        life.wishes.clear()
    return wishes


def of(kind: type, wishes: list[Wish]) -> list[Wish]:
    return [wish for wish in wishes if isinstance(wish, kind)]


# ---- everybody


def test_a_city_of_300_has_every_role_and_mostly_walkers() -> None:
    roles = Counter(mix(300))
    assert roles["host"] == len(POSTS)
    assert roles["bell"] == 1
    assert roles["drummer"] == TROUPE
    assert roles["tourist"] > 40
    assert roles["rider"] > 10
    assert roles["commuter"] > 200
    assert sum(roles.values()) == 300


@pytest.mark.parametrize("count", [1, LEAST - 1, LEAST, 77, 143, 300, 1_001, 5_000])
def test_every_number_of_programs_can_be_mixed(count: int) -> None:
    roles = mix(count)
    assert len(roles) == count
    assert (set(roles) == {"commuter"}) == (count < LEAST)
    if count >= LEAST:
        assert Counter(roles)["drummer"] == TROUPE


def test_the_same_seed_makes_the_same_people_and_all_are_programs_with_korean_names() -> None:
    def people(seed: int) -> list[tuple[Profile, Pose]]:
        return [(life.profile, life.pose) for life in populate(100, seed, GROUND)]

    assert people(1) == people(1)
    assert people(1) != people(2)
    profiles = [profile for profile, _ in people(1)]
    assert {profile.kind for profile in profiles} == {"program"}
    assert all(is_korean(profile.name) for profile in profiles)
    assert all(len(profile.look) <= 64 for profile in profiles)
    hanbok = sum(profile.look.startswith("hanbok:") for profile in profiles)
    assert 20 < hanbok < 80


def test_five_minutes_of_200_lives_lead_through_no_wall_and_nobody_is_stuck() -> None:
    lives = populate(200, 3, GROUND)
    done: Counter[str] = Counter()
    blocked = 0
    way_cm = np.zeros(len(lives))
    for tick in range(1_500):
        before = np.array([(life.east_cm, life.north_cm) for life in lives], np.int32)
        for life in lives:
            life.step(0.2, NOON_MS + tick * 200)
            for wish in life.wishes:
                done[wish.verb if isinstance(wish, Perform) else type(wish).__name__] += 1
            life.wishes.clear()
        after = np.array([(life.east_cm, life.north_cm) for life in lives], np.int32)
        way_cm += np.hypot(*(after - before).T)
        columns = (before[:, 0], before[:, 1], after[:, 0], after[:, 1])
        blocked += int(PLACES.walls.blocked(*(column.copy() for column in columns)).sum())
    assert blocked <= 2  # of 300 000 steps: one may cut the tightest corner, and is corrected
    walked = {
        role: [way_cm[i] for i, life in enumerate(lives) if life.role == role]
        for role in ("commuter", "tourist")
    }
    assert min(walked["commuter"]) > 10_000
    assert min(walked["tourist"]) > 5_000
    assert done["hang"] > 1
    assert done["Speak"] > 20
    assert done["Drum"] > 1_000


def test_without_any_declaration_everybody_still_has_something_to_do() -> None:
    lives = populate(60, 1, Ground(NO_PLACES, places_around()))
    wishes = Counter(type(wish).__name__ for life in lives for wish in pass_time(life, 60))
    assert wishes["Drum"]
    assert wishes["Travel"] or not any(isinstance(life, Rider) for life in lives)


def test_whoever_finds_itself_in_a_room_goes_back_to_the_city() -> None:
    tourist = Tourist(Random("room"), GROUND, 0)
    tourist.placed(Pose(*PLACES.by_id["mayors-office"].spawns[0].at), "go")
    assert of(Travel, list(tourist.wishes)) == [Travel("Gwanghwamun Gate")]
    assert not tourist.moving
    assert PLACES.find("Gwanghwamun Gate") is not None


# ---- tourists


def test_a_tourist_sees_the_heritage_route_in_its_order() -> None:
    tourist = Tourist(Random("route"), GROUND, 0)
    seen = [tourist.place]
    for tick in range(2 * 3_600):
        for _ in range(5):
            tourist.step(0.2, NOON_MS + tick * 1000)
        tourist.wishes.clear()
        if tourist.place != seen[-1]:
            seen.append(tourist.place)
    assert set(seen) == set(HERITAGE)
    at = [HERITAGE.index(name) for name in seen]
    assert all(abs(b - a) == 1 for a, b in pairwise(at))


def test_what_programs_say_and_wish_is_what_nodes_pass_on() -> None:
    sentences = [line for table in REMARKS.values() for both in table for line in both]
    sentences += [line for both in WISHES for line in both] + [
        line for topic in TOPICS for line in topic.answer
    ]
    assert [line for line in sentences if line_fault(line, 200)] == []
    assert all(is_korean(both.ko) and not is_korean(both.en) for table in REMARKS.values() for both in table)


# ---- the troupe


def test_eight_drummers_strike_together_on_the_servers_time() -> None:
    """Each is told the time a little differently, ticks at another moment, and still asks for the same milliseconds."""
    drummers = [Drummer(Random(f"troupe {n}"), GROUND, n) for n in range(TROUPE)]
    beats: list[set[int]] = []
    for number, drummer in enumerate(drummers):
        late_ms = 13 * number  # of its moment of the tick, and of the way from its node
        asked: list[int] = []
        for tick in range(160):
            now_ms = NOON_MS + tick * 100 + late_ms
            drummer.step(TICK_S, now_ms)
            for wish in drummer.wishes:
                assert isinstance(wish, Drum)
                assert 0 < wish.at_ms - now_ms <= BEAT_AHEAD_MS - 50
                asked.append(wish.at_ms)
            drummer.wishes.clear()
        assert asked == sorted(set(asked))
        assert len(asked) <= 16 * BEATS_PER_S
        beats.append(set(asked))
        assert drummer.state == DRUM
    for beat in beats[1]:  # the buk: every beat of it is one of the janggu's
        if beat > NOON_MS + 500:
            nearest = [
                min(abs(beat - other) for other in theirs) for theirs in (beats[0], beats[4], beats[7])
            ]
            assert max(nearest) <= 50
    assert beats[0] - _edges(beats[0]) == beats[4] - _edges(beats[4])
    assert all(at_ms % 200 == NOON_MS % 200 for at_ms in beats[0])


def _edges(beats: set[int]) -> set[int]:
    """The first and last half second, where one who begins later has missed some."""
    return {at_ms for at_ms in beats if at_ms < NOON_MS + 500 or at_ms > NOON_MS + 15_500}


def test_the_troupe_rests_and_stands_in_a_circle() -> None:
    drummers = [Drummer(Random(f"troupe {n}"), GROUND, n) for n in range(TROUPE)]
    rest_ms = NOON_MS + (len(FORM) - 2) * CYCLE_MS
    assert all(of(Drum, pass_time(drummer, 2.0, rest_ms)) == [] for drummer in drummers)
    assert {drummer.state for drummer in drummers} == {STAND}
    spots = {(drummer.east_cm, drummer.north_cm) for drummer in drummers}
    assert len(spots) == TROUPE
    assert all(math.dist(spot, GROUND.drums) < 1_500 for spot in spots)


def test_a_drummer_put_elsewhere_walks_back_before_it_drums() -> None:
    drummer = Drummer(Random("away"), GROUND, 0)
    spot = (drummer.east_cm, drummer.north_cm)
    drummer.placed(Pose(spot[0] + 3_000, spot[1]), "go")
    assert of(Drum, pass_time(drummer, 5.0)) == []
    pass_time(drummer, 60.0)
    assert (drummer.east_cm, drummer.north_cm) == spot


# ---- hosts

MINA, BOT = 7_001, 7_002
NAMES = {MINA: Profile("Mina"), BOT: Profile("김서연", "", "program")}


def host() -> Host:
    made = Host(Random("host"), GROUND, 1)
    made.id = 1
    return made


def told(one: Host, *ids: int) -> None:
    one.told(Profiles(ids, tuple(NAMES[avatar] for avatar in ids)))


def seen(one: Host, *ids: int, away_cm: int = 800) -> None:
    one.look(ids, [one.east_cm + away_cm] * len(ids), [one.north_cm] * len(ids))


def said(
    one: Host, text: str, avatar: int = MINA, channel: str = "near", kind: str = "person", away_cm: int = 500
) -> Said:
    return Said(
        avatar,
        bytes(32),
        "Mina",
        channel,
        text,
        NOON_MS,
        bytes(64),
        one.east_cm + away_cm,
        one.north_cm,
        kind=kind,
    )


def test_a_newcomer_is_asked_for_and_greeted_once_by_name() -> None:
    one = host()
    pass_time(one, 5)
    seen(one, MINA, BOT)
    assert pass_time(one, 1.0, NOON_MS + 5_000) == [Ask((MINA, BOT))]
    told(one, MINA, BOT)
    (hello,) = pass_time(one, 5.0, NOON_MS + 6_000)
    assert isinstance(hello, Speak)
    assert hello.channel == "near"
    assert "Mina" in hello.text
    assert "120" in hello.text
    assert line_fault(hello.text, 300) is None
    for again in range(20):
        seen(one, MINA, BOT)
        told(one, MINA, BOT)
        assert pass_time(one, 5.0, NOON_MS + 12_000 + again * 5_000) == []


def test_whoever_comes_back_after_a_long_while_is_greeted_again() -> None:
    one = host()
    pass_time(one, 3)
    seen(one, MINA)
    told(one, MINA)
    assert len(of(Speak, pass_time(one, 5.0, NOON_MS + 3_000))) == 1
    later_ms = NOON_MS + GONE_MS + 60_000
    pass_time(one, 1.0, later_ms)
    seen(one, MINA)
    assert of(Ask, pass_time(one, 2.0, later_ms + 1_000)) == [Ask((MINA,))]
    told(one, MINA)
    assert len(of(Speak, pass_time(one, 5.0, later_ms + 3_000))) == 1


def test_those_far_away_are_not_greeted_and_a_korean_name_is_greeted_in_korean() -> None:
    one = host()
    pass_time(one, 3)
    seen(one, MINA, away_cm=2_600)
    assert pass_time(one, 5.0, NOON_MS + 3_000) == []
    seen(one, MINA)
    one.told(Profiles((MINA,), (Profile("하늘"),)))
    (hello,) = of(Speak, pass_time(one, 5.0, NOON_MS + 8_000))
    assert isinstance(hello, Speak)
    assert "하늘" in hello.text
    assert "Hello" not in hello.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("안녕하세요!", "버스, 등불"),
        ("Hello?", "bus, lantern"),
        ("버스는 어디서 타요?", "정류장은"),
        ("where is the BUS", "next bus"),
        ("등불을 걸고 싶어요", "청계천"),
        ("lanterns?", "stream"),
        ("종은 어디에 있어요", "보신각"),
        ("Where is the bell?", "Bosingak"),
        ("drum!", "drummers"),
        ("감사합니다", "천만에요"),
    ],
)
def test_simple_words_are_answered_in_their_language(text: str, words: str) -> None:
    one = host()
    pass_time(one, 3)
    one.hear(said(one, text))
    (answer,) = of(Speak, pass_time(one, 3.0, NOON_MS + 3_000))
    assert isinstance(answer, Speak)
    assert words in answer.text
    assert "{" not in answer.text
    assert is_korean(answer.text) == is_korean(text)


def test_who_asks_directly_is_answered_directly_and_programs_and_the_distance_never() -> None:
    one = host()
    pass_time(one, 3)
    one.hear(said(one, "bus", BOT, kind="program"))
    one.hear(said(one, "bus", away_cm=4_500))
    one.hear(said(one, "bus", channel="group"))
    one.hear(said(one, "The weather is fine"))
    one.hear(said(one, "bus", avatar=one.id))
    assert of(Speak, pass_time(one, 5.0, NOON_MS + 3_000)) == []
    one.hear(said(one, "bus", channel="direct", away_cm=90_000))
    (answer,) = of(Speak, pass_time(one, 3.0, NOON_MS + 8_000))
    assert isinstance(answer, Speak)
    assert (answer.channel, answer.avatar) == ("direct", MINA)


def test_however_many_talk_to_it_a_host_speaks_slower_than_a_node_allows() -> None:
    one = host()
    pass_time(one, 3)
    for _ in range(100):
        one.hear(said(one, "hello"))
    spoken = of(Speak, pass_time(one, 60.0, NOON_MS + 3_000))
    assert 1 < len(spoken) <= 10
    assert SPEAK_EVERY_MS / 1000 > 1 / SAYS_PER_S


def test_words_are_found_with_their_particles_and_not_within_others() -> None:
    assert [getattr(topic_of(text), "id", "") for text in ("등불이요", "종은?", "종이컵", "busy", "Bus!", "")] == [
        "lantern", "bell", "", "", "bus", "",
    ]  # fmt: skip


def test_directions_are_words() -> None:
    assert bearing(0.0, 300).en == "about 300 m north of here"
    assert bearing(0.49, 304).ko == "남쪽으로 약 300 m"
    assert bearing(0.9, 12).en == "right here"


def test_the_bell_is_rehearsed_for_people_who_do_not_start_it_themselves_and_not_too_often() -> None:
    ringer = BellRinger(Random("bell"), GROUND, 0)
    ringer.id = 1
    assert math.dist((ringer.east_cm, ringer.north_cm), GROUND.bell) < 400
    seen(ringer, BOT)
    told(ringer, BOT)
    assert of(Perform, pass_time(ringer, 10.0)) == []
    started = []
    for second in range(0, THEIRS_MS // 1000 + 5 + REHEARSE_EVERY_MS // 1000, 5):
        seen(ringer, MINA)
        told(ringer, MINA)
        started += of(Perform, pass_time(ringer, 5.0, NOON_MS + 10_000 + second * 1000))
        assert second >= THEIRS_MS // 1000 - 5 or not started
    assert started == [Perform("start", "new-year-bell")] * 2
    assert any(one.id == "new-year-bell" and one.rehearsal for one in PLACES.programmes)
    ringer.told(Done(1, reason="soon", sentence="No rehearsal now."))
    for _ in range(REHEARSE_AGAIN_MS // 5_000 - 1):
        seen(ringer, MINA)
        assert of(Perform, pass_time(ringer, 5.0, ringer.now_ms + 100)) == []


# ---- riders


def test_a_rider_boards_a_bus_that_stands_rides_and_asks_to_get_off_where_it_wants() -> None:
    rider = Rider(Random("rider"), GROUND, 0)
    asked_ms = 0
    now_ms = NOON_MS
    while not asked_ms:
        rider.step(TICK_S, now_ms)
        if rider.wishes:
            assert rider.wishes.pop() == Travel("bus")
            asked_ms = now_ms
        now_ms += 100
        assert now_ms < NOON_MS + 120_000, "no bus came within two minutes"
    stop = min(STOPS, key=lambda one: math.dist(one.position_cm, (rider.east_cm, rider.north_cm)))
    assert math.dist(stop.position_cm, (rider.east_cm, rider.north_cm)) < BOARD_CM
    rider.placed(Pose(rider.east_cm + 200, rider.north_cm, 0, 0, RIDE), "board")
    assert rider.bus
    while not rider.wishes:
        rider.step(TICK_S, now_ms)
        now_ms += 100
        assert rider.state == RIDE
        assert now_ms < asked_ms + 900_000, "it never wanted to get off"
    assert rider.wishes.pop() == Travel("off")
    at = place(rider.bus, now_ms - 100)
    assert at.stop is not None
    assert STOPS[at.stop] is not stop
    rider.placed(Pose(at.east_cm + 350, at.north_cm), "off")
    assert not rider.bus
    assert rider.state != RIDE
    rider.step(TICK_S, now_ms)
    assert rider.moving


def test_a_rider_told_that_it_sits_on_no_bus_walks() -> None:
    rider = Rider(Random("rider"), GROUND, 0)
    rider.placed(Pose(rider.east_cm, rider.north_cm, 0, 0, RIDE), "ride")
    assert not rider.bus
    assert rider.pose.state != RIDE
