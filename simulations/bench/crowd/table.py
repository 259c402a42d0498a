"""What every bot has sent, and when: one table that all processes of a bench share.

It lies in a file that each of them maps. A row is a bot; only the process that moves the bot writes it, and writes a
pose down before it is sent. Pose number `n` of a bot stands in slot `n % SLOTS`, and is sent with a yaw that tells the
slot, so that whoever sees the bot knows which of its poses this is and when it left. Times are seconds of the
machine's monotonic clock.

Beside it stand the words between the processes: which phase the run is in, and which phase each process has reached.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

__all__ = ["SLOTS", "YAW_STEP", "Phase", "SentTable"]

SLOTS: Final = 64  # poses remembered of each bot: 6.4 s of one who walks
YAW_STEP: Final = 256 // SLOTS
PARTIES_MAX: Final = 16
_ALIGN: Final = 64


class Phase(IntEnum):
    """What the processes do. They go on to the next when `order` says so."""

    OPEN = 0  # the nodes wake up
    JOIN = 1  # everybody comes in
    SETTLE = 2  # everybody moves, some come and go
    MEASURE = 3
    GUESTS = 4  # more come in
    MEASURE_AGAIN = 5
    AFTER = 6  # the guests leave; those who never read begin to
    END = 7


class SentTable:
    """The table of `bots` bots in the file at `path`, which is made if it is not there.

    `order` is the phase wanted, `reached[p]` the phase process p is in. Of each bot: `ids`, `present` (a node owns it
    and it has sent a pose), `moving`, `since_s` (of its first pose), `sent` (how many poses), `east_cm` and `north_cm`
    (the latest), `bytes_in` (so far), `heard_s` (when a frame last came), and of its last `SLOTS` poses `sent_s`,
    `sent_east_cm`, `sent_north_cm`.
    """

    def __init__(self, path: Path, bots: int) -> None:
        layout: list[tuple[str, DTypeLike, tuple[int, ...]]] = [
            ("order_", np.int64, (1,)),
            ("reached", np.int64, (PARTIES_MAX,)),
            ("ids", np.uint64, (bots,)),
            ("present", np.bool_, (bots,)),
            ("moving", np.bool_, (bots,)),
            ("since_s", np.float64, (bots,)),
            ("sent", np.int64, (bots,)),
            ("east_cm", np.int32, (bots,)),
            ("north_cm", np.int32, (bots,)),
            ("bytes_in", np.int64, (bots,)),
            ("heard_s", np.float64, (bots,)),
            ("sent_s", np.float64, (bots, SLOTS)),
            ("sent_east_cm", np.int32, (bots, SLOTS)),
            ("sent_north_cm", np.int32, (bots, SLOTS)),
        ]
        sizes = [
            -(-int(np.prod(shape)) * np.dtype(kind).itemsize // _ALIGN) * _ALIGN for _, kind, shape in layout
        ]
        with path.open("a+b") as file:
            file.truncate(sum(sizes))
            self._map = mmap.mmap(file.fileno(), sum(sizes))
        columns: dict[str, NDArray[Any]] = {}
        at = 0
        for (name, kind, shape), size in zip(layout, sizes, strict=True):
            columns[name] = np.frombuffer(self._map, kind, int(np.prod(shape)), at).reshape(shape)
            at += size
        self.bots = bots
        self._order: NDArray[np.int64] = columns["order_"]
        self.reached: NDArray[np.int64] = columns["reached"]
        self.ids: NDArray[np.uint64] = columns["ids"]
        self.present: NDArray[np.bool_] = columns["present"]
        self.moving: NDArray[np.bool_] = columns["moving"]
        self.since_s: NDArray[np.float64] = columns["since_s"]
        self.sent: NDArray[np.int64] = columns["sent"]
        self.east_cm: NDArray[np.int32] = columns["east_cm"]
        self.north_cm: NDArray[np.int32] = columns["north_cm"]
        self.bytes_in: NDArray[np.int64] = columns["bytes_in"]
        self.heard_s: NDArray[np.float64] = columns["heard_s"]
        self.sent_s: NDArray[np.float64] = columns["sent_s"]
        self.sent_east_cm: NDArray[np.int32] = columns["sent_east_cm"]
        self.sent_north_cm: NDArray[np.int32] = columns["sent_north_cm"]

    @property
    def order(self) -> Phase:
        """The phase the run is to be in."""
        return Phase(int(self._order[0]))

    @order.setter
    def order(self, phase: Phase) -> None:
        self._order[0] = phase

    def write(
        self,
        bots: NDArray[np.intp],
        east_cm: NDArray[np.int32],
        north_cm: NDArray[np.int32],
        now_s: float,
    ) -> NDArray[np.uint8]:
        """Each of these bots, which differ, is about to send this place: writes it down, returns the yaws to send."""
        number = self.sent[bots] + 1
        slot = number % SLOTS
        self.sent_s[bots, slot] = now_s
        self.sent_east_cm[bots, slot] = east_cm
        self.sent_north_cm[bots, slot] = north_cm
        self.east_cm[bots] = east_cm
        self.north_cm[bots] = north_cm
        self.sent[bots] = number
        return (slot * YAW_STEP).astype(np.uint8)
