"""Going on with a request that the gateway filed, for whoever has the key it came under.

The office's letters are opened for them, and what a citizen may do (withdraw, add what was asked for, agree, rate) is
signed and filed.

An act is signed by the filing's own key, as that of a citizen with a device is; so it needs no gateway's signature. It
says how many acts there were before it: the same twice is one act and a refusal.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.civic.transaction import Field, Filing, Secrets, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import LocalError
from p2pworld.limits import GATEWAY_LETTERS_MAX, GATEWAY_PATIENCE_S
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields
from p2pworld.services.reasons import refusal
from p2pworld.services.record import Acted, possible
from p2pworld.services.replies import Told, told, told_of_refusal
from p2pworld.services.workflow import Action, Who
from p2pworld.world.text import neat, paragraphs_fault
from shard_node.services.gateway import AGAIN_S, Filed, identity_of, reply_secret

if TYPE_CHECKING:
    from p2pworld.services.record import Record
    from shard_node.services.gateway import Gateway, Held
    from shard_node.services.host import ServiceHost
    from shard_node.services.letters import Letters
    from shard_node.services.offices import OfficeKeys

__all__ = ["Followed", "GoingOn", "Letter", "Wish"]

TEXT_MAX: Final = 5_000  # characters of a letter, as many as a complaint has


@dataclass(frozen=True, slots=True)
class Letter:
    """What somebody of the office, or the citizen, wrote with an act; `text` is None if it cannot be read (now)."""

    entry: int
    minute: int
    action: Action
    who: Who
    text: str | None


@dataclass(frozen=True, slots=True)
class Followed:
    """A request, where it stands, the last letters, and what the citizen may do now."""

    service: str
    filed: Filed
    letters: tuple[Letter, ...] = ()
    may: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a citizen wants to do: with `text`, it is a letter; `amount` is stars or days, where the action has one."""

    action: Action
    amount: int = 0
    text: str = ""
    language: str = "ko"


class GoingOn:
    """Over one node's gateway."""

    def __init__(self, host: ServiceHost, gateway: Gateway, offices: OfficeKeys, letters: Letters) -> None:
        self._host, self._gateway, self._offices, self._letters = host, gateway, offices, letters

    async def follow(self, idempotency_key: str) -> Followed | Told | None:
        """The request that came under this key, why it is not filed (yet), or None if there is none.

        Raises:
            StorageFailed: the gateway's store, or the index, cannot be read.
        """
        held = await self._gateway.opened(idempotency_key)
        if held is None or isinstance(held, Told):
            return held
        filed, minute = held.filed, self._host.index.now_minute()
        found = await self._host.index.case(filed.stream, filed.entry)
        if found is None:  # this node has not read so far yet
            return Followed(held.service, filed)
        reader, secret = Signer.from_seed(held.seed), reply_secret(held.seed)
        letters = []
        written = [one for one in found.record.acts if isinstance(one.deed, Acted) and one.deed.letter]
        for shown in written[-GATEWAY_LETTERS_MAX:]:
            deed = shown.deed
            assert isinstance(deed, Acted), "events of bookings are no letters"
            said = await self._letters.read(filed.stream, deed.entry, reader, secret, minute)
            text = said.get("text") if said is not None else None
            letters.append(Letter(deed.entry, deed.minute, deed.action, shown.who, text))
        may = possible(found.record, minute, self._host.calendar)[Who.CITIZEN]
        return Followed(held.service, filed, tuple(letters), may)

    async def act(self, idempotency_key: str, wish: Wish) -> Filed | tuple[Told, ...]:
        """Where the act stands in the log, or why it does not.

        Raises:
            StorageFailed: the gateway's store, or the index, cannot be read.
        """
        held = await self._gateway.opened(idempotency_key)
        if held is None or isinstance(held, Told):
            return (held or told_of_refusal(refusal("case-unknown")),)
        found = await self._host.index.case(held.filed.stream, held.filed.entry)
        if found is None:
            return (told("filing-open"),)
        text = neat(wish.text)
        if text and paragraphs_fault(text, TEXT_MAX) is not None:
            return (told("letter-unsupported", str(TEXT_MAX)),)
        made = await self._made(held, found.record, wish, text)
        return made if isinstance(made, tuple) else await self._bring(made)

    async def _made(self, held: Held, record: Record, wish: Wish, text: str) -> Submission | tuple[Told, ...]:
        minute, stream = self._host.index.now_minute(), held.filed.stream
        secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
        own = Signer.from_seed(secrets.seed)
        act = CaseAct(stream, held.filed.entry, record.seen, wish.action.value, wish.amount, own.public)
        public = act_fields(act, Signer.from_seed(held.seed))
        if not text:
            fields = tuple(Field(name, value) for name, value in public.items())
            filing = Filing("case-act", stream, own.public, minute, fields)
            return Submission(filing, own.sign(filing.statement()))
        offices = await self._offices.of(record.office)
        if not offices:
            return (told("office-key-unknown"),)
        readers = dict.fromkeys((*offices[:7], sealing_public(reply_secret(held.seed))))
        private = {"text": text, "language": wish.language}
        declared = CASE_TYPES["case-letter"]
        try:
            return file_transaction(
                declared, stream, minute, public, private, identity_of(held.seed), readers, secrets
            )
        except LocalError:
            return (told("sealed-too-long"),)

    async def _bring(self, submission: Submission) -> Filed | tuple[Told, ...]:
        stream, late_s = submission.filing.stream, trio.current_time() + GATEWAY_PATIENCE_S
        while True:
            answer = await self._host.desk.file(submission.to_bytes())
            if answer.refusal is None:
                filed = Filed(stream, parse_receipt(answer.receipt).index, submission.filing.key)
                await self._gateway.until_read(filed)
                return filed
            said = told_of_refusal(answer.refusal)
            if not said.again or trio.current_time() >= late_s:
                return (said,)
            await trio.sleep(AGAIN_S)
