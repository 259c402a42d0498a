"""What no interface takes: told why in the citizen's language, and nothing is filed. A real node, over HTTP."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from p2pworld.civic.transaction import Paper, Secrets, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.services.facility import slot_text
from p2pworld.services.people import purpose_of, show, sign_claim
from p2pworld.services.working_time import OfficeCalendar, day_of
from shard_node.services.folder import read
from tests.patience import PATIENCE_S
from tests.services.gateway_node import ROAD, VALUES, multipart
from tests.services.samples import filled
from tests.services.test_attachments import archive, png

if TYPE_CHECKING:
    from p2pworld.civic.transaction import Submission
    from tests.services.gateway_node import GatewayNode


def refused(node: GatewayNode, values: Any, reason: str, field: str | None, service: str = ROAD) -> None:
    """Nothing is filed, by check and by filing, and both languages say why."""
    sentences = set()
    for language in ("ko", "en"):
        checked = node.post_json(f"{service}/check", {"values": values, "lang": language})
        assert checked.status == 200, checked.body
        assert not checked.json()["ok"]
        answer = node.post_json(f"{service}/requests", {"values": values, "lang": language})
        assert 400 <= answer.status < 500
        for faults in (checked.json()["faults"], answer.json()["faults"] or [answer.json()]):
            [fault] = [one for one in faults if one["reason"] == reason]
            assert fault.get("field") == field
            assert fault["sentence"] == fault[language]
            sentences.add(fault["sentence"])
    assert len(sentences) == 2
    assert any("가" <= character <= "힣" for character in "".join(sentences))


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"kind": 7}, "field-invalid", "kind"),
        ({"kind": ["pothole"]}, "field-invalid", "kind"),
        ({"kind": None}, "field-required", "kind"),
        ({"kind": "<script>alert(1)</script>"}, "choice-unknown", "kind"),
        ({"size_cm": "1; DROP TABLE filing"}, "field-invalid", "size_cm"),
        ({"size_cm": 10**400}, "number-too-large", "size_cm"),
        ({"place": {"lat": 37.5}}, "field-invalid", "place"),
        ({"place": "35.179600,129.075600"}, "field-invalid", "place"),
        ({"place": "37.456300,126.705200"}, "place-outside", "place"),
        ({"phone": "' OR 1=1 --"}, "field-invalid", "phone"),
        ({"phone": "010-1234-5678\u202e"}, "text-unsupported", "phone"),
        ({"phone": "010-1234-5678\x00"}, "text-unsupported", "phone"),
        ({"phone": "\ud800"}, "text-unsupported", "phone"),
        ({"<img src=x onerror=alert(1)>": "x"}, "field-unknown", "<img src=x onerror=alert(1)>"),
        ({"seen_at": "2026-02-30T09:00"}, "date-invalid", "seen_at"),
    ],
)
def test_what_is_not_as_the_form_has_it(
    nothing_filed: GatewayNode, changes: dict[str, object], reason: str, field: str
) -> None:
    refused(nothing_filed, VALUES | changes, reason, field)


@pytest.mark.parametrize(("day", "reason"), [("2025-01-01", "date-late"), ("2099-01-01", "date-future")])
def test_past_the_deadline(nothing_filed: GatewayNode, day: str, reason: str) -> None:
    values = {
        "case_number": "1",
        "refused_on": day,
        "reasons": "왜냐하면 이래요",
        "name": "홍길동",
        "address": "서울 종로구 1",
    }
    refused(nothing_filed, values, reason, "refused_on", "/api/v1/services/refusal-objection")


@pytest.mark.parametrize("endpoint", ["check", "prepare", "requests"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"values": []}',
        b'{"values": {}, "more": 1}',
        b'{"values": {"kind": "\xff\xfe"}}',
        b"[" * 100_000,
        b'{"values": {"size_cm": ' + b"9" * 5_000 + b"}}",
    ],
    ids=range(9),
)
def test_what_is_no_json_of_the_kind(nothing_filed: GatewayNode, endpoint: str, body: bytes) -> None:
    said = {"Content-Type": "application/json"}
    sentences = set()
    for language in ("ko", "en"):
        answer = nothing_filed.ask("POST", f"{ROAD}/{endpoint}?lang={language}", body, said)
        told = answer.json()
        assert (answer.status, told["reason"]) == (400, "malformed")
        sentences.add(told["sentence"])
    assert len(sentences) == 2


def test_text_is_kept_in_one_form_and_markup_stays_what_it_is(node: GatewayNode) -> None:
    service = "/api/v1/services/complaint-suggestion"
    schema = {one.name: one for one in read().services["complaint-suggestion"].form.fields}
    title = "'); DROP TABLE filing;-- <script>alert(1)</script> {{7*7}}"
    values = filled(read().services["complaint-suggestion"], read())
    values = {name: value for name, value in values.items() if schema[name].format != "file"}
    values |= {"title": title, "suggestion": "\u1100\u1161\u1102\u1161 cafe\u0301\r\n둘째 줄"}
    answer = node.post_json(f"{service}/requests", {"values": values})
    assert answer.status == 201, answer.body
    private = node.opened(answer.json()["stream"], answer.json()["entry"])
    told = {one.name: one.value for one in private.fields}
    assert told["title"] == title
    assert told["suggestion"] == "가나 café\n둘째 줄"


# ---- files


BOMB = archive(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", bytes(20 << 20)))


@pytest.mark.parametrize(
    ("field", "name", "content", "status", "reason"),
    [
        ("photos", "photo.jpg", BOMB, 415, "file-broken"),
        ("photos", "photo.jpg", b"MZ\x90\x00" + bytes(2_000), 415, "file-type"),
        (
            "photos",
            "photo.png",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            415,
            "file-type",
        ),
        ("photos", "photo.png", png(60_000, 60_000), 415, "file-broken"),
        ("photos", "photo.png", png()[:20], 415, "file-broken"),
        ("photos", "photo.jpg", b"\xff\xd8\xff" + bytes(11 << 20), 413, "file-too-large"),
        ("letter", "a.txt", b"hello", 415, "files-none"),
    ],
    ids=["bomb", "program", "markup", "pixels", "cut", "large", "elsewhere"],
)
def test_files_that_are_not_taken(
    nothing_filed: GatewayNode, field: str, name: str, content: bytes, status: int, reason: str
) -> None:
    body, said = multipart([("values", None, json.dumps(VALUES).encode()), (field, name, content)])
    sentences = set()
    for language in ("ko", "en"):
        answer = nothing_filed.ask("POST", f"{ROAD}/requests?lang={language}", body, said)
        assert (answer.status, answer.json()["reason"]) == (status, reason)
        sentences.add(answer.json()["sentence"])
    assert len(sentences) == 2


def test_too_many_files_and_too_many_fields(nothing_filed: GatewayNode) -> None:
    body, said = multipart([("photos", f"{number}.png", png()) for number in range(6)])
    answer = nothing_filed.ask("POST", f"{ROAD}/requests", body, said)
    assert (answer.status, answer.json()["reason"]) == (422, "too-many-files")
    body, said = multipart([(f"f{number}", None, b"x") for number in range(300)])
    assert nothing_filed.ask("POST", f"{ROAD}/requests", body, said).json()["reason"] == "malformed"
    body, said = multipart([("phone", None, bytes(300_000))])
    assert nothing_filed.ask("POST", f"{ROAD}/requests", body, said).json()["reason"] == "too-large"


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/json", "application/x-www-form-urlencoded"]
)
def test_a_gigabyte_is_refused_before_it_is_sent(
    nothing_filed: GatewayNode, kind: str, language: str
) -> None:
    address = urlsplit(nothing_filed.url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S) as to:
        to.sendall(
            f"POST {ROAD}/requests?lang={language} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {1 << 30}\r\n\r\n".encode()
        )
        to.sendall(bytes(65_536))
        head, _, body = _received(to).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413")
    told = json.loads(body)
    assert told["reason"] == "too-large"
    assert told["sentence"] == told[language]


def test_a_stream_without_end_is_cut_off(nothing_filed: GatewayNode) -> None:
    address = urlsplit(nothing_filed.url)
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S) as to:
        to.sendall(
            f"POST {ROAD}/check HTTP/1.1\r\nHost: {address.netloc}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(10):  # more than a form may have, and no end
            to.sendall(chunk)
        head = _received(to)
    assert head.startswith(b"HTTP/1.1 413")


def _received(to: socket.socket) -> bytes:
    """What is answered, until its end or that of the connection."""
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        part = to.recv(65_536)
        if not part:
            break
        data += part
    return data


# ---- bookings


@pytest.mark.parametrize("endpoint", ["check", "prepare"])
def test_a_slot_in_the_past(nothing_filed: GatewayNode, endpoint: str) -> None:
    catalogue = read()
    service = catalogue.services["reserve-space"]
    facility = next(one for one in catalogue.bookable(service) if one.gu in ("jongno", "jung", "city"))
    calendar = OfficeCalendar()
    [first, *_] = next(
        slots for day in range(1, 15) if (slots := facility.slots(date(2026, 3, day), calendar))
    )
    values = filled(service, catalogue) | {"facility": facility.id, "people": 1}
    sentences = set()
    for slot, reason in ((slot_text(first.begin), "slot-past"), (slot_text(first.begin + 1), "slot-closed")):
        for language in ("ko", "en"):
            answer = nothing_filed.post_json(
                f"/api/v1/services/reserve-space/{endpoint}",
                {"values": values | {"slot": slot}, "lang": language},
            )
            told = answer.json()
            [fault] = told["faults"] if endpoint == "check" else [told]
            assert fault["reason"] == reason
            sentences.add(fault["sentence"])
    assert len(sentences) == 4


def booking(node: GatewayNode, facility: str, slot: str) -> Submission:
    """A tour for somebody whom the city's attestor knows, made of what the node prepares."""
    service = read().services["heritage-tour"]
    values = filled(service, read()) | {"facility": facility, "slot": slot}
    prepared = node.post_json("/api/v1/services/heritage-tour/prepare", {"values": values})
    assert prepared.status == 200, prepared.body
    made = prepared.json()
    public = {one["name"]: one["value"] for one in made["public"]}
    submission = file_transaction(
        service.transaction_type,
        made["stream"],
        made["minute"],
        public,
        {one["name"]: one["value"] for one in made["private"]},
        Signer.from_seed(b"p" * 32),
        [bytes.fromhex(key) for key in made["offices"]],
        Secrets(os.urandom(32), os.urandom(32), os.urandom(32)),
    )
    device, attestor = Signer.from_seed(b"d" * 32), node.city.signer("attestor")
    purpose, until = purpose_of(service, public), made["minute"] + 60
    claim = sign_claim(attestor, purpose, b"p" * 32, device.public, "jongno", until)
    return replace(submission, papers=(Paper("claim", show(claim, device, submission.filing).to_bytes()),))


