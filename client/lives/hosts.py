"""Those who stand at a post for whoever comes: they greet, answer simple words with directions, and tend the bell.

A host asks who those around it are, greets each person once a visit and no program ever, so that no two programs
fall to talking with each other. What it says is limited by its own patience well below what a node allows.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from client.lives.life import BOW, WAVE, Ask, Life, Perform, Speak
from client.lives.words import HELLO, HELLO_BELL, HELLO_LANTERNS, Both, bearing, is_korean, topic_of
from client.walk import STROLL
from p2pworld.messages import Done, Profile, Profiles
from p2pworld.world.vehicles import STOPS, next_bus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from client.lives.ground import Ground
    from client.lives.life import News
    from p2pworld.messages import Said
    from p2pworld.world.places import Point

__all__ = ["POSTS", "BellRinger", "Host", "Post"]

GREET_CM: Final = 2_500
HEAR_CM: Final = 4_000
SPEAK_EVERY_MS: Final = 2_000
ASK_EVERY_MS: Final = 1_500
ASK_IDS_MAX: Final = 32
ASKED_AGAIN_MS: Final = 10_000
GONE_MS: Final = 600_000  # who was not seen for so long is a newcomer again
MET_MAX: Final = 2_048
LINES_MAX: Final = 8  # waiting to be said
HOME_CM: Final = 500

REHEARSE_EVERY_MS: Final = 180_000
REHEARSE_AGAIN_MS: Final = 60_000  # after a refusal
THEIRS_MS: Final = 25_000  # for so long it leaves the start of a rehearsal to whoever has come
COME: Final = Both(
    "곧 보신각 종을 시연합니다. 누구나 종을 칠 수 있어요!",
    "A rehearsal of the bell begins. Everybody here may strike it!",
)


@dataclass(frozen=True, slots=True)
class Post:
    """Where a host stands (a place's name), what it is called, and what its post is called when it greets."""

    place: str
    title: str
    post: Both
    hello: Both = HELLO
    look: str = "hanbok:white/blue;hair:bun;tone:black"
    official: bool = False


POSTS: Final = (
    Post("Gwanghwamun Gate", "광화문 안내", Both("광화문 안내", "the Gwanghwamun guide")),
    Post(
        "Seoul City Hall",
        "120 다산콜",
        Both("서울시청 120", "the 120 counter at City Hall"),
        official=True,
    ),
    Post("Cheonggyecheon Plaza", "청계천 안내", Both("청계천 안내", "the stream's guide"), HELLO_LANTERNS),
)
BELL_POST: Final = Post(
    "Bosingak",
    "보신각 종지기",
    Both("보신각", "Bosingak"),
    HELLO_BELL,
    "hanbok:undyed/jade;hair:gat;tone:grey",
)


@dataclass(slots=True)
class _Met:
    """Somebody around: when last seen and asked about, and who that is."""

    seen_ms: int
    asked_ms: int = 0
    profile: Profile | None = None
    greeted: bool = False
    east_cm: int = 0
    north_cm: int = 0


class Host(Life):
    """Greets whoever is new, and answers."""

    role = "host"
    listens = True
    looks = True

    def __init__(self, random: Random, ground: Ground, number: int, post: Post | None = None) -> None:
        self.post = post or POSTS[number % len(POSTS)]
        self.home = self._stand(ground, random)
        super().__init__(random, ground, number, self.home, STROLL, self.post.title, self.post.look)
        self.met: dict[int, _Met] = {}
        self._lines: deque[Speak] = deque(maxlen=LINES_MAX)
        self._spoke_ms = self._asked_ms = 0

    def _stand(self, ground: Ground, random: Random) -> Point:
        return ground.near(ground.point(self.post.place, random), random, 300)

    # ------------------------------------------------------------------------------------------- time

    def stay(self, seconds: float) -> None:
        if math.dist(self.home, (self.east_cm, self.north_cm)) > HOME_CM:
            self._rest_s -= seconds
            if self._rest_s <= 0:
                self.rest(5.0)
                self.go(self.home)
            return
        if self._lines and self.now_ms - self._spoke_ms >= SPEAK_EVERY_MS:
            self._spoke_ms = self.now_ms
            self.wishes.append(self._lines.popleft())
        if self.now_ms - self._asked_ms >= ASK_EVERY_MS:
            self._who()

    def _who(self) -> None:
        unknown = [
            avatar
            for avatar, met in self.met.items()
            if met.profile is None and self.now_ms - met.asked_ms >= ASKED_AGAIN_MS
        ][:ASK_IDS_MAX]
        if unknown:
            self._asked_ms = self.now_ms
            for avatar in unknown:
                self.met[avatar].asked_ms = self.now_ms
            self.wishes.append(Ask(tuple(unknown)))

    # ------------------------------------------------------------------------------------------- people

    @property
    def people_near(self) -> list[int]:
        """Those known to be people that were seen within the last seconds."""
        return [
            avatar
            for avatar, met in self.met.items()
            if met.profile is not None
            and met.profile.kind != "program"
            and self.now_ms - met.seen_ms < ASKED_AGAIN_MS
        ]

    def look(self, ids: Iterable[int], east_cm: Iterable[int], north_cm: Iterable[int]) -> None:
        here_east, here_north = self.east_cm, self.north_cm
        for avatar, east, north in zip(ids, east_cm, north_cm, strict=True):
            if avatar == self.id or math.hypot(east - here_east, north - here_north) > GREET_CM:
                continue
            met = self.met.get(avatar)
            if met is None or self.now_ms - met.seen_ms > GONE_MS:
                self._make_room()
                met = self.met[avatar] = _Met(self.now_ms)
            met.seen_ms, met.east_cm, met.north_cm = self.now_ms, int(east), int(north)

    def _make_room(self) -> None:
        if len(self.met) >= MET_MAX:
            oldest = min(self.met, key=lambda avatar: self.met[avatar].seen_ms)
            del self.met[oldest]

    def told(self, message: News) -> None:
        if not isinstance(message, Profiles):
            return
        for avatar, profile in zip(message.ids, message.profiles, strict=False):
            met = self.met.get(avatar)
            if met is None:
                continue
            met.profile = profile
            if profile.kind != "program" and not met.greeted:
                met.greeted = True
                self._greet(avatar, met, profile)

    def _greet(self, avatar: int, met: _Met, profile: Profile) -> None:
        self.face((met.east_cm, met.north_cm))
        self.emote(BOW)
        post = self.post.post
        hello = self.post.hello.ko if is_korean(profile.name) else self.post.hello.whole
        text = hello.format(name=profile.name, post=post.ko, post_en=post.en)
        self._lines.append(Speak("near", text[:300]))

    # ------------------------------------------------------------------------------------------- words

    def hear(self, said: Said) -> None:
        if said.id == self.id or said.kind == "program" or said.channel not in ("near", "direct"):
            return
        away_cm = math.dist((said.east_cm, said.north_cm), (self.east_cm, self.north_cm))
        if said.channel == "near" and away_cm > HEAR_CM:
            return
        topic = topic_of(said.text)
        if topic is None:
            return
        korean = is_korean(said.text)
        way, wait_s = self._way_to(topic.id)
        text = topic.answer.fit(korean).format(way=way.fit(korean), wait=wait_s)
        self.face((said.east_cm, said.north_cm))
        self.emote(WAVE)
        if said.channel == "direct":
            self._lines.append(Speak("direct", text, said.id))
        else:
            self._lines.append(Speak("near", text))

    def _way_to(self, topic: str) -> tuple[Both, int]:
        """How to get to what somebody asks for, and how long a bus takes to come there."""
        here, wait_s = (self.east_cm, self.north_cm), 0
        match topic:
            case "bus":
                stop = min(range(len(STOPS)), key=lambda i: math.dist(here, STOPS[i].position_cm))
                there, wait_s = STOPS[stop].position_cm, next_bus(stop, self.now_ms) // 1000
            case "lantern":
                there = min(self.ground.lanterns, key=lambda point: math.dist(here, point))
            case "bell":
                there = self.ground.bell
            case "drum":
                there = self.ground.drums
            case _:
                there = here
        turn = math.atan2(there[0] - here[0], there[1] - here[1]) / math.tau % 1
        return bearing(turn, math.dist(here, there) / 100), wait_s


class BellRinger(Host):
    """The host of the bell: starts a rehearsal every few minutes, when there is a person to hear it."""

    role = "bell"

    def __init__(self, random: Random, ground: Ground, number: int) -> None:
        super().__init__(random, ground, number, BELL_POST)
        self._next_ms = self._came_ms = 0
        self.programmes = ground.programmes_at(ground.bell)

    def _stand(self, ground: Ground, random: Random) -> Point:
        return ground.near(ground.bell, random, 300)

    def stay(self, seconds: float) -> None:
        super().stay(seconds)
        if not self.people_near:
            self._came_ms = self.now_ms
        waited_ms = min(self.now_ms - self._next_ms, self.now_ms - self._came_ms - THEIRS_MS)
        if self.programmes and waited_ms >= 0:
            self._next_ms = self.now_ms + REHEARSE_EVERY_MS
            self._lines.append(Speak("near", COME.whole))
            self.wishes.append(Perform("start", self.programmes[0]))

    def told(self, message: News) -> None:
        super().told(message)
        if isinstance(message, Done) and not message.durable and message.reason:
            self._next_ms = self.now_ms + REHEARSE_AGAIN_MS
