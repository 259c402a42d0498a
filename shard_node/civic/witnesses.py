"""Asks the witnesses of a log for their signatures, over HTTP by C2SP tlog-witness.

All are asked at once: each gets the checkpoint with the proof that it continues what that witness signed last, made
from the published tiles. What a witness has signed last is remembered here, and learned from its answer (409) where
that is wrong. As soon as a quorum has signed, the others have a short grace; a witness that is down, slow or lying
costs its own signature and no more.

A witness that cannot go on from what it has signed (another root, or more entries than there are) is asked what that
was. If the log itself signed it, this is no matter of witnesses any more: the log has forked, was set back, or another
holder has gone on. It is told in `Cosigned.seen`, and the holder finds out which. A fork is written down as a proof.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.civic.fork import prove_fork
from p2pworld.civic.steps import Cosigned
from p2pworld.civic.witness import AddCheckpoint, checkpoint_path, read_cosignatures
from p2pworld.errors import RemoteError
from p2pworld.limits import (
    ASK_WITNESS_GRACE_S,
    ASK_WITNESS_S,
    ASK_WITNESS_TRIES,
    NOTE_BYTES_MAX,
    WITNESS_FORKS_MAX,
)
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint, parse_count
from p2pworld.merkle.note import Note, Verified, VerifierKey
from p2pworld.merkle.proof import consistency_spans, prove
from p2pworld.merkle.tiles import TileHashes
from shard_node.http_client import LOST, fetch, parse_web_url, why
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from p2pworld.merkle.checkpoint import SignedCheckpoint
    from p2pworld.merkle.tiles import Tiles
    from shard_node.civic.holder import CivicMeter
    from shard_node.http_client import Answer

__all__ = ["SIGNED", "HttpWitnesses", "keep_note"]

SIGNED: Final = "signed"  # of what a witness can do, the one that is wanted; all others are reasons
_STATUSES: Final = {  # of tlog-witness, and what a witness that has too much to do says
    400: "refused",
    403: "unknown-key",
    404: "unknown-log",
    429: "busy",
    503: "busy",
}
_PATH: Final = "/add-checkpoint"
_TYPE: Final = (b"content-type", b"text/plain; charset=utf-8")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    """One witness: where, by which key, and the size that it has signed last, as far as is known."""

    url: str
    key: VerifierKey
    known: int = 0
    outcome: str = SIGNED  # of the last time; what changes is told to the log


@dataclass(slots=True)
class _Round:
    """What one asking of all witnesses has brought so far."""

    checkpoint: Note
    size: int
    quorum: int
    open: int
    verified: list[Verified] = field(default_factory=list)
    seen: list[Checkpoint] = field(default_factory=list)
    doubting: int = 0  # of the open ones, those that do not go on from what they signed
    enough: trio.Event = field(default_factory=trio.Event)  # a quorum has signed, or nobody is left
    over: trio.Event = field(default_factory=trio.Event)  # nobody is left

    def signed(self, verified: Sequence[Verified]) -> None:
        self.verified += verified
        if len({one.key.public for one in self.verified}) >= self.quorum:
            self.enough.set()

    def ended(self) -> None:
        self.open -= 1
        if not self.open:
            self.enough.set()
            self.over.set()


class HttpWitnesses:
    """The witnesses of one log (URL and key of each), for the holder that publishes it as `tiles`.

    `log_keys` are the keys that this log signs with, or has signed with. Proofs of forks are written to the folder
    `proofs`, which is made when there is one; so are checkpoints that are ahead of the log.

    Raises:
        LocalError: a URL that is none.
    """

    def __init__(
        self,
        log_keys: Sequence[VerifierKey],
        tiles: Tiles,
        witnesses: Sequence[tuple[str, VerifierKey]],
        quorum: int,
        proofs: Path,
        meter: CivicMeter | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._log_keys = tuple(log_keys)
        self._tiles = tiles
        for url, _ in witnesses:
            parse_web_url(url)
        self._places = [_Place(url.rstrip("/"), key) for url, key in witnesses]
        self._quorum = quorum
        self._proofs = proofs
        self._meter = meter
        self._tls = tls or ssl.create_default_context()

    async def cosign(self, checkpoint: Note) -> Cosigned:
        """What witnesses have signed when a quorum and those within the grace have, or the time is over.

        One that contradicts is heard to the end, whoever else has signed.
        """
        asked = _Round(checkpoint, Checkpoint.parse(checkpoint.text).size, self._quorum, len(self._places))
        with trio.move_on_after(ASK_WITNESS_S):
            async with trio.open_nursery() as nursery:
                for place in self._places:
                    nursery.start_soon(self._ask, place, asked)
                await asked.enough.wait()
                with trio.move_on_after(ASK_WITNESS_GRACE_S):
                    await asked.over.wait()
                if not asked.doubting:
                    nursery.cancel_scope.cancel()
        return Cosigned(checkpoint, tuple(asked.verified), tuple(asked.seen))

    async def _ask(self, place: _Place, asked: _Round) -> None:
        """Asks one witness, whatever comes of it."""
        outcome, sentence = "slow", ""
        try:
            outcome = await self._talk(place, asked)
        except LOST as error:
            outcome, sentence = "down", why(error)
        except (RemoteError, StorageFailed) as error:
            outcome, sentence = error.reason, str(error)
        finally:
            asked.ended()
            if outcome != place.outcome:
                level = logging.INFO if outcome == SIGNED else logging.WARNING
                extra = {"witness": place.key.name, "reason": outcome, "sentence": sentence or None}
                log.log(level, "a witness of %s: %s", self._log_keys[0].name, outcome, extra=extra)
            place.outcome = outcome
            if self._meter is not None:
                self._meter.witness(place.key.name, outcome)

    async def _talk(self, place: _Place, asked: _Round) -> str:
        """What the witness does in the end: `SIGNED`, or why not."""
        for _ in range(ASK_WITNESS_TRIES):
            old = place.known
            if old > asked.size:
                return await self._doubt(place, asked)
            proof = await trio.to_thread.run_sync(self._prove, old, asked.size)
            body = AddCheckpoint(old, proof, asked.checkpoint).to_bytes()
            answer = await self._request(place, "POST", _PATH, body)
            if answer.status == 200:
                asked.signed(read_cosignatures(answer.body, asked.checkpoint, [place.key]))
                place.known = asked.size
                return SIGNED
            if answer.status not in (409, 422):
                return _STATUSES.get(answer.status, "strange")
            size = _size(answer.body) if answer.status == 409 else None
            if answer.status == 422 or size == old:
                return await self._doubt(place, asked)
            if size is None:
                return "strange"
            place.known = size
        return "busy"  # it signs for somebody else, faster than it is asked here

    def _prove(self, old: int, new: int) -> tuple[bytes, ...]:
        return prove(consistency_spans(old, new), TileHashes(new, self._tiles))

    async def _request(self, place: _Place, method: str, path: str, body: bytes = b"") -> Answer:
        """One question on a connection of its own: there is one a checkpoint, unless something is wrong."""
        return await fetch(place.url + path, self._tls, method, body, [_TYPE], bytes_max=NOTE_BYTES_MAX)

    # ---- a witness that has seen something else

    async def _doubt(self, place: _Place, asked: _Round) -> str:
        """Finds out what the witness has signed that this checkpoint does not continue."""
        asked.doubting += 1
        try:
            answer = await self._request(place, "GET", checkpoint_path(self._log_keys[0].name))
            if answer.status != 200:
                return "contradicts"
            theirs = open_checkpoint(answer.body, self._log_keys[0].name, self._log_keys)
            return await trio.to_thread.run_sync(self._judge, place, theirs, asked)
        finally:
            asked.doubting -= 1

    def _judge(self, place: _Place, theirs: SignedCheckpoint, asked: _Round) -> str:
        """What follows from what the log itself has signed, as the witness shows it."""
        seen = theirs.checkpoint
        if seen.size > asked.size:
            path = keep_note(self._proofs, "ahead.checkpoint", theirs.note.to_bytes())
            log.error("a witness has signed more entries than this log has: see %s", path)
            asked.seen.append(seen)
            return "ahead"
        fork = prove_fork(theirs.note, asked.checkpoint, TileHashes(asked.size, self._tiles))
        if fork is None:
            place.known = seen.size  # what it shows is continued all the same: it was mistaken
            return "contradicts"
        path = keep_note(self._proofs, "fork", fork.to_bytes())
        log.error("this log has signed two histories: the proof is in %s", path)
        asked.seen.append(seen)
        return "fork"


def _size(body: bytes) -> int | None:
    return parse_count(body.decode("ascii", "replace").strip())


def keep_note(folder: Path, kind: str, data: bytes) -> Path:
    """Writes what proves something to a file of its own, so many of a kind; where it is, or would have been."""
    path = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists() and len(list(folder.glob(f"*.{kind}"))) < WITNESS_FORKS_MAX:
            path.write_bytes(data)
    except OSError as error:
        log.error("%s cannot be written: %s", path, error)
    return path
