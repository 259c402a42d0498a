"""The pulse of a node: whether it keeps up, what it tells of that, and the clock it ticks by.

Once a second it tells every neighbour that understands it (`PULSE`) its load and its clock. Others' loads say where
newcomers are better sent: `full` and every other goodbye name the least busy nodes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.limits import LOAD_EVERY_S, LOAD_TTL_S
from p2pworld.messages import PULSE, Instant, Load, Notice, Phase, ToClient, ToPeer
from p2pworld.world.crowd import MINE

if TYPE_CHECKING:
    from p2pworld.core.parts import Parts
    from p2pworld.ids import Incarnation

__all__ = ["Pulse"]

_SPARE_BUSY = 800  # thousandths: whoever is busier takes nobody in addition
_BUSY_MAX = 65_535


class Pulse:
    """What goes once a tick before everything else."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._able: dict[Incarnation, None] = {}  # linked, and able to hear it
        self._loads: dict[Incarnation, tuple[float, Load]] = {}  # since when, and what each told last
        self._told_s = -LOAD_EVERY_S
        self._now_s = 0.0
        parts.people.order = self._order
        parts.people.sends_on = self._sends_on

    def link_up(self, peer: Incarnation, caps: tuple[str, ...]) -> None:
        if PULSE in caps:
            self._able[peer] = None

    def link_down(self, peer: Incarnation) -> None:
        self._able.pop(peer, None)
        self._loads.pop(peer, None)
        self._parts.clock.lost(peer)

    def heard(self, peer: Incarnation, message: Load | Phase, now: Instant) -> None:
        if isinstance(message, Phase):
            self._parts.clock.heard(peer, message, now.boot_s)
        else:
            self._loads[peer] = now.boot_s, message

    def tick(self, busy: float, now: Instant) -> None:
        """A tick begins, and the loop was so busy since the last one."""
        parts = self._parts
        self._now_s = now.boot_s
        was_ms = parts.overload.tick_ms
        if parts.overload.tick(busy, now.boot_s) and parts.overload.tick_ms != was_ms:
            self._tell_clients()
            parts.pacer.tick_changed(now.boot_s)
        parts.clock.tick(now.boot_s, parts.overload.tick_ms, watched=parts.people.clients > 0)
        for peer, word in parts.clock.tell(self._able, now.boot_s):
            parts.out.sends.append(ToPeer(peer, word))
        if now.boot_s - self._told_s >= LOAD_EVERY_S:
            self._told_s = now.boot_s
            load = self._own()
            parts.out.sends.extend(ToPeer(peer, load) for peer in self._able)

    def load_of(self, peer: Incarnation) -> Load | None:
        """What this node, or another, was last known to bear; None: nothing recent."""
        if peer == self._parts.who:
            return self._own()
        heard_s, load = self._loads.get(peer, (-LOAD_TTL_S, None))
        return load if self._now_s - heard_s < LOAD_TTL_S else None

    # ---- inside

    def _own(self) -> Load:
        parts = self._parts
        return Load(
            min(_BUSY_MAX, round(parts.overload.load * 1000)),
            parts.people.clients,
            parts.config.clients_max,
            parts.overload.tick_ms,
            parts.overload.shed,
        )

    def _tell_clients(self) -> None:
        parts = self._parts
        tick_ms = parts.overload.tick_ms
        sentence = f"Everybody is shown {1000 / tick_ms:g} times a second now: a tick of {tick_ms} ms."
        notice = Notice("pace", sentence, tick_ms)
        conns = parts.crowd.conn[parts.crowd.rows(MINE)]
        parts.out.sends.extend(ToClient(conn, notice) for conn in conns[conns >= 0].tolist())

    def _order(self, peer: Incarnation) -> tuple[int, int]:
        """Those with room first, then those nothing is known of, then those that have none; the least busy first."""
        load = self.load_of(peer)
        if load is None:
            return 1, 0
        return 0 if _has_room(load) else 2, load.busy

    def _sends_on(self) -> bool:
        """Whether newcomers are to be sent on, and somebody has room for them."""
        parts = self._parts
        if parts.gives_all:
            return any(parts.city.takes(peer) for peer in parts.links)
        if not parts.overload.declines:
            return False
        return any((load := self.load_of(peer)) is not None and _has_room(load) for peer in self._able)


def _has_room(load: Load) -> bool:
    return load.busy < _SPARE_BUSY and load.shed == 0 and load.clients < load.clients_max
