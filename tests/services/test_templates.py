"""Templates of letters: the city's own are whole in both languages, and facts are put where they belong."""

from __future__ import annotations

import re
from datetime import date

import pytest

from p2pworld.services.catalogue import Source, read_catalogue
from p2pworld.services.deadlines import NEVER
from p2pworld.services.templates import FACTS, due_words, facts_of, fill, office_name
from p2pworld.services.workflow import Action, Who
from p2pworld.services.working_time import end_of, minute_at
from shard_node.services.folder import read

CITY = read()
FILED = minute_at(date(2026, 7, 3), 10 * 60)

GOOD = """
[[templates]]
id = "tree"
actions = ["complete"]
title = { ko = "나무", en = "Tree" }
text = { ko = "{name}님, 치웠어요.", en = "Dear {name}, it is gone." }
"""


def test_what_is_filled_in_has_no_brace_left() -> None:
    service = CITY.services["complaint-statutory"]
    for language in ("ko", "en"):
        facts = facts_of(service, "jongno/12", FILED, FILED + 60, "jongno", language)
        facts |= {"name": "홍길동", "days": "10"}
        assert facts.keys() == set(FACTS)
        for template in CITY.templates.values():
            filled = fill(template.text[language], facts)
            assert not re.search(r"[{}]", filled), template.id
            assert filled != template.text[language]


def test_each_act_that_ends_a_case_has_a_template() -> None:
    ends = {
        action
        for service in CITY.services.values()
        for (_, action), rule in service.workflow.table.items()
        if rule.to in service.workflow.ends and rule.who & {Who.OFFICIAL, Who.DECIDER}
    } - {
        Action.USE,
        Action.MISS,
        Action.EXPIRE,
        Action.CANCEL,
        Action.EMERGENCY,
    }  # the places' own, no letters
    without = {
        action.value
        for action in ends
        if not any(template.fits(action, "mayor-proposal") for template in CITY.templates.values())
    }
    assert without == set()


def test_a_fact_that_is_not_known_stays_for_the_official_to_see() -> None:
    assert fill("{name}, {number}", {"number": "city/3"}) == "{name}, city/3"
    assert fill("{name}", {"name": "{number}", "number": "1"}) == "{number}", "a name is never a template"


def test_deadlines_in_words() -> None:
    day = date(2026, 7, 3)
    assert due_words(end_of(day), True) == "2026년 7월 3일"
    assert due_words(end_of(day), False) == "3 July 2026"
    assert due_words(minute_at(day, 14 * 60), True) == "2026년 7월 3일 14:00"
    assert due_words(minute_at(day, 14 * 60), False) == "14:00 on 3 July 2026"
    assert due_words(NEVER, True) == due_words(None, True)


def test_offices_in_words() -> None:
    assert office_name("city", True) == "서울특별시청"
    assert office_name("jongno", True) == "종로구청"
    assert office_name("jongno", False) == "Jongno-gu Office"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["complete"]', '["finish"]', "'finish' is no action"),
        ('["complete"]', "[]", "is missing: say with which actions"),
        ("Dear {name}", "Dear {nmae}", "{nmae} is no fact of a case"),
        ('id = "tree"', 'id = "Tree"', "'Tree': use 1 to 40 small letters"),
        ('id = "tree"', 'id = "tree"\nservices = ["moon"]', "no service is called moon"),
        ('en = "Dear', 'ja = "Dear', "is missing: every text is there"),
        ('id = "tree"', 'id = "tree"\ncolour = "red"', "is not a known key"),
    ],
)
def test_a_broken_template_is_told_and_left_out(old: str, new: str, said: str) -> None:
    assert old in GOOD
    found = read_catalogue([Source("letters.toml", GOOD.replace(old, new))])
    assert not found.templates
    assert [said in str(fault) for fault in found.faults] == [True], found.faults


def test_two_templates_of_one_name_are_told() -> None:
    found = read_catalogue([Source("letters.toml", GOOD + GOOD)])
    assert list(found.templates) == ["tree"]
    assert "in letters.toml already" in str(found.faults[0])
