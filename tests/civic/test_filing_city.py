"""Real node processes that hold a log, and citizens who file while its holder is killed, ended, moved, and lied about.

One city of three nodes; the second holds the stream in a file, so that the log stays on its machine.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from client.walk import places_around
from p2pworld.civic.erasure import file_erasure
from p2pworld.civic.receipts import noted_epoch
from p2pworld.civic.transaction import SUGGESTION, Secrets, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.merkle.receipt import parse_receipt
from shard_node.civic.folder import CHECKPOINT
from shard_node.cli import main
from simulations.processes import City
from tests.civic.citizens import (
    OFFICE,
    PERSON,
    Citizens,
    by_http,
    by_socket,
    check_log,
    key_of,
    new_submission,
    wait_held,
)
from tests.civic.planted import found_in, raw_spellings, spellings
from tests.shard_node.test_city_of_processes import wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TTL_S = 2.0
STREAM = "city"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder: Path = tmp_path_factory.mktemp("city")
    with City(folder, 3, places_around(), 512, ttl_s=TTL_S) as started:
        started.keep_logs([STREAM], [started.nodes[1]])
        started.start()
        wait_ready(started)
        yield started
        assert started.end() == [], "a node had to be killed"


def test_the_holder_is_killed_and_goes_on_with_the_same_log(city: City, tmp_path: Path) -> None:
    holder = city.nodes[1]
    first = wait_held(holder)
    citizens = Citizens(city.nodes, STREAM, key_of(holder))

    def at(count: int) -> None:
        if count == 15:
            holder.kill()
            holder.start()
        elif count == 35:  # and once politely, as for an update
            holder.signal(signal.SIGTERM)
            assert holder.process is not None
            holder.process.wait()
            holder.start()

    citizens.run(5, 11, at)
    assert len(citizens.filed) == 55
    last = wait_held(holder, than=first)
    for submission, receipt in citizens.filed[::7]:
        again = citizens.file(submission, 2)
        assert again.index == receipt.index
    epochs = check_log(city.folder / f"{holder.name}-log" / STREAM, citizens, tmp_path)
    assert len(epochs) == 3
    assert max(epochs) == last
    wait_ready(city)


def test_whoever_does_not_hold_a_log_says_where_it_is(city: City) -> None:
    wait_held(city.nodes[1])
    for node in city.nodes:
        (told,) = node.ask_json("/civic/streams")["streams"]
        assert told["holder"] == city.nodes[1].keys.public.hex()
        assert told["url"] == f"{city.nodes[1].web_url}/log/{STREAM}"
        assert told["here"] == (node is city.nodes[1])
    submission = new_submission(STREAM)
    receipt = parse_receipt(by_http(city.nodes[0], submission.to_bytes()).receipt)
    shown = [node.ask(f"/civic/receipt/{STREAM}/{receipt.index}") for node in city.nodes]
    assert shown[0] is not None
    assert shown[0] == shown[1] == shown[2]
    assert noted_epoch(parse_receipt(shown[0])) == noted_epoch(receipt)
    assert len({node.ask(f"/log/{STREAM}/{CHECKPOINT}") for node in city.nodes}) == 1


@pytest.mark.parametrize(
    ("submission", "reason"),
    [
        (new_submission("jongno"), "civic-stream"),
        (new_submission(STREAM, minute=int(time.time()) // 60 - 30), "civic-clock"),
    ],
)
def test_what_cannot_be_filed_is_refused_by_every_node_alike(
    city: City, submission: object, reason: str
) -> None:
    from p2pworld.civic.transaction import Submission

    assert isinstance(submission, Submission)
    wait_held(city.nodes[1])
    for node in city.nodes:
        for way in (by_http, by_socket):
            told = way(node, submission.to_bytes())
            assert (told.receipt, told.reason) == (b"", reason)


def test_a_long_one_comes_through_by_every_way(city: City) -> None:
    wait_held(city.nodes[1])
    citizens = Citizens(city.nodes, STREAM, key_of(city.nodes[1]))
    long = new_submission(STREAM, "가" * 19_000)
    receipts = [citizens.file(long, first) for first in range(6)]
    assert len({receipt.index for receipt in receipts}) == 1
    assert not citizens.trouble


def test_a_node_that_swallows_alters_or_lies_is_noticed(city: City) -> None:
    hostile, holder = city.nodes[0], city.nodes[1]
    hostile.signal(signal.SIGTERM)
    assert hostile.process is not None
    hostile.process.wait()
    hostile.start("tests.civic.hostile_relay")
    wait_ready(city)
    wait_held(holder)
    citizens = Citizens(city.nodes, STREAM, key_of(holder), answer_s=0.7)
    for _ in range(5):  # each begins at the hostile one
        submission = new_submission(STREAM)
        receipt = citizens.file(submission)
        assert citizens.file(submission, 1).index == receipt.index
    told = {sentence.partition(": ")[2] for sentence in citizens.trouble if sentence.startswith(hostile.name)}
    assert {"TimeoutError", "civic-type"} <= told
    assert told & {"civic-signature", "civic-sealed"}
    assert told & {
        "receipt-form",
        "proof-inclusion",
        "proof-index",
        "proof-length",
        "proof-size",
        "proof-root",
    }, told


def test_what_somebody_has_erased_is_in_no_file_of_any_node(city: City) -> None:
    """By the transaction's own key, through a node that only passes it on."""
    holder, minute = city.nodes[1], int(time.time()) // 60
    wait_held(holder)
    secrets = Secrets(*(os.urandom(32) for _ in range(3)))
    filed = file_transaction(
        SUGGESTION, STREAM, minute, {"topic": "parks"}, {"text": "의자"}, PERSON, [OFFICE], secrets
    )
    sealed = filed.sealed
    assert sealed is not None
    looked_for = {"nonce": sealed.nonce, "blob": sealed.blob[:40], "wrap": sealed.wraps[0].key[32:]}
    files = [path for path in city.folder.rglob("*") if path.is_file()]
    first = parse_receipt(by_http(city.nodes[2], filed.to_bytes()).receipt)
    assert len(found_in(files, looked_for)) >= 3
    asked = file_erasure(STREAM, first.index, minute, Signer.from_seed(secrets.seed), os.urandom(32))
    erased = parse_receipt(by_socket(city.nodes[2], asked.to_bytes()).receipt)
    assert erased.index > first.index
    again = parse_receipt(by_http(city.nodes[2], filed.to_bytes()).receipt)
    assert again.index == first.index
    for command in (["fsck"], ["backup", str(city.folder / "copy")]):  # the node runs on
        said = CliRunner().invoke(main, ["civic", command[0], "--config", str(holder.config), *command[1:]])
        assert said.exit_code == 0, said.output
    files = [path for path in city.folder.rglob("*") if path.is_file()]
    assert found_in(files, looked_for) == []


def test_no_file_of_any_node_tells_who_filed_or_what(city: City) -> None:
    """Stores, records, folders, journals, and all that was logged of everything above."""
    wait_held(city.nodes[1])
    words = ("광화문 앞에", "의자를 더 놓아", "가가가가가가")
    looked_for = {f"{word}, {how}": data for word in words for how, data in spellings(word).items()}
    looked_for |= raw_spellings(PERSON.public)
    files = [path for path in sorted(city.folder.rglob("*")) if path.is_file()]
    assert len([path for path in files if path.suffix in (".sqlite", ".log")]) > 3, files
    assert found_in(files, looked_for) == []
