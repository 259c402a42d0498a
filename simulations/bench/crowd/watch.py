"""What a few clients of a crowd see, measured against what everybody sent: ages, freshness, recall, error.

Nothing here reads a clock or a socket: a watcher's frames are handed in with the time they were received, and the truth
stands in the table that all bots share. Everything is counted in the seconds of the simulated crowd: `scale` real
seconds make one of them.

- *update age*: from a bot's sending a pose to a watcher's receiving the frame that first shows it, of bots that stood
  in the frame before as well. `outer` are those of tiers that come less often.
- *nearest 32*: just before a frame is taken in, a watcher's true 32 nearest within 64 m are looked up in the table. The
  share of them the watcher knows at all is the *recall*; *fresh* are those whose known pose left them at most 200 ms
  ago if they move, 1.2 s if they stand; *error* is how far the known place lies from the true one. Who is in the city
  for less than that cannot be known so fresh, and does not count.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.wire.frames import decode_poses
from simulations.bench.crowd.table import YAW_STEP

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from simulations.bench.crowd.table import SentTable

__all__ = ["BUCKETS_M", "NEAREST", "Watch", "spread"]

NEAREST: Final = 32
NEAR_CM: Final = 6_400
FRESH_MOVING_S: Final = 0.2
FRESH_STANDING_S: Final = 1.2
FADE_S: Final = 1.0  # not in three frames running, and for at least this long: gone
FADE_TICKS: Final = 3
BUCKETS_M: Final = (0, 8, 16, 32, 64)  # from the border: at least so far
LOOK_EVERY: Final = 5  # of a watcher's frames, one is compared with the truth
TICK_LOOK: Final = 256  # frames from which the tick is read
AGES_KEPT: Final = 2_000_000
_NEVER: Final = -math.inf


def spread(values: NDArray[Any] | list[float], *shares: float, digits: int = 1) -> dict[str, float]:
    """The values that such shares do not exceed, as `{"p50": …}`; 1.0 is called `max`."""
    array = np.asarray(values, np.float64)
    return {
        "max" if share == 1 else f"p{share * 100:g}": round(float(np.quantile(array, share)), digits)
        if len(array)
        else 0.0
        for share in shares
    }


class Watch:
    """Watcher w is the bot `watchers[w]` of `table`; `border_cm` tells how far places lie from the nearest border."""

    def __init__(
        self,
        table: SentTable,
        watchers: NDArray[np.intp],
        border_cm: Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[np.int32]],
        scale: float = 1.0,
        tick_s: float = 0.1,
    ) -> None:
        count = len(watchers)
        self.table, self.watchers, self.scale = table, watchers, scale
        self._border_cm = border_cm
        self._order = np.argsort(table.ids).astype(np.intp)
        self._sorted = table.ids[self._order]
        shape = (count, table.bots)
        self._known_slot = np.full(shape, -1, np.int16)
        self._known_s = np.full(shape, _NEVER)
        self._known_east = np.zeros(shape, np.int32)
        self._known_north = np.zeros(shape, np.int32)
        self._seen_s = np.full(shape, _NEVER)
        self._in_frame = np.full(shape, -1, np.int32)  # the watcher's last frame that showed it
        self._frames = np.zeros(count, np.int64)
        self._t_ms = np.zeros(count, np.int64)
        self._tick_s = tick_s
        self.begin()

    def begin(self) -> None:
        """Counts from now on."""
        self._ages: list[NDArray[np.float64]] = []
        self._outer_ages: list[NDArray[np.float64]] = []
        self._ages_kept = 0
        self._rows: list[float] = []
        self._ticks_ms: list[int] = []
        self._looks: list[NDArray[Any]] = []  # of each look: bucket, true, known, fresh, fresh at this tick
        self._looked_s: list[float] = []
        self._frames_s: list[float] = []
        self._errors_cm: list[NDArray[np.float64]] = []
        self._error_buckets: list[NDArray[np.int64]] = []
        self._known_ages: list[NDArray[np.float64]] = []
        self.unknown_rows = self.mismatched_rows = self.frames = 0

    def frame(self, w: int, payload: bytes, now_s: float) -> None:
        """One POSES that watcher `w` received.

        Raises:
            RemoteError: it is malformed.
        """
        frame = decode_poses(payload)
        since_ms = (frame.t_ms - int(self._t_ms[w])) & 0xFFFF_FFFF
        if since_ms:
            if 0 < since_ms < 1 << 31:
                self._ticks_ms.append(since_ms)
                if len(self._ticks_ms) % TICK_LOOK == 0:
                    self._tick_s = float(np.median(self._ticks_ms[-TICK_LOOK:])) / 1000
            if self._frames[w] and (self._frames[w] + w) % LOOK_EVERY == 0:
                self._look(w, now_s)
            self._t_ms[w] = frame.t_ms
            self._frames[w] += 1
            self.frames += 1
            self._rows.append(0.0)
            self._frames_s.append(now_s)
        if self._rows:
            self._rows[-1] += len(frame.ids)
        self._take(w, frame.tier, frame.ids, frame.east_cm, frame.north_cm, frame.yaw, frame.step_cm, now_s)

    def _take(
        self,
        w: int,
        tier: int,
        ids: NDArray[np.uint64],
        east: NDArray[np.int32],
        north: NDArray[np.int32],
        yaw: NDArray[np.uint8],
        step_cm: int,
        now_s: float,
    ) -> None:
        """Takes in the rows of one frame."""
        if len(ids) == 0:
            return
        table = self.table
        at = np.searchsorted(self._sorted, ids)
        at[at == table.bots] = 0
        ours = self._sorted[at] == ids
        if not ours.all():
            self.unknown_rows += int(len(ours) - ours.sum())
            at, east, north, yaw = at[ours], east[ours], north[ours], yaw[ours]
        bots = self._order[at]
        slot = (yaw // YAW_STEP).astype(np.intp)
        sent_s = table.sent_s[bots, slot]
        slack = step_cm // 2
        same = np.abs(table.sent_east_cm[bots, slot] - east) <= slack
        same &= np.abs(table.sent_north_cm[bots, slot] - north) <= slack
        if not same.all():
            # a pose nobody sent: what a node told a client to go on from, or the place it was born at
            self.mismatched_rows += int(len(same) - same.sum())
            bots, slot, sent_s, east, north = bots[same], slot[same], sent_s[same], east[same], north[same]
        before = self._in_frame[w, bots]
        # in the frame before this one too; a frame of an outer tier may come a few ticks later
        steady = before >= (self._frames[w] - 1 if tier == 0 else self._frames[w] - 10)
        new = steady & (self._known_slot[w, bots] != slot)
        if new.any() and self._ages_kept < AGES_KEPT:
            ages = now_s - sent_s[new]
            self._ages_kept += len(ages)
            (self._outer_ages if tier else self._ages).append(ages)
        self._known_slot[w, bots] = slot
        self._known_s[w, bots] = sent_s
        self._known_east[w, bots] = east
        self._known_north[w, bots] = north
        self._seen_s[w, bots] = now_s
        self._in_frame[w, bots] = self._frames[w]

    def _look(self, w: int, now_s: float) -> None:
        """Compares what watcher `w` knows now with the truth."""
        table, me, scale = self.table, self.watchers[w], self.scale
        if not table.present[me]:
            return
        here_east, here_north = int(table.east_cm[me]), int(table.north_cm[me])
        limit_s = np.where(table.moving, FRESH_MOVING_S * scale, FRESH_STANDING_S * scale)
        far = np.square(table.east_cm.astype(np.float64) - here_east)
        far += np.square(table.north_cm.astype(np.float64) - here_north)
        far[~table.present | (now_s - table.since_s < limit_s)] = np.inf
        far[me] = np.inf
        count = min(NEAREST, table.bots - 1)
        if count <= 0:
            return
        true = np.argpartition(far, count - 1)[:count]
        true = true[far[true] <= NEAR_CM * NEAR_CM]
        if len(true) == 0:
            return
        fade_s = max(FADE_S * scale, FADE_TICKS * self._tick_s)
        known = now_s - self._seen_s[w, true] <= fade_s
        age_s = now_s - self._known_s[w, true]
        fresh = known & (age_s <= limit_s[true])
        # the same with the tick it has now: what is asked for while it is lengthened
        ticks_s = max(0.0, 2 * self._tick_s - FRESH_MOVING_S * scale)
        fresh_at_tick = known & (age_s <= limit_s[true] + ticks_s)
        bucket = self._bucket(here_east, here_north)
        self._looked_s.append(now_s)
        self._looks.append(
            np.array([bucket, len(true), known.sum(), fresh.sum(), fresh_at_tick.sum()], np.int64)
        )
        seen = true[known]
        error = np.hypot(
            self._known_east[w, seen] - table.east_cm[seen].astype(np.float64),
            self._known_north[w, seen] - table.north_cm[seen].astype(np.float64),
        )
        self._errors_cm.append(error)
        self._error_buckets.append(np.full(len(error), bucket, np.int64))
        self._known_ages.append(age_s[known & table.moving[true]])

    def _bucket(self, east: int, north: int) -> int:
        far = int(self._border_cm(np.array([east], np.int32), np.array([north], np.int32))[0])
        if far >= ROOT_SIDE_CM:
            return -1
        return int(np.searchsorted(np.array(BUCKETS_M) * 100, far, side="right")) - 1

    # ------------------------------------------------------------------------------------------- what it comes to

    def figures(self) -> dict[str, Any]:
        """Everything since `begin`, in simulated time."""
        ages = np.concatenate(self._ages) if self._ages else np.empty(0)
        outer = np.concatenate(self._outer_ages) if self._outer_ages else np.empty(0)
        moving = np.concatenate(self._known_ages) if self._known_ages else np.empty(0)
        looks = np.array(self._looks, np.int64).reshape(-1, 5)
        errors = np.concatenate(self._errors_cm) if self._errors_cm else np.empty(0)
        buckets = np.concatenate(self._error_buckets) if self._error_buckets else np.empty(0, np.int64)
        tick_ms = float(np.mean(self._ticks_ms)) if self._ticks_ms else 0.0
        out: dict[str, Any] = {
            "tick_hz": round(1000 * self.scale / tick_ms, 2) if tick_ms else 0.0,
            "update_age_ms": spread(ages * 1000 / self.scale, 0.5, 0.99),
            "update_age_outer_ms": spread(outer * 1000 / self.scale, 0.5, 0.99),
            "updates_seen": len(ages),
            "rows_per_frame": spread(self._rows, 0.5, 1.0),
            "nearest32_age_moving_ms": spread(moving * 1000 / self.scale, 0.5, 0.99),
            **_nearest(looks, errors),
            "by_border_m": {},
            "looks": len(looks),
            "watchers": len(self.watchers),
            "rows_of_strangers": self.unknown_rows,
            "rows_never_sent": self.mismatched_rows,
        }
        for number, low in enumerate(BUCKETS_M):
            there = looks[looks[:, 0] == number]
            if len(there):
                out["by_border_m"][str(low)] = _nearest(there, errors[buckets == number])
        return out

    def seconds(self, began_s: float) -> list[dict[str, float]]:
        """Second by second from `began_s`: frames each watcher got, and the share of its nearest that was fresh."""
        looks = np.array(self._looks, np.int64).reshape(-1, 5)
        looked = ((np.array(self._looked_s) - began_s) / self.scale).astype(int)
        framed = ((np.array(self._frames_s) - began_s) / self.scale).astype(int)
        out = []
        for second in range(int(framed.max(initial=-1))):  # the last one is not whole
            there = looks[looked == second]
            hz = float((framed == second).sum()) / len(self.watchers)
            fresh = there[:, 3].sum() / max(1, there[:, 1].sum())
            out.append({"second": second, "frames": round(hz, 2), "nearest32_fresh": round(float(fresh), 4)})
        return out


def _nearest(looks: NDArray[np.int64], errors_cm: NDArray[np.float64]) -> dict[str, Any]:
    true, known, fresh, fresh_at_tick = looks[:, 1:].sum(axis=0).tolist()
    return {
        "nearest32_fresh": round(fresh / max(1, true), 5),
        "nearest32_fresh_at_tick": round(fresh_at_tick / max(1, true), 5),
        "nearest32_recall": round(known / max(1, true), 5),
        "nearest32_error_m": spread(errors_cm / 100, 0.5, 0.99, digits=3),
    }
