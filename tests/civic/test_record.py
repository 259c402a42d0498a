"""A log's record as it lies in the coordination store: one way to write it, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.heads import Record, parse_record
from p2pworld.errors import RemoteError
from p2pworld.limits import KEY_NAME_BYTES_MAX, LOG_SIZE_MAX, RECORD_BYTES_MAX
from tests.merkle.signed import ORIGIN

RECORD = Record(ORIGIN, 7, bytes(range(32)), 3)


@given(
    st.integers(0, LOG_SIZE_MAX),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**53 - 1),
    st.sampled_from([b"", bytes(range(32))]),
)
def test_what_was_written_is_read_and_is_short(size: int, root: bytes, epoch: int, key: bytes) -> None:
    record = Record("가" * (KEY_NAME_BYTES_MAX // 3), size, root, epoch, key)
    assert parse_record(record.to_bytes()) == record
    assert len(record.to_bytes()) <= RECORD_BYTES_MAX


def test_it_can_be_read_by_people() -> None:
    assert RECORD.to_bytes().decode().splitlines() == [
        ORIGIN,
        "7",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "epoch 3",
    ]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"epoch 3\n", b"", "record-form"),
        (b"epoch 3", b"epoch 03", "record-form"),
        (b"epoch 3", b"epoch 3\nepoch 4", "record-form"),
        (b"epoch 3\n", b"epoch 3\nkey 00\n", "record-form"),
        (b"epoch 3", b"key " + b"00" * 32, "record-form"),
        (b"epoch 3", b"epoch 3\nkey " + b"00" * 32 + b"\nkey " + b"00" * 32, "record-form"),
        (b"epoch", b"\xff", "record-form"),
        (b"\n7\n", b"\n07\n", "checkpoint-size"),
        (b"AAEC", b"AAE", "checkpoint-root"),
        (b"3\n", b"3", "checkpoint-form"),
    ],
)
def test_anything_else_is_no_record(before: bytes, after: bytes, reason: str) -> None:
    assert before in RECORD.to_bytes()
    with pytest.raises(RemoteError) as caught:
        parse_record(RECORD.to_bytes().replace(before, after))
    assert caught.value.reason == reason
