"""What every store of attachments must do, as tests that take connections to one store.

A store's own test module imports all of these (`from tests.attachments.conformance import *`) and gives the fixture
`open_store`: each await of it opens the same store as the next process would, once the one before has closed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from p2pworld.civic.attached import files_paper
from p2pworld.crypto.keys import Signer
from p2pworld.limits import ATTACHMENT_BYTES_MAX, ATTACHMENT_PIECE_BYTES
from shard_node.attachments import store as rules
from shard_node.attachments.store import AttachmentStore, Held, TooLong
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from p2pworld.civic.transaction import Submission

__all__ = [
    "test_a_closed_store_says_so",
    "test_a_store_that_is_full_says_so_and_keeps_what_it_has",
    "test_of_what_broke_off_nothing_is_there",
    "test_one_that_is_too_long_is_not_kept",
    "test_streams_do_not_mix",
    "test_what_an_entry_names_stays_as_it_is",
    "test_what_is_not_there_is_not_given",
    "test_what_is_put_is_there_for_the_next_process",
    "test_what_is_removed_is_gone",
    "test_what_waits_too_long_is_found_and_what_is_filed_is_not",
]

OpenStore = Callable[[], Awaitable[AttachmentStore]]
MINUTE = 29_400_000


def owner(text: str) -> Signer:
    return Signer.from_seed(hashlib.sha256(text.encode()).digest())


def name(text: str) -> bytes:
    return owner(text).public


def naming(filed: Submission, *texts: str) -> Submission:
    """The filing with a paper that names these."""
    return replace(filed, papers=(files_paper(map(owner, texts), filed.filing.key),) if texts else None)


async def pieces(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body


async def put(
    store: AttachmentStore, text: str, *bodies: bytes, stream: str = "jongno", minute: int = MINUTE
) -> None:
    assert await store.put(stream, name(text), pieces(*bodies), minute) is None


async def got(store: AttachmentStore, text: str, stream: str = "jongno") -> bytes:
    return b"".join([part async for part in await store.parts(stream, name(text))])


async def reason(store: AttachmentStore, text: str) -> str:
    with pytest.raises(StorageFailed) as caught:
        await got(store, text)
    return caught.value.reason


async def test_what_is_put_is_there_for_the_next_process(open_store: OpenStore) -> None:
    bodies = {
        "empty": (),
        "one byte": (b"x",),
        "pieces of odd sizes": (b"a" * 100, b"b" * ATTACHMENT_PIECE_BYTES, b"c" * 3),
        "just a piece": (b"d" * ATTACHMENT_PIECE_BYTES,),
        "three pieces": (b"e" * (3 * ATTACHMENT_PIECE_BYTES),),
    }
    store = await open_store()
    for text, body in bodies.items():
        await put(store, text, *body)
    for again in (store, await open_store()):
        for text, body in bodies.items():
            assert await got(again, text) == b"".join(body)
        held = await again.held("jongno", [name(text) for text in bodies] + [name("other")])
        assert held == {name(text): Held(len(b"".join(body)), MINUTE) for text, body in bodies.items()}
        assert await again.check() == []


async def test_what_is_not_there_is_not_given(open_store: OpenStore) -> None:
    store = await open_store()
    assert await reason(store, "a") == "none"
    assert await store.held("jongno", [name("a")]) == {}
    await store.remove("jongno", [name("a")])
    await store.bind("jongno", {name("a"): 3})
    assert await store.of_entries("jongno", [3]) == []


async def test_streams_do_not_mix(open_store: OpenStore) -> None:
    store = await open_store()
    await put(store, "a", b"here")
    await put(store, "a", b"there", stream="mapo")
    await store.bind("mapo", {name("a"): 1})
    assert await got(store, "a") == b"here"
    assert await got(store, "a", "mapo") == b"there"
    await store.remove("jongno", [name("a")])
    assert await got(store, "a", "mapo") == b"there"
    assert await store.of_entries("jongno", [1]) == []


async def test_what_an_entry_names_stays_as_it_is(open_store: OpenStore) -> None:
    store = await open_store()
    await put(store, "a", b"as first put")
    await put(store, "a", b"as put again", minute=MINUTE + 5)
    assert (await store.held("jongno", [name("a")]))[name("a")] == Held(12, MINUTE + 5)
    assert not await store.any_bound("jongno")
    await store.bind("jongno", {name("a"): 7, name("not there"): 7})
    await put(store, "a", b"something else", minute=MINUTE + 9)
    for again in (store, await open_store()):
        assert await got(again, "a") == b"as put again"
        assert (await again.held("jongno", [name("a")]))[name("a")].entry == 7
        assert await again.of_entries("jongno", [6, 7]) == [name("a")]
        assert await again.any_bound("jongno")
        assert await again.waiting("jongno", MINUTE + 100) == {}


async def test_what_waits_too_long_is_found_and_what_is_filed_is_not(open_store: OpenStore) -> None:
    store = await open_store()
    for at in (3, 2, 1, 0):
        await put(store, f"{at}", b"x" * at, minute=MINUTE + at)
    await store.bind("jongno", {name("0"): 0})
    assert await store.waiting("jongno", MINUTE) == {}
    oldest_first = [(name(f"{at}"), Held(at, MINUTE + at)) for at in (1, 2)]
    assert [*(await store.waiting("jongno", MINUTE + 3)).items()] == oldest_first
    await store.remove("jongno", await store.waiting("jongno", MINUTE + 3))
    assert set(await store.held("jongno", [name(f"{at}") for at in range(4)])) == {name("0"), name("3")}


async def test_what_is_removed_is_gone(open_store: OpenStore) -> None:
    store = await open_store()
    await put(store, "a", b"gone" * 1_000)
    await put(store, "b", b"stays")
    await store.bind("jongno", {name("a"): 1, name("b"): 2})
    await store.remove("jongno", await store.of_entries("jongno", [1]))
    for again in (store, await open_store()):
        assert await reason(again, "a") == "none"
        assert await got(again, "b") == b"stays"
        assert await again.check() == []


async def test_of_what_broke_off_nothing_is_there(open_store: OpenStore) -> None:
    store = await open_store()
    await put(store, "b", b"put before")

    async def breaks() -> AsyncIterator[bytes]:
        yield b"x" * (ATTACHMENT_PIECE_BYTES + 1)
        raise ConnectionError

    for text in ("a", "b"):
        with pytest.raises(ConnectionError):
            await store.put("jongno", name(text), breaks(), MINUTE)
    for again in (store, await open_store()):
        assert await reason(again, "a") == "none"
        assert await got(again, "b") == b"put before"
        assert await again.check() == []


async def test_one_that_is_too_long_is_not_kept(open_store: OpenStore) -> None:
    store = await open_store()
    piece = bytes(1 << 20)

    async def long(most: int) -> AsyncGenerator[bytes, None]:
        for _ in range(most // len(piece)):
            yield piece
        yield bytes(most % len(piece))

    async with aclosing(long(ATTACHMENT_BYTES_MAX + 1)) as parts:
        with pytest.raises(TooLong):
            await store.put("jongno", name("a"), parts, MINUTE)
    assert await reason(store, "a") == "none"


async def test_a_store_that_is_full_says_so_and_keeps_what_it_has(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store()
    await put(store, "a", b"x" * 10)
    await put(store, "b", b"x" * 10)
    await store.bind("jongno", {name("b"): 0})
    for bound, value in (
        ("ATTACHMENTS_MAX", 2),
        ("ATTACHMENTS_BYTES_MAX", ATTACHMENT_BYTES_MAX + 19),
        ("ATTACHMENTS_WAITING_MAX", 1),
        ("ATTACHMENTS_WAITING_BYTES_MAX", ATTACHMENT_BYTES_MAX + 9),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(rules, bound, value)
            refused = await store.put("jongno", name("c"), pieces(b"x"), MINUTE)
            assert refused is not None
            assert refused.reason == "attachment-full"
            await put(store, "a", b"y" * 10)  # in place of what waits there is room
            await put(store, "c", b"z", stream="mapo")
        assert await reason(store, "c") == "none"
    assert await got(store, "a") == b"y" * 10
    await put(store, "c", b"z")


async def test_a_closed_store_says_so(open_store: OpenStore) -> None:
    store = await open_store()
    await put(store, "a", b"x")
    await store.close()
    await store.close()
    for call in (
        lambda: store.held("jongno", [name("a")]),
        lambda: store.waiting("jongno", MINUTE),
        lambda: store.put("jongno", name("a"), pieces(b"x"), MINUTE),
    ):
        with pytest.raises(StorageFailed, match="closed"):
            await call()


async def abandon(store: AttachmentStore, text: str) -> bytes:
    """The first part of an attachment of which no more is read."""
    async with aclosing(await store.parts("jongno", name(text))) as parts:
        return await anext(parts)
