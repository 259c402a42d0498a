"""Ways from a form to an end: what is filled in, where it goes, and who has to do what next to get there."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.errors import Refusal
from p2pworld.services.declaration import CITY
from p2pworld.services.facility import slot_text
from p2pworld.services.reservations import Offer, offer_of, slot_fault
from p2pworld.services.workflow import Action, State, Who
from p2pworld.services.working_time import DAY_MINUTES, OfficeCalendar, day_of
from tests.services.samples import filled

if TYPE_CHECKING:
    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.facility import Facility
    from p2pworld.services.workflow import Workflow

__all__ = ["HOME", "Wish", "next_step", "other_end", "way", "wish"]

HOME: Final = "jongno"  # where people live, and where they go if they can
CALENDAR: Final = OfficeCalendar()
PEOPLE: Final = (Who.CITIZEN, Who.OFFICIAL, Who.DECIDER)
# the ends to go to in the second language, the first that there is
OTHER_ENDS: Final = (
    State.REFUSED,
    State.NOT_SELECTED,
    State.NO_SHOW,
    State.CANCELLED,
    State.WITHDRAWN,
    State.CLOSED,
)


class Wish(NamedTuple):
    """A filled-in form that was checked, the stream it goes to, where its writer lives, when it can be filed, and the
    place that is wanted."""

    values: dict[str, object]
    stream: str
    gu: str
    minute: int
    offer: Offer | None


def wish(service: Service, catalogue: Catalogue, language: str, minute: int) -> Wish:
    """What somebody fills in at this minute, or on the first day after it on which they can have a place."""
    values = filled(service, catalogue, language)
    offer = None
    gu = HOME
    if service.places is not None:
        facility = facility_of(service, catalogue)
        gu = HOME if facility.gu == CITY else facility.gu
        while (offer := offer_at(service, facility, gu, minute)) is None:
            minute += DAY_MINUTES
        values |= {"facility": facility.id, "slot": slot_text(offer.slot.begin)}
        if "second" in values:
            values["second"] = values["slot"]
    kept, faults = service.check(values, day_of(minute), catalogue.facilities)
    assert faults == (), faults
    stream = service.stream(kept, catalogue.facilities)
    assert stream is not None
    return Wish(kept, stream, gu, minute, offer)


def facility_of(service: Service, catalogue: Catalogue) -> Facility:
    """One that this service gives places in: at home, or else the city's, or else the first."""
    found = catalogue.bookable(service)
    return min(found, key=lambda facility: (facility.gu != HOME, facility.gu != CITY))


def offer_at(service: Service, facility: Facility, gu: str, minute: int) -> Offer | None:
    """The first slot there that somebody of this gu may ask for at this minute, if there is one."""
    assert service.places is not None
    first = day_of(minute)
    for ahead in range(service.places.opens_days + 1):
        for slot in facility.slots(first + timedelta(days=ahead), CALENDAR):
            text = slot_text(slot.begin)
            offer = offer_of(service, {facility.id: facility}, facility.id, text, CALENDAR)
            assert not isinstance(offer, Refusal)
            if slot_fault(offer, minute, gu) is None:
                return offer
    return None


def way(workflow: Workflow, at: State, end: State) -> list[tuple[Action, Who]] | None:
    """The shortest way from one state to another that people can go; None if there is none."""
    ways: dict[State, list[tuple[Action, Who]]] = {at: []}
    rest = deque([at])
    while rest:
        here = rest.popleft()
        if here is end:
            return ways[here]
        for (state, action), rule in workflow.table.items():
            who = next((who for who in PEOPLE if who in rule.who), None)
            if state is not here or who is None or rule.to is None or rule.to in ways:
                continue
            if rule.need is None:
                ways[rule.to] = [*ways[here], (action, who)]
                rest.append(rule.to)
    return None


def next_step(workflow: Workflow, at: State, end: State) -> tuple[Action, Who]:
    """What is to be done next, and by whom."""
    steps = way(workflow, at, end)
    assert steps, f"nobody can get from {at.value} to {end.value}"
    return steps[0]


def other_end(workflow: Workflow) -> State:
    """An end that is not that of the usual course."""
    return next(end for end in OTHER_ENDS if end in workflow.ends and way(workflow, workflow.steps[0], end))
