"""What an act does to the objects of a cell: lanterns are hung, notes pinned, bells rung, numbers drawn and called; and
how they look to clients.

Pure functions over an `ObjectCell`. An act has a key, made from who acts and from the client's number or name for it,
so that doing it again does nothing again: a lantern's id is its act's key, and a bell's count goes up in the same delta
in which the key of the ring is remembered. That memory is part of the cell's state, on every disk that has the count:
`ACT_SLOTS` small hidden objects, each with the last `RINGS_PER_SLOT` rings of the avatars that hash to it. So a ring
is counted once if its retry comes to a holder that has its count, before that many later rings of its slot. One that
does not have it (it took over without the last of the holder's changes) counts it again; each ring is remembered with
who counted it, so that `reconcile`, when the two states meet, finds it twice and takes one away.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.crdt import HybridClock, ObjectCell, ObjectRecord, Replica
from p2pworld.errors import Refusal
from p2pworld.ids import Incarnation
from p2pworld.limits import OBJECTS_PER_AVATAR, OBJECTS_PER_CELL
from p2pworld.messages import Act, Pose, WorldObject
from p2pworld.world.counter import TICKET, call_ticket, draw_ticket, ticket_words
from p2pworld.world.text import line_fault

if TYPE_CHECKING:
    from p2pworld.crdt import Value
    from p2pworld.geometry import Cell

__all__ = [
    "ACT_SLOTS",
    "LANTERNS_PER_CELL",
    "RINGS_PER_SLOT",
    "Asked",
    "Performed",
    "bell_id",
    "owner",
    "perform",
    "reconcile",
    "replica_of",
    "unfit",
    "view",
]

ACT_SLOTS: Final = 256
RINGS_PER_SLOT: Final = 32  # of 16 B: 512 B a slot, 8 192 rings remembered in a cell
LANTERNS_PER_CELL: Final = OBJECTS_PER_CELL - ACT_SLOTS - 1  # room for the slots and the bell
_RING_BYTES: Final = 16  # 8 of the act's key, 4 of who counted it, 4 of the bell's id
_TEXT_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """An act, who asked for it under which login, and where the avatar stood.

    `bell` is the bell that the place there declares, its id and position; the cell's own otherwise. `via` is the node
    that passed it on, None if its own client asked. `at_ms` is when it was done, if it was kept since; 0: now.
    """

    avatar: int
    login_ms: int
    message: Act
    pose: Pose
    bell: tuple[bytes, tuple[int, int]] | None = None
    via: Incarnation | None = None
    at_ms: int = 0

    @property
    def key(self) -> bytes:
        """16 bytes that are the same for each retry of this act and for no other."""
        message = self.message
        who = self.avatar.to_bytes(8, "big")
        if message.name:
            own = b"name" + message.name
        else:
            own = b"n" + self.login_ms.to_bytes(8, "big") + message.n.to_bytes(4, "big")
        # The verb has no zero byte and comes last, after one: no two acts share an input.
        return hashlib.sha256(who + own + b"\0" + message.verb.encode()).digest()[:16]


@dataclass(frozen=True, slots=True)
class Performed:
    """What an act came to: the object it made or changed, and the delta, None if it had been done before."""

    object_id: bytes
    delta: ObjectCell | None


def replica_of(me: Incarnation, cell: int, epoch: int) -> Replica:
    """The name under which one incarnation writes to one cell under one epoch: its dots are never used again.

    A node that loses a cell and later gets it without what it wrote there starts to count anew: under a new name.
    """
    ground = me.node + cell.to_bytes(8, "big") + epoch.to_bytes(8, "big")
    return Replica(hashlib.sha256(ground).digest()[:16], me.number)


def bell_id(cell: int) -> bytes:
    """The id of the bell that every cell has once it is rung."""
    return hashlib.sha256(b"p2pworld bell" + cell.to_bytes(8, "big")).digest()[:16]


def _slot_id(slot: int) -> bytes:
    """The same in every cell: a ring is remembered through splits and merges of the ground it was done on."""
    return hashlib.sha256(b"p2pworld rings" + slot.to_bytes(2, "big")).digest()[:16]


def perform(
    cell: Cell, state: ObjectCell, asked: Asked, owned: int, replica: Replica, clock: HybridClock, now_ms: int
) -> Performed | Refusal:
    """Do an act to `state`, in place, unless it was done before; a refused act changes nothing.

    `owned` is how many objects of this cell are the avatar's.
    """
    match asked.message.verb:
        case "hang":
            return _put_up("lantern", state, asked, owned, replica, clock, now_ms)
        case "note":
            return _put_up("note", state, asked, owned, replica, clock, now_ms)
        case "ring":
            return _ring(cell, state, asked, replica, clock, now_ms)
        case "draw":
            at = asked.pose.east_cm, asked.pose.north_cm
            return _performed(draw_ticket(state, asked.key, asked.avatar, at, replica, clock, now_ms))
        case "call":
            again = asked.message.target
            return _performed(call_ticket(state, asked.key, asked.avatar, again, replica, clock, now_ms))
        case _:
            return Refusal("verb", "This city does not know how to do that.")


def _performed(done: tuple[bytes, ObjectCell | None] | Refusal) -> Performed | Refusal:
    return done if isinstance(done, Refusal) else Performed(*done)


def unfit(act: Act) -> Refusal | None:
    """Why what is to be put up cannot be, wherever it is."""
    if act.verb == "note" and not act.text:
        return Refusal("text", "There is nothing to read in it.")
    fault = line_fault(act.text, _TEXT_CHARACTERS_MAX) if act.text else None
    return Refusal("text", fault) if fault else None


def _put_up(
    kind: str,
    state: ObjectCell,
    asked: Asked,
    owned: int,
    replica: Replica,
    clock: HybridClock,
    now_ms: int,
) -> Performed | Refusal:
    """A lantern with its wish, or a note on the board: its id is the act's key."""
    made = asked.key
    if made in state:
        return Performed(made, None)
    if state.is_expunged(made):
        return Refusal("expunged", f"This {kind} was taken down for good.")
    if (refusal := unfit(asked.message)) is not None:
        return refusal
    if owned >= OBJECTS_PER_AVATAR:
        return Refusal("yours_full", f"You have put up {OBJECTS_PER_AVATAR} things here; that is the most.")
    if len(state) >= LANTERNS_PER_CELL:
        return Refusal("full", "No more fits here; walk on a little and try there.")
    fields: dict[str, Value] = {
        "kind": kind,
        "text": asked.message.text,
        "by": asked.avatar,
        "at_ms": min(asked.at_ms, now_ms) or now_ms,
        "east_cm": asked.pose.east_cm,
        "north_cm": asked.pose.north_cm,
    }
    return Performed(made, state.put(replica, made, fields, clock.tick(now_ms)))


