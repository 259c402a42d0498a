"""A service as it is declared: one TOML file, read into a frozen value that all interfaces are made from.

`docs/services.md` describes the format for those who write one. Whatever is wrong is a `Wrong` with the key and a
sentence; `catalogue` finds the line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

from p2pworld.civic.transaction import FieldRule, TransactionType
from p2pworld.errors import LocalError
from p2pworld.grants import ROLES
from p2pworld.limits import CIVIC_SEALED_BYTES_MAX
from p2pworld.services.deadlines import Count, Term
from p2pworld.services.facility import Allocation, Facility
from p2pworld.services.form import FIELD, FieldFault, Form, gu_of_point, read_form
from p2pworld.services.party import party_fault, party_fields
from p2pworld.services.workflow import State, Workflow, WorkflowLimits
from p2pworld.services.workflows import FAMILIES
from p2pworld.world.places import Words
from p2pworld.world.reading import ID, Table, Wrong

__all__ = [
    "CITY",
    "Attachments",
    "Deadline",
    "Eligible",
    "Office",
    "Open311",
    "Person",
    "Places",
    "Privacy",
    "Service",
    "Window",
    "read_service",
]

CITY: Final = "city"  # the stream of the city's own offices
SECTORS: Final = (
    "administration",
    "economy",
    "education",
    "tourism",
    "infrastructure",
    "city",
    "communication",
)
KINDS: Final = (
    *("complaint", "consultation", "reservation", "enrolment", "inquiry", "application", "programme"),
    *("tour", "festival", "report"),
)
FILE_TYPES: Final = ("jpeg", "png", "webp", "pdf", "hwpx", "docx", "xlsx", "txt")
DAYS_MAX: Final = 3_660
SEALED_SPARE_BYTES: Final = 2_048  # names of fields, the identity, its signature
HANGUL_BYTES: Final = 3


class Person(Enum):
    """Who may file: anybody with a key, somebody an attestor knows for one person, or for a resident of the gu."""

    ANYBODY = "anybody"
    VERIFIED = "verified"
    RESIDENT = "resident"


@dataclass(frozen=True, slots=True)
class Office:
    """Where a filing goes: the city's stream, or that of the gu which `source` (a gu, point or facility) names."""

    source: str
    unit: Words
    handles: str
    decides: str


@dataclass(frozen=True, slots=True)
class Eligible:
    """Who may use it: what is checked, and what is told."""

    person: Person
    text: Words


@dataclass(frozen=True, slots=True)
class Deadline:
    """The term, or one for each choice of a field; `basis` is the law or the custom."""

    term: Term
    field: str
    terms: Mapping[str, Term]
    statutory: bool
    basis: str
    note: Words

    def of(self, values: Mapping[str, object]) -> Term:
        """The term of a filing with these values."""
        return self.terms.get(str(values.get(self.field)), self.term) if self.field else self.term


@dataclass(frozen=True, slots=True)
class Window:
    """A date in the form which may lie back so many days at most, and not ahead."""

    field: str
    days: int


@dataclass(frozen=True, slots=True)
class Places:
    """How places in slots are given. Minutes and days are those of `reservations.Rules`."""

    allocation: Allocation
    kinds: frozenset[str]
    opens_days: int
    closes_minutes: int
    hold_minutes: int
    pay_minutes: int
    cancel_minutes: int
    per_month: int
    waiting: int
    pause_days: int
    draw_days: int


@dataclass(frozen=True, slots=True)
class Privacy:
    """Why data is asked for and how long it is kept after the end; contacts may go earlier."""

    why: Words
    keep_days: int
    contact_days: int
    notice: Words


