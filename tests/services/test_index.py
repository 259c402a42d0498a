"""The index of cases: what it answers from published logs, beside plain reading of the same leaves."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.errors import LocalError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.tiles import TILE_WIDTH
from p2pworld.services.catalogue import Catalogue
from p2pworld.services.deadlines import NEVER, Count, Term
from p2pworld.services.facility import slot_text
from p2pworld.services.workflow import Action, State
from p2pworld.services.working_time import DAY_MINUTES, OfficeCalendar
from shard_node.services.folder import read
from shard_node.services.index import INDEX_NAME, ServiceIndex
from shard_node.services.queries import Asked, Taken
from shard_node.storage.journal import StorageFailed
from tests.patience import PATIENCE_S
from tests.services.published import OFFICIAL, Office
from tests.services.samples import filled
from tests.services.test_record import record_of
from tests.services.test_reservations import TEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


CALENDAR = OfficeCalendar()
CATALOGUE = read()
COMPLAINT = CATALOGUE.services["complaint-suggestion"]
BUS = CATALOGUE.services["tour-bus-seat"]
STOP = CATALOGUE.bookable(BUS)[0]
OPEN = Asked()
SLOTS = STOP.slots(date(2026, 2, 14), CALENDAR)


class City:
    """An index whose declarations and time can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.minute, self.catalogue = folder, TEN, CATALOGUE
        self.index = self.fresh()

    def fresh(self) -> ServiceIndex:
        return ServiceIndex(self.folder / INDEX_NAME, lambda: self.catalogue, CALENDAR, lambda: self.minute)

    async def read(self, *offices: Office) -> None:
        for office in offices:
            await self.index.take_folder(office.stream, office.publish(self.folder / office.stream))

    async def restart(self) -> None:
        await self.index.close()
        self.index = self.fresh()
        await self.index.open()

    async def state(self, entry: int, stream: str = "city") -> State | None:
        found = await self.index.case(stream, entry)
        assert found is not None
        return found.record.state


@asynccontextmanager
async def city_in(folder: Path) -> AsyncIterator[City]:
    city = City(folder)
    await city.index.open()
    try:
        yield city
    finally:
        await city.index.close()


def booked(office: Office, slot: int, seat: int) -> int:
    entry = office.file(BUS, {"facility": STOP.id, "slot": slot_text(slot)})
    office.event(entry, Action.HOLD, STOP.id, slot, seat, office.minute + 10)
    return entry


async def test_a_case_is_read_as_it_is_published_and_goes_on(tmp_path: Path) -> None:
    office = Office("city", TEN)
    async with city_in(tmp_path) as city:
        first = office.file(COMPLAINT, {})
        await city.read(office)
        assert await city.state(first) is State.RECEIVED
        office.act(first, 0, Action.ASSIGN, OFFICIAL)
        await city.read(office)
        found = await city.index.case("city", first)
        assert found is not None
        assert found.record == record_of(office, first)
        assert await city.index.case("city", 1) is None, "an act is no case"
        assert await city.index.case("jongno", 0) is None
        assert await city.index.case("city", 10**30) is None
        assert city.index.size("city") == 2


async def test_a_restart_goes_on_and_a_lost_file_is_made_again(tmp_path: Path) -> None:
    office = Office("city", TEN)
    async with city_in(tmp_path) as city:
        entry = office.file(COMPLAINT, {})
        await city.read(office)
        await city.restart()
        assert city.index.size("city") == 1
        assert await city.state(entry) is State.RECEIVED, "read before, and not again"
        await city.index.close()
        (tmp_path / INDEX_NAME).unlink()
        await city.restart()
        assert await city.index.case("city", entry) is None
        await city.read(office)
        assert await city.state(entry) is State.RECEIVED


async def test_a_restart_in_the_middle_of_a_bundle_reads_each_entry_once(tmp_path: Path) -> None:
    office = Office("city", TEN)
    entries = [office.file(COMPLAINT, {}) for _ in range(TILE_WIDTH + 3)]
    async with city_in(tmp_path) as city:
        for more in (0, 1):
            for _ in range(more):
                entries.append(office.file(COMPLAINT, {}))
            await city.read(office)
            await city.restart()
        page = await city.index.queue("city", Asked(limit=1))
        assert page.counts == {"received": len(entries)}


