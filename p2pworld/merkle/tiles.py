"""A log as a folder of files that never change: C2SP tlog-tiles.

A tile holds up to 256 neighbouring hashes of one level, every eighth level of the tree; a tile of level L + 1 is made
of the roots of full tiles of level L. The entries themselves lie in bundles of 256. What is full is final; the
rightmost of each level is partial and lies beside its later, wider self. Any web server can serve that, and any hash of
the tree is found in one tile.

`Tile` names a file. `Edge` is what the writer, and whoever follows a log, keeps of it: the partial tiles, at most 8 kB
a level. It takes entries and answers with the files that they change. `TileHashes` reads the hashes of proofs from
tiles that somebody fetched; that they are the log's is shown by the proof made of them, not by the tiles themselves.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import LOG_ENTRY_BYTES_MAX, LOG_SIZE_MAX
from p2pworld.merkle.tree import (
    HASH_BYTES,
    CompactRange,
    Subtree,
    fold,
    leaf_hashes,
    node_hash,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "ENTRIES",
    "TILE_WIDTH",
    "Edge",
    "Tile",
    "TileHashes",
    "Tiles",
    "Written",
    "decode_bundle",
    "encode_bundle",
    "new_tiles",
    "split_tile",
    "tile_of",
]

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
ENTRIES: Final = -1  # the level of the bundles
LEVEL_MAX: Final = 63

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_LENGTH_BYTES: Final = 2


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """The name of one file: hashes, or at level `ENTRIES` entries, number `index * 256` and on of their level.

    Raises:
        LocalError: there is no such tile.
    """

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        fits = ENTRIES <= self.level <= LEVEL_MAX and 1 <= self.width <= TILE_WIDTH
        if not fits or not 0 <= self.index <= LOG_SIZE_MAX >> TILE_HEIGHT:
            raise LocalError(f"no tile has level {self.level}, index {self.index}, width {self.width}")

    @property
    def path(self) -> str:
        """Where it lies below the log's address, such as `tile/0/x001/x234/067.p/5`."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return f"tile/{level}/{name}" + ("" if self.full else f".p/{self.width}")

    @classmethod
    def parse(cls, path: str) -> Tile:
        """The tile that lies at `path`.

        Raises:
            RemoteError: none does, or it has a shorter name (`tile-path`).
        """
        match = _PATH.fullmatch(path)
        if match:
            level, name, width = match.groups()
            with suppress(LocalError):
                tile = cls(
                    ENTRIES if level == "entries" else int(level),
                    int(name.replace("x", "").replace("/", "")),
                    int(width or TILE_WIDTH),
                )
                if tile.path == path:
                    return tile
        raise RemoteError("tile-path", "no tile has that path")

    @property
    def full(self) -> bool:
        """Whether nothing will be added to it."""
        return self.width == TILE_WIDTH

    @property
    def widest(self) -> Tile:
        """The full tile that this one is, or becomes."""
        return self if self.full else Tile(self.level, self.index)


class Tiles(Protocol):
    """Tiles that were fetched: a dictionary, or something that reads them when they are asked for."""

    def get(self, tile: Tile, /) -> bytes | None:
        """The content of the file, or None if it is not there."""


def _width_at(level: int, size: int) -> int:
    """How many hashes (or entries) there are at a level of tiles in a log of `size`."""
    return size >> TILE_HEIGHT * max(level, 0)


def tile_of(subtree: Subtree, size: int) -> Tile:
    """The tile that holds this hash, or the hashes that it is made of, in a log of `size`.

    Raises:
        LocalError: the subtree is not in that log.
    """
    level, index = _place(subtree, size)
    return Tile(level, index, min(TILE_WIDTH, _width_at(level, size) - (index << TILE_HEIGHT)))


def _place(subtree: Subtree, size: int) -> tuple[int, int]:
    """Level and index of the tile that holds this hash, or those that it is made of."""
    if (subtree.number + 1) << subtree.level > size:
        raise LocalError(f"a log of {size} has no {subtree}")
    level, inner = divmod(subtree.level, TILE_HEIGHT)
    return level, subtree.number >> TILE_HEIGHT - inner


