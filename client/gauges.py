"""What a crowd of bots measures of the city from outside: handoffs, ages of poses, people lost and doubled.

Nothing here asks a node anything; it is told what one process full of bots sent and received, and when. Times are
seconds of one monotonic clock of that process.

- A *handoff* is MOVED and then WELCOME on the other socket; *between processes* if another node key answers there.
- *handoff extra*: a player sees a frame of poses every tick. Of the gaps between one frame and the next, on whichever
  socket, from the last frame before MOVED to the first after WELCOME, the longest, less the tick: never below 0.
- *update age*: a frame shows another bot at a place. The age is the time from that bot's sending that pose to this
  bot's receiving the frame. Only bots on the move count: their places are their own, and they send every tick.
- *lost*: a bot whose client lives and that no node has owned (no frame, no WELCOME) for over `LOST_S`.
- *twinned*: two nodes show one bot over `TWIN_CM` apart within `TWIN_S`; or two sockets of one bot both bring frames
  for over `OVERLAP_S`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.wire.frames import decode_poses

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AGE_MS_MAX", "LOST_S", "OVERLAP_S", "TWIN_CM", "TWIN_S", "Gauges", "percentile"]

LOST_S: Final = 10.0
TWIN_CM: Final = 2_000
TWIN_S: Final = 0.3
OVERLAP_S: Final = 1.0
AGE_MS_MAX: Final = 10_000  # older ones count as this old
_RING: Final = 16  # sent poses remembered of each bot: 1.6 s on the move
_NEVER: Final = -1e9


def percentile(values: NDArray[Any] | list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie, 0.0 of none."""
    return float(np.quantile(np.asarray(values, np.float64), share)) if len(values) else 0.0


