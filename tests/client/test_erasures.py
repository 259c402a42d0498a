"""What `p2pworld verify` says of what is sealed: whether it is what was signed for, and what is erased by whom."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from client.erasures import erasures
from p2pworld.civic.erasure import ERASED
from p2pworld.civic.transaction import Field, Submission, wraps_hash
from p2pworld.crypto.keys import Signer
from p2pworld.errors import RemoteError
from p2pworld.merkle.proof import inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tiles import TileHashes
from shard_node.cli import main
from tests.civic.log_world import DESK, erasure, own_key, submission
from tests.client.logs_on_disk import log_of, write_log
from tests.merkle.signed import LOG

if TYPE_CHECKING:
    from pathlib import Path

FILED = [
    *(submission(number) for number in range(4)),
    erasure(0, 1, own_key(1)),
    erasure(1, 2, DESK),
    erasure(2, 1, DESK),
]


def forged(index: int) -> Submission:
    """An erasure that its own key signed, and nobody asked for."""
    good = erasure(9, index)
    fields = tuple(
        replace(field, value="00" * 64) if field.name == "asked" else field for field in good.filing.public
    )
    signer = Signer.from_seed(bytes([5]) * 32)
    filing = replace(good.filing, key=signer.public, public=fields)
    return Submission(filing, signer.sign(filing.statement()))


def verify(*words: object) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(main, ["verify", "--json", "--key", LOG.key.text, *map(str, words)])
    return result.exit_code, json.loads(result.stdout)["findings"]


def receipt_of(folder: Path, filings: list[Submission], index: int) -> Path:
    entries = [each.leaf(1).to_bytes() for each in filings]
    note = write_log(folder / "log", entries, [len(entries)])
    _, files = log_of(entries, [len(entries)])
    proof = prove(inclusion_spans(index, len(entries)), TileHashes(len(entries), files))
    (folder / f"{index}.proof").write_bytes(Receipt(index, proof, note).to_bytes())
    return folder / f"{index}.proof"


def test_of_an_entry_it_is_said_that_it_is_erased_by_which_other_and_by_whose_word(tmp_path: Path) -> None:
    said = {
        1: (4, "entry 4 says so, asked for with the key that it was filed with."),
        2: (5, f"entry 5 says so, asked for with the key {DESK.public.hex()}, which must be that of a desk."),
    }
    for index, (by_entry, words) in said.items():
        path = receipt_of(tmp_path, FILED, index)
        code, [log, receipt] = verify("--leaves", tmp_path / "log", path)
        assert code == 0
        assert "What was sealed with 2 of them is erased." in log["sentences"]
        assert [(one["index"], one["by_entry"]) for one in log["facts"]["erased"]] == [(1, 4), (2, 5)]
        assert receipt["facts"]["erased"]["by_entry"] == by_entry
        assert any(sentence.endswith(words) for sentence in receipt["sentences"])


def test_of_others_nothing_is_said(tmp_path: Path) -> None:
    path = receipt_of(tmp_path, FILED[:4], 0)
    code, [log, receipt] = verify(tmp_path / "log", path)
    assert (code, log["facts"]["erased"]) == (0, [])
    assert "erased" not in receipt["facts"]


def test_an_erasure_that_nobody_asked_for_is_wrong(tmp_path: Path) -> None:
    path = receipt_of(tmp_path, [submission(0), forged(0)], 0)
    code, [log, receipt] = verify("--leaves", tmp_path / "log", path)
    assert code == 1
    assert [(fault["reason"], fault["entry"]) for fault in log["faults"]] == [("civic-signature", 1)]
    assert [fault["reason"] for fault in receipt["faults"]] == ["civic-signature"]
    (tmp_path / "leaf").write_bytes(forged(0).leaf(1).to_bytes())
    code, [leaf] = verify(tmp_path / "leaf")
    assert (code, leaf["faults"][0]["reason"]) == (1, "civic-signature")


def test_what_only_mentions_an_erasure_has_erased_nothing() -> None:
    filing = replace(submission(0).filing, public=(Field("topic", ERASED.name),))
    entries = {
        3: Submission(filing, bytes(64)).leaf(1).to_bytes(),
        4: b"erased",
        5: FILED[4].leaf(1).to_bytes(),
    }
    assert [(one.index, one.by_entry) for one in erasures(entries).values()] == [(1, 5)]
    with pytest.raises(RemoteError):
        erasures({0: forged(7).leaf(1).to_bytes()})[7].check()


def test_a_submission_whose_sealed_part_is_not_the_signed_one_is_wrong(tmp_path: Path) -> None:
    good = submission(3)
    assert good.sealed is not None
    (wrap,) = good.sealed.wraps
    spoiled = (replace(wrap, key=bytes(len(wrap.key))),)
    for sealed in (
        None,
        replace(good.sealed, wraps=spoiled),
        replace(good.sealed, wraps=spoiled, filed=wraps_hash(spoiled)),
        replace(good.sealed, blob=good.sealed.blob + b"x"),
        replace(good.sealed, nonce=bytes(32)),
    ):
        (tmp_path / "filed").write_bytes(replace(good, sealed=sealed).to_bytes())
        code, [found] = verify(tmp_path / "filed")
        assert (code, [fault["reason"] for fault in found["faults"]]) == (1, ["civic-sealed"])
    (tmp_path / "filed").write_bytes(good.to_bytes())
    assert verify(tmp_path / "filed")[0] == 0
    (tmp_path / "filed").write_bytes(FILED[4].to_bytes())
    code, [found] = verify(tmp_path / "filed")
    assert code == 0
    assert found["sentences"][0].startswith("It is an erased for jongno of ")
    assert ", which has entry 1 erased and was asked for with the key " in found["sentences"][0]
