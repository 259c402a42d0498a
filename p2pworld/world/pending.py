"""Kept acts: lanterns and notes put up while nobody can make them durable, kept here until somebody can.

In a partition, and while this node has no lease, whoever holds the ground cannot be asked. What may still be put up is
what is the same whoever does it, and however often: a lantern's or note's id is its act's key. So it is the *act* that
is kept, as a record of its own in this disk's journal, never a change of a cell: nothing that both sides do can clash.
It is shown here as pending, and when the holder can be asked again it is asked, as if the client had just asked. Had it
been done before, it is not done twice; was it expunged meanwhile, it is refused. A stroke of a bell is never kept: it
would ring later, for nobody.

A record outlives the process, and is asked for again until there is an answer that is final. Entries are bounded, for
each avatar and in all; when one is full that is a refusal in words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal, RemoteError
from p2pworld.ids import Incarnation
from p2pworld.limits import (
    KEPT_MAX,
    KEPT_MS,
    KEPT_PER_AVATAR,
    KEPT_PER_TICK,
    KEPT_RETRY_S,
    KEPT_WAIT_S,
)
from p2pworld.messages import ActFor, Done, SaveRecord, ToClient, WorldObject, Wrote
from p2pworld.wire.codec import canonical, unpack_map
from p2pworld.wire.schema import Schema
from p2pworld.world.acts import Asked, unfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.messages import Instant, WriteFailed
    from p2pworld.world.citymap import CityMap
    from p2pworld.world.outbox import Outbox

__all__ = ["KEPT_VERBS", "Kept", "Pending"]

KEPT_VERBS: Final = {"hang": "lantern", "note": "note"}  # and what each puts up
_RECORD: Final = "pending"
_ACT_FOR: Final = Schema(ActFor)
# a holder that says so may do it later
_NOT_YET: Final = frozenset({"busy", "disk", "lapsed", "moved"})
_FULL: Final = Refusal(
    "pending_full", "Too much waits here until the city is whole again; please try again then."
)
_YOURS_FULL: Final = Refusal(
    "pending_full", f"{KEPT_PER_AVATAR} things of yours wait until the city is whole again; that is the most."
)


@dataclass(slots=True, eq=False)
class Kept:
    """An act that is kept: as it will be passed on, whose socket waits (-1: nobody's), and who is asked since when."""

    act: ActFor
    conn: int
    saved: bool = False
    peer: Incarnation | None = None
    next_s: float = 0.0  # not asked for before

    @property
    def asked(self) -> Asked:
        """The act as its holder will see it."""
        act = self.act
        return Asked(act.avatar, act.login_ms, act.act, act.pose, at_ms=act.at_ms)

    @property
    def key(self) -> bytes:
        """The id of what it puts up."""
        return self.asked.key

    def shown(self, pending: bool) -> WorldObject:
        """What it puts up, as clients see it."""
        act, pose = self.act, self.act.pose
        kind = KEPT_VERBS[act.act.verb]
        return WorldObject(
            self.key, kind, pose.east_cm, pose.north_cm, act.act.text, act.avatar, 0, act.at_ms, pending
        )


class Pending:
    """The kept acts of one node. `saved` is what its disk held."""

    def __init__(self, out: Outbox, saved: Iterable[SaveRecord]) -> None:
        self.counters: Counter[str] = Counter()
        self._out = out
        self._kept: dict[bytes, Kept] = {}
        self._of: Counter[int] = Counter()  # by avatar
        self._by_ask: dict[tuple[int, int, int, bytes], bytes] = {}  # as ActDone names it
        self._begun: list[bytes] = []
        self._sent: dict[int, list[bytes]] = {}
        self._news: list[tuple[WorldObject, bool]] = []  # what has changed, and whether it is there
        self._shown: dict[int, dict[bytes, WorldObject]] = {}
        self._shown_for: tuple[int, int] | None = None  # the map's stamp and the changes that `_shown` is of
        self._changes = 0
        for record in saved:
            self._recover(record)

    def _recover(self, record: SaveRecord) -> None:
        if record.kind != _RECORD:
            return
        try:
            kept = Kept(_ACT_FOR.read(unpack_map(record.data)), -1, saved=True)
        except RemoteError as error:
            self.counters[f"pending-not-recovered-{error.reason}"] += 1
            return
        if kept.act.act.verb in KEPT_VERBS and kept.key == record.id:
            self._add(kept)
            self.counters["pending-recovered"] += 1

    def __len__(self) -> int:
        return len(self._kept)

    def _add(self, kept: Kept) -> None:
        act = kept.act
        self._kept[kept.key] = kept
        self._of[act.avatar] += 1
        self._by_ask[act.avatar, act.login_ms, act.act.n, act.act.name] = kept.key
        self._changes += 1

    def _drop(self, kept: Kept, on_disk: bool = True) -> None:
        act = kept.act
        del self._kept[kept.key]
        self._of[act.avatar] -= 1
        if not self._of[act.avatar]:
            del self._of[act.avatar]
        del self._by_ask[act.avatar, act.login_ms, act.act.n, act.act.name]
        self._changes += 1
        if on_disk:
            self._out.writes.append(SaveRecord(_RECORD, kept.key, b""))

    # ---- keeping

    def keep(self, conn: int, act: ActFor) -> Refusal | None:
        """Keep an act; the answer is DONE `pending` when it is on this disk. Asked for again, it is kept once."""
        kept = Kept(act, conn)
        known = self._kept.get(kept.key)
        if known is not None:
            known.conn = conn
            if known.saved:
                self._out.sends.append(ToClient(conn, Done(act.act.n, "pending", known.key)))
            return None
        if (refusal := unfit(act.act)) is not None:
            return refusal
        if self._of[act.avatar] >= KEPT_PER_AVATAR:
            return _YOURS_FULL
        if len(self._kept) >= KEPT_MAX:
            return _FULL
        self._add(kept)
        self._write(kept)
        return None

    def _write(self, kept: Kept) -> None:
        self._begun.append(kept.key)
        self._out.writes.append(SaveRecord(_RECORD, kept.key, canonical(_ACT_FOR.write(kept.act))))

    def leaving(self, number: int) -> None:
        """All writes asked for since the last call leave in the Ready of this number."""
        if self._begun:
            self._sent[number], self._begun = self._begun, []

    def advance(self, done: Wrote | WriteFailed) -> None:
        """The disk has answered for the writes of one Ready."""
        for key in self._sent.pop(done.number, ()):
            kept = self._kept.get(key)
            if kept is None:
                continue
            if isinstance(done, Wrote):
                kept.saved = True
                self._changes += 1
                self.counters["pending-kept"] += 1
                self._news.append((kept.shown(True), True))
                self._tell(kept, Done(kept.act.act.n, "pending", key))
            elif done.reason == "lapsed":  # it went with something that needed the lease; it does not
                self._write(kept)
            else:
                self._drop(kept, on_disk=False)
                sentence = "This node cannot save anything just now; please try again later."
                self._tell(kept, Done(kept.act.act.n, reason="disk", sentence=sentence))

    def _tell(self, kept: Kept, done: Done) -> None:
        if kept.conn >= 0:
            self._out.sends.append(ToClient(kept.conn, done))

    def lost(self, conn: int) -> None:
        """A socket is gone; what was kept for it is done all the same."""
        for kept in self._kept.values():
            if kept.conn == conn:
                kept.conn = -1

    # ---- asking for it

    def due(self, now: Instant) -> list[Kept]:
        """Kept acts to be asked for now, the oldest first; each stays so until `asked` or an answer."""
        old = [one for one in self._kept.values() if one.saved and one.act.at_ms + KEPT_MS < now.wall_ms]
        for kept in old:
            self.counters["pending-too-old"] += 1
            self._drop(kept)
            self._news.append((kept.shown(True), False))
        due = (one for one in self._kept.values() if one.saved and one.next_s <= now.boot_s)
        return [one for one, _ in zip(due, range(KEPT_PER_TICK), strict=False)]

    def was_asked(self, kept: Kept, peer: Incarnation | None, now: Instant) -> None:
        """It was passed on to this node, or to the objects here; without an answer it is passed on again."""
        kept.peer, kept.next_s = peer, now.boot_s + KEPT_WAIT_S
        self.counters["pending-asked"] += 1

    def not_now(self, kept: Kept, now: Instant) -> None:
        """Nobody can be asked yet."""
        kept.peer, kept.next_s = None, now.boot_s + KEPT_RETRY_S

    def asked_of(self, peer: Incarnation, avatar: int, login_ms: int, n: int, name: bytes) -> Kept | None:
        """The kept act that this node was asked for under these names."""
        kept = self._kept.get(self._by_ask.get((avatar, login_ms, n, name), b""))
        return kept if kept is not None and kept.peer == peer else None

    def find(self, key: bytes) -> Kept | None:
        """The kept act with this key."""
        return self._kept.get(key)

    def answered(self, kept: Kept, done: Done, now: Instant) -> bool:
        """What came of it; whether that is final. Then it is kept no longer, and its client is told."""
        if not done.durable and done.reason in _NOT_YET:
            self.not_now(kept, now)
            return False
        self._drop(kept)
        self.counters["pending-safe" if done.durable else "pending-refused"] += 1
        self._news.append((kept.shown(False), bool(done.durable)))
        self._tell(kept, done)
        return True

    def expunge(self, object_id: bytes, sentence: str) -> None:
        """What would put this up is not to be done."""
        kept = self._kept.get(object_id)
        if kept is not None:
            self._drop(kept)
            self.counters["pending-expunged"] += 1
            self._news.append((kept.shown(True), False))
            self._tell(kept, Done(kept.act.act.n, reason="expunged", sentence=sentence))

    # ---- showing it

    def take_news(self) -> list[tuple[WorldObject, bool]]:
        """What has changed since the last call, for who stands near: what it looks like, and whether it is there."""
        news, self._news = self._news, []
        return news

    def shown(self, cell: int, city: CityMap) -> Mapping[bytes, WorldObject]:
        """What is pending in a cell of the map."""
        if self._shown_for != (city.stamp, self._changes):
            self._shown_for = city.stamp, self._changes
            self._shown = {}
            for kept in self._kept.values():
                if kept.saved:
                    looks = kept.shown(True)
                    leaf = city.leaf_at(looks.east_cm, looks.north_cm)
                    self._shown.setdefault(leaf, {})[looks.id] = looks
        return self._shown.get(cell, {})
