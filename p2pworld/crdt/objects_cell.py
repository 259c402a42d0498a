"""The objects of one cell (lanterns, notices, bells): what many nodes may change at once, and never lose or double.

An object is a *record*: named last-writer-wins registers and named counters. The cell is an observed-remove map from
object ids to records, with the set of *expunged* ids beside it. What follows from that:

- A removal takes away what its remover saw. A change it did not see keeps the object, and keeps it whole: every
  change writes all registers again under a new dot, so no half of an object can be left.
- Each replica counts under a dot of its own, which its next addition replaces, so counts are exact. If an addition and
  a removal cross, the object stays with the counts of those replicas whose addition the remover did not see.
- Expunging (moderation, privacy) beats everything, also additions not yet heard of: the payload is dropped here and
  wherever the news arrives, and only the id is kept, 16 bytes each.
- Nothing else is kept of what is gone: the causal context is one number for each replica.

Mutators change the cell in place, and return the delta to write down and to send on; a precondition that does not
hold raises LocalError and changes nothing (ask `in` and `is_expunged` first). Deltas may arrive late, twice and in any
order; those of one link in their order, which links keep, also mean what their makers saw. With n objects, a change
or `merge_in` of a delta costs the size of the objects it names, `merge` copies three dictionaries and no record,
`digest` hashes again only what changed.

What is not judged here: who may change what, how far stamps may be ahead (`newest_stamp` and `admissible`, at the
origin and on each link), and whether ids are reused, which they never should be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import msgpack

from p2pworld.errors import LocalError
from p2pworld.limits import OBJECTS_PER_CELL

from .counter import PNCounter
from .lattice import merge_maps, pointwise_leq
from .ormap import ORMap
from .plain import (
    encode,
    malformed,
    read_bytes,
    read_int,
    read_list,
    read_map,
    read_parts,
    read_row,
    read_text,
    value_fault,
)
from .register import Register

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .clock import CausalContext, Dot, Replica, Stamp
    from .plain import Value

__all__ = ["EXPUNGED_MAX", "FORMAT_VERSION", "OBJECT_BYTES_MAX", "ObjectCell", "ObjectRecord"]

FORMAT_VERSION: Final = 1
OBJECT_ID_BYTES: Final = 16
NAMES_PER_OBJECT_MAX: Final = 32  # registers, and as many counters
NAME_CHARACTERS_MAX: Final = 32
OBJECT_BYTES_MAX: Final = (
    2_048  # the registers of one object, encoded: a full cell is then 8 MiB of a 16 MiB message
)
EXPUNGED_MAX: Final = 65_536  # ids of one cell, 1 MiB: sixteen full cells expunged to the last object
# Bounds hold where something is made. States that grew apart add up, so what is read may be this many times as large.
PARTED_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """Named registers and named counters; both what one entry holds and what a whole object is."""

    registers: Mapping[str, Register] = field(default_factory=dict)
    counters: Mapping[str, PNCounter] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Value]:
        """The registers' values."""
        return {name: register.value for name, register in self.registers.items()}

    def count(self, name: str) -> int:
        """A counter's value, 0 before the first addition."""
        counter = self.counters.get(name)
        return 0 if counter is None else counter.value

    def merge(self, other: ObjectRecord) -> ObjectRecord:
        """The record that has heard of all changes either has heard of."""
        return ObjectRecord(
            merge_maps(self.registers, other.registers), merge_maps(self.counters, other.counters)
        )

    def leq(self, other: ObjectRecord) -> bool:
        """Whether `other` has heard of all changes this has."""
        return pointwise_leq(self.registers, other.registers) and pointwise_leq(self.counters, other.counters)

    def to_plain(self) -> list[object]:
        """`[{name: register}, {name: counter}]`, in the order of the names."""
        return [
            {name: register.to_plain() for name, register in sorted(self.registers.items())},
            {name: counter.to_plain() for name, counter in sorted(self.counters.items())},
        ]

    @classmethod
    def from_plain(cls, plain: object) -> ObjectRecord:
        """The record so written; raises RemoteError if it is none."""
        registers, counters = read_row(plain, 2, "a record")
        most = NAMES_PER_OBJECT_MAX * PARTED_MAX
        return cls(
            {
                name: Register.from_plain(value)
                for name, value in read_map(registers, most, "the registers", _read_name).items()
            },
            {
                name: PNCounter.from_plain(value)
                for name, value in read_map(counters, most, "the counters", _read_name).items()
            },
        )


