"""Reads a log's folder once, from its first entry to its last, and says where it is not what was signed.

Every leaf is hashed anew from the bundles, every tile above is made anew and compared with the file, byte by byte, and
the root at the end with the signed one. Where an entry and the tile over it differ, one of them was changed: the hash
one level higher tells which, and the root proves that verdict, because it comes out right only if everything that was
kept is right. A partial tile beside its wider self must be its beginning.

What is held is one bundle (more where leaves are checked meanwhile: `VERIFY_AHEAD_BYTES`), one open tile a level and a
compact range, whatever the size of the log. Nothing is trusted
but the root that the caller gives.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from client.verify_leaves import BadLeaf
from p2pworld.errors import RemoteError
from p2pworld.limits import LOG_ENTRY_BYTES_MAX, VERIFY_AHEAD_BYTES, VERIFY_FAULTS_MAX, VERIFY_MENTIONS_MAX
from p2pworld.merkle.tiles import ENTRIES, TILE_WIDTH, Tile
from p2pworld.merkle.tree import EMPTY_ROOT, HASH_BYTES, CompactRange, leaf_hashes, perfect_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["CheckLeaves", "Fault", "LogFound", "Wanted", "read_log"]

_LENGTH_BYTES: Final = 2
_BUNDLE_BYTES_MAX: Final = TILE_WIDTH * (_LENGTH_BYTES + LOG_ENTRY_BYTES_MAX)

# begins to check the entries of a bundle as leaves; what it gives waits for what was found
CheckLeaves = Callable[[list[bytes]], Callable[[], list[BadLeaf]]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong: a code, a sentence, and where: a file, the first entry it is about, the first byte.

    An entry that was changed is known to begin at `offset`; which byte of it was changed no hash tells.
    """

    reason: str
    sentence: str
    file: str = ""
    entry: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller wants to learn of the log while it is read, and who is told how far the reading is.

    The first `VERIFY_MENTIONS_MAX` entries that hold the bytes `mention` are wanted too.
    """

    roots_at: Collection[int] = ()
    entries: Collection[int] = ()
    mention: bytes = b""
    check_leaves: CheckLeaves | None = None
    on_entries: Callable[[int], None] = lambda count: None


@dataclass(slots=True)
class LogFound:
    """What the folder holds. If there is no fault, everything in it up to the signed size is what was signed.

    `faults` are the first ones, `faults_in_all` counts them; `beyond` counts files that are not of the signed size yet,
    `strangers` those that are no part of a log.
    """

    faults: list[Fault] = field(default_factory=list)
    faults_in_all: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)
    entries: dict[int, bytes] = field(default_factory=dict)
    mentions: dict[int, bytes] = field(default_factory=dict)
    bytes_read: int = 0
    beyond: int = 0
    strangers: int = 0

    def blame(self, fault: Fault) -> None:
        """Notes a fault, or counts it if there are many."""
        self.faults_in_all += 1
        if len(self.faults) < VERIFY_FAULTS_MAX:
            self.faults.append(fault)


def read_log(folder: Path, size: int, root: bytes, wanted: Wanted) -> LogFound:
    """What `folder` holds of the log whose signed size and root these are.

    Raises:
        OSError: a file is there and cannot be read.
    """
    reading = _Reading(folder, size, root, wanted)
    reading.run()
    return reading.found


@dataclass(frozen=True, slots=True)
class _File:
    """A file's path below the folder, and what is in it."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The entries of a bundle as far as they can be told apart; `ends[i]` is where entry i begins."""

    file: _File
    entries: list[bytes]
    ends: list[int]
    whole: bool

    @classmethod
    def split(cls, file: _File, width: int, *, exact: bool) -> _Bundle:
        """The first `width` entries; `exact`: nothing may follow them."""
        entries: list[bytes] = []
        ends, at = [0], 0
        while len(entries) < width:
            start = at + _LENGTH_BYTES
            end = start + int.from_bytes(file.data[at:start], "big")
            if start > len(file.data) or end > len(file.data):
                break
            entries.append(file.data[start:end])
            ends.append(end)
            at = end
        whole = len(entries) == width and (not exact or at == len(file.data))
        return cls(file, entries, ends, whole)


@dataclass(frozen=True, slots=True)
class _Checking:
    """A bundle whose leaves, from number `begin` on, are being checked."""

    bundle: _Bundle
    begin: int
    found: Callable[[], list[BadLeaf]]


