"""Filled-in forms: an answer for every field of a service, made from what its schema says, in Korean or English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.form import FormField

__all__ = ["filled"]

SAMPLES = {
    "date": "2026-02-10",
    "date-time": "2026-02-10T21:30",
    "year": "1990",
    "email": "hong@example.kr",
    "phone": "010-1234-5678",
    "uri": "https://example.kr/play",
    "point": "37.566500,126.978000",
    "gu": "jongno",
    "slot": "2026-02-13T10:00",
    "facility": "jongno-hanok-room",
    "file": "ab" * 32,
    "case": "jongno/4711",
    "signature": "cd" * 64,
}
TEXTS = {"ko": "가로등이 꺼져 있어요", "en": "The street lamp is out"}


def filled(service: Service, catalogue: Catalogue, language: str = "ko") -> dict[str, object]:
    """Every field of the form with an answer that the form accepts."""
    samples = SAMPLES | {"": TEXTS[language], "language": language}
    values = {field.name: _sample(field, samples) for field in service.form.fields}
    if service.places is not None:
        values["facility"] = catalogue.bookable(service)[0].id
    return values


def _sample(field: FormField, samples: Mapping[str, str]) -> object:
    schema: Mapping[str, Any] = field.schema
    match schema["type"]:
        case "integer":
            return schema["minimum"]
        case "boolean":
            return True
        case "array":
            return [samples[field.format]] if field.format else [next(iter(field.choices))]
        case _:
            if field.choices:
                return next(iter(field.choices))
            return samples[field.format][: schema.get("maxLength")]
