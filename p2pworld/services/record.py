"""What everybody may see of a request: the leaves of a log, read one by one and folded into cases.

`read_entry` says what a leaf tells of cases: that one was filed, that somebody did something with one, that the
stream's holder gave or took back a place, that something sealed was erased. `fold` makes of a filing and of what was
done with it a `Record`: state, deadline, who has it now, place in a slot, each act with who did it. Nothing else goes
in but the declaration of the service and the calendar, so everybody who has the log sees the same.

Who acted: the citizen, if the act is signed by the filing's own key; else somebody of the office, in the least role
that may do this, because a holder takes an act of nobody else. An event of the holder's is the clock's. One that the
service's table does not have in this state changes the place and not the case: somebody's act has moved that before.

A filing of a service that is not declared (any more) has no state and no deadline; what was done with it stays known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from p2pworld.civic.erasure import ERASED, asked_of
from p2pworld.errors import Refusal
from p2pworld.services.case_log import CASE_TYPES, SLOT_EVENT, case_act_of, event_of
from p2pworld.services.case_rows import office_of
from p2pworld.services.deadlines import Clock
from p2pworld.services.draw_log import DRAW_TYPES
from p2pworld.services.facility import slot_text
from p2pworld.services.leaf_types import NO_SERVICES
from p2pworld.services.support import SUPPORT, support_of
from p2pworld.services.workflow import Act, Action, Case, State, Who, Workflow, begin, step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.civic.transaction import Filing
    from p2pworld.services.declaration import Service
    from p2pworld.services.reservations import Event
    from p2pworld.services.working_time import OfficeCalendar

__all__ = [
    "Acted",
    "Booking",
    "Deed",
    "Happened",
    "Opened",
    "Record",
    "Shown",
    "Supported",
    "Term",
    "Wiped",
    "fold",
    "possible",
    "read_entry",
]

_ENTERED: Final = "draw-entered"

# how a place is taken after an event of the holder's
_STANDINGS: Final[Mapping[Action, str]] = {
    Action.ENTER: "entered",
    Action.HOLD: "held",
    Action.MOVE_UP: "held",
    Action.CLAIM: "due",
    Action.CONFIRM: "confirmed",
    Action.WAIT: "waiting",
    Action.USE: "used",
    Action.MISS: "missed",
    Action.CANCEL: "cancelled",
    Action.EXPIRE: "expired",
    Action.NOT_DRAW: "not-drawn",
}

_NO_PLACE_YET: Final = ("applied", "entered")  # what is given up then, no event tells of


# ---- one leaf


@dataclass(frozen=True, slots=True)
class Opened:
    """A filing that opened a case; `via` is a gateway's key, empty if the citizen filed it."""

    stream: str
    entry: int
    service: str
    minute: int
    key: bytes
    via: bytes
    public: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Acted:
    """Somebody's act on the case of entry `about`; with a `letter`, something sealed was written too."""

    entry: int
    about: int
    minute: int
    key: bytes
    action: Action
    amount: int
    seen: int
    by: bytes
    letter: bool


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the holder's, about the case of the transaction `filing`."""

    entry: int
    filing: bytes
    minute: int
    key: bytes
    action: Action
    facility: str
    slot: str
    seat: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Wiped:
    """What was sealed with this entry is gone."""

    index: int


@dataclass(frozen=True, slots=True)
class Supported:
    """Somebody, by a pseudonym for this alone, supports the proposal that entry `about` is."""

    about: int
    person: str


Deed = Acted | Happened


