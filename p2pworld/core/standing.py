"""Whether this node may act, whether anybody hears it, and what it does and says when not.

A node without a lease says so to its people and goes on drawing for them. When the others have gone on without it, it
sends them there; when the others lack the store as it does, everybody stays where they are.

A node that has clients and hears neither them nor any neighbour, while it sees in the store that neighbours live, has
lost its cables, and gives up its ground. For its lease is still renewed, by another way: nobody else could ever take
what nobody can reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.limits import DEAF_S
from p2pworld.messages import Bye, Instant, Notice, ToClient
from p2pworld.world.crowd import MINE

if TYPE_CHECKING:
    from p2pworld.core.parts import Parts
    from p2pworld.ids import Incarnation

__all__ = ["Standing"]

_SEEN_S = 0.5  # within which the last renewal of one who has died is seen: two reads


class Standing:
    """What a node may rely on: its lease, and its ears."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lapsed_since_s: float | None = None
        self._heard = False  # anybody, since the last tick
        self._silent_s = 0.0  # in ticks: time in which this node did not run does not count
        self._heard_s = 0.0

    def may_not_act(self, now: Instant) -> bool:
        """Without a lease, or before the map lists this incarnation, it takes nobody and promises nothing."""
        parts = self._parts
        return parts.ownership.lapsed(now) or not parts.city.is_listed(parts.who)

    def heard(self) -> None:
        """A client or a neighbour has been heard."""
        self._heard = True

    def listen(self, tick_ms: int, now: Instant) -> None:
        """Each tick, before the ownership's: whether anybody was heard since the last one."""
        parts = self._parts
        if self._heard:
            parts.ownership.heard()
        if self._heard or not parts.people.clients:
            self._silent_s, self._heard_s = 0.0, now.boot_s
        else:
            self._silent_s += tick_ms / 1000
            apart = parts.ownership.apart
            if (
                self._silent_s >= DEAF_S
                and not apart
                and parts.ownership.others_live(self._heard_s + _SEEN_S)
            ):
                parts.counters["deaf"] += 1
                parts.ownership.step_back()
        self._heard = False

    def judge(self, now: Instant) -> None:
        """Each tick: say so when the lease runs out, and after twice its length send the clients on, if anywhere."""
        parts = self._parts
        parts.people.lapsed = self.may_not_act(now)
        if not parts.ownership.lapsed(now) or parts.who.number == 0:
            self._lapsed_since_s = None
        elif self._lapsed_since_s is None:
            self._lapsed_since_s = now.boot_s
            parts.counters["lapses"] += 1
            notice = Notice("lapsed", "This part of the city cannot confirm anything just now.")
            conns = parts.crowd.conn[parts.crowd.rows(MINE)]
            parts.out.sends.extend(ToClient(conn, notice) for conn in conns[conns >= 0].tolist())
        elif now.boot_s - self._lapsed_since_s > 2 * parts.config.ttl_s and self._passed_over():
            parts.people.hang_up_all(Bye("again", "This node lost its lease; log in at another."))
            self._lapsed_since_s = now.boot_s

    def _others(self) -> list[Incarnation]:
        """The other members of the city map."""
        parts = self._parts
        return [member.who for member in parts.city.members.values() if member.node != parts.who.node]

    def _passed_over(self) -> bool:
        """Whether others seem to have gone on without this node: nobody is linked with it, or somebody is ahead."""
        parts, others = self._parts, self._others()
        return bool(others) and (parts.ownership.outrun or not any(peer in parts.links for peer in others))
