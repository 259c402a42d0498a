"""Attachments copied with the store while a node runs, put back without what is erased, and looked through."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import trio

from shard_node.attachments import copies
from shard_node.attachments.files import FileAttachments
from shard_node.attachments.opening import folder_beside
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.storage.journal import StorageFailed
from tests.attachments.conformance import MINUTE, got, name, naming, put
from tests.civic.test_copies import civic, home  # noqa: F401
from tests.services.office import Office, request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.transaction import Submission

STREAM = "jongno"


def kept(home: Path, *texts: str, missing: str = "") -> None:  # noqa: F811
    """A store in which each of these is attached to an entry of its own; `missing` is named and not there."""

    async def run() -> None:
        office = Office(STREAM, MINUTE)
        store = SqliteCivicStore(home / "civic.sqlite")
        attachments = FileAttachments(folder_beside(home / "civic.sqlite"))
        row = await store.fence(STREAM, 1)
        filed = [
            naming(request("complaint-field", STREAM, MINUTE, text), text)
            for text in (*texts, *([missing] if missing else ()))
        ]

        def plan(size: int, epoch: int, submissions: Sequence[Submission], *_: object, kept: object) -> Plan:
            return office.plan(*submissions)

        assert await store.commit(STREAM, row, filed, plan) is not None
        for entry, text in enumerate(texts):
            await put(attachments, text, text.encode() * 100)
            await attachments.bind(STREAM, {name(text): entry})
        await put(attachments, "waits", b"x")
        await store.close()

    trio.run(run)


def there(folder: Path, *texts: str) -> set[str]:
    async def run() -> set[str]:
        held = await FileAttachments(folder).held(STREAM, [name(text) for text in texts])
        return {text for text in texts if name(text) in held}

    return trio.run(run)


def test_a_copy_has_the_attachments_beside_it_and_they_come_back(home: Path) -> None:  # noqa: F811
    kept(home, "a", "b")
    copy = home / "copies" / "civic.backup"
    copy.parent.mkdir()
    code, said = civic(home, "backup", copy)
    assert (code, "3 attachments" in said) == (0, True), said
    code, said = civic(home, "fsck", copy)
    assert code == 0, said
    shutil.rmtree(folder_beside(home / "civic.sqlite"))
    (home / "civic.sqlite").unlink()
    code, said = civic(home, "restore", copy, "--without-log")
    assert (code, "3 attachments" in said) == (0, True), said
    code, said = civic(home, "fsck")
    assert code == 0, said
    assert trio.run(got, FileAttachments(folder_beside(home / "civic.sqlite")), "b") == b"b" * 100


def test_what_is_erased_is_not_put_back_and_what_was_there_is_aside(home: Path) -> None:  # noqa: F811
    kept(home, "a", "b")
    store, copy = home / "civic.sqlite", home / "copy.sqlite"
    assert copies.backup(store, copy) == 3
    assert copies.restore(copy, store, {STREAM: frozenset({0})}) == 2
    assert there(folder_beside(store), "a", "b", "waits") == {"b", "waits"}
    assert there(home / "civic.sqlite.attachments.old", "a", "b") == {"a", "b"}
    assert copies.restore(copy, store, {}) == 3
    assert (home / "civic.sqlite.attachments.old-1").exists()


def test_what_is_missing_or_damaged_is_found(home: Path) -> None:  # noqa: F811
    kept(home, "a", missing="b")
    code, said = civic(home, "fsck")
    assert code == 4
    assert "Entry 1 names it, and it is missing." in said
    [path] = (folder_beside(home / "civic.sqlite")).rglob(f"{name('a').hex()}*")
    path.write_bytes(path.read_bytes()[:-1])
    code, said = civic(home, "fsck")
    assert "It is not as it was put." in said
    assert code == 4


def test_a_copy_is_never_made_over_another(home: Path) -> None:  # noqa: F811
    kept(home, "a")
    copies.backup(home / "civic.sqlite", home / "copy.sqlite")
    with pytest.raises(StorageFailed, match="already"):
        copies.backup(home / "civic.sqlite", home / "copy.sqlite")


def test_a_store_without_attachments_is_copied_too(home: Path) -> None:  # noqa: F811
    assert copies.backup(home / "civic.sqlite", home / "copy.sqlite") == 0
    assert copies.restore(home / "copy.sqlite", home / "civic.sqlite", {}) == 0


def test_what_changes_its_name_while_it_is_copied_is_copied(
    home: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept(home, "a")
    copyfile = shutil.copyfile
    changed: list[Path] = []

    def filed_meanwhile(path: Path, place: Path) -> object:
        if not changed and name("waits").hex() in path.name:
            changed.append(path.rename(path.with_name(f"{name('waits').hex()}.e7")))
        return copyfile(path, place)

    renamed: Callable[..., object] = filed_meanwhile
    monkeypatch.setattr(shutil, "copyfile", renamed)
    assert copies.backup(home / "civic.sqlite", home / "copy.sqlite") == 2
    assert changed
    assert there(folder_beside(home / "copy.sqlite"), "a", "waits") == {"a", "waits"}
    assert list(folder_beside(home / "copy.sqlite").rglob("*.e7"))
