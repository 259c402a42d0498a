"""Proofs: the standard's hash for hash, verified by its own algorithm, and nothing else verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import LOG_SIZE_MAX, PROOF_HASHES_MAX
from p2pworld.merkle.proof import (
    InclusionProofs,
    check_consistency,
    check_inclusion,
    consistency_spans,
    inclusion_spans,
    prove,
)
from p2pworld.merkle.tree import EMPTY_ROOT, Subtree, leaf_hash, leaf_hashes, perfect_root, root_of, subtrees
from tests.merkle.reference import consistent, included, slow_path, slow_proof, slow_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE_MAX = 40
ENTRIES = [b"entry %d" % number for number in range(SIZE_MAX)]
LEAVES = leaf_hashes(ENTRIES)
ROOTS = [root_of(LEAVES[:size]) for size in range(SIZE_MAX + 1)]


def read(subtree: Subtree) -> bytes:
    begin = subtree.number << subtree.level
    return perfect_root(LEAVES[begin : begin + (1 << subtree.level)])


def reason(call: Callable[[], None]) -> str:
    with pytest.raises(RemoteError) as raised:
        call()
    return raised.value.reason


def spoiled(proof: tuple[bytes, ...]) -> Iterator[list[bytes]]:
    """The proof with every byte changed in turn, with a hash more or less anywhere, and with two hashes swapped."""
    for at, hashed in enumerate(proof):
        for byte in range(len(hashed)):
            changed = hashed[:byte] + bytes((hashed[byte] ^ 1,)) + hashed[byte + 1 :]
            yield [*proof[:at], changed, *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], hashed, *proof[at:]]
        yield [*proof[:at], hashed + b"\0", *proof[at + 1 :]]
        if at and proof[at - 1] != hashed:
            yield [*proof[: at - 1], hashed, proof[at - 1], *proof[at + 1 :]]
    yield [*proof, bytes(32)]


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_inclusion_is_the_standards(size: int) -> None:
    for index in range(size):
        proof = prove(inclusion_spans(index, size), read)
        assert list(proof) == slow_path(index, ENTRIES[:size])
        assert included(LEAVES[index], index, size, list(proof), ROOTS[size])
        check_inclusion(LEAVES[index], index, size, proof, ROOTS[size])


@pytest.mark.parametrize("size", range(SIZE_MAX + 1))
def test_proofs_made_together_are_those_made_one_by_one(size: int) -> None:
    proofs = InclusionProofs(size, read)
    for index in (*range(size), *reversed(range(size))):
        assert proofs.of(index) == prove(inclusion_spans(index, size), read)
    for index in (-1, size):
        with pytest.raises(LocalError):
            proofs.of(index)


@given(st.integers(1, LOG_SIZE_MAX), st.lists(st.integers(0, LOG_SIZE_MAX), max_size=4))
def test_so_are_those_of_large_trees(size: int, indices: list[int]) -> None:
    def named(subtree: Subtree) -> bytes:
        return leaf_hash(repr(subtree).encode())

    proofs = InclusionProofs(size, named)
    for index in (0, size - 1, *(index % size for index in indices)):
        assert proofs.of(index) == prove(inclusion_spans(index, size), named)


def test_neighbours_share_what_is_read() -> None:
    reads: list[Subtree] = []

    def counted(subtree: Subtree) -> bytes:
        reads.append(subtree)
        return read(Subtree(0, 0))

    size = 2**20 + 512
    proofs = InclusionProofs(size, counted)
    for index in range(2**20, size):
        proofs.of(index)
    assert len(reads) <= 2 * 512  # not 512 times 10
    assert len(set(reads)) == len(reads)


@pytest.mark.parametrize("new", range(SIZE_MAX + 1))
def test_consistency_is_the_standards(new: int) -> None:
    for old in range(new + 1):
        proof = prove(consistency_spans(old, new), read)
        assert list(proof) == (slow_proof(old, ENTRIES[:new]) if old else [])
        check_consistency(old, ROOTS[old], new, ROOTS[new], proof)
        if 0 < old < new:
            assert consistent(old, ROOTS[old], new, ROOTS[new], list(proof))


@given(st.integers(1, SIZE_MAX).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_a_spoiled_inclusion_proof_does_not_verify(where: tuple[int, int]) -> None:
    index, size = where
    proof = prove(inclusion_spans(index, size), read)
    for wrong in spoiled(proof):
        expected = "proof-root" if len(wrong) == len(proof) else "proof-length"
        assert reason(lambda w=wrong: check_inclusion(LEAVES[index], index, size, w, ROOTS[size])) == expected  # type: ignore[misc]


@given(st.integers(1, SIZE_MAX).flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))))
def test_a_spoiled_consistency_proof_does_not_verify(where: tuple[int, int]) -> None:
    old, new = where
    proof = prove(consistency_spans(old, new), read)
    for wrong in spoiled(proof):
        expected = "proof-root" if len(wrong) == len(proof) else "proof-length"
        assert reason(lambda w=wrong: check_consistency(old, ROOTS[old], new, ROOTS[new], w)) == expected  # type: ignore[misc]


@given(st.data())
def test_a_proof_is_for_one_leaf_place_and_tree(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE_MAX))
    index = data.draw(st.integers(0, size - 1))
    proof = prove(inclusion_spans(index, size), read)
    for other in range(size):
        if other != index:
            with pytest.raises(RemoteError):
                check_inclusion(LEAVES[other], index, size, proof, ROOTS[size])
            with pytest.raises(RemoteError):
                check_inclusion(LEAVES[index], other, size, proof, ROOTS[size])
    for other in range(SIZE_MAX + 1):
        if other != size:
            with pytest.raises(RemoteError):
                check_inclusion(LEAVES[index], index, size, proof, ROOTS[other])


@given(st.data())
def test_a_history_that_was_changed_is_not_consistent(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, SIZE_MAX))
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    forged = [*ENTRIES[:changed], b"forged", *ENTRIES[changed + 1 : new]]
    for proof in (slow_proof(old, forged), slow_proof(old, ENTRIES[:new])):
        with pytest.raises(RemoteError):
            check_consistency(old, ROOTS[old], new, slow_root(forged), proof)


def test_the_edges() -> None:
    one = leaf_hash(b"only")
    check_inclusion(one, 0, 1, [], one)
    check_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    check_consistency(0, EMPTY_ROOT, 1, one, [])
    check_consistency(1, one, 1, one, [])
    assert reason(lambda: check_consistency(0, one, 1, one, [])) == "proof-root"
    assert reason(lambda: check_consistency(0, EMPTY_ROOT, 0, one, [])) == "proof-root"
    assert reason(lambda: check_consistency(1, one, 1, EMPTY_ROOT, [])) == "proof-root"
    assert reason(lambda: check_consistency(2, one, 1, one, [])) == "proof-index"
    assert reason(lambda: check_consistency(-1, one, 1, one, [])) == "proof-index"
    assert reason(lambda: check_inclusion(one, 1, 1, [], one)) == "proof-index"
    assert reason(lambda: check_inclusion(one, -1, 1, [], one)) == "proof-index"
    assert reason(lambda: check_inclusion(one, 0, 0, [], EMPTY_ROOT)) == "proof-index"
    for index in (3, -1):
        with pytest.raises(LocalError):
            inclusion_spans(index, 3)
    for old in (4, -1):
        with pytest.raises(LocalError):
            consistency_spans(old, 3)


@given(st.integers(1, LOG_SIZE_MAX).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_a_proof_in_the_longest_log_is_short_and_cheap(where: tuple[int, int]) -> None:
    small, size = where
    for spans in (inclusion_spans(small, size), consistency_spans(small, size)):
        assert len(spans) <= PROOF_HASHES_MAX
        assert sum(1 for span in spans for _ in subtrees(*span)) <= 2 * size.bit_length()
    assert all(end <= size for _, end in inclusion_spans(small, size))
