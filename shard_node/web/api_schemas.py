"""The shapes of what the interfaces of services answer and take, as JSON Schemas that `api_table` refers to by name.

Minutes are those of Unix time, keys and signatures are hexadecimal. Every field that is named is there; one that may
have nothing to say is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from p2pworld.services.declaration import KINDS, SECTORS
from p2pworld.services.workflow import Action, State, Who

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCHEMAS", "listed", "ref"]

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """The schema of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(of: Schema) -> Schema:
    """An array of these."""
    return {"type": "array", "items": of}


def _or_null(of: Schema) -> Schema:
    kind = of.get("type")
    if isinstance(kind, str) and "enum" not in of:
        return of | {"type": [kind, "null"]}
    return {"anyOf": [of, {"type": "null"}]}


def _object(about: str, optional: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "description": about, "properties": properties, "required": required}


TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
MINUTE: Final[Schema] = {"type": "integer", "minimum": 0, "description": "A minute of Unix time."}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
KEY: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
STATE: Final[Schema] = {"type": "string", "enum": [state.value for state in State]}
ACTION: Final[Schema] = {"type": "string", "enum": [action.value for action in Action]}
WHO: Final[Schema] = {"type": "string", "enum": [who.value for who in Who]}
NAMED: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
FIELD: Final = _object("A field of a transaction, as text.", name=TEXT, value=TEXT)
TERM: Final = _object("How long an office has.", count=TEXT, amount=COUNT, first_day=FLAG)
VALUES: Final[Schema] = {
    "type": "object",
    "description": "The values of the service's form, by field; GET /api/v1/services/{id} has its JSON Schema.",
    "additionalProperties": True,
}