@pytest.mark.parametrize("damage", ["garbage", "schema", "foreign"])
async def test_a_file_that_is_damaged_or_of_another_release_is_made_again(
    tmp_path: Path, damage: str
) -> None:
    office = Office("city", TEN)
    entry = office.file(COMPLAINT, {})
    async with city_in(tmp_path) as city:
        await city.read(office)
        await city.index.close()
        path = tmp_path / INDEX_NAME
        if damage == "garbage":
            path.write_bytes(b"no database at all" * 500)
        else:
            with sqlite3.connect(path) as db:
                db.execute("PRAGMA user_version = 99" if damage == "schema" else "PRAGMA application_id = 7")
            db.close()
        await city.restart()
        assert city.index.size("city") == 0
        await city.read(office)
        assert await city.state(entry) is State.RECEIVED


async def test_another_log_under_the_same_name_is_read_from_the_beginning(tmp_path: Path) -> None:
    old, new = Office("city", TEN), Office("city", TEN)
    for _ in range(3):
        old.file(COMPLAINT, {})
    entry = new.file(BUS, {"facility": STOP.id, "slot": slot_text(SLOTS[0].begin)})
    for _ in range(4):
        new.file(COMPLAINT, {})
    async with city_in(tmp_path) as city:
        await city.read(old)
        folder = new.publish(tmp_path / "new")
        assert not await city.index.take_folder("city", folder)
        assert await city.index.take_folder("city", folder)
        found = await city.index.case("city", entry)
        assert found is not None
        assert found.record.opened.service == BUS.id
        assert city.index.counters["another_log"] == 1


async def test_a_copy_that_is_behind_changes_nothing(tmp_path: Path) -> None:
    office = Office("city", TEN)
    office.file(COMPLAINT, {})
    behind = office.publish(tmp_path / "behind")
    async with city_in(tmp_path) as city:
        office.file(COMPLAINT, {})
        ahead = Office("city", TEN)
        ahead.file(COMPLAINT, {})
        ahead.file(COMPLAINT, {})
        await city.read(ahead)
        await city.index.take_folder("city", behind)
        assert city.index.size("city") == 2


async def test_a_bundle_that_is_not_there_is_told(tmp_path: Path) -> None:
    async def nothing(number: int, size: int) -> list[bytes]:
        return []

    async with city_in(tmp_path) as city:
        with pytest.raises(StorageFailed):
            await city.index.advance("city", Checkpoint("a/city", 3, b"r" * 32), nothing)


async def test_what_is_no_leaf_harms_nothing(tmp_path: Path) -> None:
    office = Office("city", TEN)
    office.leaves.append(b"\xc1 no leaf")
    entry = office.file(COMPLAINT, {})
    office.leaves.append(b"")
    office.act(entry + 1, 0, Action.ASSIGN, OFFICIAL)
    async with city_in(tmp_path) as city:
        await city.read(office)
        assert await city.state(entry) is State.RECEIVED
        assert city.index.counters == {"strangers": 2, "strays": 1}


async def test_a_service_that_is_declared_later_or_no_more_counts_at_once(tmp_path: Path) -> None:
    office = Office("city", TEN)
    entry = office.file(COMPLAINT, {})
    office.act(entry, 0, Action.ASSIGN, OFFICIAL)
    without = Catalogue({BUS.id: BUS}, CATALOGUE.facilities)
    async with city_in(tmp_path) as city:
        city.catalogue = without
        assert await city.index.look()
        await city.read(office)
        assert await city.state(entry) is None
        assert (await city.index.queue("city", Asked())).counts == {"": 1}
        assert await city.index.statistics() == ()
        city.catalogue = CATALOGUE
        assert await city.index.look()
        assert await city.state(entry) is State.ASSIGNED
        assert (await city.index.queue("city", Asked())).counts == {"assigned": 1}
        city.catalogue = without
        await city.restart()
        assert (await city.index.queue("city", Asked())).counts == {"": 1}, "while it was down"
        assert not await city.index.look()


async def test_a_longer_term_moves_the_deadlines_of_what_is_there(tmp_path: Path) -> None:
    office = Office("city", TEN)
    office.file(COMPLAINT, {})
    longer = replace(COMPLAINT, deadline=replace(COMPLAINT.deadline, term=Term(Count.DAYS, 400)))
    async with city_in(tmp_path) as city:
        await city.read(office)
        city.minute = TEN + 300 * DAY_MINUTES
        assert len((await city.index.queue("city", Asked(overdue=True))).cases) == 1
        city.catalogue = Catalogue({**CATALOGUE.services, COMPLAINT.id: longer}, CATALOGUE.facilities)
        assert await city.index.look()
        assert (await city.index.queue("city", Asked(overdue=True))).cases == ()


