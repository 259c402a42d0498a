"""Places in slots: what a request makes of the rows that a store's transaction has read.

`decide` is given the rows of one slot and those of the person, and says what to write, what becomes a leaf, and what
is answered. A row is (facility, slot, seat), which is the store's primary key: no two bookings ever have one seat. Only
leaves change bookings: what ran out by itself (a hold, a payment, a number on the waiting list whose slot has begun)
is written off by the next decision about its slot, `Settle` if there is no other, and that is an event like any other.

A place is held, then its payment is due, then it is confirmed; a service leaves out what it does not need. Whoever
finds no place may wait; a place that comes free is held for the first in line. Everything goes by the minute of the
decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal
from p2pworld.services.declaration import Places, Service
from p2pworld.services.facility import Allocation, Facility, Residents, Slot, slot_minute
from p2pworld.services.reasons import refusal
from p2pworld.services.workflow import Action, State
from p2pworld.services.working_time import DAY_MINUTES, day_of, minute_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.services.working_time import OfficeCalendar

__all__ = [
    "Ask",
    "Book",
    "Booked",
    "Cancel",
    "Confirm",
    "Decision",
    "Event",
    "Mark",
    "Offer",
    "Place",
    "Settle",
    "Standing",
    "View",
    "Wait",
    "Waiting",
    "award",
    "closing_minute",
    "decide",
    "is_reviewed",
    "offer_of",
    "slot_fault",
]

YEARS: Final = (2000, 2100)  # that slots lie in; beyond, no calendar knows what is open
OPENS_AT: Final = 9 * 60  # of the day on which a slot can first be booked
DRAWS_AT: Final = 10 * 60  # of the day of its draw
MOVED_UP_MINUTES: Final = 24 * 60  # to say whether one still wants a place, after days of waiting for it


class Standing(Enum):
    """How a place is taken."""

    HELD = "held"
    DUE = "due"
    CONFIRMED = "confirmed"
    USED = "used"
    MISSED = "missed"


LIVE: Final = (Standing.HELD, Standing.DUE, Standing.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Place:
    """One row: a seat of a slot, and whose it is. `key` is the transaction's; `until` when it runs out by itself."""

    facility: str
    slot: int
    seat: int
    end: int
    service: str
    key: str
    person: str
    standing: Standing
    until: int | None = None

    def live(self, minute: int) -> bool:
        """Whether it is somebody's at this minute, and neither over nor run out."""
        return self.standing in LIVE and (self.until is None or minute < self.until)


@dataclass(frozen=True, slots=True)
class Wait:
    """One row of a slot's waiting list; `first` are residents where they come before others."""

    facility: str
    slot: int
    number: int
    service: str
    key: str
    person: str
    first: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What is booked: a facility under the rules of a service, at a slot that it has; `reviewed` if the office looks at
    each request, and a place is held for as long as that takes."""

    service: str
    rules: Places
    facility: Facility
    slot: Slot
    reviewed: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What a transaction has read: all rows of the slot, and all places of the person in this stream, if one asks."""

    places: tuple[Place, ...]
    waiting: tuple[Wait, ...]
    own: tuple[Place, ...] = ()


# ---- what is asked


@dataclass(frozen=True, slots=True)
class Book:
    """A place for a person; `resident_of` is the gu that an attestor says they live in."""

    key: str
    person: str
    people: int
    minute: int
    resident_of: str = ""
    wait: bool = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """The next step to a confirmed place: who holds one wants it, or what was due is paid."""

    key: str
    person: str
    minute: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """A place, or a number on the waiting list, given up; an office may do so at any time."""

    key: str
    minute: int
    by_office: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """The office says whether somebody came."""

    key: str
    minute: int
    came: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """Nothing is asked; what has run out is written off, and whoever waits moves up."""

    minute: int


Ask = Book | Confirm | Cancel | Mark | Settle


# ---- what comes of it


@dataclass(frozen=True, slots=True)
class Event:
    """Something that becomes a leaf, and an act in the case of the transaction `key`."""

    action: Action
    key: str
    facility: str
    slot: int
    seat: int | None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """A seat, how far it is taken, and until when something must be done to keep it."""

    seat: int
    standing: Standing
    until: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many are in line up to here."""

    position: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Rows to delete, rows to write (a row replaces that of its key), leaves in order, and the answer."""

    answer: Booked | Waiting | Refusal | None
    drop: tuple[Place, ...] = ()
    put: tuple[Place, ...] = ()
    leave: tuple[Wait, ...] = ()
    join: tuple[Wait, ...] = ()
    events: tuple[Event, ...] = ()