def test_overlapping_bookings(node: GatewayNode) -> None:
    slot = f"{day_of(int(time.time()) // 60) + timedelta(days=5)}T10:00"
    first = node.ask("POST", "/civic/file", booking(node, "city-walk-gyeongbokgung", slot).to_bytes())
    assert first.status == 200, first.body
    size = node.size("city")
    second = node.ask("POST", "/civic/file", booking(node, "city-walk-wall", slot).to_bytes())
    told = second.json()
    assert (second.status, told["reason"]) == (409, "slot-overlap")
    assert told["ko"] == "같은 시간에 이미 예약이 있어요."
    assert told["en"] == "You already have a booking at this time."
    assert node.size("city") == size


# ---- who may file, and how often


def test_a_service_that_needs_a_signature_is_not_filed_for_others(nothing_filed: GatewayNode) -> None:
    answer = nothing_filed.post_json("/api/v1/services/reserve-space/requests", {"values": {}})
    assert (answer.status, answer.json()["reason"]) == (403, "gateway-not-here")
    unknown = nothing_filed.post_json("/api/v1/services/nothing/check", {"values": {}})
    assert (unknown.status, unknown.json()["reason"]) == (404, "service-unknown")


@pytest.mark.parametrize("key", ["short", "with a space in the middle", "ü" * 20, "x" * 201])
def test_an_idempotency_key_is_long_enough_to_be_nobody_elses(nothing_filed: GatewayNode, key: str) -> None:
    answer = nothing_filed.post_json(
        f"{ROAD}/requests", {"values": VALUES}, {"Idempotency-Key": key.encode().decode("latin-1")}
    )
    assert (answer.status, answer.json()["reason"]) == (400, "idempotency-key")
