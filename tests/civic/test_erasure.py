"""Who asks to have something erased, and how that is signed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pworld.civic.erasure import (
    ERASED,
    Asked,
    Erasure,
    asked_of,
    check_asker,
    check_erasure,
    file_erasure,
)
from p2pworld.civic.transaction import Field, Filing, check_submission, parse_submission
from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, Refusal
from tests.civic.log_world import DESK, MINUTE, STREAM, TYPES, erasure, own_key, submission

SEED = bytes([71]) * 32
FILED = erasure(0, 7, own_key(3))


def with_field(name: str, value: str) -> Filing:
    fields = tuple(Field(one.name, value if one.name == name else one.value) for one in FILED.filing.public)
    return replace(FILED.filing, public=fields)


def reason(refusal: Refusal | None) -> str:
    return refusal.reason if refusal else ""


def test_an_erasure_is_taken_like_any_other_filing() -> None:
    assert parse_submission(FILED.to_bytes()) == FILED
    assert check_submission(FILED, STREAM, TYPES) is None
    assert check_erasure(FILED.filing) is None
    asked = asked_of(FILED.filing)
    assert asked is not None
    assert (asked.index, asked.by) == (7, own_key(3).public)
    assert FILED.filing.key not in (asked.by, DESK.public)
    assert file_erasure(STREAM, 7, MINUTE, own_key(3), SEED).fingerprint != FILED.fingerprint


def test_the_asker_signs_entry_stream_and_filing() -> None:
    """Nobody can take what somebody signed and file it for another entry, in another log, or once more."""
    other = erasure(1, 7, own_key(3)).filing
    for filing in (
        with_field("index", "8"),
        with_field("by", own_key(4).public.hex()),
        with_field("asked", bytes(64).hex()),
        replace(FILED.filing, stream="mapo"),
        replace(FILED.filing, key=other.key),
    ):
        assert reason(check_erasure(filing)) == "civic-signature"
    statement = Erasure(STREAM, 7, FILED.filing.key).statement()
    assert statement.startswith(b"p2pworld civic erasure v1\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index", ""),
        ("index", "-1"),
        ("index", "07"),
        ("index", "1" * 16),
        ("index", "\u0661"),
        ("by", "ab"),
        ("by", own_key(3).public.hex().upper()),
        ("asked", ""),
    ],
)
def test_what_is_not_as_the_type_has_it_asks_for_nothing(name: str, value: str) -> None:
    signer = Signer.from_seed(SEED)
    filing = replace(with_field(name, value), key=signer.public)
    said = replace(FILED, filing=filing, sig=signer.sign(filing.statement()))
    assert asked_of(filing) is None
    assert reason(check_submission(said, STREAM, TYPES)) == "civic-field"


def test_another_filing_asks_for_nothing() -> None:
    assert asked_of(submission(0).filing) is None
    assert check_erasure(submission(0).filing) is None
    assert not ERASED.sealed
    for index in (-1, 1 << 53):
        with pytest.raises(LocalError):
            file_erasure(STREAM, index, MINUTE, DESK, SEED)


def test_who_may() -> None:
    leaf = submission(3).leaf(1)
    own, desk, other = (Asked(7, key.public, b"") for key in (own_key(3), DESK, own_key(4)))
    assert check_asker(own, leaf, ()) is None
    assert check_asker(desk, leaf, {DESK.public}) is None
    assert reason(check_asker(desk, leaf, ())) == "civic-erase-right"
    assert reason(check_asker(other, leaf, {DESK.public})) == "civic-erase-right"
    assert reason(check_asker(desk, None, {DESK.public})) == "civic-erase-none"
    assert reason(check_asker(desk, FILED.leaf(1), {DESK.public})) == "civic-erase-open"
