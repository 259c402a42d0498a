"""Checkpoints (C2SP tlog-checkpoint): a log's statement of its size and root, as a signed note.

A log that signs two checkpoints of which one is not the beginning of the other has broken its promise, and the two
notes prove it. Witnesses sign a checkpoint too, once they have seen that it continues the last one they signed; a
reader who wants k of them asks for a quorum.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CHECKPOINT_TEXT_BYTES_MAX, LOG_SIZE_MAX
from p2pworld.merkle.note import Note, Verified, VerifierKey, decode_base64, parse_note, verify_note
from p2pworld.merkle.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Checkpoint", "SignedCheckpoint", "open_checkpoint", "parse_count", "parse_hash"]

_COUNT = re.compile(r"0|[1-9][0-9]{0,15}")
_CONTROL = re.compile(r"[\x00-\x1f\ud800-\udfff]")  # and what no UTF-8 stands for


def parse_count(text: str) -> int | None:
    """The number of entries that is written so, in the one way there is, or None if it is no such number."""
    number = int(text) if _COUNT.fullmatch(text) else LOG_SIZE_MAX + 1
    return number if number <= LOG_SIZE_MAX else None


def parse_hash(text: str) -> bytes | None:
    """The 32 bytes that are written so in base64, or None."""
    data = decode_base64(text)
    return data if data is not None and len(data) == HASH_BYTES else None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log called `origin` has this many entries under this root; `extensions` are lines that mean nothing here.

    Raises:
        LocalError: what cannot be written as a checkpoint.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any(_CONTROL.search(line) for line in lines):
            raise LocalError("a checkpoint's lines are not empty and have no control characters")
        if not 0 <= self.size <= LOG_SIZE_MAX or len(self.root) != HASH_BYTES:
            raise LocalError(f"no checkpoint is of size {self.size} with a root of {len(self.root)} bytes")
        if len(self.text.encode()) > CHECKPOINT_TEXT_BYTES_MAX:
            raise LocalError(f"a checkpoint's text has at most {CHECKPOINT_TEXT_BYTES_MAX} bytes")

    @property
    def text(self) -> str:
        """The text that is signed."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint that a note's text is.

        Raises:
            RemoteError: too long, too few lines or an empty one (`checkpoint-form`), no size (`checkpoint-size`) or
                no root (`checkpoint-root`).
        """
        lines = text.split("\n")
        too_long = len(text.encode()) > CHECKPOINT_TEXT_BYTES_MAX
        if too_long or len(lines) < 4 or lines.pop() or not all(lines) or any(map(_CONTROL.search, lines)):
            raise RemoteError(
                "checkpoint-form", "a checkpoint is at least an origin, a size and a root, a line each"
            )
        size, root = parse_count(lines[1]), parse_hash(lines[2])
        if size is None:
            raise RemoteError(
                "checkpoint-size", f"a size is a number up to {LOG_SIZE_MAX} without leading zeros"
            )
        if root is None:
            raise RemoteError("checkpoint-root", "a root is 32 bytes in base64")
        return cls(lines[0], size, root, tuple(lines[3:]))


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint, the note it came in, and what was verified under it: the log's signatures, and witnesses'."""

    checkpoint: Checkpoint
    note: Note
    signed: tuple[Verified, ...]
    cosigned: tuple[Verified, ...]

    def require_quorum(self, quorum: int) -> None:
        """Returns if at least `quorum` different witnesses signed; one key under two names counts once.

        Raises:
            RemoteError: fewer did (`checkpoint-quorum`).
        """
        witnesses = len({verified.key.public for verified in self.cosigned})
        if witnesses < quorum:
            raise RemoteError("checkpoint-quorum", f"{witnesses} witnesses signed, {quorum} are asked for")


def open_checkpoint(
    note: Note | bytes,
    origin: str,
    log_keys: Collection[VerifierKey],
    witness_keys: Collection[VerifierKey] = (),
) -> SignedCheckpoint:
    """The checkpoint of the log `origin`, signed by at least one of its keys, no known key's signature being false.

    Raises:
        RemoteError: as for `parse_note`, `verify_note` and `Checkpoint.parse`; of another log (`checkpoint-origin`);
            or signed by witnesses alone (`note-unsigned`).
    """
    if isinstance(note, bytes):
        note = parse_note(note)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != origin:
        raise RemoteError("checkpoint-origin", "this is the checkpoint of another log")
    verified = verify_note(note, (*log_keys, *witness_keys))
    signed = tuple(one for one in verified if one.key in log_keys)
    if not signed:
        raise RemoteError("note-unsigned", "the log itself has not signed this checkpoint")
    cosigned = tuple(one for one in verified if one.key in witness_keys)
    return SignedCheckpoint(checkpoint, note, signed, cosigned)
