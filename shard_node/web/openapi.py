"""The interfaces for programs, described: OpenAPI 3.1 for tools, and a page for people, from one table (`api_table`).

    GET /api/v1/openapi.json[?lang=]    the description
    GET /api[?lang=]                    the same as a page, without script

Described are just the routes that this node serves, so what a release does not have yet is not promised.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.routing import Route

import p2pworld
from shard_node.web.api_schemas import SCHEMAS
from shard_node.web.api_table import OPERATIONS, TAGS
from shard_node.web.telling import Json, language_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from p2pworld.world.places import Words
    from shard_node.web.api_table import Answer, Operation

__all__ = ["described", "openapi_routes", "page", "served_by"]

KEPT: Final = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
_HOLE: Final = re.compile(r"\{[^}]*\}")
_TITLE: Final[Words] = {
    "ko": "서울 시민 서비스 인터페이스",
    "en": "Civic services of Seoul: the interface for programs",
}
_ABOUT: Final[Words] = {
    "ko": "서울의 시민 서비스를 프로그램으로 쓰는 방법이에요. 시각은 1970년부터 센 분, 키와 서명은 16진수로 적어요. "
    "거절할 때는 이유 코드와 사람이 읽을 문장을 함께 알려 드려요.",
    "en": "How programs use the civic services of Seoul. Times are minutes since 1970 (UTC), keys and signatures are "
    "hexadecimal. Whatever is declined is told with a code for programs and a sentence for people.",
}
_WORDS: Final[Mapping[str, Words]] = {
    "other": {"ko": "English", "en": "한국어"},
    "contents": {"ko": "차례", "en": "Contents"},
    "parameters": {"ko": "매개변수", "en": "Parameters"},
    "name": {"ko": "이름", "en": "Name"},
    "where": {"ko": "자리", "en": "In"},
    "kind": {"ko": "형식", "en": "Type"},
    "about": {"ko": "설명", "en": "Meaning"},
    "required": {"ko": "필수", "en": "required"},
    "body": {"ko": "보내는 것", "en": "What is sent"},
    "answers": {"ko": "받는 것", "en": "What comes back"},
    "status": {"ko": "상태", "en": "Status"},
    "example": {"ko": "예", "en": "Example"},
    "shapes": {"ko": "자료 형식", "en": "Shapes"},
}


def served_by(routes: Iterable[BaseRoute]) -> frozenset[tuple[str, str]]:
    """Method and path of all these routes, whatever the holes in the paths are called."""
    return frozenset(
        (method.lower(), _HOLE.sub("{}", route.path))
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
    )


def described(served: Collection[tuple[str, str]]) -> tuple[Operation, ...]:
    """The operations of the table that are among these."""
    return tuple(one for one in OPERATIONS if (one.method, _HOLE.sub("{}", one.path)) in served)


def document(operations: Iterable[Operation], language: str) -> dict[str, Any]:
    """The OpenAPI description of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = _operation(one, language)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": _in(_TITLE, language),
            "version": p2pworld.__version__,
            "description": _in(_ABOUT, language),
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": _in(words, language)} for name, words in TAGS.items()],
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS)},
    }


def _in(words: Words, language: str) -> str:
    return words["ko"] if language == "ko" else words["en"]


def _operation(one: Operation, language: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.id,
        "tags": [one.tag],
        "summary": _in(one.title, language),
        "description": _in(one.about, language),
        "responses": {str(answer.status): _answer(answer, language) for answer in one.answers},
    }
    if one.parameters:
        told["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.required,
                "description": _in(parameter.about, language),
                "schema": parameter.schema,
            }
            for parameter in one.parameters
        ]
    if one.body is not None:
        content: dict[str, Any] = {kind: {"schema": schema} for kind, schema in one.body.types.items()}
        if one.body.example is not None:
            next(iter(content.values()))["example"] = one.body.example
        told["requestBody"] = {"required": True, "content": content}
    return told


def _answer(answer: Answer, language: str) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": answer.schema}
    if answer.example is not None:
        content["example"] = answer.example
    return {"description": _in(answer.about, language), "content": {answer.type: content}}


# ---- the page


