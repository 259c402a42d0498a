"""The witnesses of simulated logs: the real decisions of `civic.witness`, on machines that are down now and then.

Each remembers what it signed before its signature leaves, and its answer may still be lost. Whoever asks sends the
proof from the size that the witness knows, made of the published tiles.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Final

from p2pworld.civic.steps import Cosigned
from p2pworld.civic.witness import AddCheckpoint, Remember, Seen, Witness, read_cosignatures
from p2pworld.crypto.keys import Signer
from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import COSIGNATURE, NoteSigner
from p2pworld.merkle.proof import consistency_spans, prove
from p2pworld.merkle.tiles import TileHashes

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from p2pworld.merkle.note import Note, Verified, VerifierKey
    from simulations.civic.folder import Folder
    from simulations.events import Agenda

__all__ = ["Witnesses"]

_ANSWER_S: Final = (0.01, 0.08)
_PATIENCE_S: Final = 0.5


class Witnesses:
    """All witnesses of a run, which know all its logs."""

    def __init__(
        self, count: int, logs: Mapping[str, Sequence[VerifierKey]], agenda: Agenda, dice: random.Random
    ) -> None:
        seeds = (hashlib.sha256(b"witness %d" % number).digest() for number in range(count))
        signers = [
            NoteSigner(f"witness.example/{number}", Signer.from_seed(seed), COSIGNATURE)
            for number, seed in enumerate(seeds)
        ]
        self.keys = tuple(signer.key for signer in signers)
        self.down: set[int] = set()
        self.answers_to_lose = 0
        self.on_refusal: Callable[[str, str], None] = lambda origin, reason: None
        self._agenda, self._dice = agenda, dice
        self._witnesses = [Witness([signer], logs) for signer in signers]
        self._seen: list[dict[str, Seen]] = [{} for _ in signers]

    def ask(self, checkpoint: Note, folder: Folder, now_s: int, done: Callable[[Cosigned], None]) -> None:
        """Have all that are up sign it; what came of it within their time."""
        verified: list[Verified] = []
        shown: list[Checkpoint] = []  # what they have signed, and this does not continue
        last_s = 0.0
        for number in range(len(self._witnesses)):
            took_s = self._dice.uniform(*_ANSWER_S)
            if number in self.down:
                last_s = _PATIENCE_S
                continue
            last_s = max(last_s, took_s)
            self._agenda.after(
                took_s, partial(self._asked, number, checkpoint, folder, now_s, verified, shown)
            )
        self._agenda.after(last_s + 0.001, lambda: done(Cosigned(checkpoint, tuple(verified), tuple(shown))))

    def _asked(
        self,
        number: int,
        note: Note,
        folder: Folder,
        now_s: int,
        verified: list[Verified],
        shown: list[Checkpoint],
    ) -> None:
        """One of them signs, and remembers it; or shows what it has signed, if this is not its continuation."""
        checkpoint = Checkpoint.parse(note.text)
        seen = self._seen[number].get(checkpoint.origin)
        old = seen.size if seen else 0
        if seen and old > checkpoint.size:  # of a holder that was overtaken, or of a log that was set back
            shown.append(Checkpoint(checkpoint.origin, seen.size, seen.root))
            return
        try:
            proof = prove(consistency_spans(old, checkpoint.size), TileHashes(checkpoint.size, folder))
        except RemoteError:
            return
        body = AddCheckpoint(old, proof, note).to_bytes()
        decided = self._witnesses[number].add_checkpoint(body, self._seen[number].get, now_s)
        if not isinstance(decided, Remember):
            self.on_refusal(checkpoint.origin, decided.reason)
            return
        self._seen[number][checkpoint.origin] = decided.seen
        if self.answers_to_lose:
            self.answers_to_lose -= 1
        else:
            verified.extend(read_cosignatures(decided.answer.body, note, self.keys))
