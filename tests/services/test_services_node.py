"""A real node with real logs: places and cases decided in its store, over HTTP, through a kill and a restart."""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import timedelta
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from client.walk import places_around
from p2pworld.civic.transaction import Paper, Secrets, file_transaction, parse_leaf
from p2pworld.crypto.keys import NodeKeys, Signer
from p2pworld.grants import grants_from_text
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.services.case_log import event_of
from p2pworld.services.people import purpose_of, show, sign_claim
from p2pworld.services.reading import ask_to_read
from p2pworld.services.working_time import day_of
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from simulations.processes import City
from tests.civic.citizens import by_http, wait_held
from tests.patience import PATIENCE_S
from tests.services.office import CATALOGUE, act
from tests.services.samples import filled
from tests.shard_node.test_city_of_processes import wait_ready, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pworld.civic.transaction import Submission
    from p2pworld.services.reservations import Event

COURT = """
[[facilities]]
id = "moving-court"
name = { ko = "테니스장", en = "Tennis court" }
gu = "guro"
kind = "tennis"
slot_minutes = 60
open = "Mo-Su 06:00-22:00"
capacity = 4
"""
STREAM, FACILITY, SERVICE = "guro", "guro-gyenam-tennis-out", "reserve-sports"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("city")
    with City(folder, 1, places_around(), 512, ttl_s=3.0) as started:
        folder.joinpath("declared").mkdir()
        started.keep_logs([STREAM, "city"], started.nodes, services=folder / "declared")
        started.start()
        wait_ready(started)
        wait_held(started.nodes[0])
        yield started
        assert started.end() == [], "a node had to be killed"


def now() -> int:
    return int(time.time()) // 60


def slot(days: int, hour: int) -> str:
    return f"{day_of(now()) + timedelta(days=days)}T{hour:02d}:00"


def booking(city: City, person: str, at: str, facility: str = FACILITY) -> tuple[Submission, Signer]:
    """A filing for a place, with the claim of somebody whom the city's attestor knows; and its own key."""
    service, seed = CATALOGUE.services[SERVICE], os.urandom(32)
    values = {**filled(service, CATALOGUE), "facility": facility, "slot": at}
    public, private = service.split(values)
    secrets = Secrets(seed, os.urandom(32), os.urandom(32))
    identity = Signer.from_seed(hashlib.sha256(person.encode()).digest())
    declared = service.transaction_type
    made = file_transaction(declared, STREAM, now(), public, private, identity, [city.office_key], secrets)
    device = Signer.from_seed(os.urandom(32))
    pseudonym = hashlib.sha256(person.encode()).digest()
    claim = sign_claim(
        city.signer("attestor"), purpose_of(service, public), pseudonym, device.public, STREAM, now() + 60
    )
    shown = show(claim, device, made.filing).to_bytes()
    return replace(made, papers=(Paper("claim", shown),)), Signer.from_seed(seed)


def filed(city: City, submission: Submission) -> int | str:
    """The entry, or the code of the refusal."""
    told = by_http(city.nodes[0], submission.to_bytes())
    return parse_receipt(told.receipt).index if told.receipt else told.reason


def events(city: City, entry: int) -> list[Event]:
    """What the log says of the booking that an entry is."""
    log = PublishedLog(city.folder / f"{city.nodes[0].name}-log" / STREAM)
    note = log.note(CHECKPOINT)
    assert note is not None
    size = int(note.text.splitlines()[1])
    filings = [parse_leaf(log.entry(index, size)).filing for index in range(size)]
    found = [event for filing in filings if (event := event_of(filing)) is not None]
    return [event for event in found if event.key == filings[entry].key.hex()]


def test_one_place_is_given_once_and_a_refusal_says_why_in_the_citizen_s_language(city: City) -> None:
    at = slot(8, 10)
    first, own = booking(city, "kim", at)
    entry = filed(city, first)
    assert isinstance(entry, int)
    assert filed(city, first) == entry
    late, _ = booking(city, "lee", at)
    request = urllib.request.Request(f"{city.nodes[0].web_url}/civic/file", late.to_bytes(), method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=PATIENCE_S)
    told = json.loads(caught.value.read())
    assert (caught.value.code, told["reason"], told["retry"]) == (409, "slot-taken", False)
    assert told["ko"].startswith("방금 다른 분이")
    for action, seen in (("claim", 1), ("confirm", 2)):
        assert isinstance(filed(city, act(STREAM, entry, seen, action, own, now())), int)
    assert [event.action.value for event in events(city, entry)] == ["hold", "claim", "confirm"]

    holder = city.nodes[0]
    before = wait_held(holder)
    holder.kill()
    holder.start()
    wait_ready(city)
    wait_held(holder, than=before)
    assert filed(city, first) == entry
    assert filed(city, late) == "slot-taken"
    other, _ = booking(city, "lee", at)
    assert filed(city, other) == "slot-taken"
    assert isinstance(filed(city, act(STREAM, entry, 3, "cancel", own, now())), int)
    third, _ = booking(city, "park", at)
    assert isinstance(filed(city, third), int)


