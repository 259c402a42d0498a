"""Receipts: the published form, strictly read, and proof of one entry only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import PROOF_HASHES_MAX, RECEIPT_BYTES_MAX, RECEIPT_EXTRA_BYTES_MAX
from p2pworld.merkle.receipt import Receipt, hash_lines, parse_hash_lines, parse_receipt, verify_receipt
from tests.merkle.signed import LEAVES, LOG, ORIGIN, WITNESS_KEYS, checkpoint, flipped, receipt

RECEIPT = receipt(11, 37, extra=b"extra")
DATA = RECEIPT.to_bytes()


def verified(data: bytes, leaf: bytes = LEAVES[11], quorum: int = 2) -> int:
    """The size of the tree in which the receipt proves this leaf."""
    opened = verify_receipt(parse_receipt(data), leaf, ORIGIN, [LOG.key], WITNESS_KEYS, quorum)
    return opened.checkpoint.size


def reason(data: bytes, leaf: bytes = LEAVES[11], quorum: int = 2) -> str:
    with pytest.raises(RemoteError) as raised:
        verified(data, leaf, quorum)
    return raised.value.reason


def test_the_published_form() -> None:
    lines = DATA.decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra ZXh0cmE=", "index 11"]
    assert [len(line) for line in lines[3:9]] == [44] * 6
    assert lines[9:12] == ["", ORIGIN, "37"]
    assert receipt(11, 37).to_bytes() == DATA.replace(b"extra ZXh0cmE=\n", b"")
    assert parse_receipt(receipt(0, 1, extra=b"x").to_bytes()).extra == b"x"


@given(
    st.integers(1, 37).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))), st.binary(max_size=40)
)
def test_receipts_go_both_ways_and_prove_their_entry(where: tuple[int, int], extra: bytes) -> None:
    index, size = where
    made = receipt(index, size, extra=extra)
    assert parse_receipt(made.to_bytes()) == made
    assert verified(made.to_bytes(), LEAVES[index]) == size
    for other in range(37):
        if other != index:
            assert reason(made.to_bytes(), LEAVES[other]) == "proof-root"


def test_a_quorum_is_asked_for() -> None:
    assert verified(DATA, quorum=0) == verified(DATA, quorum=2) == 37
    assert reason(DATA, quorum=3) == "checkpoint-quorum"


def test_every_changed_byte_is_noticed() -> None:
    for spoiled in flipped(DATA):
        try:
            read = parse_receipt(spoiled)
            verify_receipt(read, LEAVES[11], ORIGIN, [LOG.key], WITNESS_KEYS, 2)
        except RemoteError:
            continue
        assert read.extra != RECEIPT.extra  # which nothing proves
        assert (read.index, read.proof, read.checkpoint) == (11, RECEIPT.proof, RECEIPT.checkpoint)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("c2sp.org/tlog-proof@v1\n", "", "receipt-form"),
        ("@v1", "@v2", "receipt-form"),
        ("@v1\n", "@v1\n\n", "receipt-form"),
        ("extra ZXh0cmE=", "extra ", "receipt-form"),
        ("extra ZXh0cmE=", "extra ZXh0cmF=", "receipt-form"),
        ("extra ZXh0cmE=", "extra ZXh0cmE= ", "receipt-form"),
        ("extra ZXh0cmE=", "Extra ZXh0cmE=", "receipt-index"),
        ("extra ZXh0cmE=", "extra ZXh0cmE=\nextra ZXh0cmE=", "receipt-index"),
        ("extra ZXh0cmE=\nindex 11", "index 11\nextra ZXh0cmE=", "proof-hash"),
        ("index 11\n", "", "receipt-index"),
        ("index 11", "index 011", "receipt-index"),
        ("index 11", "index -1", "receipt-index"),
        ("index 11", "index 11 ", "receipt-index"),
        ("index 11", f"index {2**53}", "receipt-index"),
        ("index 11", "index 37", "proof-index"),
        ("index 11", "index 10", "proof-root"),
        ("index 11\n", "index 11\n" + "A" * 43 + "=\n", "proof-length"),
        ("index 11\n", "index 11\n" + ("A" * 43 + "=\n") * 60, "proof-length"),
        ("index 11\n", "index 11\nAAAA\n", "proof-hash"),
        ("index 11\n", "index 11\n ", "proof-hash"),
        ("index 11\n", "index 11\n\n", "checkpoint-form"),
        (f"\n\n{ORIGIN}", f"\n{ORIGIN}", "proof-hash"),
        (f"\n\n{ORIGIN}", f"\n\n\n{ORIGIN}", "checkpoint-form"),
        ("\n", "\r\n", "receipt-form"),
    ],
)
def test_what_is_no_receipt(old: str, new: str, expected: str) -> None:
    assert reason(DATA.decode().replace(old, new).encode()) == expected


def test_what_is_cut_short_or_too_long() -> None:
    for cut in range(len(DATA)):
        with pytest.raises(RemoteError):
            verified(DATA[:cut])
    assert reason(DATA + b"x") == reason(DATA + b"\n") == "note-form"
    assert reason(bytes(RECEIPT_BYTES_MAX + 1)) == "receipt-size"
    with pytest.raises(LocalError):
        Receipt(0, (), checkpoint(1), bytes(RECEIPT_EXTRA_BYTES_MAX + 1))
    with pytest.raises(LocalError):
        Receipt(0, (bytes(32),) * (PROOF_HASHES_MAX + 1), checkpoint(1))
    largest = Receipt(0, (bytes(32),) * PROOF_HASHES_MAX, checkpoint(1), bytes(RECEIPT_EXTRA_BYTES_MAX))
    assert parse_receipt(largest.to_bytes()) == largest
    longer = largest.to_bytes().replace(b"extra AAAA", b"extra AAAAAAAA")
    assert reason(longer) == "receipt-form"


def test_proof_lines_go_both_ways() -> None:
    lines = hash_lines(LEAVES[:4])
    assert parse_hash_lines(lines.splitlines()) == tuple(LEAVES[:4])
