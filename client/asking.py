"""What a person asks of the city, kept by the client until the city has heard it.

`Acts` are what lasts: each is asked for again, word for word, until its answer comes, at whatever node the client is by
then. The place where it was first asked for goes with it, so that all who are asked look in the same cell whether it
has been done. `Wishes` are what every later node must be told anew: whom not to hear, who is welcome,
which groups to hear. `Words` are what is said: said again to a new node if it was not heard by then.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from p2pworld.errors import LocalError
from p2pworld.messages import Act, Block, Done, Friend, Group

if TYPE_CHECKING:
    from p2pworld.messages import Pose, Said, Say

__all__ = ["ACTS_MAX", "ACT_AGAIN_S", "TELL_PER_S", "WORDS_AGAIN_S", "Acts", "Wishes", "Words"]

_T = TypeVar("_T")

ACT_AGAIN_S: Final = 2.0
ACTS_MAX: Final = 32  # not yet answered
TELL_PER_S: Final = 5  # half of what a node takes, so that the person's own words find room
WORDS_AGAIN_S: Final = 10.0  # what was said longer ago would be out of place
WORDS_MAX: Final = 8  # not yet heard
HEARD_MAX: Final = 256  # remembered, so that what a speaker said twice is heard once
_AGAIN: Final = frozenset({"busy", "disk", "lapsed", "moved"})  # reasons that pass


@dataclass(slots=True)
class _Asked:
    act: Act
    again_s: float


class Acts:
    """The acts that wait for their answer. `entropy`, never used before, makes their names this client's own."""

    def __init__(self, entropy: bytes) -> None:
        self._entropy = entropy
        self._asked: dict[int, _Asked] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, verb: str, text: str, target: bytes, now_s: float, keep: bool = False) -> int:
        """A new act, `due` at once; returns its number. `keep`: a node may keep it that cannot have it done now.

        Raises:
            LocalError: too many acts are open.
        """
        if len(self._asked) >= ACTS_MAX:
            raise LocalError(f"{ACTS_MAX} acts are waiting for their answer; wait for one")
        self._made += 1
        n = self._made
        name = hashlib.sha256(b"p2pworld act" + self._entropy + n.to_bytes(4, "big")).digest()[:16]
        self._asked[n] = _Asked(Act(n, verb, text, target, name, keep=keep), now_s)
        return n

    def due(self, pose: Pose | None, now_s: float) -> list[Act]:
        """What is to be asked for now; an act first asked for belongs to where the avatar is, at `pose`."""
        found = []
        for asked in self._asked.values():
            if now_s < asked.again_s:
                continue
            if pose is not None and not (asked.act.east_cm or asked.act.north_cm):
                asked.act = replace(asked.act, east_cm=pose.east_cm, north_cm=pose.north_cm)
            asked.again_s = now_s + ACT_AGAIN_S
            found.append(asked.act)
        return found

    def done(self, done: Done, now_s: float) -> bool:
        """An answer; whether the act is to be asked for again, since its reason passes."""
        asked = self._asked.get(done.n)
        if asked is None:
            return False
        if done.reason in _AGAIN:
            asked.again_s = now_s + ACT_AGAIN_S
            return True
        del self._asked[done.n]
        return False

    def hurry(self, now_s: float) -> None:
        """All are due now: a node that has not been asked yet is there."""
        for asked in self._asked.values():
            asked.again_s = now_s

    @property
    def due_s(self) -> float:
        """When the next is due."""
        return min((asked.again_s for asked in self._asked.values()), default=math.inf)


class Wishes:
    """Whom this person does not hear, whom they welcome, and which groups; a new node is told so, a few a second."""

    def __init__(self) -> None:
        self.blocked: dict[int, None] = {}
        self.friends: dict[int, None] = {}
        self.groups: dict[bytes, None] = {}
        self.due_s = math.inf
        self._untold: deque[Block | Friend | Group] = deque()

    def block(self, avatar: int, on: bool) -> Block:
        """Remember; what the present node is to be told."""
        _set(self.blocked, avatar, on)
        return Block(avatar, on)

    def friend(self, avatar: int, on: bool) -> Friend:
        """Remember; what the present node is to be told."""
        _set(self.friends, avatar, on)
        return Friend(avatar, on)

    def group(self, to: bytes, on: bool) -> Group:
        """Remember; what the present node is to be told."""
        _set(self.groups, to, on)
        return Group(to, on)

    def begin(self, now_s: float) -> None:
        """The node is new to us: it is to be told everything."""
        self._untold = deque(
            [*map(Group, self.groups), *map(Block, self.blocked), *map(Friend, self.friends)]
        )
        self.due_s = now_s

    def due(self, now_s: float) -> list[Block | Friend | Group]:
        """What it is to be told now."""
        if now_s < self.due_s:
            return []
        told = [self._untold.popleft() for _ in range(min(TELL_PER_S, len(self._untold)))]
        self.due_s = now_s + 1.0 if self._untold else math.inf
        return told


class Words:
    """What this person says, until they hear it themselves as all others do, or are told why nobody does.

    Whoever changes nodes in that moment may have said it to a node that had just given them up. So it is said again at
    the next one, with the same signature, by which whoever has heard it the first time knows it.
    """

    def __init__(self) -> None:
        self._open: dict[bytes, tuple[Say, float]] = {}  # by signature, and until when; oldest first
        self._heard: dict[bytes, None] = {}

    def say(self, say: Say, now_s: float) -> None:
        """This is being said."""
        self._open[say.sig] = (say, now_s + WORDS_AGAIN_S)
        while len(self._open) > WORDS_MAX:
            del self._open[next(iter(self._open))]

    def heard(self, said: Said) -> bool:
        """This is heard; whether for the first time."""
        self._open.pop(said.sig, None)
        if said.sig in self._heard:
            return False
        self._heard[said.sig] = None
        if len(self._heard) > HEARD_MAX:
            del self._heard[next(iter(self._heard))]
        return True

    def refused(self) -> None:
        """The node says why the first of them is not heard; it answers in order."""
        if self._open:
            del self._open[next(iter(self._open))]

    def again(self, now_s: float) -> list[Say]:
        """What is to be said to a node that is new to us."""
        self._open = {sig: kept for sig, kept in self._open.items() if now_s < kept[1]}
        return [say for say, _ in self._open.values()]


def _set(known: dict[_T, None], one: _T, on: bool) -> None:
    if on:
        known[one] = None
    else:
        known.pop(one, None)
