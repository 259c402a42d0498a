"""What one client sees of the city around it: people, crowds and objects, as its node tells of them.

A person who is no longer told of fades: after three periods of the frames that told of them, and never before one
second. Frames of the node left behind may still arrive for a moment after a handoff; the later word about a person
wins, whoever brings it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.messages import Pose, WorldObject
from p2pworld.wire.frames import DENSITY, POSES, DensityFrame, decode_density, decode_poses

if TYPE_CHECKING:
    from p2pworld.messages import Objects

__all__ = ["FADE_LEAST_S", "FADE_PERIODS", "Seen", "View"]

FADE_PERIODS: Final = 3
FADE_LEAST_S: Final = 1.0
_TIER_PERIODS: Final = (1, 2, 5)  # ticks between two POSES of tier 0, of 1, of 2 and beyond


@dataclass(frozen=True, slots=True)
class Seen:
    """One avatar as last told: its pose (within `step_cm` / 2), the frame's `t_ms`, and when it fades."""

    pose: Pose
    t_ms: int
    step_cm: int
    fades_s: float


class View:
    """People by id, the last counts of the crowd by level, and objects by cell and id."""

    def __init__(self) -> None:
        self.people: dict[int, Seen] = {}
        self.crowds: dict[int, DensityFrame] = {}
        self.objects: dict[int, dict[bytes, WorldObject]] = {}
        self.frames = 0

    def frame(self, payload: bytes, tick_ms: int, now_s: float) -> int | None:
        """Takes in one packed frame; returns the `t_ms` of a POSES, None of any other kind.

        Raises:
            RemoteError: the frame is malformed.
        """
        kind = payload[0] if payload else 0
        if kind == POSES:
            poses = decode_poses(payload)
            periods = _TIER_PERIODS[min(poses.tier, len(_TIER_PERIODS) - 1)] * FADE_PERIODS
            fades_s = now_s + max(FADE_LEAST_S, periods * tick_ms / 1000)
            columns = (poses.east_cm, poses.north_cm, poses.up, poses.yaw, poses.state)
            for avatar, *pose in zip(poses.ids.tolist(), *(c.tolist() for c in columns), strict=True):
                self.people[avatar] = Seen(Pose(*pose), poses.t_ms, poses.step_cm, fades_s)
            self.frames += 1
            self.fade(now_s)
            return poses.t_ms
        if kind == DENSITY:
            density = decode_density(payload)
            self.crowds[density.level] = density
        return None

    def fade(self, now_s: float) -> None:
        """Forgets who was not told of for too long."""
        for avatar in [avatar for avatar, seen in self.people.items() if seen.fades_s < now_s]:
            del self.people[avatar]

    def change_objects(self, news: Objects) -> None:
        """Takes in what is new, changed or gone in one region; `whole` begins the region anew."""
        cell = self.objects.setdefault(news.cell, {})
        if news.whole:
            cell.clear()
        for shown in news.objects:
            cell[shown.id] = shown
        for object_id in news.gone:
            cell.pop(object_id, None)

    def find(self, object_id: bytes) -> WorldObject | None:
        """The object with this id, in whatever region it was told of."""
        for cell in self.objects.values():
            if (shown := cell.get(object_id)) is not None:
                return shown
        return None
