"""All services that the city ships, each walked from its form to its end; and what is said about broken files."""

from __future__ import annotations

import re
import shutil
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from p2pworld.civic.transaction import Secrets, check_submission, file_transaction, open_sealed
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.services.catalogue import Catalogue, Source, read_catalogue
from p2pworld.services.deadlines import NEVER, Clock
from p2pworld.services.facility import Allocation
from p2pworld.services.locate import line_of
from p2pworld.services.party import party, party_fields
from p2pworld.services.workflow import Act, Action, Case, State, Who, begin, step
from p2pworld.services.working_time import OfficeCalendar, minute_at
from p2pworld.world.reading import LANGUAGES
from shard_node.services.book import CaseBook
from shard_node.services.folder import ServiceFolder, read
from shard_node.services.index import INDEX_NAME
from shard_node.services_commands import services as command
from tests.services.published import Office
from tests.services.samples import filled

if TYPE_CHECKING:
    from p2pworld.services.declaration import Service

CITY = read()
DECLARED = Path(str(resources.files("p2pworld.services"))) / "declared"
CALENDAR = OfficeCalendar()
TODAY = date(2026, 2, 13)
OFFICE_SECRET = bytes(range(32))
SECRETS = Secrets(b"s" * 32, b"k" * 32, b"n" * 32)
ALL = pytest.mark.parametrize("service", CITY.services.values(), ids=list(CITY.services))

PITCH = """
[[facilities]]
id = "a-pitch"
gu = "jongno"
name = { ko = "운동장", en = "Pitch" }
kind = "futsal"
slot_minutes = 60
open = "Mo-Su 06:00-24:00"
capacity = 12
allocation = "first-come"
residents = "none"
"""

NAMES = """
complaint-grievance complaint-suggestion complaint-query-law complaint-query-procedure complaint-field
complaint-statutory complaint-group refusal-objection consultation-120 consultation-booking
village-tax-adviser lease-consultation reserve-sports reserve-sports-peak reserve-draw reserve-space
reserve-culture reserve-education reserve-medical reserve-camping real-estate-inquiry local-tax-inquiry
local-tax-filing startup-onestop fintech-lab-tenancy invest-seoul-consulting business-showcase-booth
campus-town-coaching campus-town-networking campus-town-tenancy career-fair-signup career-fair-employer
open-city-university-enrolment seoul-learn-mentoring seoul-learn-mentor tour-bus-seat heritage-tour
heritage-tour-barrier-free museum-exhibit-visit museum-group-docent lantern-festival-workshop lantern-wish
drum-festival-slot drum-jam bosingak-bell-nomination bosingak-daily-ringing coworking-desk smart-office
conference-room conference-registration road-damage-report streetlight-report dataset-request
information-disclosure urban-planning-opinion fire-hazard-report ansimi-escort-request ansimi-monitoring
mayor-proposal interpretation-request sign-language-interpretation accessibility-assistance
ai-public-servant-question abuse-report personal-data-request
"""
SHIPPED = set(NAMES.split())


def test_the_city_ships_all_of_its_services_and_nothing_is_wrong_with_them() -> None:
    assert CITY.faults == ()
    assert set(CITY.services) == SHIPPED
    assert len({facility.gu for facility in CITY.facilities.values()}) == 26  # 25 gu and the city


@ALL
def test_titles_are_there_in_four_languages_and_texts_in_two(service: Service) -> None:
    assert set(service.title) == set(LANGUAGES)
    for words in (
        service.about,
        service.office.unit,
        service.eligible.text,
        service.fee,
        service.privacy.why,
    ):
        assert re.search("[가-힣]", words["ko"]), words
        assert not re.search("[가-힣]", words["en"]), words
    for field in service.form.fields:
        assert re.search("[가-힣]", field.label["ko"]), (service.id, field.name)


