"""Signed notes: published ones verify, every changed byte is noticed, and there is one way to write a note."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import KEY_NAME_BYTES_MAX, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX
from p2pworld.merkle.note import (
    COSIGNATURE,
    ED25519,
    TIME_S_MAX,
    Note,
    NoteSignature,
    NoteSigner,
    VerifierKey,
    decode_base64,
    is_key_name,
    parse_note,
    parse_signature_lines,
    verify_note,
)
from tests.merkle.signed import LOG, NEXT_LOG, TIME_S, WITNESS_KEYS, WITNESSES, cosigned, flipped

# published with Go's package for notes
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
""".encode()
TEXT = "a text\n\nof three lines, 서울\n"
NOTE = cosigned(Note(TEXT, (LOG.sign(TEXT),)), 2)
KEYS = (LOG.key, *WITNESS_KEYS)


def reason(data: bytes, *keys: VerifierKey) -> str:
    with pytest.raises(RemoteError) as raised:
        verify_note(parse_note(data), keys)
    return raised.value.reason


def test_a_published_note_verifies() -> None:
    key = VerifierKey.parse(PUBLISHED_KEY)
    note = parse_note(PUBLISHED)
    assert note.to_bytes() == PUBLISHED
    assert [verified.key for verified in verify_note(note, [key])] == [key]
    assert note.text == PUBLISHED.decode().partition("\n\n")[0] + "\n"
    assert reason(PUBLISHED.replace(b"answer", b"Answer"), key) == "note-signature"


def test_a_key_is_known_by_the_hash_of_what_it_is() -> None:
    expected = hashlib.sha256(LOG.key.name.encode() + b"\n\x01" + LOG.key.public).digest()[:4]
    assert LOG.key.key_id == expected
    twin = VerifierKey(LOG.key.name, LOG.key.public, COSIGNATURE)
    assert twin.key_id == hashlib.sha256(LOG.key.name.encode() + b"\n\x04" + LOG.key.public).digest()[:4]


def test_what_a_witness_signs() -> None:
    signature = WITNESSES[0].sign(TEXT, TIME_S).signature
    message = f"cosignature/v1\ntime {TIME_S}\n{TEXT}".encode()
    expected = Signer.from_seed(bytes([10]) * 32).sign(message)
    assert signature == TIME_S.to_bytes(8, "big") + expected


def test_what_is_verified_is_said() -> None:
    found = verify_note(parse_note(NOTE.to_bytes()), KEYS)
    assert [(one.key, one.time_s) for one in found] == [
        (LOG.key, 0),
        (WITNESS_KEYS[0], TIME_S),
        (WITNESS_KEYS[1], TIME_S),
    ]
    assert [one.signature for one in found] == list(NOTE.signatures)


def test_unknown_keys_are_ignored_and_do_not_count() -> None:
    assert [one.key for one in verify_note(NOTE, [WITNESS_KEYS[1]])] == [WITNESS_KEYS[1]]
    assert reason(NOTE.to_bytes()) == "note-unsigned"
    assert reason(NOTE.to_bytes(), NEXT_LOG.key, WITNESS_KEYS[2]) == "note-unsigned"
    renamed = VerifierKey("other.example", LOG.key.public)
    assert reason(NOTE.to_bytes(), renamed) == "note-unsigned"


def test_every_changed_byte_is_noticed() -> None:
    data = NOTE.to_bytes()
    verified = verify_note(NOTE, KEYS)
    for spoiled in flipped(data):
        try:
            found = verify_note(parse_note(spoiled), KEYS)
        except RemoteError:
            continue
        # only a line's name or key id was changed, so that it is an unknown key's: what is left is still true
        assert set(found) < set(verified)
        assert parse_note(spoiled).text == TEXT


def test_a_false_signature_of_a_known_key_spoils_the_note() -> None:
    false = NoteSignature(LOG.key.name, LOG.key.key_id, bytes(64))
    assert reason(Note(TEXT, (false, WITNESSES[0].sign(TEXT, 1))).to_bytes(), *KEYS) == "note-signature"
    for length in (1, 8, 63, 65, 71, 73):
        short = NoteSignature(WITNESS_KEYS[0].name, WITNESS_KEYS[0].key_id, bytes(length))
        assert reason(Note(TEXT, (short,)).to_bytes(), *KEYS) == "note-signature"


