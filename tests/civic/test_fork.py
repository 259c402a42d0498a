"""The proof of a fork: two checkpoints of any sizes, checked with nothing but themselves."""

from __future__ import annotations

import pytest

from p2pworld.civic.fork import Fork, check_fork, parse_fork, prove_fork
from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, parse_note
from p2pworld.merkle.tree import Subtree, leaf_hashes, perfect_root, root_of
from tests.merkle.reference import slow_root
from tests.merkle.signed import ENTRIES, LOG, ORIGIN, checkpoint, read

OTHER = leaf_hashes([b"forged", *ENTRIES[1:]])


def read_other(subtree: Subtree) -> bytes:
    begin = subtree.number << subtree.level
    return perfect_root(OTHER[begin : begin + (1 << subtree.level)])


def other(size: int) -> Note:
    text = Checkpoint(ORIGIN, size, root_of(OTHER[:size])).text
    return Note(text, (LOG.sign(text),))


def checked(fork: Fork) -> None:
    first, second = (Checkpoint.parse(parse_note(note).text) for note in (fork.first, fork.second))
    check_fork(first, second, fork.proof)


@pytest.mark.parametrize("new", [1, 2, 3, 8, 11, 16, 37])
def test_every_two_that_differ_prove_it_and_no_other_two_do(new: int) -> None:
    for old in range(1, new + 1):
        assert prove_fork(checkpoint(old), checkpoint(new), read) is None
        fork = prove_fork(other(old), checkpoint(new), read)
        assert fork is not None
        assert parse_fork(fork.to_bytes()) == fork
        checked(fork)
        if old < new:
            assert fork.proof[0] == slow_root(ENTRIES[:old])
            with pytest.raises(RemoteError, match="continues the first"):
                checked(Fork(checkpoint(old).to_bytes(), fork.second, fork.proof))
        for spoiled in (
            fork.proof[1:],
            fork.proof[:-1],
            (*fork.proof, bytes(32)),
            (bytes(32), *fork.proof[1:]),
        ):
            if fork.proof:
                with pytest.raises(RemoteError) as refused:
                    checked(Fork(fork.first, fork.second, spoiled))
                assert refused.value.reason == "fork-proof"


def test_what_is_no_proof() -> None:
    same = checkpoint(5).to_bytes()
    for fork in (Fork(same, same), Fork(same, other(6).to_bytes()), Fork(other(6).to_bytes(), same)):
        with pytest.raises(RemoteError) as refused:
            checked(fork)
        assert refused.value.reason == "fork-proof"
    with pytest.raises(
        RemoteError
    ) as refused:  # who has the hashes of another log than the one that was signed
        prove_fork(other(3), checkpoint(5), read_other)
    assert refused.value.reason == "proof-root"