@ALL
def test_from_its_form_into_the_log_and_out_at_the_office(service: Service) -> None:
    kept, faults = service.check(filled(service, CITY), TODAY, CITY.facilities)
    assert faults == ()
    stream = service.stream(kept, CITY.facilities)
    assert stream is not None
    public, private = service.split(kept)
    office = sealing_public(OFFICE_SECRET)
    minute = minute_at(TODAY, 600)
    submission = file_transaction(
        service.transaction_type,
        stream,
        minute,
        public,
        private,
        Signer.from_seed(b"i" * 32),
        [office],
        SECRETS,
    )
    assert check_submission(submission, stream, CITY.types()) is None
    assert submission.sealed is not None
    opened = open_sealed(submission.filing, submission.sealed, OFFICE_SECRET)
    texts = {field.name: field.value for field in (*submission.filing.public, *opened.fields)}
    assert texts == service.form.texts(kept)
    for value in private.values():
        assert (
            len(value) < 8 or value in public.values() or value.encode() not in submission.leaf(1).to_bytes()
        )


@ALL
def test_nothing_filled_in_is_told_field_by_field_in_both_languages(service: Service) -> None:
    _, faults = service.check({}, TODAY, {})
    assert {fault.field for fault in faults} == service.form.required
    for fault in faults:
        assert re.search("[가-힣]", fault.sentence("ko"))
        assert not re.search("[가-힣]", fault.sentence("en"))


@ALL
def test_its_schema_is_one_that_others_read(service: Service) -> None:
    for language in ("ko", "en"):
        schema = service.form.json_schema(language)
        Draft202012Validator.check_schema(schema)
        assert Draft202012Validator(schema).is_valid(
            service.check(filled(service, CITY), TODAY, CITY.facilities)[0]
        )
        assert not Draft202012Validator(schema).is_valid({"nobody-asked": "for this"})


@ALL
def test_it_can_be_walked_to_every_one_of_its_states(service: Service) -> None:
    """By acts that are taken one after the other, as the table says who may do them; no end leaves a clock going."""
    term = service.deadline.of(filled(service, CITY))
    start = begin(service.workflow, minute_at(TODAY, 600), term)
    found: dict[State, Case] = {start.state: start}
    rest = [start]
    while rest:
        case = rest.pop(0)
        for (at, action), rule in service.workflow.table.items():
            if at is not case.state or rule.to in found or rule.to is None:
                continue
            for reached in _tried(service, case, action, min(rule.who, key=lambda who: who.value)):
                found[reached.state] = reached
                rest.append(reached)
    assert set(found) == service.workflow.states
    for state in service.workflow.ends:
        assert found[state].clock.stopped is not None
    assert any(isinstance(case.clock, Clock) and case.clock.due(CALENDAR) < NEVER for case in found.values())


def _tried(service: Service, case: Case, action: Action, who: Who) -> list[Case]:
    """The case after the action, if it is taken; returning papers needs two requests in vain before it."""
    if action is Action.RETURN and case.state is State.SUPPLEMENT_REQUESTED:
        late = (case.asked_until or 0) + 1
        again = step(
            service.workflow,
            case,
            Act("again", len(case.acts), Action.ASK_AGAIN, Who.OFFICIAL, late, 3),
            CALENDAR,
        )
        assert isinstance(again, Case)
        case = again
    minute = max(case.acts[-1].minute if case.acts else 0, case.asked_until or 0) + 1
    after = step(service.workflow, case, Act(action.value, len(case.acts), action, who, minute, 3), CALENDAR)
    return [after] if isinstance(after, Case) else []


def test_a_filing_goes_to_the_office_of_its_place_its_gu_or_its_facility() -> None:
    def stream(service_id: str, **values: object) -> str | None:
        return CITY.services[service_id].stream(values, CITY.facilities)

    assert stream("complaint-grievance") == "city"
    assert stream("road-damage-report", place="37.579600,126.977000") == "jongno"
    assert stream("local-tax-inquiry", gu="gangnam") == "gangnam"
    assert stream("reserve-sports", facility="mapo-worldcup-tennis-1") == "mapo"
    assert stream("reserve-sports", facility="nowhere") is None