def read_entry(entry: int, filing: Filing) -> Opened | Acted | Happened | Wiped | Supported | None:
    """What entry number `entry` of a log says of cases; None if nothing, or nothing that its type allows."""
    if filing.type == ERASED.name:
        asked = asked_of(filing)
        return Wiped(asked.index) if asked else None
    if filing.type == SUPPORT.name:
        support = support_of(filing)
        return Supported(*support) if support else None
    if filing.type in CASE_TYPES:
        act = case_act_of(filing)
        if act is None or isinstance(act, Refusal):
            return None
        by = bytes.fromhex(filing.fields[4].value)
        letter = CASE_TYPES[filing.type].sealed
        action = Action(act.action)
        return Acted(entry, act.entry, filing.minute, filing.key, action, act.amount, act.seen, by, letter)
    if filing.type == SLOT_EVENT.name:
        event = event_of(filing)
        return _event(entry, filing, event) if event else None
    public = {field.name: field.value for field in filing.fields}
    if filing.type == _ENTERED:
        return _entered(entry, filing, public) if DRAW_TYPES[_ENTERED].accepts(filing.fields) else None
    if filing.type in NO_SERVICES:
        return None
    return Opened(filing.stream, entry, filing.type, filing.minute, filing.key, filing.via, public)


def _event(entry: int, filing: Filing, event: Event) -> Happened:
    about, slot = bytes.fromhex(event.key), slot_text(event.slot)
    return Happened(
        entry, about, filing.minute, filing.key, event.action, event.facility, slot, event.seat, event.until
    )


def _entered(entry: int, filing: Filing, said: Mapping[str, str]) -> Happened:
    facility, slot = said["draw"].split("/")[:2]
    about = bytes.fromhex(said["filing"])
    return Happened(entry, about, filing.minute, filing.key, Action.ENTER, facility, slot)


# ---- one case


@dataclass(frozen=True, slots=True)
class Booking:
    """A place in a slot, or the wish for one: `standing` as in `reservations`, or `applied`, `entered`, `waiting`,
    `cancelled`, `expired`, `not-drawn`. `until` is the minute in which it runs out by itself."""

    facility: str
    slot: str
    seat: int | None = None
    standing: str = "applied"
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A deed, as whom it was done, the state after it, and why it had no effect on the case, if so."""

    deed: Deed
    who: Who
    state: State | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """One running of the clock: from filing or reopening until it was answered, if it was, and by whom it ended."""

    clock: Clock
    due: int
    ended_by: Who | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A case as it stands after the leaves that were folded. `office` is the stream whose officials have it now,
    `assigned` the key of the one who took it; `workflow` and `case` are None if its service is not declared."""

    opened: Opened
    workflow: Workflow | None = field(repr=False)
    case: Case | None
    acts: tuple[Shown, ...]
    terms: tuple[Term, ...]
    booking: Booking | None
    office: str
    assigned: bytes

    @property
    def seen(self) -> int:
        """How many acts there are; who acts next says so."""
        return len(self.case.acts) if self.case else 0

    @property
    def state(self) -> State | None:
        """Where it stands."""
        return self.case.state if self.case else None

    @property
    def ended(self) -> bool:
        """Whether all is done, as far as the table goes."""
        return self.workflow is not None and self.state in self.workflow.ends

    @property
    def due(self) -> int | None:
        """The first minute that is too late, by the clock that counts now; NEVER while it stands."""
        return self.terms[-1].due if self.terms else None

    @property
    def changed(self) -> int:
        """The minute in which something became different last."""
        done = (one for one in self.acts if not one.refused or isinstance(one.deed, Happened))
        return max((self.opened.minute, *(one.deed.minute for one in done)))

    def overdue(self, minute: int) -> bool:
        """Whether the office has not answered in time."""
        if not self.terms:
            return False
        last = self.terms[-1]
        return (minute if last.clock.stopped is None else last.clock.stopped) >= last.due


def fold(opened: Opened, deeds: Iterable[Deed], service: Service | None, calendar: OfficeCalendar) -> Record:
    """The case of a filing after these deeds, in the order of the log."""
    folding = _Folding(opened, service, calendar)
    for deed in deeds:
        folding.take(deed)
    return folding.record()


