"""Real node processes that hold a log, and citizens who file while its holder is killed, ended, moved, and lied about.

One city of three nodes; the second holds the stream in a file, so that the log stays on its machine.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from client.policy import policy_of_keys
from client.verify import Status, verify_paths
from client.walk import places_around
from p2pworld.civic.receipts import noted_epoch
from p2pworld.civic.transaction import parse_leaf
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import VerifierKey
from p2pworld.merkle.receipt import parse_receipt
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from simulations.processes import City
from tests.civic.citizens import Citizens, by_http, by_socket, new_submission
from tests.shard_node.test_city_of_processes import wait_ready, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from simulations.processes import NodeProcess

TTL_S = 1.0
AT_MOST_S = 30.0
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


def key_of(node: NodeProcess) -> str:
    (stream,) = node.ask_json("/civic/streams")["streams"]
    return str(stream["key"])


def wait_held(node: NodeProcess, *, than: int = 0) -> int:
    """Until this node holds the stream, idle, in an epoch later `than` that; which."""

    def epoch() -> int:
        logs = node.ask_json("/healthz").get("civic", [])
        return int(logs[0]["epoch"]) if logs and logs[0]["stage"] == "idle" else 0

    wait_until(
        lambda: epoch() > than,
        AT_MOST_S,
        lambda: f"{node.name}: {node.ask_json('/healthz')}\n{node.log_tail()}",
    )
    return epoch()


def check_log(folder: Path, citizens: Citizens, tmp_path: Path) -> set[int]:
    """Everything accepted is in the published log, once, and verifies as anybody would do it; in which epochs."""
    key = VerifierKey.parse(citizens.key)
    paths = [folder]
    for number, (submission, receipt) in enumerate(citizens.filed):
        paths += [tmp_path / f"{number}.receipt", tmp_path / f"{number}.submission"]
        paths[-2].write_bytes(receipt.to_bytes())
        paths[-1].write_bytes(submission.to_bytes())
    report = verify_paths(paths, policy_of_keys([key], 0), leaves=True)
    assert not [finding for finding in report.findings if finding.status is not Status.OK], report
    assert report.fork is None
    log = PublishedLog(folder)
    note = log.note(CHECKPOINT)
    assert note is not None
    size = Checkpoint.parse(note.text).size
    leaves = [parse_leaf(log.entry(index, size)) for index in range(size)]
    assert len({leaf.filing.key for leaf in leaves}) == size, "one transaction twice"
    for submission, receipt in citizens.filed:
        assert leaves[receipt.index].filing == submission.filing
        assert leaves[receipt.index].epoch == noted_epoch(receipt)
    citizens.check_one_root_per_size()
    epochs = [leaf.epoch for leaf in leaves]
    assert epochs == sorted(epochs)
    return set(epochs)


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
