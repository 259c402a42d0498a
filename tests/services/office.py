"""An office at work: a clerk with rows in a dictionary, people who are known to an attestor, officials with grants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from p2pworld.civic.batch import Known, Plan, named_entries, plan_batch
from p2pworld.civic.transaction import (
    Field,
    Filing,
    Paper,
    Secrets,
    Submission,
    check_submission,
    file_transaction,
    parse_leaf,
)
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields, event_of
from p2pworld.services.catalogue import Catalogue
from p2pworld.services.clerk import WAIT, ServiceClerk, Trusted
from p2pworld.services.draw_log import DRAW_TYPES
from p2pworld.services.people import Attestors, purpose_of, show, sign_claim
from p2pworld.services.replay import row_faults
from p2pworld.services.support import SUPPORT
from p2pworld.services.working_time import OfficeCalendar, minute_at
from shard_node.services.folder import read
from tests.civic.memory_store import KeptInMemory, change
from tests.services.samples import filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.errors import Refusal
    from p2pworld.grants import Grant
    from p2pworld.services.reservations import Event

__all__ = [
    "ATTESTOR",
    "CALENDAR",
    "CATALOGUE",
    "HOLDER",
    "IN_DRAWS",
    "ROOT",
    "Office",
    "act",
    "claim_paper",
    "grants_of",
    "grants_paper",
    "key",
    "papers",
    "request",
    "slot_at",
]

CATALOGUE = read()
CALENDAR = OfficeCalendar()


def key(name: object) -> Signer:
    """A key that is always the same for a name."""
    return Signer.from_seed(hashlib.sha256(str(name).encode()).digest())


ATTESTOR, HOLDER, ROOT, IN_DRAWS = key("attestor"), key("holder"), key("root"), key("office in draws")
OFFICE = sealing_public(key("office").seed)
YEAR_MINUTES = 366 * 24 * 60


def claim_paper(filing: Filing, person: object, gu: str = "jongno") -> Paper:
    """What somebody shows beside a filing of a service."""
    service = CATALOGUE.services[filing.type]
    purpose = purpose_of(service, {each.name: each.value for each in filing.fields})
    who = hashlib.sha256(str(person).encode()).digest()
    device = key(f"device of {person}")
    claim = sign_claim(ATTESTOR, purpose, who, device.public, gu, filing.minute + 60)
    return Paper("claim", show(claim, device, filing).to_bytes())


def request(
    service_id: str,
    stream: str,
    minute: int,
    number: object,
    *,
    person: object | None = None,
    gu: str = "jongno",
    wait: bool = False,
    said: Mapping[str, object] | None = None,
    **more: object,
) -> Submission:
    """A filing of a service, with everything filled in; `number` tells one from another, `person` shows a claim."""
    service = CATALOGUE.services[service_id]
    public, private = service.split({**filled(service, CATALOGUE), **(said or {}), **more})
    seed = hashlib.sha256(f"{service_id} {number}".encode()).digest()
    secrets = Secrets(seed, hashlib.sha256(seed).digest(), hashlib.sha256(seed * 2).digest())
    declared = service.transaction_type
    submission = file_transaction(declared, stream, minute, public, private, key(person), [OFFICE], secrets)
    shown = [claim_paper(submission.filing, person, gu)] if person is not None else []
    shown += [Paper(WAIT, b"1")] if wait else []
    return replace(submission, papers=tuple(shown) or None)


def grants_of(official: Signer, stream: str, minute: int, role: str = "official") -> tuple[Grant, ...]:
    """What a root key has given an official, for a year."""
    begin, end = minute - 60, minute + YEAR_MINUTES
    return (sign_grant(ROOT, official.public, role, (f"streams:{stream}",), begin * 60_000, end * 60_000),)


def grants_paper(grants: Sequence[Grant]) -> Paper:
    """As they are shown beside an act."""
    return Paper("grants", "\n".join(map(grant_to_text, grants)).encode())


def act(
    stream: str,
    entry: int,
    seen: int,
    action: str,
    actor: Signer,
    minute: int,
    amount: int = 0,
    grants: Sequence[Grant] = (),
    number: object = 0,
) -> Submission:
    """An act without words on a case."""
    own = key(f"{stream} {entry} {seen} {action} {amount} {actor.public.hex()} {minute} {number}")
    declared = CASE_TYPES["case-act"]
    fields = act_fields(CaseAct(stream, entry, seen, action, amount, own.public), actor)
    public = tuple(Field(rule.name, fields[rule.name]) for rule in declared.public)
    filing = Filing(declared.name, stream, own.public, minute, public)
    papers = (grants_paper(grants),) if grants else None
    return Submission(filing, own.sign(filing.statement()), papers=papers)


@dataclass
class Office:
    """One stream: its log and rows. `now` is the holder's minute."""

    stream: str
    now: int
    entries: list[bytes] = field(default_factory=list)
    known: dict[bytes, Known] = field(default_factory=dict)
    rows: dict[str, bytes] = field(default_factory=dict)
    due: int | None = None
    catalogue: Catalogue = CATALOGUE

    def __post_init__(self) -> None:
        attestors = Attestors(frozenset({ATTESTOR.public}))
        trusted = Trusted(lambda: attestors, frozenset({ROOT.public}), draws=IN_DRAWS)
        self.clerk = ServiceClerk(self.stream, HOLDER, lambda: self.catalogue, CALENDAR, trusted)
        self.types = {**CASE_TYPES, **DRAW_TYPES, SUPPORT.name: SUPPORT, **self.catalogue.types()}

    def plan(self, *submissions: Submission) -> Plan:
        """What a holder would do with these now, as one batch."""
        for submission in submissions:
            assert check_submission(submission, self.stream, self.types) is None, submission.filing
        unfit = {s.fingerprint: why for s in submissions if (why := self.clerk.check(s, self.now))}
        size = len(self.entries)
        named = {index: self.entries[index] for index in named_entries(size, submissions)}
        return plan_batch(
            size,
            1,
            submissions,
            self.known,
            named,
            kept=KeptInMemory(self.rows, self.entries),
            clerk=self.clerk,
            minute=self.now,
            unfit=unfit,
        )

    def take(self, *submissions: Submission) -> tuple[int | Refusal, ...]:
        """Does what is planned; an error in the rows is an AssertionError."""
        plan = self.plan(*submissions)
        self.entries += plan.entries
        self.known |= plan.learned
        self.due = plan.due
        change(self.rows, plan.rows)
        return plan.outcomes

    def said(self, submission: Submission) -> int | str:
        """The place of one that is taken alone, or the code of why there is none."""
        (outcome,) = self.take(submission)
        return outcome if isinstance(outcome, int) else outcome.reason

    def wrong_rows(self) -> list[str]:
        """How the rows differ from what the leaves make of them."""
        return list(row_faults(self.stream, self.catalogue, CALENDAR, self.entries, self.rows))

    def events(self, since: int = 0) -> list[Event]:
        """The events of bookings in the log."""
        return [event for entry in self.entries[since:] if (event := event_of(parse_leaf(entry).filing))]

    def told(self, since: int = 0) -> list[tuple[str, int | None]]:
        """The same, as action and seat."""
        return [(event.action.value, event.seat) for event in self.events(since)]


def slot_at(day: str, hour: int) -> tuple[str, int]:
    """A slot's name and minute."""
    return f"{day}T{hour:02d}:00", minute_at(date.fromisoformat(day), hour * 60)


def papers(submission: Submission, **kinds: bytes) -> Submission:
    """The same filing with other papers."""
    return replace(submission, papers=tuple(Paper(kind, data) for kind, data in kinds.items()) or None)