def test_a_cosignature_is_of_a_time_that_can_be() -> None:
    for time_s in (0, TIME_S_MAX):
        assert verify_note(Note(TEXT, (WITNESSES[0].sign(TEXT, time_s),)), KEYS)[0].time_s == time_s
    for time_s in (-1, TIME_S_MAX + 1):
        with pytest.raises(LocalError):
            WITNESSES[0].sign(TEXT, time_s)
    late = f"cosignature/v1\ntime {2**63}\n{TEXT}".encode()
    blob = (2**63).to_bytes(8, "big") + Signer.from_seed(bytes([10]) * 32).sign(late)
    forged = NoteSignature(WITNESS_KEYS[0].name, WITNESS_KEYS[0].key_id, blob)
    assert reason(Note(TEXT, (forged,)).to_bytes(), *KEYS) == "note-signature"


def test_a_signature_in_one_role_is_none_in_the_other() -> None:
    signer = Signer.from_seed(bytes(32))
    log, witness = NoteSigner("both.example", signer), NoteSigner("both.example", signer, COSIGNATURE)
    cosignature = witness.sign(TEXT, 7)
    as_text = f"cosignature/v1\ntime 7\n{TEXT}"
    forged = NoteSignature(log.key.name, log.key.key_id, cosignature.signature[8:])
    assert reason(Note(TEXT, (forged,)).to_bytes(), log.key) == "note-signature"
    # the one text for which it would hold is no checkpoint: its second line is no size
    assert verify_note(Note(as_text, (forged,)), [log.key])


GOOD = LOG.sign(TEXT).line


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "note-form"),
        (b"\n", "note-form"),
        (f"{TEXT}".encode(), "note-line"),  # its last lines are no signature
        (b"one line\n", "note-form"),
        (b"one line\n\n", "note-form"),
        (f"\n\n{GOOD}".encode(), "note-form"),
        (f"\n{GOOD}".encode(), "note-form"),
        (f"{TEXT}{GOOD}".encode(), "note-line"),
        (f"{TEXT}\n{GOOD}"[:-1].encode(), "note-form"),
        (f"{TEXT}\n{GOOD}\n".encode(), "note-form"),
        (f"{TEXT}\n{GOOD}x".encode(), "note-form"),
        (f"{TEXT}\n{GOOD}x\n".encode(), "note-line"),
        (f"{TEXT}\n{GOOD}{GOOD}".encode(), "note-duplicate"),
        (f"{TEXT}\n{GOOD}".replace("—", "-").encode(), "note-line"),
        (f"{TEXT}\n{GOOD}".replace("— ", "—").encode(), "note-line"),
        (f"{TEXT}\n{GOOD}".replace("— ", "—  ").encode(), "note-line"),
        (f"{TEXT}\n{GOOD}".replace("\n", "\r\n").encode(), "note-control"),
        (f"{TEXT}\0\n\n{GOOD}".encode(), "note-control"),
        (f"{TEXT}\t\n\n{GOOD}".encode(), "note-control"),
        (b"\xff" + f"{TEXT}\n{GOOD}".encode(), "note-utf8"),
        (b"\xed\xa0\x80" + f"{TEXT}\n{GOOD}".encode(), "note-utf8"),
        (b"\xc0\xaf" + f"{TEXT}\n{GOOD}".encode(), "note-utf8"),
        (f"{TEXT}\n— a+b AAAAAAA=\n".encode(), "note-line"),
        (f"{TEXT}\n— a\u00a0b AAAAAAA=\n".encode(), "note-line"),
        (f"{TEXT}\n— a\u3000b AAAAAAA=\n".encode(), "note-line"),
        (f"{TEXT}\n—  AAAAAAA=\n".encode(), "note-line"),
        (f"{TEXT}\n— a AAAAAA==\n".encode(), "note-line"),  # an id and nothing
        (f"{TEXT}\n— a \n".encode(), "note-line"),
        (f"{TEXT}\n— a\n".encode(), "note-line"),
        (f"{TEXT}\n— a AAAAAAA=  \n".encode(), "note-line"),
        (f"{TEXT}\n— a AAAAAAA= AAAAAAA=\n".encode(), "note-line"),
        (f"{TEXT}\n— a AAAAAAA\n".encode(), "note-line"),  # no padding
        (f"{TEXT}\n— a AAAAAAB=\n".encode(), "note-line"),  # bits that no byte holds
        (f"{TEXT}\n— a AAAA_AA=\n".encode(), "note-line"),
        (f"{TEXT}\n— {'n' * (KEY_NAME_BYTES_MAX + 1)} AAAAAAA=\n".encode(), "note-line"),
        (f"{'x' * NOTE_BYTES_MAX}\n\n{GOOD}".encode(), "note-size"),
    ],
)
def test_what_is_no_note(data: bytes, expected: str) -> None:
    assert reason(data, LOG.key) == expected


