"""Programmes: what happens in a place by itself, at a time of Seoul, and who makes it happen.

A programme is a value: a place, a schedule, a timeline of operations by seconds from its beginning. When it runs is a
pure function of the time: Korea keeps UTC+9 all year, with no summer time since 1988, so Seoul's clock is Unix time and
nine hours. `Programmes` tells the node that holds the ground which operations are due. Each stroke of a bell has a name
made from programme, beginning and number, so that two nodes that both believe it is theirs, or one that takes over half
way, ring it once: the objects' memory of acts (`world.acts`) sees to that.

Who takes over plays what is at most LATE_S late and leaves out what is older. A rehearsal is a run that somebody
starts; it is remembered only by the node that plays it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal
from p2pworld.messages import Act, Instant
from p2pworld.world.places import Place, Places, Point, Words, bell_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "CLOCK",
    "DATE",
    "WEEKDAYS",
    "Bell",
    "Due",
    "Op",
    "Programme",
    "Programmes",
    "Schedule",
    "Tell",
    "next_run",
    "plain_programme",
    "running",
]

LATE_S: Final = 30.0
REHEARSAL_EVERY_S: Final = 30.0  # from the end of one to the next
REHEARSAL_REST_S: Final = 60.0  # the bell may be struck by everybody so long after a rehearsal's last stroke
SOON_S: Final = 600.0  # no rehearsal so shortly before the programme itself

SEOUL_MS: Final = 9 * 3_600_000
DAY_MS: Final = 86_400_000
EPOCH: Final = date(1970, 1, 1).toordinal()
LEAP_YEARS: Final = 8  # at most so many years without a 29 February
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])")
DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Schedule:
    """`every` day, week (on `weekday`, Monday 0), year (on `month` and `day`), or once; at `second` of Seoul's day."""

    every: str
    second: int
    weekday: int = 0
    year: int = 0
    month: int = 0
    day: int = 0


@dataclass(frozen=True, slots=True)
class Bell:
    """Strike the place's bell."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell everybody in the place a sentence."""

    text: Words


Op = Bell | Tell


@dataclass(frozen=True, slots=True)
class Programme:
    """What happens in `place`: (seconds from the beginning, operation), rising; the same shorter for a `rehearsal`,
    which is empty if there are none."""

    id: str
    place: str
    name: Words
    about: Words
    schedule: Schedule
    capacity: int
    timeline: tuple[tuple[float, Op], ...]
    rehearsal: tuple[tuple[float, Op], ...] = ()

    @property
    def duration_s(self) -> float:
        """From the beginning to the last operation."""
        return self.timeline[-1][0]


# ---- when


def _days(schedule: Schedule, near: int) -> Iterator[int]:
    """Days (since 1970-01-01, in Seoul) on which it begins, with the last before and the first after day `near`."""
    match schedule.every:
        case "day":
            yield from range(near - 1, near + 2)
        case "week":
            first = near - (near + 3 - schedule.weekday) % 7  # 1970-01-01 was a Thursday
            yield from (first - 7, first, first + 7)
        case "once":
            yield date(schedule.year, schedule.month, schedule.day).toordinal() - EPOCH
        case _:
            year = date.fromordinal(near + EPOCH).year
            for one in range(year - LEAP_YEARS, year + LEAP_YEARS + 1):
                if (
                    schedule.month != 2
                    or schedule.day != 29
                    or (one % 4 == 0 and (one % 100 or one % 400 == 0))
                ):
                    yield date(one, schedule.month, schedule.day).toordinal() - EPOCH


def _begins(programme: Programme, now_ms: int) -> list[int]:
    near = (now_ms + SEOUL_MS) // DAY_MS
    offset = programme.schedule.second * 1000 - SEOUL_MS
    return [day * DAY_MS + offset for day in _days(programme.schedule, near)]


def next_run(programme: Programme, now_ms: int) -> int | None:
    """The Unix milliseconds at which it begins next, now included; None if never again."""
    return min((begin for begin in _begins(programme, now_ms) if begin >= now_ms), default=None)


def _last_run(programme: Programme, now_ms: int) -> int | None:
    return max((begin for begin in _begins(programme, now_ms) if begin <= now_ms), default=None)


def running(programme: Programme, now_ms: int) -> float | None:
    """How many seconds ago it began by its schedule, if it is not over; None else."""
    begin = _last_run(programme, now_ms)
    if begin is None or now_ms - begin > programme.duration_s * 1000:
        return None
    return (now_ms - begin) / 1000


def plain_programme(programme: Programme, now_ms: int) -> dict[str, object]:
    """It as plain values for `/api/v1/places`."""
    schedule = programme.schedule
    return {
        "id": programme.id,
        "place": programme.place,
        "name": dict(programme.name),
        "about": dict(programme.about),
        "schedule": {name: getattr(schedule, name) for name in Schedule.__slots__},
        "next_ms": next_run(programme, now_ms),
        "duration_s": programme.duration_s,
        "capacity": programme.capacity,
        "rehearsal": bool(programme.rehearsal),
        "timeline": [
            {"offset_s": offset_s, "op": "ring"}
            if isinstance(op, Bell)
            else {"offset_s": offset_s, "op": "tell", "text": dict(op.text)}
            for offset_s, op in programme.timeline
        ],
    }


