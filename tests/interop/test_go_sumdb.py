"""Our notes, trees, tiles and proofs against golang.org/x/mod/sumdb, in both directions.

Whatever we make, Go's packages open, read and check; whatever they make, we do; and what one of them refuses because a
byte was changed, the other never takes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2pworld.crypto.keys import Signer
from p2pworld.errors import RemoteError
from p2pworld.merkle.note import COSIGNATURE, Note, NoteSigner, parse_note, verify_note
from p2pworld.merkle.proof import (
    check_consistency,
    check_inclusion,
    consistency_spans,
    inclusion_spans,
    prove,
)
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.merkle.tiles import ENTRIES, Edge, Tile, TileHashes, new_tiles
from p2pworld.merkle.tree import leaf_hash, leaf_hashes, root_of
from tests.civic.log_world import Client, Holder, World, submission
from tests.interop.go_sumdb import GoSumdb, go_program
from tests.merkle.signed import (
    ENTRIES as SMALL_LOG,
)
from tests.merkle.signed import (
    LOG,
    ORIGIN,
    TIME_S,
    WITNESS_KEYS,
    WITNESSES,
    checkpoint,
    cosigned,
    flipped,
    receipt,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 66_000  # one tile of level 1 is full, of level 2 there is the first hash
ENTRIES_IN_LOG = [b"entry %d" % number for number in range(SIZE)]
LEAVES = leaf_hashes(ENTRIES_IN_LOG)
KEYS = (LOG.key, *WITNESS_KEYS)


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoSumdb]:
    """Go's side, with the log loaded."""
    with GoSumdb(go_program(tmp_path_factory.mktemp("go"))) as running:
        assert running.ask("load", Entries=ENTRIES_IN_LOG).error == ""
        yield running


@pytest.fixture(scope="session")
def folder() -> dict[Tile, bytes]:
    """Our files of the same log, grown in batches."""
    edge = Edge()
    files: dict[Tile, bytes] = {}
    for at in range(0, SIZE, 6_000):
        edge, written = edge.append(ENTRIES_IN_LOG[at : at + 6_000])
        files |= {file.tile: file.data for file in written}
    return files


