"""The official's desk as HTML that any node serves: an office's queue by deadline, a case, and where keys are given.

    /{lang}/desk                     the offices, and the keys of this browser
    /{lang}/desk/<stream>            an office's queue, filters and search; its statistics
    /{lang}/desk/<stream>/<entry>    one case: what is public here; what is sealed, and acts, by the page's script

What a node puts on these pages everybody may read: the queue is made of the public log. Keys come into the browser from
files and stay there; the script asks for what is sealed with a signature, opens it there, and files what an official
does as `p2pworld desk` does. Without a script the queue can be read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.routing import Route

from p2pworld.errors import LocalError
from p2pworld.services.case_rows import OFFICES
from p2pworld.services.templates import due_words
from p2pworld.services.words import ACTION_WORDS, STATE_WORDS
from p2pworld.services.workflow import Action, State
from p2pworld.services.working_time import day_of
from p2pworld.world.text import neat
from shard_node.services.documents import case_document, page_document
from shard_node.services.queries import Asked
from shard_node.storage.journal import StorageFailed
from shard_node.web.desk import ENTRY, letter_words
from shard_node.web.desk_words import DESK_WORDS, SCRIPT_WORDS
from shard_node.web.page import BUILT
from shard_node.web.page_speech import Speech
from shard_node.web.page_words import LANGUAGES
from shard_node.web.pages import Assets, Pages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from p2pworld.services.declaration import Service
    from shard_node.services.host import ServiceHost

__all__ = ["desk_page_routes"]

TEXT_MAX: Final = 80
TALLIES_SHOWN: Final = 40  # lines of an office's statistics of a year, the newest months first


def desk_page_routes(host: ServiceHost, folder: Path = BUILT) -> list[Route]:
    """The routes over one node's services; `folder` is that of the built scripts."""
    desk = DeskPages(host, _assets(folder))
    routes = []
    for language in LANGUAGES:
        speech = Speech(language)
        for path, view in (
            ("", desk.offices),
            ("/{stream}", desk.queue),
            ("/{stream}/{entry}", desk.case),
        ):
            routes.append(Route(f"/{language}/desk{path}", desk.shown(view, speech)))
    return routes


def _assets(folder: Path) -> Assets:
    try:
        named = json.loads((folder / "manifest.json").read_text("utf-8"))
    except FileNotFoundError:
        return Assets()
    return Assets(named.get("desk.js", ""), named.get("services.css", ""))


