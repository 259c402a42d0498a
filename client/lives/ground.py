"""The ground as lives know it: where one stands in a place, the stream's lanterns, the bell, the drums, the bus.

Places come from the city's declarations; a landmark without one is still a point to walk to. What is declared nowhere
(a city of other files) has a stand-in near its landmark, so that every role has something to do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from client.route import routes_of
from client.walk import HEART
from p2pworld.geometry import clamp
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.places import bell_of
from p2pworld.world.vehicles import STOPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from p2pworld.seoul.landmarks import Landmark
    from p2pworld.world.places import Feature, Places, Point

__all__ = ["Ground"]

STAND_CM: Final = 2_500  # people gather within this of a place's middle
ROOM_CM: Final = 60  # from where one stands to the next wall
TRIES: Final = 8


class Ground:
    """Where lives go. `landmarks` are the ends of their ways; `stops` the bus stops among them, by index."""

    def __init__(self, places: Places, landmarks: Sequence[Landmark]) -> None:
        self.places, self.landmarks = places, tuple(landmarks)
        self.routes = routes_of(places)
        middle = self.landmarks[0].position_cm if len(self.landmarks) == 1 else self._middle()
        reach_cm = max(math.dist(middle, mark.position_cm) for mark in self.landmarks) + STAND_CM
        self.stops = tuple(
            number for number, stop in enumerate(STOPS) if math.dist(middle, stop.position_cm) <= reach_cm
        )
        self.lanterns = self._line("lanterns", HEART[0])
        self.drums = self._line("drums", "Gwanghwamun Square")[0]
        self.bell = self._bell()

    def _middle(self) -> Point:
        east, north = zip(*(mark.position_cm for mark in self.landmarks), strict=True)
        return sum(east) // len(east), sum(north) // len(north)

    def point(self, name: str, random: Random) -> Point:
        """Where one comes to stand first in the place or landmark of this name.

        Raises:
            ValueError: there is neither.
        """
        place = self.places.find(name)
        if place is None or place.ground != "city":
            return landmark(name).position_cm
        return random.choice(place.spawns).at

    def spot(self, name: str, random: Random, within_cm: int = STAND_CM) -> Point:
        """Somewhere free around there."""
        return self.near(self.point(name, random), random, within_cm)

    def near(self, point: Point, random: Random, within_cm: int) -> Point:
        """Somewhere free around a point and in sight of it, or the point itself."""
        for _ in range(TRIES):
            angle, far = random.random() * math.tau, within_cm * math.sqrt(random.random())
            east = round(point[0] + far * math.sin(angle))
            there = clamp(east, round(point[1] + far * math.cos(angle)))
            if self.routes.room_cm(there) >= ROOM_CM and self.routes.clear(point, there):
                return there
        return point

    def along_lanterns(self, random: Random) -> Point:
        """Somewhere at the line where lanterns hang."""
        at = random.randrange(len(self.lanterns) - 1)
        (a_east, a_north), (b_east, b_north) = self.lanterns[at : at + 2]
        share = random.random()
        there = round(a_east + (b_east - a_east) * share), round(a_north + (b_north - a_north) * share)
        return self.near(there, random, 150)

    # ------------------------------------------------------------------------------------------- features

    def _features(self, kind: str) -> list[Feature]:
        return [
            feature
            for place in self.places.all
            if place.ground == "city"
            for feature in place.features
            if feature.kind == kind
        ]

    def _line(self, kind: str, near: str) -> tuple[Point, ...]:
        """The declared line of this kind nearest to a landmark; else one of 20 m there."""
        middle = landmark(near).position_cm
        declared = self._features(kind)
        if declared:
            return min(declared, key=lambda one: math.dist(one.line[0], middle)).line
        return middle, (middle[0] + 2_000, middle[1])

    def _bell(self) -> Point:
        for place in self.places.all:
            if place.ground == "city" and (bell := bell_of(place)) is not None:
                return bell[1]
        return landmark("Bosingak").position_cm

    def programmes_at(self, point: Point) -> tuple[str, ...]:
        """The ids of what is played, and can be rehearsed, in the place around a point."""
        place = self.places.at(*point)
        return tuple(
            one.id
            for one in self.places.programmes
            if place is not None and one.place == place.id and one.rehearsal
        )