def _ring(
    cell: Cell, state: ObjectCell, asked: Asked, replica: Replica, clock: HybridClock, now_ms: int
) -> Performed | Refusal:
    own, (east_cm, north_cm) = asked.bell or (bell_id(cell), cell.centre_cm)
    bell = own if asked.bell else asked.message.target or own
    slot = _slot_id(asked.avatar % ACT_SLOTS)
    ring = asked.key[:8] + hashlib.sha256(replica[0] + replica[1].to_bytes(8, "big")).digest()[:4] + bell[:4]
    kept, rung = state.get(slot), _rings(state, slot)
    before = next((one for one in rung if one[:8] == ring[:8]), None)
    if before is not None:
        return Performed(_bell_of(state, before) or bell, None)
    known = state.get(bell)
    if known is None and bell != own:
        return Refusal("no_target", "There is no such bell here.")
    if known is not None and known.fields.get("kind") != "bell":
        return Refusal("no_target", "That is not a bell.")
    if state.is_expunged(bell) or state.is_expunged(slot):
        return Refusal("expunged", "This bell was taken down for good.")
    if len(state) + (known is None) + (kept is None) > OBJECTS_PER_CELL:
        return Refusal("full", "This place is too full to remember that you rang.")
    delta = ObjectCell()
    if known is None:
        fields: dict[str, Value] = {
            "kind": "bell",
            "at_ms": now_ms,
            "east_cm": east_cm,
            "north_cm": north_cm,
        }
        delta.merge_in(state.put(replica, bell, fields, clock.tick(now_ms)))
    delta.merge_in(state.add_to_counter(replica, bell, "rings", 1))
    delta.merge_in(_remember(state, slot, [*rung, ring], replica, clock, now_ms))
    return Performed(bell, delta)


