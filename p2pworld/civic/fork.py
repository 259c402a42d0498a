"""The proof that a log signed two histories: two of its checkpoints, of which one is not the beginning of the other.

Of one size, two notes with different roots are enough. Of different sizes, the proof also names the root that the
longer history has at the shorter one's size, and leads from there to the longer one's root (RFC 6962's consistency
proof): so everybody who has the log's key can check it, and needs no entry of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import Checkpoint, parse_count
from p2pworld.merkle.proof import check_consistency, consistency_spans, prove
from p2pworld.merkle.receipt import hash_lines, parse_hash_lines
from p2pworld.merkle.tree import fold, subtrees

if TYPE_CHECKING:
    from p2pworld.merkle.note import Note
    from p2pworld.merkle.proof import ReadHash

__all__ = ["FORK_LINE", "Fork", "check_fork", "parse_fork", "prove_fork"]

FORK_LINE: Final = "p2pworld log fork v1"


@dataclass(frozen=True, slots=True)
class Fork:
    """Two notes of one log. `proof` is empty if they are of one size; else the root that the history of `second` has
    at the size of `first`, and the consistency proof from there."""

    first: bytes
    second: bytes
    proof: tuple[bytes, ...] = ()

    def to_bytes(self) -> bytes:
        """All of it as one file: what it is, the length of the first note, the proof, an empty line, the notes."""
        head = f"{FORK_LINE}\n{len(self.first)}\n{hash_lines(self.proof)}\n"
        return head.encode() + self.first + self.second


def parse_fork(data: bytes) -> Fork:
    """What is in such a file; whether it proves anything, the signatures and `check_fork` tell.

    Raises:
        RemoteError: it is no such file (`fork-form`), or what is wrong with its hashes (`parse_hash_lines`).
    """
    head, gap, rest = data.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    count = parse_count(lines[0]) if lines else None
    if first != FORK_LINE or not gap or count is None or not 0 < count < len(rest):
        raise RemoteError("fork-form", f"the proof of a fork begins with the line {FORK_LINE} and a length")
    return Fork(rest[:count], rest[count:], parse_hash_lines(lines[1:]))


def prove_fork(earlier: Note, later: Note, read: ReadHash) -> Fork | None:
    """The proof that the log of `later`, whose hashes `read` gives, does not begin with `earlier`; None if it does.

    `earlier` must not be the larger one.

    Raises:
        RemoteError: what `read` gives is not the log of `later` (`check_consistency`'s reasons, or its own).
    """
    first, second = Checkpoint.parse(earlier.text), Checkpoint.parse(later.text)
    if first.size == second.size:
        same = first.root == second.root
        return None if same else Fork(earlier.to_bytes(), later.to_bytes())
    root = fold([read(subtree) for subtree in subtrees(0, first.size)])
    proof = prove(consistency_spans(first.size, second.size), read)
    check_consistency(first.size, root, second.size, second.root, proof)
    return None if root == first.root else Fork(earlier.to_bytes(), later.to_bytes(), (root, *proof))


def check_fork(first: Checkpoint, second: Checkpoint, proof: tuple[bytes, ...]) -> None:
    """Returns if this proves that the history of `second` does not begin with `first`.

    Raises:
        RemoteError: it does not (`fork-proof`).
    """
    if first.size == second.size and not proof:
        if first.root == second.root:
            raise RemoteError("fork-proof", "these two checkpoints say the same")
        return
    try:
        if not proof:
            raise RemoteError("fork-proof", "two checkpoints of different sizes prove nothing by themselves")
        check_consistency(first.size, proof[0], second.size, second.root, proof[1:])
    except RemoteError as error:
        raise RemoteError(
            "fork-proof", f"the proof does not lead to the second checkpoint: {error}"
        ) from None
    if proof[0] == first.root:
        raise RemoteError("fork-proof", "the second checkpoint continues the first")
