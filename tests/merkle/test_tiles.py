"""The log's folder: every file the same as in a slow twin's, whatever the batches; and what is spoiled is found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import LOG_ENTRY_BYTES_MAX, LOG_SIZE_MAX
from p2pworld.merkle.proof import (
    check_consistency,
    check_inclusion,
    consistency_spans,
    inclusion_spans,
    prove,
)
from p2pworld.merkle.tiles import (
    ENTRIES,
    Edge,
    Tile,
    TileHashes,
    decode_bundle,
    encode_bundle,
    new_tiles,
    split_tile,
    tile_of,
)
from p2pworld.merkle.tree import Subtree, leaf_hash, leaf_hashes, root_of, subtrees
from tests.merkle.reference import slow_tiles

SIZE = 70_000  # the size of the specification's example
LOG = [b"entry %d" % number for number in range(SIZE)]
LEAVES = leaf_hashes(LOG)


def grow(entries: list[bytes], batch: int) -> tuple[Edge, dict[Tile, bytes]]:
    """The log's edge and all files that were ever written."""
    edge = Edge()
    files: dict[Tile, bytes] = {}
    for at in range(0, len(entries), batch):
        edge, written = edge.append(entries[at : at + batch])
        for file in written:
            assert files.get(file.tile, file.data) == file.data  # what is published does not change
            files[file.tile] = file.data
    return edge, files


WHOLE_EDGE, WHOLE = grow(LOG, 7_000)


def test_the_specifications_example() -> None:
    tiles = new_tiles(0, SIZE)
    full = [tile for tile in tiles if tile.full and tile.level != ENTRIES]
    partial = [tile.path for tile in tiles if not tile.full]
    assert [sum(tile.level == level for tile in full) for level in range(3)] == [273, 1, 0]
    assert partial == ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert set(tiles) <= set(WHOLE)
    assert [tile.path for tile in new_tiles(0, 256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 70_000])
def test_every_file_is_as_in_the_slow_twin(size: int) -> None:
    files = WHOLE if size == SIZE else grow(LOG[:size], max(size, 1))[1]
    expected = slow_tiles(LOG[:size])
    assert {tile.path for tile in new_tiles(0, size)} == set(expected)
    assert {tile.path: data for tile, data in files.items() if tile.path in expected} == expected


@settings(max_examples=50)
@given(st.lists(st.integers(0, 700), max_size=8))
def test_batches_leave_no_trace(batches: list[int]) -> None:
    edge, size = Edge(), 0
    files: dict[Tile, bytes] = {}
    for batch in batches:
        before = size
        edge, written = edge.append(LOG[size : size + batch])
        size += batch
        files |= {file.tile: file.data for file in written}
        assert [file.tile for file in written] == new_tiles(before, size)
        assert edge.root() == root_of(LEAVES[:size])
        assert edge == Edge.restore(size, files)
    assert edge == Edge().append(LOG[:size])[0]


@settings(max_examples=40)
@given(st.integers(0, SIZE), st.integers(0, 2_000))
def test_an_old_edge_is_restored_where_only_full_tiles_are_left(size: int, more: int) -> None:
    later = {tile: WHOLE[tile] for tile in new_tiles(0, SIZE)}
    gone = [tile for tile in Edge.needed(size) if not tile.full and not {tile, tile.widest} & set(later)]
    if gone:
        with pytest.raises(RemoteError) as raised:
            Edge.restore(size, later)
        assert raised.value.reason == "tile-missing"
    else:
        edge = Edge.restore(size, later)
        assert edge.root() == root_of(LEAVES[:size])
        assert edge.append(LOG[size : size + more])[0].root() == root_of(LEAVES[: size + more])


