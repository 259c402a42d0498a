"""The city tour bus: where every bus is at any moment, as a function of the time alone.

The buses drive the stops of `p2pworld.seoul.BUS_STOPS` in order, for ever: half a minute at each stop, then straight to
the next at one speed. Nobody tells anybody where a bus is: whoever knows the stops and these constants computes the
same place, to the centimetre. Times are Unix milliseconds; the first bus begins its loop at time 0, and each other one
the same share of the loop ahead of the one before, so that everywhere a bus comes every `LOOP_MS / BUSES`.

A rider is a vehicle and a seat. Seats are fixed places on the bus, given to the right of and before its middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from p2pworld.seoul.bus import BUS_STOPS, BusStop

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "BUSES",
    "BUS_CM_S",
    "DWELL_MS",
    "HEADWAY_MS",
    "LOOP_MS",
    "NO_STOP",
    "SEATS",
    "STOPS",
    "At",
    "Places",
    "beside",
    "nearest_stop",
    "next_bus",
    "place",
    "places",
    "seat_places",
    "stopping",
]  # fmt: skip

BUSES: Final = 40  # numbered from 1; 0 is no vehicle. 98 s apart: nobody waits at a stop for more than 68 s
BUS_CM_S: Final = 900
DWELL_MS: Final = 30_000
SEATS: Final = 40
NO_STOP: Final = -1

# The last stop of the tour is the first again: the loop closes there.
STOPS: Final[tuple[BusStop, ...]] = BUS_STOPS[:-1]

_EAST: Final = np.array([stop.position_cm[0] for stop in STOPS], np.int64)
_NORTH: Final = np.array([stop.position_cm[1] for stop in STOPS], np.int64)
_EAST_WAY: Final = np.roll(_EAST, -1) - _EAST
_NORTH_WAY: Final = np.roll(_NORTH, -1) - _NORTH
_RUN_MS: Final = np.array(
    [
        -(-math.isqrt(e * e + n * n) * 1000 // BUS_CM_S)  # rounded up, of a length in whole centimetres
        for e, n in zip(_EAST_WAY.tolist(), _NORTH_WAY.tolist(), strict=True)
    ],
    np.int64,
)
_YAW: Final = np.array(
    [
        round(math.atan2(e, n) * 128 / math.pi) % 256
        for e, n in zip(_EAST_WAY.tolist(), _NORTH_WAY.tolist(), strict=True)
    ],
    np.uint8,
)
_ENDS: Final = (DWELL_MS + _RUN_MS).cumsum()
_STARTS: Final = _ENDS - (DWELL_MS + _RUN_MS)
LOOP_MS: Final = int(_ENDS[-1])
HEADWAY_MS: Final = LOOP_MS // BUSES
_AHEAD_MS: Final = np.arange(BUSES, dtype=np.int64) * LOOP_MS // BUSES

# ten rows of four, with an aisle: to the right of the middle, and before it
_ACROSS_CM: Final = (-95, -50, 50, 95)
_ROW_CM: Final = 100
_FIRST_ROW_CM: Final = 450
_RIGHT: Final = np.array([_ACROSS_CM[seat % 4] for seat in range(SEATS)], np.float64)
_FORWARD: Final = np.array([_FIRST_ROW_CM - _ROW_CM * (seat // 4) for seat in range(SEATS)], np.float64)
_KERB_CM: Final = 350  # from the middle of the bus to who has just got off, on its right
_SIN: Final = np.sin(np.arange(256) * (math.pi / 128))
_COS: Final = np.cos(np.arange(256) * (math.pi / 128))


class Places(NamedTuple):
    """Every bus at one moment, by number less one: east_cm, north_cm i32, yaw u8 (256ths of a turn), stop i32.

    `stop` is the index in STOPS of where it stands, NO_STOP while it drives.
    """

    east_cm: NDArray[np.int32]
    north_cm: NDArray[np.int32]
    yaw: NDArray[np.uint8]
    stop: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class At:
    """Where one bus is; `stop` is None while it drives."""

    east_cm: int
    north_cm: int
    yaw: int
    stop: int | None


def places(unix_ms: int) -> Places:
    """Where all buses are at this moment."""
    phase = (unix_ms % LOOP_MS + _AHEAD_MS) % LOOP_MS
    leg = _ENDS.searchsorted(phase, side="right")
    driven = np.maximum(phase - _STARTS[leg] - DWELL_MS, 0)
    run = _RUN_MS[leg]
    # whole numbers, rounded half up: the same on every machine and in every language
    east = _EAST[leg] + (2 * _EAST_WAY[leg] * driven + run) // (2 * run)
    north = _NORTH[leg] + (2 * _NORTH_WAY[leg] * driven + run) // (2 * run)
    stop = np.where(phase - _STARTS[leg] < DWELL_MS, leg, NO_STOP)
    return Places(east.astype(np.int32), north.astype(np.int32), _YAW[leg], stop.astype(np.int32))


def place(bus: int, unix_ms: int) -> At:
    """Where bus `bus` (1 to BUSES) is at this moment."""
    every = places(unix_ms)
    stop = int(every.stop[bus - 1])
    return At(
        int(every.east_cm[bus - 1]),
        int(every.north_cm[bus - 1]),
        int(every.yaw[bus - 1]),
        None if stop == NO_STOP else stop,
    )


def seat_places(
    buses: NDArray[np.uint16], seats: NDArray[np.uint8], at: Places
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each of these seats is: (east_cm, north_cm), i32[n]. `buses` are numbers from 1."""
    bus = buses.astype(np.intp) - 1
    return _offset(at.east_cm[bus], at.north_cm[bus], at.yaw[bus], _RIGHT[seats], _FORWARD[seats])


