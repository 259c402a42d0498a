"""A last-writer-wins register: one value, and the stamp of the write that won.

The larger stamp wins. Two values under one stamp, which only a faulty replica makes, are ordered by their encodings,
so that even then all replicas agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from .clock import Stamp
from .plain import Value, encode, read_row, read_value, value_to_plain

__all__ = ["Register"]


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """A value as of a stamp."""

    stamp: Stamp
    value: Value

    def _order(self) -> tuple[Stamp, bytes]:
        # By encoding and not by value: 1, 1.0 and True are equal to Python, and bytes and text do not compare.
        return self.stamp, encode(self.value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Register):
            return NotImplemented
        return self is other or self._order() == other._order()

    def __hash__(self) -> int:
        return hash(self._order())

    def merge(self, other: Register) -> Register:
        """The later of the two."""
        if self is other:
            return self
        if self.stamp != other.stamp:
            return self if self.stamp > other.stamp else other
        return max(self, other, key=Register._order)

    def leq(self, other: Register) -> bool:
        """Whether `other` is the same write or a later one."""
        return self._order() <= other._order()

    def to_plain(self) -> list[object]:
        """`[stamp, value]`."""
        return [self.stamp.to_plain(), value_to_plain(self.value)]

    @classmethod
    def from_plain(cls, plain: object) -> Register:
        """The register so written; raises RemoteError if it is none."""
        stamp, value = read_row(plain, 2, "a register")
        return cls(Stamp.from_plain(stamp), read_value(value))
