"""Draws at the desk of a stream's holder: `draw_desk` decides, `booking_desk` gives the places that were drawn.

    until/<minute>/draw/<facility>/<slot>      when the draw of a slot is to be looked at next

Whoever withdraws before the draw stays in its order, for that stands in the log, and is passed over: the next in the
order has the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.civic.kept import Verdict, due_name
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal
from p2pworld.services.case_rows import CaseFile, fold, keep_case, read_case
from p2pworld.services.draw_desk import Applicant, DrawDesk, draw_of_leaf
from p2pworld.services.place_rows import entry_of_key, put_entry_of_key
from p2pworld.services.reasons import refusal
from p2pworld.services.reservations import offer_of
from p2pworld.services.workflow import Act, Action, State, Who

if TYPE_CHECKING:
    from p2pworld.civic.kept import Ledger
    from p2pworld.civic.transaction import Filing, Submission
    from p2pworld.crypto.keys import Signer
    from p2pworld.services.booking_desk import BookingDesk
    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.draw_desk import DrawStep
    from p2pworld.services.people import Attested
    from p2pworld.services.reservations import Offer
    from p2pworld.services.working_time import OfficeCalendar

__all__ = ["DRAW_DUE", "DrawClerk"]

DRAW_DUE: Final = "draw/"
_HOUR: Final = 60


class DrawClerk:
    """The draws of one stream in one transaction; `office` is the key that the office has in them, if it has one."""

    def __init__(
        self,
        stream: str,
        office: Signer | None,
        bookings: BookingDesk,
        catalogue: Catalogue,
        calendar: OfficeCalendar,
        ledger: Ledger,
    ) -> None:
        self._stream, self._bookings, self._ledger = stream, bookings, ledger
        self._catalogue, self._calendar, self._draws = catalogue, calendar, office is not None
        self._desk = DrawDesk(ledger.rows, stream, ledger.epoch, ledger.minute, office)

    def take(self, submission: Submission) -> Verdict:
        """What becomes of a leaf that a party has filed."""
        facility, slot, _ = draw_of_leaf(submission.filing)
        offer = self._offer(facility, slot)
        entry = submission.leaf(self._ledger.epoch).to_bytes()
        step = refusal("draw-unknown") if offer is None else self._desk.take(offer, submission.filing, entry)
        if isinstance(step, Refusal):
            return Verdict(step)
        self._look_again(step, facility, slot)
        return Verdict(leaves=step.leaves)

    def enter(self, service: Service, filing: Filing, who: Attested) -> Verdict:
        """What becomes of somebody who applies for a place that is given by lot."""
        offer = self._bookings.offer(service, filing)
        if isinstance(offer, Refusal):
            return Verdict(offer)
        gu = offer.facility.gu if who.lives_in(offer.facility.gu) else who.gu
        people = self._bookings.people(service, filing)
        step = self._desk.enter(offer, Applicant(who.person, gu, people, filing.key))
        if isinstance(step, Refusal):
            return Verdict(step)
        rows, entry, minute = self._ledger.rows, self._ledger.next, self._ledger.minute
        (leaf,) = step.leaves
        put_entry_of_key(rows, filing.key.hex(), entry)
        entered = Act(leaf.filing.key.hex(), 0, Action.ENTER, Who.SYSTEM, minute)
        keep_case(rows, entry, CaseFile(self._stream, (entered,)))
        return Verdict(leaves=step.leaves)

    def settle(self, what: str) -> tuple[Submission, ...]:
        """What comes of itself about the draw of a slot, as leaves; one piece of it."""
        facility, slot = what.removeprefix(DRAW_DUE).split("/")
        offer = self._offer(facility, slot)
        if offer is None or not self._draws:  # its declaration or the office's key is gone, for now perhaps
            self._ledger.rows.put(due_name(self._ledger.minute + _HOUR, what), b"")
            return ()
        step = self._desk.go_on(facility, slot)
        self._look_again(step, facility, slot)
        order = [each for each in step.award if self._waits(each[1])]
        if not order:
            return step.leaves
        return (*step.leaves, *self._bookings.award(offer, order))

    # ---- pieces

    def _offer(self, facility: str, slot: str) -> Offer | None:
        """What is drawn for, if a service is declared that does it."""
        for service in self._catalogue.services.values():
            if service.places is not None and service.places.draw_days:
                offer = offer_of(service, self._catalogue.facilities, facility, slot, self._calendar)
                if not isinstance(offer, Refusal) and offer.facility.gu == self._stream:
                    return offer
        return None

    def _waits(self, key: str) -> bool:
        """Whether a request is still in the draw."""
        ledger, entry = self._ledger, entry_of_key(self._ledger.rows, key)
        there = ledger.entry(entry) if entry is not None else None
        if entry is None or there is None:
            return False
        about = parse_leaf(there).filing
        service = self._catalogue.services.get(about.type)
        if service is None:
            return False
        case = read_case(ledger.rows, entry, self._stream)
        return fold(service, about, case, self._calendar).state is State.DRAW_PENDING

    def _look_again(self, step: DrawStep, facility: str, slot: str) -> None:
        if step.due is not None:
            self._ledger.rows.put(due_name(step.due, f"{DRAW_DUE}{facility}/{slot}"), b"")