def test_as_many_signatures_as_may_be_and_one_more() -> None:
    lines = [NoteSignature(f"k{n}", b"1234", b"s") for n in range(NOTE_SIGNATURES_MAX + 1)]
    most = Note(TEXT, tuple(lines[:-1]))
    assert parse_note(most.to_bytes()) == most
    assert reason(Note(TEXT, tuple(lines)).to_bytes(), LOG.key) == "note-signatures"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), min_size=1, max_size=80))
def test_notes_go_both_ways_and_mean_the_same(text: str) -> None:
    text = f"{text}\n"
    note = Note(text, (LOG.sign(text),))
    if text.strip("\n"):
        assert parse_note(note.to_bytes()) == note
        assert verify_note(note, [LOG.key])


@given(st.integers(0, 3), st.binary(max_size=60))
def test_whatever_comes_is_a_note_or_a_remote_error(place: int, junk: bytes) -> None:
    at = len(NOTE.to_bytes()) * place // 3
    data = NOTE.to_bytes()[:at] + junk + NOTE.to_bytes()[at:]
    try:
        note = parse_note(data)
    except RemoteError:
        return
    assert note.to_bytes() == data


def test_signing_again_takes_the_older_ones_place() -> None:
    older, newer = WITNESSES[0].sign(TEXT, 1), WITNESSES[0].sign(TEXT, 2)
    note = Note(TEXT, (LOG.sign(TEXT), older)).signed([newer, WITNESSES[1].sign(TEXT, 2)])
    assert [signature.name for signature in note.signatures] == [
        LOG.key.name,
        WITNESSES[0].key.name,
        WITNESSES[1].key.name,
    ]
    assert note.signatures[1] == newer


def test_signature_lines_alone() -> None:
    lines = "".join(witness.sign(TEXT, 5).line for witness in WITNESSES).encode()
    assert [signature.line for signature in parse_signature_lines(lines)] == lines.decode().splitlines(True)
    for bad in (b"", b"\n", lines[:-1], lines + b"\n", lines + lines, bytes(NOTE_BYTES_MAX + 1)):
        with pytest.raises(RemoteError):
            parse_signature_lines(bad)


# ---- keys as text


@pytest.mark.parametrize("algorithm", [ED25519, COSIGNATURE])
def test_keys_go_both_ways(algorithm: int) -> None:
    signer = NoteSigner("k.example/서울", Signer.from_seed(bytes(range(32))), algorithm)
    assert VerifierKey.parse(signer.key.text) == signer.key
    again = NoteSigner.parse(signer.text)
    assert again.key == signer.key
    assert again.sign(TEXT, 3) == signer.sign(TEXT, 3)
    assert base64.b64encode(bytes(range(32))).decode()[:40] not in repr(again)


def test_what_is_no_key() -> None:
    good = LOG.key.text
    name, key_id, key = good.split("+", 2)
    spoiled = [text.decode("latin-1") for text in flipped(good.encode())]
    other = base64.b64encode(b"\x02" + LOG.key.public).decode()
    short = base64.b64encode(b"\x01" + LOG.key.public[:31]).decode()
    upper = f"{name}+{key_id.upper()}+{key}"
    assert upper != good
    for text in (
        *spoiled,
        "",
        "a",
        "a+b",
        f"{name}+{key_id}+{other}",
        f"{name}+{key_id}+{short}",
        upper,
        LOG.text,
    ):
        with pytest.raises(RemoteError) as raised:
            VerifierKey.parse(text)
        assert raised.value.reason == "note-key"


def test_what_is_no_secret_key() -> None:
    spoiled = [text.decode("latin-1") for text in flipped(LOG.text.encode())]
    for text in (*spoiled, "", LOG.key.text, "PRIVATE+KEY+"):
        with pytest.raises(LocalError):
            NoteSigner.parse(text)


def test_what_a_key_may_be_called() -> None:
    for name in ("a", "seoul.example/강남구", "x" * KEY_NAME_BYTES_MAX, "a—b"):
        assert is_key_name(name)
    for name in ("", "a b", "a+b", "a\u2003b", "a\x85b", "a\nb", "a\x1fb", "\ud800", "한" * 86):
        assert not is_key_name(name)
    for bad in (("a b", bytes(32), ED25519), ("a", bytes(31), ED25519), ("a", bytes(32), 2)):
        with pytest.raises(LocalError):
            VerifierKey(*bad)


@given(st.text(max_size=12))
def test_base64_is_read_in_one_way(text: str) -> None:
    data = decode_base64(text)
    assert data is None or base64.b64encode(data).decode() == text
