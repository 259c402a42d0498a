"""Every service that is declared, from its form to an end, at a real node: what people fill in, what officials do.

In Korean each goes its usual course, with a supplement on the way where there can be one; in English it ends otherwise,
where it can. All is said in both languages. What is looked at is the case as the node shows it to programs. Everything
is filed on the Thursday before Seollal of 2026, for which the deadlines were counted by hand.
"""

from __future__ import annotations

import re
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from p2pworld.services.deadlines import NEVER
from p2pworld.services.reasons import FIELD_REASONS
from p2pworld.services.record import Acted
from p2pworld.services.workflow import Action, State, Who
from p2pworld.services.working_time import day_of, minute_at, seoul_text
from shard_node.cli import main
from shard_node.services.folder import read
from tests.services.drawing import Drawing
from tests.services.town import running_town
from tests.services.walks import next_step, other_end, way, wish
from tests.shard_node.test_city_of_processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pworld.services.deadlines import Term
    from p2pworld.services.declaration import Service
    from p2pworld.services.record import Record
    from tests.services.town import Filed, Told, Town
    from tests.services.walks import Wish

CITY: Final = read()
LANGUAGES: Final = ("ko", "en")
THURSDAY: Final = minute_at(date(2026, 2, 12), 10 * 60)
ASKED_DAYS: Final = 7
STEPS_MAX: Final = 12
HANGUL: Final = re.compile("[가-힣]")
WALKS: Final = [
    pytest.param(service, language, id=f"{service.id}-{language}")
    for service in sorted(CITY.services.values(), key=lambda one: (one.places is not None, one.id))
    for language in LANGUAGES
]

