"""Places at the desk of a stream's holder: who books, what an act does with a place, and what runs out.

`reservations` decides; here its rows are read and written, and what happens becomes leaves of the holder and acts in
the cases that they are about. One desk serves one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.civic.kept import Verdict, due_name
from p2pworld.civic.transaction import Submission, parse_leaf
from p2pworld.errors import Refusal
from p2pworld.services.case_log import file_event
from p2pworld.services.case_rows import CaseFile, fold, keep_case, read_case, stepped
from p2pworld.services.facility import Slot, slot_minute
from p2pworld.services.party import party
from p2pworld.services.place_rows import (
    entry_of_key,
    forget_slot,
    is_overlapped,
    keep_decision,
    over_minute,
    put_entry_of_key,
    slot_of_due,
    view_of,
)
from p2pworld.services.reasons import refusal
from p2pworld.services.reservations import (
    LIVE,
    Book,
    Booked,
    Cancel,
    Confirm,
    Mark,
    Offer,
    Settle,
    Standing,
    award,
    decide,
    is_reviewed,
    offer_of,
)
from p2pworld.services.workflow import Act, Action, State, Who
from p2pworld.services.workflows import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.civic.kept import Ledger
    from p2pworld.civic.transaction import Filing
    from p2pworld.crypto.keys import Signer
    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.people import Attested
    from p2pworld.services.reservations import Ask, Decision, Event, View
    from p2pworld.services.workflow import Case, Workflow
    from p2pworld.services.working_time import OfficeCalendar

__all__ = ["BookingDesk", "is_settled_in"]

_HOUR: Final = 60
_KEPT_ENDS: Final = (State.USED, State.FINISHED_COURSE, State.COMPLETED, State.NO_SHOW)
_CAME: Final = (Action.USE, Action.COMPLETE)


def is_settled_in(workflow: Workflow, state: State) -> bool:
    """Whether whoever has a case in this state has their place for certain: in the last step before it is used."""
    chain = FAMILIES[workflow.family].chain
    if State.CONFIRMED not in chain or state not in chain:
        return False
    until = chain[: chain.index(State.CONFIRMED) + 1]
    return state in workflow.steps and state is [step for step in workflow.steps if step in until][-1]


class BookingDesk:
    """The places of one stream in one transaction."""

    def __init__(
        self, stream: str, signer: Signer, catalogue: Catalogue, calendar: OfficeCalendar, ledger: Ledger
    ) -> None:
        self._stream, self._signer, self._ledger = stream, signer, ledger
        self._catalogue, self._calendar = catalogue, calendar

    def offer(self, service: Service, filing: Filing) -> Offer | Refusal:
        """What a filing asks for: a slot of a facility that this stream gives away."""
        said = {field.name: field.value for field in filing.fields}
        found = offer_of(service, self._catalogue.facilities, said["facility"], said["slot"], self._calendar)
        if isinstance(found, Offer) and found.facility.gu != self._stream:
            return refusal("facility-unknown")  # its places are given by another log
        return found

    def book(self, service: Service, filing: Filing, who: Attested, wait: bool) -> Verdict:
        """What becomes of somebody who asks for a place."""
        offer = self.offer(service, filing)
        if isinstance(offer, Refusal):
            return Verdict(offer)
        people = self.people(service, filing)
        gu = offer.facility.gu if who.lives_in(offer.facility.gu) else who.gu
        ask = Book(filing.key.hex(), who.person, people, self._ledger.minute, gu, wait)
        view = view_of(self._ledger.rows, offer.facility.id, offer.slot.begin, who.person)
        decision = decide(offer, view, ask)
        if isinstance(decision.answer, Booked) and is_overlapped(
            self._ledger.rows, offer.facility.id, offer.slot, ask.minute
        ):
            return Verdict(refusal("slot-taken"))  # the grid was another one when that was booked
        entry = self._ledger.next
        if isinstance(decision.answer, Refusal):
            return Verdict(decision.answer, self._carry_out(offer, view, decision, entry))
        put_entry_of_key(self._ledger.rows, ask.key, entry)
        keep_case(self._ledger.rows, entry, CaseFile(self._stream))
        return Verdict(leaves=self._carry_out(offer, view, decision, entry + 1, {entry: filing}))

    def people(self, service: Service, filing: Filing) -> int:
        """How many come, as the leaf says."""
        return party(service.form, {field.name: field.value for field in filing.fields})

    def award(self, offer: Offer, order: Iterable[tuple[str, str]]) -> tuple[Submission, ...]:
        """The leaves by which these, persons and keys of their filings, get what is left, in the order of a draw."""
        view = view_of(self._ledger.rows, offer.facility.id, offer.slot.begin)
        decision = award(offer, view, order, self._ledger.minute)
        return self._carry_out(offer, view, decision, self._ledger.next)

    def act(
        self, service: Service, entry: int, about: Filing, case: CaseFile, act: Act, after: Case
    ) -> Verdict:
        """What becomes of an act on a booking that its workflow lets happen; its case is then `case`."""
        said = {field.name: field.value for field in about.fields}
        begin = slot_minute(said["slot"])
        assert begin is not None, "it stands in the log"
        rows, facility, leaves = self._ledger.rows, said["facility"], tuple[Submission, ...]()
        asks = self._asks(service, view_of(rows, facility, begin), about.key.hex(), act, after)
        for number, ask in enumerate(asks):
            view = view_of(rows, facility, begin)
            offer = self._offer_of_rows(view, facility, begin, service)
            if offer is None:
                return Verdict(refusal("facility-unknown"))
            if isinstance(ask, Confirm):
                view = view_of(rows, facility, begin, ask.person)
            decision = decide(offer, view, ask)
            if isinstance(decision.answer, Refusal):
                assert number == 0, "what follows from a place that was given is never refused"
                return Verdict(decision.answer, self._carry_out(offer, view, decision, self._ledger.next))
            if number == 0:
                keep_case(rows, entry, case)
            at = self._ledger.next + 1 + len(leaves)
            leaves += self._carry_out(offer, view, decision, at, {entry: about})
        if not asks:
            keep_case(rows, entry, case)
        return Verdict(leaves=leaves)

    def settle(self, what: str) -> tuple[Submission, ...]:
        """What has run out in a slot, as leaves; a slot that is over long enough is forgotten."""
        facility, begin = slot_of_due(what)
        ledger = self._ledger
        view = view_of(ledger.rows, facility, begin)
        if not view.waiting and not any(p.standing in LIVE and p.until for p in view.places):
            if ledger.minute >= over_minute(view):
                forget_slot(ledger.rows, view)
            else:
                ledger.rows.put(due_name(over_minute(view), what), b"")
            return ()
        offer = self._offer_of_rows(view, facility, begin)
        if offer is None:  # its declaration is gone, for now perhaps
            ledger.rows.put(due_name(ledger.minute + _HOUR, what), b"")
            return ()
        return self._carry_out(
            offer, view, decide(offer, view, Settle(ledger.minute)), ledger.next, looked=True
        )

    # ---- pieces

    def _asks(self, service: Service, view: View, key: str, act: Act, after: Case) -> tuple[Ask, ...]:
        """What an act asks of the place of a booking."""
        minute = self._ledger.minute
        place = next((place for place in view.places if place.key == key), None)
        has = place is not None and place.standing in LIVE
        person = place.person if place is not None else ""
        if act.action in (Action.CLAIM, Action.CONFIRM):
            return (Confirm(key, person, minute),)
        if act.action is Action.MISS or (act.action in _CAME and place is not None):
            return (Mark(key, minute, act.action in _CAME),)
        if after.state in service.workflow.ends and after.state not in _KEPT_ENDS:
            waits = any(wait.key == key for wait in view.waiting)
            return (Cancel(key, minute, act.who is not Who.CITIZEN),) if has or waits else ()
        if has and place is not None and is_settled_in(service.workflow, after.state):
            pays = (
                place.standing is Standing.HELD and service.places is not None and service.places.pay_minutes
            )
            steps = 0 if place.standing is Standing.CONFIRMED else 2 if pays else 1
            return (Confirm(key, person, minute),) * steps
        return ()

    def _offer_of_rows(
        self, view: View, facility_id: str, begin: int, service: Service | None = None
    ) -> Offer | None:
        """What a slot with these rows gives, if both are still declared; by the rules of the first of its services."""
        facility = self._catalogue.facilities.get(facility_id)
        if service is None:
            names = [wait.service for wait in view.waiting] + [place.service for place in view.places]
            declared = self._catalogue.services
            service = next((declared[name] for name in names if name in declared), None)
        if facility is None or service is None or service.places is None:
            return None
        end = view.places[0].end if view.places else begin + facility.slot_minutes
        return Offer(service.id, service.places, facility, Slot(begin, end), is_reviewed(service))

    def _carry_out(
        self,
        offer: Offer,
        view: View,
        decision: Decision,
        at: int,
        filings: Mapping[int, Filing] | None = None,
        looked: bool = False,
    ) -> tuple[Submission, ...]:
        """Writes what was decided, and returns its events as leaves, the first of which is entry `at`.

        `filings` are those that are not in the log yet, or have been read from it, by their entries.
        """
        ledger, leaves = self._ledger, []
        keep_decision(ledger.rows, offer.facility.id, offer.slot.begin, view, decision, looked)
        for number, event in enumerate(decision.events, at):
            leaf = file_event(event, self._stream, number, ledger.minute, self._signer)
            leaves.append(leaf)
            entry = entry_of_key(ledger.rows, event.key)
            if entry is not None:
                self._happens(event, leaf.filing, entry, (filings or {}).get(entry))
        return tuple(leaves)

    def _happens(self, event: Event, leaf: Filing, entry: int, about: Filing | None) -> None:
        """Adds an event to the case that it is about, if it means anything there."""
        ledger = self._ledger
        if about is None:
            there = ledger.entry(entry)
            assert there is not None, "who wrote down the entry had it"
            about = parse_leaf(there).filing
        service = self._catalogue.services.get(about.type)
        if service is None:
            return
        case = read_case(ledger.rows, entry, self._stream)
        state = fold(service, about, case, self._calendar)
        act = Act(leaf.key.hex(), len(state.acts), event.action, Who.SYSTEM, leaf.minute)
        after = stepped(service, case, state, act, self._calendar)
        if not isinstance(after, Refusal):
            keep_case(ledger.rows, entry, after[0])
