"""Checkpoints: the published form, strictly read; whose they are, and who has seen them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CHECKPOINT_TEXT_BYTES_MAX, LOG_SIZE_MAX
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint, parse_count, parse_hash
from p2pworld.merkle.note import COSIGNATURE, Note, NoteSigner, VerifierKey
from p2pworld.merkle.tree import EMPTY_ROOT
from tests.merkle.signed import (
    LOG,
    NEXT_LOG,
    ORIGIN,
    TIME_S,
    WITNESS_KEYS,
    WITNESSES,
    checkpoint,
    cosigned,
    flipped,
)

ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


def reason_of(text: str) -> str:
    with pytest.raises(RemoteError) as raised:
        Checkpoint.parse(text)
    return raised.value.reason


def reason(note: Note, *, origin: str = ORIGIN, keys: tuple[VerifierKey, ...] = (LOG.key,)) -> str:
    with pytest.raises(RemoteError) as raised:
        open_checkpoint(note, origin, keys, WITNESS_KEYS)
    return raised.value.reason


def test_the_published_form() -> None:
    text = f"example.com/behind-the-sofa\n20852163\n{ROOT}\n"
    read = Checkpoint.parse(text)
    assert (read.origin, read.size, read.extensions) == ("example.com/behind-the-sofa", 20_852_163, ())
    assert read.root.hex().startswith("0ac5186a91863e8e")
    assert read.text == text
    more = Checkpoint.parse(f"{text}one\ntwo +\n")
    assert more.extensions == ("one", "two +")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "checkpoint-form"),
        (f"o\n1\n{ROOT}", "checkpoint-form"),
        ("o\n1\n", "checkpoint-form"),
        (f"\n1\n{ROOT}\n", "checkpoint-form"),
        (f"o\n1\n{ROOT}\n\n", "checkpoint-form"),
        (f"o\n1\n{ROOT}\na\n\nb\n", "checkpoint-form"),
        (f"o\n1\n{ROOT}\na\rb\n", "checkpoint-form"),
        (f"o\n1\n{ROOT}\n{'x' * CHECKPOINT_TEXT_BYTES_MAX}\n", "checkpoint-form"),
        *(
            (f"o\n{size}\n{ROOT}\n", "checkpoint-size")
            for size in ("01", "00", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "1_0", "١", "x")
        ),
        (f"o\n{LOG_SIZE_MAX + 1}\n{ROOT}\n", "checkpoint-size"),
        (f"o\n{'9' * 400}\n{ROOT}\n", "checkpoint-size"),
        *(
            (f"o\n1\n{root}\n", "checkpoint-root")
            for root in (
                ROOT[:-1],
                ROOT[:-4],
                f"AAAA{ROOT}",
                f" {ROOT}",
                ROOT.replace("/", "_"),
                ROOT[:-2] + "J=",
                "x",
            )
        ),
    ],
)
def test_what_is_no_checkpoint(text: str, expected: str) -> None:
    assert reason_of(text) == expected


@given(
    st.integers(0, LOG_SIZE_MAX),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(max_size=20), max_size=3),
)
def test_checkpoints_go_both_ways(size: int, root: bytes, extensions: list[str]) -> None:
    try:
        made = Checkpoint(ORIGIN, size, root, tuple(extensions))
    except LocalError:
        assert not all(extensions) or any(char < " " for line in extensions for char in line)
    else:
        assert Checkpoint.parse(made.text) == made


def test_what_cannot_be_written() -> None:
    for bad in (
        ("", 0, bytes(32)),
        ("a\nb", 0, bytes(32)),
        ("a\ud800", 0, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", LOG_SIZE_MAX + 1, bytes(32)),
        ("a", 0, bytes(31)),
        ("a" * CHECKPOINT_TEXT_BYTES_MAX, 0, bytes(32)),
    ):
        with pytest.raises(LocalError):
            Checkpoint(*bad)


def test_who_signed_is_said() -> None:
    opened = open_checkpoint(
        cosigned(checkpoint(9), 2).to_bytes(), ORIGIN, [LOG.key, NEXT_LOG.key], WITNESS_KEYS
    )
    assert opened.checkpoint == Checkpoint.parse(checkpoint(9).text)
    assert [one.key for one in opened.signed] == [LOG.key]
    assert [(one.key, one.time_s) for one in opened.cosigned] == [(key, TIME_S) for key in WITNESS_KEYS[:2]]
    empty = open_checkpoint(checkpoint(0), ORIGIN, [LOG.key])
    assert (empty.checkpoint.size, empty.checkpoint.root) == (0, EMPTY_ROOT)


def test_the_log_itself_must_have_signed() -> None:
    text = checkpoint(9).text
    only_witnesses = Note(text, tuple(witness.sign(text, TIME_S) for witness in WITNESSES))
    assert reason(only_witnesses) == "note-unsigned"
    assert reason(checkpoint(9, NEXT_LOG)) == "note-unsigned"
    assert reason(checkpoint(9), origin="seoul.example/mapo") == "checkpoint-origin"
    assert reason(checkpoint(9, origin="seoul.example/mapo")) == "checkpoint-origin"


def test_a_change_of_keys() -> None:
    note = checkpoint(9).signed([NEXT_LOG.sign(checkpoint(9).text)])
    for keys in ((LOG.key,), (NEXT_LOG.key,), (LOG.key, NEXT_LOG.key)):
        assert [one.key for one in open_checkpoint(note, ORIGIN, keys).signed] == list(keys)


def test_a_quorum_counts_keys_and_not_names() -> None:
    for witnesses in range(4):
        opened = open_checkpoint(cosigned(checkpoint(9), witnesses), ORIGIN, [LOG.key], WITNESS_KEYS)
        opened.require_quorum(witnesses)
        with pytest.raises(RemoteError) as raised:
            opened.require_quorum(witnesses + 1)
        assert raised.value.reason == "checkpoint-quorum"
    alias = NoteSigner("alias.example", Signer.from_seed(bytes([10]) * 32), COSIGNATURE)
    note = cosigned(checkpoint(9), 1)
    note = note.signed([alias.sign(note.text, TIME_S)])
    opened = open_checkpoint(note, ORIGIN, [LOG.key], (*WITNESS_KEYS, alias.key))
    assert len(opened.cosigned) == 2
    with pytest.raises(RemoteError):
        opened.require_quorum(2)


def test_every_changed_byte_is_noticed() -> None:
    good = open_checkpoint(cosigned(checkpoint(9), 2), ORIGIN, [LOG.key], WITNESS_KEYS)
    for spoiled in flipped(good.note.to_bytes()):
        try:
            opened = open_checkpoint(spoiled, ORIGIN, [LOG.key], WITNESS_KEYS)
        except RemoteError:
            continue
        assert opened.checkpoint == good.checkpoint
        assert opened.signed == good.signed
        assert set(opened.cosigned) < set(good.cosigned)  # the line is now one of an unknown key


def test_numbers_and_hashes() -> None:
    assert parse_count("0") == 0
    assert parse_count(str(LOG_SIZE_MAX)) == LOG_SIZE_MAX
    assert parse_count("") is None
    assert parse_count("1\n") is None
    assert parse_hash("") is None
