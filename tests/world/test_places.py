"""Places: what a declaration may say and what it may not, and who is let in where."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell, from_5179
from p2pworld.messages import Correct, Instant, Notice, Pose, ToClient
from p2pworld.seoul.annex import room_cell
from p2pworld.world.citymap import genesis
from p2pworld.world.crowd import MINE, Crowd
from p2pworld.world.declarations import DeclarationFaults, Document, read_places
from p2pworld.world.outbox import Outbox
from p2pworld.world.places import NO_PLACES, Places
from p2pworld.world.region import RegionIndex
from p2pworld.world.roles import Role
from p2pworld.world.visits import Visits
from tests.world.crowds import LOGIN, index_of, member, poses, put

YARD = """
id = "yard"
kind = "yard"
name = { ko = "마당", en = "Yard (old)" }
about = { ko = "작은 마당", en = "A small yard" }
origin = [953800, 1953000]
box = [0, 0, 40, 40]
capacity = 100
services = ["notices"]
board = [5, 5]
[[walls]]
ring = [[-15, -15], [15, -15], [15, 15], [-15, 15]]
gates = [{ at = [0, -15], width = 4 }]
[[buildings]]
box = [0, 8, 6, 4]
height = 3
name = { ko = "집", en = "House" }
[[buildings]]
box = [0, -15, 12, 2]
height = 5
arches = [{ at = 0, width = 4 }]
[[decorations]]
kind = "tree"
points = [[-10, 10], [10, 10]]
width = 3
[[features]]
kind = "bell"
points = [[3, 0]]
[[portals]]
at = [-8, 0]
to = "office"
name = { ko = "사무실", en = "Office" }
[[spawns]]
at = [0, 0]
facing = 90
[[spawns]]
at = [2, -4]
"""
OFFICE = """
id = "office"
kind = "office"
name = { ko = "사무실", en = "Office" }
about = { ko = "방", en = "A room" }
room = 5
box = [0, 0, 10, 10]
capacity = 2
[[portals]]
at = [0, -4]
radius = 0.5
to = "yard"
arrive = [953796, 1953000]
name = { ko = "나가기", en = "Out" }
[[spawns]]
at = [0, 0]
"""
PORTAL = OFFICE[OFFICE.index("[[portals]]") : OFFICE.index("[[spawns]]")]
BELL = """
id = "noon"
place = "yard"
name = { ko = "정오", en = "Noon" }
about = { ko = "종", en = "The bell" }
capacity = 10
[schedule]
every = "day"
at = "12:00:00"
[[timeline]]
at = 0
do = "ring"
times = 3
every = 2
"""


def documents(*texts: str) -> list[Document]:
    return [Document(f"{number}.toml", tomllib.loads(text)) for number, text in enumerate(texts)]


def table(*texts: str, programmes: tuple[str, ...] = ()) -> Places:
    return read_places(documents(*texts), documents(*programmes))


def faults(*texts: str, programmes: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(DeclarationFaults) as caught:
        table(*texts, programmes=programmes)
    return [str(fault) for fault in caught.value.faults]


def test_a_good_declaration_becomes_a_place() -> None:
    places = table(YARD, OFFICE, programmes=(BELL,))
    yard, office = places.all
    east, north = from_5179(953800, 1953000)
    assert yard.outline == (
        (east - 2000, north - 2000), (east + 2000, north - 2000),
        (east + 2000, north + 2000), (east - 2000, north + 2000),
    )  # fmt: skip
    assert [spawn.yaw for spawn in yard.spawns] == [64, 0]
    assert yard.board == (east + 500, north + 500)
    ends = {end for wall in yard.walls for end in (wall.line[0], wall.line[-1])}
    corner = (east - 1500, north - 1500)  # where the ring begins
    assert ends == {corner, (east - 200, north - 1500), (east + 200, north - 1500)}
    house, gate = yard.buildings
    assert (len(house.solids), len(gate.solids), house.height_cm) == (1, 2, 300)
    assert [tree.line for tree in yard.decorations] == [
        ((east - 1000, north + 1000),), ((east + 1000, north + 1000),),
    ]  # fmt: skip
    assert office.room == room_cell(5)
    assert office.spawns[0].at == room_cell(5).centre_cm


def test_places_are_found_by_name_and_by_ground() -> None:
    places = table(YARD, OFFICE)
    assert [places.find(text) for text in ("yard", " YARD", "마당", "yard (OLD)", "garden")] == [
        places.by_id["yard"],
    ] * 4 + [None]
    east, north = from_5179(953800, 1953000)
    assert places.at(east, north) is places.by_id["yard"]
    assert places.at(east, north + 2_001) is None
    west, south, _, _ = room_cell(5).bounds_cm()
    assert places.at(west, south) is places.by_id["office"]  # a room is its whole cell
    assert (NO_PLACES.find("yard"), NO_PLACES.at(east, north), len(NO_PLACES.walls)) == (None, None, 0)


def test_what_lies_within_another_place_is_found_first() -> None:
    inner = YARD.replace('"yard"', '"inner"').replace("마당", "안마당").replace("Yard (old)", "Inner")
    small = inner.replace("box = [0, 0, 40, 40]", "box = [0, 0, 30, 30]")
    for order in ((YARD, small), (small, YARD)):
        places = table(*order, OFFICE)
        assert places.at(*from_5179(953800, 1953000)) is places.by_id["inner"]


@pytest.mark.parametrize(
    ("change", "to", "key", "says"),
    [
        ('id = "yard"', 'id = "The Yard"', "id", "small letters"),
        ('kind = "yard"', "", "kind", "missing"),
        ("capacity = 100", "capacity = 0", "capacity", "from 1 to"),
        ("capacity = 100", "capacity = -3", "capacity", "from 1 to"),
        ("capacity = 100", "capacity = true", "capacity", "whole number"),
        ("capacity = 100", "capactiy = 100", "capacity", "missing"),
        ('services = ["notices"]', "colour = 3", "colour", "not a known key"),
        ('about = { ko = "작은 마당", en = "A small yard" }', 'about = { ko = "작은" }', "about.en", "missing"),
        ('name = { ko = "집", en = "House" }', 'name = { en = "House" }', "buildings[0].name.ko", "missing"),
        ('en = "Yard (old)"', 'en = "Y", fr = "Cour"', "name.fr", "no language"),
        ("origin = [953800, 1953000]", "origin = [37.5, 127.0]", "origin", "EPSG:5179"),
        ("origin = [953800, 1953000]", "origin = [953800]", "origin", "EPSG:5179"),
        ("origin = [953800, 1953000]", "", "origin", "either origin"),
        ("origin = [953800, 1953000]", "room = 99999", "room", "from 0 to"),
        ("box = [0, 0, 40, 40]", "outline = [[0, 0], [9, 9], [9, 0], [0, 9]]", "outline", "crosses itself"),
        ("box = [0, 0, 40, 40]", "outline = [[0, 0], [9, 0], [18, 0]]", "outline", "no area"),
        ("box = [0, 0, 40, 40]", "outline = [[0, 0], [9, 0]]", "outline", "3 to"),
        ("box = [0, 0, 40, 40]", "outline = [[0, 0], [9, 0], [9, nan]]", "outline[2]", "no point"),
        ("box = [0, 0, 40, 40]", "", "outline", "exactly one shape"),
        ("box = [0, 0, 40, 40]", "box = [0, 0, 40]", "box", "middle and its size"),
        ("ring = [[-15, -15]", "ring = [[-1500, -15]", "walls[0]", "surroundings"),
        ("at = [0, -15], width = 4", "at = [0, -12], width = 4", "walls[0].gates[0].at", "from the wall"),
        ("at = [0, -15], width = 4", "at = [14, -15], width = 4", "walls[0].gates[0].width", "wider"),
        ("arches = [{ at = 0, width = 4 }]", "arches = [{ at = 5, width = 4 }]", "arches[0].at", "fit"),
        ('to = "office"', 'to = "nowhere"', "portals[0].to", "no place: use one of office, yard"),
        ("at = [2, -4]", "at = [0, 8]", "spawns[1].at", "inside something solid"),
        ("at = [2, -4]", "at = [14.8, 0]", "spawns[1].at", "of a wall"),
        ("capacity = 100", 'capacity = 100\naccess = ["role:king"]', "access", "'king' is no role"),
        ("points = [[3, 0]]", 'points = [[3, 0]]\naccess = "official"', "features[0].access", "such as"),
        ('kind = "bell"', 'kind = "drums"\naccess = "public"', "features[0].access", "who may strike a bell"),
        ("at = [2, -4]", "at = [19, 25]", "spawns[1].at", "outside the outline"),
        ("at = [2, -4]", "at = [-8, 1]", "spawns[1].at", "in a portal"),
        ("at = [-8, 0]", "at = [1, 8]", "portals[0].at", "solid"),
        ("facing = 90", "facing = 900", "spawns[0].facing", "from 0 to 360"),
        ("[[spawns]]", "[[spwans]]", "spwans", "not a known key"),
        ("[[spawns]]\nat = [0, 0]\nfacing = 90\n[[spawns]]\nat = [2, -4]\n", "", "spawns", "missing"),
        ("board = [5, 5]", 'access = ["officials"]', "access", "role:official"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_key(change: str, to: str, key: str, says: str) -> None:
    assert change in YARD
    told = faults(YARD.replace(change, to), OFFICE)
    assert any(f"0.toml: {key}: " in line or f".{key}: " in line for line in told), told
    assert any(says in line for line in told), told


@pytest.mark.parametrize(
    ("change", "to", "key", "says"),
    [
        ('id = "office"', 'id = "yard"', "id", "declared in 0.toml already"),
        ('en = "Office" }\nabout', 'en = "마당" }\nabout', "name.en", "the name of yard already"),
        ("arrive = [953796, 1953000]", "arrive = [953900, 1953000]", "portals[0].arrive", "does not lie in"),
        ("arrive = [953796, 1953000]", "arrive = [953800, 1953008]", "portals[0].arrive", "solid"),
        ("box = [0, 0, 10, 10]", "box = [0, 0, 600, 10]", "outline", "the room's cell"),
        (PORTAL, "", "portals", "nobody could leave"),
    ],
)  # fmt: skip
def test_what_takes_two_files_to_see(change: str, to: str, key: str, says: str) -> None:
    assert change in OFFICE
    told = faults(YARD, OFFICE.replace(change, to))
    assert any(f"1.toml: {key}: " in line for line in told), told
    assert any(says in line for line in told), told


def test_a_room_belongs_to_one_place_and_all_faults_are_told_at_once() -> None:
    second = OFFICE.replace('"office"', '"other"').replace("사무실", "다른").replace('"Office"', '"Other"')
    (told,) = faults(YARD, OFFICE, second)
    assert told == "2.toml: room: is office's already (1.toml): take another number."
    told_all = faults(YARD.replace('kind = "yard"', ""), OFFICE.replace('kind = "office"', ""))
    assert [line.split(":")[0] for line in told_all] == ["0.toml", "1.toml"]


@pytest.mark.parametrize(
    ("change", "to", "key", "says"),
    [
        ('at = "12:00:00"', 'at = "24:00:00"', "schedule.at", "HH:MM:SS"),
        ('every = "day"', 'every = "month"', "schedule.every", "day, week, year or once"),
        ('every = "day"', 'every = "week"', "schedule.on", "one of mon"),
        ('every = "day"', 'every = "year"\non = "02-30"', "schedule.on", "MM-DD"),
        ('every = "day"', 'every = "once"\non = "2027-2-3"', "schedule.on", "YYYY-MM-DD"),
        ('every = "day"', 'every = "day"\non = "mon"', "schedule.on", "nothing"),
        ('do = "ring"', 'do = "explode"', "timeline[0].do", '"ring" or "tell"'),
        ("times = 3", "times = 2000", "timeline[0].times", "from 1 to"),
        ('place = "yard"', 'place = "nowhere"', "place", "no place"),
        ('place = "yard"', 'place = "office"', "timeline", "has no bell"),
        ("capacity = 10", "capacity = 0", "capacity", "from 1 to"),
        ("[[timeline]]", "[[tmeline]]", "timeline", "missing"),
    ],
)  # fmt: skip
def test_malformed_programmes(change: str, to: str, key: str, says: str) -> None:
    assert change in BELL
    told = faults(YARD, OFFICE, programmes=(BELL.replace(change, to),))
    assert any(f"0.toml: {key}: " in line for line in told), told
    assert any(says in line for line in told), told


# ---- in the crowd


def test_a_step_through_a_wall_is_corrected_and_one_through_the_gate_is_not() -> None:
    places = table(YARD, OFFICE)
    east, north = from_5179(953800, 1953000)
    index = whole_city(1)
    crowd = Crowd(8)
    crowd.walls = places.walls
    for conn, dx in enumerate((-1000, 0, 1000)):
        crowd.add(conn + 1, LOGIN, 0, 0, Pose(east + dx, north - 1600), MINE, 0.0)
        crowd.attach(conn, conn)
    crowd.mover[2] = 1  # on a vehicle: its own way
    steps = [(0, 1, east - 1000, north - 1400), (1, 1, east, north - 1400), (2, 1, east + 1000, north - 1400)]
    applied = crowd.apply_poses(*poses(steps), index, 1.0)
    assert (applied.accepted, applied.dropped) == (2, {"wall": 1})
    ((conn, seq, pose, reason),) = applied.corrections
    assert (conn, seq, pose.north_cm, reason) == (0, 1, north - 1600, "wall")
    along = crowd.apply_poses(*poses([(0, 2, east - 900, north - 1600)]), index, 1.2)
    assert along.accepted == 1


def test_nobody_walks_into_a_room_or_out_of_it() -> None:
    walls = table(YARD, OFFICE).walls
    east, north = room_cell(5).centre_cm
    steps = np.array([(east, north, east, north + 600), (east, north + 600, east, north)], np.int32)
    assert walls.blocked(steps[:, 0], steps[:, 1], steps[:, 2], steps[:, 3]).tolist() == [True, True]


# ---- visits


def whole_city(room_holder: int, held: int = 3) -> RegionIndex:
    """Member 1 holds the quarters of the root with Seoul's middle; `room_holder` the one with the rooms."""
    quarters = Cell(1).children()
    claims: dict[Any, list[Cell]] = {member(1): list(quarters[1 : held + 1])}
    if room_holder:
        claims.setdefault(member(room_holder), []).append(quarters[0])
    made = genesis(claims)
    assert not isinstance(made, Refusal)
    return RegionIndex(made, member(1).who)


