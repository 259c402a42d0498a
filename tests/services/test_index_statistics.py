"""Statistics and queues of the index, beside counting by hand in the same leaves."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.services.deadlines import NEVER
from p2pworld.services.workflow import Action, Who
from p2pworld.services.working_time import DAY_MINUTES, day_of
from shard_node.services.book import CaseBook
from shard_node.services.queries import Asked, Reading, Tally
from shard_node.services.tables import connect
from tests.services.published import CHIEF, OFFICIAL, Office
from tests.services.test_index import CALENDAR, CATALOGUE, COMPLAINT
from tests.services.test_record import record_of
from tests.services.test_reservations import TEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from p2pworld.crypto.keys import Signer


def tallied(offices: list[Office], minute: int) -> dict[tuple[str, str, str], list[int]]:
    """Filed, kept, missed, withdrawn, open and standing, from the leaves of all logs, one case after the other."""
    counted: dict[tuple[str, str, str], list[int]] = {}
    for office in offices:
        for entry in office.signers:
            record = record_of(office, entry)
            for term in record.terms:
                month = day_of(term.clock.arrived).isoformat()[:7]
                line = counted.setdefault((record.opened.service, record.office, month), [0] * 6)
                line[0] += 1
                stopped = term.clock.stopped
                if (minute if stopped is None else stopped) >= term.due:
                    line[2] += 1
                elif stopped is None:
                    line[4] += 1
                    line[5] += term.due == NEVER
                else:
                    line[3 if term.ended_by is Who.CITIZEN else 1] += 1
    return counted


def told_of(offices: list[Office], name: str) -> list[tuple[int, str, int]]:
    """Minute, stream and entry of all that happened, the newest first; in the cases of an office, if one is named."""
    found = []
    for office in offices:
        for entry in office.signers:
            record = record_of(office, entry)
            if name in ("", record.office):
                found.append((record.opened.minute, office.stream, entry))
                found += [
                    (shown.deed.minute, office.stream, shown.deed.entry)
                    for shown in record.acts
                    if not shown.refused
                ]
    return sorted(found, reverse=True)


STORIES = st.lists(
    st.tuples(
        st.integers(0, 2),  # of a new case, or of one that is there
        st.sampled_from([*COMPLAINT.workflow.table]).map(lambda at: at[1]),
        st.sampled_from([None, OFFICIAL, CHIEF]),
        st.integers(0, 5),
        st.integers(0, 4 * DAY_MINUTES),
        st.sampled_from([0, 1]),
    ),
    max_size=24,
)
Step = tuple[int, Action, "Signer | None", int, int, int]


@settings(max_examples=40, deadline=None)
@given(STORIES, st.integers(0, 60 * DAY_MINUTES))
def test_statistics_and_queues_are_what_counting_by_hand_says(story: list[Step], later: int) -> None:
    offices = [Office("city", TEN), Office("jongno", TEN)]
    for which, action, by, amount, wait, where in story:
        office = offices[where]
        office.minute += wait
        entries = list(office.signers)
        if which == 0 or not entries:
            office.file(COMPLAINT, {})
        else:
            entry = entries[which % len(entries)]
            office.act(entry, record_of(office, entry).seen, action, by, amount)
    now = TEN + later
    book = CaseBook(None, CATALOGUE.services, CALENDAR)
    for office in offices:
        for begin in range(0, len(office.leaves), 3):
            book.take(office.stream, begin, office.leaves[begin : begin + 3])
    reading = book.reading()
    found = {(line.service, line.office, line.month): line for line in reading.statistics(now)}
    assert {
        key: [line.filed, line.kept, line.missed, line.withdrawn, line.open, line.standing]
        for key, line in found.items()
    } == tallied(offices, now)
    for name in ("", "city", "jongno"):
        news = told_of(offices, name)
        for limit in (1, 3, 200):
            told = reading.changes(name, limit=limit)
            assert [change.minute for change in told] == [minute for minute, *_ in news[:limit]]
            assert {(change.minute, change.stream, change.entry) for change in told} <= set(news)
    for name in ("city", "jongno"):
        records = [record_of(office, entry) for office in offices for entry in office.signers]
        mine = [record for record in records if record.office == name and not record.ended]
        late = {(r.opened.stream, r.opened.entry) for r in mine if r.overdue(now)}
        page = reading.queue(name, Asked(), now)
        assert len(page.cases) == len(mine)
        assert [one.record for one in page.cases if one.record.overdue(now)] == [
            one.record for one in reading.queue(name, Asked(overdue=True), now).cases
        ]
        shown = {(o.record.opened.stream, o.record.opened.entry) for o in page.cases if o.record.overdue(now)}
        assert shown == late
    book.close()


def test_months_bound_the_statistics() -> None:
    office = Office("city", TEN)
    office.file(COMPLAINT, {})
    office.minute += 40 * DAY_MINUTES
    office.file(COMPLAINT, {})
    book = CaseBook(None, CATALOGUE.services, CALENDAR)
    book.take("city", 0, office.leaves)

    def months(first: str, last: str) -> list[str]:
        return [line.month for line in book.reading().statistics(TEN, (first, last))]

    assert months("", "") == ["2026-02", "2026-03"]
    assert months("2026-03", "") == ["2026-03"]
    assert months("", "2026-02") == ["2026-02"]
    assert months("2026-04", "2026-01") == []
    line = book.reading().statistics(TEN, ("2026-02", "2026-02"))
    assert line == (Tally(COMPLAINT.id, "city", "2026-02", 1, 0, 0, 0, 1, 0),)
    assert book.take("city", 0, office.leaves).end == 2, "what was read is not read again"
    book.close()


# ---- what it costs


def steps(path: Path, ask: Callable[[Reading], object]) -> int:
    """How many steps SQLite's machine takes to answer this."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with closing(connect(path, reads_only=True)) as db:
        reading = Reading(db, CATALOGUE.services, CALENDAR)
        ask(reading)  # what is read of the schema is not counted
        db.set_progress_handler(step, 1)
        ask(reading)
    return taken


def test_a_case_costs_the_same_in_a_long_log(tmp_path: Path) -> None:
    counted = []
    for cases in (20, 400):
        office, path = Office("city", TEN), tmp_path / f"{cases}.sqlite"
        for _ in range(cases):
            entry = office.file(COMPLAINT, {})
            office.act(entry, 0, Action.ASSIGN, OFFICIAL)
        book = CaseBook(path, CATALOGUE.services, CALENDAR)
        book.take("city", 0, office.leaves)
        book.close()
        key = office.signers[0].public
        counted.append(
            (
                steps(path, lambda reading: reading.case("city", 2)),
                steps(path, lambda reading, key=key: reading.cases_of([key])),  # type: ignore[misc]
                steps(path, lambda reading: reading.queue("city", Asked(after="0.0.0", limit=5), TEN)),
                steps(path, lambda reading: reading.changes(limit=5)),
                steps(path, lambda reading: reading.taken("nowhere", 0, NEVER, TEN)),
            )
        )
    short, long = counted
    assert all(b < 2 * a for a, b in zip(short, long, strict=True)), counted
