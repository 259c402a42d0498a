"""An add-wins set: an element is in if some addition of it was seen by no removal.

It is the observed-remove map whose values say nothing but "here", so removed elements leave no tombstone. Both
mutators change the set in place and return the delta for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from .ormap import ORMap
from .plain import VALUE_BYTES_MAX, malformed, read_bytes, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .clock import CausalContext, Replica

__all__ = ["ELEMENTS_MAX", "ORSet"]

ELEMENTS_MAX: Final = 65_536

E = TypeVar("E", bound=str | bytes)


class _Here:
    """The lattice of one state."""

    __slots__ = ()

    def merge(self, other: _Here) -> _Here:
        return self

    def leq(self, other: _Here) -> bool:
        return True


_HERE: Final = _Here()


class ORSet(Generic[E]):
    """A set of texts or byte strings that many add to and remove from."""

    __slots__ = ("_map",)

    def __init__(self) -> None:
        self._map: ORMap[E, _Here] = ORMap()

    @classmethod
    def _of(cls, entries: ORMap[E, _Here]) -> Self:
        made = cls()
        made._map = entries
        return made

    def __contains__(self, element: E) -> bool:
        return element in self._map

    def __iter__(self) -> Iterator[E]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def __eq__(self, other: object) -> bool:
        return self._map == other._map if isinstance(other, ORSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @property
    def context(self) -> CausalContext:
        """All additions it has heard of, whether they still hold or not."""
        return self._map.context

    def add(self, replica: Replica, element: E) -> Self:
        """Put an element in; returns the delta. Also if it is in: the new addition outlives removals under way."""
        return self._of(self._map.rewrite(replica, element, [_HERE], self._map.entries(element)))

    def remove(self, element: E) -> Self:
        """Take an element out as far as its additions are known here; returns the delta."""
        return self._of(self._map.remove(element))

    def merge_in(self, other: Self) -> set[E]:
        """Merge another set, or a delta, into this one; returns the elements it changed anything about."""
        return self._map.merge_in(other._map)

    def copy(self) -> Self:
        """An equal set that changes on its own."""
        return self._of(self._map.copy())

    def merge(self, other: Self) -> Self:
        """The set that has heard all that both have heard."""
        return self._of(self._map.merge(other._map))

    def leq(self, other: Self) -> bool:
        """Whether `other` has heard of every addition and removal this has."""
        return self._map.leq(other._map)

    def to_plain(self) -> dict[str, object]:
        """The plain form of its map, with None for each value."""
        return self._map.to_plain(lambda element: element, lambda _: None)

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """The set so written; raises RemoteError if it is none."""
        return cls._of(ORMap.from_plain(plain, ELEMENTS_MAX, _read_element, _read_here))


def _read_element(plain: object) -> Any:
    if isinstance(plain, str):
        return read_text(plain, VALUE_BYTES_MAX, "an element")
    return read_bytes(plain, 0, VALUE_BYTES_MAX, "an element")


def _read_here(plain: object) -> _Here:
    if plain is not None:
        raise malformed("an entry of a set has a value")
    return _HERE
