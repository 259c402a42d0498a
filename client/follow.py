"""Follows a log over HTTP into a folder: every entry is fetched once, and every hash made here.

A step fetches the newest checkpoint and the entries since the last one, appends them to what is known (`Edge`), and
takes the checkpoint only if the root comes out. So a log that signs another history than the one it showed before is
noticed at the next step, and the folder is a copy that `p2pworld verify` and any web server read. The checkpoint is
written last; a copy that was interrupted goes on from the checkpoint before.

What is refused is kept beside it (`refused.checkpoint`): with the folder it shows what the log did. Where two of its
checkpoints contradict each other, that comes out as a proof which needs no folder (`Fork`).
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from client.verify_log import Fault
from p2pworld.civic.fork import Fork, prove_fork
from p2pworld.civic.witness import checkpoint_path
from p2pworld.errors import RemoteError
from p2pworld.limits import LOG_ENTRY_BYTES_MAX, NOTE_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from p2pworld.merkle.note import parse_note
from p2pworld.merkle.tiles import ENTRIES, TILE_WIDTH, Edge, Tile, TileHashes, decode_bundle
from p2pworld.merkle.tree import HASH_BYTES
from shard_node.http_client import parse_web_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from client.policy import Policy

__all__ = ["FOLLOW_BUNDLES", "FolderTiles", "Follower", "Step", "fetch_bundle", "fetch_from"]

ASK_S: Final = 30.0
FOLLOW_BUNDLES: Final = 16  # appended at once: 4 096 entries
_BUNDLE_BYTES_MAX: Final = TILE_WIDTH * (2 + LOG_ENTRY_BYTES_MAX)
_CHECKPOINT: Final = "checkpoint"
_WITNESSED: Final = "checkpoint.witnessed"
_REFUSED: Final = "refused.checkpoint"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step found: the size before and after, what is wrong, and the proof where two notes are one."""

    before: int
    after: int
    fault: Fault | None = None
    fork: Fork | None = None


def fetch_from(url: str) -> Callable[[str, int], bytes | None]:
    """What fetches files below `url`. It raises OSError where nothing answers, RemoteError where too much does.

    Raises:
        LocalError: it is no address of the web.
    """
    parse_web_url(url)

    def fetch(path: str, bytes_max: int) -> bytes | None:
        try:
            with urllib.request.urlopen(f"{url.rstrip('/')}/{path}", timeout=ASK_S) as answer:
                data: bytes = answer.read(bytes_max + 1)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (403, 404, 410):
                return None
            raise
        except http.client.HTTPException as error:
            raise OSError(f"the answer broke off: {error!r}") from error
        if len(data) > bytes_max:
            raise RemoteError("follow-size", f"{path} is longer than {bytes_max} bytes")
        return data

    return fetch


def fetch_bundle(fetch: Callable[[str, int], bytes | None], number: int, size: int) -> list[bytes]:
    """The entries of bundle `number` in a log of `size`, from its partial file, or where that is gone the whole one.

    Raises:
        RemoteError: neither is there (`tile-missing`), or it is no bundle (`decode_bundle`'s reasons).
        OSError: nothing answers.
    """
    tile = Tile(ENTRIES, number, min(TILE_WIDTH, size - number * TILE_WIDTH))
    data = fetch(tile.path, _BUNDLE_BYTES_MAX)
    if data is not None:
        return decode_bundle(tile, data)
    whole = _must(fetch, tile.widest.path, _BUNDLE_BYTES_MAX)
    return decode_bundle(tile.widest, whole)[: tile.width]


def _must(fetch: Callable[[str, int], bytes | None], path: str, bytes_max: int) -> bytes:
    data = fetch(path, bytes_max)
    if data is None:
        raise RemoteError("tile-missing", f"{path} is not there")
    return data


