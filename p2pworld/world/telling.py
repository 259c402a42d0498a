"""Tellings: what everybody in a place is told, once each, whichever nodes its ground is on.

The node that plays a programme, or in which a rehearsal is started, tells its own people and every other node, and each
of those tells its own. A telling has a name, the same for whoever plays that moment: when the ground changes hands and
the new holder plays it again, nobody who was told hears it twice. Whoever is being handed off meanwhile brings along
the names of what it was told, so that the node it comes to tells it the rest and no more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.messages import Notice, ToClient, Told, ToPeer
from p2pworld.world.crowd import MINE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from p2pworld.ids import Incarnation
    from p2pworld.messages import Instant
    from p2pworld.world.crowd import Crowd
    from p2pworld.world.outbox import Outbox
    from p2pworld.world.places import Places

__all__ = ["TOLD_KEPT_S", "TOLD_NAMES_MAX", "Tellings"]

TOLD_KEPT_S: Final = 60.0  # who takes a programme over plays again what is at most 30 s late
TOLD_NAMES_MAX: Final = 8  # of one avatar, in a COMMIT
_TELLINGS_MAX: Final = 256
_UNDER_WAY_S: Final = 3.0  # who comes by a handoff this soon after was told by nobody else


@dataclass(slots=True)
class _Telling:
    """One of them: what is told (None: only heard of from a COMMIT), when, and who here has been told."""

    at_s: float
    told: Told | None = None
    avatars: set[int] = field(default_factory=set)


class Tellings:
    """What the people of one node have lately been told."""

    def __init__(self, places: Places, crowd: Crowd, out: Outbox) -> None:
        self.counters: Counter[str] = Counter()
        self._places, self._crowd, self._out = places, crowd, out
        self._kept: dict[bytes, _Telling] = {}  # in the order of `at_s`

    def tell(
        self, told: Told, links: Collection[Incarnation], now: Instant, know: Collection[int] = ()
    ) -> None:
        """Tell it on every node, this one first; the avatars that `know` it here already are not told."""
        if self.heard(told, now, know):
            self._out.sends.extend(ToPeer(peer, told) for peer in sorted(links))

    def heard(self, told: Told, now: Instant, know: Collection[int] = ()) -> bool:
        """Tell it to the people of this node who are there; False if they have been told before."""
        telling = self._keep(told.name, now)
        if telling.told is not None:
            self.counters["told-before"] += 1
            return False
        if told.place not in self._places.by_id:
            self.counters["told-nowhere"] += 1
            return False
        telling.told = told
        telling.avatars.update(know)
        self._pass_on(telling, self._rows_in(told.place))
        return True

    def names(self, avatar: int) -> tuple[bytes, ...]:
        """What this avatar has been told here lately, the newest last."""
        names = [name for name, telling in self._kept.items() if avatar in telling.avatars]
        return tuple(names[-TOLD_NAMES_MAX:])

    def came(self, avatar: int, names: Iterable[bytes], now: Instant) -> None:
        """An avatar has just been handed off to this node, which was told these before; tell it what it missed."""
        for name in names:
            self._keep(name, now).avatars.add(avatar)
        row = self._crowd.row_of[avatar]
        at = int(self._crowd.east_cm[row]), int(self._crowd.north_cm[row])
        for telling in self._kept.values():
            fresh = telling.told is not None and now.boot_s - telling.at_s <= _UNDER_WAY_S
            if fresh and telling.told and self._places.by_id[telling.told.place].contains(*at):
                self._pass_on(telling, [row])

    def tick(self, now: Instant) -> None:
        """Forget what nobody will tell again."""
        while self._kept:
            name = next(iter(self._kept))
            if now.boot_s - self._kept[name].at_s <= TOLD_KEPT_S:
                return
            del self._kept[name]

    def _keep(self, name: bytes, now: Instant) -> _Telling:
        if name not in self._kept and len(self._kept) >= _TELLINGS_MAX:
            del self._kept[next(iter(self._kept))]
        return self._kept.setdefault(name, _Telling(now.boot_s))

    def _rows_in(self, place_id: str) -> list[int]:
        """My rows in a place that somebody steers."""
        place, crowd = self._places.by_id[place_id], self._crowd
        if place.room is not None:
            west, south, east, north = place.room.bounds_cm()
        else:
            easts, norths = zip(*place.outline, strict=True)
            west, south, east, north = min(easts), min(norths), max(easts), max(norths)
        rows = crowd.rows(MINE)
        e, n = crowd.east_cm[rows], crowd.north_cm[rows]
        near = (e >= west) & (e <= east) & (n >= south) & (n <= north) & (crowd.conn[rows] >= 0)
        return [
            row
            for row in rows[np.flatnonzero(near)].tolist()
            if place.contains(int(crowd.east_cm[row]), int(crowd.north_cm[row]))
        ]

    def _pass_on(self, telling: _Telling, rows: Iterable[int]) -> None:
        assert telling.told is not None
        notice = Notice(telling.told.code, telling.told.sentence)
        for row in rows:
            avatar = int(self._crowd.id[row])
            if avatar not in telling.avatars:
                telling.avatars.add(avatar)
                self.counters["told"] += 1
                self._out.sends.append(ToClient(int(self._crowd.conn[row]), notice))