class Here:
    """One node's visits, with people on sockets of the number of their avatar."""

    def __init__(self, places: Places, index: RegionIndex, role: str = "") -> None:
        self.crowd, self.out, self.index = Crowd(32), Outbox(), index
        held = Role(role, ("cells:*",), 10) if role else None
        self.visits = Visits(places, self.crowd, self.out, lambda a: bytes([a]) * 32, lambda avatar: held)

    def stand(self, avatar: int, east_m: float, north_m: float) -> int:
        at = from_5179(953800 + east_m, 1953000 + north_m)
        row = self.crowd.add(avatar, LOGIN, 0, 0, Pose(*at), MINE, 0.0)
        self.crowd.attach(row, avatar)
        return row

    def go(self, avatar: int, text: str, now_s: float = 1.0) -> bool:
        row = self.crowd.row_of[avatar]
        return self.visits.go(avatar, row, text, self.index, Instant(now_s, 0))

    def tick(self, now_s: float = 1.0) -> None:
        self.visits.tick(self.index, Instant(now_s, 0))

    def said(self) -> list[tuple[int, str]]:
        """What each socket was told since the last call: a notice's code, or a correction's reason."""
        told = [
            (send.conn, send.message.code if isinstance(send.message, Notice) else send.message.reason)
            for send in self.out.sends
            if isinstance(send, ToClient) and isinstance(send.message, Notice | Correct)
        ]
        self.out.sends.clear()
        return told

    def at(self, avatar: int) -> tuple[int, int]:
        pose = self.crowd.pose(self.crowd.row_of[avatar])
        return pose.east_cm, pose.north_cm


