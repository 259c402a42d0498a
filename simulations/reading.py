"""States are read once: one process plays all machines, and what one of them wrote the others read again and again.

Of forty readings of a cell's state in a simulated city one is of a state that was not read before. What is read is
decoded by the real code, and each reader is given a copy to change.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from p2pworld.crdt import ObjectCell

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_once"]

_KEPT: Final = 1_024  # states, of some kilobytes each


@contextmanager
def read_once() -> Iterator[None]:
    """Meanwhile a state that was read lately is not decoded again."""
    decode = ObjectCell.from_bytes
    known: dict[bytes, ObjectCell] = {}

    def from_bytes(packed: bytes) -> ObjectCell:
        cell = known.get(packed)
        if cell is None:
            if len(known) == _KEPT:
                known.clear()
            cell = known[packed] = decode(packed)
            cell.digest()  # the copies know those of their objects, too
        return cell.copy()

    readers: Any = ObjectCell
    readers.from_bytes = from_bytes
    try:
        yield
    finally:
        readers.from_bytes = decode
