"""Rows in a dictionary, for whatever decides on a store's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KeptInMemory"]


class KeptInMemory:
    """`read` counts how many rows were read."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.read = 0

    def get(self, name: str) -> bytes | None:
        """See `KeptRows.get`."""
        self.read += 1
        return self.rows.get(name)

    def under(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """See `KeptRows.under`."""
        for name in sorted(self.rows):
            if name.startswith(prefix):
                self.read += 1
                yield name, self.rows[name]

    def put(self, name: str, body: bytes) -> None:
        """See `KeptRows.put`."""
        self.rows[name] = body