def test_a_facility_that_was_booked_stays_where_it_was_whatever_its_file_says(city: City) -> None:
    holder, path = city.nodes[0], city.folder / "declared" / "court.toml"
    path.write_text(COURT, "utf-8")

    def declared_gu() -> object:
        return (holder.ask_json("/api/v1/facilities/moving-court") or {}).get("gu")

    wait_until(lambda: declared_gu() == "guro", 10, holder.log_tail)
    assert isinstance(filed(city, booking(city, "choi", slot(8, 10), "moving-court")[0]), int)
    path.write_text(COURT.replace('"guro"', '"jongno"'), "utf-8")
    wait_until(lambda: "where it stays" in holder.log_tail(), 10, holder.log_tail)
    assert declared_gu() == "guro"
    assert filed(city, booking(city, "jeong", slot(8, 10), "moving-court")[0]) == "slot-taken"
    path.unlink()


def test_an_official_with_the_city_s_grant_deals_with_a_case(city: City) -> None:
    key, grant = city.official
    official = NodeKeys.from_text(key.read_text())
    grants = grants_from_text(grant.read_text())
    service = CATALOGUE.services["complaint-field"]
    public, private = service.split(filled(service, CATALOGUE))
    seed = os.urandom(32)
    secrets = Secrets(seed, os.urandom(32), os.urandom(32))
    identity = Signer.from_seed(os.urandom(32))
    made = file_transaction(
        service.transaction_type, STREAM, now(), public, private, identity, [city.office_key], secrets
    )
    entry = filed(city, made)
    assert isinstance(entry, int)
    signer = Signer.from_text(key.read_text())
    assert signer.public == official.public
    assert filed(city, act(STREAM, entry, 0, "assign", signer, now())) == "forbidden"
    assert isinstance(filed(city, act(STREAM, entry, 0, "assign", signer, now(), grants=grants)), int)


def test_what_is_sealed_is_given_to_who_filed_it_and_to_officials_of_its_office(city: City) -> None:
    key, grant = city.official
    official, grants = Signer.from_text(key.read_text()), grant.read_text().strip()
    service, seed = CATALOGUE.services["complaint-field"], os.urandom(32)
    public, private = service.split(filled(service, CATALOGUE))
    secrets, declared = Secrets(seed, os.urandom(32), os.urandom(32)), service.transaction_type
    person, office = Signer.from_seed(os.urandom(32)), [city.office_key]
    made = file_transaction(declared, STREAM, now(), public, private, person, office, secrets)
    entry = filed(city, made)
    assert isinstance(entry, int)
    assert made.sealed is not None

    def read(reader: Signer, minute: int, shown: str = "", index: int = entry) -> object:
        asked = ask_to_read(reader, STREAM, index, minute, shown)
        url = f"{city.nodes[0].web_url}/civic/sealed/{STREAM}/{index}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, asked.to_json()), timeout=PATIENCE_S
            ) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                told = json.loads(error.read())
                return told.get("reason", told.get("error"))

    own = Signer.from_seed(seed)
    assert read(own, now()) == made.sealed.to_bytes()
    assert read(official, now(), grants) == made.sealed.to_bytes()
    assert read(own, now() - 20) == "civic-clock"
    assert read(official, now()) == "forbidden"
    assert read(person, now(), grants) == "forbidden"
    assert read(own, now(), index=entry + 999) == "not_found"
    done = filed(city, act(STREAM, entry, 0, "assign", official, now(), grants=grants_from_text(grants)))
    assert isinstance(done, int)
    assert read(own, now(), index=done) == "not_found"  # nothing is sealed with it
    told = city.nodes[0].ask_json(f"/civic/officials/{STREAM}")["officials"]
    assert [one["key"] for one in told] == [official.public.hex()]
    assert told[0]["grants"] == [grants]


def test_a_declaration_that_is_dropped_into_the_folder_is_filed_at_once(city: City) -> None:
    text = (resources.files("p2pworld.services") / "declared/administration/complaint-field.toml").read_text()
    text = text.replace('id = "complaint-field"', 'id = "smell-report"').replace('"nuisance"', '"smell"')
    service, seed = CATALOGUE.services["complaint-field"], os.urandom(32)
    declared = replace(service.transaction_type, name="smell-report")
    public, private = service.split(filled(service, CATALOGUE))
    secrets = Secrets(seed, os.urandom(32), os.urandom(32))
    person, office = Signer.from_seed(seed), [city.office_key]
    made = file_transaction(declared, STREAM, now(), public, private, person, office, secrets)
    assert filed(city, made) == "civic-type"
    (city.folder / "declared" / "broken.toml").write_text("id = 3", "utf-8")
    (city.folder / "declared" / "smell.toml").write_text(text, "utf-8")
    wait_until(lambda: isinstance(filed(city, made), int), 5, city.nodes[0].log_tail)
