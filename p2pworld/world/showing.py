"""Showing: the objects of a cell, for those who come into it, a little each tick.

A full cell is hundreds of kilobytes: at once they would hold up everybody else and drown a slow line. So newcomers of
one cell are taken along together: one message a tick, the same bytes for each of them, until all is shown. What stood
there when they set out is what they are shown; what is new or changed meanwhile they are told like everybody else.
Packed objects are kept for the next who come. When many cells have newcomers, they take turns.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.limits import (
    SHOW_BYTES,
    SHOW_MESSAGES_PER_TICK,
    SHOW_OBJECTS,
    SHOW_PACKED_PER_TICK,
    SHOW_SENDS_PER_TICK,
)
from p2pworld.messages import PackedObjects, ToClient
from p2pworld.wire.codec import encode_objects, pack_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from p2pworld.messages import WorldObject
    from p2pworld.world.outbox import Outbox

__all__ = ["Showing"]

_CELLS_PACKED_MAX = 32  # of at most 4 096 objects of about 100 B: 13 MB


@dataclass(slots=True)
class _Tour:
    """Newcomers of a cell, in order; `left` are the ids not yet shown, the next one last, None before the start."""

    cell: int
    conns: dict[int, None]
    left: list[bytes] | None = None


class Showing:
    """The tours of one node. A play socket is on one tour at most: that of the cell it came into last."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self._tours: deque[_Tour] = deque()  # whose turn is next comes first
        self._on: dict[int, _Tour] = {}  # by play socket
        self._packed: dict[int, dict[bytes, tuple[WorldObject, bytes]]] = {}  # by cell and id

    def enter(self, conn: int, cell: int) -> None:
        """This client has come into a cell: it is to be shown all that is there."""
        self.lost(conn)
        tour = self._tours[-1] if self._tours else None
        if (
            tour is None
            or tour.cell != cell
            or tour.left is not None
            or len(tour.conns) >= SHOW_SENDS_PER_TICK
        ):
            tour = _Tour(cell, {})
            self._tours.append(tour)
        tour.conns[conn] = None
        self._on[conn] = tour

    def lost(self, conn: int) -> None:
        """This client has left, or is about to enter another cell."""
        if (tour := self._on.pop(conn, None)) is not None:
            del tour.conns[conn]

    def tick(self, shown: Callable[[int], Mapping[bytes, WorldObject] | None]) -> None:
        """One message for each tour, as far as a tick goes; `shown` gives the objects of a cell held here."""
        sends, to_pack = 0, SHOW_PACKED_PER_TICK
        for _ in range(min(len(self._tours), SHOW_MESSAGES_PER_TICK)):
            tour = self._tours[0]
            objects = shown(tour.cell) if tour.conns else None
            if objects is None:
                self._end(tour)
                continue
            sends += len(tour.conns)
            if sends > SHOW_SENDS_PER_TICK or to_pack <= 0:
                return
            to_pack -= self._show(tour, objects, to_pack)
            if tour.left:
                self._tours.rotate(-1)
            else:
                self._end(tour)

    def _show(self, tour: _Tour, objects: Mapping[bytes, WorldObject], to_pack: int) -> int:
        """The next message of a tour; returns how many objects had to be packed for it, at most `to_pack`."""
        kept = self._packed.pop(tour.cell, {})
        self._packed[tour.cell] = kept  # the cell shown last comes last
        if len(self._packed) > _CELLS_PACKED_MAX:
            del self._packed[next(iter(self._packed))]
        whole = tour.left is None
        if tour.left is None:
            tour.left = list(objects)[::-1]
            for gone in kept.keys() - objects.keys():
                del kept[gone]
        chunk: list[WorldObject] = []
        data: list[bytes] = []
        size = packed = 0
        while tour.left and len(chunk) < SHOW_OBJECTS and size < SHOW_BYTES:
            one = objects.get(tour.left[-1])
            if one is not None:
                known = kept.get(one.id)
                if known is None or known[0] is not one:
                    if packed == to_pack:
                        break
                    known = kept[one.id] = (one, pack_object(one))
                    packed += 1
                chunk.append(one)
                data.append(known[1])
                size += len(known[1])
            tour.left.pop()
        if chunk or whole:
            bytes_ = encode_objects(tour.cell, data, whole)
            message = PackedObjects(tour.cell, tuple(chunk), whole=whole, data=bytes_)
            self._out.sends.extend(ToClient(conn, message) for conn in tour.conns)
        return packed

    def _end(self, tour: _Tour) -> None:
        """Everybody on this tour, whose turn it is, has seen all, or the cell is not held here any more."""
        self._tours.popleft()
        for conn in tour.conns:
            del self._on[conn]
