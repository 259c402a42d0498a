"""A log of cases as a holder would publish it, made leaf by leaf for tests: filings, acts, events of bookings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.civic.erasure import file_erasure
from p2pworld.civic.transaction import (
    Field,
    Filing,
    Secrets,
    Submission,
    file_transaction,
)
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.tiles import Edge
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields, file_event
from p2pworld.services.party import party_fields
from p2pworld.services.reservations import Event
from shard_node.civic.folder import PublishedLog
from tests.merkle.signed import LOG, ORIGIN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from p2pworld.services.declaration import Service
    from p2pworld.services.workflow import Action

__all__ = ["CHIEF", "OFFICIAL", "Office"]

OFFICIAL, CHIEF, CITIZEN, HOLDER = (Signer.from_seed(bytes([n]) * 32) for n in (201, 202, 203, 204))
_SEALING = sealing_public(b"o" * 32)


class Office:
    """One stream's log so far. Keys are made of the entry's number, so the same story makes the same bytes."""

    def __init__(self, stream: str, minute: int) -> None:
        self.stream, self.minute = stream, minute
        self.leaves: list[bytes] = []
        self.signers: dict[int, Signer] = {}
        self._edge, self._published = Edge(), 0

    def seed(self) -> bytes:
        return len(self.leaves).to_bytes(4, "big") + self.stream.encode().ljust(28, b".")

    def put(self, submission: Submission) -> int:
        """The number of the entry that it becomes."""
        self.leaves.append(submission.leaf(1).to_bytes())
        return len(self.leaves) - 1

    def file(self, service: Service, public: Mapping[str, str], gateway: Signer | None = None) -> int:
        """A filing of a service, with something sealed."""
        secrets = Secrets(self.seed(), b"k" * 32, b"n" * 32)
        alone = dict.fromkeys(party_fields(service.form), "1")
        full = {name: public.get(name, alone.get(name, "")) for name in service.public}
        made = file_transaction(
            service.transaction_type, self.stream, self.minute, full, {"body": "가로등"}, CITIZEN, [_SEALING],
            secrets, gateway,
        )  # fmt: skip
        entry = self.put(made)
        self.signers[entry] = Signer.from_seed(secrets.seed)
        return entry

    def act(
        self, about: int, seen: int, action: Action, by: Signer | None, amount: int = 0, letter: bool = False
    ) -> int:
        """An act by an official, or by the citizen (None)."""
        actor = by or self.signers[about]
        secrets = Secrets(self.seed(), b"k" * 32, b"n" * 32)
        key = Signer.from_seed(secrets.seed)
        said = act_fields(CaseAct(self.stream, about, seen, action.value, amount, key.public), actor)
        if letter:
            declared = CASE_TYPES["case-letter"]
            return self.put(
                file_transaction(
                    declared, self.stream, self.minute, said, {"text": "네"}, actor, [_SEALING], secrets
                )
            )
        filing = Filing(
            "case-act", self.stream, key.public, self.minute, tuple(Field(*each) for each in said.items())
        )
        return self.put(Submission(filing, key.sign(filing.statement())))

    def event(
        self, about: int, action: Action, facility: str, slot: int, seat: int | None, until: int | None = None
    ) -> int:
        """An event of a booking, which the holder writes."""
        event = Event(action, self.signers[about].public.hex(), facility, slot, seat, until)
        return self.put(file_event(event, self.stream, len(self.leaves), self.minute, HOLDER))

    def erase(self, entry: int) -> int:
        """What was sealed with an entry is gone, as its citizen asked."""
        return self.put(file_erasure(self.stream, entry, self.minute, self.signers[entry], self.seed()))

    def publish(self, folder: Path) -> PublishedLog:
        """The log so far, in this folder."""
        log = PublishedLog(folder)
        self._edge, files = self._edge.append(self.leaves[self._published :])
        self._published = len(self.leaves)
        text = Checkpoint(ORIGIN, self._edge.size, self._edge.root()).text
        log.publish(files, Note(text, (LOG.sign(text),)))
        return log