def decide(offer: Offer, view: View, ask: Ask) -> Decision:
    """What this request makes of the rows of its slot. A refusal may come with rows: of what had run out before."""
    desk = _Desk(offer, view, ask.minute)
    desk.settle()
    answer: Booked | Waiting | Refusal | None = None
    match ask:
        case Book():
            answer = desk.book(ask, view.own)
        case Confirm():
            answer = desk.confirm(ask, view.own)
        case Cancel():
            answer = desk.cancel(ask)
            desk.settle()
        case Mark():
            answer = desk.mark(ask)
        case Settle():
            pass
    return desk.decision(view, answer)


def award(offer: Offer, view: View, order: Iterable[tuple[str, str]], minute: int) -> Decision:
    """The places of a draw, for persons and their transactions in the order that was drawn.

    Whoever has no place waits, as far as the waiting list goes. To award again changes nothing.
    """
    desk = _Desk(offer, view, minute)
    for person, key in order:
        desk.award(person, key)
    return desk.decision(view, None)


def offer_of(
    service: Service,
    facilities: Mapping[str, Facility],
    facility_id: str,
    slot: str,
    calendar: OfficeCalendar,
) -> Offer | Refusal:
    """What is booked by a facility and slot of a form.

    `facility-unknown`, which also says that its places are given in another way than the service's; `facility-closed`
    or `slot-closed`, which also says that a time is not on the grid, or none at all.
    """
    facility, places = facilities.get(facility_id), service.places
    if facility is None or places is None or facility.kind not in places.kinds:
        return refusal("facility-unknown")
    if facility.allocation is not places.allocation:
        return refusal("facility-unknown")  # else whoever comes first would take what is drawn for
    minute = slot_minute(slot)
    if minute is None or not YEARS[0] <= day_of(minute).year <= YEARS[1]:
        return refusal("slot-closed")
    slots = facility.slots(day_of(minute), calendar)
    if not slots:
        return refusal("facility-closed")
    found = next((each for each in slots if each.begin == minute), None)
    if found is None:
        return refusal("slot-closed")
    return Offer(service.id, places, facility, found, is_reviewed(service))


def is_reviewed(service: Service) -> bool:
    """Whether an official decides about each request for a place of this service."""
    workflow = service.workflow
    return workflow.family == "hire" or (State.ASSIGNED in workflow.steps and workflow.family == "booking")


def closing_minute(rules: Places, begin: int) -> int:
    """When the draw for a slot that begins at this minute closes."""
    return minute_at(day_of(begin) - timedelta(days=rules.draw_days), DRAWS_AT)


def slot_fault(offer: Offer, minute: int, resident_of: str) -> Refusal | None:
    """Why nobody, or nobody living there, can ask for this slot at this minute, or None."""
    facility, rules, begin = offer.facility, offer.rules, offer.slot.begin
    opens = minute_at(day_of(begin) - timedelta(days=rules.opens_days), OPENS_AT)
    resident = resident_of == facility.gu
    if minute >= begin:
        return refusal("slot-past")
    if rules.draw_days and minute >= closing_minute(rules, begin):
        return refusal("draw-closed")
    if minute > begin - rules.closes_minutes:
        return refusal("slot-deadline")
    if minute < opens:
        return refusal("slot-not-open")
    if facility.residents is Residents.ONLY and not resident:
        return refusal("residents-only")
    head_start = facility.resident_days * DAY_MINUTES if facility.residents is Residents.DAYS else 0
    if not resident and minute < opens + head_start:
        return refusal("residents-first")
    return None


def person_fault(offer: Offer, own: Iterable[Place], minute: int, but: str = "") -> Refusal | None:
    """Why this person can have no further place here, or None; the place of transaction `but` does not count."""
    others = [place for place in own if place.key != but]
    pause = offer.rules.pause_days * DAY_MINUTES
    if any(p.standing is Standing.MISSED and minute < p.end + pause for p in others):
        return refusal("no-show-pause")
    if any(p.live(minute) and p.slot < offer.slot.end and offer.slot.begin < p.end for p in others):
        return refusal("slot-overlap")
    month = _month(offer.slot.begin)
    counted = [
        p
        for p in others
        if p.service == offer.service
        and _month(p.slot) == month
        and (p.live(minute) or p.standing in (Standing.USED, Standing.MISSED))
    ]
    return refusal("quota-used") if len(counted) >= offer.rules.per_month else None


