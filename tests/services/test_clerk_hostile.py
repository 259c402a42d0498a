"""What somebody hostile files, and what changes under a clerk while people have places: nothing falls down for it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from p2pworld.civic.kept import UNTIL, Rows, due_name
from p2pworld.civic.transaction import parse_leaf
from p2pworld.services.draw_log import OPENED
from p2pworld.services.facility import Allocation
from p2pworld.services.replay import row_faults
from p2pworld.services.reservations import is_reviewed
from p2pworld.services.workflow import Action, State, Who
from shard_node.services.beside import RowsOfServices
from shard_node.services.settings import ServicesConfig
from shard_node.storage.journal import StorageFailed
from tests.civic.memory_store import KeptInMemory
from tests.services.office import CALENDAR, CATALOGUE, Office, request, slot_at
from tests.services.test_draw_clerk import CLOSES, FACILITY, KEYS, PAY_MINUTES, Lottery

TENNIS, SPORTS, SPACE = "guro-gyenam-tennis-out", "reserve-sports", "reserve-space"
SLOT, TEN = slot_at("2026-05-02", 10)
_, NOW = slot_at("2026-04-20", 9)


def book(at: Office, who: str, slot: str = SLOT, facility: str = TENNIS, service: str = SPORTS) -> int | str:
    said = {"facility": facility, "slot": slot}
    return at.said(request(service, at.stream, at.now, f"{who} {slot}", person=who, said=said))


@pytest.mark.parametrize("day", ["2026-02-30", "0000-01-01", "0001-01-01", "9999-12-31", "1999-12-31"])
def test_a_slot_on_a_day_that_there_is_not_is_refused(day: str) -> None:
    office = Office("guro", NOW)
    assert book(office, "kim", f"{day}T10:00") == "slot-closed"
    assert book(office, "kim") == 0


def test_a_draw_for_a_moment_that_there_is_not_is_refused() -> None:
    office = Lottery()
    for moment in ("2026-99-99T10:00", "2026-05-02T99:99", "0000-00-00T00:00"):
        office.name = f"{FACILITY}/{moment}"
        assert office.open()[0] == "draw-unknown"
    assert OPENED.public[0].pattern.fullmatch(office.name), "else this test shows nothing"


def test_nobody_books_what_is_drawn_for_and_nothing_else_is_drawn_for() -> None:
    """Kinds are shared: a pitch that is drawn for and one that is not are both of the kind that a service names."""
    tried = 0
    for service in CATALOGUE.services.values():
        for facility in CATALOGUE.facilities.values():
            places = service.places
            if places and facility.kind in places.kinds and facility.allocation is not places.allocation:
                office = Office(facility.gu, NOW)
                day = "2026-05-02" if places.allocation is Allocation.FIRST_COME else "2026-05-09"
                said = {
                    book(office, "kim", f"{day}T{hour:02d}:00", facility.id, service.id) for hour in (9, 10)
                }
                assert said == {"facility-unknown"}, (service.id, facility.id)
                tried += 1
    assert tried > 20


def test_with_fewer_seats_than_there_were_nobody_gets_one_until_enough_are_free() -> None:
    def with_seats(count: int) -> None:
        facilities = {**CATALOGUE.facilities, TENNIS: replace(CATALOGUE.facilities[TENNIS], seats=count)}
        office.catalogue = replace(CATALOGUE, facilities=MappingProxyType(facilities))

    office = Office("guro", NOW)
    with_seats(3)
    assert [book(office, who) for who in ("kim", "lee")] == [0, 2]
    office.now += 5
    assert book(office, "park") == 4
    with_seats(1)
    office.now += 5  # of the three holds two have run out, and the third is beyond the seats that are left
    assert [book(office, who) for who in ("choi", "jung")] == ["slot-taken"] * 2
    office.now += 5
    assert isinstance(book(office, "han"), int)
    assert book(office, "yoon") == "slot-taken"


def test_a_service_that_is_gone_does_not_keep_others_holds_from_running_out() -> None:
    facilities = {**CATALOGUE.facilities, TENNIS: replace(CATALOGUE.facilities[TENNIS], seats=2)}
    services = {**CATALOGUE.services, "other": replace(CATALOGUE.services[SPORTS], id="other")}
    both = replace(CATALOGUE, facilities=MappingProxyType(facilities), services=MappingProxyType(services))
    office = Office("guro", NOW, catalogue=both)
    assert book(office, "kim") == 0
    assert book(office, "lee") == 2
    # the first of the two seats is of a service that is declared no more
    place = next(name for name in office.rows if name.startswith("place/"))
    office.rows[place] = office.rows[place].replace(b"\xaereserve-sports", b"\xaereserve-sp-off")
    office.now += 10
    office.take()
    assert office.told()[-2:] == [("expire", 0), ("expire", 1)]


def test_a_draw_whose_facility_or_key_is_gone_for_a_while_goes_on_later() -> None:
    office = Lottery()
    assert all(isinstance(outcome, int) for outcome in office.open())
    assert isinstance(office.said(office.apply(1)), int)
    facilities = {name: each for name, each in CATALOGUE.facilities.items() if name != FACILITY}
    office.catalogue = replace(CATALOGUE, facilities=MappingProxyType(facilities))
    office.wait(CLOSES)
    size = len(office.entries)
    assert office.due == CLOSES + 60
    office.catalogue = CATALOGUE
    trusted = office.clerk._trusted
    office.clerk._trusted = replace(trusted, draws=None)  # as with a holder that was given no key
    office.wait(CLOSES + 60)
    assert (office.due, len(office.entries)) == (CLOSES + 120, size)
    office.clerk._trusted = trusted
    office.wait(CLOSES + 120)
    for giver, holder in ((1, 0), (1, 2), (2, 0), (2, 1)):
        assert isinstance(office.reveal(giver, holder), int)
    office.wait(office.now)
    assert office.told() == [("draw", 0), ("claim", 0)]
    assert office.events()[-1].until == office.now + PAY_MINUTES
    assert len(KEYS) == 3
    assert office.wrong_rows() == []


def test_what_an_office_decides_about_is_not_confirmed_by_who_asked() -> None:
    """Also where the decision is no step of its own."""
    tried = 0
    for service in CATALOGUE.services.values():
        if service.workflow.family == "hire" and is_reviewed(service):
            rule = service.workflow.table.get((State.REVIEWING, Action.CONFIRM))
            assert rule is None or Who.CITIZEN not in rule.who, service.id
            tried += rule is not None
    assert tried


class _Counted(KeptInMemory):
    """Rows that count how many of them were read."""

    read = 0

    def under(self, prefix: str) -> list[tuple[str, bytes]]:
        found = super().under(prefix)
        self.read += len(found)
        return found

    def first(self, prefix: str, after: str = "") -> str | None:
        self.read += 1
        return super().first(prefix, after)


def test_much_that_runs_out_at_once_is_not_read_again_for_each() -> None:
    names = [due_name(NOW + number // 300, f"place/hall/{number:04d}") for number in range(900)]
    kept = _Counted(dict.fromkeys(names, b""))
    rows, left = Rows(kept), list(names)
    for number in range(200):
        first = rows.first(UNTIL)
        assert first == min(left)
        rows.drop(first)
        left.remove(first)
        if number % 7 == 0:  # it is to be looked at again, even earlier than all others once
            again = due_name(NOW - 1 if number == 70 else NOW + number % 3, f"place/again/{number:04d}")
            rows.put(again, b"")
            left.append(again)
    assert rows.first(UNTIL) == min(left)
    assert kept.read < 3 * 200


def test_rows_are_not_made_again_without_the_declaration_of_what_the_log_holds() -> None:
    """Else places that people have would be free."""
    office = Office("guro", NOW)
    assert book(office, "kim") == 0
    services = {name: each for name, each in CATALOGUE.services.items() if name != SPORTS}
    fewer = replace(CATALOGUE, services=MappingProxyType(services))
    (first, *_) = row_faults("guro", fewer, CALENDAR, office.entries, office.rows)
    assert SPORTS in first
    beside = RowsOfServices(ServicesConfig())
    leaves = [parse_leaf(entry) for entry in office.entries]
    kept = KeptInMemory({}, office.entries)
    assert any(change.name.startswith("place/") for change in beside.made_again("guro", 0, leaves, kept))
    beside._catalogue = fewer
    with pytest.raises(StorageFailed) as failed:
        beside.made_again("guro", 0, leaves, kept)
    assert failed.value.reason == "undeclared"


def test_a_place_that_was_booked_on_another_grid_is_not_given_twice() -> None:
    def with_slots(minutes: int) -> None:
        changed = replace(CATALOGUE.facilities[TENNIS], slot_minutes=minutes)
        office.catalogue = replace(
            CATALOGUE, facilities=MappingProxyType({**CATALOGUE.facilities, TENNIS: changed})
        )

    office = Office("guro", NOW)
    with_slots(120)
    assert book(office, "kim", "2026-05-02T10:00") == 0  # until noon
    with_slots(60)
    assert book(office, "lee", "2026-05-02T11:00") == "slot-taken"
    assert [book(office, "lee", f"2026-05-02T{hour:02d}:00") for hour in (9, 12)] == [2, 4]
    with_slots(120)
    assert book(office, "choi", "2026-05-02T08:00") == "slot-taken"
    # once a hold has run out, its time is anybody's
    office.now += 10
    with_slots(60)
    assert isinstance(book(office, "park", "2026-05-02T11:00"), int)