class _Reading:
    def __init__(self, folder: Path, size: int, root: bytes, wanted: Wanted) -> None:
        self.found = LogFound()
        self._folder = folder
        self._size = size
        self._root = root
        self._wanted = wanted
        self._sizes = sorted(at for at in set(wanted.roots_at) if 0 <= at <= size)
        self._tree = CompactRange()
        self._checking: deque[_Checking] = deque()
        self._ahead_bytes = 0  # of the bundles in it
        self._open: list[list[bytes]] = []  # hashes made for the open tile of level 1, 2, ...
        self._full: list[int] = []  # how many tiles of that level were full before it

    def run(self) -> None:
        if self._sizes and self._sizes[0] == 0:
            self.found.roots[0] = EMPTY_ROOT
        for number in range(-(-self._size // TILE_WIDTH)):
            width = min(TILE_WIDTH, self._size - number * TILE_WIDTH)
            if not self._take_bundle(number, width):
                self._hear_checks(0)
                return  # neither entries nor their hashes: nothing after them can be judged
            self._hear_checks(VERIFY_AHEAD_BYTES)
            self._wanted.on_entries(width)
        self._hear_checks(0)
        for above, hashes in enumerate(self._open):
            if hashes:
                self._check_tile(Tile(above + 1, self._full[above], len(hashes)), hashes)
        if self._tree.root() != self._root:
            sentence = f"what is in the folder has another root than the one signed for {self._size} entries"
            self.found.blame(Fault("log-root", sentence))
        self._look_around()

    # ---- one bundle and the tile over it

    def _take_bundle(self, number: int, width: int) -> bool:
        begin = number * TILE_WIDTH
        tile, bundle_tile = Tile(0, number, width), Tile(ENTRIES, number, width)
        bundle = self._read_bundle(bundle_tile)
        file = self._read_tile(tile)
        made = leaf_hashes(bundle.entries) if bundle else []
        stored = _hashes(file.data, width) if file else made
        if bundle is None or not bundle.whole:
            if bundle:
                self._blame_entries(bundle, begin, made, stored, "bundle-form")
            if file is None:
                return False
            leaves = stored
        elif made == stored:
            leaves = made
        else:
            assert file is not None
            leaves = self._judge(number, made, stored)
            if leaves is made:
                self._blame_tile(file, tile, b"".join(made))
            else:
                self._blame_entries(bundle, begin, made, stored, "entry-hash")
        if bundle and bundle.whole and leaves is made:
            ends = bundle.ends
            self._check_others(bundle_tile, bundle.file, lambda count: bundle.file.data[: ends[count]])
            self._look_at_entries(bundle, begin)
        self._check_others(tile, file, lambda count: b"".join(leaves[:count]))
        self._grow(begin, leaves)
        return True

    def _judge(self, number: int, made: list[bytes], stored: list[bytes]) -> list[bytes]:
        """Whichever of the two the hash above speaks for; at the right edge, the signed root."""
        if len(made) < TILE_WIDTH:
            by_tile = self._tree.merge(CompactRange.of(number * TILE_WIDTH, stored)).root()
            return stored if by_tile == self._root else made
        above = Tile(1, number // TILE_WIDTH, min(TILE_WIDTH, self._size // TILE_WIDTH - number // 256 * 256))
        file = self._find(above, HASH_BYTES * TILE_WIDTH)
        at = number % TILE_WIDTH * HASH_BYTES
        parent = file.data[at : at + HASH_BYTES] if file else b""
        return stored if parent == perfect_root(stored) else made

    def _look_at_entries(self, bundle: _Bundle, begin: int) -> None:
        for index in self._wanted.entries:
            if begin <= index < begin + len(bundle.entries):
                self.found.entries[index] = bundle.entries[index - begin]
        if self._wanted.mention and self._wanted.mention in bundle.file.data:
            for index, entry in enumerate(bundle.entries, begin):
                if self._wanted.mention in entry and len(self.found.mentions) < VERIFY_MENTIONS_MAX:
                    self.found.mentions[index] = entry
        if self._wanted.check_leaves is not None:
            found = self._wanted.check_leaves(bundle.entries)
            self._checking.append(_Checking(bundle, begin, found))
            self._ahead_bytes += len(bundle.file.data)

    def _hear_checks(self, ahead_bytes_max: int) -> None:
        """Waits for what was found of leaves, in their order, until no more than so much is still being checked."""
        while self._ahead_bytes > ahead_bytes_max:
            checking = self._checking.popleft()
            self._ahead_bytes -= len(checking.bundle.file.data)
            for place, reason, sentence in checking.found():
                where = checking.bundle.file.path, checking.begin + place, checking.bundle.ends[place]
                self.found.blame(Fault(reason, f"this entry is no good leaf: {sentence}", *where))

    def _grow(self, begin: int, leaves: list[bytes]) -> None:
        while self._sizes and self._sizes[0] <= begin + len(leaves):
            at = self._sizes.pop(0)
            if at > begin:
                piece = CompactRange.of(begin, leaves[: at - begin])
                self.found.roots[at] = self._tree.merge(piece).root()
        piece = CompactRange.of(begin, leaves)
        self._tree = self._tree.merge(piece)
        if len(leaves) == TILE_WIDTH:
            self._push(0, piece.hashes[0])

    def _push(self, above: int, hashed: bytes) -> None:
        if above == len(self._open):
            self._open.append([])
            self._full.append(0)
        hashes = self._open[above]
        hashes.append(hashed)
        if len(hashes) == TILE_WIDTH:
            self._check_tile(Tile(above + 1, self._full[above]), hashes)
            self._push(above + 1, perfect_root(hashes))
            self._open[above] = []
            self._full[above] += 1

    # ---- tiles

    def _check_tile(self, tile: Tile, hashes: list[bytes]) -> None:
        file = self._read_tile(tile)
        expected = b"".join(hashes)
        if file and file.data[: len(expected)] != expected:
            self._blame_tile(file, tile, expected)
        self._check_others(tile, file, lambda count: expected[: count * HASH_BYTES])

    def _blame_tile(self, file: _File, tile: Tile, expected: bytes) -> None:
        at = _first_difference(file.data, expected)
        entry = (tile.index * TILE_WIDTH + at // HASH_BYTES) << 8 * max(tile.level, 0)
        what = "this tile does not hold the hash of what is under it"
        self.found.blame(Fault("tile-hash", what, file.path, entry, at))

    def _blame_entries(
        self, bundle: _Bundle, begin: int, made: list[bytes], stored: list[bytes], reason: str
    ) -> None:
        """Names the first entry that is not the one hashed in the tile, or where the entries end."""
        pairs = zip(made, stored, strict=False)
        place = next((at for at, (one, other) in enumerate(pairs) if one != other), len(made))
        place = min(place, len(bundle.ends) - 1)
        what = "this entry is not the one that was signed"
        if reason == "bundle-form":
            what = "the bundle is not made of whole entries from here on"
        self.found.blame(Fault(reason, what, bundle.file.path, begin + place, bundle.ends[place]))

    def _check_others(self, tile: Tile, read: _File | None, beginning: Callable[[int], bytes]) -> None:
        """The same tile's other files, narrower or wider, must begin alike."""
        for other in self._others(tile):
            if read and other.path == read.path:
                continue
            file = self._load(other.path, _BUNDLE_BYTES_MAX)
            if file is None:
                continue
            expected = beginning(min(other.width, tile.width))
            data = file.data if other.width <= tile.width else file.data[: len(expected)]
            if data != expected:
                at = _first_difference(data, expected)
                what = "this partial file is not the beginning of the whole one"
                first = tile.index * TILE_WIDTH << 8 * max(tile.level, 0)
                self.found.blame(Fault("tile-partial", what, other.path, first, at))

    def _others(self, tile: Tile) -> Iterator[Tile]:
        if not tile.full:
            yield tile.widest
        try:
            names = sorted(os.listdir(self._folder / f"{tile.widest.path}.p"))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if name.isascii() and name.isdigit() and 0 < int(name) < TILE_WIDTH:
                yield Tile(tile.level, tile.index, int(name))

    # ---- files

    def _read_bundle(self, tile: Tile) -> _Bundle | None:
        file = self._find(tile, _BUNDLE_BYTES_MAX)
        if file is None:
            self.found.blame(self._missing(tile))
            return None
        return _Bundle.split(file, tile.width, exact=file.path == tile.path)

    def _read_tile(self, tile: Tile) -> _File | None:
        """The file of this tile, as long as it must be, or None with the fault noted."""
        file = self._find(tile, HASH_BYTES * TILE_WIDTH)
        if file is None:
            self.found.blame(self._missing(tile))
            return None
        wanted = HASH_BYTES * (tile.width if file.path == tile.path else TILE_WIDTH)
        if len(file.data) != wanted:
            sentence = f"this tile has {len(file.data)} bytes, not {wanted}"
            first = tile.index * TILE_WIDTH << 8 * tile.level
            at = min(len(file.data), wanted)
            self.found.blame(Fault("tile-size", sentence, file.path, first, at))
            return None
        return file

    def _find(self, tile: Tile, bytes_max: int) -> _File | None:
        return self._load(tile.path, bytes_max) or self._load(tile.widest.path, bytes_max)

    def _load(self, path: str, bytes_max: int) -> _File | None:
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(bytes_max + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        self.found.bytes_read += len(data)
        return _File(path, data)

    def _missing(self, tile: Tile) -> Fault:
        first = tile.index * TILE_WIDTH << 8 * max(tile.level, 0)
        return Fault("tile-missing", "this file is not there", tile.path, first)

    def _look_around(self) -> None:
        """Counts what lies in the folder and is not of the signed size."""
        for where, _, names in os.walk(self._folder / "tile"):
            for name in names:
                path = os.path.relpath(os.path.join(where, name), self._folder).replace(os.sep, "/")
                try:
                    tile = Tile.parse(path)
                except RemoteError:
                    self.found.strangers += 1
                    continue
                if tile.index * TILE_WIDTH >= self._size >> 8 * max(tile.level, 0):
                    self.found.beyond += 1


def _hashes(data: bytes, width: int) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]


def _first_difference(one: bytes, other: bytes) -> int:
    """Where the two differ first; where the shorter one ends if it is the beginning of the other."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
