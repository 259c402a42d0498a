"""`p2pworld demo --festival`: an evening at the bell of Bosingak, in scenes, on a city of real node processes.

People come, and gather on the square; the steward cuts the crowded ground and spreads it over the nodes; a node that
carries a part of the crowd is killed, and starts again; the countdown ends and the bell rings 33 times, as a programme
that the city has declared; lanterns are hung; people go home, and the ground comes together again. The hour of the bell
is fixed when the city is founded. All other scenes begin when the one before has been seen, or has taken too long.

What is said at the end was measured from outside: by the people (`festival_people`), and from `/api/v1/regions`.
"""

from __future__ import annotations

import datetime
import math
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from client.lives.revellers import Scene
from client.walk import places_around
from p2pworld.geometry import Cell
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.programme import SEOUL_MS
from simulations.processes import checkerboard
from simulations.stage import POLL_S, DemoFailed, People, Wake, no_more_interrupts, wait_ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulations.processes import City, NodeProcess
    from simulations.stage import Show

__all__ = [
    "BELL",
    "BOTS",
    "CHECKED",
    "SHOWN",
    "Evening",
    "Seen",
    "balance_of",
    "dealt",
    "declare",
    "failures",
    "play",
    "summary",
]

BOTS: Final = 600
BELL: Final = ("Bosingak", 700.0)  # what lies within so many metres is held in small regions
STROKES: Final = 33
LATE_S: Final = 15.0  # the last stroke may come so much later than it is due, after a failover
LOOK_S: Final = 1.0
CROWD_M: Final = 30.0  # the place around the bell is 70 by 60 m
HOME_M: Final = (10.0, 250.0)  # beyond the side of a region: where people go is not where they crowded
GATHERED: Final = 0.8  # of the people, on the square
PART: Final = 0.05  # of the crowd: a node with so much of it carries a part
CARRIERS: Final = 3
CUT_MORE: Final = 3  # regions more than before: one cut into four
BACK_S_MAX: Final = 10.0
HOME_S_MAX: Final = 120.0  # to walk away, and for the ground to come together


@dataclass(frozen=True, slots=True)
class Evening:
    """The bell rings `bell_s` after the city was founded, every `every_s`; it is announced `lead_s` before.

    People come to `come_m` from the bell, and wait `wait_s` there: time to open the page. Within `scene_s` each scene
    must have been seen; `stay_s` people stay after the last stroke.
    """

    bell_s: float
    lead_s: int
    come_m: tuple[float, float]
    wait_s: float
    every_s: float
    scene_s: float
    stay_s: float


SHOWN: Final = Evening(bell_s=150, lead_s=60, come_m=(70, 150), wait_s=25, every_s=3, scene_s=60, stay_s=15)
CHECKED: Final = Evening(bell_s=35, lead_s=20, come_m=(40, 60), wait_s=0, every_s=0.5, scene_s=45, stay_s=5)


@dataclass(slots=True)
class Seen:
    """What was seen of an evening: the greatest numbers, and what became of it."""

    nodes: int
    people_most: int = 0
    square_most: int = 0
    regions_before: int = 0
    regions_most: int = 0
    carriers_most: int = 0
    cut_s: float | None = None  # from the call to gather to the first cut
    killed: str = ""
    out: int = 0  # people whom the kill left without a node
    back_s: float | None = None
    lost: int = 0
    doubled: int = 0
    strokes: int = 0
    lanterns: int = 0
    handoffs: int = 0
    logins: int = 0
    merged_s: float | None = None  # from the call to go home to a map without cuts