def new_tiles(old: int, new: int) -> list[Tile]:
    """The tiles and bundles that a log of size `new` has and one of `old` lacks, lowest level first.

    Raises:
        LocalError: a log does not shrink.
    """
    if not 0 <= old <= new:
        raise LocalError(f"no log of {new} grew out of one of {old}")
    found = []
    for level in range(ENTRIES, LEVEL_MAX + 1):
        before, now = _width_at(level, old), _width_at(level, new)
        if now == 0:
            break
        if now > before:
            first, last = before >> TILE_HEIGHT, now >> TILE_HEIGHT
            found += [Tile(level, index) for index in range(first, last)]
            if now % TILE_WIDTH:
                found.append(Tile(level, last, now % TILE_WIDTH))
    return found


def split_tile(tile: Tile, data: bytes) -> list[bytes]:
    """The hashes of a tile.

    Raises:
        RemoteError: not as many bytes as it is wide (`tile-size`).
    """
    if len(data) != tile.width * HASH_BYTES:
        raise RemoteError("tile-size", f"{tile.path} has {len(data)} bytes, not {tile.width * HASH_BYTES}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _read(tiles: Tiles, tile: Tile) -> tuple[Tile, bytes]:
    """The tile with its content, or else the full one, which may be all that is left of it."""
    for there in (tile, tile.widest):
        data = tiles.get(there)
        if data is not None:
            return there, data
    raise RemoteError("tile-missing", f"{tile.path} is not there")


def _read_hashes(tiles: Tiles, tile: Tile) -> list[bytes]:
    return split_tile(*_read(tiles, tile))[: tile.width]


class TileHashes:
    """Reads hashes of a log of `size` from its tiles; the full tile serves where a partial one is gone.

    It remembers every tile that it has read, with the hashes over it, so that the proofs of a whole batch cost little
    more than one: it lives as long as what it is made for.
    """

    def __init__(self, size: int, tiles: Tiles) -> None:
        self._size = size
        self._tiles = tiles
        self._read: dict[tuple[int, int], list[list[bytes]]] = {}

    def __call__(self, subtree: Subtree) -> bytes:
        """The hash of this subtree.

        Raises:
            RemoteError: its tile is not there (`tile-missing`) or has another length (`tile-size`).
            LocalError: the log is too short to have it.
        """
        place = _place(subtree, self._size)
        levels = self._read.get(place)
        if levels is None:
            hashes = _read_hashes(self._tiles, tile_of(subtree, self._size))
            levels = self._read[place] = _levels_over(hashes)
        level = levels[subtree.level % TILE_HEIGHT]
        return level[subtree.number % (TILE_WIDTH >> subtree.level % TILE_HEIGHT)]


def _levels_over(hashes: list[bytes]) -> list[list[bytes]]:
    """These hashes, those of their pairs, and so on upwards; the odd one of a level has no parent yet."""
    levels = [hashes]
    while len(below := levels[-1]) > 1:
        levels.append([node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=False)])
    return levels


# ---- bundles


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The entries, each behind its length.

    Raises:
        LocalError: an entry is too long.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > LOG_ENTRY_BYTES_MAX:
            raise LocalError(f"an entry of {len(entry)} bytes, where {LOG_ENTRY_BYTES_MAX} are allowed")
        parts += (len(entry).to_bytes(_LENGTH_BYTES, "big"), entry)
    return b"".join(parts)