class Gauges:
    """The measurements of the bots whose avatar ids are `ids`; bot i is the i-th."""

    def __init__(self, ids: list[int], now_s: float) -> None:
        count = len(ids)
        self.count = count
        self._sorted = np.sort(np.array(ids, np.uint64))
        self._bot_of = np.argsort(np.array(ids, np.uint64)).astype(np.int64)
        self._sent_east = np.full((count, _RING), -1, np.int32)
        self._sent_north = np.full((count, _RING), -1, np.int32)
        self._sent_s = np.full((count, _RING), _NEVER)
        self._sends = np.zeros(count, np.int64)
        self._moving_since_s = np.full(count, np.inf)
        self._nodes: dict[bytes, int] = {}
        self._seen_s = np.full((0, count), _NEVER)
        self._seen_east = np.zeros((0, count), np.int32)
        self._seen_north = np.zeros((0, count), np.int32)
        self._ages_ms = np.zeros(AGE_MS_MAX + 1, np.int64)
        self._owned_s = [now_s] * count
        self._frame_s = [now_s] * count
        self._longest_s = [0.0] * count  # since MOVED; 0: no handoff under way
        self._welcomed = [False] * count
        self._in_handoff = [False] * count
        self._overlap_from_s = [_NEVER] * count
        self._overlap_s = [_NEVER] * count
        self._since_s = now_s
        self.extras_ms: list[float] = []
        self.crossings = np.zeros(count, np.int64)
        self.lost: set[int] = set()
        self.twinned: set[int] = set()
        self.handoffs = self.between_processes = self.poses_sent = self.bytes_down = self.frames = 0

    def begin(self, now_s: float) -> None:
        """Counts from now on; who is lost or twinned stays so."""
        self._since_s = now_s
        self._ages_ms[:] = 0
        self.crossings[:] = 0
        self.extras_ms.clear()
        self.handoffs = self.between_processes = self.poses_sent = self.bytes_down = self.frames = 0

    # ------------------------------------------------------------------------------------------- what bots do

    def sent(self, bot: int, east_cm: int, north_cm: int, moving: bool, now_s: float) -> None:
        """A bot sent a pose."""
        at = self._sends[bot] % _RING
        self._sends[bot] += 1
        self._sent_east[bot, at] = east_cm
        self._sent_north[bot, at] = north_cm
        self._sent_s[bot, at] = now_s
        self.poses_sent += 1
        if not moving:
            self._moving_since_s[bot] = np.inf
        elif self._moving_since_s[bot] == np.inf:
            self._moving_since_s[bot] = now_s

    def moved(self, bot: int, now_s: float) -> None:
        """MOVED came: a handoff is under way."""
        if not self._in_handoff[bot]:
            self._in_handoff[bot] = True
            self._welcomed[bot] = False
            self._longest_s[bot] = 0.0

    def welcomed(self, bot: int, handed_off: bool, between_processes: bool, now_s: float) -> None:
        """WELCOME came, after MOVED or after a fresh login."""
        self._owned_s[bot] = now_s
        if handed_off:
            self.handoffs += 1
            self.between_processes += between_processes
            self.crossings[bot] += 1
            self._welcomed[bot] = True
        else:
            self._in_handoff[bot] = False
            self._frame_s[bot] = now_s
        self._overlap_from_s[bot] = self._overlap_s[bot] = _NEVER

    def calmed(self, bot: int) -> None:
        """The handoff came to nothing."""
        self._in_handoff[bot] = False

    def framed(self, bot: int, tick_s: float, now_s: float) -> None:
        """A frame of poses came on the socket played on."""
        self.frames += 1
        self._owned_s[bot] = now_s
        gap_s, self._frame_s[bot] = now_s - self._frame_s[bot], now_s
        if self._in_handoff[bot]:
            self._longest_s[bot] = max(self._longest_s[bot], gap_s)
            if self._welcomed[bot]:
                self._in_handoff[bot] = False
                self.extras_ms.append(max(0.0, self._longest_s[bot] - tick_s) * 1000)

    def framed_twice(self, bot: int, now_s: float) -> None:
        """A frame of poses came on the other socket too."""
        if now_s - self._overlap_s[bot] > OVERLAP_S:
            self._overlap_from_s[bot] = now_s
        self._overlap_s[bot] = now_s
        if now_s - self._overlap_from_s[bot] > OVERLAP_S and now_s - self._frame_s[bot] < OVERLAP_S:
            self.twinned.add(bot)

    def alive(self, bot: int, now_s: float) -> None:
        """The bot's client is alive, whatever it knows of its avatar."""
        if now_s - self._owned_s[bot] > LOST_S:
            self.lost.add(bot)

    def excuse(self, bot: int, now_s: float) -> None:
        """The bot does not ask to be in the city yet: it cannot be lost."""
        self._owned_s[bot] = now_s

    # ------------------------------------------------------------------------------------------- what bots see

    def look(self, node: bytes, payload: bytes, now_s: float) -> None:
        """One POSES frame that a bot at `node` received, looked at whole.

        Raises:
            RemoteError: the frame is malformed.
        """
        frame = decode_poses(payload)
        if len(frame.ids) == 0:
            return
        at = np.searchsorted(self._sorted, frame.ids).clip(0, self.count - 1)
        known = self._sorted[at] == frame.ids
        bots = self._bot_of[at[known]]
        east, north = frame.east_cm[known], frame.north_cm[known]
        self._look_for_twins(self._node(node), bots, east, north, now_s)
        slack = frame.step_cm // 2
        same = (np.abs(self._sent_east[bots] - east[:, None]) <= slack) & (
            np.abs(self._sent_north[bots] - north[:, None]) <= slack
        )
        sent_s = np.where(same, self._sent_s[bots], _NEVER).max(axis=1)
        counts = (sent_s > self._moving_since_s[bots]) & (sent_s > self._since_s)
        ages = ((now_s - sent_s[counts]) * 1000).clip(0, AGE_MS_MAX).astype(np.int64)
        self._ages_ms += np.bincount(ages, minlength=AGE_MS_MAX + 1)

    def _node(self, key: bytes) -> int:
        number = self._nodes.setdefault(key, len(self._nodes))
        if number == len(self._seen_s):
            self._seen_s = np.vstack([self._seen_s, np.full((1, self.count), _NEVER)])
            none = np.zeros((1, self.count), np.int32)
            self._seen_east = np.vstack([self._seen_east, none])
            self._seen_north = np.vstack([self._seen_north, none])
        return number

    def _look_for_twins(
        self,
        node: int,
        bots: NDArray[np.int64],
        east: NDArray[np.int32],
        north: NDArray[np.int32],
        now_s: float,
    ) -> None:
        east_way = (self._seen_east[:, bots] - east).astype(np.float64)
        north_way = (self._seen_north[:, bots] - north).astype(np.float64)
        far = np.hypot(east_way, north_way) > TWIN_CM
        twice = far & (self._seen_s[:, bots] > now_s - TWIN_S)
        twice[node] = False
        if twice.any():
            self.twinned.update(bots[twice.any(axis=0)].tolist())
        self._seen_east[node, bots] = east
        self._seen_north[node, bots] = north
        self._seen_s[node, bots] = now_s

    # ------------------------------------------------------------------------------------------- what it comes to

    def extra_ms(self, share: float) -> float:
        """The handoff extra that `share` of the handoffs do not exceed."""
        return percentile(self.extras_ms, share)

    def age_ms(self, share: float) -> float:
        """The update age that `share` of the looks do not exceed, within 1 ms."""
        total = int(self._ages_ms.sum())
        if total == 0:
            return 0.0
        return float(np.searchsorted(np.cumsum(self._ages_ms), share * total))

    def figures(self, now_s: float) -> dict[str, object]:
        """Everything, as plain values."""
        seconds = max(1e-9, now_s - self._since_s)
        return {
            "bots": self.count,
            "poses_in": self.poses_sent,
            "handoffs": self.handoffs,
            "handoffs_between_processes": self.between_processes,
            "crossings_per_bot": {
                "p50": percentile(self.crossings, 0.5),
                "max": int(self.crossings.max(initial=0)),
            },
            "avatars_lost": len(self.lost),
            "avatars_twinned": len(self.twinned),
            "handoff_extra_ms": {
                "p50": round(self.extra_ms(0.5), 1),
                "p99": round(self.extra_ms(0.99), 1),
            },
            "update_age_ms": {"p50": self.age_ms(0.5), "p99": self.age_ms(0.99)},
            "bytes_down_per_client_s": round(self.bytes_down / seconds / max(1, self.count), 1),
            "seconds": round(seconds, 2),
        }
