"""A real node as a gateway: what is filed for people who cannot sign, by JSON, forms and Open311, and how it ends."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
import requests
from georeport import GeoReport

from p2pworld.civic.transaction import verify_filing
from p2pworld.civic.via import signed_by_gateway
from tests.services.gateway_node import GatewayNode, gateway_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROAD = "/api/v1/services/road-damage-report"
HERE = "37.575900,126.976800"  # Gwanghwamun, in Jongno
VALUES = {"kind": "pothole", "place": HERE, "danger": "high", "phone": "010-1234-5678"}
REPORT = [
    ("service_code", "road-damage"),
    ("lat", "37.5759"),
    ("long", "126.9768"),
    ("attribute[kind]", "pothole"),
    ("attribute[danger]", "high"),
    ("description", "횡단보도 앞이 깊게 패였어요"),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayNode]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with gateway_node(folder) as started:
        yield started
        assert started.city.end() == [], "the node had to be killed"


@pytest.fixture
def nothing_filed(node: GatewayNode) -> Iterator[GatewayNode]:
    """The node, whose logs are as long afterwards as before."""
    before = {stream: node.size(stream) for stream in ("city", "jongno", "jung")}
    yield node
    assert {stream: node.size(stream) for stream in before} == before


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


def test_a_page_without_script_files_a_form_and_is_shown_the_request(node: GatewayNode) -> None:
    pairs = [
        *((name, str(value)) for name, value in VALUES.items()),
        ("idempotency-key", "hidden-in-the-page"),
    ]
    answer = node.post_form(f"{ROAD}/requests?lang=en", pairs, {"Accept": "text/html"})
    assert answer.status == 303
    assert answer.headers["location"].startswith("/en/requests/jongno/")
    again = node.post_form(f"{ROAD}/requests?lang=en", pairs, {"Accept": "text/html"})
    assert again.headers["location"] == answer.headers["location"]


def test_the_store_of_the_gateway_has_nothing_to_read(node: GatewayNode) -> None:
    file(node, "a-key-that-is-not-written-down", VALUES | {"phone": "02-987-6543"})
    kept = b"".join(path.read_bytes() for path in node.folder.rglob("gateway.sqlite*"))
    assert kept
    for secret in (b"a-key-that-is-not-written-down", b"02-987-6543", HERE.encode()):
        assert secret not in kept


# ---- Open311


@pytest.mark.parametrize("format_", ["json", "xml"])
def test_an_independent_client_files_and_follows_a_request(node: GatewayNode, format_: str) -> None:
    client = GeoReport(f"{node.url}/open311/v2", jurisdiction="seoul", output_format=format_)
    codes = [service["service_code"] for service in client.get_service_list()]
    assert "road-damage" in codes
    asked = client.get_service_definition("road-damage")["attributes"]
    asked = asked["attribute"] if format_ == "xml" else asked
    assert {one["code"] for one in asked if str(one["required"]).lower() == "true"} == {"kind", "danger"}
    answer = requests.post(f"{node.url}/open311/v2/requests.{format_}", dict(REPORT), timeout=30)
    assert answer.status_code == 201, answer.text
    if format_ == "json":
        [made] = answer.json()
        number = made["service_request_id"]
    else:
        number = ET.fromstring(answer.content).findtext("request/service_request_id")
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
