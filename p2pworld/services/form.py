"""A form: a JSON Schema of a few keywords with its labels, and the check of what somebody filled in.

A form is declared as the properties of a JSON Schema (draft 2020-12) object. Of the schema's words these are known:

- `type`: `string`, `integer`, `boolean`, or `array` (of strings of one kind);
- of a string: `minLength`, `maxLength`, `pattern`, and a `format` of this city (`FORMATS`), or `oneOf` with a `const`
  for each choice; of an integer: `minimum` and `maximum`; of an array: `items`, `minItems`, `maxItems`; of a boolean:
  `const = true`, where somebody has to agree;
- `$ref = "common#NAME"`, a field that many forms have, whose words may be changed beside it;
- for people: `label`, `hint`, `error` (what is said instead if it is wrong) and, of a choice, `label`, each with `ko`
  and `en`; `lines = true` for text of several lines.

Every text and list has an upper bound, so that whatever passes can be sealed. A field that is not declared is refused.
Text is kept in one form: NFC, without controls, without characters that turn the direction of a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator, FormatChecker

from p2pworld.geometry import from_wgs84
from p2pworld.seoul.gu import GU, gu_at
from p2pworld.services.reasons import FIELD_REASONS
from p2pworld.world.places import Words
from p2pworld.world.reading import Table, Wrong
from p2pworld.world.text import line_fault, neat, paragraphs_fault

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["FORMATS", "FieldFault", "Form", "FormField", "gu_of_point", "gu_slug", "read_form"]

TEXT_MAX: Final = 10_000  # characters: 30 kB of Hangul
CHOICES_MAX: Final = 40
FILES_MAX: Final = 10
FIELDS_MAX: Final = 28  # a transaction has 32 fields; some are kept for what is said about it
PUBLIC_FORMATS: Final = {"date", "date-time", "year", "gu", "language", "slot", "facility", "case"}
FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
INTEGER_MAX: Final = 10**15


def gu_slug(name_en: str) -> str:
    """`jongno` of Jongno-gu: the value of a form, and the name of the office's stream."""
    return name_en.removesuffix("-gu").lower()


_GU: Final = {gu_slug(gu.name_en): gu for gu in GU}

# a format, the pattern that its values match in full, and the longest of them
FORMATS: Final[Mapping[str, tuple[str, int]]] = {
    "date": (r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", 10),
    "date-time": (
        r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]",
        16,
    ),
    "year": (r"(19|20)[0-9]{2}", 4),
    "email": (r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}", 254),
    "phone": (r"\+?[0-9][0-9 -]{5,18}[0-9]", 21),
    "uri": (r"https?://[!-~]{1,280}", 300),
    "point": (r"37\.[0-9]{4,7},12[67]\.[0-9]{4,7}", 24),  # latitude and longitude
    "gu": ("(" + "|".join(_GU) + ")", 12),
    "language": (r"[a-z]{2,3}", 3),  # ISO 639
    "slot": (r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]", 16),
    "facility": (r"[a-z][a-z0-9-]{0,39}", 40),
    "file": (r"[0-9a-f]{64}", 64),  # SHA-256 of what is attached, as it was before it was sealed
    "case": (r"[a-z0-9.-]{1,60}/(0|[1-9][0-9]{0,14})", 76),  # stream and entry of an earlier filing
    "signature": (r"[0-9a-f]{128}", 128),
}
_CHECKER: Final = FormatChecker(formats=())


def gu_of_point(value: str) -> str | None:
    """The gu that a point lies in, or None outside Seoul."""
    latitude, _, longitude = value.partition(",")
    gu = gu_at(*from_wgs84(float(latitude), float(longitude)))
    return gu_slug(gu.name_en) if gu else None


