"""Attachments as files: the conformance suite, and what only files can suffer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from p2pworld.limits import ATTACHMENT_PIECE_BYTES
from shard_node.attachments.files import FileAttachments
from shard_node.storage.journal import StorageFailed
from tests.attachments.conformance import *  # noqa: F403
from tests.attachments.conformance import MINUTE, OpenStore, abandon, got, name, pieces, put, reason
from tests.disks import files_may_not_grow_beyond

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "attachments"


@pytest.fixture
def open_store(folder: Path) -> OpenStore:
    async def one_more() -> FileAttachments:
        return FileAttachments(folder)

    return one_more


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_a_changed_byte_is_found_by_the_reader_and_by_the_check(folder: Path) -> None:
    store = FileAttachments(folder)
    body = os.urandom(2 * ATTACHMENT_PIECE_BYTES)
    await put(store, "a", body)
    (path,) = files(folder)
    whole = path.read_bytes()
    for at in (0, len(body) - 1, len(body), len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert await reason(store, "a") == "corrupt"
        assert [fault.sentence for fault in await store.check()] == ["It is not as it was put."]
    for cut in (whole[:-1], whole[:10], b"", whole + b"x"):
        path.write_bytes(cut)
        assert await reason(FileAttachments(folder), "a") == "corrupt"
        assert len(await FileAttachments(folder).check()) == 1
    path.write_bytes(whole)
    assert await got(store, "a") == body


async def test_a_file_under_another_name_is_not_believed(folder: Path) -> None:
    store = FileAttachments(folder)
    await put(store, "a", b"body")
    (path,) = files(folder)
    other = folder / "jongno" / name("b").hex()[:2] / f"{name('b').hex()}.{MINUTE}"
    other.parent.mkdir(exist_ok=True)
    path.rename(other)
    assert await reason(FileAttachments(folder), "b") == "corrupt"


async def test_a_disk_that_is_full_says_so_and_leaves_nothing(folder: Path) -> None:
    store = FileAttachments(folder)
    with files_may_not_grow_beyond(1_000), pytest.raises(StorageFailed):
        await store.put("jongno", name("a"), pieces(bytes(10_000)), MINUTE)
    assert files(folder) == []
    await put(store, "a", bytes(10_000))


async def test_what_a_crash_left_on_its_way_is_swept(folder: Path) -> None:
    store = FileAttachments(folder)
    await put(store, "a", b"body")
    (folder / "coming" / "77").write_bytes(b"half")
    (folder / "jongno" / name("a").hex()[:2] / "notes.txt").write_text("not ours")
    again = FileAttachments(folder)
    assert await got(again, "a") == b"body"
    assert not (folder / "coming" / "77").exists()


async def test_of_two_under_one_name_the_filed_one_counts_and_then_the_newer(folder: Path) -> None:
    for first, second, kept in ((MINUTE, MINUTE + 1, "second"), (None, MINUTE, "first")):
        store = FileAttachments(folder)
        await put(store, "a", b"first", minute=first or MINUTE)
        if first is None:
            await store.bind("jongno", {name("a"): 0})
        (old,) = files(folder)
        saved = old.read_bytes()
        old.unlink()
        other = FileAttachments(folder)
        await put(other, "a", b"second", minute=second)
        old.write_bytes(saved)  # as if the process had ended between placing the one and destroying the other
        again = FileAttachments(folder)
        assert await got(again, "a") == kept.encode()
        assert len(files(folder)) == 1
        await again.remove("jongno", [name("a")])


async def test_what_is_removed_is_overwritten_where_it_lay(folder: Path) -> None:
    store = FileAttachments(folder)
    secret = b"secret" * 1_000
    await put(store, "a", secret)
    (path,) = files(folder)
    with path.open("rb") as still_open:
        await store.remove("jongno", [name("a")])
        assert not any(still_open.read())
    assert files(folder) == []


async def test_who_stops_reading_keeps_no_file_open(folder: Path) -> None:
    store = FileAttachments(folder)
    await put(store, "a", bytes(3 * ATTACHMENT_PIECE_BYTES))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert await abandon(store, "a") == bytes(ATTACHMENT_PIECE_BYTES)
    assert len(os.listdir("/proc/self/fd")) == before