@dataclass(frozen=True, slots=True)
class Open311:
    """What Open311 clients see of it."""

    code: str
    group: str
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attachments:
    """What may be attached: types by content, and bounds."""

    types: tuple[str, ...]
    most: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class Service:
    """One civic service."""

    id: str
    sector: str
    kind: str
    title: Words
    about: Words
    office: Office
    eligible: Eligible
    form: Form
    public: tuple[str, ...]
    workflow: Workflow
    deadline: Deadline
    windows: tuple[Window, ...]
    places: Places | None
    fee: Words
    privacy: Privacy
    gateway: bool
    open311: Open311 | None
    attachments: Attachments | None
    emergency: bool
    source: str

    @property
    def transaction_type(self) -> TransactionType:
        """What a filing of this service looks like in the log: its public fields, and something sealed."""
        return TransactionType(
            self.id, tuple(map(self._rule, self.public)), sealed=True, gateway=self.gateway
        )

    def _rule(self, name: str) -> FieldRule:
        field = self.form.field(name)
        pattern = field.pattern(name in self.form.required) if field else None
        assert pattern is not None, "looked at when it was read"
        return FieldRule(name, re.compile(pattern))

    def check(
        self, values: Mapping[str, object], today: date, facilities: Mapping[str, Facility]
    ) -> tuple[dict[str, object], tuple[FieldFault, ...]]:
        """The values as they are kept, and all that is wrong with them on this day, at these facilities."""
        kept, faults = self.form.check(values)
        found = {fault.field for fault in faults}
        for window in self.windows:
            value = kept.get(window.field)
            if window.field in found or not isinstance(value, str):
                continue
            label = self.form.field(window.field)
            assert label is not None, "looked at when it was read"
            back = (today - date.fromisoformat(value[:10])).days
            if back < 0:
                faults += (FieldFault(window.field, "date-future", label.label),)
            elif back > window.days:
                faults += (FieldFault(window.field, "date-late", label.label, str(window.days)),)
        place = facilities.get(str(kept.get("facility"))) if self.places else None
        if place is not None and not found & set(party_fields(self.form)):
            fault = party_fault(self.form, kept, place.capacity)
            faults += (fault,) if fault else ()
        return kept, faults

    def split(self, values: Mapping[str, object]) -> tuple[dict[str, str], dict[str, str]]:
        """Checked values as the public fields of the leaf (all of them), and as what is sealed."""
        texts = self.form.texts(values)
        public = {name: texts.pop(name, "") for name in self.public}
        return public, texts

    def stream(self, values: Mapping[str, object], facilities: Mapping[str, Facility]) -> str | None:
        """The stream that a filing with these values belongs to; None if it names a facility there is not."""
        if not self.office.source:
            return CITY
        value = str(values[self.office.source])
        field = self.form.field(self.office.source)
        match field.format if field else "":
            case "gu":
                return value
            case "point":
                return gu_of_point(value)
            case _:
                return facilities[value].gu if value in facilities else None


# ---- reading


def read_service(
    values: Mapping[str, object], common: Mapping[str, Mapping[str, object]], source: str
) -> Service:
    """The service that a file declares.

    Raises:
        Wrong: it is none.
    """
    table = Table("", values)
    identity = table.text("id")
    if not ID.fullmatch(identity):
        raise table.wrong(
            "id", f"{identity!r}: use 1 to 40 small letters, digits and hyphens, a letter first."
        )
    form = read_form(_part(table, "form"), common)
    workflow = _workflow(_part(table, "workflow"))
    service = Service(
        id=identity,
        sector=_one_of(table, "sector", SECTORS),
        kind=_one_of(table, "kind", KINDS),
        title=table.words("title"),
        about=table.words("about", most=400),
        office=_office(_part(table, "office"), form),
        eligible=_eligible(_part(table, "eligible")),
        form=form,
        public=_public(table, form),
        workflow=workflow,
        deadline=_deadline(_part(table, "deadline"), form),
        windows=tuple(_window(one, form) for one in table.tables("window")),
        places=_places(_part(table, "places"), form, workflow) if "places" in table else None,
        fee=table.words("fee", most=200),
        privacy=_privacy(_part(table, "privacy")),
        gateway=table.flag("gateway", False),
        open311=_open311(_part(table, "open311")) if "open311" in table else None,
        attachments=_attachments(_part(table, "attachments")) if "attachments" in table else None,
        emergency=table.flag("emergency", False),
        source=source,
    )
    table.done()
    _check_whole(service)
    return service


def _part(table: Table, key: str) -> Table:
    return Table(table.key(key), table.take(key))


def _one_of(table: Table, key: str, known: tuple[str, ...]) -> str:
    value = table.text(key)
    if value not in known:
        raise table.wrong(key, f"{value!r} is not known: use one of {', '.join(known)}.")
    return value