# until when, for what is filed on Thursday 12 February 2026 at ten; 16 to 18 February are Seollal, 1 March is a Sunday
# and a holiday, so that Monday the 2nd is its substitute; and the same if on that Thursday a supplement was awaited
DUE: Final = {
    ("hours", 1, False): ("2026-02-12 11:00", "2026-02-12 11:00"),
    # 10-12, 13-18 are seven hours of Thursday; Friday has eight, then comes Thursday the 19th
    ("working-hours", 1, False): ("2026-02-12 11:00", "2026-02-12 11:00"),
    ("working-hours", 3, False): ("2026-02-12 14:00", "2026-02-12 14:00"),
    ("working-hours", 4, False): ("2026-02-12 15:00", "2026-02-12 15:00"),
    ("working-hours", 8, False): ("2026-02-13 10:00", "2026-02-13 10:00"),
    ("working-hours", 16, False): ("2026-02-19 10:00", "2026-02-19 10:00"),
    ("working-hours", 24, False): ("2026-02-20 10:00", "2026-02-20 10:00"),
    ("working-hours", 40, False): ("2026-02-24 10:00", "2026-02-24 10:00"),
    # 12 13 / 19 20 / 23 24 25 26 27 / 3 4 5 6 / 9 10 11 12 13 / 16 17
    ("working-days", 7, True): ("2026-02-26 00:00", "2026-02-27 00:00"),
    ("working-days", 10, True): ("2026-03-04 00:00", "2026-03-05 00:00"),
    ("working-days", 14, True): ("2026-03-10 00:00", "2026-03-11 00:00"),
    ("working-days", 20, True): ("2026-03-18 00:00", "2026-03-19 00:00"),
    # the tenth is Sunday the 22nd, so Monday; a day later it is that Monday
    ("days", 10, False): ("2026-02-24 00:00", "2026-02-24 00:00"),
    # Saturday 14 March, or Sunday: Monday the 16th
    ("days", 30, False): ("2026-03-17 00:00", "2026-03-17 00:00"),
    # Sunday 29 March, or Monday
    ("days", 45, False): ("2026-03-31 00:00", "2026-03-31 00:00"),
    # Monday 13 April, or Tuesday
    ("days", 60, False): ("2026-04-14 00:00", "2026-04-15 00:00"),
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    streams = {wish(service, CITY, "ko", THURSDAY).stream for service in CITY.services.values()}
    with running_town(tmp_path_factory.mktemp("walk") / "town", streams, THURSDAY) as running:
        yield running


def term_of(service: Service, wanted: Wish) -> tuple[str, int, bool]:
    term: Term = service.deadline.of(wanted.values)
    return term.count.value, term.amount, term.first_day


def due_text(record: Record) -> str:
    assert record.due is not None, "a service that is declared has a term"
    return seoul_text(record.due)


@pytest.fixture(scope="module")
def walked() -> list[tuple[Filed, Record]]:
    """What came of each that was walked."""
    return []


@pytest.mark.parametrize(("service", "language"), WALKS)
def test_from_its_form_to_its_end(
    town: Town, walked: list[tuple[Filed, Record]], service: Service, language: str
) -> None:
    number = [walk.id for walk in WALKS].index(f"{service.id}-{language}")
    wanted = wish(service, CITY, language, town.minute)
    town.wait_until(wanted.minute)
    drawing = None
    if wanted.offer is not None and wanted.offer.rules.draw_days:
        drawing = Drawing(town, wanted.stream, wanted.offer)
        drawing.open()
    filed = town.file(service, wanted.values, wanted.stream, number=number, gu=wanted.gu)
    record = town.record(filed, service)
    on_thursday = town.minute == THURSDAY
    term = term_of(service, wanted)
    if on_thursday:
        assert due_text(record) == DUE[term][0]
    end = service.workflow.steps[-1] if language == "ko" else other_end(service.workflow)
    asks = language == "ko"
    for _ in range(STEPS_MAX):
        state = record.state
        if state is None or state is end:
            break
        if asks and can_be_asked(service, state, end):
            asks = False
            record = supplemented(town, service, filed)
            assert not on_thursday or due_text(record) == DUE[term][1]
            continue
        if drawing is not None and state is State.DRAW_PENDING and end is not State.CANCELLED:
            drawing.draw()
            record = town.record(filed, service)
            continue
        action, who = next_step(service.workflow, state, end)
        if action in (Action.USE, Action.MISS, Action.COMPLETE) and wanted.offer is not None:
            town.wait_until(max(town.minute, wanted.offer.slot.begin))
        done(town.act(filed, action, who, role=role_of(service, who), text=words(action, language)))
        record = town.record(filed, service)
    if Action.RATE in service.workflow.actions(end, Who.CITIZEN):
        done(town.act(filed, Action.RATE, Who.CITIZEN, amount=5))
        record = town.record(filed, service)
        assert record.case is not None
        assert record.case.rating == 5
    assert record.state is end, [(one.deed.action, one.state, one.refused) for one in record.acts]
    assert record.ended
    assert not record.overdue(town.minute)
    assert not [one for one in record.acts if isinstance(one.deed, Acted) and one.refused]
    walked.append((filed, record))


def test_the_node_shows_each_case_as_the_log_has_it(town: Town, walked: list[tuple[Filed, Record]]) -> None:
    if not walked:
        pytest.skip("nothing was walked")
    node = town.city.nodes[0]
    for filed, record in walked:
        path, found = f"/api/v1/cases/{filed.stream}/{filed.entry}", dict[str, Any]()

        def caught_up(path: str, acts: int, found: dict[str, Any]) -> bool:
            found.update(node.ask_json(path))
            return len(found.get("acts", ())) == acts

        wait_until(partial(caught_up, path, len(record.acts), found), 30.0, partial(str, found))
        assert found["state"] == (record.state and record.state.value)
        assert found["due"] == (None if record.due == NEVER else record.due)
        assert found["ended"]
        assert [(act["action"], act["who"], act["minute"]) for act in found["acts"]] == [
            (one.deed.action.value, one.who.value, one.deed.minute) for one in record.acts
        ]
        assert found["public"] == dict(record.opened.public)
        assert found["seen"] == record.seen


def can_be_asked(service: Service, state: State, end: State) -> bool:
    back = way(service.workflow, State.SUPPLEMENT_REQUESTED, end)
    return bool(back) and Action.ASK in service.workflow.actions(state, Who.OFFICIAL)


def supplemented(town: Town, service: Service, filed: Filed) -> Record:
    """Something is asked for, and added at once; meanwhile nothing is due."""
    role = role_of(service, Who.OFFICIAL)
    asks = words(Action.ASK, "ko")
    done(town.act(filed, Action.ASK, Who.OFFICIAL, role=role, amount=ASKED_DAYS, text=asks))
    record = town.record(filed, service)
    assert record.state is State.SUPPLEMENT_REQUESTED
    assert record.due == NEVER
    done(town.act(filed, Action.SUPPLEMENT, Who.CITIZEN, text=words(Action.SUPPLEMENT, "ko")))
    return town.record(filed, service)


def done(told: Told) -> None:
    assert told.index >= 0, told


def role_of(service: Service, who: Who) -> str:
    return service.office.decides if who is Who.DECIDER else service.office.handles


def words(action: Action, language: str) -> str:
    said = {
        "ko": "확인했습니다. 자세한 내용은 붙임을 봐 주세요.",
        "en": "Seen; please read what is attached.",
    }
    written = {Action.ASK, Action.SUPPLEMENT, Action.COMPLETE, Action.REFUSE, Action.RETURN, Action.DECLINE}
    return said[language] if action in written else ""


def test_the_rows_beside_all_logs_are_what_their_leaves_make_of_them(town: Town) -> None:
    said = CliRunner().invoke(main, ["civic", "fsck", "--config", str(town.city.nodes[0].config)])
    assert said.exit_code == 0, said.output


@pytest.mark.parametrize(("service", "language"), WALKS)
def test_all_that_is_read_is_in_that_language(town: Town, service: Service, language: str) -> None:
    told = town.city.nodes[0].ask_json(f"/api/v1/services/{service.id}?{urlencode({'lang': language})}")
    form, flow = told["form"], told["workflow"]
    texts = [told["title"], told["about"], told["eligible_text"], told["fee"], told["office"]["unit"]]
    texts += [told["privacy"]["why"], told["privacy"]["notice"], told["deadline"]["note"]]
    texts += [*flow["states"].values(), *flow["actions"].values()]
    for field in form["properties"].values():
        texts += [field["title"], field.get("description", "")]
        choices = field.get("oneOf") or field.get("items", {}).get("oneOf") or []
        texts += [choice["title"] for choice in choices]
    for text in filter(None, texts):
        if language == "en":
            assert not HANGUL.search(text), text
        else:
            assert HANGUL.search(text) or not re.search(r"[a-z]{4}", text), text
    assert set(flow["states"]) == {state.value for state in service.workflow.states}
    _, faults = service.check({}, day_of(THURSDAY), {})
    assert {fault.field for fault in faults} == set(form["required"])
    for fault in faults:
        assert bool(HANGUL.search(fault.sentence(language))) == (
            language == "ko" or bool(HANGUL.search(fault.label["en"]))
        )
    assert {fault.code for fault in faults} <= set(FIELD_REASONS)
