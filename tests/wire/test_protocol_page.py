"""docs/protocol.md names every message, kind and field there is, and its worked example is the vector's."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from p2pworld.civic.reasons import REASONS
from p2pworld.crypto.link import LinkAccepted, LinkChallenge, LinkHello, LinkRefused
from p2pworld.grants import Grant
from p2pworld.messages import LINK_MESSAGES, PLAY_MESSAGES, Pose, Profile, WorldObject
from p2pworld.wire.frames import BORDER_DTYPE, POSE_DTYPE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
PLAY, LINK = PAGE.split("# Appendix", 1)


def row_of(text: str, kind: int, name: str) -> str:
    """The one table row that begins with this kind and this name."""
    (row,) = re.findall(rf"^\| 0x{kind:02X} \| {name}\b.*$", text, re.MULTILINE)
    return str(row)


@pytest.mark.parametrize("cls", PLAY_MESSAGES, ids=lambda cls: cls.__name__)
def test_every_play_message_has_its_row(cls: type) -> None:
    row = row_of(PLAY, cls.KIND, cls.__name__.upper())  # type: ignore[attr-defined]
    for field in dataclasses.fields(cls):
        optional = field.default is not dataclasses.MISSING
        assert f"`{field.name}`" + "?" * optional in row, field.name


@pytest.mark.parametrize(
    "cls", [*LINK_MESSAGES, LinkChallenge, LinkHello, LinkAccepted, LinkRefused], ids=lambda cls: cls.__name__
)
def test_every_link_message_has_its_row(cls: type) -> None:
    row = row_of(LINK, cls.KIND, cls.__name__)  # type: ignore[attr-defined]
    for field in dataclasses.fields(cls):
        assert f"`{field.name}`" in row, field.name


@pytest.mark.parametrize("cls", [Pose, Profile, WorldObject, Grant])
def test_every_shared_part_is_told(cls: type) -> None:
    for field in dataclasses.fields(cls):
        assert f"`{field.name}`" in PAGE, field.name


@pytest.mark.parametrize(("dtype", "text"), [(POSE_DTYPE, PLAY), (BORDER_DTYPE, LINK)], ids=["POSE", "rows"])
def test_every_packed_field_stands_at_its_offset(dtype: object, text: str) -> None:
    for name, (kind, at) in dtype.fields.items():  # type: ignore[attr-defined]
        letter = {"u": "u", "i": "i"}[kind.kind]
        assert f"| {at} | {letter}{8 * kind.itemsize} | {name} |" in text


def test_the_worked_example_is_the_vector() -> None:
    vectors = json.loads((ROOT / "tests/vectors/handshake.json").read_text(encoding="utf-8"))
    fresh = next(case for case in vectors if case["name"] == "HELLO, a fresh login")
    canonical, signed = (
        "".join(line.partition("#")[0] for line in block.splitlines()).replace(" ", "")
        for block in re.findall(r"(?:^    [0-9a-f ]+# .*\n)+", PLAY, re.MULTILINE)
    )
    assert canonical == fresh["canonical"]
    assert signed == fresh["signed"]
    assert f"The {len(signed) // 2} signed bytes" in PLAY
    for value in (fresh["sha256"], f"{fresh['message']['sig'][:8]}…{fresh['message']['sig'][-6:]}"):
        assert f"`{value}`" in PLAY


def test_every_reason_why_something_is_not_filed_is_told() -> None:
    for reason in REASONS:
        assert f"`{reason}`" in PAGE, reason