def _public(table: Table, form: Form) -> tuple[str, ...]:
    names = table.texts("public", (), FIELD, '"category"')
    for name in names:
        field = form.field(name)
        if field is None:
            raise table.wrong("public", f"{name!r} is no field of the form: correct it or add the field.")
        if field.pattern(name in form.required) is None:
            sentence = "is free text, a place or a file, and the log is public for ever: leave it out."
            raise table.wrong("public", f"{name!r} {sentence}")
    return names


def _office(table: Table, form: Form) -> Office:
    source = table.text("of", CITY)
    if source == CITY:
        source = ""
    else:
        field = form.field(source)
        if field is None or field.format not in ("gu", "point", "facility") or source not in form.required:
            raise table.wrong(
                "of", f'{source!r}: write "city", or a required field with a gu, point or facility.'
            )
    office = Office(source, table.words("unit"), _role(table, "handles"), _role(table, "decides"))
    table.done()
    return office


def _role(table: Table, key: str) -> str:
    role = table.text(key, "official")
    if role not in ROLES:
        raise table.wrong(key, f"{role!r} is no role: use one of {', '.join(sorted(ROLES))}.")
    return role


def _eligible(table: Table) -> Eligible:
    person = _one_of(table, "person", tuple(each.value for each in Person))
    eligible = Eligible(Person(person), table.words("text", most=300))
    table.done()
    return eligible


def _workflow(table: Table) -> Workflow:
    family = _one_of(table, "use", tuple(FAMILIES))
    steps = table.texts("steps", (), re.compile(r"[a-z-]+"), '"received"')
    sides = table.texts("sides", (), re.compile(r"[a-z-]+"), '"withdrawn"')
    known = {state.value for state in State}
    for key, names in (("steps", steps), ("sides", sides)):
        for name in names:
            if name not in known:
                raise table.wrong(key, f"{name!r} is no state: `docs/workflows.md` has them all.")
    limits = WorkflowLimits(
        extensions=table.whole("extensions", 0, 2, 0),
        transfers=table.whole("transfers", 0, 10, 3),
        supplement_days=table.whole("supplement_days", 1, 120, 30),
        inquiry_days=table.whole("inquiry_days", 0, 60, 0),
        reopen_days=table.whole("reopen_days", 0, 366, 0),
    )
    table.done()
    try:
        return FAMILIES[family].workflow(map(State, steps), map(State, sides), limits)
    except LocalError as error:
        raise table.wrong("steps", f"do not fit: {error}.") from None


def _term(table: Table) -> Term:
    count = _one_of(table, "count", tuple(each.value for each in Count))
    term = Term(Count(count), table.whole("amount", 1, 1_000), table.flag("first_day", False))
    if term.first_day and term.count in (Count.HOURS, Count.WORKING_HOURS):
        raise table.wrong("first_day", "is for days and months: hours count from the moment. Leave it out.")
    return term


def _deadline(table: Table, form: Form) -> Deadline:
    term, field, terms = _term(table), table.text("by", ""), {}
    if field:
        found = form.field(field)
        if (
            found is None
            or not found.choices
            or found.schema["type"] != "string"
            or field not in form.required
        ):
            raise table.wrong("by", f"{field!r} is no required field with choices (oneOf).")
        for one in table.tables("terms"):
            choice = one.text("choice")
            if choice not in found.choices or choice in terms:
                raise one.wrong("choice", f"{choice!r} is no choice of {field}, or has its term already.")
            terms[choice] = _term(one)
            one.done()
        if not terms:
            raise table.wrong("terms", f"is missing: add [[{table.key('terms')}]] for choices of {field}.")
    statutory = table.flag("statutory", False)
    basis = table.text("basis", "", most=200)
    if statutory and not basis:
        raise table.wrong("basis", "is missing: say which law sets this term, or make it statutory = false.")
    deadline = Deadline(term, field, terms, statutory, basis, table.words("note", optional=True, most=300))
    table.done()
    return deadline


def _window(table: Table, form: Form) -> Window:
    window = Window(table.text("field"), table.whole("days", 0, DAYS_MAX))
    field = form.field(window.field)
    if field is None or field.format not in ("date", "date-time"):
        raise table.wrong("field", f"{window.field!r} is no date of the form.")
    table.done()
    return window


