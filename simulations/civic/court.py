"""Something to book in simulated logs: one facility of each stream, a service that confirms at once, one that holds."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

from p2pworld.civic.transaction import Field, Filing, Paper, Secrets, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields
from p2pworld.services.catalogue import Source, read_catalogue
from p2pworld.services.clerk import WAIT, ServiceClerk, Trusted
from p2pworld.services.people import Attestors
from p2pworld.services.working_time import OfficeCalendar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.kept import Clerk
    from p2pworld.civic.transaction import TransactionType

__all__ = [
    "ACT_REASONS",
    "BOOKING_REASONS",
    "SEATS",
    "SERVICES",
    "act_on",
    "booking",
    "clerk_of",
    "court_types",
]

SEATS: Final = 2
SERVICES: Final = ("seat", "court")
BOOKING_REASONS: Final = frozenset({"slot-taken", "waitlist-full", "waiting-already"})
ACT_REASONS: Final = frozenset(
    {"case-moved-on", "already-closed", "state-conflict", "hold-expired", "no-booking"}
)
_SLOTS: Final = ("2026-01-03T10:00", "2026-01-03T11:00")
_OFFICE: Final = sealing_public(bytes([40]) * 32)
_SERVICE: Final = """
id = "{id}"
sector = "city"
kind = "reservation"
title = {{ ko = "예약", en = "Booking" }}
about = {{ ko = "예약", en = "Booking" }}
public = ["facility", "slot"]
fee = {{ ko = "무료", en = "free" }}
[office]
of = "facility"
unit = {{ ko = "과", en = "Unit" }}
[eligible]
person = "anybody"
text = {{ ko = "누구나", en = "Anybody" }}
[workflow]
use = "booking"
steps = ["applied", {steps}"confirmed", "used"]
sides = ["waiting", "cancelled", {sides}"no-show"]
[deadline]
count = "hours"
amount = 1
[places]
allocation = "first-come"
kinds = ["court"]
opens_days = 30
closes_minutes = 0
hold_minutes = {hold}
cancel_minutes = 0
per_month = 100
waiting = 2
[privacy]
why = {{ ko = "예약", en = "Booking" }}
keep_days = 1
[form]
required = ["facility", "slot"]
[form.properties.facility]
type = "string"
format = "facility"
label = {{ ko = "시설", en = "Facility" }}
[form.properties.slot]
type = "string"
format = "slot"
label = {{ ko = "시간", en = "Time" }}
"""
_FACILITY: Final = """
[[facilities]]
id = "court-{stream}"
name = {{ ko = "코트", en = "Court" }}
gu = "{stream}"
kind = "court"
slot_minutes = 60
open = "Mo-Su 09:00-18:00"
capacity = 4
seats = {seats}
allocation = "first-come"
"""
_CATALOGUE: Final = read_catalogue(
    [
        Source("seat.toml", _SERVICE.format(id="seat", steps="", sides="", hold=0)),
        Source("court.toml", _SERVICE.format(id="court", steps='"held", ', sides='"expired", ', hold=1)),
        *(
            Source(f"{stream}.toml", _FACILITY.format(stream=stream, seats=SEATS))
            for stream in ("city", "jongno")
        ),
    ]
)
assert not _CATALOGUE.faults, _CATALOGUE.faults


def court_types() -> Mapping[str, TransactionType]:
    """What may be filed where there is something to book."""
    return {**CASE_TYPES, **_CATALOGUE.types()}


def clerk_of(stream: str, signer: Signer) -> Clerk:
    """Who decides in this stream."""
    trusted = Trusted(Attestors)
    return ServiceClerk(stream, signer, lambda: _CATALOGUE, OfficeCalendar(), trusted)


@cache
def booking(stream: str, number: int, which: int, minute: int) -> Submission:
    """A filing for a place: by `which` service, for which slot, and whether it would wait."""
    service = _CATALOGUE.services[SERVICES[which % 2]]
    said = {"facility": f"court-{stream}", "slot": _SLOTS[which // 2 % 2]}
    public, private = service.split(said)
    seed, blob, nonce = (
        hashlib.sha256(f"{stream} {number} {of}".encode()).digest() for of in ("seat", "seat blob", "nonce")
    )
    declared, secrets = service.transaction_type, Secrets(seed, blob, nonce)
    person = Signer.from_seed(hashlib.sha256(b"citizen %d" % number).digest())
    made = file_transaction(declared, stream, minute, public, private, person, [_OFFICE], secrets)
    papers = (Paper(WAIT, b"1"),) if which // 4 % 2 else None
    return Submission(made.filing, made.sig, made.sealed, papers)


@cache
def act_on(stream: str, number: int, entry: int, action: str, minute: int) -> Submission:
    """An act on the booking of that number, which is this entry, by who filed it."""
    own = Signer.from_seed(hashlib.sha256(f"{stream} {number} seat".encode()).digest())
    signer = Signer.from_seed(hashlib.sha256(f"{stream} {number} {entry} {action}".encode()).digest())
    said = act_fields(CaseAct(stream, entry, 1, action, 0, signer.public), own)
    public = tuple(Field(rule.name, said[rule.name]) for rule in CASE_TYPES["case-act"].public)
    filing = Filing("case-act", stream, signer.public, minute, public)
    return Submission(filing, signer.sign(filing.statement()))