_SHORT: Final[Mapping[str, Schema]] = {
    "id": TEXT,
    "sector": {"type": "string", "enum": list(SECTORS)},
    "kind": {"type": "string", "enum": list(KINDS)},
    "title": TEXT,
    "about": TEXT,
    "eligible": {"type": "string", "enum": ["anybody", "verified", "resident"]},
    "gateway": FLAG | {"description": "Whether a gateway files it for somebody who cannot sign."},
    "emergency": FLAG,
    "places": FLAG,
    "deadline": TERM,
}
_PLACES: Final = _object(
    "How places in slots are given.",
    allocation={"type": "string", "enum": ["first-come", "lottery"]},
    opens_days=COUNT,
    closes_minutes=COUNT,
    hold_minutes=COUNT,
    pay_minutes=COUNT,
    cancel_minutes=COUNT,
    per_month=COUNT,
    waiting=COUNT,
    pause_days=COUNT,
    draw_days=COUNT,
    facilities=listed(TEXT),
)
_SERVICE: Final[Mapping[str, Schema]] = {
    **_SHORT,
    "eligible_text": TEXT,
    "fee": TEXT,
    "form": {"type": "object", "description": "A JSON Schema (draft 2020-12) with titles and hints."},
    "public": listed(TEXT),
    "office": _object("Where it goes.", of=TEXT, unit=TEXT),
    "workflow": _object(
        "The states that a request goes through, and what may be done.",
        table=TEXT,
        steps=listed(STATE),
        ends=listed(STATE),
        states=NAMED,
        actions=NAMED,
        done=NAMED,
    ),
    "deadline": _object(
        "How long the office has, perhaps by the choice of a field.",
        count=TEXT,
        amount=COUNT,
        first_day=FLAG,
        by=_or_null(TEXT),
        terms={"type": "object", "additionalProperties": TERM},
        statutory=FLAG,
        basis=TEXT,
        note=TEXT,
    ),
    "privacy": _object("Why data is asked for.", why=TEXT, keep_days=COUNT, contact_days=COUNT, notice=TEXT),
    "places": _or_null(_PLACES),
    "attachments": _or_null(_object("What files it takes.", types=listed(TEXT), most=COUNT, bytes_max=COUNT)),
}
_ACT: Final = _object(
    "Something that was done with a request.",
    entry=COUNT,
    action=ACTION,
    done=TEXT,
    who=WHO,
    minute=MINUTE,
    amount=COUNT,
    by=_or_null(KEY),
    letter=FLAG | {"description": "Whether something sealed was written with it."},
    erased=FLAG,
    state=_or_null(STATE),
    refused=_or_null(TEXT),
)
_BOOKING: Final = _object(
    "A place in a slot.",
    facility=TEXT,
    slot=TEXT,
    seat=_or_null(COUNT),
    standing=TEXT,
    until=_or_null(MINUTE),
)
_REPORT_FIELDS: Final = (
    *("service_request_id", "status", "status_notes", "service_name", "service_code", "description"),
    *("agency_responsible", "service_notice", "requested_datetime", "updated_datetime", "expected_datetime"),
    *("address", "address_id", "zipcode", "lat", "long", "media_url"),
)
_REPORT_KINDS: Final[Mapping[str, Schema]] = {
    "service_request_id": TEXT,
    "status": {"type": "string", "enum": ["open", "closed"]},
    "service_name": TEXT,
    "service_code": TEXT,
    "requested_datetime": MOMENT,
    "updated_datetime": MOMENT,
    "expected_datetime": _or_null(MOMENT),
}
_FACILITY: Final[Mapping[str, Schema]] = {
    "id": TEXT,
    "name": TEXT,
    "gu": TEXT,
    "kind": TEXT,
    "slot_minutes": COUNT,
    "open": TEXT | {"description": "Opening hours as OpenStreetMap writes them."},
    "closed": listed(TEXT),
    "capacity": COUNT,
    "seats": COUNT,
    "allocation": {"type": "string", "enum": ["none", "first-come", "lottery"]},
    "fee_krw": COUNT,
    "residents": {"type": "string", "enum": ["none", "days", "first", "only"]},
    "resident_days": COUNT,
    "services": listed(TEXT),
}
_COUNTS: Final[Mapping[str, Schema]] = {
    "filed": COUNT,
    "kept": COUNT,
    "missed": COUNT,
    "withdrawn": COUNT,
    "open": COUNT,
    "standing": COUNT,
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": _object(
        "Why something was not done: a code for programs, and a sentence for people in the language asked for.",
        ("reason", "ko", "en", "retry", "faults"),
        error=TEXT,
        sentence=TEXT,
        reason=TEXT,
        ko=TEXT,
        en=TEXT,
        retry=FLAG | {"description": "Whether the same may be sent again."},
        faults=listed(ref("Fault")),
    ),
    "Declined": _object(
        "Why a log did not take something, or cannot be read.",
        reason=TEXT,
        en=TEXT,
        ko=TEXT,
        retry=FLAG,
        said=TEXT,
    ),
    "Fault": _object(
        "What is wrong with a field of a form, or with all of it (null).",
        field=_or_null(TEXT),
        reason=TEXT,
        sentence=TEXT,
        ko=TEXT,
        en=TEXT,
    ),
    "Values": _object("A form filled in.", ("lang",), values=VALUES, lang=ref("Language")),
    "Language": {"type": "string", "enum": ["ko", "en", "ja", "zh"]},
    "Checked": _object(
        "What is wrong with a form, where it would go, and until when it would be answered.",
        ok=FLAG,
        faults=listed(ref("Fault")),
        stream=_or_null(TEXT),
        due=_or_null(MINUTE),
    ),
    "Prepared": _object(
        "What a program makes its own filing of; the fields are in their order, and it is sealed for the offices.",
        type=TEXT,
        stream=TEXT,
        minute=MINUTE,
        public=listed(FIELD),
        private=listed(FIELD),
        offices=listed(KEY),
        due=_or_null(MINUTE),
    ),
    "Filed": _object(
        "Where a request stands in the log. `follow` is the Idempotency-Key it came under: keep it.",
        service=TEXT,
        stream=TEXT,
        entry=COUNT,
        key=KEY,
        case=TEXT,
        receipt=TEXT,
        via=KEY,
        follow=TEXT,
    ),
    "Followed": _object(
        "A request, the letters written with acts on it, opened, and what the citizen may do now.",
        service=TEXT,
        stream=TEXT,
        entry=COUNT,
        key=KEY,
        case=TEXT,
        receipt=TEXT,
        letters=listed(
            _object(
                "A letter; null if it cannot be read.",
                entry=COUNT, minute=MINUTE, action=ACTION, who=WHO, text=_or_null(TEXT),
            )
        ),
        may=listed(ACTION),
    ),
    "Wish": _object(
        "What a citizen does: with a text it is a letter; stars or days where the action has them.",
        ("amount", "text", "lang"),
        action=ACTION,
        amount=COUNT,
        text=TEXT,
        lang=ref("Language"),
    ),
    "Done": _object("Where the act stands in the log.", stream=TEXT, entry=COUNT, key=KEY),
    "ServiceShort": _object("A service, as a list shows it.", **_SHORT),
    "Service": _object("All that a form for a service is made of.", **_SERVICE),
    "Services": _object("All services.", services=listed(ref("ServiceShort"))),
    "Act": _ACT,
    "Case": _object(
        "A request, as the public log tells of it. `may` is what citizen, official and decider may do next.",
        stream=TEXT,
        entry=COUNT,
        service=TEXT,
        state=_or_null(STATE),
        ended=FLAG,
        filed=MINUTE,
        changed=MINUTE,
        due=_or_null(MINUTE),
        overdue=FLAG,
        answered=_or_null(MINUTE),
        asked_until=_or_null(MINUTE),
        seen=COUNT,
        acts=listed(ref("Act")),
        may={"type": "object", "additionalProperties": listed(ACTION)},
        key=KEY,
        via=_or_null(KEY),
        public=NAMED,
        booking=_or_null(_BOOKING),
        rating=_or_null(COUNT),
        supporters=_or_null(COUNT),
        office=TEXT,
        assigned=_or_null(KEY),
        erased=FLAG,
    ),
    "Cases": _object("The requests of some keys.", cases=listed(ref("Case")), missing=listed(KEY)),
    "Queue": _object(
        "A page of what an office has; `after` leads to the next.",
        office=TEXT,
        cases=listed(ref("Case")),
        counts={"type": "object", "additionalProperties": COUNT},
        after=_or_null(TEXT),
    ),
    "Facility": _object("Something with a grid of slots.", **_FACILITY),
    "Facilities": _object("What can be booked.", facilities=listed(ref("Facility"))),
    "Slots": _object(
        "The slots of some days. `fault` says why nobody can ask for one now; `free` seats of it are nobody's.",
        facility=TEXT,
        service=_or_null(TEXT),
        days=listed(
            _object(
                "A day.",
                day=TEXT,
                holiday=_or_null(TEXT),
                slots=listed(
                    _object(
                        "A slot.",
                        slot=TEXT,
                        begin=MINUTE,
                        end=MINUTE,
                        seats=COUNT,
                        free=COUNT,
                        waiting=COUNT,
                        entered=COUNT,
                        fault=_or_null(TEXT),
                        why=_or_null(TEXT),
                    )
                ),
            )
        ),
    ),
    "Changes": _object(
        "What happened last, in public.",
        changes=listed(
            _object(
                "A request was filed (no action), or somebody acted on it.",
                stream=TEXT,
                entry=COUNT,
                case=TEXT,
                service=TEXT,
                office=TEXT,
                minute=MINUTE,
                action=_or_null(ACTION),
                done=_or_null(TEXT),
                state=_or_null(STATE),
            )
        ),
    ),
    "Statistics": _object(
        "Deadlines kept and missed, by service, office and month, computed from the logs alone.",
        minute=MINUTE,
        total=_object("All together.", **_COUNTS),
        tallies=listed(_object("One line.", service=TEXT, office=TEXT, month=TEXT, **_COUNTS)),
    ),
    "Streams": _object(
        "The logs of the city: who holds each, its key, its witnesses, and for whom to seal what is filed to it.",
        streams=listed(
            _object(
                "A log.",
                ("origin", "key", "quorum", "witnesses", "offices"),
                stream=TEXT,
                holder=_or_null(KEY),
                epoch=_or_null(COUNT),
                url=_or_null(TEXT),
                here=FLAG,
                origin=TEXT,
                key=_or_null(TEXT),
                quorum=COUNT,
                witnesses=listed(TEXT),
                offices=listed(_object("An office.", name=TEXT, key=KEY)),
            )
        ),
        announced=_or_null({"type": "object"}),
    ),
    "Reading": _object(
        "Who asks for what is sealed, and their signature over that; an official shows grants.",
        ("grants",),
        key=KEY,
        minute=MINUTE,
        sig={"type": "string", "pattern": "^[0-9a-f]{128}$"},
        grants=TEXT,
    ),
    "Officials": _object(
        "Who has acted for an office.",
        stream=TEXT,
        officials=listed(_object("An official.", key=KEY, minute=MINUTE, grants=listed(TEXT))),
    ),
    "Attached": _object(
        "A locked file is kept, until then unless a filing names it.", name=KEY, bytes=COUNT, until=MINUTE
    ),
    "Open311Discovery": _object(
        "Where Open311 is served.",
        changeset=TEXT,
        contact=TEXT,
        key_service=TEXT,
        endpoints=listed(
            _object(
                "An interface.", specification=TEXT, url=TEXT, changeset=TEXT, type=TEXT, formats=listed(TEXT)
            )
        ),
    ),
    "Open311Service": _object(
        "Something that can be reported.",
        service_code=TEXT,
        service_name=TEXT,
        description=TEXT,
        metadata=FLAG,
        type={"type": "string", "enum": ["realtime", "batch", "blackbox"]},
        keywords=TEXT,
        group=TEXT,
    ),
    "Open311Definition": _object(
        "What is asked for with a report.",
        service_code=TEXT,
        attributes=listed(
            _object(
                "An attribute.",
                variable=FLAG,
                code=TEXT,
                datatype={
                    "type": "string",
                    "enum": ["string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"],
                },
                required=FLAG,
                datatype_description=_or_null(TEXT),
                order=COUNT,
                description=TEXT,
                values=_or_null(listed(_object("A choice.", key=TEXT, name=TEXT))),
            )
        ),
    ),
    "Open311Made": _object(
        "The number of a report, or a token to ask for it with.",
        ("service_request_id", "token", "service_notice", "account_id"),
        service_request_id=_or_null(TEXT),
        token=TEXT,
        service_notice=_or_null(TEXT),
        account_id={"type": "null"},
    ),
    "Open311Request": _object(
        "A report and its public state; what is sealed is null.",
        **{name: _REPORT_KINDS.get(name, _or_null(TEXT)) for name in _REPORT_FIELDS},
    ),
    "Open311Error": _object(
        "What is wrong, in the standard's words, and the reason's code.",
        code=NUMBER,
        description=TEXT,
        reason=TEXT,
    ),
}  # fmt: skip