def test_deadlines_go_by_the_kind_of_question() -> None:
    deadline = CITY.services["real-estate-inquiry"].deadline
    assert deadline.of({"kind": "procedure"}).amount == 7
    assert deadline.of({"kind": "law"}).amount == 14


def test_an_objection_is_in_time_for_sixty_days() -> None:
    service = CITY.services["refusal-objection"]
    values = filled(service, CITY)
    for refused_on, code in (
        ("2025-12-15", None),
        ("2025-12-14", "date-late"),
        ("2026-02-14", "date-future"),
    ):
        _, faults = service.check({**values, "refused_on": refused_on}, TODAY, {})
        assert [fault.code for fault in faults] == ([code] if code else [])


def test_every_service_with_places_has_some_and_every_facility_is_offered() -> None:
    offered: set[str] = set()
    for service in CITY.services.values():
        found = CITY.bookable(service)
        assert bool(found) == (service.places is not None), service.id
        offered |= {facility.id for facility in found}
    assert offered == set(CITY.facilities)
    assert any(f.allocation is Allocation.LOTTERY for f in CITY.facilities.values())


def test_open311_codes_lead_back_to_their_services() -> None:
    found = {s.open311.code: s.id for s in CITY.services.values() if s.open311}
    assert found == {
        "nuisance": "complaint-field",
        "road-damage": "road-damage-report",
        "streetlight": "streetlight-report",
        "fire-hazard": "fire-hazard-report",
    }
    for code, service_id in found.items():
        service = CITY.of_code(code)
        assert service is not None
        assert service.id == service_id
    assert CITY.of_code("nothing") is None


# ---- what is broken

GOOD = """\
id = "tree-report"
sector = "city"
kind = "report"
title = { ko = "가로수 신고", en = "Street tree report" }
about = { ko = "쓰러진 가로수를 알려요.", en = "Tell us about a fallen tree." }
public = ["kind"]
fee = { ko = "무료", en = "free of charge" }
gateway = true

[office]
of = "place"
unit = { ko = "공원녹지과", en = "Parks office" }

[eligible]
person = "anybody"
text = { ko = "누구나", en = "Anybody." }

[workflow]
use = "complaint"
steps = ["received", "assigned", "in-progress", "completed"]
sides = ["withdrawn"]

[deadline]
count = "working-days"
amount = 7

[privacy]
why = { ko = "나무를 찾으려고 받아요.", en = "To find the tree." }
keep_days = 365

[open311]
code = "tree"
group = "park"

[form]
required = ["kind", "place"]

[form.properties.kind]
type = "string"
label = { ko = "종류", en = "Kind" }
oneOf = [
    { const = "fallen", label = { ko = "쓰러짐", en = "Fallen" } },
    { const = "sick", label = { ko = "병듦", en = "Sick" } },
]

[form.properties.place]
"$ref" = "common#place"

[form.properties.body]
"$ref" = "common#body"
"""
PACKAGE = [
    Source(name, (DECLARED / name).read_text(encoding="utf-8"))
    for name in ("common.toml", "facilities/city.toml")
]