class FolderTiles:
    """The tiles in a log's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, tile: Tile, /) -> bytes | None:
        """The content of a tile; see `Tiles`."""
        path = self._folder / tile.path
        return path.read_bytes() if path.is_file() else None


class _FetchedTiles:
    """The tiles that the log serves."""

    def __init__(self, fetch: Callable[[str, int], bytes | None]) -> None:
        self._fetch = fetch

    def get(self, tile: Tile, /) -> bytes | None:
        return self._fetch(tile.path, TILE_WIDTH * HASH_BYTES)


class Follower:
    """One log, one folder. Its methods block, on disk and network.

    Raises:
        RemoteError: the folder's own checkpoint is not to be believed, or its tiles are not those of its root.
    """

    def __init__(self, folder: Path, policy: Policy, fetch: Callable[[str, int], bytes | None]) -> None:
        self._folder = folder
        self._policy = policy
        self._fetch = fetch
        self._edge = Edge()
        self._last: SignedCheckpoint | None = None
        path = folder / _CHECKPOINT
        if path.exists():
            self._last = self._open(path.read_bytes())
            checkpoint = self._last.checkpoint
            self._edge = Edge.restore(checkpoint.size, FolderTiles(folder))
            if self._edge.root() != checkpoint.root:
                raise RemoteError("log-root", "the folder is not what its own checkpoint says: verify it")

    @property
    def size(self) -> int:
        """How many entries are in the folder."""
        return self._edge.size

    @property
    def origin(self) -> str:
        """What the log is called, or an empty text as long as nobody knows."""
        return self._last.checkpoint.origin if self._last else ""

    def step(self, on_entries: Callable[[int, int], None] = lambda done, size: None) -> Step:
        """Fetches what is new; `on_entries` is told how many entries are there, and of how many.

        Raises:
            OSError: the log cannot be reached, or the disk not written.
        """
        before = self.size
        data = b""
        witnessed: SignedCheckpoint | None = None
        try:
            data = _must(self._fetch, _CHECKPOINT, NOTE_BYTES_MAX)
            newest = self._open(data, quorum=False)
            size = newest.checkpoint.size
            fault, fork = self.compare(newest)
            if fault is None and size < before:
                fault = Fault("log-behind", f"the log shows {size} entries, and had {before}")
            elif fault is None:
                data, witnessed = self._witnessed(data, newest)
                fault, fork = self.compare(witnessed)
                if fault is None and witnessed.checkpoint.size > before:
                    self._grow(witnessed, on_entries)
        except RemoteError as error:
            fault, fork = Fault(error.reason, str(error)), None
            if error.reason == "log-root" and witnessed:
                fork = self._fork_in_its_tiles(witnessed)
        if fault and data:
            self._write(_REFUSED, data)
        return Step(before, self.size, fault, fork)

    def compare(self, opened: SignedCheckpoint) -> tuple[Fault | None, Fork | None]:
        """Why this checkpoint, from wherever, is not of the folder's history; nothing if it is longer than that."""
        checkpoint = opened.checkpoint
        if self._last is None or checkpoint.size > self.size:
            return None, None
        if checkpoint.origin != self.origin:
            return Fault("checkpoint-origin", "this is the checkpoint of another log"), None
        fork = prove_fork(opened.note, self._last.note, TileHashes(self.size, FolderTiles(self._folder)))
        if fork is None:
            return None, None
        return Fault("log-fork", f"the log signed another history for {checkpoint.size} entries"), fork

    def _fork_in_its_tiles(self, opened: SignedCheckpoint) -> Fork | None:
        """The proof, by the log's own tiles, that this checkpoint does not continue the folder's; if it has them."""
        if self._last is None:
            return None
        read = TileHashes(opened.checkpoint.size, _FetchedTiles(self._fetch))
        try:
            return prove_fork(self._last.note, opened.note, read)
        except (RemoteError, OSError):  # it does not serve what it signed: the fault is told, without a proof
            return None

    def compare_with_witness(self, ask: Callable[[str, int], bytes | None]) -> Step:
        """What a witness saw, against the folder.

        Raises:
            OSError: the witness cannot be reached.
        """
        fault: Fault | None = None
        fork: Fork | None = None
        try:
            data = ask(checkpoint_path(self.origin).removeprefix("/"), NOTE_BYTES_MAX)
            if data is not None:
                fault, fork = self.compare(self._open(data, quorum=False))
                if fault:
                    self._write(_REFUSED, data)
        except RemoteError as error:
            fault = Fault(error.reason, str(error))
        return Step(self.size, self.size, fault, fork)

    def _witnessed(self, data: bytes, newest: SignedCheckpoint) -> tuple[bytes, SignedCheckpoint]:
        """The newest checkpoint, or the one beside it, that enough witnesses have signed, and its bytes."""
        try:
            self._policy.require_quorum(newest)
        except RemoteError:
            beside = self._fetch(_WITNESSED, NOTE_BYTES_MAX)
            if beside is None:
                raise
            return beside, self._open(beside)
        return data, newest

    def _open(self, data: bytes, *, quorum: bool = True) -> SignedCheckpoint:
        note = parse_note(data)
        origin = Checkpoint.parse(note.text).origin
        keys = self._policy.logs.get(origin)
        if keys is None:
            raise RemoteError("checkpoint-origin", f"no key is given for the log {origin}")
        opened = open_checkpoint(note, origin, keys, self._policy.witnesses)
        if quorum:
            self._policy.require_quorum(opened)
        return opened

    def _grow(self, opened: SignedCheckpoint, on_entries: Callable[[int, int], None]) -> None:
        """Fetches, appends and writes; takes the checkpoint if its root comes out."""
        size, edge = opened.checkpoint.size, self._edge
        if self._last and opened.checkpoint.origin != self.origin:
            raise RemoteError("checkpoint-origin", "this is the checkpoint of another log")
        while edge.size < size:
            entries: list[bytes] = []
            for _ in range(FOLLOW_BUNDLES):
                at = edge.size + len(entries)
                if at < size:
                    entries += fetch_bundle(self._fetch, at // TILE_WIDTH, size)[at % TILE_WIDTH :]
            edge, files = edge.append(entries)
            for file in files:
                self._write(file.tile.path, file.data)
            on_entries(edge.size, size)
        if edge.root() != opened.checkpoint.root:
            raise RemoteError(
                "log-root",
                f"its entries, with those it showed before, do not make the root it signed for {size}: "
                "it serves others than it signed, or signed two histories",
            )
        self._write(_CHECKPOINT, opened.note.to_bytes())
        self._edge, self._last = edge, opened

    def _write(self, path: str, data: bytes) -> None:
        """The whole file or the one before, whenever the machine stops."""
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f"{target.name}.new")
        new.write_bytes(data)
        os.replace(new, target)
