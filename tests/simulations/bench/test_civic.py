"""The benchmarks of the civic log, small: they file, verify and count, and their figures are of the kind they say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import pytest

from client.policy import policy_of_keys
from client.verify import Status, verify_paths
from p2pworld.merkle.note import VerifierKey
from simulations.bench.civic import filings, in_process
from simulations.bench.civic.citizens import read_filings, write_filings
from simulations.bench.civic.doors import HttpDoor
from simulations.bench.civic.filings import filed, make_log
from simulations.bench.civic.run import Filing, Office
from simulations.bench.civic.traced import count_flushes
from simulations.bench.civic.verifying import receipt_figures
from simulations.bench.commands import STDOUT, bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def test_filing_in_one_process_gives_the_figures(tmp_path: Path) -> None:
    figures = await in_process.measure(tmp_path, 40, 8)
    assert figures["in_process_tx_per_s_core"] > 0
    assert 1 <= figures["batch"] <= 8
    assert (
        figures["fsyncs"] > 40 / 8 * 6
    )  # of each batch: store, record, two files, the checkpoint and its folder


def test_a_made_log_verifies_leaf_by_leaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made in several pieces, of which the last changes no tile of the upper level."""
    monkeypatch.setattr(filings, "PIECE", 128)
    key = make_log(tmp_path, 300, processes=1)
    policy = policy_of_keys([VerifierKey.parse(key)], 0)
    report = verify_paths([tmp_path], policy, leaves=True)
    assert [finding.status for finding in report.findings] == [Status.OK], report
    assert report.findings[0].facts["size"] == 300


@pytest.mark.parametrize(("size", "hashes"), [(1, 0), (2**10, 10), (2**53 - 1, 53)])
def test_a_receipt_costs_a_hash_for_each_doubling(size: int, hashes: int) -> None:
    figures = receipt_figures(size, 1)
    assert figures["hashes"] == hashes
    assert (
        0 <= figures["bytes"] - 45 * hashes - receipt_figures(1, 1)["bytes"] < 20
    )  # and the digits of the size


def test_filings_come_out_of_a_file_as_they_went_in(tmp_path: Path) -> None:
    three = filed(3, 5)
    write_filings(tmp_path / "filings", three)
    assert read_filings(tmp_path / "filings") == three
    assert len(set(three)) == 3


def test_answers_over_http_come_in_any_pieces() -> None:
    door = HttpDoor("http://127.0.0.1:1")
    answers = b"HTTP/1.1 200 \r\ncontent-length: 7\r\n\r\nreceipt"
    answers += b'HTTP/1.1 503 \r\nContent-Length: 24\r\n\r\n{"reason": "civic-busy"}'
    found = []
    for n, (begin, end) in enumerate(((0, 44), (44, len(answers)))):
        door.request(n, b"filing")
        for at in range(begin, end):
            found += door.feed(answers[at : at + 1])
    assert [(answer.receipt, answer.reason) for answer in found] == [(b"receipt", ""), (b"", "civic-busy")]


def test_only_flushes_are_counted(tmp_path: Path) -> None:
    report = tmp_path / "strace"
    report.write_text(
        "7 fsync(3) = 0\n7 fdatasync(4 <unfinished ...>\n8 <... fdatasync resumed>) = 0\n7 +++ exited\n"
    )
    assert count_flushes(report) == 2


def test_a_real_node_is_filed_at_from_outside(tmp_path: Path) -> None:
    filings = filed(1 + 60 + 20 + 10, int(time.time()) // 60)
    wanted = Filing(60, sockets=4, limit=4)
    with Office(tmp_path / "office", filings) as office:
        full = office.file(wanted, 60, "full")
        paced = office.file(wanted, 20, "paced 1000")
        http = office.file(wanted, 10, "full", http=True)
        assert [len(ran.waited_ms) for ran in (full, paced, http)] == [60, 20, 10]
        assert not full.reasons | paced.reasons | http.reasons
        assert sum(office.verified(ran) for ran in (full, paced, http)) == 90
        assert office.rest == []
    assert 1 <= full.batch <= 16
    assert full.cpu_s > 0


def every(command: click.Command) -> Iterator[click.Command]:
    """It, and all below it."""
    yield command
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from every(below)


@pytest.mark.parametrize("command", list(every(bench)), ids=str)
def test_no_option_is_there_twice_and_json_needs_no_file(command: click.Command) -> None:
    names = [name for parameter in command.params for name in parameter.opts]
    assert len(names) == len(set(names))
    if "--json" in names:
        assert command.make_context("it", ["--json"]).params["json_file"] == STDOUT
