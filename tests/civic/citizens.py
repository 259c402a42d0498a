"""Citizens who file at a city of processes, and trust no node: they ask on until a receipt verifies.

By a play socket without a HELLO, and by HTTP, in turns, at one node after another. A refusal that is final counts once
two nodes have said it: nobody signs a refusal, so a node that passes things on could make one up.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count as count_from
from json import loads
from typing import TYPE_CHECKING, Final

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from client.policy import policy_of_keys
from client.verify import Status, verify_paths
from p2pworld.civic.receipts import check_filed, noted_epoch
from p2pworld.civic.relay import RETRY
from p2pworld.civic.transaction import SUGGESTION, Secrets, Submission, file_transaction, parse_leaf
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import VerifierKey
from p2pworld.merkle.receipt import Receipt
from p2pworld.messages import File, Filed
from p2pworld.wire.codec import decode_play, encode_play
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from simulations.processes import NodeProcess
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Citizens", "Told", "by_http", "by_socket", "check_log", "key_of", "new_submission", "wait_held"]

ANSWER_S: Final = 12.0
AT_MOST_S: Final = PATIENCE_S
PAUSE_S: Final = 0.1
TROUBLE: Final = (OSError, WebSocketException, HTTPException, TimeoutError)
OFFICE: Final = sealing_public(bytes([7]) * 32)
PERSON: Final = Signer.from_seed(bytes([8]) * 32)


@dataclass(frozen=True, slots=True)
class Told:
    """What a node has answered."""

    receipt: bytes = b""
    reason: str = ""


def new_submission(
    stream: str, text: str = "광화문 앞에 의자를 더 놓아 주세요.", minute: int = 0
) -> Submission:
    """A transaction that nobody has filed before."""
    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    minute = minute or int(time.time()) // 60
    return file_transaction(
        SUGGESTION, stream, minute, {"topic": "parks"}, {"text": text}, PERSON, [OFFICE], secrets
    )


def by_socket(node: NodeProcess, data: bytes, answer_s: float = ANSWER_S) -> Told:
    """File on a play socket of its own.

    Raises:
        OSError, WebSocketException, TimeoutError: no answer.
    """
    protocols = [Subprotocol("p2pworld.v1")]
    with connect(node.play_url, subprotocols=protocols, compression=None, open_timeout=answer_s) as socket:
        socket.send(encode_play(File(1, data)))
        until_s = time.monotonic() + answer_s
        while True:
            message = socket.recv(until_s - time.monotonic())
            assert isinstance(message, bytes)
            told = decode_play(message)
            if isinstance(told, Filed):
                return Told(told.receipt, told.reason)


def by_http(node: NodeProcess, data: bytes, answer_s: float = ANSWER_S) -> Told:
    """File by `POST /civic/file`.

    Raises:
        OSError, HTTPException, TimeoutError: no answer.
    """
    request = urllib.request.Request(f"{node.web_url}/civic/file", data, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=answer_s) as answer:
            return Told(bytes(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Told(b"", str(loads(error.read()).get("reason", error.code)))


@dataclass
class Citizens:
    """Some who file at once at these nodes, in this order; `filed` is what they have, `trouble` what went wrong."""

    nodes: Sequence[NodeProcess]
    stream: str
    key: str
    answer_s: float = ANSWER_S
    filed: list[tuple[Submission, Receipt]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def file(self, submission: Submission, first: int = 0) -> Receipt:
        """The receipt, from whichever node it comes; AssertionError if a minute was not enough, or it is refused."""
        data, key = submission.to_bytes(), VerifierKey.parse(self.key)
        until_s = time.monotonic() + PATIENCE_S
        final: set[tuple[str, str]] = set()
        for turn in count_from(first):
            assert time.monotonic() < until_s, f"no receipt in time: {self.trouble[-5:]}"
            node = self.nodes[turn % len(self.nodes)]
            way: Callable[[NodeProcess, bytes, float], Told] = (
                by_socket if turn // len(self.nodes) % 2 else by_http
            )
            try:
                told = way(node, data, self.answer_s)
            except TROUBLE as error:
                self.trouble.append(f"{node.name}: {type(error).__name__}")
                continue
            if told.reason:
                self.trouble.append(f"{node.name}: {told.reason}")
                if told.reason not in RETRY:
                    final.add((node.name, told.reason))
                    assert len({name for name, _ in final}) < 2, f"refused: {sorted(final)}"
                time.sleep(PAUSE_S)
                continue
            try:
                return check_filed(told.receipt, submission, key.name, [key])
            except RemoteError as error:
                self.trouble.append(f"{node.name}: {error.reason}")
        raise AssertionError

    def run(self, people: int, each: int, at: Callable[[int], None] = lambda count: None) -> None:
        """So many file so many each, one after the other; `at` is told how many receipts there are, each time.

        It is called in the thread that called this: a node's process dies with the thread that has started it.
        """
        done: queue.SimpleQueue[tuple[Submission, Receipt] | BaseException] = queue.SimpleQueue()

        def person(number: int) -> None:
            try:
                for turn in range(each):
                    submission = new_submission(self.stream)
                    done.put((submission, self.file(submission, number + turn)))
            except BaseException as error:
                done.put(error)

        threads = [threading.Thread(target=person, args=(number,), daemon=True) for number in range(people)]
        for thread in threads:
            thread.start()
        for count in range(1, people * each + 1):
            one = done.get(timeout=2 * PATIENCE_S)
            if isinstance(one, BaseException):
                raise one
            self.filed.append(one)
            at(count)

    def check_one_root_per_size(self) -> None:
        """Of all the checkpoints that anybody was shown."""
        roots: dict[int, bytes] = {}
        for _, receipt in self.filed:
            checkpoint = Checkpoint.parse(receipt.checkpoint.text)
            assert roots.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root, checkpoint.size


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
