"""Templates of what an office writes: declared in files in Korean and English, and filled with the facts of a case.

A template is for some actions, of all services or of those it names. In its text a fact stands in braces, such as
`{title}`; which facts there are is said in `FACTS`, and another name is a fault of the file. What is filled in is where
an official begins to write: nothing is sent without being read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.seoul.gu import GU
from p2pworld.services.deadlines import NEVER
from p2pworld.services.form import gu_slug
from p2pworld.services.workflow import Action
from p2pworld.services.working_time import day_of, end_of, seoul_text
from p2pworld.world.places import Words
from p2pworld.world.reading import ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.services.declaration import Service
    from p2pworld.world.reading import Table

__all__ = ["FACTS", "Template", "due_words", "facts_of", "fill", "office_name", "read_template"]

FACTS: Final = (
    "name",  # who filed, as sealed with the filing
    "title",  # of the service
    "number",  # of the case, such as jongno/12
    "filed",  # the day
    "due",  # the day, or until when; as it was before the act
    "office",  # whose desk it is
    "unit",  # and which part of it
    "days",  # the act's amount
)
TEXT_MAX: Final = 2_000  # characters of a template: half a page that a citizen reads
_FACT: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """What may be written with one of `actions`; no `services` means all of them."""

    id: str
    title: Words
    text: Words
    actions: frozenset[Action]
    services: frozenset[str]

    def fits(self, action: Action, service: str) -> bool:
        """Whether it is for this act on a case of this service."""
        return action in self.actions and (not self.services or service in self.services)


def fill(text: str, facts: Mapping[str, str]) -> str:
    """The text with these facts in it; one that is not known stays as it stands, for the official to see."""
    return _FACT.sub(lambda found: facts.get(found[1], found[0]), text)


def facts_of(
    service: Service, case: str, filed: int, due: int | None, office: str, language: str
) -> dict[str, str]:
    """The facts that everybody may know, in Korean or English: of case `case`, filed and due at these minutes, which is
    with the office of this stream."""
    ko = language == "ko"
    return {
        "title": _said(service.title, language),
        "number": case,
        "filed": day_words(filed, ko),
        "due": due_words(due, ko),
        "office": office_name(office, ko),
        "unit": _said(service.office.unit, language),
    }


def _said(words: Words, language: str) -> str:
    return words.get(language, words["en"])


def day_words(minute: int, ko: bool) -> str:
    """The day that a minute lies in, as a letter has it."""
    day = day_of(minute)
    return f"{day.year}년 {day.month}월 {day.day}일" if ko else f"{day.day} {day:%B %Y}"


def due_words(due: int | None, ko: bool) -> str:
    """Until when something is in time, where `due` is the first minute that is too late."""
    if due is None or due >= NEVER:
        return "기한이 다시 정해질 때" if ko else "a date that is set once we have heard from you"
    day = day_words(due - 1, ko)
    if end_of(day_of(due - 1)) == due:
        return day
    clock = seoul_text(due)[-5:]
    return f"{day} {clock}" if ko else f"{clock} on {day}"


def office_name(stream: str, ko: bool) -> str:
    """What the office of a stream is called."""
    gu = _GU.get(stream)
    if gu is None:
        return "서울특별시청" if ko else "Seoul City Hall"
    return f"{gu.name_ko}청" if ko else f"{gu.name_en} Office"


_GU: Final = {gu_slug(gu.name_en): gu for gu in GU}


def read_template(table: Table) -> Template:
    """The template that a table declares.

    Raises:
        Wrong: it is none.
    """
    identity = table.text("id")
    if not ID.fullmatch(identity):
        raise table.wrong(
            "id", f"{identity!r}: use 1 to 40 small letters, digits and hyphens, a letter first."
        )
    known = {action.value for action in Action}
    actions = table.texts("actions", (), ID, '"complete"')
    for name in actions:
        if name not in known:
            raise table.wrong("actions", f"{name!r} is no action: `docs/workflows.md` has them all.")
    if not actions:
        raise table.wrong("actions", "is missing: say with which actions this may be written.")
    template = Template(
        identity,
        table.words("title"),
        table.words("text", most=TEXT_MAX),
        frozenset(map(Action, actions)),
        frozenset(table.texts("services", (), ID, '"road-damage-report"')),
    )
    for language, text in template.text.items():
        for name in _FACT.findall(text):
            if name not in FACTS:
                raise table.wrong(
                    f"text.{language}", f"{{{name}}} is no fact of a case: use one of {', '.join(FACTS)}."
                )
    table.done()
    return template
