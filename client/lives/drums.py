"""The drum troupe: eight people on one spot who play one rhythm together, timed by the server's clock alone.

The rhythms are janggu patterns of Korean farmers' music on a grid of equal pulses. Every drummer knows which cycle it
is from the time itself, so all strike on the same milliseconds without a word between them. A beat is asked for a
little ahead, so that everybody has it in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from client.lives.life import DRUM, Drum, Life
from client.walk import STAND, STROLL

if TYPE_CHECKING:
    from random import Random

    from client.lives.ground import Ground
    from p2pworld.messages import Pose

__all__ = ["CYCLE_MS", "FORM", "JAJINMORI", "TROUPE", "Drummer", "Form", "Rhythm", "strokes"]

TROUPE: Final = 8
CIRCLE_CM: Final = 400
BEHIND_CM: Final = 600  # the middle of the circle lies so far from the declared point: visitors drum there
AHEAD_MS: Final = 400  # a node takes wishes of at most 500 ms ahead
LEAST_MS: Final = 60  # a beat that would come later than this is left out
CYCLE_MS: Final = 2_400
BOTH, LOW, HIGH, GONG = 0, 1, 2, 3  # voices: deong, kung, deok, and the jing that opens a cycle


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One cycle: `pulses` of equal length, and the strokes (pulse, voice) of each part."""

    pulses: int
    janggu: tuple[tuple[int, int], ...]
    buk: tuple[tuple[int, int], ...]
    jing: tuple[tuple[int, int], ...] = ((0, GONG),)


# jajinmori: four beats of three; hwimori: four quick beats of two, twice
JAJINMORI: Final = Rhythm(
    12,
    ((0, BOTH), (3, BOTH), (6, BOTH), (8, HIGH), (9, LOW), (11, HIGH)),
    ((0, LOW), (3, LOW), (6, LOW), (9, LOW)),
)
HWIMORI: Final = Rhythm(
    16,
    ((0, BOTH), (2, HIGH), (5, HIGH), (6, LOW), (8, BOTH), (10, HIGH), (13, HIGH), (14, LOW)),
    ((0, LOW), (4, LOW), (8, LOW), (12, LOW)),
)
# what is played cycle by cycle, round and round: 58 s of music in every 77 s, and quiet in between
Form = tuple[Rhythm | None, ...]
FORM: Final[Form] = (JAJINMORI,) * 16 + (HWIMORI,) * 8 + (None,) * 8
PARTS: Final = ("janggu", "buk", "buk", "jing", "janggu", "buk", "buk", "janggu")


def strokes(part: str, cycle: int, form: Form = FORM) -> tuple[tuple[int, int], ...]:
    """(Unix ms, voice) of everything that this part plays in a cycle; cycle 0 began with Unix time."""
    rhythm = form[cycle % len(form)]
    if rhythm is None:
        return ()
    pulse_ms = CYCLE_MS // rhythm.pulses
    return tuple((cycle * CYCLE_MS + pulse * pulse_ms, voice) for pulse, voice in getattr(rhythm, part))


class Drummer(Life):
    """One of the troupe. It walks to its spot in the circle and drums there."""

    role = "drummer"
    form = FORM

    def __init__(self, random: Random, ground: Ground, number: int) -> None:
        turn = math.tau * (number % TROUPE) / TROUPE
        east, north = ground.drums
        self._middle = east, north - BEHIND_CM
        self._spot = (
            round(self._middle[0] + CIRCLE_CM * math.sin(turn)),
            round(self._middle[1] + CIRCLE_CM * math.cos(turn)),
        )
        super().__init__(random, ground, number, self._spot, STROLL, f"풍물패 {number + 1}")
        self.part = PARTS[number % TROUPE]
        self._played_ms = 0
        self.face(self._middle)

    def stay(self, seconds: float) -> None:
        if math.dist(self._spot, (self.east_cm, self.north_cm)) > CIRCLE_CM / 2:
            self._rest_s -= seconds
            if self._rest_s <= 0:
                self._rest_s = 5.0
                self.go(self._spot)
            return
        first_ms, last_ms = max(self._played_ms + 1, self.now_ms + LEAST_MS), self.now_ms + AHEAD_MS
        for cycle in range(first_ms // CYCLE_MS, last_ms // CYCLE_MS + 1):
            for at_ms, voice in strokes(self.part, cycle, self.form):
                if first_ms <= at_ms <= last_ms:
                    self.wishes.append(Drum(at_ms, voice))
                    self._played_ms = at_ms
        playing = self.form[self.now_ms // CYCLE_MS % len(self.form)] is not None
        self.state = DRUM if playing else STAND

    def arrived(self) -> None:
        self.face(self._middle)

    def placed(self, pose: Pose, reason: str) -> None:
        self.put(pose)
