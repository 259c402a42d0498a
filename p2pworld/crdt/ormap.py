"""A map that keeps what was concurrently updated and remembers nothing of what was removed.

Under each key lie *entries*, each a value named by the dot of the write that made it; one causal context is shared by
the whole map. A write brings a new dot and supersedes entries its writer saw; a removal supersedes all its remover
saw. Merging keeps an entry that both hold, and one that only one side holds if the other has not heard of its dot.
So a write that a remover did not see survives (add wins), and what is gone leaves only its dot in the context, which
compacts to one number for each replica.

A dot names one write, of one key. A replica that lies may have told two sides of it under two keys: then the key with
the smaller encoding stands, for whoever merges them in whichever order, so a liar divides nobody.

A delta is a small map: it carries the *whole key* as its writer sees it after the change, so whoever has heard of a
change to a key has heard of all that its writer knew of that key, whichever deltas it missed. Deltas may come in any
order and number.

The mutators `rewrite` and `remove` change the map in place and return the delta, since a delta left unmerged would let
its dot be used twice. `merge_in` costs as much as the delta is large; `merge` copies two dictionaries, never values.

Almeida, Shoker, Baquero 2018, section 7 (causal CRDTs, DotMap and DotFun); Bieniusa and others: An Optimized
Conflict-free Replicated Set (2012).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from .clock import CausalContext, Dot, Replica
from .lattice import Lattice, join
from .plain import COUNT_MAX, encode, malformed, read_int, read_list, read_parts, read_row

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence

__all__ = ["ENTRIES_PER_KEY_MAX", "ORMap"]

ENTRIES_PER_KEY_MAX: Final = 4_096  # as many as replicas: each leaves at most one or two under a key

K = TypeVar("K", bound="Hashable")
V = TypeVar("V", bound=Lattice)


class ORMap(Generic[K, V]):
    """An observed-remove map from keys to join semilattices."""

    __slots__ = ("_dots", "_live", "context")

    def __init__(self) -> None:
        self._live: dict[Dot, tuple[K, V]] = {}
        self._dots: dict[K, frozenset[Dot]] = {}  # the same by key, never empty
        self.context = CausalContext()

    def __contains__(self, key: K) -> bool:
        return key in self._dots

    def __iter__(self) -> Iterator[K]:
        return iter(self._dots)

    def __len__(self) -> int:
        return len(self._dots)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ORMap):
            return NotImplemented
        return self.context == other.context and self._live == other._live

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._live!r}, {self.context!r})"

    def keys_among(self, keys: Collection[K]) -> set[K]:
        """Which of these keys are there."""
        return {key for key in keys if key in self._dots}

    def entries(self, key: K) -> dict[Dot, V]:
        """The live entries under a key, none if it is absent."""
        return {dot: self._live[dot][1] for dot in self._dots.get(key, ())}

    def get(self, key: K) -> V | None:
        """The join of all entries under a key, None if it is absent."""
        return join(self._live[dot][1] for dot in self._dots.get(key, ()))

    def rewrite(self, replica: Replica, key: K, values: Sequence[V], superseded: Collection[Dot]) -> Self:
        """Put new entries under a key in place of `superseded` live ones of it; returns the delta."""
        delta = type(self)()
        for dot in superseded:
            assert dot in self._dots[key]
            delta.context.add(dot)
            self._drop(dot)
        for value in values:
            dot = self.context.next(replica)
            self._put(dot, key, value)
            self.context.add(dot)
        for dot, value in self.entries(key).items():
            delta._put(dot, key, value)
            delta.context.add(dot)
        return delta

    def remove(self, key: K) -> Self:
        """Drop all that is seen under a key; returns the delta, which is bottom if nothing is."""
        delta = type(self)()
        for dot in self.forget(key):
            delta.context.add(dot)
        return delta

    def forget(self, key: K) -> frozenset[Dot]:
        """Drop a key's entries, returning their dots, which stay in the context."""
        dots = self._dots.get(key, frozenset())
        for dot in dots:
            self._drop(dot)
        return dots

    def replace(self, key: K, entries: Mapping[Dot, V]) -> set[K]:
        """Let exactly these be the entries of a key, whatever was there; their dots are heard of. It is no merge.

        Returns the other keys that lost an entry, since its dot is one of these.
        """
        self.forget(key)
        robbed: set[K] = set()
        for dot, value in entries.items():
            if dot in self._live:
                robbed.add(self._live[dot][0])
                self._drop(dot)
            self._put(dot, key, value)
            self.context.add(dot)
        return robbed

    def _put(self, dot: Dot, key: K, value: V) -> None:
        self._live[dot] = (key, value)
        self._dots[key] = self._dots.get(key, frozenset()) | {dot}

    def _drop(self, dot: Dot) -> None:
        key, _ = self._live.pop(dot)
        if rest := self._dots[key] - {dot}:
            self._dots[key] = rest
        else:
            del self._dots[key]

    def merge_in(self, other: Self) -> set[K]:
        """Merge another map, or a delta, into this one; returns the keys whose entries changed."""
        changed: set[K] = set()
        for dot in self._gone_in(other):
            changed.add(self._live[dot][0])
            self._drop(dot)
        for dot, (key, theirs) in list(other._live.items()):
            if held := self._live.get(dot):
                my_key, mine = held
                if my_key != key:
                    if _before(key, my_key):
                        self._drop(dot)
                        self._put(dot, key, theirs)
                        changed |= {my_key, key}
                elif theirs is not mine and not theirs.leq(mine):
                    self._live[dot] = (key, mine.merge(theirs))
                    changed.add(key)
            elif dot not in self.context:
                self._put(dot, key, theirs)
                changed.add(key)
        self.context.merge_in(other.context)
        return changed

    def _gone_in(self, other: Self) -> list[Dot]:
        # A delta's context holds few dots: look those up. A whole state's holds many: look through ours instead.
        if len(other.context) < len(self._live):
            return [dot for dot in other.context if dot in self._live and dot not in other._live]
        return [dot for dot in self._live if dot in other.context and dot not in other._live]

    def copy(self) -> Self:
        """An equal map that changes on its own; values are shared."""
        twin = type(self)()
        twin._live = dict(self._live)
        twin._dots = dict(self._dots)
        twin.context = self.context.copy()
        return twin

    def merge(self, other: Self) -> Self:
        """The map that has heard all that both have heard."""
        merged = self.copy()
        merged.merge_in(other)
        return merged

    def leq(self, other: Self) -> bool:
        """Whether `other` has heard of every write and removal this has."""
        if not self.context.leq(other.context):
            return False
        for dot, (key, theirs) in other._live.items():
            held = self._live.get(dot)
            if held is None:
                if dot in self.context:  # it saw that entry go, the other did not
                    return False
            elif held[0] != key:
                if not _before(key, held[0]):
                    return False
            elif not held[1].leq(theirs):
                return False
        return True

    def to_plain(
        self, key_to_plain: Callable[[K], object], value_to_plain: Callable[[V], object]
    ) -> dict[str, object]:
        """`{"context": ..., "entries": [[key, [[replica's place in the context, count, value], ...]], ...]}`.

        In the order of the keys' encodings.
        """
        place = {replica: index for index, replica in enumerate(self.context.replicas)}
        return {
            "context": self.context.to_plain(),
            "entries": [
                [
                    key_to_plain(key),
                    [
                        [place[dot.replica], dot.nth, value_to_plain(self._live[dot][1])]
                        for dot in sorted(dots)
                    ],
                ]
                for key, dots in sorted(self._dots.items(), key=lambda item: encode(key_to_plain(item[0])))
            ],
        }

    @classmethod
    def from_plain(
        cls, plain: object, keys_max: int, read_key: Callable[[object], K], read_value: Callable[[object], V]
    ) -> Self:
        """The map so written; raises RemoteError if it is none."""
        parts = read_parts(plain, ("context", "entries"), "a map")
        read = cls()
        read.context = CausalContext.from_plain(parts["context"])
        replicas = [Replica(node, number) for node, number, _, _ in parts["context"]]
        for row in read_list(parts["entries"], keys_max, "a map's entries"):
            plain_key, plain_entries = read_row(row, 2, "a map's key and entries")
            key = read_key(plain_key)
            if key in read:
                raise malformed("a map names a key twice")
            entries = read_list(plain_entries, ENTRIES_PER_KEY_MAX, "the entries of a key")
            if not entries:
                raise malformed("a map names a key without entries")
            for entry in entries:
                place, count, value = read_row(entry, 3, "an entry")
                replica = replicas[read_int(place, 0, len(replicas) - 1, "a replica's place")]
                dot = Dot(replica, read_int(count, 1, COUNT_MAX, "a dot's count"))
                if dot in read._live:
                    raise malformed("a map names a dot twice")
                if dot not in read.context:
                    raise malformed("an entry's dot is not in the context")
                read._put(dot, key, read_value(value))
        return read


def _before(key: object, other: object) -> bool:
    """Whether, of two keys under one dot, this is the one that stands."""
    return encode(key) < encode(other)
