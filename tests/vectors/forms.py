"""Makes form.json and gu.json: what is filled into forms and what is said about it in both languages; points, gu."""

from __future__ import annotations

import json
import random
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from p2pworld.services.facility import GU_SLUGS
from p2pworld.services.form import gu_of_point
from p2pworld.services.party import party_fields
from p2pworld.services.told import service_told, words_told
from shard_node.services.folder import read
from shard_node.web.city import drawing
from tests.services.samples import filled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pworld.services.declaration import Service

__all__ = ["forms", "points"]

TODAY: Final = date(2026, 2, 13)
CATALOGUE: Final = read()
FACILITIES: Final = CATALOGUE.facilities
SERVICES: Final = (  # together they have every kind of field
    "fire-hazard-report",
    "refusal-objection",
    "business-showcase-booth",
    "reserve-camping",
    "reserve-culture",
    "reserve-medical",
    "local-tax-filing",
    "personal-data-request",
    "urban-planning-opinion",
    "sign-language-interpretation",
)
ANY: Final[tuple[object, ...]] = (
    *(
        "",
        "  ",
        None,
        [],
        [""],
        True,
        False,
        0,
        1,
        -1,
        2.5,
        10**16,
        "3",
        {},
        ["가"],
        [["가"]],
        "가",
        " 가나 ",
    ),
    *("가" * 401, "<b>'; DROP TABLE seats; --</b>", ["ab" * 32, "ab" * 32], ["가"] * 41),
)
TEXTS: Final = (
    *(
        "양끝 공백\u3000",
        "\u1112\u1161\u11ab\u1100\u1173\u11af",
        "cafe\u0301 \u1100\u1161",
        "😀" * 30,
        "\ufeff앞",
    ),
    *(
        "a\nb",
        "a\r\nb\rc",
        "a\tb",
        "a\u202eb",
        "a\u2066b",
        "a\u2028b",
        "a\x00b",
        "a\x1fb",
        "\x1f끝\x85",
        "a\u200db",
    ),
    *("Z" + "\u0300" * 4, "Z" + "\u0300" * 5, "a\n" + "\u0300" * 5, "\ue000\ufdd0"),
)
FITTING: Final[dict[str, tuple[object, ...]]] = {
    "date": (
        *("2026-02-13", "2026-02-12", "2026-02-14", "2016-02-13", "2026-02-30", "2024-02-29", "2023-02-29"),
        *(
            "0000-01-01",
            "0001-01-01",
            "2026-13-01",
            "13.02.2026",
            "20260213",
            "2026-02-13T10:00",
            "2026-02-1",
        ),
    ),
    "date-time": (
        "2026-02-13T10:00",
        "2026-02-13T24:00",
        "2026-02-14T00:00",
        "2026-02-30T10:00",
        "2026-02-13 10:00",
    ),
    "slot": ("2026-02-13T10:00", "2100-02-29T10:00", "2000-02-29T10:00", "2026-02-13T10:00:00", "2026-02-13"),
    "year": ("1899", "1990", "2099", "2100", "19900"),
    "point": (
        "37.566500,126.978000",
        "37.0000,127.0000",
        "37.5665,126.978",
        "north pole",
        "37.4500,127.1500",
    ),
    "gu": ("jongno", "Jongno", "jong-no", "city"),
    "phone": ("010-1234-5678", "+82 10 1234 5678", "010", "010-1234-5678-", "0" * 22),
    "email": (
        "hong@example.kr",
        "hong@example",
        "hong@@example.kr",
        "홍@example.kr",
        "a" * 65 + "@example.kr",
    ),
    "uri": ("https://example.kr/", "javascript:alert(1)", "http://예.kr", "https://" + "a" * 281),
    "file": (
        ["ab" * 32],
        [f"{i:064x}" for i in range(11)],
        ["x", "ab" * 32, "y"],
        ["../etc/passwd"],
        "AB" * 32,
    ),
    "language": (
        "ko",
        "kor",
        "KO",
        ["ko", "en"],
        ["ko", "korean"],
        [f"a{chr(97 + i)}" for i in range(12)] + ["1"],
    ),
    "case": ("jongno/0", "jongno/01", "jongno/4711", "/1", "jongno"),
    "signature": ("cd" * 64, "cd" * 63, "CD" * 64),
    "facility": ("jongno-hanok-room", "Jongno", "9-hall"),
}


def forms() -> list[dict[str, Any]]:
    """The sentences; then services, each with what was filled in beside `good`, and what is said about that."""
    seen = set[str]()
    found: list[dict[str, Any]] = [{"name": "the sentences", "fields": words_told()["fields"]}]
    for name in SERVICES:
        service = CATALOGUE.services[name]
        good = filled(service, CATALOGUE)
        odd = [_case(service, good, {field: value}) for field, value in _odd(service, seen)]
        cases = [
            _case(service, good, {}),
            _case(service, {}, {}),
            _case(service, good, {"나" * 60: "?"}),
            *odd,
            *(_case(service, good, each) for each in _crowds(service, good)),
        ]
        told = {"service": service_told(service), "today": TODAY.isoformat(), "good": good}
        place = str(good["facility"]) if service.places is not None else ""
        told["capacities"] = {place: FACILITIES[place].capacity} if place else {}
        public, sealed = service.split(service.check(good, TODAY, {})[0])
        split = {"public": list(public.items()), "sealed": list(sealed.items())}
        found.append({"name": name, **told, **split, "cases": cases})
    return found


def _odd(service: Service, seen: set[str]) -> Iterator[tuple[str, object]]:
    """For one field of each kind that no service had before, what may be filled into it."""
    for field in service.form.fields:
        schema = field.schema
        kind = f"{schema['type']} {field.format} {bool(field.choices)} {field.lines} {schema.get('const')}"
        if kind in seen:
            continue
        seen.add(kind)
        plain = schema["type"] == "string" and not field.format and not field.choices
        for value in (*ANY, *(TEXTS if plain else ()), *FITTING.get(field.format, ())):
            yield field.name, value


def _crowds(service: Service, good: dict[str, object]) -> Iterator[dict[str, object]]:
    """As many as a place has room for, and one more: in one field, or with another."""
    names = party_fields(service.form) if service.places else ()
    if names:
        first, last, most = names[0], names[-1], FACILITIES[str(good["facility"])].capacity
        for more in (0, 1):
            yield {first: most + more} if first == last else {first: most, last: more}


def _case(service: Service, good: dict[str, object], odd: dict[str, object]) -> dict[str, Any]:
    kept, faults = service.check(good | odd, TODAY, FACILITIES)
    told = [(fault.field, fault.code, fault.sentence("ko"), fault.sentence("en")) for fault in faults]
    case = {"values": odd, "kept": {name: kept[name] for name in odd if name in kept}, "faults": told}
    return case if good else case | {"empty": True}


def points() -> list[dict[str, Any]]:
    """The outlines as `/api/v1/city` tells them, and points with the gu they lie in (null: outside Seoul)."""
    city = json.loads(drawing()[0])
    chance = random.Random(37)
    texts = [
        f"{37.40 + 0.32 * chance.random():.6f},{126.75 + 0.45 * chance.random():.6f}" for _ in range(300)
    ]
    outlines = [{"name": gu["name"], "outline": gu["outline"]} for gu in city["gu"]]
    assert len(outlines) == len(GU_SLUGS)
    return [{"name": "the gu", "gu": outlines, "points": [[text, gu_of_point(text)] for text in texts]}]