PLACES = table(YARD, OFFICE)
DESK = room_cell(5).centre_cm
NOW = Instant(1.0, 0)


def test_who_goes_to_a_place_appears_there_each_at_another_spot() -> None:
    here = Here(PLACES, whole_city(1))
    for avatar in (1, 2):
        here.stand(avatar, 900, 900)
        assert here.go(avatar, "마당")
    spots = [spawn.at for spawn in PLACES.by_id["yard"].spawns]
    assert (here.at(1), here.at(2)) == (spots[1], spots[0])
    assert here.said() == [(1, "go"), (2, "go")]
    assert not here.go(1, "Atlantis")


def test_a_room_holds_so_many_people() -> None:
    here = Here(PLACES, whole_city(1))
    for avatar in (1, 2, 3):
        here.stand(avatar, 900, 900)
        here.go(avatar, "office")
    assert [here.at(avatar) == DESK for avatar in (1, 2, 3)] == [True, True, False]
    assert here.said() == [(1, "go"), (2, "go"), (3, "place-full")]
    room = Pose(*DESK)
    assert [here.visits.full(avatar, room) for avatar in (1, 3)] == [
        False,
        True,
    ]  # who is in it already, stays
    assert not here.visits.admits(3, b"", room, NOW)
    assert here.visits.admits(1, b"", room, NOW)
    assert here.visits.admits(3, b"", Pose(*from_5179(953800, 1953000)), NOW)


