"""What people and programs send as a form: what is taken, what is said about the rest, in both languages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.services.form import FORMATS, Form, gu_of_point, read_form
from p2pworld.services.reasons import FIELD_REASONS
from p2pworld.world.reading import Table
from p2pworld.world.text import line_fault, neat, paragraphs_fault


def words(name: str) -> dict[str, str]:
    return {"ko": f"{name} 칸", "en": name}


def form(**properties: dict[str, object]) -> Form:
    """A form of these fields, of which `must` is required."""
    fields = {name: {"label": words(name), **schema} for name, schema in properties.items()}
    required = [name for name in fields if name == "must"]
    return read_form(Table("form", {"required": required, "properties": fields}), {})


CHOICES = [{"const": name, "label": words(name)} for name in ("cat", "dog")]
FORM = form(
    must={"type": "string", "minLength": 2, "maxLength": 10},
    story={"type": "string", "lines": True, "maxLength": 100},
    code={"type": "string", "maxLength": 9, "pattern": "[A-Z]{3}", "error": words("three letters")},
    animal={"type": "string", "oneOf": CHOICES},
    animals={"type": "array", "items": {"type": "string", "oneOf": CHOICES}, "maxItems": 2},
    people={"type": "integer", "minimum": 1, "maximum": 9},
    agree={"type": "boolean", "const": True},
    day={"type": "string", "format": "date"},
    place={"type": "string", "format": "point"},
    files={"type": "array", "items": {"type": "string", "format": "file"}, "maxItems": 2},
)


def faults(**values: object) -> list[tuple[str, str]]:
    """The fields and codes of what is wrong with these values."""
    return [(fault.field, fault.code) for fault in FORM.check({"must": "여기요", **values})[1]]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("must", "", "field-required"),
        ("must", "  ", "field-required"),
        ("must", None, "field-required"),
        ("must", "가", "text-too-short"),
        ("must", "가" * 11, "text-too-long"),
        ("must", "a\nb", "text-unsupported"),
        ("must", "a\u202egnp.exe", "text-unsupported"),
        ("must", "a\x00b", "text-unsupported"),
        ("must", "Z" + "\u0300" * 9, "text-unsupported"),
        ("must", 5, "field-invalid"),
        ("must", ["a"], "field-invalid"),
        ("story", "a\n\u2066b", "text-unsupported"),
        ("story", "a\u2028b", "text-unsupported"),
        ("code", "AB", "field-invalid"),
        ("code", "ABCD", "field-invalid"),
        ("animal", "cow", "choice-unknown"),
        ("animals", ["cat", "cow"], "choice-unknown"),
        ("animals", ["cat", "cat"], "field-invalid"),
        ("people", 0, "number-too-small"),
        ("people", 10, "number-too-large"),
        ("people", "3", "field-invalid"),
        ("people", True, "field-invalid"),
        ("people", 2.5, "field-invalid"),
        ("agree", False, "must-agree"),
        ("day", "2026-02-30", "date-invalid"),
        ("day", "13.02.2026", "date-invalid"),
        ("place", "37.0000,127.0000", "place-outside"),
        ("place", "north pole", "field-invalid"),
        ("files", ["ab" * 32, "cd" * 32, "ef" * 32], "too-many-files"),
        ("files", ["../../etc/passwd"], "field-invalid"),
        ("nobody", "asked", "field-unknown"),
    ],
)
def test_each_thing_that_is_wrong_has_its_reason_in_both_languages(
    field: str, value: object, code: str
) -> None:
    _, found = FORM.check({"must": "여기요", field: value})
    assert [(fault.field, fault.code) for fault in found] == [(field, code)]
    assert re.search("[가-힣]", found[0].sentence("ko"))
    assert "{" not in found[0].sentence("ko") + found[0].sentence("en")


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_form() -> None:
    assert faults(must="가", people=0, animal="cow", zz="?", day="2026-13-01") == [
        ("must", "text-too-short"),
        ("animal", "choice-unknown"),
        ("people", "number-too-small"),
        ("day", "date-invalid"),
        ("zz", "field-unknown"),
    ]


def test_a_field_may_have_words_of_its_own_for_what_is_wrong() -> None:
    (fault,) = FORM.check({"must": "여기요", "code": "abc"})[1]
    assert (fault.sentence("ko"), fault.sentence("en")) == ("three letters 칸", "three letters")


def test_text_is_kept_composed_and_without_space_around() -> None:
    kept, found = FORM.check({"must": " \u1112\u1161\u11ab\u1100\u1173\u11af ", "story": "가\r\n나\t다\r라"})
    assert found == ()
    assert kept == {"must": "한글", "story": "가\n나\t다\n라"}


def test_a_whole_number_is_written_as_one_however_it_came() -> None:
    kept, found = FORM.check({"must": "여기요", "people": 3.0})
    assert found == ()
    assert FORM.texts(kept)["people"] == "3"


def test_markup_and_commands_are_text_like_any_other() -> None:
    story = "<script>alert(1)</script> '; DROP TABLE seats; -- ${x} {{y}}"
    kept, found = FORM.check({"must": "여기요", "story": story})
    assert found == ()
    assert FORM.texts(kept)["story"] == story


def test_values_become_the_texts_of_a_transaction() -> None:
    kept, _ = FORM.check({"people": 3, "agree": True, "must": "여기요", "animals": ["dog", "cat"]})
    assert FORM.texts(kept) == {"must": "여기요", "animals": '["dog","cat"]', "people": "3", "agree": "true"}


def test_what_may_stand_in_public_is_narrow() -> None:
    patterns = {field.name: field.pattern(required=True) for field in FORM.fields}
    assert [name for name, pattern in patterns.items() if pattern is None] == [
        "must",
        "story",
        "code",
        "animals",
        "place",
        "files",
    ]
    assert re.fullmatch(patterns["animal"] or "", "cat")
    assert not re.fullmatch(patterns["animal"] or "", "")
    assert re.fullmatch(FORM.fields[3].pattern(required=False) or "", "")


def test_each_format_has_a_bound_and_a_pattern_that_holds_it() -> None:
    for name, (pattern, most) in FORMATS.items():
        assert re.compile(pattern)
        assert 0 < most <= 300, name
    assert set(FIELD_REASONS) >= {"field-required", "date-late", "date-future"}


def test_a_point_lies_in_its_gu_or_nowhere() -> None:
    assert gu_of_point("37.579600,126.977000") == "jongno"
    assert gu_of_point("37.497900,127.027600") == "gangnam"
    assert gu_of_point("37.456300,126.705200") is None  # Incheon


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([field.name for field in FORM.fields]), JSON))
def test_whatever_is_sent_is_taken_or_told(values: dict[str, object]) -> None:
    """Nothing raises; what is kept passes again as it is, and its texts fit the bounds that were checked."""
    kept, found = FORM.check(values)
    assert all(fault.sentence("ko") and fault.sentence("en") for fault in found)
    if not found:
        assert FORM.check(kept) == (kept, ())
        for name, text in FORM.texts(kept).items():
            field = FORM.field(name)
            assert field is not None
            assert len(text) <= field.characters_max


@given(st.text(max_size=30))
def test_neat_text_is_neat(text: str) -> None:
    assert neat(neat(text)) == neat(text)
    if line_fault(neat(text), 30) is None:
        assert paragraphs_fault(neat(text), 30) is None
