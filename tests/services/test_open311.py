"""Open311: what a form looks like to its clients, and what they send as the form's values."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.reasons import REASONS
from p2pworld.errors import Refusal
from p2pworld.services.form_text import moment, moment_text
from p2pworld.services.open311 import (
    NOTE_MAX,
    definition,
    offered,
    read_parameters,
    service_entry,
    values_of,
)
from p2pworld.services.reasons import FIELD_REASONS, SERVICE_REASONS
from p2pworld.services.replies import INTERFACE_REASONS, told, told_of_refusal
from p2pworld.services.working_time import seoul_text
from shard_node.services.folder import read
from shard_node.web.spark import to_json, to_xml

CATALOGUE = read()
ROAD = CATALOGUE.services["road-damage-report"]
NUISANCE = CATALOGUE.services["complaint-field"]
HERE = [("lat", "37.5665"), ("long", "126.9780")]


def sent(*pairs: tuple[str, str]) -> Any:
    return read_parameters([*HERE, *pairs])


def reasons(wrong: Any) -> list[str]:
    return [one.reason for one in wrong]


# ---- what is offered


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_offered_service_has_an_entry_and_a_definition_of_the_standards_shape(language: str) -> None:
    services = offered(CATALOGUE)
    assert services
    for service in services:
        entry = service_entry(service, language)
        assert list(entry) == [
            *("service_code", "service_name", "description", "metadata", "type", "keywords", "group")
        ]
        assert entry["service_name"] == service.title[language]
        told_of = definition(service, CATALOGUE, language)
        assert told_of["service_code"] == entry["service_code"]
        orders = [one["order"] for one in told_of["attributes"]]
        assert orders == list(range(1, len(orders) + 1))
        assert entry["metadata"] == bool(orders)
        for one in told_of["attributes"]:
            assert one["description"]
            assert one["required"] == (one["code"] in service.form.required)
            lists = one["datatype"] in ("singlevaluelist", "multivaluelist")
            assert lists == bool(one["values"])
        asked = {one["code"] for one in told_of["attributes"]}
        left = {field.name for field in service.form.fields} - asked
        assert {f.format for f in service.form.fields if f.name in left} <= {"point", "file", ""}


def test_a_definition_tells_types_and_choices() -> None:
    told_of = {one["code"]: one for one in definition(ROAD, CATALOGUE, "ko")["attributes"]}
    assert told_of["kind"]["datatype"] == "singlevaluelist"
    assert told_of["kind"]["values"][0] == {"key": "pothole", "name": "도로 패임"}
    assert (told_of["size_cm"]["datatype"], told_of["size_cm"]["datatype_description"]) == (
        "number",
        "1–10000",
    )
    assert told_of["seen_at"]["datatype"] == "datetime"
    assert told_of["phone"]["datatype"] == "string"
    assert "place" not in told_of
    assert "photos" not in told_of


# ---- what is sent


def test_what_a_client_sends_becomes_the_values_of_the_form() -> None:
    values, note, wrong = values_of(
        ROAD,
        sent(
            ("attribute[kind]", "pothole"),
            ("attribute[danger]", "high"),
            ("attribute[size_cm]", "40"),
            ("attribute[seen_at]", "2026-11-20T00:30:00Z"),
            ("phone", "010-1234-5678"),
            ("description", "횡단보도 앞\n깊어요"),
            ("media_url", "https://example.kr/a.jpg"),
            ("device_id", "tt222111"),
            ("account_id", "123456"),
        ),
    )
    assert not wrong
    assert values == {
        "kind": "pothole",
        "danger": "high",
        "size_cm": 40,
        "seen_at": "2026-11-20T09:30",
        "phone": "010-1234-5678",
        "place": "37.566500,126.978000",
    }
    assert note == "횡단보도 앞\n깊어요\nmedia_url: https://example.kr/a.jpg"
    assert ROAD.form.check(values)[1] == ()
    assert ROAD.stream(values, CATALOGUE.facilities) == "jung"


def test_a_description_goes_where_the_form_asks_for_text() -> None:
    values, note, wrong = values_of(
        NUISANCE, sent(("attribute[category]", "noise"), ("description", "밤마다 시끄러워요"))
    )
    assert not wrong
    assert (values["body"], note) == ("밤마다 시끄러워요", "")
    values, note, _ = values_of(NUISANCE, sent(("attribute[body]", "first"), ("description", "second")))
    assert (values["body"], note) == ("first", "second")


def test_several_values_of_what_takes_one_are_left_for_the_form_to_refuse() -> None:
    values, _, _ = values_of(ROAD, sent(("attribute[kind][]", "pothole"), ("attribute[kind][]", "crack")))
    assert [fault.code for fault in ROAD.form.check(values)[1] if fault.field == "kind"]


def test_an_unknown_attribute_is_told() -> None:
    values, _, _ = values_of(ROAD, sent(("attribute[colour]", "blue")))
    assert ("colour", "field-unknown") in [(f.field, f.code) for f in ROAD.form.check(values)[1]]


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "location-missing"),
        ([("lat", "37.5")], "location-half"),
        ([("long", "127")], "location-half"),
        ([("lat", "north"), ("long", "127.0")], "location-half"),
        ([("lat", "nan"), ("long", "127.0")], "place-outside"),
        ([("lat", "inf"), ("long", "127.0")], "place-outside"),
        ([("lat", "35.1796"), ("long", "129.0756")], "place-outside"),  # Busan
        ([("lat", "37.4563"), ("long", "126.7052")], "place-outside"),  # Incheon
        ([("lat", "9" * 400), ("long", "127.0")], "place-outside"),
        ([("address_string", "1234 5th street")], "address-unknown"),
        ([("address_id", "545483")], "address-id-unknown"),
        ([("address_string", "강남구 서울역")], "address-unknown"),  # that station is in another gu
    ],
)
def test_a_place_that_cannot_be_found_is_told(pairs: list[tuple[str, str]], reason: str) -> None:
    _, _, wrong = values_of(ROAD, read_parameters(pairs))
    assert reasons(wrong) == [reason]


@pytest.mark.parametrize(
    ("address", "gu"),
    [("서울역 앞", "jung"), ("코엑스, 강남구, 서울", "gangnam"), ("in front of Lotte World Tower", "songpa")],
)
def test_a_well_known_place_is_an_address(address: str, gu: str) -> None:
    values, note, wrong = values_of(ROAD, read_parameters([("address_string", address)]))
    assert not wrong
    assert ROAD.stream(values, CATALOGUE.facilities) == gu
    assert note == f"address_string: {address}"


def test_a_gu_is_found_in_an_address() -> None:
    service = CATALOGUE.services["local-tax-inquiry"]
    for address, gu in (
        ("종로구 율곡로 1", "jongno"),
        ("1 Yulgok-ro, Jongno-gu, Seoul", "jongno"),
        ("Jung-gu", "jung"),
    ):
        values, _, wrong = values_of(service, read_parameters([("address_string", address)]))
        assert (values["gu"], reasons(wrong)) == (gu, [])
    values, _, _ = values_of(service, read_parameters(HERE))
    assert values["gu"] == "jung"


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("media_url", "javascript:alert(1)"), "media-url"),
        (("media_url", f"https://example.kr/{'a' * 400}"), "media-url"),
        (("description", "가" * (NOTE_MAX + 1)), "note-unsupported"),
        (("description", "good\u202etxt.exe"), "note-unsupported"),
        (("description", "nul\x00"), "note-unsupported"),
    ],
)
def test_what_would_not_be_read_well_is_refused(pair: tuple[str, str], reason: str) -> None:
    _, _, wrong = values_of(ROAD, sent(pair))
    assert reasons(wrong) == [reason]


def test_names_are_kept_only_where_the_form_asks_for_one() -> None:
    with_name = next(s for s in CATALOGUE.services.values() if s.form.field("name"))
    for first, last, name in (
        ("길동", "홍", "홍길동"),
        ("John", "Smith", "John Smith"),
        ("Madonna", "", "Madonna"),
    ):
        values, _, _ = values_of(with_name, sent(("first_name", first), ("last_name", last)))
        assert values["name"] == name
    values, note, _ = values_of(ROAD, sent(("first_name", "John"), ("email", "j@example.kr")))
    assert ("name" in values, "email" in values, note) == (False, False, "")


def test_an_empty_parameter_is_as_good_as_none() -> None:
    assert read_parameters([("lat", ""), ("long", " "), ("attribute[kind]", "")]) == read_parameters([])


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60)), max_size=20))
def test_whatever_is_sent_is_read_and_answered(pairs: list[tuple[str, str]]) -> None:
    values, note, wrong = values_of(ROAD, read_parameters([*pairs, ("attribute[kind]", "pothole")]))
    _, faults = ROAD.form.check(values)
    assert isinstance(note, str)
    for one in wrong:
        assert one.ko
        assert one.en
    for fault in faults:
        assert fault.sentence("ko")


@given(st.integers(0, 4_000_000_000))  # until the year 9575
def test_moments_are_told_with_their_zone_and_read_again(minute: int) -> None:
    text = moment_text(minute)
    assert text.endswith("+09:00")
    assert text[:16] == seoul_text(minute).replace(" ", "T")
    read_again = moment(text)
    assert read_again is not None
    assert read_again.timestamp() == minute * 60


def test_what_tells_no_moment() -> None:
    for text in ("", "tomorrow", "2026-13-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert moment(text) is None
    assert moment("2026-05-01T00:00:00Z") == moment("2026-05-01T09:00")


# ---- as JSON and as XML


def test_a_document_says_the_same_in_both_formats() -> None:
    entries = [service_entry(ROAD, "ko"), service_entry(NUISANCE, "ko")]
    root = ET.fromstring(to_xml("services", entries))
    assert root.tag == "services"
    assert [one.tag for one in root] == ["service", "service"]
    told_of = [{child.tag: child.text for child in one} for one in root]
    assert told_of == [
        {key: str(value).lower() if isinstance(value, bool) else value for key, value in one.items()}
        for one in json.loads(to_json(entries))
    ]


def test_a_definition_nests_its_values() -> None:
    root = ET.fromstring(to_xml("service_definition", definition(ROAD, CATALOGUE, "en")))
    assert [one.tag for one in root] == ["service_code", "attributes"]
    kind = root.find("attributes/attribute")
    assert kind is not None
    assert [value.findtext("key") for value in kind.findall("values/value")][:2] == ["pothole", "crack"]


@given(st.text())
def test_xml_can_be_read_whatever_was_written(text: str) -> None:
    root = ET.fromstring(to_xml("errors", [{"code": 400, "description": text}]))
    assert root.findtext("error/code") == "400"
    assert json.loads(to_json([{"description": text}]))


def test_the_declaration_of_xml_comes_first_and_names_utf_8() -> None:
    assert to_xml("services", []).startswith(b'<?xml version="1.0" encoding="utf-8"?>')


# ---- what is told


def test_every_reason_of_an_interface_has_a_code_of_its_own_and_whole_sentences() -> None:
    assert not set(INTERFACE_REASONS) & (set(SERVICE_REASONS) | set(REASONS) | set(FIELD_REASONS))
    for reason in INTERFACE_REASONS:
        one = told(reason, "3")
        assert one.ko.endswith(("요.", "요"))
        assert one.en.endswith(".")
        assert "{" not in one.ko + one.en


def test_a_refusal_is_told_in_both_languages_wherever_it_comes_from() -> None:
    for reason in ("civic-clock", "slot-taken", "gateway-none"):
        one = told_of_refusal(Refusal(reason, "for whoever looks into it"))
        assert (one.reason, one.again) == (reason, False)
        assert one.sentence("ko") == one.ko
        assert one.sentence("en") == one.en
    assert told_of_refusal(Refusal("civic-busy", "")).again