# ---- what is due


@dataclass(frozen=True, slots=True)
class Due:
    """An operation to be carried out now in `place`. A stroke has an `act`, asked for by `avatar`, which is nobody's
    and another one for each stroke, so that each is remembered for itself."""

    programme: Programme
    place: Place
    op: Op
    act: Act
    avatar: int


@dataclass(slots=True)
class _Run:
    begin_ms: int
    steps: tuple[tuple[float, Op], ...]
    begin_s: float  # boot clock, of a rehearsal; a scheduled run goes by the wall's
    done: int = 0
    key: bytes = b""  # of the act that began a rehearsal


class Programmes:
    """The programmes of one node; it holds no clock and does nothing itself."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._runs: dict[str, _Run] = {}  # by schedule
        self._rehearsals: dict[str, _Run] = {}
        self._by_id: Mapping[str, Programme] = {one.id: one for one in places.programmes}
        self.counters: Counter[str] = Counter()

    def start(
        self, programme_id: str, here: Place | None, now: Instant, key: bytes = b""
    ) -> Programme | Refusal:
        """Begin a rehearsal now, asked for in `here`; asked again under the same `key`, it stays the one begun."""
        programme = self._by_id.get(programme_id)
        if programme is None:
            return Refusal("no_programme", "There is no such programme.")
        before = self._rehearsals.get(programme_id)
        if before and key and before.key == key:
            return programme
        if here is None or here.id != programme.place:
            name = self._places.by_id[programme.place].name["en"]
            return Refusal("not_there", f"A rehearsal is started where it happens: go to {name} first.")
        if not programme.rehearsal:
            return Refusal("no_rehearsal", "This programme is not rehearsed.")
        soon = next_run(programme, now.wall_ms)
        if running(programme, now.wall_ms) is not None or (soon and soon - now.wall_ms < SOON_S * 1000):
            return Refusal("soon", "No rehearsal now: the programme itself is about to be played.")
        if before and now.boot_s < before.begin_s + before.steps[-1][0] + REHEARSAL_EVERY_S:
            return Refusal("rehearsed", "It has just been rehearsed; wait half a minute.")
        self._rehearsals[programme_id] = _Run(now.wall_ms, programme.rehearsal, now.boot_s, key=key)
        self.counters["programme-rehearsals"] += 1
        return programme

    def ground(self, programme_id: str) -> Point | None:
        """The point whose holder plays a programme; None if there is no such programme."""
        programme = self._by_id.get(programme_id)
        return None if programme is None else _where(self._places.by_id[programme.place])

    def strikable(self, place: Place, now: Instant) -> bool:
        """Whether everybody may strike this place's bell: while it is rehearsed, and a minute after."""
        return any(
            run.begin_s <= now.boot_s <= run.begin_s + run.steps[-1][0] + REHEARSAL_REST_S
            for programme_id, run in self._rehearsals.items()
            if self._by_id[programme_id].place == place.id
        )

    def due(self, now: Instant, holds: Callable[[Point], bool]) -> list[Due]:
        """What this node is to carry out now, at most one operation of each programme; each is told once.

        `holds` says whether this node may act at a point now.
        """
        found = []
        for programme in self._by_id.values():
            place = self._places.by_id[programme.place]
            self._follow(programme, now)
            for runs, at_s in ((self._runs, now.wall_ms / 1000), (self._rehearsals, now.boot_s)):
                run = runs.get(programme.id)
                if run is None or run.done == len(run.steps):
                    continue
                begin_s = run.begin_ms / 1000 if runs is self._runs else run.begin_s
                offset_s, op = run.steps[run.done]
                late_s = at_s - begin_s - offset_s
                if late_s < 0 or not holds(_where(place)):
                    continue
                while late_s > LATE_S and run.done < len(run.steps):
                    self.counters["programme-late"] += 1
                    run.done += 1
                    if run.done < len(run.steps):
                        offset_s, op = run.steps[run.done]
                        late_s = at_s - begin_s - offset_s
                if late_s < 0 or run.done == len(run.steps):
                    continue
                found.append(_due(programme, place, run, op))
                run.done += 1
                self.counters["programme-steps"] += 1
        return found

    def _follow(self, programme: Programme, now: Instant) -> None:
        """Notice that a scheduled run has begun."""
        begin_ms = _last_run(programme, now.wall_ms)
        if begin_ms is None or now.wall_ms - begin_ms > (programme.duration_s + LATE_S) * 1000:
            self._runs.pop(programme.id, None)
        elif programme.id not in self._runs or self._runs[programme.id].begin_ms != begin_ms:
            self._runs[programme.id] = _Run(begin_ms, programme.timeline, now.boot_s)


def _where(place: Place) -> Point:
    bell = bell_of(place)
    return bell[1] if bell else place.spawns[0].at


def _due(programme: Programme, place: Place, run: _Run, op: Op) -> Due:
    told = f"p2pworld programme {programme.id} {run.begin_ms} {run.done}".encode()
    name = hashlib.sha256(told).digest()
    return Due(
        programme,
        place,
        op,
        Act(run.done + 1, "ring", name=name[:16]),
        int.from_bytes(name[16:24], "big") >> 11 or 1,
    )