def page(operations: Iterable[Operation], language: str) -> str:
    """The same for people, as HTML."""
    operations = tuple(operations)
    other = "en" if language == "ko" else "ko"
    parts = [
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(_in(_TITLE, language))}</title>",
        '<link rel="stylesheet" href="/api/page.css"></head><body><header>',
        f"<h1>{escape(_in(_TITLE, language))}</h1><p>{escape(_in(_ABOUT, language))}</p>",
        f'<p><a href="/api?lang={other}" lang="{other}">{_say("other", language)}</a> · ',
        f'<a href="/api/v1/openapi.json?lang={language}">OpenAPI 3.1</a></p></header>',
        f'<nav aria-label="{_say("contents", language)}"><h2>{_say("contents", language)}</h2><ul>',
    ]
    tags = [tag for tag in TAGS if any(one.tag == tag for one in operations)]
    for tag in tags:
        parts.append(f'<li><a href="#{tag}">{escape(_in(TAGS[tag], language))}</a><ul>')
        parts += [
            f'<li><a href="#{one.id}">{escape(_in(one.title, language))}</a></li>'
            for one in operations
            if one.tag == tag
        ]
        parts.append("</ul></li>")
    parts.append(f'<li><a href="#shapes">{_say("shapes", language)}</a></li></ul></nav><main>')
    for tag in tags:
        parts.append(
            f'<section aria-labelledby="{tag}"><h2 id="{tag}">{escape(_in(TAGS[tag], language))}</h2>'
        )
        parts += [_section(one, language) for one in operations if one.tag == tag]
        parts.append("</section>")
    parts.append(f'<section aria-labelledby="shapes"><h2 id="shapes">{_say("shapes", language)}</h2>')
    parts += [
        f'<h3 id="shape-{name}">{name}</h3><p>{escape(str(schema.get("description", "")))}</p>{_code(schema)}'
        for name, schema in SCHEMAS.items()
    ]
    return "".join([*parts, "</section></main></body></html>"])


def _section(one: Operation, language: str) -> str:
    parts = [
        f'<article aria-labelledby="{one.id}"><h3 id="{one.id}">{escape(_in(one.title, language))}</h3>',
        f"<p><code>{one.method.upper()} {escape(one.path)}</code></p><p>{escape(_in(one.about, language))}</p>",
    ]
    if one.parameters:
        head = "".join(
            f'<th scope="col">{_say(name, language)}</th>' for name in ("name", "where", "kind", "about")
        )
        rows = "".join(
            f"<tr><td><code>{escape(parameter.name)}</code></td><td>{parameter.where}"
            f"{' (' + _say('required', language) + ')' if parameter.required else ''}</td>"
            f"<td>{_kind(parameter.schema)}</td><td>{escape(_in(parameter.about, language))}</td></tr>"
            for parameter in one.parameters
        )
        parts.append(
            f"<table><caption>{_say('parameters', language)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )
    if one.body is not None:
        kinds = "".join(
            f"<li><code>{escape(kind)}</code>: {_kind(schema)}</li>"
            for kind, schema in one.body.types.items()
        )
        parts.append(f"<h4>{_say('body', language)}</h4><ul>{kinds}</ul>")
        if one.body.example is not None:
            parts.append(_code(one.body.example))
    rows = "".join(
        f"<tr><td>{answer.status}</td><td>{_kind(answer.schema)}</td>"
        f"<td>{escape(_in(answer.about, language))}</td></tr>"
        for answer in one.answers
    )
    head = "".join(f'<th scope="col">{_say(name, language)}</th>' for name in ("status", "kind", "about"))
    parts.append(
        f"<table><caption>{_say('answers', language)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
    parts += [_code(answer.example) for answer in one.answers if answer.example is not None]
    return "".join([*parts, "</article>"])


def _say(word: str, language: str) -> str:
    return escape(_in(_WORDS[word], language))


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few characters; one with a name of its own is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#shape-{name}">{name}</a>'
    if schema.get("type") == "array":
        return f"[{_kind(schema['items'])}]"
    if "enum" in schema:
        return escape(" | ".join(map(str, schema["enum"])))
    return escape(str(schema.get("type", "")))


def _code(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.25; }
article { border-top: 1px solid; padding-top: .5rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; }
th, td { border: 1px solid; padding: .25rem .5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
pre { overflow: auto; max-height: 24rem; padding: .5rem; border: 1px solid; }
a:focus-visible, pre:focus-visible { outline: 3px solid; outline-offset: 2px; }
"""


def openapi_routes() -> list[Route]:
    """The description, its page and the page's style, of whatever the application serves."""

    async def description(request: Request) -> Response:
        return Json(document(described(served_by(request.app.routes)), _two(request)), headers=KEPT)

    async def readable(request: Request) -> Response:
        shown = page(described(served_by(request.app.routes)), _two(request))
        return Response(shown, media_type="text/html", headers=KEPT)

    async def style(request: Request) -> Response:
        return Response(_STYLE, media_type="text/css", headers=KEPT)

    return [
        Route("/api/v1/openapi.json", description),
        Route("/api", readable),
        Route("/api/page.css", style),
    ]


def _two(request: Request) -> str:
    """The language of the description: it is written in two."""
    return "ko" if language_of(request) == "ko" else "en"
