"""The description of the interfaces: accepted by a validator of other makers, complete, and true of real answers."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from starlette.applications import Starlette

from shard_node.services.routes import service_routes
from shard_node.web.api_schemas import SCHEMAS
from shard_node.web.api_table import OPERATIONS, TAGS
from shard_node.web.civic import civic_routes
from shard_node.web.openapi import described, document, page, served_by
from tests.services.gateway_node import REPORT, ROAD, VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.services.gateway_node import GatewayNode

PREFIXES = (
    *("/api/v1/services", "/api/v1/cases", "/api/v1/queue", "/api/v1/facilities", "/api/v1/changes"),
    *("/api/v1/statistics", "/api/v1/openapi.json", "/civic/", "/open311/"),
)


def schema_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """A schema of the description, in which the others can be found."""
    return Draft202012Validator({**schema, "components": {"schemas": dict(SCHEMAS)}})


# ---- the table


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_validator_of_other_makers_accepts_it(language: str) -> None:
    validate(document(OPERATIONS, language))


def test_a_broken_description_would_not_be_accepted() -> None:
    broken = copy.deepcopy(document(OPERATIONS, "en"))
    broken["paths"]["/api/v1/services/{id}"]["get"]["parameters"] = []
    with pytest.raises(OpenAPIValidationError, match="id"):
        validate(broken)


def test_every_operation_is_named_once_and_told_in_two_languages() -> None:
    names = [one.id for one in OPERATIONS]
    assert len(set(names)) == len(names)
    for one in OPERATIONS:
        assert one.tag in TAGS
        for words in (one.title, one.about, *(answer.about for answer in one.answers)):
            assert words["ko"]
            assert words["en"]
        holes = re.findall(r"\{([^}]*)\}", one.path)
        assert sorted(holes) == sorted(each.name for each in one.parameters if each.where == "path")


def test_examples_are_of_their_schemas() -> None:
    shown = 0
    for one in OPERATIONS:
        bodies = [(next(iter(one.body.types.values())), one.body.example)] if one.body else []
        for schema, example in [*bodies, *((answer.schema, answer.example) for answer in one.answers)]:
            if example is not None:
                schema_of(schema).validate(example)
                shown += 1
    assert shown >= 5


def test_every_reference_leads_somewhere() -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document(OPERATIONS, "en"))))
    assert named <= set(SCHEMAS)


def test_only_what_is_served_is_described() -> None:
    assert described({("get", "/api/v1/services/{}")}) == (
        next(one for one in OPERATIONS if one.id == "getService"),
    )
    assert described(frozenset()) == ()


# ---- a real node


def test_all_routes_of_the_services_are_described(node: GatewayNode) -> None:
    told = node.get("/api/v1/openapi.json", lang="en").json()
    validate(told)
    described_there = {(method, path) for path, methods in told["paths"].items() for method in methods}
    host: Any = _Nothing()
    routes = [*service_routes(host), *civic_routes(host, host, host)]
    served = {
        (method, path)
        for method, path in served_by(routes)
        if path.startswith(PREFIXES) and method not in ("head", "options")
    }
    assert {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path in described_there} == served


class _Nothing:
    """Whatever routes are made of, before anything is asked."""

    def __getattr__(self, name: str) -> _Nothing:
        return self


@pytest.mark.parametrize("language", ["ko", "en"])
def test_real_answers_are_of_the_shapes_that_are_told(node: GatewayNode, language: str) -> None:
    filed = node.post_json(f"{ROAD}/requests", {"values": VALUES}).json()
    report = node.post_form("/open311/v2/requests.json", REPORT).json()
    told = node.get("/api/v1/openapi.json", lang=language).json()
    number = report[0]["service_request_id"]
    holes = {
        "/api/v1/cases": {"stream": filed["stream"], "entry": str(filed["entry"])},
        "/civic": {"stream": filed["stream"], "entry": str(filed["entry"]), "name": "0" * 64},
        "/api/v1/queue": {"stream": "jongno"},
        "/api/v1/services": {"id": "road-damage-report"},
        "/api/v1/facilities": {"id": "jongno-hanok-room"},
        "/open311": {"format": "json", "code": "road-damage", "id": number, "token": "0" * 64},
    }
    checked = set()
    for path, methods in told["paths"].items():
        values = next((each for prefix, each in holes.items() if path.startswith(prefix)), {})
        query = "?lang=" + language + (f"&key={filed['key']}" if path == "/api/v1/cases" else "")
        asked = path.format(**{name: quote(value) for name, value in values.items()}) + query
        for method, operation in methods.items():
            headers = {"Idempotency-Key": filed["follow"]}
            if method == "get":
                answer = node.ask("GET", asked, headers=headers)
            elif method == "put":
                answer = node.ask("PUT", asked, b"locked", {"Content-Type": "application/octet-stream"})
            elif path.endswith(("/check", "/prepare")):
                answer = node.post_json(asked, {"values": VALUES})
            else:
                answer = node.post_json(asked, {"values": {}, "lang": language})
            response = operation["responses"][str(answer.status)]
            [(kind, content)] = response["content"].items()
            assert answer.headers["content-type"].startswith(kind), (asked, answer.headers)
            if kind == "application/json":
                schema_of(content["schema"]).validate(answer.json())
                checked.add(operation["operationId"])
    assert {
        "getCase",
        "casesOfKeys",
        "checkForm",
        "prepareFiling",
        "requestOfKey",
        "open311Request",
        "putAttachment",
        "listOfficials",
    } <= checked


# ---- the page


class _Outline(HTMLParser):
    """What of a page leads where."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.language = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = dict(attributes)
        self.tags.add(tag)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.links += [told["href"] or ""] if tag == "a" else []
        self.language = self.language or told.get("lang") or ""


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_page_says_the_same_without_script(language: str) -> None:
    outline = _Outline()
    outline.feed(page(OPERATIONS, language))
    assert outline.language == language
    assert "script" not in outline.tags
    assert "style" not in outline.tags
    assert len(set(outline.ids)) == len(outline.ids)
    assert {one.id for one in OPERATIONS} <= set(outline.ids)
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)


def test_the_page_and_its_style_are_served(node: GatewayNode) -> None:
    answer = node.get("/api", lang="ko")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "서울 시민 서비스" in answer.body.decode()
    assert node.get("/api/page.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_node_without_routes_describes_nothing() -> None:
    assert document(described(served_by(Starlette().routes)), "en")["paths"] == {}