def beside(bus: int, seat: int, at: Places) -> tuple[int, int]:
    """The kerb on the right of the bus, level with this seat: (east_cm, north_cm)."""
    one = slice(bus - 1, bus)
    right = np.array([_KERB_CM], np.float64)
    east, north = _offset(at.east_cm[one], at.north_cm[one], at.yaw[one], right, _FORWARD[seat : seat + 1])
    return int(east[0]), int(north[0])


def _offset(
    east_cm: NDArray[np.int32],
    north_cm: NDArray[np.int32],
    yaw: NDArray[np.uint8],
    right: NDArray[np.float64],
    forward: NDArray[np.float64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    sin, cos = _SIN[yaw], _COS[yaw]
    east = east_cm + np.floor(forward * sin + right * cos + 0.5).astype(np.int32)
    north = north_cm + np.floor(forward * cos - right * sin + 0.5).astype(np.int32)
    return east.astype(np.int32), north.astype(np.int32)


def stopping(east_cm: int, north_cm: int, within_cm: int, at: Places) -> int:
    """The bus that stands at a stop with its middle nearest to here, at most so far away; 0 if there is none."""
    away = np.hypot(at.east_cm.astype(np.float64) - east_cm, at.north_cm.astype(np.float64) - north_cm)
    away[at.stop == NO_STOP] = math.inf
    nearest = int(away.argmin())
    return nearest + 1 if away[nearest] <= within_cm else 0


def nearest_stop(east_cm: int, north_cm: int) -> tuple[int, int]:
    """The index in STOPS of the stop nearest to here, and how far it is in cm."""
    away = np.hypot((_EAST - east_cm).astype(np.float64), (_NORTH - north_cm).astype(np.float64))
    nearest = int(away.argmin())
    return nearest, int(away[nearest])


def next_bus(stop: int, unix_ms: int) -> int:
    """How many ms from now the next bus comes to this stop; 0 while one stands there."""
    phase = (unix_ms % LOOP_MS + _AHEAD_MS) % LOOP_MS
    since = (phase - _STARTS[stop]) % LOOP_MS
    if (since < DWELL_MS).any():
        return 0
    return int((LOOP_MS - since).min())