def _bell_of(state: ObjectCell, ring: bytes) -> bytes | None:
    """The id of the bell that a remembered ring struck, if it is still there."""
    return next((one for one in state if one[:4] == ring[12:]), None)


def _rings(state: ObjectCell, slot: bytes) -> list[bytes]:
    """The rings remembered in a slot, each once, also where states that did not know of each other met."""
    lists = [version.fields.get("rings") for version in state.versions(slot)]
    rings = (
        one[at : at + _RING_BYTES]
        for one in lists
        if isinstance(one, bytes)
        for at in range(0, len(one), _RING_BYTES)
    )
    return list(dict.fromkeys(rings))


def _remember(
    state: ObjectCell, slot: bytes, rings: list[bytes], replica: Replica, clock: HybridClock, now_ms: int
) -> ObjectCell:
    return state.put(replica, slot, {"rings": b"".join(rings[-RINGS_PER_SLOT:])}, clock.tick(now_ms))


def reconcile(state: ObjectCell, replica: Replica, clock: HybridClock, now_ms: int) -> ObjectCell:
    """Where states that did not know of each other met in `state`, take away what both counted; returns the delta."""
    delta = ObjectCell()
    divided = state.divided()
    met = [slot for number in range(ACT_SLOTS) if (slot := _slot_id(number)) in divided] if divided else []
    if (newest := state.newest_stamp()) is not None:
        clock.observe(newest, now_ms)  # what is written from now on replaces all that met
    for slot in met:
        first: dict[bytes, bytes] = {}
        for ring in _rings(state, slot):
            if first.setdefault(ring[:8], ring) != ring and (bell := _bell_of(state, ring)) is not None:
                delta.merge_in(state.add_to_counter(replica, bell, "rings", -1))
        delta.merge_in(_remember(state, slot, list(first.values()), replica, clock, now_ms))
    return delta


def view(cell: Cell, object_id: bytes, record: ObjectRecord | None) -> WorldObject | None:
    """An object as clients see it; None for what is gone, hidden, of a kind unknown here, or not on this ground.

    What is not on this ground came with a cell that was divided.
    """
    if record is None:
        return None
    fields = record.fields
    kind, east_cm, north_cm = fields.get("kind"), fields.get("east_cm"), fields.get("north_cm")
    text, by, at_ms = fields.get("text", ""), fields.get("by", 0), fields.get("at_ms", 0)
    if kind not in ("lantern", "note", "bell", TICKET) or not isinstance(kind, str):
        return None
    if not (_is_count(east_cm) and _is_count(north_cm) and _is_count(by) and _is_count(at_ms)):
        return None
    assert isinstance(east_cm, int)
    assert isinstance(north_cm, int)
    assert isinstance(by, int)
    assert isinstance(at_ms, int)
    if (
        not isinstance(text, str)
        or (text and line_fault(text, _TEXT_CHARACTERS_MAX))
        or not cell.contains_point(east_cm, north_cm)
    ):
        return None
    count = min(max(0, record.count("rings")), (1 << 53) - 1)
    if kind == TICKET:
        count, text, at_ms = ticket_words(fields)
    return WorldObject(object_id, kind, east_cm, north_cm, text, by, count, at_ms)


def owner(shown: WorldObject | None) -> int:
    """Whose an object is, for the bound on objects of one avatar; 0 nobody's."""
    return shown.by if shown is not None else 0


def _is_count(value: Value) -> bool:
    return type(value) is int and 0 <= value < 1 << 53
