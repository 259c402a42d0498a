"""The tree's hashes: published roots, the standard's own definition, and ranges in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.errors import LocalError
from p2pworld.merkle.tree import (
    EMPTY_ROOT,
    CompactRange,
    fold,
    leaf_hash,
    leaf_hashes,
    node_hash,
    perfect_root,
    root_of,
    subtrees,
)
from tests.merkle.reference import slow_root

# the eight leaves that implementations of Certificate Transparency are tested with, and the roots over the first n
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def test_the_empty_tree() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of([]) == CompactRange().root() == fold([]) == EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size: int) -> None:
    assert root_of(leaf_hashes(LEAVES[:size])).hex() == ROOTS[size - 1]


def test_a_leaf_is_never_a_node() -> None:
    left, right = leaf_hashes([b"l", b"r"])
    assert leaf_hash(left + right) != node_hash(left, right)
    assert leaf_hashes([b"l"]) == [leaf_hash(b"l")]


@given(st.integers(0, 300))
def test_the_root_is_the_standards(size: int) -> None:
    assert root_of(leaf_hashes(entries(size))) == slow_root(entries(size))


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_subtrees_tile_the_range_and_none_could_be_larger(begin: int, length: int) -> None:
    end, at = begin + length, begin
    found = list(subtrees(begin, end))
    for level, number in found:
        assert number << level == at
        at += 1 << level
        parent_begin = number >> 1 << level + 1
        assert not (begin <= parent_begin and parent_begin + (2 << level) <= end)
    assert at == end
    assert len(found) <= 2 * max(length.bit_length(), 1)


@given(st.integers(0, 40), st.lists(st.integers(0, 40), max_size=6))
def test_a_range_is_the_same_in_whatever_pieces_it_comes(begin: int, pieces: list[int]) -> None:
    leaves = leaf_hashes(entries(begin + sum(pieces)))
    grown = CompactRange(begin, begin)
    ranges, at = [], begin
    for piece in pieces:
        grown = grown.extend(leaves[at : at + piece])
        ranges.append(CompactRange.of(at, leaves[at : at + piece]))
        at += piece
    assert grown == CompactRange.of(begin, leaves[begin:])
    while len(ranges) > 1:  # and from the right
        right = ranges.pop()
        ranges.append(ranges.pop().merge(right))
    assert not ranges or ranges[0] == grown
    assert CompactRange.of(0, leaves[:begin]).merge(grown).root() == root_of(leaves)


def test_what_makes_no_root() -> None:
    leaves = leaf_hashes(entries(8))
    with pytest.raises(LocalError):
        perfect_root(leaves[:3])
    with pytest.raises(LocalError):
        perfect_root([])
    with pytest.raises(LocalError):
        CompactRange.of(1, leaves[1:]).root()
    with pytest.raises(LocalError):
        CompactRange.of(0, leaves[:3]).merge(CompactRange.of(4, leaves[4:]))
