"""What a failover is to each of a crowd: when one noticed, when one was in again, where one goes on.

Beside what all gauges measure. A *blow* begins with `begin_blow`; times are seconds of the crowd's clock, nan for what
has not happened since. *Shown* is the last place at which any of the crowd saw somebody shown by the node that was
struck; *set back* is from where a client last was, to its own knowledge, to where it goes on: one step, if nothing of
its walking is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from client.gauges import Gauges
from p2pworld.wire.frames import decode_poses

if TYPE_CHECKING:
    from client.swarm import Swarm

__all__ = ["Witness"]

_NAN: Final = float("nan")


class Witness(Gauges):
    """The gauges of a swarm in which people lose their node."""

    def __init__(self, ids: list[int], now_s: float) -> None:
        super().__init__(ids, now_s)
        self._number_of = {avatar: number for number, avatar in enumerate(ids)}
        self._struck = b""
        self._swarm: Swarm | None = None
        self._begin()

    def _begin(self) -> None:
        count = self.count
        self.out_s = [_NAN] * count
        self.in_s = [_NAN] * count
        self.home_s = [_NAN] * count  # welcomed the last time, by login or handoff
        self.shown: list[tuple[float, int, int] | None] = [None] * count
        self.last: list[tuple[int, int] | None] = [None] * count
        self.goes_on: list[tuple[int, int] | None] = [None] * count

    def begin_blow(self, swarm: Swarm, struck: bytes) -> list[int]:
        """The node with this key is about to be struck; whom it owns."""
        self._swarm = swarm
        self._begin()
        self._struck = struck
        return [bot.number for bot in swarm.bots if bot.session.node == struck]

    # ------------------------------------------------------------------------------------------- what happens

    def alive(self, bot: int, now_s: float) -> None:
        super().alive(bot, now_s)
        swarm = self._swarm
        if swarm is not None and self.out_s[bot] != self.out_s[bot] and not swarm.bots[bot].session.playing:
            self.out_s[bot] = now_s

    def welcomed(self, bot: int, handed_off: bool, between_processes: bool, now_s: float) -> None:
        super().welcomed(bot, handed_off, between_processes, now_s)
        self.home_s[bot] = now_s
        if not handed_off:
            self.in_s[bot] = now_s

    def sent(self, bot: int, east_cm: int, north_cm: int, moving: bool, now_s: float) -> None:
        super().sent(bot, east_cm, north_cm, moving, now_s)
        if self.in_s[bot] != self.in_s[bot]:
            self.last[bot] = (east_cm, north_cm)
        elif self.goes_on[bot] is None:
            self.goes_on[bot] = (east_cm, north_cm)

    def look(self, node: bytes, payload: bytes, now_s: float) -> None:
        super().look(node, payload, now_s)
        if node != self._struck:
            return
        frame = decode_poses(payload)
        rows = zip(frame.ids.tolist(), frame.east_cm.tolist(), frame.north_cm.tolist(), strict=True)
        for avatar, east_cm, north_cm in rows:
            if (number := self._number_of.get(avatar)) is not None:
                self.shown[number] = (now_s, east_cm, north_cm)

    # ------------------------------------------------------------------------------------------- what it comes to

    def after_blow(self, who: list[int], blow_s: float, speed_cm_s: list[float]) -> dict[str, Any]:
        """What the blow at `blow_s` was to these, who walk with these speeds and are all in again."""
        shown, back, unseen = [], [], []
        for bot in who:
            last, goes_on, seen = self.last[bot], self.goes_on[bot], self.shown[bot]
            if last is not None and goes_on is not None:
                back.append(_way(last, goes_on) / speed_cm_s[bot] * 1000)
            if seen is not None and goes_on is not None:
                shown.append((blow_s - seen[0]) * 1000)
                unseen.append(_way(seen[1:], goes_on) / speed_cm_s[bot] * 1000)

        def seconds(times: list[float]) -> list[float]:
            return [times[bot] - blow_s for bot in who if times[bot] == times[bot]]

        return {
            "people": len(who),
            "noticed_s": _spread(seconds(self.out_s)),
            "in_again_s": _spread(seconds(self.in_s)),
            "at_holder_s": _spread(seconds(self.home_s)),
            "set_back_ms": _spread(back),
            "unseen_walk_ms": _spread(unseen),
            "last_shown_ms_before": _spread(shown),
        }


def _way(a: tuple[int, int], b: tuple[int, int]) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"p50": round(float(np.median(values)), 3), "max": round(max(values), 3)}
