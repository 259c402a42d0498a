"""A life: a walker with a purpose, a name and clothes; what it hears and sees, and what it wishes to be done.

A life is a machine without input or output of its own: `step` moves it on by so many seconds of the server's time,
the rest tells it what happened, and `wishes` is what its owner is to send in its name.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from client.lives.words import look, name
from client.walk import STAND, Gait, Walker
from p2pworld.crypto.keys import PersonKeys
from p2pworld.grants import Grant
from p2pworld.messages import Done, Notice, Objects, Profile, Profiles

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from client.lives.ground import Ground
    from p2pworld.messages import Pose, Said
    from p2pworld.world.places import Point

__all__ = [
    "BOW",
    "CLAP",
    "DANCE",
    "DRUM",
    "WAVE",
    "Ask",
    "Badge",
    "Drum",
    "Life",
    "News",
    "Perform",
    "Speak",
    "Travel",
    "Wish",
]

WAVE: Final = 4
BOW: Final = 5
DANCE: Final = 6
CLAP: Final = 7
DRUM: Final = 8
OUT_OF_ROOMS: Final = "Gwanghwamun Gate"
RETRY_S: Final = 10.0
WISHES_MAX: Final = 16  # not yet taken: an owner that is out of the city takes none


@dataclass(frozen=True, slots=True)
class Perform:
    """Do something that lasts (ACT)."""

    verb: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Speak:
    """Say something on a channel, `avatar` being whom a direct word is for."""

    channel: str
    text: str
    avatar: int = 0


@dataclass(frozen=True, slots=True)
class Drum:
    """Strike a drum that sounds at this Unix millisecond of the server."""

    at_ms: int
    voice: int


@dataclass(frozen=True, slots=True)
class Travel:
    """Go somewhere by other means than one's feet (GO)."""

    place: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask who these are (WHO)."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Badge:
    """The key of somebody who has been granted a role, and the grants that say so."""

    keys: PersonKeys
    grants: tuple[Grant, ...]


Wish = Perform | Speak | Drum | Travel | Ask
News = Notice | Profiles | Done | Objects


class Life(Walker):
    """What all have in common. `listens`: wants to be told what is said, noticed and who is who; `looks`: who is
    near; `number` is its number among those of its role. One with a `badge` has that key, and shows its grants."""

    role = ""
    listens = False
    looks = False
    badge: Badge | None = None

    def __init__(
        self, random: Random, ground: Ground, number: int, at: Point, gait: Gait,
        title: str = "", clothes: str = "",
    ) -> None:  # fmt: skip
        super().__init__(random, ground.routes, at, gait)
        self.ground, self.number = ground, number
        self.id = 0  # its avatar, as soon as its owner knows
        self.profile = Profile(title or name(random), clothes or look(random), "program")
        self.wishes: deque[Wish] = deque(maxlen=WISHES_MAX)
        self.now_ms = 0
        self._pose_s = 0.0  # left of an emote
        self._rest_s = 0.0

    # ------------------------------------------------------------------------------------------- time

    def step(self, seconds: float, server_ms: int) -> bool:
        """Goes on for so long, until `server_ms` (Unix, the server's); whether it moved."""
        self.now_ms = server_ms
        if self.moving:
            if self.walk(seconds):
                self.arrived()
            return True
        if self._pose_s > 0:
            self._pose_s -= seconds
            if self._pose_s <= 0:
                self.state = STAND
        self.stay(seconds)
        return False

    def stay(self, seconds: float) -> None:
        """Time passes while it stands; unless a role does otherwise, it sets out when it has rested."""
        self._rest_s -= seconds
        if self._rest_s <= 0:
            self.set_out()

    def emote(self, state: int, seconds: float = 3.0) -> None:
        """Shows a state for so long, standing."""
        self.state, self._pose_s = state, seconds

    def rest(self, seconds: float) -> None:
        """Stays here for so long."""
        self._rest_s = seconds

    # ------------------------------------------------------------------------------------------- what happens

    def arrived(self) -> None:
        """It is where it wanted to be."""

    def set_out(self) -> None:
        """It has rested, or its way led nowhere."""

    def placed(self, pose: Pose, reason: str) -> None:
        """Its node put it there, for a reason."""
        if self.ground.places.room_at(pose.east_cm, pose.north_cm) is not None:
            self.stop()  # a portal led it where no way leads
            self.wishes.append(Travel(OUT_OF_ROOMS))
            self.rest(RETRY_S)
        elif not self.put(pose):
            self.set_out()

    def hear(self, said: Said) -> None:
        """Somebody said something in its hearing."""

    def told(self, message: News) -> None:
        """A word of the node: a notice, who somebody is, what came of an act, what stands around."""

    def look(self, ids: Iterable[int], east_cm: Iterable[int], north_cm: Iterable[int]) -> None:
        """Who is shown around it now."""