def fault_of(*changes: tuple[str, str]) -> str:
    """What is said about the good declaration with these changes."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    catalogue = read_catalogue([*PACKAGE, Source("tree.toml", text)])
    assert not catalogue.services
    assert len(catalogue.faults) == 1
    return str(catalogue.faults[0])


def test_a_service_that_nobody_has_seen_before_is_read() -> None:
    assert GOOD in (Path(__file__).parents[2] / "docs" / "services.md").read_text(encoding="utf-8")
    catalogue = read_catalogue([*PACKAGE, Source("tree.toml", GOOD)])
    assert catalogue.faults == ()
    assert catalogue.types()["tree-report"].public[0].pattern.fullmatch("fallen")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "report"', "kind = ", "tree.toml:3: file: is not valid TOML: Invalid value."),
        ('id = "tree-report"\n', "", "tree.toml:1: id: is missing: add it, or [[facilities]], [fields] or [["),
        ('"tree-report"', '"case-act"', "tree.toml:1: id: 'case-act' is what logs call something else: choose"),
        ('"tree-report"', '"Tree"', "tree.toml:1: id: 'Tree': use 1 to 40 small letters"),
        ('sector = "city"', 'sector = "moon"', "tree.toml:2: sector: 'moon' is not known: use one of administration"),
        (', en = "Street tree report"', "", "tree.toml:4: title.en: is missing: every text is there"),
        ('public = ["kind"]', 'public = ["body"]', "tree.toml:6: public: 'body' is free text, a place or a file, and"),
        ('public = ["kind"]', 'public = ["tree"]', "tree.toml:6: public: 'tree' is no field of the form"),
        ('of = "place"', 'of = "body"', "tree.toml:11: of: 'body': write \"city\", or a required field"),
        ('"in-progress", "completed"]', '"finished"]', "tree.toml:20: workflow.steps: 'finished' is no state"),
        ('"in-progress", "completed"]', '"used", "completed"]', "tree.toml:20: workflow.steps: do not fit: the steps"),
        ('["withdrawn"]', '["returned"]', "tree.toml:20: workflow.steps: do not fit: nothing leads to returned"),
        ("amount = 7", 'amount = "7"', "tree.toml:25: deadline.amount: is to be a whole number from 1 to 1000"),
        ("amount = 7", "amount = 7\nstatutory = true", "tree.toml:23: deadline.basis: is missing: say which law"),
        ('"fallen"', '"넘어짐"', "tree.toml:41: form.properties.kind.oneOf[0].const: '넘어짐': a choice"),
        ('common#place"', 'common#where"', "tree.toml:47: form.properties.place.$ref: 'common#where' is no"),
        ('["kind", "place"]', '["kind", "where"]', "tree.toml:36: form.required: 'where' is no field of this form"),
        ("keep_days = 365", "keep_day = 365", "tree.toml:27: privacy.keep_days: is missing: add it."),
        ("gateway = true", "gateway = false", "tree.toml:8: gateway: is to be true: who files by Open311 cannot sign."),
        ('person = "anybody"', 'person = "verified"', "tree.toml:8: gateway: is for services that anybody may use"),
        ('group = "park"', 'group = "park"\ncolour = 1', "tree.toml:34: open311.colour: is not a known key"),
        ('"$ref" = "common#body"', '"$ref" = "common#body"\nmaxLength = 30000', "tree.toml:51: form.properties.body"),
        ('"$ref" = "common#body"', '"$ref" = "common#photos"', "tree.toml:1: attachments: and fields of the"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_line_and_one_sentence(old: str, new: str, said: str) -> None:
    changes = [(old, new)]
    if "attachments:" in said:
        changes.append(("[form.properties.body]", "[form.properties.photos]"))
    fault = fault_of(*changes)
    assert fault.replace("office.of", "of").startswith(said), fault
    assert "\n" not in fault
    assert fault.endswith(".")


def test_what_everybody_must_be_able_to_see_is_public() -> None:
    terms = 'amount = 7\nby = "kind"\n\n[[deadline.terms]]\nchoice = "sick"\ncount = "days"\namount = 30\n'
    assert "deadline.by: is to be a public field" in fault_of(
        ('public = ["kind"]\n', ""), ("amount = 7\n", terms)
    )
    booked = CITY.services["drum-jam"]
    text = (DECLARED / "tourism" / "drum-jam.toml").read_text(encoding="utf-8")
    assert booked.public == ("facility", "slot", "instrument")
    (fault,) = read_catalogue([*PACKAGE, Source("jam.toml", text.replace('["facility", ', "[", 1))]).faults
    assert str(fault).startswith("jam.toml:6: public: is to have 'facility'")
    text = (DECLARED / "tourism" / "tour-bus-seat.toml").read_text(encoding="utf-8")
    (fault,) = read_catalogue([*PACKAGE, Source("bus.toml", text.replace(', "seats"]', "]", 1))]).faults
    assert str(fault).startswith("bus.toml:6: public: is to have 'seats': so many have to fit in")


def test_how_many_come_is_held_against_the_place_and_is_never_less_than_none() -> None:
    assert party_fields(CITY.services["heritage-tour"].form) == ("people",)  # the children are among them
    for service in CITY.services.values():
        if service.places is None:
            continue
        kept, faults = service.check(filled(service, CITY), TODAY, CITY.facilities)
        assert faults == ()
        assert 1 <= party(service.form, kept) <= CITY.facilities[str(kept["facility"])].capacity
        assert party(service.form, service.split(kept)[0]) == party(service.form, kept), "the leaf says it"
        for name in party_fields(service.form):
            (rule,) = (each for each in service.transaction_type.public if each.name == name)
            assert not rule.pattern.fullmatch("-1"), "else fewer would be counted than come"
    camping = CITY.services["reserve-camping"]
    (fault,) = camping.check({**filled(camping, CITY), "people": 5}, TODAY, CITY.facilities)[1]
    assert (fault.field, fault.code) == ("people", "too-many-people")
    assert "4명까지" in fault.sentence("ko")


def test_more_than_can_be_sealed_is_refused_before_anybody_fills_it_in() -> None:
    long = '[form.properties.t{}]\ntype = "string"\nmaxLength = 10000\nlabel = {{ ko = "글", en = "Text" }}\n'
    fault = fault_of(
        ('"$ref" = "common#body"', '"$ref" = "common#body"\n' + "".join(map(long.format, "123")))
    )
    assert "can be sealed: shorten its texts." in fault


def test_one_id_and_one_code_belong_to_one_file() -> None:
    other = Source("other.toml", GOOD.replace('"tree-report"', '"tree-two"'))
    catalogue = read_catalogue([*PACKAGE, Source("tree.toml", GOOD), other, Source("third.toml", GOOD)])
    assert list(catalogue.services) == ["tree-report"]
    assert [fault.file for fault in catalogue.faults] == ["other.toml", "third.toml"]


def test_a_dotted_key_is_found_in_its_line() -> None:
    text = '# words\na = 1\n[b.c]\n"d" = 2\n[[e]]\nf = 1\n[[e]]\nf = 2\n[e.g]\nh = { i = 1 }\n'
    for key, line in [
        ("a", 2),
        ("b.c", 3),
        ("b.c.d", 4),
        ("e[0].f", 6),
        ("e[1].f", 8),
        ("e[1].g.h.i", 10),
        ("z", 1),
    ]:
        assert line_of(text, key) == line, key


# ---- folders and the command


def test_a_service_dropped_into_a_folder_counts_at_the_next_look(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    assert folder.look()
    assert not folder.look()
    assert set(folder.catalogue.services) == SHIPPED
    (tmp_path / "more").mkdir()
    path = tmp_path / "more" / "tree.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert folder.look()
    assert set(folder.catalogue.services) == SHIPPED | {"tree-report"}
    # broken while it is edited: told, and the city goes on with what it was
    (tmp_path / "broken.toml").write_bytes(b"\xff")
    path.write_text(GOOD.replace('"city"', '"moon"'), encoding="utf-8")
    assert folder.look()
    assert set(folder.catalogue.services) == SHIPPED | {"tree-report"}
    assert [Path(fault.file).name for fault in folder.catalogue.faults] == ["broken.toml", "tree.toml"]
    path.write_text(GOOD.replace("Fallen", "Broken"), encoding="utf-8")
    (tmp_path / "broken.toml").unlink()
    assert folder.look()
    assert folder.catalogue.faults == ()
    choices = folder.catalogue.services["tree-report"].form.fields[0].choices
    assert choices["fallen"]["en"] == "Broken"
    shutil.rmtree(tmp_path / "more")
    assert folder.look()
    assert set(folder.catalogue.services) == SHIPPED


def test_a_facility_that_was_booked_stays_with_the_office_in_whose_log_it_was(tmp_path: Path) -> None:
    """Two logs that give the same places would give them twice."""
    path, folder = tmp_path / "places.toml", ServiceFolder(tmp_path)
    path.write_text(PITCH, encoding="utf-8")
    folder.look({})
    assert folder.catalogue.facilities["a-pitch"].gu == "jongno"
    path.write_text(PITCH.replace('"jongno"', '"mapo"'), encoding="utf-8")
    folder.look({"guro-gyenam-tennis-out": "guro"})  # something else was booked
    assert folder.catalogue.facilities["a-pitch"].gu == "mapo"
    # whoever books is faster than the file, or the file was read before the logs
    assert folder.look({"a-pitch": "jongno"})
    assert folder.catalogue.facilities["a-pitch"].gu == "jongno"
    (fault,) = folder.catalogue.faults
    assert str(fault) == (
        f"{path}:4: facilities[0].gu: 'a-pitch' was booked in the log of jongno, where it stays: "
        "what moves to mapo needs a new id."
    )
    assert not folder.look({})  # an index that is made anew makes nothing forgotten
    path.write_text(PITCH.replace("Pitch", "Lawn"), encoding="utf-8")
    assert folder.look()
    assert folder.catalogue.faults == ()


def test_the_command_asks_a_nodes_index_what_was_booked_where(tmp_path: Path) -> None:
    data, own = tmp_path / "data", tmp_path / "own"
    for each in (data, own):
        each.mkdir()
    (own / "places.toml").write_text(PITCH, encoding="utf-8")
    check = ["check", str(own), "--data", str(data)]
    runner = CliRunner()
    assert runner.invoke(command, check).exit_code == 0  # no index yet
    office = Office("mapo", minute_at(TODAY, 600))
    booking = {"facility": "a-pitch", "slot": "2026-02-14T10:00"}
    entry = office.file(CITY.services["reserve-sports"], booking)
    office.event(entry, Action.WAIT, "a-pitch", minute_at(TODAY, 2040), None)
    book = CaseBook(data / INDEX_NAME, CITY.services, CALENDAR)
    book.take("mapo", 0, office.leaves)
    said = runner.invoke(command, check)
    assert said.exit_code == 1
    assert "places.toml:4: facilities[0].gu: 'a-pitch' was booked in the log of mapo" in said.output
    # whoever had it first has it, whatever another log says later
    later = Office("gangnam", office.minute + 1)
    entry = later.file(CITY.services["reserve-sports"], booking)
    later.event(entry, Action.HOLD, "a-pitch", minute_at(TODAY, 2040), 0)
    book.take("gangnam", 0, later.leaves)
    assert book.homes == {"a-pitch": "mapo"}
    book.forget("mapo")
    assert book.homes == {"a-pitch": "gangnam"}
    book.close()
    (data / INDEX_NAME).write_bytes(b"no index")
    said = runner.invoke(command, check)
    assert said.exit_code == 1
    assert "no index of this release that can be read" in said.output


def test_the_command_says_what_is_wrong_and_ends_with_one(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(command, ["check"]).exit_code == 0
    (tmp_path / "tree.toml").write_text(GOOD.replace('"city"', '"moon"'), encoding="utf-8")
    said = runner.invoke(command, ["check", str(tmp_path)])
    assert said.exit_code == 1
    assert f"{tmp_path / 'tree.toml'}:2: sector: 'moon' is not known" in said.output
    listed = runner.invoke(command, ["list"])
    assert "고충민원 · Grievance" in listed.output


def test_the_page_about_services_names_all_that_can_be_declared() -> None:
    page = (Path(__file__).parents[2] / "docs" / "services.md").read_text(encoding="utf-8")
    declared = "\n".join(path.read_text(encoding="utf-8") for path in DECLARED.rglob("*.toml"))
    keys = set(re.findall(r"^([a-z_]+) = ", declared, re.MULTILINE)) - {"const"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", page)} == set()


def test_an_empty_catalogue_offers_nothing() -> None:
    assert Catalogue({}, {}).types() == {}