class DeskPages:
    """The views over one node."""

    def __init__(self, host: ServiceHost, assets: Assets) -> None:
        self._host = host
        self._pages = Pages(host, assets)

    def shown(
        self, view: Callable[[Request, Speech], Awaitable[Response]], t: Speech
    ) -> Callable[[Request], Awaitable[Response]]:
        """A view in one language; where the index cannot be read, the page that says so."""

        async def answer(request: Request) -> Response:
            try:
                return await view(request, t)
            except StorageFailed:
                return self._pages.render("missing.html", request, t, "desk", 503, why="wait_index")

        return answer

    def _render(
        self, template: str, request: Request, t: Speech, status: int = 200, **values: Any
    ) -> Response:
        words = {key: t.words_plain(said) for key, said in SCRIPT_WORDS.items()}
        data = {"language": t.language, "words": words, **values.pop("data", {})}
        return self._pages.render(
            template, request, t, "desk", status, d=DESK_WORDS, words=words, data=data, until=_until, **values
        )

    async def offices(self, request: Request, t: Speech) -> Response:
        """Whose desks there are."""
        names = {stream: t.gu_plain(stream) for stream in OFFICES}
        return self._render("desk.html", request, t, offices=OFFICES, data={"offices": names})

    async def queue(self, request: Request, t: Speech) -> Response:
        """What an office has to do, as it was asked for."""
        stream = request.path_params["stream"]
        if stream not in OFFICES:
            return self._pages.missing(request, t)
        query = {name: neat(value)[:TEXT_MAX] for name, value in request.query_params.items()}
        host, minute = self._host, self._host.index.now_minute()
        try:
            page = await host.index.queue(stream, _asked(query))
        except LocalError:  # a mark of another time, or of nobody's
            page = await host.index.queue(stream, _asked(query | {"after": ""}))
        told = page_document(page, minute, host.calendar, t.language)
        this = day_of(minute)
        months = f"{this.year - 1}-{this.month:02}", f"{this.year}-{this.month:02}"
        tallies = [one for one in await host.index.statistics(months) if one.office == stream]
        tallies.sort(key=lambda one: (one.month, one.filed), reverse=True)
        services = host.catalogue.services
        shown = {"state", "service", "text", "overdue", "closed", "assigned"}
        asked = {name: query.get(name, "") for name in shown}
        after = (
            urlencode({**{k: v for k, v in asked.items() if v}, "after": page.after}) if page.after else ""
        )
        return self._render(
            "desk_queue.html",
            request,
            t,
            stream=stream,
            asked=asked,
            states=State,
            state_words=STATE_WORDS,
            counts=told["counts"],
            services=sorted(services.values(), key=lambda one: t.words_plain(one.title)),
            titles={service.id: service.title for service in services.values()},
            cases=told["cases"],
            after=after,
            tallies=tallies[:TALLIES_SHOWN],
            data={"stream": stream, "cases": [_brief(case) for case in told["cases"]]},
        )

    async def case(self, request: Request, t: Speech) -> Response:
        """One case."""
        stream, entry = request.path_params["stream"], request.path_params["entry"]
        host = self._host
        found = await host.index.case(stream, int(entry)) if ENTRY.fullmatch(entry) else None
        if found is None:
            return self._render("desk_case.html", request, t, 404, stream=stream, entry=entry[:20], case=None)
        case = case_document(found, host.index.now_minute(), host.calendar, t.language)
        service = host.catalogue.services.get(case["service"])
        fields = {name: service.form.field(name) for name in case["public"]} if service else {}
        shown = [
            (field.label, t.value(field, case["public"][name], host.catalogue))
            for name, field in fields.items()
            if field
        ]
        actions = [*case["may"]["official"], *case["may"]["decider"]]
        letters = {
            language: letter_words(host.catalogue, found.record, language) for language in ("ko", "en")
        }
        return self._render(
            "desk_case.html",
            request,
            t,
            stream=stream,
            entry=entry,
            case=case,
            title=service.title if service else {"ko": case["service"], "en": case["service"]},
            shown=shown,
            data={
                "case": case,
                "letters": letters,
                "offices": {name: t.gu_plain(name) for name in OFFICES},
                "actions": {name: t.words_plain(_BUTTONS[Action(name)]) for name in actions},
                "labels": _labels(service, t),
                "term": service.deadline.term.amount if service else 0,
                "supplement_days": service.workflow.limits.supplement_days if service else 0,
                "types": list(service.attachments.types) if service and service.attachments else [],
            },
        )


_BUTTONS: Final = {**ACTION_WORDS, Action.REASSIGN: DESK_WORDS["take_it"]}


def _until(due: int) -> dict[str, str]:
    """Until when something is in time, where `due` is the first minute that is too late."""
    return {"ko": due_words(due, True), "en": due_words(due, False)}


def _asked(query: dict[str, str]) -> Asked:
    """What a form of the queue asks for; what is not known is not asked for."""
    states = {state.value: state for state in State}
    state, service, assigned = query.get("state", ""), query.get("service", ""), query.get("assigned", "")
    whose = (
        bytes.fromhex(assigned) if len(assigned) == 64 and not assigned.strip("0123456789abcdef") else None
    )
    return Asked(
        open=None if query.get("closed") or state in states else True,
        states=frozenset({states[state]}) if state in states else frozenset(),
        services=frozenset({service}) if service else frozenset(),
        assigned=whose,
        overdue=True if query.get("overdue") else None,
        text=query.get("text", ""),
        after=query.get("after", ""),
    )


def _brief(case: dict[str, Any]) -> dict[str, Any]:
    """What the script of a queue needs of a case: whose it is, and whether they are away."""
    notes = [
        act
        for act in case["acts"]
        if act["action"] == "note" and act["amount"] and act["by"] == case["assigned"]
    ]
    away = notes[-1]["minute"] + notes[-1]["amount"] * 24 * 60 if notes else None
    kept = ("stream", "entry", "seen", "assigned", "ended")
    return {name: case[name] for name in kept} | {"away_until": away}


def _labels(service: Service | None, t: Speech) -> dict[str, Any]:
    """What the fields of a form are called, their choices, and which of them are files."""
    if service is None:
        return {}
    return {
        field.name: {
            "label": t.words_plain(field.label),
            "choices": {value: t.words_plain(words) for value, words in field.choices.items()},
            "file": field.format == "file",
        }
        for field in service.form.fields
    }