def test_a_room_that_another_node_finds_full_gives_one_back() -> None:
    here = Here(PLACES, whole_city(2))
    here.stand(1, 900, 900)
    here.go(1, "office")
    assert here.at(1) == DESK
    here.visits.refused(1)
    assert here.at(1) == from_5179(954700, 1953900)
    here.visits.refused(1)  # told once
    assert here.said() == [(1, "go"), (1, "go"), (1, "place-full")]


def test_a_refusal_long_after_moves_nobody() -> None:
    here = Here(PLACES, whole_city(2))
    here.stand(1, 900, 900)
    here.go(1, "office", now_s=1.0)
    here.tick(now_s=12.0)
    here.visits.refused(1)
    assert here.at(1) == DESK


def test_ground_that_nobody_holds_is_closed() -> None:
    here = Here(PLACES, whole_city(0))
    here.stand(1, 900, 900)
    assert here.go(1, "office")
    assert here.said() == [(1, "place-closed")]


@pytest.mark.parametrize(
    ("access", "role", "let_in"),
    [
        ('["role:official"]', "official", True),
        ('["role:official"]', "moderator", False),
        (f'["key:{"01" * 32}"]', "", True),
        (f'["key:{"02" * 32}"]', "", False),
        (f'["key:{"02" * 32}", "role:official"]', "official", True),
        ('"public"', "", True),
    ],
)
def test_access(access: str, role: str, let_in: bool) -> None:
    closed = table(YARD, OFFICE.replace("capacity = 2", f"capacity = 2\naccess = {access}"))
    here = Here(closed, whole_city(1), role)
    here.stand(1, 900, 900)
    here.go(1, "office")
    assert (here.at(1) == DESK) is let_in
    assert here.said() == [(1, "go" if let_in else "place-closed")]
    assert here.visits.admits(1, b"\1" * 32, Pose(*DESK), NOW) is let_in