@settings(max_examples=60)
@given(st.integers(1, SIZE).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_proofs_come_out_of_the_tiles_of_the_log_or_a_later_one(where: tuple[int, int]) -> None:
    index, size = where
    own = grow(LOG[:size], size)[1] if size < 600 else WHOLE
    hashes = TileHashes(size if size < 600 else SIZE, own)
    root, old_root = root_of(LEAVES[:size]), root_of(LEAVES[:index])
    check_inclusion(LEAVES[index], index, size, prove(inclusion_spans(index, size), hashes), root)
    check_consistency(index, old_root, size, root, prove(consistency_spans(index, size), hashes))


def test_a_proof_needs_few_tiles_each_once() -> None:
    spans = inclusion_spans(12_345, SIZE)
    tiles = list(dict.fromkeys(tile_of(subtree, SIZE) for span in spans for subtree in subtrees(*span)))
    assert len(tiles) == len(set(tiles)) <= 6
    only = {tile: WHOLE[tile] for tile in tiles}
    proof = prove(spans, TileHashes(SIZE, only))
    check_inclusion(leaf_hash(LOG[12_345]), 12_345, SIZE, proof, WHOLE_EDGE.root())
    for tile in tiles:
        lacking = {other: data for other, data in only.items() if other != tile}
        with pytest.raises(RemoteError, match=r"is not there") as raised:
            prove(spans, TileHashes(SIZE, lacking))
        assert raised.value.reason == "tile-missing"


@pytest.mark.parametrize("tile", Edge.needed(SIZE), ids=lambda tile: str(tile.path))
def test_a_changed_byte_anywhere_in_the_edge_is_found(tile: Tile) -> None:
    data = WHOLE[tile]
    for at in range(len(data)):
        files = WHOLE | {tile: data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]}
        found = ""
        try:
            edge = Edge.restore(SIZE, files)
        except RemoteError as error:
            found = error.reason
        assert found in ("bundle-form", "bundle-hash") if found else edge.root() != WHOLE_EDGE.root()
    for spoiled in (data[:-1], data + b"\0"):
        with pytest.raises(RemoteError):
            Edge.restore(SIZE, WHOLE | {tile: spoiled})


# ---- names


@given(st.integers(-1, 63), st.integers(0, LOG_SIZE_MAX >> 8), st.integers(1, 256))
def test_names_go_both_ways(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", Tile(0, 0)),
        ("tile/63/999.p/255", Tile(63, 999, 255)),
        ("tile/1/x001/000", Tile(1, 1_000)),
        ("tile/0/x001/x234/067", Tile(0, 1_234_067)),
        ("tile/entries/x001/x234/067.p/8", Tile(ENTRIES, 1_234_067, 8)),
    ],
)
def test_published_names(path: str, tile: Tile) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/data/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/",
        "tile/0/001.p",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/٠٠١",
        "/tile/0/001",
        "tile/0/001/",
        "tile/0/001\n",
        "tile/0/../001",
    ],
)
def test_what_is_no_name(path: str) -> None:
    with pytest.raises(RemoteError) as raised:
        Tile.parse(path)
    assert raised.value.reason == "tile-path"


def test_what_is_no_tile() -> None:
    for level, index, width in ((-2, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (0, 2**53, 1)):
        with pytest.raises(LocalError):
            Tile(level, index, width)
    with pytest.raises(LocalError):
        tile_of(Subtree(3, 1), 15)
    with pytest.raises(LocalError):
        new_tiles(2, 1)
    with pytest.raises(RemoteError) as raised:
        split_tile(Tile(0, 0, 2), bytes(63))
    assert raised.value.reason == "tile-size"


# ---- bundles


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_go_both_ways(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert decode_bundle(Tile(ENTRIES, 0, len(entries)), data) == entries
    for width in {len(entries) - 1, len(entries) + 1} & set(range(1, 257)):
        with pytest.raises(RemoteError):
            decode_bundle(Tile(ENTRIES, 0, width), data)
    for cut in range(len(data) - len(entries[-1]) - 2, len(data)):
        with pytest.raises(RemoteError):
            decode_bundle(Tile(ENTRIES, 0, len(entries)), data[:cut])


def test_an_entry_has_a_longest() -> None:
    longest = bytes(LOG_ENTRY_BYTES_MAX)
    assert decode_bundle(Tile(ENTRIES, 0, 1), encode_bundle([longest])) == [longest]
    with pytest.raises(LocalError):
        encode_bundle([longest + b"\0"])
    with pytest.raises(LocalError):
        Edge().append([longest + b"\0"])


def test_a_log_has_a_longest() -> None:
    edge = Edge(LOG_SIZE_MAX)
    with pytest.raises(LocalError):
        edge.append([b""])
