"""Acts on a case as they stand in the log: who did what, signed, so that all compute the same state and deadline.

An act names the entry of the filing it is about and how many acts there were before it. Whoever acts signs that: the
citizen with the key of the filing itself, an official with their own. Its public part has no text; what an official
writes to a citizen, or a citizen adds, is sealed with a `case-letter`, which is otherwise the same.

An event of a booking (`reservations.Event`) is a leaf of the holder's: what was held, ran out or moved up. Its key is
made for it alone, and `via` it names the key that signs the log, whose signature over it is its last field.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final

from p2pworld.civic.transaction import Field, FieldRule, Filing, Submission, TransactionType
from p2pworld.civic.via import GATEWAY, gateway_statement, signed_by_gateway
from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import Refusal
from p2pworld.messages.fields import U53, Code, Key, Size
from p2pworld.services.facility import slot_minute, slot_text
from p2pworld.services.reasons import refusal
from p2pworld.services.reservations import Event
from p2pworld.services.workflow import Act, Action, Case, Who, Workflow, begin, step
from p2pworld.wire.codec import canonical
from p2pworld.wire.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.services.deadlines import Term
    from p2pworld.services.working_time import OfficeCalendar

__all__ = [
    "CASE_TYPES",
    "SLOT_EVENT",
    "CaseAct",
    "act_fields",
    "case_act_of",
    "case_of",
    "event_fields",
    "event_of",
    "file_event",
    "read_act",
    "who_acts",
]

_ACT_NAME: Final = b"p2pworld case act v1\n"
_EVENT_NAME: Final = b"p2pworld holder's leaf v1\n"
_PUBLIC: Final = (
    FieldRule("entry", re.compile(r"0|[1-9][0-9]{0,14}")),
    FieldRule("seen", re.compile(r"0|[1-9][0-9]{0,3}")),
    FieldRule("action", re.compile("|".join(action.value for action in Action))),
    FieldRule("amount", re.compile(r"0|[1-9][0-9]{0,3}")),
    FieldRule("by", re.compile(r"[0-9a-f]{64}")),
    FieldRule("asked", re.compile(r"[0-9a-f]{128}")),
)
SLOT_EVENT: Final = TransactionType(
    "slot-event",
    (
        FieldRule("facility", re.compile(r"[a-z][a-z0-9-]{0,39}")),
        FieldRule("slot", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")),
        FieldRule("seat", re.compile(r"|0|[1-9][0-9]{0,3}")),
        FieldRule("action", re.compile("|".join(action.value for action in Action))),
        FieldRule("filing", re.compile(r"[0-9a-f]{64}")),
        FieldRule("until", re.compile(r"|[1-9][0-9]{0,9}")),
    ),
    sealed=False,
)


@dataclass(frozen=True, slots=True)
class CaseAct:
    """What whoever acts signs: this action on entry `entry` of `stream`, by the filing of this key."""

    stream: Annotated[str, Size(1, 80)]
    entry: U53
    seen: U53
    action: Code
    amount: U53
    key: Key

    def statement(self) -> bytes:
        """The bytes that are signed."""
        return _ACT_NAME + canonical(_ACT.write(self))


_ACT = Schema(CaseAct)


def act_fields(act: CaseAct, actor: Signer) -> dict[str, str]:
    """The public fields of the filing of `act.key` in which `actor` does this."""
    said = (
        str(act.entry),
        str(act.seen),
        act.action,
        str(act.amount),
        actor.public.hex(),
        actor.sign(act.statement()).hex(),
    )
    return {rule.name: value for rule, value in zip(_PUBLIC, said, strict=True)}


def case_act_of(filing: Filing) -> CaseAct | Refusal | None:
    """The act that a filing is, None if it is none; `forbidden` if whoever is said to act did not sign it."""
    act = read_act(filing)
    if act is None:
        return None
    by, asked = (bytes.fromhex(field.value) for field in filing.public[4:])
    return act if verify(by, act.statement(), asked) else refusal("forbidden")


def read_act(filing: Filing) -> CaseAct | None:
    """The same, for who has verified the signature before."""
    if filing.type not in CASE_TYPES or not CASE_TYPES[filing.type].accepts(filing.public):
        return None
    entry, seen, action, amount, _, _ = (field.value for field in filing.public)
    return CaseAct(filing.stream, int(entry), int(seen), action, int(amount), filing.key)


def _check(filing: Filing) -> Refusal | None:
    act = case_act_of(filing)
    return act if isinstance(act, Refusal) else None


CASE_TYPES: Final[Mapping[str, TransactionType]] = {
    name: TransactionType(name, _PUBLIC, sealed, _check)
    for name, sealed in (("case-act", False), ("case-letter", True))
}


def who_acts(filing: Filing, about: Filing, roles: Mapping[bytes, Who]) -> Who | None:
    """As whom the filing of an act is done: the citizen who filed `about`, or whom `roles` says that key is."""
    by = bytes.fromhex(filing.public[4].value)
    return Who.CITIZEN if by == about.key else roles.get(by)


def case_of(
    workflow: Workflow,
    term: Term,
    about: Filing,
    acts: Iterable[Filing],
    roles: Mapping[bytes, Who],
    calendar: OfficeCalendar,
) -> tuple[Case, tuple[Refusal | None, ...]]:
    """The case of a filing after the acts on it in the log, and for each why it has no effect, or None.

    A holder refuses what would have none; an act that stands in the log all the same changes nothing.
    """
    case = begin(workflow, about.minute, term)
    outcomes: list[Refusal | None] = []
    for filing in acts:
        act = case_act_of(filing)
        who = who_acts(filing, about, roles) if isinstance(act, CaseAct) else None
        if not isinstance(act, CaseAct) or who is None:
            outcomes.append(act if isinstance(act, Refusal) else refusal("forbidden"))
            continue
        done = Act(filing.key.hex(), act.seen, Action(act.action), who, filing.minute, act.amount)
        after = step(workflow, case, done, calendar)
        outcomes.append(after if isinstance(after, Refusal) else None)
        case = case if isinstance(after, Refusal) else after
    return case, tuple(outcomes)


def event_fields(event: Event) -> tuple[Field, ...]:
    """The public fields of the leaf that an event of a booking is; the transaction's key is in hexadecimal."""
    said = (
        event.facility,
        slot_text(event.slot),
        "" if event.seat is None else str(event.seat),
        event.action.value,
        event.key,
        "" if event.until is None else str(event.until),
    )
    return tuple(Field(rule.name, value) for rule, value in zip(SLOT_EVENT.public, said, strict=True))