async def test_erasure_is_shown_of_filings_and_of_letters(tmp_path: Path) -> None:
    office = Office("city", TEN)
    entry = office.file(COMPLAINT, {})
    letter = office.act(entry, 0, Action.NOTE, OFFICIAL, letter=True)
    office.signers[letter] = office.signers[entry]
    async with city_in(tmp_path) as city:
        for erased in (letter, entry):
            office.erase(erased)
            await city.read(office)
            found = await city.index.case("city", entry)
            assert found is not None
            assert erased in found.erased


# ---- what is asked


async def test_an_office_has_its_own_and_what_was_transferred_to_it_by_deadline(tmp_path: Path) -> None:
    city_office, jongno = Office("city", TEN), Office("jongno", TEN + 60)
    moved = city_office.file(COMPLAINT, {})
    city_office.act(moved, 0, Action.TRANSFER, OFFICIAL, 1)
    paused = city_office.file(COMPLAINT, {})
    city_office.act(paused, 0, Action.ASSIGN, OFFICIAL)
    city_office.act(paused, 1, Action.ASK, OFFICIAL, 5)
    city_office.minute += 5 * DAY_MINUTES
    later = city_office.file(COMPLAINT, {})
    own = jongno.file(COMPLAINT, {})
    async with city_in(tmp_path) as city:
        await city.read(city_office, jongno)

        async def queue(office: str, asked: Asked = OPEN) -> list[tuple[str, int]]:
            page = await city.index.queue(office, asked)
            return [(one.record.opened.stream, one.record.opened.entry) for one in page.cases]

        assert await queue("jongno") == [("city", moved), ("jongno", own)]
        assert await queue("city") == [("city", later), ("city", paused)], "whose clock stands comes last"
        assert await queue("city", Asked(states=frozenset({State.RECEIVED}))) == [("city", later)]
        assert await queue("city", Asked(assigned=OFFICIAL.public)) == [("city", paused)]
        assert await queue("city", Asked(services=frozenset({"tour-bus-seat"}))) == []
        assert await queue("city", Asked(text=f"CITY/{paused}")) == [("city", paused)]
        assert await queue("city", Asked(overdue=True)) == []
        city.minute = TEN + 60 * DAY_MINUTES
        assert await queue("city", Asked(overdue=True)) == [("city", later)]
        assert await queue("city", Asked(overdue=False)) == [("city", paused)]
        city_office.act(later, 0, Action.WITHDRAW, None)
        await city.read(city_office)
        assert await queue("city") == [("city", paused)]
        assert await queue("city", Asked(open=False)) == [("city", later)]
        assert set(await queue("city", Asked(open=None))) == {("city", later), ("city", paused)}


async def test_words_are_found_in_titles_and_labels_of_what_is_public(tmp_path: Path) -> None:
    service = next(
        each
        for each in CATALOGUE.services.values()
        if any((field := each.form.field(name)) and field.choices for name in each.public)
        and each.office.source == ""
        and each.places is None
    )
    name = next(name for name in service.public if (field := service.form.field(name)) and field.choices)
    field = service.form.field(name)
    assert field is not None
    value, words = next(iter(field.choices.items()))
    public, _ = service.split(filled(service, CATALOGUE) | {name: value})
    office = Office("city", TEN)
    office.file(service, public)
    office.file(COMPLAINT, {})
    async with city_in(tmp_path) as city:
        await city.read(office)
        for text in (words["ko"], words["en"].upper(), service.title["ko"], f"{service.id} {value}"):
            page = await city.index.queue("city", Asked(text=text))
            assert [one.record.opened.service for one in page.cases] == [service.id], text


async def test_pages_of_a_queue_hold_while_cases_come(tmp_path: Path) -> None:
    office = Office("city", TEN)
    for _ in range(7):
        office.file(COMPLAINT, {})
    async with city_in(tmp_path) as city:
        await city.read(office)
        seen: list[int] = []
        after = ""
        for _ in range(9):
            page = await city.index.queue("city", Asked(limit=3, after=after))
            seen += [one.record.opened.entry for one in page.cases]
            office.file(COMPLAINT, {})
            await city.read(office)
            after = page.after
            if not after:
                break
        assert seen == sorted(set(seen))
        assert seen[:7] == list(range(7))
        for mark in ("x", "1.2", "1.2.-3", "99999999999999999999.1.1"):
            with pytest.raises(LocalError):
                await city.index.queue("city", Asked(after=mark))


