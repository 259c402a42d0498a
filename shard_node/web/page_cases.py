"""From what the public record says of requests to what a page shows of them: one case, and the tables of statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shard_node.services.documents import case_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from markupsafe import Markup

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.working_time import OfficeCalendar
    from shard_node.services.queries import Tally
    from shard_node.services.tables import Found
    from shard_node.web.page_speech import Speech

__all__ = ["Figures", "case_shown", "tables_shown"]


def case_shown(
    found: Found, catalogue: Catalogue, t: Speech, minute: int, calendar: OfficeCalendar
) -> dict[str, Any]:
    """A case as a template wants it; a service that is declared no more is called by its id."""
    case = case_document(found, minute, calendar, t.language)
    service = catalogue.services.get(case["service"])
    return {
        "case": case,
        "service": service,
        "title": service.title if service else {t.language: case["service"]},
        "shown": [
            (one.label, t.value(one, value, catalogue))
            for name, value in case["public"].items()
            if service and value and (one := service.form.field(name))
        ],
    }


class Figures(NamedTuple):
    """One line of a table: requests filed, answered in time, late, and those in whose time it is."""

    filed: int = 0
    kept: int = 0
    missed: int = 0
    open: int = 0

    def with_tally(self, tally: Tally) -> Figures:
        """These and those of a line of the index."""
        return Figures(
            self.filed + tally.filed,
            self.kept + tally.kept,
            self.missed + tally.missed,
            self.open + tally.open,
        )


def tables_shown(
    tallies: Iterable[Tally], catalogue: Catalogue, t: Speech
) -> list[tuple[str, str, list[tuple[Markup | str, Figures]]]]:
    """The tables by service, office and month: the phrase of each, that of its first column, and its lines."""
    tallies = tuple(tallies)
    if not tallies:
        return []

    def service(tally: Tally) -> Markup | str:
        declared = catalogue.services.get(tally.service)
        return t.words(declared.title) if declared else tally.service

    return [
        ("by_service", "service", _grouped(tallies, service)),
        ("by_office", "office", _grouped(tallies, lambda tally: t.gu(tally.office))),
        ("by_month", "month", sorted(_grouped(tallies, lambda tally: tally.month), reverse=True, key=_name)),
    ]


def _name(line: tuple[Markup | str, Figures]) -> str:
    return str(line[0])


def _grouped(
    tallies: Iterable[Tally], name: Callable[[Tally], Markup | str]
) -> list[tuple[Markup | str, Figures]]:
    groups: dict[Markup | str, Figures] = {}
    for tally in tallies:
        key = name(tally)
        groups[key] = groups.get(key, Figures()).with_tally(tally)
    return sorted(groups.items(), key=lambda group: (-group[1].filed, str(group[0])))
