"""The declared city: the package's own files, an operator's folder, the command, and the table that is served."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from p2pworld.geometry import from_5179
from p2pworld.seoul.bus import BUS_STOPS
from p2pworld.seoul.landmarks import LANDMARKS, landmark
from p2pworld.world.declarations import DeclarationFaults
from p2pworld.world.places import Places, bell_of, polygon_contains
from p2pworld.world.reading import distance_cm
from shard_node.cli import main
from shard_node.declared import FILE_BYTES_MAX, document, load, read
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOCS = Path(__file__).resolve().parents[2] / "docs" / "places.md"
NOW_MS = 1_800_000_000_000


@pytest.fixture(scope="module")
def city() -> Places:
    return read()


def test_the_city_has_its_places_and_rooms(city: Places) -> None:
    names = (
        "Gwanghwamun Gate", "Gwanghwamun Square", "Gyeongbokgung", "Deoksugung", "Sungnyemun", "Namdaemun Market",
        "Seoul City Hall", "Seoul Plaza", "Bosingak", "Cheonggyecheon Stream", "Donuimun site", "N Seoul Tower",
        "Jongmyo", "DDP", "Mayor's office", "Lecture hall", "Meeting room", "120 counter",
    )  # fmt: skip
    assert [name for name in names if city.find(name) is None] == []
    assert city.find("보신각") is city.by_id["bosingak"]
    for room in (place for place in city.all if place.room is not None):
        doors = [p for place in city.all if place.ground == "city" for p in place.portals if p.to == room.id]
        assert doors, room.id
        assert {city.by_id[portal.to].ground for portal in room.portals} == {"city"}


def test_each_place_in_the_city_lies_at_its_landmark(city: Places) -> None:
    for place in city.all:
        marks = [mark for mark in LANDMARKS if city.find(mark.name_en) is place]
        for mark in marks:
            east, north = mark.position_cm
            assert any(abs(s.at[0] - east) < 40_000 and abs(s.at[1] - north) < 40_000 for s in place.spawns)
    assert bell_of(city.by_id["bosingak"]) is not None


def test_nobody_is_put_down_inside_something_solid_by_the_bus(city: Places) -> None:
    solids = [solid for place in city.all for b in place.buildings for solid in b.solids]
    assert not [s.name_en for s in BUS_STOPS if any(polygon_contains(p, s.position_cm) for p in solids)]


# ---- Deoksugung's wall, step by step

STEP_CM = 150


def steps_over(city: Places, name: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The unblocked steps on a grid of 1.5 m that change sides of the palace's wall: from (n, 2), to (n, 2)."""
    place = city.by_id[name]
    west, south = (min(p[i] for p in place.outline) - 1_507 - 6 * i for i in (0, 1))
    east, north = (max(p[i] for p in place.outline) + 1_500 for i in (0, 1))
    easts, norths = np.meshgrid(np.arange(west, east, STEP_CM), np.arange(south, north, STEP_CM))
    inside = np.array(
        [[polygon_contains(place.outline, (e, n)) for e, n in zip(*row, strict=True)]
         for row in zip(easts.tolist(), norths.tolist(), strict=True)]
    )  # fmt: skip
    found: list[tuple[int, int, int, int]] = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = (slice(0, easts.shape[0] - dy), slice(max(0, -dx), easts.shape[1] - max(0, dx)))
        b = (slice(dy, easts.shape[0]), slice(max(0, dx), easts.shape[1] + min(0, dx)))
        crossing = inside[a] != inside[b]
        ends = [grid[part][crossing] for part in (a, b) for grid in (easts, norths)]
        for e0, n0, e1, n1 in (ends, [ends[2], ends[3], ends[0], ends[1]]):
            columns = [column.astype(np.int32) for column in (e0, n0, e1, n1)]
            free = ~city.walls.blocked(*columns)
            found += zip(*(column[free].tolist() for column in columns), strict=True)
    rows = np.array(found, np.int32).reshape(-1, 4)
    return rows[:, :2], rows[:, 2:]


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("deoksugung", [(162.9, -101, 7.5), (-159.5, -20, 2)]),
        ("gyeongbokgung", [(-14.6, -398.9, 13), (221.6, -200, 4), (-248.6, -190, 4), (0, 388.2, 4)]),
    ],
)
def test_a_palace_is_entered_by_its_gates_and_nowhere_else(
    city: Places, name: str, gates: list[tuple[float, float, float]]
) -> None:
    mark = landmark(city.by_id[name].name["en"])
    old, new = steps_over(city, name)
    solids = [solid for place in city.all for b in place.buildings for solid in b.solids]
    outline = city.by_id[name].outline
    sides = list(pairwise((*outline, outline[0])))
    used = set()
    for (e0, n0), (e1, n1) in zip(old.tolist(), new.tolist(), strict=True):
        if any(polygon_contains(solid, (e0, n0)) for solid in solids):
            continue  # nobody comes there; whoever was would walk out
        if any(distance_cm(p, *side) < 2 for p in ((e0, n0), (e1, n1)) for side in sides):
            continue  # on the wall, to a centimetre: that is on neither side of it
        middle = (e0 + e1) / 2, (n0 + n1) / 2
        near = [
            number
            for number, (east, north, half_m) in enumerate(gates)
            if np.hypot(*np.subtract(middle, from_5179(mark.e_m + east, mark.n_m + north)))
            <= half_m * 100 + 2 * STEP_CM
        ]
        assert near, f"a way through the wall at {middle}"
        used.update(near)
    assert used == set(range(len(gates)))