async def test_cases_are_found_by_their_keys_in_any_stream(tmp_path: Path) -> None:
    one, two = Office("city", TEN), Office("mapo", TEN + 1)
    keys = [
        one.signers[one.file(COMPLAINT, {})].public,
        two.signers[two.file(COMPLAINT, {})].public,
        OFFICIAL.public,
    ]
    async with city_in(tmp_path) as city:
        await city.read(one, two)
        found = await city.index.cases_of(keys)
        assert [each.record.opened.stream for each in found] == ["mapo", "city"]


async def test_what_is_taken_is_what_is_somebodys_at_this_minute(tmp_path: Path) -> None:
    office = Office("city", TEN)
    first, second = SLOTS[0].begin, SLOTS[1].begin
    held = booked(office, first, 0)
    kept = booked(office, first, 1)
    office.event(kept, Action.CONFIRM, STOP.id, first, 1)
    waits = office.file(BUS, {"facility": STOP.id, "slot": slot_text(first)})
    office.event(waits, Action.WAIT, STOP.id, first, None)
    gone = booked(office, second, 0)
    office.event(gone, Action.EXPIRE, STOP.id, second, 0)
    async with city_in(tmp_path) as city:
        await city.read(office)
        assert await city.index.taken(STOP.id, first, first + 1) == {first: Taken(2, 1, 0, TEN)}
        assert await city.index.taken(STOP.id, first, second + 1) == {
            first: Taken(2, 1, 0, TEN),
            second: Taken(0, 0, 0, TEN),
        }
        assert await city.index.taken("another", 0, NEVER) == {}
        city.minute = TEN + 10
        assert await city.index.taken(STOP.id, first, first + 1) == {first: Taken(1, 1, 0, TEN)}
        assert held != kept


async def test_what_happened_last_comes_first_and_what_had_no_effect_is_no_news(tmp_path: Path) -> None:
    office, mapo = Office("city", TEN), Office("mapo", TEN + 1)
    entry = office.file(COMPLAINT, {})
    mapo.file(COMPLAINT, {})
    office.minute = TEN + 2
    office.act(entry, 0, Action.ASSIGN, OFFICIAL)
    office.act(entry, 0, Action.ASSIGN, OFFICIAL)
    async with city_in(tmp_path) as city:
        await city.read(office, mapo)
        told = await city.index.changes()
        assert [(one.stream, one.entry, one.action, one.state) for one in told] == [
            ("city", 1, Action.ASSIGN, State.ASSIGNED),
            ("mapo", 0, None, State.RECEIVED),
            ("city", 0, None, State.RECEIVED),
        ]
        assert [one.stream for one in await city.index.changes(office="mapo")] == ["mapo"]
        assert await city.index.changes(service=BUS.id) == ()
        assert len(await city.index.changes(limit=2)) == 2


async def test_statistics_are_new_when_something_was_read_or_time_went_by(tmp_path: Path) -> None:
    office = Office("city", TEN)
    office.file(COMPLAINT, {})
    async with city_in(tmp_path) as city:
        await city.read(office)
        assert [line.open for line in await city.index.statistics()] == [1]
        assert [line.open for line in await city.index.statistics()] == [1]
        assert await city.index.statistics(("2027-01", "")) == ()
        office.file(COMPLAINT, {})
        await city.read(office)
        assert [line.open for line in await city.index.statistics()] == [2]
        city.minute += 100 * DAY_MINUTES
        assert [(line.open, line.missed) for line in await city.index.statistics()] == [(0, 2)]


async def test_whoever_waits_is_woken_by_what_is_new(tmp_path: Path) -> None:
    office = Office("city", TEN)
    office.file(COMPLAINT, {})
    async with city_in(tmp_path) as city, trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            nursery.start_soon(city.read, office)
            await city.index.grown()
        assert city.index.size("city") == 1


async def test_a_closed_index_says_so(tmp_path: Path) -> None:
    city = City(tmp_path)
    with pytest.raises(StorageFailed):
        await city.index.case("city", 0)
    with pytest.raises(StorageFailed):
        await city.index.take_folder("city", Office("city", TEN).publish(tmp_path))
