"""The rows beside a log, made again from its leaves, as far as leaves suffice.

Events say which seat is whose and until when, acts say what became of a case; so both are rebuilt exactly. What stands
in no leaf is who somebody is (a pseudonym is told to the holder alone), whether they come first as residents, and which
grants an official showed. Whoever has a place by a row that was rebuilt counts as somebody whom nobody knows: their
quota begins anew. That is what is lost when a store is. Draws are leaves through and through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.civic.kept import Ledger, Rows, due_name
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal
from p2pworld.merkle.tree import leaf_hash
from p2pworld.services.case_log import event_of, read_act
from p2pworld.services.case_rows import CaseFile, fold, keep_case, read_case, role_of, stepped
from p2pworld.services.draw import PARTIES
from p2pworld.services.draw_clerk import DRAW_DUE
from p2pworld.services.draw_desk import draw_of_leaf
from p2pworld.services.draw_log import DONE, DRAW_TYPES, ENTERED
from p2pworld.services.draw_rows import BUCKETS, DrawBook, draw_said
from p2pworld.services.place_rows import (
    entry_of_key,
    is_long_over,
    keep_decision,
    place_said,
    put_entry_of_key,
    view_of,
)
from p2pworld.services.reservations import Decision, Place, Standing, Wait
from p2pworld.services.support import support_of, support_row
from p2pworld.services.workflow import Act, Action, Who

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from p2pworld.civic.transaction import Filing
    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.reservations import Event, View
    from p2pworld.services.working_time import OfficeCalendar

__all__ = ["Replay", "row_faults"]

_TAKEN: Final = {
    Action.HOLD: Standing.HELD,
    Action.MOVE_UP: Standing.HELD,
    Action.CLAIM: Standing.DUE,
    Action.CONFIRM: Standing.CONFIRMED,
    Action.USE: Standing.USED,
    Action.MISS: Standing.MISSED,
}
_GIVEN_UP: Final = (Action.CANCEL, Action.EXPIRE)
_COMPARED: Final = ("case/", "draw/", "filed/", "place/", "support/", "wait/")


class Replay:
    """Takes the leaves of one stream in order, and changes the rows of a ledger as they say."""

    def __init__(self, stream: str, catalogue: Catalogue, calendar: OfficeCalendar, ledger: Ledger) -> None:
        self._stream, self._catalogue, self._calendar = stream, catalogue, calendar
        self._ledger = ledger
        self._drawn: set[tuple[str, str, int]] = set()
        self.undeclared: set[str] = (
            set()
        )  # services of which more is in the log than their filings, and unknown here

    def take(self, index: int, filing: Filing) -> None:
        """What the leaf of entry `index` says."""
        event = event_of(filing)
        if event is not None:
            self._happen(event, filing)
            return
        if filing.type in DRAW_TYPES:
            self._draw(index, filing)
            return
        support = support_of(filing)
        if support is not None:
            self._ledger.rows.put(support_row(support), b"")
            return
        act = read_act(filing)
        if act is not None:
            about = self._filing(act.entry)
            service = self._catalogue.services.get(about.type) if about is not None else None
            if about is not None and service is not None:
                who = Who.CITIZEN if filing.fields[4].value == about.key.hex() else None
                done = Act(
                    filing.key.hex(), act.seen, Action(act.action), Who.CITIZEN, filing.minute, act.amount
                )
                self._step(service, act.entry, about, done, who)
            elif about is not None:
                self.undeclared.add(about.type)
            return
        service = self._catalogue.services.get(filing.type)
        if (service.places is not None) if service is not None else _asks_for_place(filing):
            put_entry_of_key(self._ledger.rows, filing.key.hex(), index)
            keep_case(self._ledger.rows, index, CaseFile(self._stream))

    def finish(self) -> None:
        """Has what the leaves of draws have left open looked at: to go on with a draw changes nothing that is done."""
        for facility, slot, again in sorted(self._drawn):
            book = DrawBook(self._ledger.rows, self._stream, facility, slot, again)
            if len(book.draw.shared) < PARTIES:
                continue
            book.carried = book.carried_so_far()
            book.keep()
            waits = book.draw.closed is None and book.carried == BUCKETS
            due = book.draw.closes if waits else 0
            self._ledger.rows.put(due_name(due, f"{DRAW_DUE}{facility}/{slot}"), b"")
        self._drawn.clear()

    def _draw(self, index: int, filing: Filing) -> None:
        """What a leaf of a draw says; who enters it has an act in their case."""
        facility, slot, again = draw_of_leaf(filing)
        book = DrawBook(self._ledger.rows, self._stream, facility, slot, again)
        there = self._ledger.entry(index)
        assert there is not None, "it is read from there"
        key = filing.public[-3].value if filing.type == ENTERED.name else ""
        book.entering(bytes.fromhex(key))
        if book.draw.take(filing, leaf_hash(there)) is not None:
            return
        book.keep()
        if filing.type == DONE.name:
            book.put_order()
        self._drawn.add((facility, slot, again))
        entry = entry_of_key(self._ledger.rows, key) if key else None
        about = self._filing(entry) if entry is not None else None
        service = self._catalogue.services.get(about.type) if about is not None else None
        if entry is not None and about is not None and service is not None:
            done = Act(filing.key.hex(), 0, Action.ENTER, Who.SYSTEM, filing.minute)
            self._step(service, entry, about, done, Who.SYSTEM)

    def _filing(self, entry: int) -> Filing | None:
        there = self._ledger.entry(entry)
        return parse_leaf(there).filing if there is not None else None

    def _step(self, service: Service, entry: int, about: Filing, act: Act, who: Who | None) -> None:
        """Adds an act to its case; if nobody says who acts, it was whoever may."""
        case = read_case(self._ledger.rows, entry, self._stream)
        state = fold(service, about, case, self._calendar)
        role = who or role_of(service.workflow, state.state, act.action)
        if role is None:
            return
        seen = len(state.acts) if role is Who.SYSTEM else act.seen
        done = Act(act.key, seen, act.action, role, act.minute, act.amount)
        after = stepped(service, case, state, done, self._calendar)
        if not isinstance(after, Refusal):
            keep_case(self._ledger.rows, entry, after[0])

    def _happen(self, event: Event, filing: Filing) -> None:
        """Changes the row of a seat or of who waits for one, and the case."""
        rows, entry = self._ledger.rows, entry_of_key(self._ledger.rows, event.key)
        about = self._filing(entry) if entry is not None else None
        service = self._catalogue.services.get(about.type) if about is not None else None
        if entry is None or about is None or service is None:
            if about is not None:
                self.undeclared.add(about.type)
            return
        view = view_of(rows, event.facility, event.slot)
        decision = self._decided(event, view, service)
        if decision is not None:
            keep_decision(rows, event.facility, event.slot, view, decision)
        done = Act(filing.key.hex(), 0, event.action, Who.SYSTEM, filing.minute)
        self._step(service, entry, about, done, Who.SYSTEM)

    def _decided(self, event: Event, view: View, service: Service) -> Decision | None:
        """What must have been decided for this to happen."""
        was = next((place for place in view.places if place.key == event.key), None)
        waited = next((wait for wait in view.waiting if wait.key == event.key), None)
        leave = (waited,) if waited is not None else ()
        if event.action is Action.WAIT:
            number = max((wait.number for wait in view.waiting), default=0) + 1
            join = Wait(event.facility, event.slot, number, service.id, event.key, event.key)
            return Decision(None, join=(join,)) if waited is None else None
        if event.action in _GIVEN_UP:
            return Decision(None, drop=(was,) if was is not None else (), leave=leave)
        standing = _TAKEN.get(event.action)
        if event.action is Action.DRAW:
            standing = Standing.CONFIRMED if event.until is None else Standing.DUE
        if standing is None or event.seat is None:
            return None
        person = was.person if was is not None else waited.person if waited is not None else event.key
        end = was.end if was is not None else self._end(event)
        place = Place(
            event.facility, event.slot, event.seat, end, service.id, event.key, person, standing, event.until
        )
        there = [each for each in view.places if each.seat == event.seat or each.key == event.key]
        return Decision(None, drop=tuple(there), put=(place,), leave=leave)

    def _end(self, event: Event) -> int:
        facility = self._catalogue.facilities.get(event.facility)
        return event.slot + (facility.slot_minutes if facility is not None else 0)


def _asks_for_place(filing: Filing) -> bool:
    """Whether a filing of a service that is unknown here asked for a place, as far as the log says."""
    return {"facility", "slot"} <= {field.name for field in filing.fields}


class _Nothing:
    """Rows of which there are none yet."""

    def get(self, name: str) -> bytes | None:
        return None

    def under(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        return ()

    def first(self, prefix: str, after: str = "") -> str | None:
        return None

    def last(self, prefix: str, before: str) -> str | None:
        return None

    def entry(self, index: int) -> bytes:
        raise IndexError(index)


def row_faults(
    stream: str,
    catalogue: Catalogue,
    calendar: OfficeCalendar,
    entries: Iterable[bytes],
    rows: Mapping[str, bytes],
) -> Iterator[str]:
    """What is wrong with the rows beside a log that are made of leaves, each as a sentence.

    A slot that is over for long may have been forgotten. Entries that are no leaves are told by others.
    """
    ledger = Ledger(Rows(_Nothing()), 0, 0, 0, [], _Nothing())
    replay, minute = Replay(stream, catalogue, calendar, ledger), 0
    for index, entry in enumerate(entries):
        ledger.entries.append(entry)
        filing = parse_leaf(entry).filing
        minute = max(minute, filing.minute)
        replay.take(index, filing)
    for name in sorted(replay.undeclared):
        yield f"The service {name} is not declared here: what belongs to it cannot be told."
    expected = {
        change.name: change.after
        for change in ledger.rows.changes()
        if change.after is not None and change.name.startswith(_COMPARED)
    }
    there = {name: body for name, body in rows.items() if name.startswith(_COMPARED)}
    for name in sorted(expected.keys() | there.keys()):
        made, kept = expected.get(name), there.get(name)
        if kept is None and made is not None and not is_long_over(name, minute):
            yield f"The row {name} is missing, and the log's leaves make it."
        elif made is None:
            yield f"The row {name} is there, and no leaf makes it."
        elif kept is not None and _said(name, made) != _said(name, kept):
            yield f"The row {name} is not what the log's leaves make of it."


def _said(name: str, body: bytes) -> object:
    """What a row says, as far as leaves say it too."""
    return draw_said(name, body) if name.startswith("draw/") else place_said(name, body)