SIZES = [1, 2, 3, 7, 8, 255, 256, 257, 1_000, 65_535, 65_536, 65_537, SIZE]
PLACES = [(index, size) for size in SIZES for index in sorted({0, size // 3, size - 1})]


# ---- trees, tiles, proofs


@pytest.mark.parametrize("size", [0, *SIZES])
def test_roots_are_the_same(go: GoSumdb, size: int) -> None:
    assert go.ask("root", Size=size)["root"] == (
        root_of(LEAVES[:size]) if size else bytes(32)
    )  # Go has no empty root


@pytest.mark.parametrize(
    ("old", "new"), [(0, 1), (0, 256), (0, 600), (255, 513), (65_500, 65_600), (65_536, SIZE)]
)
def test_files_are_the_same(go: GoSumdb, old: int, new: int) -> None:
    theirs = go.ask("files", Old=old, Size=new)["files"]
    edge = Edge()
    ours: dict[Tile, bytes] = {}
    for batch in (ENTRIES_IN_LOG[:old], ENTRIES_IN_LOG[old:new]):
        edge, written = edge.append(batch)
        ours = {file.tile: file.data for file in written if file.tile.level != ENTRIES}
    assert {tile.path: data for tile, data in ours.items()}.items() <= theirs.items()
    # beyond ours, Go lists the partial tiles of every size between
    more = {Tile.parse(path) for path in theirs} - set(ours)
    assert all(not tile.full for tile in more)


@pytest.mark.parametrize(("index", "size"), PLACES)
def test_proofs_of_entries_both_ways(go: GoSumdb, folder: dict[Tile, bytes], index: int, size: int) -> None:
    theirs = go.ask("prove entry", Size=size, Index=index).get("proof") or []
    ours = prove(inclusion_spans(index, size), TileHashes(SIZE, folder))
    assert list(ours) == theirs
    root = root_of(LEAVES[:size])
    check_inclusion(LEAVES[index], index, size, theirs, root)
    fields = {"Size": size, "Root": root, "Index": index, "Leaf": LEAVES[index]}
    assert go.ask("check entry", Proof=ours, **fields).error == ""
    for wrong in ((*ours, bytes(32)), ours[1:] or (bytes(32),)):
        assert go.ask("check entry", Proof=wrong, **fields).error
        with pytest.raises(RemoteError):
            check_inclusion(LEAVES[index], index, size, wrong, root)


@pytest.mark.parametrize(("old", "new"), [(max(old, 1), new) for old, new in PLACES])
def test_proofs_of_growth_both_ways(go: GoSumdb, folder: dict[Tile, bytes], old: int, new: int) -> None:
    theirs = go.ask("prove growth", Old=old, Size=new).get("proof") or []
    ours = prove(consistency_spans(old, new), TileHashes(SIZE, folder))
    assert list(ours) == theirs
    old_root, root = root_of(LEAVES[:old]), root_of(LEAVES[:new])
    check_consistency(old, old_root, new, root, theirs)
    fields = {"Old": old, "OldRoot": old_root, "Size": new, "Root": root}
    assert go.ask("check growth", Proof=ours, **fields).error == ""
    assert go.ask("check growth", Proof=(*ours, bytes(32)), **fields).error


@pytest.mark.parametrize("index", [0, 255, 256, 40_000, 65_535, 65_536, SIZE - 1])
def test_go_reads_our_folder_under_our_root(go: GoSumdb, folder: dict[Tile, bytes], index: int) -> None:
    files = {tile.path: folder[tile] for tile in new_tiles(0, SIZE) if tile.level != ENTRIES}
    root = root_of(LEAVES)
    kept = _without_far_tiles(files, index)
    read = go.ask("read files", Size=SIZE, Index=index, Root=root, Files=kept)
    assert read.error == ""
    assert read["leaf"] == LEAVES[index]
    check_inclusion(leaf_hash(ENTRIES_IN_LOG[index]), index, SIZE, read["proof"], root)
    for path, data in kept.items():
        spoiled = kept | {path: bytes((data[0] ^ 1,)) + data[1:]}
        answer = go.ask("read files", Size=SIZE, Index=index, Root=root, Files=spoiled)
        # where a hash was changed that this entry's proof does not need
        assert answer.error or (answer["leaf"], answer["proof"]) == (read["leaf"], read["proof"])


def _without_far_tiles(files: dict[str, bytes], index: int) -> dict[str, bytes]:
    """What reading one entry needs: the tile over it and the edge, so that little goes through the pipe."""
    near = Tile(0, index // 256).path
    return {
        path: data
        for path, data in files.items()
        if not path.startswith("tile/0/") or ".p/" in path or path == near
    }


def test_a_log_that_the_holder_wrote_is_another_makers_to_check(go: GoSumdb) -> None:
    world = World()
    client = Client(world)
    holder = Holder(world, client, 1)
    for batch in (range(1), range(1, 5), range(5, 40)):
        for number in batch:
            client.file(holder, submission(number))
        holder.run()
    assert world.witnessed is not None
    opened = go.ask("open", Data=world.witnessed.to_bytes(), Keys=[LOG.key.text, WITNESS_KEYS[0].text])
    assert opened["signers"] == [LOG.key.name, WITNESS_KEYS[0].name]
    origin, size, root = opened["text"].splitlines()
    assert (origin, size) == (ORIGIN, "40")
    files = {tile.path: data for tile, data in world.files.items() if tile.level != ENTRIES}
    fields = {"Size": 40, "Root": base64.b64decode(root)}
    for filed, index in (
        (submission(number), world.accepted[submission(number).fingerprint]) for number in (0, 39)
    ):
        read = go.ask("read files", Index=index, Files=files, **fields)
        assert read.error == ""
        assert read["leaf"] == leaf_hash(filed.leaf(1).to_bytes())


# ---- notes


def test_go_opens_what_we_sign(go: GoSumdb) -> None:
    note = cosigned(checkpoint(20), 3)
    opened = go.ask("open", Data=note.to_bytes(), Keys=[key.text for key in KEYS])
    assert opened.error == ""
    assert opened["text"] == note.text
    assert opened["signers"] == [key.name for key in KEYS]
    for keys in ([LOG.key.text], [WITNESS_KEYS[2].text]):
        assert len(go.ask("open", Data=note.to_bytes(), Keys=keys)["signers"]) == 1
    assert go.ask("open", Data=note.to_bytes(), Keys=[]).error


def test_go_opens_the_checkpoint_in_a_receipt_and_checks_its_proof(go: GoSumdb) -> None:
    read = parse_receipt(receipt(11, 37).to_bytes())
    opened = go.ask("open", Data=read.checkpoint.to_bytes(), Keys=[key.text for key in KEYS])
    assert opened["signers"] == [LOG.key.name, *(key.name for key in WITNESS_KEYS[:2])]
    fields = {
        "Size": 37,
        "Root": root_of(leaf_hashes(SMALL_LOG)),
        "Index": 11,
        "Leaf": leaf_hash(SMALL_LOG[11]),
    }
    assert go.ask("check entry", Proof=read.proof, **fields).error == ""


@pytest.mark.parametrize("name", ["seoul.example/jongno", "서울/종로", "a", "—", "x" * 255])
def test_we_open_what_go_signs_with_a_key_that_we_wrote(go: GoSumdb, name: str) -> None:
    signer, second = (NoteSigner(name, Signer.from_seed(bytes([n]) * 32)) for n in (7, 8))
    for text in (checkpoint(5).text, "서울\n\nanother paragraph\n"):
        data = go.ask("sign", Text=text, Keys=[signer.text, second.text])["data"]
        note = parse_note(data)
        assert note == Note(text, (signer.sign(text), second.sign(text)))
        assert note.to_bytes() == data
        assert [one.key for one in verify_note(note, [signer.key, second.key])] == [signer.key, second.key]


def test_go_does_not_take_a_changed_byte(go: GoSumdb) -> None:
    note = checkpoint(20)
    keys = [LOG.key.text]
    for spoiled in list(flipped(note.to_bytes()))[::3]:
        taken = go.ask("open", Data=spoiled, Keys=keys)
        with pytest.raises(RemoteError):
            verify_note(parse_note(spoiled), [LOG.key])
        # Go reads base64 whose unused bits are not zero; what was signed is the same
        assert taken.error or taken["text"] == note.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(0, 12), st.binary(max_size=6)), min_size=1, max_size=3
    )
)
def test_what_we_take_go_takes_too_and_reads_the_same(
    go: GoSumdb, changes: list[tuple[int, int, bytes]]
) -> None:
    data = cosigned(checkpoint(20), 3).to_bytes()
    for at, cut, put in changes:
        data = data[:at] + put + data[at + cut :]
    try:
        note = parse_note(data)
        verified = verify_note(note, KEYS)
    except RemoteError:
        return
    theirs = go.ask("open", Data=data, Keys=[key.text for key in KEYS])
    assert theirs.error == ""
    assert theirs["text"] == note.text
    assert theirs["signers"] == [one.key.name for one in verified]


def test_go_sees_the_time_of_a_cosignature_signed(go: GoSumdb) -> None:
    text = checkpoint(3).text
    signature = WITNESSES[0].sign(text, TIME_S)
    later = (TIME_S + 1).to_bytes(8, "big") + signature.signature[8:]
    keys = [WITNESS_KEYS[0].text]
    assert go.ask("open", Data=Note(text, (signature,)).to_bytes(), Keys=keys).error == ""
    moved = Note(text, (type(signature)(signature.name, signature.key_id, later),))
    assert go.ask("open", Data=moved.to_bytes(), Keys=keys).error
    assert WITNESS_KEYS[0].algorithm == COSIGNATURE
    assert checkpoint(3).text.startswith(ORIGIN)
