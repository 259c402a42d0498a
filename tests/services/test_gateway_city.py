"""A real node as a gateway: what is filed for people who cannot sign, by JSON, forms and Open311, and how it ends."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from georeport import GeoReport

from p2pworld.civic.transaction import (
    Field,
    Filing,
    Paper,
    Secrets,
    Submission,
    file_transaction,
    verify_filing,
)
from p2pworld.civic.via import signed_by_gateway
from p2pworld.crypto.keys import Signer
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields
from p2pworld.services.sealed_files import opened, sealed_file
from shard_node.services.folder import read
from tests.patience import PATIENCE_S
from tests.services.gateway_node import HERE, REPORT, ROAD, VALUES, multipart
from tests.services.samples import filled
from tests.services.test_attachments import png
from tests.shard_node.test_city_of_processes import wait_until

if TYPE_CHECKING:
    from tests.services.gateway_node import Answered, GatewayNode

WITHIN_S = PATIENCE_S  # what is dropped into the folder of a running node is usable


def file(node: GatewayNode, key: str, values: dict[str, Any] = VALUES) -> Any:
    answer = node.post_json(f"{ROAD}/requests", {"values": values}, {"Idempotency-Key": key})
    assert answer.status == 201, answer.body
    return answer.json()


# ---- filing


def test_a_request_is_filed_once_for_each_key_and_signed_by_the_gateway(node: GatewayNode) -> None:
    first = file(node, "a-key-that-is-nobody-elses")
    assert first["stream"] == "jongno"
    leaf = node.leaf(first["stream"], first["entry"])
    assert leaf.filing.via == node.key
    assert leaf.filing.key.hex() == first["key"]
    assert [field.name for field in leaf.filing.public] == ["kind", "danger", "gateway"]
    assert signed_by_gateway(leaf.filing)
    assert verify_filing(leaf.filing, leaf.sig)
    size = node.size("jongno")
    assert file(node, "a-key-that-is-nobody-elses") == first
    assert node.size("jongno") == size
    assert file(node, "another-key-of-somebody")["entry"] != first["entry"]


def test_the_office_reads_the_form_and_nothing_else_is_public(node: GatewayNode) -> None:
    filed = file(node, "to-be-read-by-the-office")
    private = node.opened(filed["stream"], filed["entry"])
    told = {field.name: field.value for field in private.fields}
    assert set(told) == {"place", "phone", "reply-key"}
    assert (told["place"], told["phone"]) == (HERE, "010-1234-5678")
    assert private.identity.hex() not in (filed["key"], node.key.hex())


def test_another_request_under_the_same_key_is_refused(node: GatewayNode) -> None:
    file(node, "one-key-for-two-requests")
    other = node.post_json(
        f"{ROAD}/requests",
        {"values": VALUES | {"danger": "low"}, "lang": "en"},
        {"Idempotency-Key": "one-key-for-two-requests"},
    )
    assert (other.status, other.json()["reason"]) == (422, "idempotency-reused")
    assert "new one" in other.json()["sentence"]


def test_who_sends_no_key_is_given_one_to_follow_the_request_by(node: GatewayNode) -> None:
    filed = node.post_json(f"{ROAD}/requests", {"values": VALUES}).json()
    followed = node.ask("GET", f"{ROAD}/requests", headers={"Idempotency-Key": filed["follow"]})
    assert followed.json()["entry"] == filed["entry"]
    unknown = node.ask("GET", f"{ROAD}/requests", headers={"Idempotency-Key": "never-seen-before-here"})
    assert (unknown.status, unknown.json()["reason"]) == (404, "case-unknown")
    none = node.ask("GET", f"{ROAD}/requests")
    assert (none.status, none.json()["reason"]) == (400, "idempotency-key")


def page_of(answer: Answered) -> str:
    assert answer.headers["content-type"].startswith("text/html")
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    return answer.body.decode()


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_page_without_script_files_a_form_and_follows_it(node: GatewayNode, language: str) -> None:
    """As the form of a page comes: multipart, its language beside the fields, an empty field for files."""
    key = f"hidden-in-the-page-{language}"
    parts: list[tuple[str, str | None, bytes]] = [
        *((name, None, str(value).encode()) for name, value in VALUES.items()),
        ("lang", None, language.encode()),
        ("idempotency-key", None, key.encode()),
        ("size_cm", None, b""),
        ("photos", "", b""),
    ]
    body, said = multipart(parts)
    answer = node.ask("POST", f"{ROAD}/requests", body, said | {"Accept": "text/html"})
    assert answer.status == 201, answer.body
    page = page_of(answer)
    number = re.search(r"jongno/[0-9]+", page)
    assert number is not None
    assert key in page
    again = node.ask("POST", f"{ROAD}/requests", body, said | {"Accept": "text/html"})
    assert number[0] in page_of(again)
    form = node.get(f"/{language}/follow")
    assert (form.status, 'name="code"' in page_of(form)) == (200, True)
    shown = node.post_form(f"/{language}/follow", [("code", key)])
    assert shown.status == 200
    assert number[0] in page_of(shown)
    assert key not in " ".join(shown.headers.values())
    assert 'value="withdraw"' in page_of(shown)
    done = node.post_form(f"/{language}/follow", [("code", key), ("action", "withdraw")])
    assert done.status == 200
    assert 'value="withdraw"' not in page_of(done)
    stranger = node.post_form(f"/{language}/follow", [("code", "nobody-has-this-code")])
    assert (stranger.status, number[0] in page_of(stranger)) == (404, False)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_page_without_script_is_told_what_is_wrong_as_a_page(
    nothing_filed: GatewayNode, language: str
) -> None:
    markup = "<script>alert(1)</script>"
    body, said = multipart(
        [("kind", None, b"volcano"), (markup, None, b"1"), ("lang", None, language.encode())]
    )
    answer = nothing_filed.ask("POST", f"{ROAD}/requests", body, said | {"Accept": "text/html"})
    assert answer.status == 422
    page = page_of(answer)
    assert f'<html lang="{language}">' in page
    assert markup not in page
    assert {"ko": "목록에서 골라 주세요", "en": "choose one of the list"}[language] in page
    bomb, said = multipart([("photos", "a.jpg", b"\xff\xd8\xff" + bytes(11 << 20))])
    answer = nothing_filed.ask(
        "POST", f"{ROAD}/requests?lang={language}", bomb, said | {"Accept": "text/html"}
    )
    assert answer.status == 413
    assert "10" in page_of(answer)


def test_the_store_of_the_gateway_has_nothing_to_read(node: GatewayNode) -> None:
    file(node, "a-key-that-is-not-written-down", VALUES | {"phone": "02-987-6543"})
    kept = b"".join(path.read_bytes() for path in node.folder.rglob("gateway.sqlite*"))
    assert kept
    for secret in (b"a-key-that-is-not-written-down", b"02-987-6543", HERE.encode()):
        assert secret not in kept


def test_a_photo_is_filed_with_the_form_and_only_the_office_opens_it(node: GatewayNode) -> None:
    photo = png(64, 48)
    parts: list[tuple[str, str | None, bytes]] = [
        *((name, None, str(value).encode()) for name, value in VALUES.items()),
        ("lang", None, b"en"),
        ("photos", "사진.png", photo),
        ("photos", "", b""),
    ]
    body, said = multipart(parts)
    answer = node.ask("POST", f"{ROAD}/requests", body, said | {"Idempotency-Key": "a-photo-of-the-road"})
    assert answer.status == 201, answer.body
    stream, entry = answer.json()["stream"], answer.json()["entry"]
    told = {one.name: one.value for one in node.opened(stream, entry).fields}
    digest = hashlib.sha256(photo).digest()
    assert json.loads(told["photos"]) == [digest.hex()]
    blob_key = node.blob_key(stream, entry)
    name, _, locked = sealed_file(stream, blob_key, photo)
    kept = node.get(f"/civic/attachment/{stream}/{name.hex()}")
    assert kept.status == 200, kept.body
    assert kept.body == locked
    assert opened(blob_key, digest, kept.body) == photo
    again = node.ask("POST", f"{ROAD}/requests", body, said | {"Idempotency-Key": "a-photo-of-the-road"})
    assert again.json()["entry"] == entry


# ---- Open311


@pytest.mark.parametrize("format_", ["json", "xml"])
def test_an_independent_client_files_and_follows_a_request(node: GatewayNode, format_: str) -> None:
    client = GeoReport(f"{node.url}/open311/v2", jurisdiction="seoul", output_format=format_)
    codes = [service["service_code"] for service in client.get_service_list()]
    assert "road-damage" in codes
    asked = client.get_service_definition("road-damage")["attributes"]
    asked = asked["attribute"] if format_ == "xml" else asked
    assert {one["code"] for one in asked if str(one["required"]).lower() == "true"} == {"kind", "danger"}
    answer = node.post_form(f"/open311/v2/requests.{format_}", REPORT)
    assert answer.status == 201, answer.body
    if format_ == "json":
        [made] = answer.json()
        number = str(made["service_request_id"])
    else:
        number = ET.fromstring(answer.body).findtext("request/service_request_id") or ""
    assert isinstance(number, str)
    told = client.get_service_request(number)
    assert (told["service_request_id"], told["status"], told["service_code"]) == (
        number,
        "open",
        "road-damage",
    )
    assert told["description"] is None
    assert told["expected_datetime"] > told["requested_datetime"]
    listed = client.get_service_requests(service_code="road-damage", status="open")
    listed = listed if isinstance(listed, list) else [listed]
    assert number in [one["service_request_id"] for one in listed]
    stream, _, entry = number.rpartition("-")
    private = {field.name: field.value for field in node.opened(stream, int(entry)).fields}
    assert private["note"] == "횡단보도 앞이 깊게 패였어요"


@pytest.mark.parametrize("format_", ["json", "xml"])
def test_discovery_tells_where_the_interface_is(node: GatewayNode, format_: str) -> None:
    answer = node.get(f"/open311/discovery.{format_}")
    assert (
        answer.headers["content-type"]
        == f"{'application' if format_ == 'json' else 'text'}/{format_}; charset=utf-8"
    )
    if format_ == "json":
        [endpoint] = answer.json()["endpoints"]
        assert endpoint["formats"] == ["text/xml", "application/json"]
    else:
        root = ET.fromstring(answer.body)
        assert [one.text for one in root.findall("endpoints/endpoint/formats/format")] == [
            "text/xml",
            "application/json",
        ]
        endpoint = {one.tag: one.text for one in root.findall("endpoints/endpoint/*")}
    assert endpoint["url"] == f"{node.url}/open311/v2"
    assert endpoint["specification"] == "http://wiki.open311.org/GeoReport_v2"


def test_requests_are_chosen_by_number_code_time_and_state(node: GatewayNode) -> None:
    numbers = [
        node.post_form("/open311/v2/requests.json", REPORT).json()[0]["service_request_id"] for _ in range(2)
    ]

    def chosen(**query: str) -> list[str]:
        answer = node.get("/open311/v2/requests.json", **query)
        assert answer.status == 200, answer.body
        return [one["service_request_id"] for one in answer.json()]

    assert chosen(service_request_id=",".join((*numbers, "jongno-999999", "nothing"))) == numbers
    assert chosen(service_request_id=numbers[0], status="closed") == numbers[:1]  # it overrides all else
    assert set(numbers) <= set(chosen(status="open,closed", service_code="road-damage,streetlight"))
    assert not set(numbers) & set(chosen(status="closed"))
    assert not set(numbers) & set(chosen(service_code="streetlight"))
    day = node.get("/open311/v2/requests.json").json()[0]["requested_datetime"]
    assert set(numbers) <= set(chosen(start_date=day))
    assert not set(numbers) & set(chosen(end_date="2026-01-01T00:00:00Z"))
    assert set(numbers) <= set(chosen(end_date=day))
    assert (
        node.get(f"/open311/v2/requests/{numbers[0]}.json", lang="en").json()[0]["address"]
        == "Jongno-gu, Seoul"
    )


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/open311/v2/services.json?jurisdiction_id=busan", 404, "jurisdiction-unknown"),
        ("/open311/v2/services/nothing.json", 404, "service-code-unknown"),
        ("/open311/v2/services.html", 404, "not-found"),
        ("/open311/v2/requests/jongno-999999.json", 404, "request-unknown"),
        ("/open311/v2/requests/%27%20OR%201=1--.json", 404, "request-unknown"),
        ("/open311/v2/tokens/1234.json", 404, "token-unknown"),
        (f"/open311/v2/tokens/{'0' * 64}.json", 404, "token-unknown"),
        ("/open311/v2/requests.json?status=broken", 400, "status-unknown"),
        ("/open311/v2/requests.json?start_date=yesterday", 400, "time-invalid"),
        (
            "/open311/v2/requests.json?start_date=2026-01-01T00:00:00Z&end_date=2026-06-01T00:00:00Z",
            400,
            "time-span",
        ),
        (
            "/open311/v2/requests.json?start_date=2026-02-01T00:00:00Z&end_date=2026-01-01T00:00:00Z",
            400,
            "time-span",
        ),
        (f"/open311/v2/requests.json?service_request_id={','.join(['a-1'] * 101)}", 400, "too-many-ids"),
    ],
)
def test_errors_are_as_the_standard_has_them(node: GatewayNode, path: str, status: int, reason: str) -> None:
    sentences = set()
    for language in ("ko", "en"):
        answer = node.ask("GET", path, headers={"Accept-Language": language})
        # whoever asks for a format that there is not is told in XML, which every server of the standard has
        told = _error(answer) if "html" in path else answer.json()[0]
        assert (answer.status, str(told["code"]), told["reason"]) == (status, str(status), reason)
        sentences.add(told["description"])
        answer = node.ask("GET", path.replace(".json", ".xml"), headers={"Accept-Language": language})
        assert _error(answer) == {"code": str(status), "description": told["description"], "reason": reason}
    assert len(sentences) == 2


def _error(answer: Answered) -> dict[str, str | None]:
    root = ET.fromstring(answer.body)
    assert root.tag == "errors"
    return {one.tag: one.text for one in root.findall("error/*")}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"service_code": None}, ["service-code-missing"]),
        ({"service_code": "nothing"}, ["service-code-unknown"]),
        ({"lat": None}, ["location-half"]),
        ({"lat": None, "long": None}, ["location-missing"]),
        ({"lat": "35.1"}, ["place-outside"]),
        ({"attribute[kind]": "volcano"}, ["choice-unknown"]),
        ({"attribute[danger]": None, "attribute[kind]": None}, ["field-required", "field-required"]),
        ({"attribute[depth]": "3"}, ["field-unknown"]),
        ({"attribute[size_cm]": "very large"}, ["field-invalid"]),
        ({"description": "turns \u202eround"}, ["note-unsupported"]),
        ({"media_url": "file:///etc/passwd"}, ["media-url"]),
        ({"jurisdiction_id": "busan"}, ["jurisdiction-unknown"]),
    ],
)
def test_a_report_that_cannot_be_taken_says_all_that_is_wrong(
    nothing_filed: GatewayNode, changes: dict[str, str | None], reasons: list[str]
) -> None:
    pairs = [(name, value) for name, value in (dict(REPORT) | changes).items() if value is not None]
    for language in ("ko", "en"):
        answer = nothing_filed.post_form(f"/open311/v2/requests.json?lang={language}", pairs)
        missing = reasons[0] in ("service-code-unknown", "jurisdiction-unknown")
        assert answer.status == (404 if missing else 400)
        assert [one["reason"] for one in answer.json()] == reasons
        assert all(one["description"] for one in answer.json())


# ---- for programs that sign themselves


def test_what_is_prepared_can_be_signed_and_filed(node: GatewayNode) -> None:
    made = node.post_json(f"{ROAD}/prepare", {"values": VALUES}).json()
    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    submission = file_transaction(
        read().services[made["type"]].transaction_type,
        made["stream"],
        made["minute"],
        {one["name"]: one["value"] for one in made["public"]},
        {one["name"]: one["value"] for one in made["private"]},
        Signer.from_seed(os.urandom(32)),
        [bytes.fromhex(key) for key in made["offices"]],
        secrets,
    )
    answer = node.ask("POST", "/civic/file", submission.to_bytes())
    assert answer.status == 200, answer.body
    entry = parse_receipt(answer.body).index
    assert node.leaf("jongno", entry).filing.via == b""
    assert {one.name for one in node.opened("jongno", entry).fields} == {"place", "phone"}


# ---- a service that nobody has seen before


def test_a_declaration_that_is_dropped_into_the_folder_is_in_every_interface(node: GatewayNode) -> None:
    text = (
        resources.files("p2pworld.services") / "declared/infrastructure/streetlight-report.toml"
    ).read_text("utf-8")
    text = text.replace('"streetlight-report"', '"tree-report"').replace(
        'code = "streetlight"', 'code = "tree"'
    )
    (node.folder / "declared" / "tree.toml").write_text(text, "utf-8")

    def offered() -> bool:
        codes = [one["service_code"] for one in node.get("/open311/v2/services.json").json()]
        return "tree" in codes

    wait_until(offered, WITHIN_S, lambda: node.city.nodes[0].log_tail())
    service = read().services["streetlight-report"]
    values = {
        name: value
        for name, value in filled(service, read()).items()
        if name in service.form.required and service.form.field(name)
    }
    assert node.post_json("/api/v1/services/tree-report/check", {"values": values}).json()["ok"]
    definition = node.get("/open311/v2/services/tree.json").json()
    assert {one["code"] for one in definition["attributes"] if one["required"]} <= set(values)
    filed = node.post_json("/api/v1/services/tree-report/requests", {"values": values})
    assert filed.status == 201, filed.body
    number = f"{filed.json()['stream']}-{filed.json()['entry']}"
    assert node.get(f"/open311/v2/requests/{number}.json").json()[0]["service_code"] == "tree"


# ---- going on with a request


def official_letter(
    node: GatewayNode, about: Any, seen: int, action: str, amount: int, text: str
) -> Submission:
    """An act of an official with a letter, or without (no text)."""
    key, grant = node.city.official
    actor, stream = Signer.from_text(key.read_text("utf-8")), about["stream"]
    shown = Paper("grants", "\n".join(grant.read_text("utf-8").split()).encode())
    minute = int(time.time()) // 60
    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    own = Signer.from_seed(secrets.seed)
    public = act_fields(CaseAct(stream, about["entry"], seen, action, amount, own.public), actor)
    if not text:
        filing = Filing(
            "case-act", stream, own.public, minute, tuple(Field(*each) for each in public.items())
        )
        return Submission(filing, own.sign(filing.statement()), None, (shown,))
    told = {one.name: one.value for one in node.opened(stream, about["entry"]).fields}
    readers = [node.city.office_key, bytes.fromhex(told["reply-key"])]
    private = {"text": text, "language": "ko"}
    made = file_transaction(
        CASE_TYPES["case-letter"], stream, minute, public, private, actor, readers, secrets
    )
    return replace(made, papers=(shown,))


def test_the_office_asks_and_the_citizen_answers_by_the_gateway(node: GatewayNode) -> None:
    key = "to-be-followed-to-its-end"
    filed = file(node, key)
    for seen, action, amount, text in ((0, "assign", 0, ""), (1, "ask", 7, "어느 차로인가요?")):
        answer = node.ask(
            "POST", "/civic/file", official_letter(node, filed, seen, action, amount, text).to_bytes()
        )
        assert answer.status == 200, answer.body

    def follow() -> Any:
        return node.ask("GET", f"{ROAD}/requests", headers={"Idempotency-Key": key}).json()

    wait_until(lambda: bool(follow()["letters"]), WITHIN_S, lambda: str(follow()))
    followed = follow()
    assert [(one["action"], one["who"], one["text"]) for one in followed["letters"]] == [
        ("ask", "official", "어느 차로인가요?")
    ]
    assert {"supplement", "withdraw"} <= set(followed["may"])
    wish = {"action": "supplement", "text": "가운데 차로예요."}
    done = node.post_json(f"{ROAD}/requests/acts", wish, {"Idempotency-Key": key})
    assert done.status == 201, done.body
    private = node.opened(done.json()["stream"], done.json()["entry"])
    assert {one.name: one.value for one in private.fields}["text"] == "가운데 차로예요."
    case = node.get(f"/api/v1/cases/{filed['stream']}/{filed['entry']}").json()
    assert case["state"] == "in-progress"
    assert [one["text"] for one in follow()["letters"]] == ["어느 차로인가요?", "가운데 차로예요."]
    again = node.post_json(f"{ROAD}/requests/acts?lang=ko", wish, {"Idempotency-Key": key})
    assert (again.status, again.json()["reason"]) == (409, "state-conflict")
    assert again.json()["sentence"] == "지금 단계에서는 할 수 없어요."
    gone = node.post_json(f"{ROAD}/requests/acts", {"action": "withdraw"}, {"Idempotency-Key": key})
    assert gone.status == 201, gone.body
    number = f"{filed['stream']}-{filed['entry']}"
    assert node.get(f"/open311/v2/requests/{number}.json").json()[0]["status"] == "closed"


@pytest.mark.parametrize(
    ("wish", "key", "status", "reason"),
    [
        ({"action": "withdraw"}, "nobody-has-filed-under-this", 404, "case-unknown"),
        ({"action": "fly"}, "a-key-that-is-nobody-elses", 400, "malformed"),
        ({"action": "rate", "amount": -1}, "a-key-that-is-nobody-elses", 400, "malformed"),
        ({"action": "assign"}, "a-key-that-is-nobody-elses", 403, "forbidden"),
        ({"action": "withdraw", "text": "\u202e"}, "a-key-that-is-nobody-elses", 400, "letter-unsupported"),
    ],
)
def test_what_cannot_be_done_with_a_request(
    nothing_filed: GatewayNode, wish: Any, key: str, status: int, reason: str
) -> None:
    sentences = set()
    for language in ("ko", "en"):
        answer = nothing_filed.post_json(
            f"{ROAD}/requests/acts?lang={language}", wish, {"Idempotency-Key": key}
        )
        assert (answer.status, answer.json()["reason"]) == (status, reason)
        sentences.add(answer.json()["sentence"])
    assert len(sentences) == 2
