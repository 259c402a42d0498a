"""The people of the festival demo, a process: `client.lives.revellers` in one swarm, directed by lines on its input.

A line is the name of a scene, or `killed`: from then on it is measured how many were without a node, and for how long.
It writes its figures as a JSON object twice a second, until it is asked to end.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click

from client.lives.ground import Ground
from client.lives.revellers import Festival, Listener, Reveller, Scene
from client.swarm import Swarm
from client.walk import places_around
from shard_node.declared import read

__all__ = ["Out", "people"]

REPORT_S: Final = 0.5
LISTENERS: Final = 5
SQUARE_CM: Final = 500  # beyond the crowd's edge one is no longer on the square
ORDERS_BYTES: Final = 4_096


def _cm(metres: tuple[float, float]) -> tuple[int, int]:
    return round(metres[0] * 100), round(metres[1] * 100)


class Out:
    """How many of `count` people a killed node left without one, and how long it took until the last had another."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._killed_s: float | None = None
        self.most = 0
        self.back_s: float | None = None

    def killed(self, now_s: float) -> None:
        """A node was killed just now."""
        self._killed_s, self.most, self.back_s = now_s, 0, None

    def look(self, playing: int, now_s: float) -> None:
        """So many have a node now."""
        if self._killed_s is None or self.back_s is not None:
            return
        out = self._count - playing
        self.most = max(self.most, out)
        if self.most and not out:
            self.back_s = now_s - self._killed_s


class _Direction:
    """What the swarm's loop asks about: takes orders, measures, and reports."""

    def __init__(self, swarm: Swarm, lives: list[Reveller], festival: Festival) -> None:
        self._swarm, self._lives, self._festival = swarm, lives, festival
        self._reported_s = swarm.now_s()
        self._partial = b""
        self.out = Out(len(lives))
        self.ended = False
        os.set_blocking(sys.stdin.fileno(), False)

    def done(self, now_s: float) -> bool:
        self._take_orders(now_s)
        self.out.look(self._swarm.playing, now_s)
        if now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            self.report(now_s)
        return self.ended

    def _take_orders(self, now_s: float) -> None:
        try:
            data = os.read(sys.stdin.fileno(), ORDERS_BYTES)
        except BlockingIOError:
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            order = line.decode("ascii")
            if order == "killed":
                self.out.killed(now_s)
            else:
                self._festival.scene = Scene[order]

    def report(self, now_s: float) -> None:
        """Writes a line of figures."""
        east, north = self._lives[0].ground.bell
        reach_cm = self._festival.crowd_cm + SQUARE_CM
        square = sum(
            (life.east_cm - east) ** 2 + (life.north_cm - north) ** 2 <= reach_cm**2 for life in self._lives
        )
        counters = self._swarm.session_counters()
        heard = [life.strokes for life in self._lives if isinstance(life, Listener)]
        figures: dict[str, Any] = self._swarm.gauges.figures(now_s) | {
            "playing": self._swarm.playing,
            "square": square,
            "out": self.out.most,
            "back_s": None if self.out.back_s is None else round(self.out.back_s, 2),
            "strokes": min(heard),
            "lanterns": len(self._swarm.lanterns),
            "logins": counters["logins"],
            "counters": dict(sorted((self._swarm.counters + counters).items())),
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()


@click.command()
@click.option("--url", "urls", multiple=True, required=True, help="A play url, ws://…/play; may be repeated.")
@click.option("--count", required=True, type=click.IntRange(LISTENERS, 20_000), help="How many people.")
@click.option("--seed", required=True, type=int, help="The same seed makes the same people.")
@click.option("--declared", type=click.Path(path_type=Path), help="A folder of places, as the nodes have.")
@click.option(
    "--crowd", "crowd_m", required=True, type=float, help="Metres around the bell where they stand."
)
@click.option(
    "--come", "come_m", nargs=2, required=True, type=float, help="Metres from the bell they come to."
)
@click.option(
    "--home", "home_m", nargs=2, required=True, type=float, help="Metres from the bell they go at last."
)
def people(
    urls: tuple[str, ...],
    count: int,
    seed: int,
    declared: Path | None,
    crowd_m: float,
    come_m: tuple[float, float],
    home_m: tuple[float, float],
) -> None:
    """Let COUNT programs celebrate at the bell."""
    festival = Festival(round(crowd_m * 100), _cm(come_m), _cm(home_m))
    ground = Ground(read(declared), places_around())
    lives: list[Reveller] = [
        (Listener if number < LISTENERS else Reveller)(
            random.Random(f"{seed} {number}"), ground, number, festival
        )
        for number in range(count)
    ]
    swarm = Swarm(urls, lives, seed)
    direction = _Direction(swarm, lives, festival)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(direction, "ended", True))
    gc.collect()
    gc.freeze()  # everybody stays to the end: no pause to look at them again
    gc.set_threshold(50_000, 20, 100)
    swarm.run(direction.done)
    direction.report(swarm.now_s())
    swarm.close()


if __name__ == "__main__":
    people()