def _places(table: Table, form: Form, workflow: Workflow) -> Places:
    allocation = _one_of(table, "allocation", ("first-come", "lottery"))
    if (allocation == "lottery") != (workflow.family == "draw"):
        raise table.wrong("allocation", f"{allocation!r} does not go with the workflow {workflow.family!r}.")
    for name in ("facility", "slot"):
        field = form.field(name)
        if field is None or field.format != name or name not in form.required:
            raise table.wrong("allocation", f"needs a required field {name!r} of the format {name!r}.")
    places = Places(
        allocation=Allocation(allocation),
        kinds=frozenset(table.texts("kinds", (), ID, '"tennis"')),
        opens_days=table.whole("opens_days", 1, 366, 30),
        closes_minutes=table.whole("closes_minutes", 0, 60 * 24 * 60, 60),
        hold_minutes=table.whole("hold_minutes", 0, 60 * 24 * 7, 0),
        pay_minutes=table.whole("pay_minutes", 0, 60 * 24 * 14, 0),
        cancel_minutes=table.whole("cancel_minutes", 0, 60 * 24 * 60, 60),
        per_month=table.whole("per_month", 1, 1_000, 10),
        waiting=table.whole("waiting", 0, 1_000, 10),
        pause_days=table.whole("pause_days", 0, 366, 0),
        draw_days=table.whole("draw_days", 0, 60, 0),
    )
    if not places.kinds:
        raise table.wrong("kinds", 'is missing: say which kinds of facility, such as "tennis".')
    if (allocation == "lottery") != (places.draw_days > 0):
        raise table.wrong(
            "draw_days", 'belongs to allocation = "lottery": so many days before the use is the draw.'
        )
    if (places.waiting > 0) != (State.WAITING in workflow.sides):
        raise table.wrong("waiting", 'and the side state "waiting" of the workflow belong together.')
    table.done()
    return places


def _privacy(table: Table) -> Privacy:
    keep = table.whole("keep_days", 0, DAYS_MAX)
    privacy = Privacy(
        table.words("why", most=200),
        keep,
        table.whole("contact_days", 0, keep, keep),
        table.words("notice", optional=True, most=300),
    )
    table.done()
    return privacy


def _open311(table: Table) -> Open311:
    entry = Open311(
        table.text("code", most=40),
        table.text("group", most=40),
        table.texts("keywords", (), re.compile(r"[^,]{1,40}"), '"pothole"'),
    )
    table.done()
    return entry


def _attachments(table: Table) -> Attachments:
    attachments = Attachments(
        table.texts("types", (), re.compile("|".join(FILE_TYPES)), '"jpeg"'),
        table.whole("most", 1, 10),
        table.whole("mebibytes", 1, 50) << 20,
    )
    if not attachments.types:
        raise table.wrong("types", f"is missing: some of {', '.join(FILE_TYPES)}.")
    table.done()
    return attachments


def _check_whole(service: Service) -> None:
    """What takes two parts of a service to see."""
    for name in ("facility", "slot") if service.places else ():
        if name not in service.public:
            raise Wrong("public", f"is to have {name!r}: everybody can see which places are taken.")
    for name in party_fields(service.form) if service.places else ():
        if name not in service.public:
            raise Wrong(
                "public", f"is to have {name!r}: so many have to fit in, and the log is where one sees it."
            )
    if service.deadline.field and service.deadline.field not in service.public:
        raise Wrong(
            "deadline.by", "is to be a public field: everybody can see whether an answer was in time."
        )
    files = [field for field in service.form.fields if field.format == "file"]
    if bool(files) != (service.attachments is not None):
        raise Wrong(
            "attachments", "and fields of the format file belong together: add or remove one of them."
        )
    for field in files:
        most = int(field.schema.get("maxItems", 1))
        if service.attachments is not None and most > service.attachments.most:
            raise Wrong(f"form.properties.{field.name}.maxItems", "is more than attachments.most allows.")
    sealed = [field for field in service.form.fields if field.name not in service.public]
    size = sum(field.characters_max * HANGUL_BYTES for field in sealed) + SEALED_SPARE_BYTES
    if size > CIVIC_SEALED_BYTES_MAX:
        sentence = f"could hold {size} bytes, and {CIVIC_SEALED_BYTES_MAX} can be sealed: shorten its texts."
        raise Wrong("form.properties", sentence)
    if service.open311 is not None and not service.gateway:
        raise Wrong("gateway", "is to be true: who files by Open311 cannot sign.")
    if service.gateway and service.eligible.person is not Person.ANYBODY:
        raise Wrong("gateway", "is for services that anybody may use: a gateway knows nobody.")