class ObjectCell:
    """All objects of one cell as one replica knows them; a delta is an ObjectCell too."""

    __slots__ = ("_digests", "_expunged", "_objects")

    def __init__(self) -> None:
        self._objects: ORMap[bytes, ObjectRecord] = ORMap()
        self._expunged: set[bytes] = set()
        self._digests: dict[
            bytes, bytes
        ] = {}  # of objects, as far as they are known; never part of the state

    @classmethod
    def _of(cls, objects: ORMap[bytes, ObjectRecord], expunged: set[bytes]) -> Self:
        made = cls()
        made._objects = objects
        made._expunged = expunged
        return made

    # ---- what is there

    def __contains__(self, object_id: bytes) -> bool:
        return object_id in self._objects

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectCell):
            return NotImplemented
        return self._objects == other._objects and self._expunged == other._expunged

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ObjectCell({self._objects!r}, expunged={self._expunged!r})"

    @property
    def context(self) -> CausalContext:
        """All changes it has heard of, to look at only."""
        return self._objects.context

    @property
    def expunged(self) -> frozenset[bytes]:
        """The ids that never come back."""
        return frozenset(self._expunged)

    def is_expunged(self, object_id: bytes) -> bool:
        """Whether this id never comes back."""
        return object_id in self._expunged

    def get(self, object_id: bytes) -> ObjectRecord | None:
        """One object with all that is known of it, None if it is not there."""
        return self._objects.get(object_id)

    def versions(self, object_id: bytes) -> tuple[ObjectRecord, ...]:
        """What each change of an object left that no other change has seen: several where states have just met."""
        entries = self._objects.entries(object_id)
        return tuple(record for _, record in sorted(entries.items(), key=_dot_of))

    def entries(self, object_id: bytes) -> dict[Dot, ObjectRecord]:
        """What each change of an object left that no other change has seen, by its dot."""
        return self._objects.entries(object_id)

    def divided(self) -> set[bytes]:
        """The objects that have several versions."""
        return {object_id for object_id in self._objects if len(self._objects.entries(object_id)) > 1}

    def newest_stamp(self) -> Stamp | None:
        """The largest stamp of any register, None without registers; a link asks this of each delta."""
        return max(
            (
                register.stamp
                for object_id in self._objects
                for record in self._objects.entries(object_id).values()
                for register in record.registers.values()
            ),
            default=None,
        )

    # ---- changes, each returning its delta

    def put(self, replica: Replica, object_id: bytes, fields: Mapping[str, Value], stamp: Stamp) -> Self:
        """Add an object, or write some registers of one that is there; returns the delta."""
        if type(object_id) is not bytes or len(object_id) != OBJECT_ID_BYTES:
            raise LocalError(f"an object's id is {OBJECT_ID_BYTES} bytes")
        if object_id in self._expunged:
            raise LocalError("this object is expunged and never comes back")
        if object_id not in self._objects and len(self._objects) >= OBJECTS_PER_CELL:
            raise LocalError(f"the cell holds {OBJECTS_PER_CELL} objects and no more")
        seen = self._objects.get(object_id) or ObjectRecord()
        written = {name: Register(stamp, value) for name, value in fields.items()}
        for name, value in fields.items():
            _check_name(name)
            if fault := value_fault(value):
                raise LocalError(f"{name}: {fault}")
        registers = merge_maps(seen.registers, written)
        if len(registers) > NAMES_PER_OBJECT_MAX:
            raise LocalError(f"an object has at most {NAMES_PER_OBJECT_MAX} registers")
        if len(encode([register.to_plain() for register in registers.values()])) > OBJECT_BYTES_MAX:
            raise LocalError(f"an object's registers take at most {OBJECT_BYTES_MAX} bytes")
        return self._rewrite(replica, object_id, registers, {})

    def set_field(self, replica: Replica, object_id: bytes, name: str, value: Value, stamp: Stamp) -> Self:
        """Write one register of an object that is there; returns the delta."""
        self._require(object_id)
        return self.put(replica, object_id, {name: value}, stamp)

    def add_to_counter(self, replica: Replica, object_id: bytes, name: str, amount: int) -> Self:
        """Add to (or, with a negative amount, take from) a counter of an object that is there; returns the delta."""
        seen = self._require(object_id)
        _check_name(name)
        if name not in seen.counters and len(seen.counters) >= NAMES_PER_OBJECT_MAX:
            raise LocalError(f"an object has at most {NAMES_PER_OBJECT_MAX} counters")
        mine = self._tallies(replica, object_id)
        added = mine.get(name, PNCounter())
        added = added.merge(added.add(replica, amount))
        return self._rewrite(replica, object_id, seen.registers, {**mine, name: added})

    def remove(self, object_id: bytes) -> Self:
        """Take away an object that is there, as far as it is known here; returns the delta."""
        self._require(object_id)
        self._digests.pop(object_id, None)
        return self._of(self._objects.remove(object_id), set())

    def expunge(self, object_id: bytes) -> Self:
        """Drop an object, known here or not, and let it never come back; returns the delta."""
        if type(object_id) is not bytes or len(object_id) != OBJECT_ID_BYTES:
            raise LocalError(f"an object's id is {OBJECT_ID_BYTES} bytes")
        if object_id not in self._expunged and len(self._expunged) >= EXPUNGED_MAX:
            raise LocalError(f"the cell remembers {EXPUNGED_MAX} expunged ids and no more")
        self._digests.pop(object_id, None)
        self._expunged.add(object_id)
        return self._of(self._objects.remove(object_id), {object_id})

    def _require(self, object_id: bytes) -> ObjectRecord:
        record = self._objects.get(object_id)
        if record is None:
            raise LocalError("there is no such object here")
        return record

    def _tallies(self, replica: Replica, object_id: bytes) -> Mapping[str, PNCounter]:
        """What this replica has counted on an object since it last saw it removed."""
        record = ObjectRecord()
        for dot, entry in self._objects.entries(object_id).items():
            if dot.replica == replica:
                record = record.merge(entry)
        return record.counters

    def _rewrite(
        self,
        replica: Replica,
        object_id: bytes,
        registers: Mapping[str, Register],
        tallies: Mapping[str, PNCounter],
    ) -> Self:
        """One entry with all registers in place of all such; and, if it counted, one with the replica's tallies."""
        superseded = [
            dot
            for dot, entry in self._objects.entries(object_id).items()
            if not entry.counters or (tallies and dot.replica == replica)
        ]
        written = [ObjectRecord(registers=registers)]
        if tallies:
            written.append(ObjectRecord(counters=tallies))
        self._digests.pop(object_id, None)
        return self._of(self._objects.rewrite(replica, object_id, written, superseded), set())

    # ---- the lattice

    def merge_in(self, other: Self) -> set[bytes]:
        """Merge another cell, or a delta, into this one; returns the ids of objects that changed or went."""
        had = self._objects.keys_among(other._expunged)
        changed = self._objects.merge_in(other._objects)
        self._expunged |= other._expunged
        for object_id in (changed | had) & self._expunged:
            self._objects.forget(object_id)
        for object_id in changed | had:
            self._digests.pop(object_id, None)
        return {object_id for object_id in changed if object_id not in self._expunged} | had

    def copy(self) -> Self:
        """An equal cell that changes on its own; records are shared."""
        twin = self._of(self._objects.copy(), set(self._expunged))
        twin._digests = dict(self._digests)
        return twin

    def merge(self, other: Self) -> Self:
        """The cell that has heard all that both have heard."""
        merged = self.copy()
        merged.merge_in(other)
        return merged

    def leq(self, other: Self) -> bool:
        """Whether `other` has heard of every change this has."""
        return self._expunged <= other._expunged and self._objects.leq(other._objects)

    # ---- in parts

    def part(self, object_ids: Iterable[bytes], expunged: Iterable[bytes] = ()) -> Self:
        """These objects and expunged ids alone, as far as they are here, and of the context what names them."""
        objects: ORMap[bytes, ObjectRecord] = ORMap()
        for object_id in object_ids:
            objects.replace(object_id, self._objects.entries(object_id))
        return self._of(objects, self._expunged & set(expunged))

    def amended(
        self,
        objects: Mapping[bytes, Mapping[Dot, ObjectRecord]],
        context: CausalContext,
        expunged: Iterable[bytes] = (),
    ) -> Self:
        """A copy in which these objects are what is given, and nothing else is known than `context`, what is live, and
        what was expunged before or is now. It is no merge: what is not given of an object is gone."""
        twin = self.copy()
        twin._expunged.update(expunged)
        twin._objects.context = context.copy()
        for object_id in objects.keys() | twin._objects.keys_among(twin._expunged):
            entries = {} if object_id in twin._expunged else objects[object_id]
            for changed in twin._objects.replace(object_id, entries) | {object_id}:
                twin._digests.pop(changed, None)
        return twin

    # ---- its plain form

    def object_digest(self, object_id: bytes) -> bytes:
        """The SHA-256 of one object that is here, all its entries and their dots."""
        known = self._digests.get(object_id)
        if known is None:
            known = self._digests[object_id] = self._hashed(object_id)
        return known

    def _hashed(self, object_id: bytes) -> bytes:
        entries = self._objects.entries(object_id)
        plain = [[dot, record.to_plain()] for dot, record in sorted(entries.items(), key=_dot_of)]
        return hashlib.sha256(encode(plain)).digest()

    def rehash(self, nth: int, of: int) -> set[bytes]:
        """Hash one `nth` part `of` so many anew; the ids of objects that are not what they were when last hashed.

        Nothing but a change through this class may change an object, so what is named here went wrong in memory.
        """
        wrong = set()
        for object_id in [one for one in self._digests if one[-1] % of == nth]:
            now = self._hashed(object_id)
            if now != self._digests[object_id]:
                wrong.add(object_id)
                self._digests[object_id] = now
        return wrong

    def digest(self) -> bytes:
        """The SHA-256 of the state, equal exactly where states are, however they came about."""
        objects = [[object_id, self.object_digest(object_id)] for object_id in sorted(self._objects)]
        return hashlib.sha256(encode([self.context.to_plain(), objects, sorted(self._expunged)])).digest()

    def to_plain(self) -> dict[str, object]:
        """`{"v": 1, "objects": map, "expunged": [id, ...]}`, everything in order; see ORMap.to_plain."""
        return {
            "v": FORMAT_VERSION,
            "objects": self._objects.to_plain(lambda object_id: object_id, ObjectRecord.to_plain),
            "expunged": sorted(self._expunged),
        }

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """The cell so written; raises RemoteError if it is none, or of a newer format."""
        parts = read_parts(plain, ("v", "objects", "expunged"), "a cell")
        read_int(parts["v"], FORMAT_VERSION, FORMAT_VERSION, "a cell's format version")
        objects = ORMap.from_plain(
            parts["objects"], OBJECTS_PER_CELL * PARTED_MAX, _read_object_id, ObjectRecord.from_plain
        )
        rows = read_list(parts["expunged"], EXPUNGED_MAX * PARTED_MAX, "the expunged ids")
        expunged = {_read_object_id(row) for row in rows}
        if len(expunged) != len(rows):
            raise malformed("an id is expunged twice")
        if objects.keys_among(expunged):
            raise malformed("an expunged object is still there")
        return cls._of(objects, expunged)

    def to_bytes(self) -> bytes:
        """The msgpack form of `to_plain`, for the journal and the wire."""
        return encode(self.to_plain())

    @classmethod
    def from_bytes(cls, packed: bytes) -> Self:
        """The cell so written; raises RemoteError if it is none."""
        try:
            plain = msgpack.unpackb(packed)
        except (ValueError, RecursionError) as error:
            raise malformed("a cell is not msgpack") from error
        return cls.from_plain(plain)


def _dot_of(item: tuple[Dot, ObjectRecord]) -> Dot:
    return item[0]


def _check_name(name: str) -> None:
    if type(name) is not str or not 1 <= len(name) <= NAME_CHARACTERS_MAX or value_fault(name):
        raise LocalError(f"a name is a text of 1 to {NAME_CHARACTERS_MAX} characters")


def _read_name(plain: object) -> str:
    return read_text(plain, NAME_CHARACTERS_MAX, "a name")


def _read_object_id(plain: object) -> bytes:
    return read_bytes(plain, OBJECT_ID_BYTES, OBJECT_ID_BYTES, "an object's id")
