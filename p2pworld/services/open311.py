"""A service as Open311 clients see it (GeoReport v2), and what they send as the values of its form.

Documents here have the standard's names and order, as JSON; `shard_node.web.spark` writes the same as XML. A field of
the form is an attribute, but for a point, which is the request's lat and long, and for text of several lines, which is
its description. What a client may send and the form does not ask for (an account, a device, names and contacts that no
field takes) is not kept. What somebody wrote and no field takes is: description, address and media_url go, as they
are, into a sealed `note` that the office reads.

An address counts as a place as far as names do: a gu, where the form asks for one, or a well-known place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from p2pworld.geometry import to_wgs84
from p2pworld.seoul.gu import GU
from p2pworld.seoul.landmarks import LANDMARKS
from p2pworld.services.form import FORMATS, FieldFault, gu_of_point, gu_slug
from p2pworld.services.form_text import values_of_texts
from p2pworld.services.replies import Told, told, told_of_fault
from p2pworld.world.text import neat, paragraphs_fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.form import FormField
    from p2pworld.world.places import Words

__all__ = [
    "NOTE",
    "Sent",
    "definition",
    "offered",
    "read_parameters",
    "service_entry",
    "values_of",
]

NOTE: Final = "note"  # the sealed field for what no field of the form takes
NOTE_MAX: Final = 4_000  # characters, which the standard allows a description
VALUES_MAX: Final = 40  # of one parameter
_PLACES: Final = (
    "point",
    "file",
)  # formats that are no attribute: a place is lat and long, files are not taken
_ATTRIBUTE: Final = re.compile(r"attribute\[([^\[\]]{1,80})\](?:\[\])?")
_ANSWERS: Final[Mapping[str, Words]] = {
    "true": {"ko": "예", "en": "Yes"},
    "false": {"ko": "아니요", "en": "No"},
}
_DATATYPES: Final = {"integer": "number", "boolean": "singlevaluelist", "array": "multivaluelist"}
_WRITTEN: Final[Mapping[str, Words]] = {
    "date": {"ko": "날짜. 예: 2026-05-01", "en": "A date, such as 2026-05-01"},
    "date-time": {"ko": "날짜와 시각. 예: 2026-05-01T09:00:00+09:00", "en": "2026-05-01T09:00:00+09:00"},
    "slot": {"ko": "이용 시작 시각. 예: 2026-05-01T09:00:00+09:00", "en": "When it begins: 2026-05-01T09:00:00+09:00"},
    "year": {"ko": "연도 네 자리", "en": "A year of four digits"},
    "email": {"ko": "전자우편 주소", "en": "An e-mail address"},
    "phone": {"ko": "전화번호", "en": "A phone number"},
    "uri": {"ko": "웹 주소", "en": "A web address"},
    "language": {"ko": "언어 코드. 예: ko", "en": "A language code, such as en"},
    "case": {"ko": "접수 번호. 예: jongno/4711", "en": "A case number, such as jongno/4711"},
    "signature": {"ko": "16진수 128자리 서명", "en": "A signature of 128 hexadecimal digits"},
}  # fmt: skip


# ---- what a service looks like


def offered(catalogue: Catalogue) -> tuple[Service, ...]:
    """The services that Open311 clients are told of."""
    return tuple(service for service in catalogue.services.values() if service.open311 is not None)


def service_entry(service: Service, language: str) -> dict[str, Any]:
    """One entry of the list of services."""
    entry = service.open311
    assert entry is not None, "only those that are offered"
    return {
        "service_code": entry.code,
        "service_name": _word(service.title, language),
        "description": _word(service.about, language),
        "metadata": any(True for _ in _attributes(service)),
        "type": "realtime",
        "keywords": ", ".join(entry.keywords),
        "group": entry.group,
    }


def definition(service: Service, catalogue: Catalogue, language: str) -> dict[str, Any]:
    """The definition of a service: its attributes, in the order of the form."""
    assert service.open311 is not None, "only those that are offered"
    return {
        "service_code": service.open311.code,
        "attributes": [
            {
                "variable": True,
                "code": field.name,
                "datatype": _datatype(field),
                "required": field.name in service.form.required,
                "datatype_description": _how_written(field, language) or None,
                "order": order,
                "description": " ".join(
                    filter(None, (_word(field.label, language), _word(field.hint, language)))
                ),
                "values": [
                    {"key": key, "name": name} for key, name in _choices(field, service, catalogue, language)
                ]
                or None,
            }
            for order, field in enumerate(_attributes(service), 1)
        ],
    }


def _attributes(service: Service) -> Iterable[FormField]:
    described = _description_field(service)
    return (field for field in service.form.fields if field.format not in _PLACES and field is not described)


def _datatype(field: FormField) -> str:
    kind = str(field.schema["type"])
    if kind in _DATATYPES:
        return _DATATYPES[kind]
    if field.choices or field.format in ("gu", "facility"):
        return "singlevaluelist"
    if field.format in ("date", "date-time", "slot"):
        return "datetime"
    return "text" if field.lines else "string"


def _how_written(field: FormField, language: str) -> str:
    if field.schema["type"] == "integer":
        return f"{field.schema['minimum']}–{field.schema['maximum']}"
    if field.format in _WRITTEN:
        return _word(_WRITTEN[field.format], language)
    most = field.schema.get("maxLength") if not field.format and not field.choices else None
    if most is None:
        return ""
    return f"{most}자까지" if language == "ko" else f"at most {most} characters"


def _choices(
    field: FormField, service: Service, catalogue: Catalogue, language: str
) -> list[tuple[str, str]]:
    if field.schema["type"] == "boolean":
        answers = ("true",) if field.schema.get("const") else ("true", "false")
        return [(answer, _word(_ANSWERS[answer], language)) for answer in answers]
    if field.format == "gu":
        return [(gu_slug(gu.name_en), gu.name_ko if language == "ko" else gu.name_en) for gu in GU]
    if field.format == "facility":
        return [(one.id, _word(one.name, language)) for one in catalogue.bookable(service)]
    return [(choice, _word(words, language)) for choice, words in field.choices.items()]


def _description_field(service: Service) -> FormField | None:
    """The field that takes the description: the first text of several lines that is sealed."""
    return next(
        (field for field in service.form.fields if field.lines and field.name not in service.public), None
    )


def _word(words: Words, language: str) -> str:
    return words.get(language) or words.get("en", "")


# ---- what a client sends


@dataclass(frozen=True, slots=True)
class Sent:
    """The parameters of a request, those that are empty left out, and its attributes."""

    parameters: Mapping[str, str]
    attributes: Mapping[str, tuple[str, ...]]

    def get(self, name: str) -> str:
        """A parameter, or empty text."""
        return self.parameters.get(name, "")


def read_parameters(pairs: Iterable[tuple[str, str]]) -> Sent:
    """Names and values as they came; of a parameter that comes twice the last counts."""
    parameters: dict[str, str] = {}
    attributes: dict[str, list[str]] = {}
    for name, value in pairs:
        if not value.strip():
            continue  # the same as if it were not sent
        found = _ATTRIBUTE.fullmatch(name)
        if found is None:
            parameters[name] = value
        elif len(values := attributes.setdefault(found[1], [])) <= VALUES_MAX:
            values.append(value)
    return Sent(parameters, {code: tuple(values) for code, values in attributes.items()})


def values_of(service: Service, sent: Sent) -> tuple[dict[str, object], str, tuple[Told, ...]]:
    """The values of the form that this makes, not yet checked, the note for the office, and what is wrong already."""
    values = values_of_texts(service.form, sent.attributes)
    wrong: list[Told] = []
    note: list[str] = []
    for name, value in _contact(service, sent):
        values.setdefault(name, value)
    described = _description_field(service)
    if sent.get("description"):
        if described is not None and described.name not in values:
            values[described.name] = sent.get("description")
        else:
            note.append(sent.get("description"))
    wrong += _locate(service, sent, values)
    if sent.get("address_string"):
        note.append(f"address_string: {sent.get('address_string')}")
    if media := sent.get("media_url").strip():
        if not re.fullmatch(FORMATS["uri"][0], media):
            wrong.append(told("media-url"))
        note.append(f"media_url: {media}")
    text = neat("\n".join(note))
    if text and paragraphs_fault(text, NOTE_MAX) is not None:
        wrong.append(told("note-unsupported", str(NOTE_MAX)))
    return values, text, tuple(wrong)


def _contact(service: Service, sent: Sent) -> Iterable[tuple[str, str]]:
    """Names and contacts, for the fields that ask for them."""
    first, last = sent.get("first_name"), sent.get("last_name")
    hangul = any("가" <= character <= "힣" for character in last)
    name = f"{last}{first}" if hangul else " ".join(filter(None, (first, last)))
    for field in service.form.fields:
        if field.format in ("email", "phone") and sent.get(field.format):
            yield field.name, sent.get(field.format)
        elif field.name == "name" and name:
            yield field.name, name


def _locate(service: Service, sent: Sent, values: dict[str, object]) -> list[Told]:
    """Puts where it is into the fields that ask for it; what is wrong with it."""
    points = [field for field in service.form.fields if field.format == "point"]
    gus = [field for field in service.form.fields if field.format == "gu"]
    if bool(sent.get("lat")) != bool(sent.get("long")):
        return [told("location-half")]
    point, address = "", sent.get("address_string")
    if sent.get("lat"):
        try:
            point = f"{float(sent.get('lat')):.6f},{float(sent.get('long')):.6f}"
        except ValueError:
            return [told("location-half")]
        if not re.fullmatch(FORMATS["point"][0], point) or gu_of_point(point) is None:
            return [
                told_of_fault(
                    FieldFault((points or gus)[0].name if points or gus else "", "place-outside", {})
                )
            ]
    elif address:
        point = _point_named(address)
    for field in points:
        if point:
            values.setdefault(field.name, point)
    gu = (gu_of_point(point) if point else None) or _gu_named(address)
    for field in gus:
        if gu:
            values.setdefault(field.name, gu)
    missing = [f for f in (*points, *gus) if f.name in service.form.required and f.name not in values]
    if not missing:
        return []
    if address:
        return [told("address-unknown")]
    return [told("address-id-unknown" if sent.get("address_id") else "location-missing")]


def _point_named(address: str) -> str:
    """The point of the well-known place whose name stands in the address, the longest one; empty if there is none, or
    if the address names another gu than that it lies in."""
    named = [one for one in LANDMARKS if _stands_in(one.name_ko, address) or _stands_in(one.name_en, address)]
    if not named:
        return ""
    best = max(named, key=lambda one: (max(len(one.name_ko), len(one.name_en)), one.name_ko))
    latitude, longitude = to_wgs84(*best.position_cm)
    point = f"{latitude:.6f},{longitude:.6f}"
    return point if _gu_named(address) in (None, gu_of_point(point)) else ""


def _gu_named(address: str) -> str | None:
    """The gu whose name stands in the address."""
    for gu in GU:
        if _stands_in(gu.name_ko, address) or _stands_in(gu.name_en, address):
            return gu_slug(gu.name_en)
    return None


def _stands_in(name: str, text: str) -> bool:
    """Whether the name stands there as words of its own."""
    return re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", text.casefold()) is not None
