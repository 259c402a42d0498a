"""Time as replicas agree on it: hybrid logical clocks, dots, and the causal context that remembers them.

A *stamp* is milliseconds, a count within them, and the replica: a total order that follows both the wall clock and
happens-before (Kulkarni, Demirbas and others: Logical Physical Clocks, 2014). The time is always passed in. How far a
stamp may be ahead is judged where it is made and where a link lets it in (`admissible`), never inside a merge: there
the answer would depend on when the merge happens.

A *dot* names one event of one replica. A *causal context* is a set of dots, as a version vector for those without a
gap and a cloud for the rest: it tells "never heard of" from "heard of, and gone", so that removed things need no
tombstones. A replica is one life of a node, so that a node which forgot its last moments never reuses a dot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias

from p2pworld.errors import LocalError
from p2pworld.ids import Incarnation

from .plain import COUNT_MAX, malformed, read_bytes, read_int, read_list, read_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "CLOUD_MAX",
    "REPLICAS_MAX",
    "CausalContext",
    "Dot",
    "HybridClock",
    "Replica",
    "Stamp",
    "admissible",
    "read_replica",
]

Replica: TypeAlias = Incarnation

REPLICAS_MAX: Final = (
    4_096  # lives of nodes that ever wrote to one state: 16 nodes restarted weekly for 4 years
)
CLOUD_MAX: Final = 65_536  # dots heard out of order, of one replica: two whole states of a full cell
NODE_BYTES_MAX: Final = 64


class Stamp(NamedTuple):
    """A moment: milliseconds since 1970, the count within them, the replica; ordered in this order."""

    ms: int
    logical: int
    replica: Replica

    def to_plain(self) -> list[object]:
        """`[ms, logical, node, number]`."""
        return [self.ms, self.logical, self.replica.node, self.replica.number]

    @classmethod
    def from_plain(cls, plain: object) -> Stamp:
        """The stamp so written; raises RemoteError if it is none."""
        ms, logical, node, number = read_row(plain, 4, "a stamp")
        return cls(
            read_int(ms, 0, COUNT_MAX, "a stamp's time"),
            read_int(logical, 0, COUNT_MAX, "a stamp's count"),
            read_replica(node, number),
        )


def read_replica(node: object, number: object) -> Replica:
    """A replica from its two plain parts; raises RemoteError if they are not."""
    return Replica(
        read_bytes(node, 1, NODE_BYTES_MAX, "a replica's node"),
        read_int(number, 0, COUNT_MAX, "a replica's number"),
    )


def admissible(stamp: Stamp, now_ms: int, skew_ms_max: int) -> bool:
    """Whether a stamp is at most `skew_ms_max` ahead of our clock; the past is always admissible."""
    return stamp.ms <= now_ms + skew_ms_max


class HybridClock:
    """The clock of one replica: each stamp it gives is larger than all it gave or observed, and near the time.

    It lets nothing in by itself: observe a stamp only if it is `admissible`, or one bad clock drags all along.
    """

    __slots__ = ("_count", "_ms", "replica")

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._ms = 0
        self._count = 0

    def tick(self, now_ms: int) -> Stamp:
        """A new stamp for an event of this replica, also when the wall clock stands still or goes back."""
        if now_ms > self._ms:
            self._ms, self._count = now_ms, 0
        else:
            self._count += 1
        return Stamp(self._ms, self._count, self.replica)

    def observe(self, stamp: Stamp, now_ms: int) -> None:
        """Let every later stamp of this clock be larger than `stamp`."""
        ms, count = max((self._ms, self._count), (stamp.ms, stamp.logical))
        self._ms, self._count = (now_ms, 0) if now_ms > ms else (ms, count)


class Dot(NamedTuple):
    """The name of one event: the `nth` (from 1) of a replica. A replica uses each of its dots once."""

    replica: Replica
    nth: int


class CausalContext:
    """A set of dots that only grows, one entry for each replica once its dots have no gaps.

    Changed in place by `add` and `merge_in`; `merge` leaves both operands as they are. The form is normal: equal sets
    have equal forms, however they came about.
    """

    __slots__ = ("_cloud", "_upto")

    def __init__(self, dots: Iterable[Dot] = ()) -> None:
        self._upto: dict[Replica, int] = {}  # all dots of the replica from 1 to this
        self._cloud: dict[Replica, set[int]] = {}  # others, each beyond the next one after _upto; never empty
        for dot in dots:
            self.add(dot)

    def __contains__(self, dot: Dot) -> bool:
        replica, count = dot
        return count <= self._upto.get(replica, 0) or count in self._cloud.get(replica, ())

    def __len__(self) -> int:
        """How many dots it holds."""
        return sum(self._upto.values()) + sum(map(len, self._cloud.values()))

    def __iter__(self) -> Iterator[Dot]:
        for replica, upto in self._upto.items():
            for count in range(1, upto + 1):
                yield Dot(replica, count)
        for replica, counts in self._cloud.items():
            for count in counts:
                yield Dot(replica, count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CausalContext):
            return NotImplemented
        return self._upto == other._upto and self._cloud == other._cloud

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"CausalContext(upto={self._upto!r}, cloud={self._cloud!r})"

    @property
    def replicas(self) -> list[Replica]:
        """All replicas it knows a dot of, in order."""
        return sorted(self._upto.keys() | self._cloud.keys())

    @property
    def entries(self) -> int:
        """How much it stores: an entry for each replica without gaps, one for each dot beyond a gap."""
        return len(self._upto) + sum(map(len, self._cloud.values()))

    def next(self, replica: Replica) -> Dot:
        """The dot after the largest known of this replica, not yet added. Only that replica may ask."""
        count = max(self._upto.get(replica, 0), max(self._cloud.get(replica, ()), default=0)) + 1
        if count > COUNT_MAX:
            raise LocalError(f"replica {replica} has used up its dots: give it a new incarnation")
        return Dot(replica, count)

    def add(self, dot: Dot) -> None:
        """Put one dot in."""
        if dot in self:
            return
        replica, count = dot
        self._cloud.setdefault(replica, set()).add(count)
        self._compact(replica)

    def _compact(self, replica: Replica) -> None:
        counts = self._cloud.get(replica)
        if counts is None:
            return
        start = upto = self._upto.get(replica, 0)
        while upto + 1 in counts:
            upto += 1
            counts.remove(upto)
        if upto > start:
            self._upto[replica] = upto
        if not counts:
            del self._cloud[replica]

    def merge_in(self, other: CausalContext) -> None:
        """Put all dots of another context in."""
        for replica, upto in other._upto.items():
            if upto > self._upto.get(replica, 0):
                self._upto[replica] = upto
                if counts := self._cloud.get(replica):
                    self._cloud[replica] = {count for count in counts if count > upto}
                self._compact(replica)
        for replica, counts in other._cloud.items():
            upto = self._upto.get(replica, 0)
            if news := {count for count in counts if count > upto}:
                self._cloud.setdefault(replica, set()).update(news)
                self._compact(replica)

    def copy(self) -> Self:
        """An equal context that changes on its own."""
        twin = type(self)()
        twin._upto = dict(self._upto)
        twin._cloud = {replica: set(counts) for replica, counts in self._cloud.items()}
        return twin

    def merge(self, other: Self) -> Self:
        """The union."""
        union = self.copy()
        union.merge_in(other)
        return union

    def leq(self, other: Self) -> bool:
        """Whether it is a subset."""
        return all(
            upto <= other._upto.get(replica, 0) for replica, upto in self._upto.items()
        ) and all(
            Dot(replica, count) in other for replica, counts in self._cloud.items() for count in counts
        )  # fmt: skip

    def to_plain(self) -> list[object]:
        """`[[node, number, upto, [counts beyond]], ...]`, everything in order."""
        return [
            [
                replica.node,
                replica.number,
                self._upto.get(replica, 0),
                sorted(self._cloud.get(replica, ())),
            ]
            for replica in self.replicas
        ]

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """The context so written; raises RemoteError if it is none, or not in its normal form."""
        context = cls()
        for row in read_list(plain, REPLICAS_MAX, "a context"):
            node, number, upto, beyond = read_row(row, 4, "a context's entry")
            replica = read_replica(node, number)
            if replica in context._upto or replica in context._cloud:
                raise malformed("a context names a replica twice")
            last = read_int(upto, 0, COUNT_MAX, "a context's count")
            counts = [
                read_int(count, last + 2, COUNT_MAX, "a dot beyond a gap")
                for count in read_list(beyond, CLOUD_MAX, "the dots beyond a gap")
            ]
            if len(set(counts)) != len(counts):
                raise malformed("a context names a dot twice")
            if not last and not counts:
                raise malformed("a context names a replica without dots")
            if last:
                context._upto[replica] = last
            if counts:
                context._cloud[replica] = set(counts)
        return context
