"""Letters: who reads one, what passes a case on, and that an act without words is in the log as it was meant."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.transaction import Secrets, blob_key, open_locked, open_sealed, verify_filing
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import LocalError, RemoteError
from p2pworld.services.case_log import case_act_of
from p2pworld.services.letters import (
    Intent,
    file_act,
    file_letter,
    keys_of,
    keys_text,
    reply_key_of,
    reply_secret,
)
from p2pworld.services.workflow import Action

if TYPE_CHECKING:
    from p2pworld.civic.transaction import Submission

OFFICIAL = Signer.from_seed(b"\x01" * 32)
OFFICE, OTHER_OFFICE, SEED = b"\x02" * 32, b"\x03" * 32, b"\x04" * 32
MINUTE = 29_500_000
COMPLETE = Intent("jongno", 7, 2, Action.COMPLETE)


def answer(*readers: bytes) -> Submission:
    secrets = Secrets(b"\x05" * 32, b"\x06" * 32, b"\x07" * 32)
    private = {"text": "고쳤어요.", "language": "ko"}
    return file_letter(COMPLETE, MINUTE, OFFICIAL, OFFICIAL, private, readers, secrets)


def test_an_act_is_signed_by_its_own_key_and_by_whoever_acts() -> None:
    made = file_act(Intent("jongno", 7, 1, Action.ASK, 10), MINUTE, OFFICIAL, SEED)
    assert verify_filing(made.filing, made.sig)
    act = case_act_of(made.filing)
    assert act == Intent("jongno", 7, 1, Action.ASK, 10).act(made.filing.key)
    assert made.filing.public[4].value == OFFICIAL.public.hex()
    assert made.sealed is None


def test_a_letter_is_read_by_the_office_and_by_whoever_kept_the_seed_of_the_filing() -> None:
    reply = sealing_public(reply_secret(SEED))
    made = answer(sealing_public(OFFICE), reply)
    assert made.sealed is not None
    for secret in (OFFICE, reply_secret(SEED)):
        private = open_sealed(made.filing, made.sealed, secret)
        assert private.fields[0].value == "고쳤어요."
        assert private.identity == OFFICIAL.public
    with pytest.raises(RemoteError, match="not sealed for this office"):
        open_sealed(made.filing, made.sealed, OTHER_OFFICE)


def test_the_reply_key_is_read_from_what_was_sealed_or_there_is_none() -> None:
    key = sealing_public(reply_secret(SEED))
    assert reply_key_of({"reply-key": key.hex()}) == key
    assert reply_secret(SEED) == hashlib.sha256(b"p2pworld case reply v1\n" + SEED).digest()
    for text in ("", "ab", "zz" * 32, key.hex() + "00"):
        assert reply_key_of({"reply-key": text}) is None
    assert reply_key_of({}) is None


def test_another_office_opens_what_it_was_passed_the_key_of() -> None:
    made = answer(sealing_public(OFFICE))
    assert made.sealed is not None
    passed = keys_text({7: blob_key(made.sealed, OFFICE)})
    opened = open_locked(made.filing, made.sealed, keys_of(passed)[7])
    assert opened == open_sealed(made.filing, made.sealed, OFFICE)
    with pytest.raises(RemoteError, match="altered"):
        open_locked(made.filing, made.sealed, b"\x09" * 32)


@given(st.dictionaries(st.integers(0, 10**14), st.binary(min_size=32, max_size=32), max_size=50))
def test_keys_that_were_passed_on_are_read_as_they_were_written(keys: dict[int, bytes]) -> None:
    assert keys_of(keys_text(keys)) == keys


def test_what_passes_on_no_keys_is_told() -> None:
    with pytest.raises(LocalError, match="400 sealed letters"):
        keys_text({entry: bytes(32) for entry in range(400)})
    for text in ("7", "7 abc", f"07 {'0' * 64}", f"-1 {'0' * 64}", f"7  {'0' * 64}"):
        with pytest.raises(RemoteError) as raised:
            keys_of(text)
        assert raised.value.reason == "case-keys"