def _is_moment(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


MOMENTS: Final = ("date", "date-time", "slot")
for _name in MOMENTS:
    _CHECKER.checks(_name)(_is_moment)


def _is_in_seoul(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(FORMATS["point"][0], value):
        return True  # the pattern has something to say about it
    return gu_of_point(value) is not None


_CHECKER.checks("point")(_is_in_seoul)


# ---- what is wrong with what was filled in


@dataclass(frozen=True, slots=True)
class FieldFault:
    """Why one field is not as the form has it: a code of FIELD_REASONS, and what its sentences tell."""

    field: str
    code: str
    label: Words
    limit: str = ""
    own: Words | None = None

    def sentence(self, language: str) -> str:
        """What the citizen reads, in `ko` or `en`."""
        if self.own:
            return self.own.get(language, self.own["en"])
        words = FIELD_REASONS[self.code]
        label = self.label.get(language) or self.label.get("en") or self.field
        return (words.ko if language == "ko" else words.en).format(field=label, limit=self.limit)


@dataclass(frozen=True, slots=True)
class FormField:
    """One field: its JSON Schema without the words for people, and those."""

    name: str
    schema: Mapping[str, Any]
    label: Words
    hint: Words
    error: Words
    choices: Mapping[str, Words]
    lines: bool

    @property
    def format(self) -> str:
        """Its format, or that of its items; empty for plain text."""
        return str(self.schema.get("format") or self.schema.get("items", {}).get("format", ""))

    @property
    def characters_max(self) -> int:
        """How long the text of a value may be."""
        match self.schema["type"]:
            case "string" if self.choices:
                return max(map(len, self.choices))
            case "string":
                return int(self.schema["maxLength"])
            case "array":
                items = self.schema["items"]
                each = max(map(len, self.choices)) if self.choices else int(items["maxLength"])
                return int(self.schema["maxItems"]) * (each + 4)
            case _:
                return 20

    def pattern(self, required: bool) -> str | None:
        """What all of the text of a value matches, if that is narrow enough to stand in public; None for free text."""
        match self.schema["type"]:
            case "boolean":
                found = "true" if self.schema.get("const") else "(true|false)"
            case "integer":
                found = ("-?" if self.schema["minimum"] < 0 else "") + "(0|[1-9][0-9]{0,15})"
            case "string" if self.choices:
                found = "(" + "|".join(re.escape(choice) for choice in self.choices) + ")"
            case "string" if self.format in PUBLIC_FORMATS:
                found = FORMATS[self.format][0]
            case _:
                return None
        return found if required else f"({found})?"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a service, in the order in which they are asked for."""

    fields: tuple[FormField, ...]
    required: frozenset[str]

    def field(self, name: str) -> FormField | None:
        """The field of this name."""
        return next((field for field in self.fields if field.name == name), None)

    def json_schema(self, language: str = "") -> dict[str, Any]:
        """The form as a JSON Schema; with the labels and hints of `language`, if one is given."""
        properties = {}
        for field in self.fields:
            schema = dict(field.schema)
            if language:
                schema["title"] = field.label.get(language, field.label["en"])
                if field.hint:
                    schema["description"] = field.hint.get(language, field.hint["en"])
                if field.choices:
                    titled = [
                        {"const": choice, "title": words.get(language, words["en"])}
                        for choice, words in field.choices.items()
                    ]
                    if field.schema["type"] == "array":
                        schema["items"] = {**schema["items"], "oneOf": titled}
                    else:
                        schema["oneOf"] = titled
            properties[field.name] = schema
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": [field.name for field in self.fields if field.name in self.required],
            "additionalProperties": False,
        }

    def check(self, values: Mapping[str, object]) -> tuple[dict[str, object], tuple[FieldFault, ...]]:
        """The values as they are kept, and all that is wrong with them, in the order of the fields.

        An empty text or list is a field that was not filled in.
        """
        kept: dict[str, object] = {}
        faults: dict[str, FieldFault] = {}
        for name, value in values.items():
            field = self.field(name)
            if field is None:
                faults[name] = FieldFault(name, "field-unknown", {"ko": name[:40], "en": name[:40]})
                continue
            value = _neat(value)
            if value in ("", [], None):
                continue
            kept[name] = value
            if fault := _text_fault(field, value):
                faults[name] = fault
        validator = Draft202012Validator(self.json_schema(), format_checker=_CHECKER)
        for error in sorted(validator.iter_errors(kept), key=lambda error: list(map(str, error.path))):
            if error.validator == "required":
                missing = [field for field in self.fields if field.name in self.required - set(kept)]
                for field in missing:
                    faults.setdefault(field.name, FieldFault(field.name, "field-required", field.label))
            elif error.path:
                field = self.field(str(error.path[0]))
                assert field is not None, "a property of the schema"
                code, limit = _code(error.validator, error.validator_value, field)
                own = field.error or None
                faults.setdefault(field.name, FieldFault(field.name, code, field.label, limit, own))
        order = {field.name: i for i, field in enumerate(self.fields)}
        return kept, tuple(sorted(faults.values(), key=lambda fault: order.get(fault.field, len(order))))

    def texts(self, values: Mapping[str, object]) -> dict[str, str]:
        """Checked values as the texts of a transaction's fields; lists as JSON."""
        return {field.name: _text(values[field.name]) for field in self.fields if field.name in values}


def _neat(value: object) -> object:
    if isinstance(value, str):
        return neat(value)
    if isinstance(value, list):
        return [_neat(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # JSON has one kind of number: 3.0 is 3, and is written so
    return value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text_fault(field: FormField, value: object) -> FieldFault | None:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            fault = (paragraphs_fault if field.lines else line_fault)(text, len(text) or 1)
            if fault is not None:
                return FieldFault(field.name, "text-unsupported", field.label)
    return None


def _code(keyword: str, bound: object, field: FormField) -> tuple[str, str]:
    """The reason for a failed keyword, and the bound to tell of."""
    match keyword:
        case "maxLength":
            return "text-too-long", str(bound)
        case "minLength":
            return "text-too-short", str(bound)
        case "maximum":
            return "number-too-large", str(bound)
        case "minimum":
            return "number-too-small", str(bound)
        case "maxItems" if field.format == "file":
            return "too-many-files", str(bound)
        case "maxItems":
            return "too-many-choices", str(bound)
        case "const":
            return "must-agree", ""
        case "oneOf":
            return "choice-unknown", ""
        case "format" if field.format == "point":
            return "place-outside", ""
        case "format" | "pattern" if field.format in MOMENTS:
            return "date-invalid", ""
        case _:
            return "field-invalid", ""


# ---- reading a declaration


def _read_field(name: str, table: Table, common: Mapping[str, Mapping[str, object]]) -> FormField:
    """The field that a table of a declaration describes.

    Raises:
        Wrong: it is not a field of this subset of JSON Schema.
    """
    if not FIELD.fullmatch(name):
        raise Wrong(table.key("")[:-1], "use 1 to 40 small letters, digits and underlines, a letter first.")
    if "$ref" in table:
        reference = table.text("$ref")
        found = common.get(reference.removeprefix("common#"))
        if not reference.startswith("common#") or found is None:
            raise table.wrong("$ref", f"{reference!r} is no common field: write such as common#phone.")
        table = table.over(found)
    kind = table.text("type")
    label = table.words("label")
    hint = table.words("hint", optional=True, most=200)
    error = table.words("error", optional=True, most=200)
    choices: dict[str, Words] = {}
    schema: dict[str, Any] = {"type": kind}
    lines = False
    match kind:
        case "string":
            lines = table.flag("lines", False)
            schema |= _string(table, choices)
        case "integer":
            schema["minimum"] = table.whole("minimum", -INTEGER_MAX, INTEGER_MAX)
            schema["maximum"] = table.whole("maximum", schema["minimum"], INTEGER_MAX)
        case "boolean":
            if "const" in table:
                if table.flag("const", True) is not True:
                    raise table.wrong("const", "is to be true: that somebody has to agree. Or leave it out.")
                schema["const"] = True
        case "array":
            items = Table(table.key("items"), table.take("items"))
            if items.text("type") != "string":
                raise items.wrong("type", 'is to be "string": a list is of texts of one kind.')
            schema["items"] = {"type": "string", **_string(items, choices)}
            items.done()
            schema["minItems"] = table.whole("minItems", 0, CHOICES_MAX, 0)
            most = FILES_MAX if schema["items"].get("format") == "file" else CHOICES_MAX
            schema["maxItems"] = table.whole("maxItems", max(1, schema["minItems"]), most)
            schema["uniqueItems"] = True
        case _:
            raise table.wrong("type", f"{kind!r} is not known: use string, integer, boolean or array.")
    table.done()
    return FormField(name, schema, label, hint, error, choices, lines)


def _string(table: Table, choices: dict[str, Words]) -> dict[str, Any]:
    """The keywords of a string; fills in the choices it has."""
    if "oneOf" in table:
        options = table.tables("oneOf")
        if not 2 <= len(options) <= CHOICES_MAX:
            raise table.wrong("oneOf", f"is to have 2 to {CHOICES_MAX} choices.")
        for option in options:
            value = option.text("const", most=40)
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", value) or value in choices:
                raise option.wrong(
                    "const", f"{value!r}: a choice is its own word of small letters and digits."
                )
            choices[value] = option.words("label")
            option.done()
        return {"oneOf": [{"const": choice} for choice in choices]}
    if "format" in table:
        name = table.text("format")
        if name not in FORMATS:
            raise table.wrong("format", f"{name!r} is not known: use one of {', '.join(FORMATS)}.")
        pattern, most = FORMATS[name]
        return {"format": name, "pattern": f"^{pattern}$", "maxLength": most}
    words: dict[str, Any] = {"minLength": table.whole("minLength", 0, TEXT_MAX, 1)}
    words["maxLength"] = table.whole("maxLength", max(1, words["minLength"]), TEXT_MAX)
    if "pattern" in table:
        pattern = table.text("pattern", most=200)
        try:
            re.compile(pattern)
        except re.error as error:
            raise table.wrong("pattern", f"is no regular expression: {error}.") from None
        words["pattern"] = f"^(?:{pattern})$"
    return words


def read_form(table: Table, common: Mapping[str, Mapping[str, object]]) -> Form:
    """The form that a `[form]` table declares.

    Raises:
        Wrong: a field is not of this subset of JSON Schema, or something required is not there.
    """
    required: Iterable[str] = table.texts("required", (), FIELD, '"title"')
    properties = table.take("properties")
    if not isinstance(properties, Mapping) or not 1 <= len(properties) <= FIELDS_MAX:
        raise table.wrong("properties", f"is to be a table of 1 to {FIELDS_MAX} fields.")
    fields = tuple(
        _read_field(name, Table(table.key(f"properties.{name}"), values), common)
        for name, values in properties.items()
    )
    table.done()
    names = {field.name for field in fields}
    for name in required:
        if name not in names:
            raise table.wrong("required", f"{name!r} is no field of this form: correct it or add the field.")
    return Form(fields, frozenset(required))