def _month(minute: int) -> tuple[int, int]:
    day = day_of(minute)
    return day.year, day.month


class _Desk:
    """The rows of one slot while a decision is made, and the events so far."""

    def __init__(self, offer: Offer, view: View, minute: int) -> None:
        self._offer = offer
        self._minute = minute
        self._places = {place.seat: place for place in view.places}
        self._waiting = sorted(view.waiting, key=lambda wait: (not wait.first, wait.number))
        self._numbers = max((wait.number for wait in view.waiting), default=0)
        self._events: list[Event] = []

    def settle(self) -> None:
        """Writes off what has run out; then whoever waits moves up to what is free."""
        begin = self._offer.slot.begin
        for place in sorted(self._places.values(), key=lambda place: place.seat):
            if place.standing in LIVE and not place.live(self._minute):
                del self._places[place.seat]
                self._event(Action.EXPIRE, place.key, place.seat)
        if self._minute >= begin:
            for wait in self._waiting:
                self._event(Action.EXPIRE, wait.key, None)
            self._waiting = []
        while self._waiting and (seat := self._free()) is not None:
            wait = self._waiting.pop(0)
            until = begin if self._offer.reviewed else min(self._minute + MOVED_UP_MINUTES, begin)
            self._take(Action.MOVE_UP, seat, wait, Standing.HELD, until)

    def book(self, ask: Book, own: tuple[Place, ...]) -> Booked | Waiting | Refusal:
        offer = self._offer
        known = self._known(ask.key)
        if known is not None:
            return known
        if offer.rules.allocation is not Allocation.FIRST_COME:
            return refusal("booked-by-lot")
        theirs = self._own(own, ask.person)
        why = slot_fault(offer, self._minute, ask.resident_of) or person_fault(offer, theirs, self._minute)
        if why is not None:
            return why
        if ask.people > offer.facility.capacity:
            return refusal("too-many-people")
        free = self._free()
        if free is not None:
            return self._take(*self._first(free, ask))
        if not ask.wait or offer.rules.waiting == 0:
            return refusal("slot-taken")
        if any(wait.person == ask.person for wait in self._waiting):
            return refusal("waiting-already")
        if len(self._waiting) >= offer.rules.waiting:
            return refusal("waitlist-full")
        first = offer.facility.residents is Residents.FIRST and ask.resident_of == offer.facility.gu
        self._numbers += 1
        facility, slot = offer.facility.id, offer.slot.begin
        self._waiting.append(Wait(facility, slot, self._numbers, offer.service, ask.key, ask.person, first))
        self._waiting.sort(key=lambda wait: (not wait.first, wait.number))
        self._event(Action.WAIT, ask.key, None)
        return Waiting([wait.key for wait in self._waiting].index(ask.key) + 1)

    def award(self, person: str, key: str) -> None:
        facility, slot = self._offer.facility.id, self._offer.slot.begin
        who = Wait(facility, slot, self._numbers + 1, self._offer.service, key, person)
        free = self._free()
        if self._known(key) is not None:
            return
        if free is not None:
            # two steps at once: a place is drawn, and its payment is due, or it is confirmed
            self._event(Action.DRAW, key, free)
            pay = self._offer.rules.pay_minutes
            if pay:
                self._take(Action.CLAIM, free, who, Standing.DUE, min(self._minute + pay, slot))
            else:
                self._take(Action.CONFIRM, free, who, Standing.CONFIRMED, None)
        elif len(self._waiting) < self._offer.rules.waiting:
            self._numbers += 1
            self._waiting.append(who)
            self._event(Action.WAIT, key, None)
        else:
            self._event(Action.NOT_DRAW, key, None)

    def confirm(self, ask: Confirm, own: tuple[Place, ...]) -> Booked | Waiting | Refusal:
        place = self._of(ask.key)
        if place is None:
            return refusal("hold-expired" if self._expired(ask.key) else "no-booking")
        if place.standing is Standing.HELD:
            theirs = self._own(own, ask.person)
            why = person_fault(self._offer, theirs, self._minute, but=ask.key)
            if why is not None:
                return why
        if place.standing is Standing.HELD and self._offer.rules.pay_minutes:
            until = min(self._minute + self._offer.rules.pay_minutes, self._offer.slot.begin)
            return self._take(Action.CLAIM, place.seat, place, Standing.DUE, until)
        if place.standing in (Standing.HELD, Standing.DUE):
            return self._take(Action.CONFIRM, place.seat, place, Standing.CONFIRMED, None)
        return Booked(place.seat, place.standing, place.until)

    def cancel(self, ask: Cancel) -> Booked | Waiting | Refusal | None:
        for wait in self._waiting:
            if wait.key == ask.key:
                self._waiting.remove(wait)
                self._event(Action.CANCEL, ask.key, None)
                return None
        place = self._of(ask.key)
        if place is None or place.standing not in LIVE:
            return refusal("no-booking")
        begin = self._offer.slot.begin
        last = begin - self._offer.rules.cancel_minutes if place.standing is Standing.CONFIRMED else begin
        if self._minute > last and not ask.by_office:
            return refusal("cancel-late")
        del self._places[place.seat]
        self._event(Action.CANCEL, ask.key, place.seat)
        return None

    def mark(self, ask: Mark) -> Booked | Waiting | Refusal:
        place = self._of(ask.key)
        standing = Standing.USED if ask.came else Standing.MISSED
        if place is None:
            return refusal("no-booking")
        if place.standing is standing:
            return Booked(place.seat, standing, None)
        if place.standing is not Standing.CONFIRMED:
            return refusal("state-conflict")
        if self._minute < self._offer.slot.begin:
            return refusal("not-yet")
        action = Action.USE if ask.came else Action.MISS
        return self._take(action, place.seat, place, standing, None)

    def decision(self, view: View, answer: Booked | Waiting | Refusal | None) -> Decision:
        """The difference between what was read and what is so now."""
        before = {place.seat: place for place in view.places}
        waited = set(view.waiting)
        return Decision(
            answer,
            # a place that nothing happened to is the same object: there are hundreds in a hall
            drop=tuple(p for seat, p in before.items() if self._places.get(seat) is not p),
            put=tuple(p for seat, p in sorted(self._places.items()) if before.get(seat) is not p),
            leave=tuple(wait for wait in view.waiting if wait not in self._waiting),
            join=tuple(wait for wait in self._waiting if wait not in waited),
            events=tuple(self._events),
        )

    def _first(self, seat: int, ask: Book) -> tuple[Action, int, Book, Standing, int | None]:
        """How a place is taken at first: held, or due, or confirmed at once."""
        rules, begin = self._offer.rules, self._offer.slot.begin
        if self._offer.reviewed:
            return Action.HOLD, seat, ask, Standing.HELD, begin
        if rules.hold_minutes:
            return Action.HOLD, seat, ask, Standing.HELD, min(self._minute + rules.hold_minutes, begin)
        if rules.pay_minutes:
            return Action.CLAIM, seat, ask, Standing.DUE, min(self._minute + rules.pay_minutes, begin)
        return Action.CONFIRM, seat, ask, Standing.CONFIRMED, None

    def _free(self) -> int | None:
        seats = self._offer.facility.seats
        if (
            len(self._places) >= seats
        ):  # those beyond what there is now, if there were more once, count as well
            return None
        return next((seat for seat in range(seats) if seat not in self._places), None)

    def _take(
        self, action: Action, seat: int, who: Place | Wait | Book, standing: Standing, until: int | None
    ) -> Booked:
        """Writes the row of a seat, for who asks, waits or has it already."""
        facility, slot = self._offer.facility.id, self._offer.slot
        service = self._offer.service if isinstance(who, Book) else who.service
        self._places[seat] = Place(
            facility, slot.begin, seat, slot.end, service, who.key, who.person, standing, until
        )
        self._event(action, who.key, seat, until)
        return Booked(seat, standing, until)

    def _event(self, action: Action, key: str, seat: int | None, until: int | None = None) -> None:
        self._events.append(Event(action, key, self._offer.facility.id, self._offer.slot.begin, seat, until))

    def _own(self, read: tuple[Place, ...], person: str) -> list[Place]:
        """All places of a person, those of this slot as they are now: they may just have moved up, or run out."""
        here = (self._offer.facility.id, self._offer.slot.begin)
        others = [place for place in read if (place.facility, place.slot) != here]
        return others + [place for place in self._places.values() if place.person == person]

    def _of(self, key: str) -> Place | None:
        return next((place for place in self._places.values() if place.key == key), None)

    def _expired(self, key: str) -> bool:
        return any(event.key == key and event.action is Action.EXPIRE for event in self._events)

    def _known(self, key: str) -> Booked | Waiting | None:
        place = self._of(key)
        if place is not None:
            return Booked(place.seat, place.standing, place.until)
        for position, wait in enumerate(self._waiting, 1):
            if wait.key == key:
                return Waiting(position)
        return None