def file_event(event: Event, stream: str, index: int, minute: int, holder: Signer) -> Submission:
    """The leaf of an event that the holder of a log, by the key that signs it, enters as number `index`.

    There the same holder makes the same leaf: a transaction that is tried again changes nothing.
    """
    # nobody else knows a key's signature over what is published nowhere
    place = holder.sign(_EVENT_NAME + f"{stream}\n{index}".encode())
    own = Signer.from_seed(hashlib.sha256(place).digest())
    blank = (*event_fields(event), Field(GATEWAY, ""))
    filing = Filing(SLOT_EVENT.name, stream, own.public, minute, blank, via=holder.public)
    signed = Field(GATEWAY, holder.sign(gateway_statement(filing)).hex())
    filing = replace(filing, public=(*blank[:-1], signed))
    return Submission(filing, own.sign(filing.statement()))


def event_of(filing: Filing) -> Event | None:
    """The event of a booking that a leaf is, signed by the key in `via`; whose that is, the reader has to know."""
    if filing.type != SLOT_EVENT.name or not SLOT_EVENT.accepts(filing.fields):
        return None
    facility, slot, seat, action, key, until = (field.value for field in filing.fields)
    minute = slot_minute(slot)
    if minute is None or not signed_by_gateway(filing):
        return None
    return Event(
        Action(action), key, facility, minute, int(seat) if seat else None, int(until) if until else None
    )
