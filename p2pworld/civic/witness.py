"""A witness (C2SP tlog-witness): signs a log's checkpoint once it has proof that it continues the last one it signed.

For each log it remembers one checkpoint. A new one comes with the size that the sender takes for the remembered one and
a consistency proof from there; what does not follow is answered with the status code of the specification. A witness
that forgets can be made to sign a fork, so what it remembers is stored before its signature leaves: the decision is
`Remember`, which holds the answer, and whoever carries it out stores first, and only if nothing else was stored since.

Two checkpoints of one size that a log signed with different roots prove a fork; the answer then carries both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.civic.fork import Fork
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import WITNESS_BODY_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint, parse_count
from p2pworld.merkle.note import (
    COSIGNATURE,
    Note,
    NoteSigner,
    Verified,
    VerifierKey,
    parse_note,
    parse_signature_lines,
    verify_note,
)
from p2pworld.merkle.proof import check_consistency
from p2pworld.merkle.receipt import hash_lines, parse_hash_lines
from p2pworld.merkle.tree import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

__all__ = [
    "AddCheckpoint",
    "Answer",
    "Remember",
    "Seen",
    "Witness",
    "checkpoint_path",
    "parse_add_checkpoint",
    "read_cosignatures",
]

_OLD: Final = "old "
_TEXT: Final = "text/plain; charset=utf-8"
_SIZE: Final = "text/x.tlog.size"


def checkpoint_path(origin: str) -> str:
    """Where a witness shows what it signed last of this log."""
    return f"/checkpoint/{hashlib.sha256(origin.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The request: a checkpoint, the size that the witness is thought to know, and the proof from there."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: Note

    def to_bytes(self) -> bytes:
        """The body of the request."""
        return f"{_OLD}{self.old}\n{hash_lines(self.proof)}\n".encode() + self.checkpoint.to_bytes()


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """The request in this body, nothing of it verified.

    Raises:
        RemoteError: too long (`witness-size`), not of that form (`witness-form`), or what is wrong with the proof in it
            (`parse_hash_lines`) or the checkpoint (`parse_note`).
    """
    if len(body) > WITNESS_BODY_BYTES_MAX:
        raise RemoteError("witness-size", f"{len(body)} bytes, where {WITNESS_BODY_BYTES_MAX} are allowed")
    head, gap, rest = body.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    old = parse_count(first.removeprefix(_OLD)) if first.startswith(_OLD) else None
    if old is None or not gap:
        raise RemoteError(
            "witness-form", "a request is the line old with a size, a proof, an empty line and a note"
        )
    return AddCheckpoint(old, parse_hash_lines(lines), parse_note(rest))


def read_cosignatures(
    body: bytes, checkpoint: Note, witness_keys: Collection[VerifierKey]
) -> tuple[Verified, ...]:
    """The cosignatures of known witnesses under `checkpoint` in the body of a witness's answer; others are ignored.

    Raises:
        RemoteError: not signature lines (`parse_note`'s reasons), a false one (`note-signature`), none of a known
            witness (`note-unsigned`).
    """
    return verify_note(Note(checkpoint.text, parse_signature_lines(body)), witness_keys)


@dataclass(frozen=True, slots=True)
class Seen:
    """The last checkpoint of a log that the witness signed: its size and root, and the note itself."""

    size: int
    root: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness says over HTTP; `reason` is for the counters, `fork` for the alarm."""

    status: int
    body: bytes = b""
    content_type: str = _TEXT
    reason: str = ""
    fork: Fork | None = None


@dataclass(frozen=True, slots=True)
class Remember:
    """Store `seen` for `origin` if `before` is still what is stored there, durably; then, and only then, answer.

    If something else was stored meanwhile, decide anew.
    """

    origin: str
    before: Seen | None
    seen: Seen
    answer: Answer


class Witness:
    """Decides about checkpoints of the logs it knows (origin: keys), signing with each of `signers`.

    Raises:
        LocalError: a signer of anything but cosignatures, or none.
    """

    def __init__(self, signers: Sequence[NoteSigner], logs: Mapping[str, Collection[VerifierKey]]) -> None:
        if not signers or any(signer.key.algorithm != COSIGNATURE for signer in signers):
            raise LocalError("a witness signs with keys for cosignatures (algorithm 4)")
        self._signers = tuple(signers)
        self._logs = dict(logs)

    def add_checkpoint(
        self, body: bytes, latest: Callable[[str], Seen | None], now_s: int
    ) -> Answer | Remember:
        """What to do with the request in `body`, at `now_s` (Unix seconds); `latest` reads what is stored for a log."""
        try:
            request = parse_add_checkpoint(body)
            origin = Checkpoint.parse(request.checkpoint.text).origin
        except RemoteError as error:
            return _refused(400, error)
        keys = self._logs.get(origin)
        if keys is None:
            return _refused(404, RemoteError("witness-origin", "this witness does not know that log"))
        try:
            checkpoint = open_checkpoint(request.checkpoint, origin, keys).checkpoint
        except RemoteError as error:
            return _refused(403, error)
        if request.old > checkpoint.size:
            return _refused(400, RemoteError("witness-old", "the old size is larger than the checkpoint's"))

        before = latest(origin)
        size, root = (before.size, before.root) if before else (0, EMPTY_ROOT)
        note = request.checkpoint.to_bytes()
        if before and checkpoint.size == size and checkpoint.root != root:
            return _conflict(size, "witness-fork", Fork(before.note, note))
        if request.old != size:
            return _conflict(size, "witness-stale")
        try:
            check_consistency(size, root, checkpoint.size, checkpoint.root, request.proof)
        except RemoteError as error:
            return _refused(422, error)
        lines = "".join(signer.sign(request.checkpoint.text, now_s).line for signer in self._signers)
        seen = Seen(checkpoint.size, checkpoint.root, note)
        return Remember(origin, before, seen, Answer(200, lines.encode()))


def _refused(status: int, error: RemoteError) -> Answer:
    return Answer(status, f"{error}\n".encode(), reason=error.reason)


def _conflict(size: int, reason: str, fork: Fork | None = None) -> Answer:
    return Answer(409, b"%d\n" % size, _SIZE, reason, fork)
