"""A person's root and devices: words that bring it back or say what is wrong, and lines that only a root can write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, RemoteError
from p2pworld.services.identity import (
    RECOVERY_WORDS,
    Device,
    entropy_of,
    parse_device,
    parse_lost,
    root_of,
    sign_device,
    sign_lost,
    words_of,
)

ENTROPY = st.binary(min_size=16, max_size=16)
ROOT = root_of(bytes(range(16)))
DEVICE = Signer.from_seed(bytes(range(32))).public


@given(ENTROPY)
def test_nine_words_bring_back_what_they_were_made_of(entropy: bytes) -> None:
    words = words_of(entropy)
    assert entropy_of(words) == entropy
    assert entropy_of(f"  {words.upper().replace(' ', '-')}\n") == entropy
    assert entropy_of(words.replace(" ", ",\n")) == entropy
    assert root_of(entropy_of(words)).public == root_of(entropy).public


@given(ENTROPY, ENTROPY)
def test_other_bytes_are_other_words_and_another_root(one: bytes, other: bytes) -> None:
    assert (words_of(one) == words_of(other)) == (one == other)
    assert (root_of(one).public == root_of(other).public) == (one == other)


@given(ENTROPY, st.integers(0, RECOVERY_WORDS - 1), st.integers(0, 4))
def test_a_letter_heard_wrong_is_noticed(entropy: bytes, word: int, letter: int) -> None:
    words = words_of(entropy).split()
    right = words[word][letter]
    letters = "bdfghjklmnprstvz" if letter % 2 == 0 else "aiou"
    missed = 0
    for wrong in letters.replace(right, ""):
        words[word] = words[word][:letter] + wrong + words[word][letter + 1 :]
        try:
            missed += entropy_of(" ".join(words)) is not None
        except LocalError:
            continue
    assert missed <= 1  # of 65 536 wrong ones, one passes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "0 words"),
        ("babab " * 8, "8 words"),
        ("babab " * 10, "10 words"),
        ("babab " * 4 + "korea " + "babab " * 4, r"word 5 \(korea\)"),
        ("babab " * 8 + "babad", "look again"),
    ],
)
def test_what_is_wrong_is_said(text: str, sentence: str) -> None:
    with pytest.raises(LocalError, match=sentence):
        entropy_of(text)


def test_a_root_is_made_of_sixteen_bytes() -> None:
    with pytest.raises(LocalError, match="16 bytes"):
        root_of(bytes(32))


# ---- devices


def test_what_a_root_says_of_devices_reads_back() -> None:
    device = sign_device(ROOT, DEVICE, "전화기", 29_400_000)
    assert parse_device(f" {device.to_text()}\n") == device
    lost = sign_lost(ROOT, DEVICE, 29_400_001)
    assert parse_lost(lost.to_text()) == lost


@given(at=st.integers(min_value=0), letter=st.sampled_from("AZaz09-_"))
def test_no_letter_of_it_can_be_changed(at: int, letter: str) -> None:
    text = sign_device(ROOT, DEVICE, "phone", 29_400_000).to_text()
    at %= len(text)
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        with pytest.raises(RemoteError):
            parse_device(changed)


def test_who_is_not_the_root_cannot_say_it() -> None:
    device = sign_device(ROOT, DEVICE, "phone", 29_400_000)
    thief = Signer.from_seed(bytes(32))
    forged = Device(1, ROOT.public, thief.public, "phone", 29_400_000, device.sig)
    with pytest.raises(RemoteError, match="did not sign"):
        parse_device(forged.to_text())
    with pytest.raises(RemoteError):
        parse_lost(device.to_text())


@pytest.mark.parametrize("text", ["", "x", "한글", "A" * 601, "gA", "wQ"])
def test_other_lines_say_nothing_of_a_device(text: str) -> None:
    with pytest.raises(RemoteError, match="says nothing"):
        parse_device(text)


def test_a_label_has_its_length() -> None:
    with pytest.raises(LocalError, match="label"):
        sign_device(ROOT, DEVICE, "x" * 41, 29_400_000)