def test_one_walks_through_gwanghwamun_by_its_arches(city: Places) -> None:
    middle = (953809.9, 1953089.3)

    def blocked(right_m: float) -> bool:
        a = from_5179(middle[0] + right_m, middle[1] - 12)
        b = from_5179(middle[0] + right_m, middle[1] + 12)
        return bool(city.walls.blocked(*(np.array([v], np.int32) for v in (*a, *b)))[0])

    assert [blocked(right) for right in (-16, -10, -5, 0, 5, 10, 16)] == [
        True,
        False,
        True,
        False,
        True,
        False,
        True,
    ]


# ---- files

PLACE = """
id = "teahouse"
kind = "teahouse"
name = { ko = "찻집", en = "Teahouse" }
about = { ko = "차", en = "Tea" }
origin = [953600, 1952700]
box = [0, 0, 10, 10]
capacity = 9
[[spawns]]
at = [0, 0]
"""


def folder(at: Path, **files: str | bytes) -> Path:
    """A folder of declarations; `places__a` is the file places/a.toml."""
    for name, content in files.items():
        kind, _, stem = name.partition("__")
        path = at / kind / f"{stem}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return at


def told(at: Path) -> list[str]:
    with pytest.raises(DeclarationFaults) as caught:
        read(at)
    return [str(fault).removeprefix(f"{at}/") for fault in caught.value.faults]


def test_an_operator_adds_a_place_with_one_file(tmp_path: Path, city: Places) -> None:
    mine = read(folder(tmp_path, places__teahouse=PLACE))
    assert {place.id for place in mine.all} - set(city.by_id) == {"teahouse"}


def test_what_docs_say_is_true(tmp_path: Path) -> None:
    place, programme = re.findall(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    mine = read(folder(tmp_path, places__teahouse=place, programmes__tea=programme))
    assert mine.programmes[-1].place == "teahouse"
    assert [len(mine.programmes[-1].timeline), len(mine.programmes[-1].rehearsal)] == [4, 2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"id = ", "is not valid TOML"),
        (b"#" * (FILE_BYTES_MAX + 1), "is larger than"),
        (PLACE.replace("capacity = 9", "capacity = 0").encode(), "whole number from 1"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, says: str) -> None:
    (line,) = told(folder(tmp_path, places__bad=content, places__good=PLACE.replace("찻집", "찻집 둘")))
    assert line.startswith("places/bad.toml: ")
    assert says in line


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    assert "holds neither" in told(tmp_path)[0]
    assert "is no folder" in told(tmp_path / "nowhere")[0]


def test_a_faulty_declaration_keeps_a_node_from_starting(tmp_path: Path) -> None:
    bad = PLACE.replace("capacity = 9", "capacity = 0")
    with pytest.raises(
        ConfigError, match=r"city.declared: .*a.toml: capacity: .* \(1 more; `p2pworld places"
    ):
        load(folder(tmp_path, places__a=bad, places__b=bad))


def test_the_command_checks(tmp_path: Path) -> None:
    good = CliRunner().invoke(main, ["places", "check", str(folder(tmp_path, places__a=PLACE))])
    assert (good.exit_code, "20 places, 1 programmes" in good.output) == (0, True)
    bad = CliRunner().invoke(main, ["places", "check", str(folder(tmp_path, places__b="id = 7"))])
    assert (bad.exit_code, "b.toml: id: " in bad.output) == (1, True)
    listed = CliRunner().invoke(main, ["places", "list"])
    assert "Bosingak" in listed.output
    assert "01-01 00:00 in Seoul" in listed.output


def test_the_table_is_served_with_a_tag_that_changes_when_it_does(city: Places) -> None:
    until_ms, tag, body = document(city, NOW_MS)
    table = json.loads(body)
    assert {place["id"] for place in table["places"]} == set(city.by_id)
    (bell,) = table["programmes"]
    assert until_ms == bell["next_ms"] + 1
    assert document(city, int(until_ms) - 1)[1:] == (tag, body)
    assert document(city, int(until_ms))[1] != tag
    (palace,) = (place for place in table["places"] if place["id"] == "deoksugung")
    assert palace["outline"][0] == list(city.by_id["deoksugung"].outline[0])
    assert {"ko", "en"} <= set(palace["name"])
