"""What an official's program is told to write a letter with: the templates that fit a case, and the case's facts.

    GET /api/v1/desk/<stream>/<entry>?lang=ko    {facts, anybody, templates: [{id, title, text, actions}]}

All of it is public: what was sealed with a case never comes here, and the program puts it in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse
from starlette.routing import Route

from p2pworld.services.templates import facts_of
from shard_node.web import asked
from shard_node.web.asked import OPEN, Asking, answering

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.record import Record
    from shard_node.services.host import ServiceHost

__all__ = ["ENTRY", "desk_routes", "letter_words"]

ENTRY: Final = re.compile(r"0|[1-9][0-9]{0,14}")
_ANYBODY: Final = {"ko": "신청인", "en": "applicant"}  # where the form asks for no name


def desk_routes(host: ServiceHost) -> list[Route]:
    """The routes over one node's services."""

    @answering
    async def letters(request: Request) -> Response:
        stream, entry = request.path_params["stream"], request.path_params["entry"]
        found = await host.index.case(stream, int(entry)) if ENTRY.fullmatch(entry) else None
        if found is None:
            raise Asking("case-unknown")
        language = "ko" if asked.language(request) == "ko" else "en"
        return JSONResponse(letter_words(host.catalogue, found.record, language), headers=OPEN)

    return [Route("/api/v1/desk/{stream}/{entry}", letters)]


def letter_words(catalogue: Catalogue, record: Record, language: str) -> dict[str, Any]:
    """The templates that may be written with an act on this case, and its facts, in Korean or English."""
    opened = record.opened
    service = catalogue.services.get(opened.service)
    facts: Mapping[str, str] = {}
    if service is not None:
        number = f"{opened.stream}/{opened.entry}"
        facts = facts_of(service, number, opened.minute, record.due, record.office, language)
    return {
        "facts": dict(facts),
        "anybody": _ANYBODY[language],
        "templates": [
            {
                "id": template.id,
                "title": template.title[language],
                "text": template.text[language],
                "actions": sorted(action.value for action in template.actions),
            }
            for template in catalogue.templates.values()
            if not template.services or opened.service in template.services
        ],
    }
