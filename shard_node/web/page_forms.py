"""From a declaration to what a page shows of it: one control for each field of a form, a grid for the slots of a place.

Pure: who calls it brings the minute, and what is taken. Nothing is decided here; a slot that looks free may be gone
when the request arrives, and the holder of the record then says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from p2pworld.services.facility import Allocation, slot_text
from p2pworld.services.form import FormField
from p2pworld.services.party import party_fields
from p2pworld.services.reservations import Offer, slot_fault
from p2pworld.services.told import service_told
from p2pworld.services.working_time import day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.facility import Facility, Slot
    from p2pworld.services.working_time import OfficeCalendar

__all__ = [
    "DAYS_SHOWN",
    "Control",
    "Day",
    "SlotShown",
    "accepts",
    "by_gu",
    "control",
    "described",
    "first_day",
    "form_data",
    "found",
    "haystack",
    "services_of",
    "week",
]

DAYS_SHOWN: Final = 7
DAYS_AHEAD_MAX: Final = 400
SMALL_CHOICE: Final = 7  # so many choices are shown at once, more in a list that opens
FILE_NAMES: Final[Mapping[str, str]] = {
    **{"jpeg": ".jpg,.jpeg,image/jpeg", "png": ".png,image/png", "webp": ".webp,image/webp"},
    **{"pdf": ".pdf,application/pdf", "hwpx": ".hwpx", "docx": ".docx", "xlsx": ".xlsx", "txt": ".txt"},
}


# ---- a form


@dataclass(frozen=True, slots=True)
class Control:
    """How a field is asked for. `kind` names a macro of `_form.html`; `attributes` go on its input."""

    field: FormField
    kind: str
    required: bool
    public: bool
    attributes: Mapping[str, str | int]

    @property
    def id(self) -> str:
        """Its element; errors and hints are named after it."""
        return f"f-{self.field.name}"


def control(service: Service, field: FormField, facility: Facility | None) -> Control:
    """The control that a field of this service has, where this facility is chosen already, or none."""
    required = field.name in service.form.required
    kind, attributes = _kind(field, required)
    if facility is not None and field.name in party_fields(service.form):
        attributes["max"] = min(int(attributes["max"]), facility.capacity)
    return Control(field, kind, required, field.name in service.public, attributes)


def _kind(field: FormField, required: bool) -> tuple[str, dict[str, str | int]]:
    schema = field.schema
    if schema["type"] == "boolean":
        return ("agree" if schema.get("const") else "yes"), {}
    if schema["type"] == "integer":
        return "number", {"min": schema["minimum"], "max": schema["maximum"]}
    if schema["type"] == "array":
        many = {"file": "files", "language": "languages"}.get(field.format)
        return many or ("choices" if field.choices else "lines"), {}
    if field.choices:
        return ("radios" if required and len(field.choices) <= SMALL_CHOICE else "select"), {}
    match field.format:
        case "date" | "year" | "email" | "phone" | "uri" | "date-time":
            return _TYPED[field.format]
        case "point" | "gu" | "slot" | "facility" | "language" | "case" | "signature" as kind:
            return kind, {}
        case "file":
            return "files", {}
    most = int(schema["maxLength"])
    return ("paragraphs" if field.lines else "text"), {"maxlength": most}


_TYPED: Final[Mapping[str, tuple[str, dict[str, str | int]]]] = {
    "date": ("date", {"type": "date"}),
    "date-time": ("date", {"type": "datetime-local"}),
    "year": ("text", {"inputmode": "numeric", "maxlength": 4}),
    "email": ("text", {"type": "email", "autocomplete": "email", "maxlength": 254}),
    "phone": ("text", {"type": "tel", "autocomplete": "tel", "maxlength": 21}),
    "uri": ("text", {"type": "url", "autocomplete": "url", "maxlength": 300, "placeholder": "https://"}),
}


def described(field: FormField) -> tuple[int, int] | None:
    """The bounds that a person should be told of beforehand: of a number, or (0, most) of a longer text or list."""
    schema = field.schema
    if schema["type"] == "integer" and schema["maximum"] < 10_000_000:
        return int(schema["minimum"]), int(schema["maximum"])
    if field.lines:
        return 0, int(schema["maxLength"])
    if (
        schema["type"] == "array"
        and field.format != "file"
        and schema["maxItems"] < len(field.choices or "x" * 99)
    ):
        return 0, int(schema["maxItems"])
    return None


def form_data(service: Service, catalogue: Catalogue) -> dict[str, Any]:
    """What the script of a form works with, as JSON."""
    return {
        "service": service_told(service),
        "facilities": {
            facility.id: {"gu": facility.gu, "capacity": facility.capacity}
            for facility in catalogue.bookable(service)
        },
    }


def accepts(service: Service) -> str:
    """The `accept` of a file input; what a file really is is looked at by its content."""
    return ",".join(FILE_NAMES[each] for each in service.attachments.types) if service.attachments else ""


# ---- the catalogue


def found(catalogue: Catalogue, query: str) -> tuple[Service, ...]:
    """The services that a search finds: each of its words is somewhere in what a service calls itself."""
    words = query.casefold().split()
    return tuple(
        service for service in catalogue.services.values() if all(word in haystack(service) for word in words)
    )


def haystack(service: Service) -> str:
    """All words by which a service is found, in small letters."""
    keywords = service.open311.keywords if service.open311 else ()
    parts = (
        service.id,
        *service.title.values(),
        *service.about.values(),
        *service.office.unit.values(),
        *keywords,
    )
    choices = (
        each for field in service.form.fields for words in field.choices.values() for each in words.values()
    )
    return "\n".join((*parts, *choices)).casefold()


def services_of(catalogue: Catalogue, facility: Facility) -> tuple[Service, ...]:
    """The services that give slots of this facility."""
    return tuple(s for s in catalogue.services.values() if s.places and facility in catalogue.bookable(s))


# ---- slots


@dataclass(frozen=True, slots=True)
class SlotShown:
    """One slot: its name in forms, its time of day, how many seats are left, and a word of `page_words` for what it is.

    `open`: it can be asked for, at least for a place on the waiting list.
    """

    value: str
    clock: str
    ends: str
    left: int
    word: str
    open: bool


@dataclass(frozen=True, slots=True)
class Day:
    """The slots of one day; none where it is closed."""

    day: date
    holiday: str | None
    slots: tuple[SlotShown, ...]


_FAULT_WORDS: Final = {
    "slot-past": "slot_past",
    "slot-deadline": "slot_deadline",
    "draw-closed": "slot_deadline",
    "slot-not-open": "slot_later",
    "residents-first": "slot_residents",
    "residents-only": "slot_residents",
}


def week(
    facility: Facility,
    service: Service | None,
    first: date,
    minute: int,
    taken: Mapping[int, int],
    calendar: OfficeCalendar,
) -> tuple[Day, ...]:
    """The seven days from `first`, by the rules of `service`; `taken` are seats by the minute a slot begins."""
    days = (first + timedelta(days=i) for i in range(DAYS_SHOWN))
    return tuple(
        Day(
            day,
            calendar.holiday(day),
            tuple(
                _slot(facility, service, slot, minute, taken.get(slot.begin, 0))
                for slot in facility.slots(day, calendar)
            ),
        )
        for day in days
    )


def _slot(facility: Facility, service: Service | None, slot: Slot, minute: int, taken: int) -> SlotShown:
    value, ends = slot_text(slot.begin), slot_text(slot.end)[11:].replace("00:00", "24:00")
    left = max(0, facility.seats - taken)
    if service is None or service.places is None:
        word, is_open = ("slot_past", False) if slot.begin <= minute else ("slot_free", False)
        return SlotShown(value, value[11:], ends, left, word, is_open)
    fault = slot_fault(Offer(service.id, service.places, facility, slot), minute, "")
    if fault is not None:
        # who is a resident is known only where a request is decided: they may ask
        resident = fault.reason.startswith("residents")
        return SlotShown(value, value[11:], ends, left, _FAULT_WORDS[fault.reason], resident and left > 0)
    if facility.allocation is Allocation.LOTTERY:
        return SlotShown(value, value[11:], ends, left, "slot_draw", True)
    if left:
        return SlotShown(value, value[11:], ends, left, "slot_free", True)
    if service.places.waiting:
        return SlotShown(value, value[11:], ends, 0, "slot_waiting", True)
    return SlotShown(value, value[11:], ends, 0, "slot_full", False)


def first_day(asked: str, minute: int) -> date:
    """The first of the seven days: the one that is asked for, if it is one and not far off, or today."""
    today = day_of(minute)
    try:
        day = date.fromisoformat(asked[:10])
    except ValueError:
        return today
    return min(max(day, today), today + timedelta(days=DAYS_AHEAD_MAX))


def by_gu(facilities: Sequence[Facility]) -> list[tuple[str, list[Facility]]]:
    """Facilities by their gu, the city's own last."""
    groups: dict[str, list[Facility]] = {}
    for facility in facilities:
        groups.setdefault(facility.gu, []).append(facility)
    return sorted(groups.items(), key=lambda group: (group[0] == "city", group[0]))