def decode_bundle(tile: Tile, data: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        RemoteError: it ends within an entry, or holds more or fewer than it is wide (`bundle-form`).
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
        if len(entries) > tile.width:
            break
    if at != len(data) or len(entries) != tile.width:
        raise RemoteError("bundle-form", f"{tile.path} is not made of {tile.width} whole entries")
    return entries


# ---- the growing right edge

_NOTHING: Final = CompactRange()


@dataclass(frozen=True, slots=True)
class Written:
    """One file that a publication writes."""

    tile: Tile
    data: bytes


@dataclass(frozen=True, slots=True)
class _Partial:
    """The rightmost tile of one level: its bytes, and the hashes over it."""

    data: bytes = b""
    inner: CompactRange = _NOTHING


@dataclass(frozen=True, slots=True)
class Edge:
    """A log of `size` by its rightmost partial tiles and bundle: all that is needed to append, and the root."""

    size: int = 0
    bundle: bytes = b""
    partials: tuple[_Partial, ...] = ()

    def root(self) -> bytes:
        """The root of the log's tree."""
        return fold([hashed for partial in reversed(self.partials) for hashed in partial.inner.hashes])

    def append(self, entries: Sequence[bytes]) -> tuple[Edge, tuple[Written, ...]]:
        """The edge after these entries, and every file that is new; full tiles come before partial ones of a level.

        Raises:
            LocalError: an entry, or the log, grows too long.
        """
        size = self.size + len(entries)
        if size > LOG_SIZE_MAX:
            raise LocalError(f"no log holds {size} entries")
        bundle, written = self._append_bundles(entries)
        hashes, level, partials = leaf_hashes(entries), 0, list(self.partials)
        while hashes:
            if level == len(partials):
                partials.append(_Partial())
            before = _width_at(level, self.size)
            partials[level], hashes, files = _append_hashes(level, before, partials[level], hashes)
            written += files
            level += 1
        return Edge(size, bundle, tuple(partials)), tuple(written)

    def _append_bundles(self, entries: Sequence[bytes]) -> tuple[bytes, list[Written]]:
        index, held = divmod(self.size, TILE_WIDTH)
        data, at, written = self.bundle, 0, []
        while at < len(entries):
            piece = entries[at : at + TILE_WIDTH - held]
            data += encode_bundle(piece)
            at, held = at + len(piece), held + len(piece)
            written.append(Written(Tile(ENTRIES, index, held), data))
            if held == TILE_WIDTH:
                data, index, held = b"", index + 1, 0
        return data, written

    @staticmethod
    def needed(size: int) -> list[Tile]:
        """The tiles and the bundle that `restore` wants for a log of `size`."""
        tiles = []
        for level in range(ENTRIES, LEVEL_MAX + 1):
            index, width = divmod(_width_at(level, size), TILE_WIDTH)
            if width:
                tiles.append(Tile(level, index, width))
        return tiles

    @classmethod
    def restore(cls, size: int, tiles: Tiles) -> Edge:
        """The edge of a log of `size` from its tiles; whether they are the log's, its root tells.

        Raises:
            RemoteError: a tile is not there (`tile-missing`), is of another length (`tile-size`, `bundle-form`),
                or the bundle does not match the tile over it (`bundle-hash`).
        """
        entries: list[bytes] = []
        partials = [_Partial()] * _height(size)
        for tile in cls.needed(size):
            if tile.level == ENTRIES:
                entries = decode_bundle(*_read(tiles, tile))[: tile.width]
                continue
            hashes = _read_hashes(tiles, tile)
            if tile.level == 0 and hashes != leaf_hashes(entries):
                raise RemoteError("bundle-hash", f"{tile.path} is not of the entries in the bundle under it")
            partials[tile.level] = _Partial(b"".join(hashes), CompactRange.of(0, hashes))
        return cls(size, encode_bundle(entries), tuple(partials))


def _height(size: int) -> int:
    """How many levels of tiles a log of `size` has."""
    return -(-size.bit_length() // TILE_HEIGHT)


def _append_hashes(
    level: int, before: int, partial: _Partial, hashes: Sequence[bytes]
) -> tuple[_Partial, list[bytes], list[Written]]:
    """One level's new partial tile, the hashes that the level above gets, and the files of this level."""
    index, held = divmod(before, TILE_WIDTH)
    data, inner = partial.data, partial.inner
    upward, written, at = [], [], 0
    while at < len(hashes):
        piece = hashes[at : at + TILE_WIDTH - held]
        data, inner = data + b"".join(piece), inner.extend(piece)
        at, held = at + len(piece), held + len(piece)
        written.append(Written(Tile(level, index, held), data))
        if held == TILE_WIDTH:
            upward.append(inner.root())
            data, inner, index, held = b"", _NOTHING, index + 1, 0
    return _Partial(data, inner), upward, written
