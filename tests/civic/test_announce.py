"""Keys announced in the city's log: who may, what is read back, which key counts when, and what counts for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from p2pworld.civic.announce import (
    CITY,
    KEYS,
    Announcement,
    KeyHistory,
    announce,
    announced_in,
    keys_type,
)
from p2pworld.civic.transaction import Filing, Submission, check_submission
from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.grants import sign_grant
from p2pworld.limits import CIVIC_LEAF_BYTES_MAX
from p2pworld.merkle.note import COSIGNATURE, NoteSigner
from shard_node.civic.folder import PublishedLog
from shard_node.civic.keybook import KeyBook, announced_keys
from shard_node.storage.journal import StorageFailed
from tests.civic.log_world import MINUTE, submission
from tests.client.logs_on_disk import write_log
from tests.merkle.signed import LOG, NEXT_LOG, WITNESS_KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from p2pworld.grants import Grant

ROOT, OFFICIAL, STRANGER = (Signer.from_seed(bytes([60 + n]) * 32) for n in range(3))
NOW_MS = MINUTE * 60_000
OFFICE = bytes(range(32))


def granted(
    scope: str = "streams:*", role: str = "civic", issuer: Signer = ROOT, until_ms: int = NOW_MS + 1_000_000
) -> tuple[Grant, ...]:
    return (sign_grant(issuer, OFFICIAL.public, role, (scope,), NOW_MS - 1_000_000, until_ms),)


def what(from_size: int = 0, key: NoteSigner = LOG) -> Announcement:
    return Announcement("jongno", from_size, (key.key,), WITNESS_KEYS, 2, (OFFICE,))


def said(
    seed: int = 1,
    announcement: Announcement | None = None,
    signer: Signer = OFFICIAL,
    chain: tuple[Grant, ...] | None = None,
) -> Submission:
    chain = granted() if chain is None else chain
    return announce(announcement or what(), signer, chain, MINUTE, bytes([seed]) * 32)


def test_what_is_announced_is_read_back_and_taken_by_the_holder() -> None:
    filed = said()
    found = announced_in(filed.filing, [ROOT.public], 7)
    assert (found.announcement, found.index, found.minute) == (what(), 7, MINUTE)
    assert found.by == OFFICIAL.public
    types = {KEYS: keys_type([ROOT.public])}
    assert check_submission(filed, CITY, types) is None
    refused = check_submission(filed, CITY, {KEYS: keys_type([STRANGER.public])})
    assert refused is not None
    assert refused.reason == "civic-keys"

    def voids(chain: tuple[Grant, ...], now_ms: int) -> Refusal | None:
        return Refusal("grant-revoked", "it was taken back")

    revoked = check_submission(filed, CITY, {KEYS: keys_type([ROOT.public], voids)})
    assert revoked == Refusal("civic-keys", "whoever announces this may not: it was taken back")


@pytest.mark.parametrize(
    "filed",
    [
        said(chain=granted("streams:mapo")),
        said(chain=granted("cells:*")),
        said(chain=granted(role="official")),
        said(chain=granted(issuer=STRANGER)),
        said(chain=granted(until_ms=NOW_MS - 1)),
        said(chain=()),
        said(signer=STRANGER),
    ],
    ids=["stream", "scope", "role", "root", "ended", "none", "another's"],
)
def test_nobody_else_may(filed: Submission) -> None:
    with pytest.raises(RemoteError) as refused:
        announced_in(filed.filing, [ROOT.public])
    assert refused.value.reason == "civic-keys"


def test_no_word_of_it_can_be_changed_or_moved() -> None:
    filing = said().filing
    others = said(2, what(5, NEXT_LOG)).filing
    for at, (own, other) in enumerate(zip(filing.public, others.public, strict=True)):
        if own != other:
            public = (*filing.public[:at], other, *filing.public[at + 1 :])
            with pytest.raises(RemoteError):
                announced_in(replace(filing, public=public), [ROOT.public])
    for moved in (
        replace(filing, key=others.key),  # under a key that somebody else has made
        replace(filing, stream="jongno"),
        replace(filing, type="suggestion"),
        replace(filing, public=filing.public[1:]),
    ):
        with pytest.raises(RemoteError):
            announced_in(moved, [ROOT.public])


@pytest.mark.parametrize(
    "cannot",
    [
        lambda: Announcement("jongno", 0, ()),
        lambda: Announcement("mapo", 0, (LOG.key,)),
        lambda: Announcement("jongno", 0, (LOG.key, replace(LOG.key, name="other.example/jongno"))),
        lambda: Announcement("jongno", 0, (replace(LOG.key, algorithm=COSIGNATURE),)),
        lambda: Announcement("jongno", 0, (LOG.key,), (LOG.key,)),
        lambda: Announcement("jongno", 0, (LOG.key,), WITNESS_KEYS, 4),
        lambda: Announcement("jongno", 0, (LOG.key,), (WITNESS_KEYS[0], WITNESS_KEYS[0]), 2),
        lambda: Announcement("jongno", -1, (LOG.key,)),
        lambda: Announcement("jongno", 0, (LOG.key,), offices=(b"short",)),
        lambda: said(announcement=replace(what(), offices=(OFFICE,) * 5)),
        lambda: said(announcement=replace(what(), witnesses=WITNESS_KEYS * 5)),
    ],
)
def test_what_cannot_be_announced(cannot: object) -> None:
    assert callable(cannot)
    with pytest.raises(LocalError):
        cannot()


def test_the_longest_announcement_fits_into_a_leaf() -> None:
    longest = {"stream": 40, "from": 16, "keys": 400, "witnesses": 1_000, "quorum": 2}
    longest |= {"offices": 4 * 65 - 1, "by": 64, "grants": 1_300, "signed": 128}
    for rule in keys_type([]).public:
        text = {"keys": "k", "witnesses": "w", "grants": "g", "stream": "s"}.get(rule.name, "1") * longest[
            rule.name
        ]
        if rule.name == "offices":
            text = " ".join(["0" * 64] * 4)
        assert rule.pattern.fullmatch(text), rule.name
        assert not rule.pattern.fullmatch(f"{text}{text[-1]}"), rule.name
    filed = said()
    public = tuple(replace(field, value="x" * longest[field.name]) for field in filed.filing.public)
    leaf = replace(filed, filing=replace(filed.filing, public=public)).leaf(2**53 - 1).to_bytes()
    assert len(leaf) <= CIVIC_LEAF_BYTES_MAX


# ---- the history


def entry(filed: Submission) -> bytes:
    return filed.leaf(1).to_bytes()


def test_which_key_counted_when() -> None:
    history = KeyHistory([ROOT.public])
    assert history.take(entry(submission(0))) is None  # something else was filed to the city
    assert history.take(b"no leaf of this form") is None
    first = history.take(entry(said(1, what(0, LOG))))
    second = history.take(entry(said(2, what(100, NEXT_LOG))))
    assert first is not None
    assert second is not None
    assert (first.index, second.index, history.size) == (2, 3, 4)
    assert history.streams == {"jongno": (first, second)}
    for size, found in ((0, first), (99, first), (100, second), (10**6, second)):
        assert history.at("jongno", size) == found
    assert history.newest("jongno") == second
    assert history.newest("mapo") is history.at("mapo", 5) is None
    assert not history.ignored


def test_what_counts_for_nothing_is_told_with_its_place() -> None:
    history = KeyHistory([ROOT.public])
    history.take(entry(said(1, what(100))))
    for filed in (
        said(2, what(99, NEXT_LOG)),  # it would change what counted before
        said(3, what(200, NEXT_LOG), chain=granted(issuer=STRANGER)),
        replace(said(4, what(200, NEXT_LOG)), sig=bytes(64)),
    ):
        assert history.take(entry(filed)) is None
    assert [index for index, _ in history.ignored] == [1, 2, 3]
    newest = history.newest("jongno")
    assert newest is not None
    assert newest.announcement == what(100)
    document = history.document()
    assert isinstance(document["streams"], dict)
    assert document["streams"]["jongno"]["keys"] == [LOG.key.text]
    assert len(document["streams"]["jongno"]["history"]) == 1


def test_the_book_is_read_on_as_the_folder_grows(tmp_path: Path) -> None:
    entries = [entry(submission(number)) for number in range(300)]
    entries[3], entries[280] = entry(said(1, what(0))), entry(said(2, what(9, NEXT_LOG)))
    book = KeyBook(PublishedLog(tmp_path / "log"), [ROOT.public])
    (tmp_path / "log").mkdir()
    assert book.read().size == 0
    for size, keys in ((3, 0), (4, 1), (255, 1), (256, 1), (300, 2)):
        write_log(tmp_path / "log", entries[:size], [size])
        history = book.read()
        assert (history.size, len(history.streams.get("jongno", ()))) == (size, keys)
    assert announced_keys(PublishedLog(tmp_path / "log"), [ROOT.public], "jongno") == (LOG.key, NEXT_LOG.key)
    assert announced_keys(PublishedLog(tmp_path / "log"), [STRANGER.public], "jongno") == ()
    other = KeyBook(PublishedLog(tmp_path / "log"), [ROOT.public])
    (tmp_path / "log/tile/entries/000").write_bytes(b"\xff\xff")
    with pytest.raises(StorageFailed, match="damaged"):
        other.read()


def test_what_is_filed_under_the_type_must_be_one() -> None:
    with pytest.raises(RemoteError, match="no announcement"):
        announced_in(Filing(KEYS, CITY, bytes(32), MINUTE), [ROOT.public])