def failures(seen: Seen) -> list[str]:
    """What a checked evening promised and this one did not show, a sentence each."""
    wrong = []
    if seen.regions_most < seen.regions_before + CUT_MORE:
        wrong.append(f"no region was cut: {seen.regions_most} at most, {seen.regions_before} before")
    if seen.carriers_most < min(CARRIERS, seen.nodes):
        wrong.append(f"only {seen.carriers_most} nodes carried the crowd")
    if not seen.out:
        wrong.append("the node that was killed carried nobody")
    elif seen.back_s is None or seen.back_s > BACK_S_MAX:
        took = "never" if seen.back_s is None else f"only after {seen.back_s:.1f} s"
        wrong.append(f"the people of the node that was killed were {took} all back")
    if seen.lost:
        wrong.append(f"{seen.lost} avatars lost")
    if seen.doubled:
        wrong.append(f"{seen.doubled} avatars doubled")
    if seen.strokes != STROKES:
        wrong.append(f"{seen.strokes} strokes of the bell were heard, not {STROKES}")
    if not seen.lanterns:
        wrong.append("no lantern was hung")
    if seen.merged_s is None:
        wrong.append("the ground has not come together again")
    return wrong


def summary(seen: Seen) -> list[str]:
    """The evening in plain figures, a line each."""
    back = "not all back" if seen.back_s is None else f"all back after {seen.back_s:.1f} s"
    killed = f"{seen.killed}: {seen.out} people without a node, {back}" if seen.killed else "no node"
    merged = "not again" if seen.merged_s is None else f"again {seen.merged_s:.0f} s after people went home"
    cut = "never" if seen.cut_s is None else f"{seen.cut_s:.0f} s after the call to gather"
    return [
        f"people in the city      {seen.people_most} at most, {seen.square_most} on the square",
        f"regions                 {seen.regions_before} before, {seen.regions_most} at most; first cut {cut}",
        f"nodes with the crowd    {seen.carriers_most} of {seen.nodes} at once",
        f"killed                  {killed}",
        f"lost, doubled           {seen.lost}, {seen.doubled}, in {seen.handoffs} handoffs and {seen.logins} logins",
        f"strokes of the bell     {seen.strokes} heard, {seen.lanterns} lanterns hung",
        f"one ground              {merged}",
    ]


def dealt(nodes: int, side_m: float) -> list[list[Cell]]:
    """The regions around the bell: neighbours are different nodes', but the square is all the second one's."""
    regions = checkerboard(places_around(*BELL), side_m, nodes)
    square = {cell for cells in regions for cell in cells if on_square(cell)}
    return [
        [cell for cell in cells if cell not in square] + (sorted(square) if number == 1 else [])
        for number, cells in enumerate(regions)
    ]


def on_square(cell: Cell) -> bool:
    """Whether the crowd around the bell reaches into this cell."""
    bell_east, bell_north = landmark(BELL[0]).position_cm
    west, south, east, north = cell.bounds_cm()
    away_east = max(west - bell_east, bell_east - east, 0)
    away_north = max(south - bell_north, bell_north - north, 0)
    return math.hypot(away_east, away_north) <= CROWD_M * 100


