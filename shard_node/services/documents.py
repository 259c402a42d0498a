"""What the index knows, as JSON for programs: services, cases, queues, facilities with their slots, statistics.

Times are minutes of Unix time, days and slots are texts in Seoul's time; keys are hexadecimal. Words for people come in
the one language that was asked for. Where a program needs to say how much it has seen of a case, `seen` is that number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from p2pworld.services.deadlines import NEVER
from p2pworld.services.facility import slot_text
from p2pworld.services.reasons import SERVICE_REASONS
from p2pworld.services.record import Acted, possible
from p2pworld.services.reservations import Offer, slot_fault
from p2pworld.services.words import ACTION_WORDS, DONE_WORDS, STATE_WORDS
from shard_node.services.queries import Taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.deadlines import Term
    from p2pworld.services.declaration import Service
    from p2pworld.services.facility import Facility, Slot
    from p2pworld.services.record import Shown
    from p2pworld.services.working_time import OfficeCalendar
    from p2pworld.world.places import Words
    from shard_node.services.queries import Change, Page, Tally
    from shard_node.services.tables import Found

__all__ = [
    "LANGUAGES",
    "case_document",
    "change_document",
    "facility_document",
    "page_document",
    "service_document",
    "services_document",
    "slots_document",
    "statistics_document",
    "tally_document",
    "words_in",
]

LANGUAGES: Final = ("ko", "en", "ja", "zh")


def words_in(words: Words, language: str) -> str:
    """These words in a language, or else in English."""
    return words.get(language) or words.get("en", "")


# ---- cases


def case_document(found: Found, minute: int, calendar: OfficeCalendar, language: str) -> dict[str, Any]:
    """A case, what was done with it, and what may be done now."""
    record, opened = found.record, found.record.opened
    may = possible(record, minute, calendar)
    booking = record.booking
    return {
        "stream": opened.stream,
        "entry": opened.entry,
        "service": opened.service,
        "state": record.state.value if record.state else None,
        "ended": record.ended,
        "filed": opened.minute,
        "changed": record.changed,
        "due": None if record.due in (None, NEVER) else record.due,
        "overdue": record.overdue(minute),
        "answered": record.terms[-1].clock.stopped if record.terms else None,
        "asked_until": record.case.asked_until if record.case else None,
        "seen": record.seen,
        "acts": [_act(shown, found.erased, language) for shown in record.acts],
        "may": {who.value: [action.value for action in actions] for who, actions in may.items()},
        "key": opened.key.hex(),
        "via": opened.via.hex() or None,
        "public": dict(opened.public),
        "booking": booking
        and {
            "facility": booking.facility,
            "slot": booking.slot,
            "seat": booking.seat,
            "standing": booking.standing,
            "until": booking.until,
        },
        "rating": record.case.rating if record.case else None,
        "supporters": found.supporters,
        "office": record.office,
        "assigned": record.assigned.hex() or None,
        "erased": opened.entry in found.erased,
    }


def _act(shown: Shown, erased: frozenset[int], language: str) -> dict[str, Any]:
    deed = shown.deed
    by, amount, letter = (
        (deed.by.hex(), deed.amount, deed.letter) if isinstance(deed, Acted) else (None, 0, False)
    )
    return {
        "entry": deed.entry,
        "action": deed.action.value,
        "done": words_in(DONE_WORDS[deed.action], language),
        "who": shown.who.value,
        "minute": deed.minute,
        "amount": amount,
        "by": by,
        "letter": letter,
        "erased": deed.entry in erased,
        "state": shown.state.value if shown.state else None,
        "refused": shown.refused or None,
    }


def page_document(page: Page, minute: int, calendar: OfficeCalendar, language: str) -> dict[str, Any]:
    """A page of a queue."""
    return {
        "cases": [case_document(found, minute, calendar, language) for found in page.cases],
        "counts": dict(page.counts),
        "after": page.after or None,
    }


# ---- services


def services_document(catalogue: Catalogue, language: str) -> dict[str, Any]:
    """All services, as a list to choose from."""
    return {"services": [_short(service, language) for service in catalogue.services.values()]}


def _short(service: Service, language: str) -> dict[str, Any]:
    return {
        "id": service.id,
        "sector": service.sector,
        "kind": service.kind,
        "title": words_in(service.title, language),
        "about": words_in(service.about, language),
        "eligible": service.eligible.person.value,
        "gateway": service.gateway,
        "emergency": service.emergency,
        "places": service.places is not None,
        "deadline": _term(service.deadline.term),
    }


def service_document(service: Service, catalogue: Catalogue, language: str) -> dict[str, Any]:
    """All that a form for a service, and a page about it, are made of."""
    flow, deadline, places = service.workflow, service.deadline, service.places
    states = [*flow.steps, *sorted(flow.sides, key=lambda state: state.value)]
    return _short(service, language) | {
        "eligible_text": words_in(service.eligible.text, language),
        "fee": words_in(service.fee, language),
        "form": service.form.json_schema(language),
        "public": list(service.public),
        "office": {"of": service.office.source or "city", "unit": words_in(service.office.unit, language)},
        "workflow": {
            "table": flow.family,
            "steps": [state.value for state in flow.steps],
            "ends": sorted(state.value for state in flow.ends),
            "states": {state.value: words_in(STATE_WORDS[state], language) for state in states},
            "actions": {
                action.value: words_in(ACTION_WORDS[action], language)
                for action in dict.fromkeys(action for _, action in flow.table)
            },
            "done": {
                action.value: words_in(DONE_WORDS[action], language)
                for action in dict.fromkeys(action for _, action in flow.table)
            },
        },
        "deadline": _term(deadline.term)
        | {
            "by": deadline.field or None,
            "terms": {value: _term(term) for value, term in deadline.terms.items()},
            "statutory": deadline.statutory,
            "basis": deadline.basis,
            "note": words_in(deadline.note, language),
        },
        "privacy": {
            "why": words_in(service.privacy.why, language),
            "keep_days": service.privacy.keep_days,
            "contact_days": service.privacy.contact_days,
            "notice": words_in(service.privacy.notice, language),
        },
        "places": places
        and {
            "allocation": places.allocation.value,
            "opens_days": places.opens_days,
            "closes_minutes": places.closes_minutes,
            "hold_minutes": places.hold_minutes,
            "pay_minutes": places.pay_minutes,
            "cancel_minutes": places.cancel_minutes,
            "per_month": places.per_month,
            "waiting": places.waiting,
            "pause_days": places.pause_days,
            "draw_days": places.draw_days,
            "facilities": [facility.id for facility in catalogue.bookable(service)],
        },
        "attachments": service.attachments
        and {
            "types": list(service.attachments.types),
            "most": service.attachments.most,
            "bytes_max": service.attachments.bytes_max,
        },
    }


def _term(term: Term) -> dict[str, Any]:
    return {"count": term.count.value, "amount": term.amount, "first_day": term.first_day}


# ---- facilities


def facility_document(facility: Facility, catalogue: Catalogue, language: str) -> dict[str, Any]:
    """A facility, and the services by which its slots are booked."""
    services = catalogue.services.values()
    return {
        "id": facility.id,
        "name": words_in(facility.name, language),
        "gu": facility.gu,
        "kind": facility.kind,
        "slot_minutes": facility.slot_minutes,
        "open": facility.hours.text,
        "closed": sorted(facility.closed),
        "capacity": facility.capacity,
        "seats": facility.seats,
        "allocation": facility.allocation.value,
        "fee_krw": facility.fee_krw,
        "residents": facility.residents.value,
        "resident_days": facility.resident_days,
        "services": [service.id for service in services if facility in catalogue.bookable(service)],
    }


def slots_document(
    facility: Facility,
    service: Service | None,
    days: Iterable[date],
    taken: Mapping[int, Taken],
    minute: int,
    calendar: OfficeCalendar,
    language: str,
) -> dict[str, Any]:
    """The grid of these days. `fault` says why nobody without a claim of residence can ask for a slot now, by the rules
    of `service` (None: no service gives them); full or not is what `free` says."""

    places = service.places if service else None

    def shown(slot: Slot) -> dict[str, Any]:
        there = taken.get(slot.begin, Taken())
        fault = slot_fault(Offer(facility.id, places, facility, slot), minute, "") if places else None
        return {
            "slot": slot_text(slot.begin),
            "begin": slot.begin,
            "end": slot.end,
            "seats": facility.seats,
            "free": max(0, facility.seats - there.seats),
            "waiting": there.waiting,
            "entered": there.entered,
            "fault": fault and fault.reason,
            "why": fault and _sentence(fault.reason, language),
        }

    return {
        "facility": facility.id,
        "service": service.id if service else None,
        "days": [
            {
                "day": day.isoformat(),
                "holiday": calendar.holiday(day),
                "slots": [shown(slot) for slot in facility.slots(day, calendar)],
            }
            for day in days
        ],
    }


def _sentence(reason: str, language: str) -> str:
    words = SERVICE_REASONS[reason]
    return words.ko if language == "ko" else words.en


def tally_document(tally: Tally) -> dict[str, Any]:
    """One line of the statistics."""
    return {
        "service": tally.service,
        "office": tally.office,
        "month": tally.month,
        "filed": tally.filed,
        "kept": tally.kept,
        "missed": tally.missed,
        "withdrawn": tally.withdrawn,
        "open": tally.open,
        "standing": tally.standing,
    }


def statistics_document(tallies: Iterable[Tally], minute: int) -> dict[str, Any]:
    """All lines, and their sums."""
    lines = [tally_document(tally) for tally in tallies]
    counts = ("filed", "kept", "missed", "withdrawn", "open", "standing")
    total = {name: sum(line[name] for line in lines) for name in counts}
    return {"minute": minute, "total": total, "tallies": lines}


def change_document(change: Change, language: str) -> dict[str, Any]:
    """Something that happened: what was done with which case, and the state after it."""
    return {
        "stream": change.stream,
        "entry": change.entry,
        "case": f"{change.stream}/{change.about}",
        "service": change.service,
        "office": change.office,
        "minute": change.minute,
        "action": change.action.value if change.action else None,
        "done": words_in(DONE_WORDS[change.action], language) if change.action else None,
        "state": change.state.value if change.state else None,
    }