def test_a_portal_leads_there_and_back() -> None:
    here = Here(PLACES, whole_city(1))
    row = here.stand(1, -6, 0)
    here.tick()
    assert here.said() == []
    here.crowd.set_pose(row, Pose(*from_5179(953793, 1953000)), 5)
    here.tick()
    assert here.at(1) == DESK
    here.tick()
    assert here.said() == [(1, "go")]
    here.crowd.set_pose(row, Pose(DESK[0], DESK[1] - 380), 6)
    here.tick()
    assert here.at(1) == from_5179(953796, 1953000)


def test_who_is_not_let_through_a_portal_is_told_once_and_may_ask_again() -> None:
    closed = table(YARD, OFFICE.replace("capacity = 2", 'capacity = 2\naccess = ["role:official"]'))
    here = Here(closed, whole_city(1))
    row = here.stand(1, -8, 0)
    here.tick()
    here.tick()
    assert here.said() == [(1, "place-closed")]
    here.crowd.set_pose(row, Pose(*from_5179(953795, 1953000)), 5)
    here.tick()
    here.crowd.set_pose(row, Pose(*from_5179(953792, 1953000)), 6)
    here.tick()
    assert here.said() == [(1, "place-closed")]


def test_go_portal_takes_the_one_beside_me() -> None:
    here = Here(PLACES, whole_city(1))
    here.stand(1, -9.9, 0)
    here.stand(2, 5, 0)
    assert here.go(1, "portal")
    assert here.at(1) == DESK
    assert not here.go(2, "portal")


def test_riders_pass_portals_by() -> None:
    here = Here(PLACES, whole_city(1))
    row = here.stand(1, -8, 0)
    here.crowd.mover[row] = 1
    here.tick()
    assert here.said() == []


def test_a_city_without_places_lets_everybody_pass() -> None:
    here = Here(NO_PLACES, index_of(["0"]))
    put(here.crowd, 1, 0, 0, conn=1)
    here.tick()
    assert not here.go(1, "yard")
    assert here.visits.admits(1, b"", Pose(*DESK), NOW)