def balance_of(bots: int) -> str:
    """The nodes' `[balance]`: a crowd of so many is heavy for one of them, and calm when nearly all have left."""
    easy = max(4, bots // 4)
    return f"[balance]\npeople_easy = {easy}\npeople_calm = {easy // 4}\n"


def declare(folder: Path, evening: Evening, now_s: float) -> float:
    """Writes the programme of the evening into `folder`; returns the Unix second of the first stroke."""
    bell_s = math.ceil(now_s + evening.bell_s)
    begin = datetime.datetime.fromtimestamp(bell_s - evening.lead_s + SEOUL_MS / 1000, datetime.UTC)
    last_s = evening.lead_s + math.ceil((STROKES - 1) * evening.every_s)
    told = [
        (before_s, f"보신각 종까지 {before_s}초!", f"{before_s} seconds to the bell of Bosingak!")
        for before_s in (60, 30, 20, 10, 5)
        if before_s <= evening.lead_s
    ]
    steps = [(evening.lead_s - before_s, ko, en) for before_s, ko, en in told]
    steps.append((last_s + 1, "모두에게 좋은 밤이 되기를!", "A good night to everybody!"))
    programmes = folder / "programmes"
    programmes.mkdir(parents=True, exist_ok=True)
    (programmes / "festival.toml").write_text(
        'id = "festival"\nplace = "bosingak"\ncapacity = 3000\nrehearsal = false\n'
        'name = { ko = "보신각 축제", en = "Festival at Bosingak" }\n\n'
        '[about]\nko = "모두 함께 종소리를 들어요."\nen = "Everybody hears the bell together."\n\n'
        f'[schedule]\nevery = "once"\non = "{begin:%Y-%m-%d}"\nat = "{begin:%H:%M:%S}"\n\n'
        f'[[timeline]]\nat = {evening.lead_s}\ndo = "ring"\ntimes = {STROKES}\nevery = {evening.every_s}\n'
        + "".join(
            f'\n[[timeline]]\nat = {at_s}\ndo = "tell"\ntext = {{ ko = "{ko}", en = "{en}" }}\n'
            for at_s, ko, en in steps
        ),
        encoding="utf-8",
    )
    return float(bell_s)


def play(
    city: City, bots: int, seed: int, evening: Evening, bell_s: float, side_m: float, show: Show
) -> Seen:
    """The whole evening after the nodes were started.

    Raises DemoFailed.
    """
    wait_ready(city, show)
    web_url = city.nodes[0].web_url
    show.say(f"Open {web_url}/ in a browser: search (/) for 보신각 to be there, press G to see the regions.")
    urls = [part for url in city.play_urls for part in ("--url", url)]
    arguments = ["-m", "simulations.festival_people", *urls, "--count", str(bots), "--seed", str(seed)]
    arguments += ["--declared", str(city.folder / "declared"), "--crowd", str(CROWD_M)]
    arguments += ["--come", *map(str, evening.come_m)]
    arguments += ["--home", str(side_m + HOME_M[0]), str(side_m + HOME_M[1])]
    stage = _Stage(city, People(city, arguments), evening, bell_s, show)
    try:
        stage.play(bots)
    except KeyboardInterrupt:
        show.say("ending")
        no_more_interrupts()
    finally:
        stage.people.end()
        stage.take_figures()
    if stage.wake.failed:
        raise DemoFailed("\n".join(stage.wake.failed))
    return stage.seen


class _Stage:
    """The evening as it goes on: what is to be seen now, and what has been seen."""

    def __init__(self, city: City, people: People, evening: Evening, bell_s: float, show: Show) -> None:
        self.people, self.wake = people, Wake(city, show)
        self.seen = Seen(len(city.nodes))
        self._city, self._evening, self._bell_s, self._show = city, evening, bell_s, show
        self._begun_s = time.monotonic()
        self._looked_s = 0.0
        self._names = {node.keys.public.hex(): node for node in city.nodes}
        self._carried: Counter[str] = Counter()
        self._regions = self._cut = 0

    def play(self, bots: int) -> None:
        """All scenes, one after the other."""
        seen, scene_s = self.seen, self._evening.scene_s
        self._look()
        seen.regions_before = self._regions
        self._say(f"{bots} people come to the streets around Bosingak")
        self._until(lambda: self._figure("playing") == bots, scene_s)
        self._until(lambda: False, self._evening.wait_s)
        self._call(Scene.GATHER, "everybody to the square: the bell rings soon")
        called_s = time.monotonic()
        self._until(lambda: self._cut > 0, scene_s)
        if self._cut:
            seen.cut_s = time.monotonic() - called_s
            self._say(f"the crowded region was cut: {self._regions} regions, before {seen.regions_before}")
        self._until(lambda: self._gathered(bots), scene_s)
        victim = self._fullest()
        self._say(f"{victim.name} carries {self._carried[victim.name]} of the crowd: kill -9")
        self.people.tell("killed")
        victim.signal(signal.SIGKILL)
        seen.killed = victim.name
        self._until(lambda: self.people.figures.get("back_s") is not None, scene_s)
        self._say(
            f"{seen.out} people were without a node; all are back after {seen.back_s} s"
            if seen.back_s is not None
            else f"{seen.out} people are without a node"
        )
        victim.start()
        self._say(f"{victim.name} starts again")
        self._until(lambda: time.time() >= self._bell_s, self._evening.bell_s)
        self._call(Scene.BELL, "the bell of Bosingak rings, and lanterns are hung")
        last_s = self._bell_s + (STROKES - 1) * self._evening.every_s
        self._until(lambda: seen.strokes >= STROKES, last_s + LATE_S - time.time())
        self._until(lambda: False, self._evening.stay_s)
        self._call(Scene.LEAVE, "people go home")
        left_s = time.monotonic()
        self._until(lambda: self._cut == 0, HOME_S_MAX)
        if self._cut == 0:
            seen.merged_s = time.monotonic() - left_s
            self._say(f"the ground has come together again: {self._regions} regions")

    # ------------------------------------------------------------------------------------------- looking

    def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Looks on until something is so, for so long at most."""
        until_s = time.monotonic() + seconds
        while not holds() and time.monotonic() < until_s:
            self.people.wait(POLL_S)
            self.people.raise_if_failed()
            self.wake.look()
            self.take_figures()
            if time.monotonic() - self._looked_s >= LOOK_S:
                self._look()
            self._show.now(self._line())

    def take_figures(self) -> None:
        """What the people have measured."""
        seen, figures = self.seen, self.people.figures
        if not figures:
            return
        seen.people_most = max(seen.people_most, figures["playing"])
        seen.square_most = max(seen.square_most, figures["square"])
        seen.out, seen.back_s = figures["out"], figures["back_s"]
        seen.lost, seen.doubled = figures["avatars_lost"], figures["avatars_twinned"]
        seen.strokes, seen.lanterns = figures["strokes"], figures["lanterns"]
        seen.handoffs, seen.logins = figures["handoffs"], figures["logins"]

    def _look(self) -> None:
        """Who carries the crowd, by what the node of the page shows of the map."""
        self._looked_s = time.monotonic()
        regions = self._city.nodes[0].ask_json("/api/v1/regions").get("regions", ())
        if not regions:
            return
        self._regions = len(regions)
        self._cut = sum(region["cut"] for region in regions)
        self._carried.clear()
        for region in regions:
            node = self._names.get(region["holder"])
            here = on_square(Cell.from_quadkey(region["cell"]))
            if node is not None and node.running and region["people"] and here:
                self._carried[node.name] += region["people"]
        crowd = sum(self._carried.values())
        carriers = sum(count >= PART * crowd for count in self._carried.values())
        self.seen.regions_most = max(self.seen.regions_most, self._regions)
        if self._cut:
            self.seen.carriers_most = max(self.seen.carriers_most, carriers)

    def _gathered(self, bots: int) -> bool:
        wanted = min(CARRIERS, len(self._city.nodes))
        return self._figure("square") >= GATHERED * bots and self.seen.carriers_most >= wanted

    def _fullest(self) -> NodeProcess:
        """The node with most of the crowd, other than the one that serves the page."""
        others = self._city.nodes[1:]
        if not others:
            raise DemoFailed("a festival needs two nodes at least: one is killed")
        return max(others, key=lambda node: self._carried[node.name])

    def _figure(self, name: str) -> int:
        return int(self.people.figures.get(name, 0))

    # ------------------------------------------------------------------------------------------- speaking

    def _call(self, scene: Scene, text: str) -> None:
        self.people.tell(scene.name)
        self._say(text)

    def _say(self, text: str) -> None:
        self._show.say(f"{self._clock()}  {text}")

    def _clock(self) -> str:
        left_s = self._bell_s - time.time()
        return f"{'-' if left_s > 0 else '+'}{abs(left_s) // 60:02.0f}:{abs(left_s) % 60:02.0f}"

    def _line(self) -> str:
        figures = self.people.figures
        carried = ", ".join(f"{name} {count}" for name, count in sorted(self._carried.items()))
        return (
            f"{self._clock()}  {figures.get('playing', 0)} people, {figures.get('square', 0)} on the square   "
            f"{self._regions} regions   crowd: {carried or 'nobody'}   strokes {figures.get('strokes', 0)}   "
            f"lost {figures.get('avatars_lost', 0)}  doubled {figures.get('avatars_twinned', 0)}"
        )