class _Folding:
    """A case while its deeds are read."""

    def __init__(self, opened: Opened, service: Service | None, calendar: OfficeCalendar) -> None:
        self._opened, self._calendar = opened, calendar
        self._workflow = service.workflow if service else None
        self._case = (
            begin(service.workflow, opened.minute, service.deadline.of(opened.public)) if service else None
        )
        self._acts: list[Shown] = []
        self._ended: dict[int, Who] = {}  # by which clock
        self._office, self._assigned = opened.stream, b""
        said = opened.public
        places = service is not None and service.places is not None
        self._booking = (
            Booking(said["facility"], said["slot"])
            if places and {"facility", "slot"} <= said.keys()
            else None
        )

    def take(self, deed: Deed) -> None:
        who = self._who(deed)
        if isinstance(deed, Happened):
            self._place(deed)
        if self._case is None or self._workflow is None:
            self._acts.append(Shown(deed, who, None))
            return
        before = self._case
        seen = deed.seen if isinstance(deed, Acted) else len(before.acts)
        amount = deed.amount if isinstance(deed, Acted) else 0
        done = Act(deed.key.hex(), seen, deed.action, who, deed.minute, amount)
        after = step(self._workflow, before, done, self._calendar)
        if isinstance(after, Refusal):
            self._acts.append(Shown(deed, who, before.state, after.reason))
            return
        self._case = after
        if before.clock.stopped is None and after.clock.stopped is not None:
            self._ended[len(after.clocks) - 1] = who
        self._acts.append(Shown(deed, who, after.state))
        if isinstance(deed, Acted):
            self._hand_on(deed)
            if (
                after.state in self._workflow.ends
                and self._booking
                and self._booking.standing in _NO_PLACE_YET
            ):
                self._booking = replace(self._booking, standing="cancelled")

    def _who(self, deed: Deed) -> Who:
        if isinstance(deed, Happened):
            return Who.SYSTEM
        if deed.by == self._opened.key:
            return Who.CITIZEN
        table, case = self._workflow.table if self._workflow else {}, self._case
        rule = table.get((case.state, deed.action)) if case else None
        return Who.DECIDER if rule and Who.OFFICIAL not in rule.who else Who.OFFICIAL

    def _place(self, event: Happened) -> None:
        standing = _STANDINGS.get(event.action)
        if event.action is Action.DRAW:
            standing = "confirmed" if event.until is None else "due"
        if standing is None:
            return
        here = self._booking or Booking(event.facility, event.slot)
        if event.action is Action.ENTER and here.standing != "applied":
            return  # a draw that is held again has all in it that the first had
        if (here.facility, here.slot) == (event.facility, event.slot):
            self._booking = replace(here, seat=event.seat, standing=standing, until=event.until)

    def _hand_on(self, act: Acted) -> None:
        """Who has it after an act that counted."""
        if act.action in (Action.ASSIGN, Action.REASSIGN):
            self._assigned = act.by
        elif act.action is Action.TRANSFER:
            self._office, self._assigned = office_of(act.amount) or self._office, b""

    def record(self) -> Record:
        terms = tuple(
            Term(clock, clock.due(self._calendar), self._ended.get(i))
            for i, clock in enumerate(self._case.clocks if self._case else ())
        )
        return Record(
            self._opened,
            self._workflow,
            self._case,
            tuple(self._acts),
            terms,
            self._booking,
            self._office,
            self._assigned,
        )


def possible(record: Record, minute: int, calendar: OfficeCalendar) -> dict[Who, tuple[Action, ...]]:
    """What citizen, official and decider may do with a case at this minute, the state and all that is needed besides
    considered; what depends on a slot (whether it is too late to cancel) is for the holder to say."""
    found: dict[Who, list[Action]] = {Who.CITIZEN: [], Who.OFFICIAL: [], Who.DECIDER: []}
    if record.case is not None and record.workflow is not None:
        for action in Action:
            rule = record.workflow.table.get((record.case.state, action))
            if rule is None:
                continue
            for who in rule.who & found.keys():
                tried = Act("tried", record.seen, action, who, minute, 1)
                if not isinstance(step(record.workflow, record.case, tried, calendar), Refusal):
                    found[who].append(action)
    return {who: tuple(actions) for who, actions in found.items()}
