"""Files one submission with the nodes of a city until there is a receipt that holds, whatever single nodes do.

The same bytes are brought to one node after another: the log answers a retry as it answered the first. What a node says
is believed only as far as it is proven: a receipt, by the log's signature and the proof that this very submission is in
it; so a node that swallows it, alters it, or answers with another's receipt is noticed, and the next one is asked. A
refusal is signed by nobody. It is taken for final when two nodes say the same, or all there are.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final, Protocol

import trio

from p2pworld.civic.receipts import noted_epoch
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import RECEIPT_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from p2pworld.merkle.proof import check_inclusion
from p2pworld.merkle.receipt import Receipt, parse_receipt
from p2pworld.merkle.tree import leaf_hash
from p2pworld.services.reasons import is_known, words_of
from shard_node.http_client import LOST, Answer, fetch, why

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from client.policy import Policy
    from p2pworld.civic.transaction import Submission

__all__ = ["Filer", "Proven", "Refused", "Trust"]

ASK_S: Final = 15.0  # a node answers within ten, whatever happens
AGAIN_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)  # between rounds over all nodes
AGREE: Final = 2  # nodes whose refusals are believed
REDIRECTS: Final = 2  # to the holder, which may just have changed
_BINARY: Final = (b"content-type", b"application/octet-stream")


class Trust(Protocol):
    """Whose signatures are believed."""

    def policy(self, stream: str, size: int) -> Policy:
        """What counts for a checkpoint of this size of the stream's log.

        Raises:
            RemoteError: nothing is known of it (`checkpoint-origin`).
        """


@dataclass(frozen=True, slots=True)
class Proven:
    """A receipt that proves the submission to be in the log, as this leaf; `fault` is why it is not witnessed yet."""

    receipt: Receipt
    leaf: bytes
    opened: SignedCheckpoint
    fault: RemoteError | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nodes say that it is not taken, all of them for this reason."""

    reason: str
    urls: tuple[str, ...]


class Filer:
    """One submission, and the nodes it is brought to; `told` hears what each of them did, in a few words."""

    def __init__(
        self,
        submission: Submission,
        trust: Trust,
        urls: Sequence[str],
        tls: ssl.SSLContext,
        told: Callable[[str, str], None] = lambda url, sentence: None,
    ) -> None:
        self._submission = submission
        self._trust = trust
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._tls = tls
        self._told = told
        self._refusals: defaultdict[str, list[str]] = defaultdict(list)  # urls by reason

    async def file(self, wait_s: float) -> Proven | Refused | None:
        """The receipt, or the refusal; None if neither came within `wait_s`, and it is not known what became of it."""
        with trio.move_on_after(wait_s):
            for pause_s in chain(AGAIN_S, repeat(AGAIN_S[-1])):
                found = await self._round()
                if found is not None:
                    return found
                await trio.sleep(pause_s)
        return self._most_refused(1)

    async def newest(self, index: int) -> Proven | None:
        """The best receipt that a node has for the entry, which is known to be this submission: a witnessed one, if
        any has that."""
        best: Proven | None = None
        stream = self._submission.filing.stream
        for url in self._urls:
            answer = await self._ask(url, f"/civic/receipt/{stream}/{index}", RECEIPT_BYTES_MAX)
            if answer is None or answer.status != 200:
                continue
            found = self._prove(url, answer.body)
            if found is not None and found.receipt.index != index:
                self._told(url, "has it at another place than before: the log holds it twice, or has forked")
            elif found is not None:
                best = found if best is None or best.fault else best
                if found.fault is None:
                    return found
        return best

    # ---- one node after another

    async def _round(self) -> Proven | Refused | None:
        for url in self._urls:
            if any(url in urls for urls in self._refusals.values()):
                continue
            answer = await self._ask(
                url, "/civic/file", RECEIPT_BYTES_MAX, "POST", self._submission.to_bytes()
            )
            if answer is None:
                continue
            if answer.status == 200:
                found = self._prove(url, answer.body)
                if found is not None:
                    return found
                continue
            self._take_refusal(url, answer)
            refused = self._most_refused(AGREE)
            if refused is not None:
                return refused
        everybody = sum(map(len, self._refusals.values())) == len(self._urls)
        return self._most_refused(1) if everybody else None

    async def _ask(
        self,
        url: str,
        path: str,
        bytes_max: int,
        method: str = "GET",
        body: bytes = b"",
    ) -> Answer | None:
        """What the node answers, or the one that it sends readers to."""
        where = url + path
        try:
            with trio.fail_after(ASK_S):
                for _ in range(REDIRECTS + 1):
                    answer = await fetch(
                        where, self._tls, method, body, [_BINARY] if body else [], bytes_max=bytes_max
                    )
                    where = answer.headers.get(b"location", b"").decode("latin-1")
                    if method != "GET" or answer.status not in (302, 307, 308) or not where:
                        return answer
        except LOST as error:
            sentence = f"does not answer: {why(error)}"
        except (RemoteError, LocalError) as error:
            sentence = f"answers what cannot be: {error}"
        else:
            sentence = "sends readers in circles"
        self._told(url, sentence)
        return None

    def _take_refusal(self, url: str, answer: Answer) -> None:
        try:
            reason = json.loads(answer.body)["reason"]
        except (ValueError, KeyError, TypeError, RecursionError):  # nested too deeply, on purpose
            reason = None
        if not isinstance(reason, str) or not is_known(reason):
            self._told(url, f"does not take it ({answer.status}), and does not say why")
            return
        self._told(url, f"says: {words_of(reason).en} ({reason})")
        if not words_of(reason).again:
            self._refusals[reason].append(url)

    def _most_refused(self, least: int) -> Refused | None:
        """The refusal that most nodes gave, if there are so many of them."""
        reason, urls = max(self._refusals.items(), key=lambda each: len(each[1]), default=("", []))
        return Refused(reason, tuple(urls)) if len(urls) >= least else None

    # ---- what a receipt proves

    def _prove(self, url: str, data: bytes) -> Proven | None:
        """What this receipt proves of the submission, or nothing, and that is told."""
        try:
            receipt = parse_receipt(data)
            checkpoint = Checkpoint.parse(receipt.checkpoint.text)
            policy = self._trust.policy(self._submission.filing.stream, checkpoint.size)
            [(origin, keys)] = policy.logs.items()
            opened = open_checkpoint(receipt.checkpoint, origin, keys, policy.witnesses)
            leaf = self._leaf(receipt, checkpoint)
        except RemoteError as error:
            self._told(url, f"answers with a receipt that does not hold: {error} ({error.reason})")
            return None
        try:
            policy.require_quorum(opened)
        except RemoteError as error:
            return Proven(receipt, leaf, opened, error)
        return Proven(receipt, leaf, opened)

    def _leaf(self, receipt: Receipt, checkpoint: Checkpoint) -> bytes:
        """The leaf that the receipt proves to be in the log: this submission, in the epoch that the receipt tells.

        Raises:
            RemoteError: it tells none (`receipt-epoch`), or it is not this submission that is there
                (`check_inclusion`'s reasons).
        """
        epoch = noted_epoch(receipt)
        if epoch is None:
            raise RemoteError("receipt-epoch", "it does not tell in which epoch the entry was taken")
        leaf = self._submission.leaf(epoch).to_bytes()
        check_inclusion(leaf_hash(leaf), receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
        return leaf
