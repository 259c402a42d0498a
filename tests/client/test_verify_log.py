"""A log's folder: whatever byte of it is changed, whatever file is missing, the reading finds it and says where."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import client.verify_log
from client.verify_leaves import BadLeaf, bad_leaves, leaf_checks
from client.verify_log import LogFound, Wanted, read_log
from p2pworld.limits import VERIFY_FAULTS_MAX
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.tiles import ENTRIES, Tile
from p2pworld.merkle.tree import EMPTY_ROOT
from tests.civic.log_world import submission
from tests.client.logs_on_disk import write_log
from tests.merkle.reference import slow_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from p2pworld.merkle.note import Note

SMALL = [b"entry %d" % number for number in range(11)]
LARGE = [b"%d" % number for number in range(66_000)]  # one tile of level 1 is full


def read(folder: Path, note: Note, wanted: Wanted | None = None) -> LogFound:
    checkpoint = Checkpoint.parse(note.text)
    return read_log(folder, checkpoint.size, checkpoint.root, wanted or Wanted())


def spoil(path: Path, at: int) -> bytes:
    """Changes one byte; what was there before."""
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
    return whole


def first(found: LogFound) -> tuple[str, str, int | None, int | None]:
    fault = found.faults[0]
    return fault.reason, fault.file, fault.entry, fault.offset


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Note]:
    folder = tmp_path_factory.mktemp("large")
    return folder, write_log(folder, LARGE, [30_000, 30_000, 6_000])


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 513])
def test_a_good_folder_has_no_fault_and_the_standards_roots(tmp_path: Path, size: int) -> None:
    entries = LARGE[:size]
    note = write_log(tmp_path, entries, [size])
    counts: list[int] = []
    sizes = sorted({0, size // 3, size // 2, size})
    found = read(tmp_path, note, Wanted(sizes, {0, size - 1}, on_entries=counts.append))
    assert found.faults == []
    assert (found.beyond, found.strangers) == (0, 0)
    assert found.roots == {at: slow_root(entries[:at]) if at else EMPTY_ROOT for at in sizes}
    assert found.entries == {at: entries[at] for at in (0, size - 1) if 0 <= at < size}
    assert sum(counts) == size


def test_every_byte_that_is_changed_is_found_with_its_place(tmp_path: Path) -> None:
    note = write_log(tmp_path, SMALL, [5, 6])
    files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and path.name != "checkpoint"]
    assert len(files) == 4  # two bundles and two tiles, of 5 and of 11
    for path in files:
        for at in range(len(path.read_bytes())):
            whole = spoil(path, at)
            found = read(tmp_path, note)
            reason, file, entry, offset = first(found)
            assert file == str(path.relative_to(tmp_path))
            assert found.faults_in_all == 1
            if path.name == "5":
                assert (reason, entry, offset) == ("tile-partial", 0, at)
            elif "entries" in file:
                assert reason in ("entry-hash", "bundle-form")
                assert entry is not None
                # the first entry that differs begins there: the byte is in it
                assert offset == sum(2 + len(one) for one in SMALL[:entry])
                assert offset <= at < offset + 2 + len(SMALL[entry])
            else:
                assert (reason, entry, offset) == ("tile-hash", at // 32, at)
            path.write_bytes(whole)
    assert read(tmp_path, note).faults == []


def test_every_file_that_is_cut_or_grows_or_is_gone_is_found(tmp_path: Path) -> None:
    note = write_log(tmp_path, SMALL, [11])
    for path in (tmp_path / Tile(ENTRIES, 0, 11).path, tmp_path / Tile(0, 0, 11).path):
        whole = path.read_bytes()
        for data in (whole[:-1], whole + b"\x00", b"", whole[: len(whole) // 2]):
            path.write_bytes(data)
            found = read(tmp_path, note)
            assert first(found)[0] in ("bundle-form", "tile-size")
            assert first(found)[1] == str(path.relative_to(tmp_path))
        path.unlink()
        assert first(read(tmp_path, note))[:2] == ("tile-missing", str(path.relative_to(tmp_path)))
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("tile", "at", "reason", "entry"),
    [
        (Tile(ENTRIES, 0), 5, "entry-hash", 1),
        (Tile(ENTRIES, 100), 0, "bundle-form", 25_600),
        (Tile(ENTRIES, 255), 3, "entry-hash", 65_280),
        (Tile(ENTRIES, 257, 208), 2, "entry-hash", 65_792),
        (Tile(0, 0), 40, "tile-hash", 1),
        (Tile(0, 200), 8_191, "tile-hash", 51_455),
        (Tile(0, 257, 208), 0, "tile-hash", 65_792),
        (Tile(1, 0), 33, "tile-hash", 256),
        (Tile(1, 1, 1), 31, "tile-hash", 65_536),
        (Tile(2, 0, 1), 5, "tile-hash", 0),
        (Tile(0, 117, 48), 9, "tile-partial", 29_952),
        (Tile(1, 0, 117), 32, "tile-partial", 0),
    ],
)
def test_at_every_level_the_verdict_is_the_right_one(
    large: tuple[Path, Note], tile: Tile, at: int, reason: str, entry: int
) -> None:
    folder, note = large
    whole = spoil(folder / tile.path, at)
    found = read(folder, note)
    (folder / tile.path).write_bytes(whole)
    assert found.faults_in_all == 1
    assert first(found)[:3] == (reason, tile.path, entry)


def test_a_large_folder_is_good_and_knows_what_is_not_its_own(large: tuple[Path, Note]) -> None:
    folder, note = large
    beyond, strange = folder / Tile(0, 300).path, folder / "tile/0/notes.txt"
    beyond.write_bytes(b"")
    strange.write_bytes(b"")
    found = read(folder, note)
    beyond.unlink()
    strange.unlink()
    assert (found.faults, found.beyond, found.strangers) == ([], 1, 1)


def test_a_folder_of_other_entries_is_not_what_was_signed(tmp_path: Path) -> None:
    note = write_log(tmp_path / "signed", SMALL, [11])
    write_log(tmp_path / "other", [*SMALL[:10], b"another"], [11])
    assert [fault.reason for fault in read(tmp_path / "other", note).faults] == ["log-root"]


def test_without_entries_and_hashes_the_reading_ends_there(large: tuple[Path, Note]) -> None:
    folder, note = large
    paths = [folder / Tile(level, 7).path for level in (ENTRIES, 0)]
    kept = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    counts: list[int] = []
    found = read(folder, note, Wanted(on_entries=counts.append))
    for path, data in zip(paths, kept, strict=True):
        path.write_bytes(data)
    assert [fault.reason for fault in found.faults] == ["tile-missing", "tile-missing"]
    assert sum(counts) == 7 * 256


def test_of_many_faults_the_first_are_told_and_all_are_counted(tmp_path: Path) -> None:
    size = 256 * (VERIFY_FAULTS_MAX + 5)
    note = write_log(tmp_path, LARGE[:size], [size])
    for number in range(VERIFY_FAULTS_MAX + 5):
        (tmp_path / Tile(0, number).path).unlink()
    found = read(tmp_path, note)
    assert (len(found.faults), found.faults_in_all) == (VERIFY_FAULTS_MAX, VERIFY_FAULTS_MAX + 5)


def test_leaves_that_are_checked_meanwhile_are_told_of_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = write_log(tmp_path, LARGE[:1_000], [1_000])
    bundle_bytes = sum(2 + len(one) for one in LARGE[256:512])
    monkeypatch.setattr(client.verify_log, "VERIFY_AHEAD_BYTES", 2 * bundle_bytes)
    waiting: list[bytes] = []
    most: list[int] = []

    def check(entries: list[bytes]) -> Callable[[], list[BadLeaf]]:
        waiting.append(entries[0])
        most.append(len(waiting))

        def found() -> list[BadLeaf]:
            assert waiting.pop(0) == entries[0]
            return [BadLeaf(place, "odd", "it is") for place in (0, len(entries) - 1)]

        return found

    found = read(tmp_path, note, Wanted(check_leaves=check))
    assert [fault.entry for fault in found.faults] == [0, 255, 256, 511, 512, 767, 768, 999]
    assert [fault.offset for fault in found.faults[2:4]] == [0, bundle_bytes - 2 - len(LARGE[511])]
    assert (max(most), waiting) == (3, [])


def test_processes_find_what_one_does() -> None:
    good = [submission(number).leaf(1).to_bytes() for number in range(3)]
    false = replace(submission(3), sig=bytes(64)).leaf(1).to_bytes()
    bundles = [good, [good[0], false, b"no leaf", b""], [false], good[:1]]
    with leaf_checks(1_000_000, processes=2) as check:
        waiting = [check(bundle) for bundle in bundles]
        found = [wait() for wait in waiting]
    assert found == [bad_leaves(bundle) for bundle in bundles]
    assert [[bad.place for bad in each] for each in found] == [[], [1, 2, 3], [0], []]
    assert found[1][0].reason == "civic-signature"
    with leaf_checks(1_000, processes=2) as at_once:
        assert at_once(bundles[2])() == found[2]
