"""What must not change while a node is attacked: somebody walks on, unharmed and without a pause; memory stays flat."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from p2pworld.messages import Pose
from tests.nodes import border_of, until
from tests.patience import PATIENCE_S
from tests.stranger.stranger import Place, Socket, Stranger, later

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulations.processes import City, NodeProcess

__all__ = ["FlatMemory", "Walker", "resident_mib", "undisturbed_walker"]

PUMP_S = 0.01
SPEED_M_S = 3.0
HALF_WAY_CM = 1_200
HOME_CM = 6_000
GAP_MS_MAX = 1_000
GROWTH_MIB_MAX = 12.0


class Walker:
    """A well-behaved client that walks to and fro across the border of `node`'s ground."""

    def __init__(self, city: City) -> None:
        self.node, self._other, self._edge_cm, self._north_cm = border_of(city)
        self.home = Pose(self._edge_cm - HOME_CM, self._north_cm)  # well within the node's ground
        self.one = Stranger(hashlib.sha256(b"walks on").digest(), "산책")
        self._sockets: list[Socket] = []

    async def walk(self) -> None:
        """Walks until cancelled."""
        one, side = self.one, -1
        while True:
            one.pump()
            for sock in (one.first, one.second):
                if sock is not None and sock not in self._sockets:
                    self._sockets.append(sock)
            if one.state == "PLAYING" and one.arrived:
                side = -side
                one.walk(self._edge_cm + side * HALF_WAY_CM, self._north_cm, SPEED_M_S)
            await trio.sleep(PUMP_S)

    async def enter(self) -> None:
        """Logs in, and waits until it is on its way."""
        self.one.log_in(self.node.play_url, Place(self._edge_cm - HALF_WAY_CM, self._north_cm))
        await until(
            lambda: self.one.state == "PLAYING" and not self.one.arrived, PATIENCE_S, "the walker's WELCOME"
        )

    async def crossed(self) -> None:
        """Waits until it has crossed the border once."""
        story = self.one.story
        await until(
            lambda: len(story.welcomes) > 1 or "OUT" in story.states, PATIENCE_S, "the walker's crossing"
        )

    def sockets_on(self, node: NodeProcess) -> list[Socket]:
        """Its open sockets on a node."""
        return [sock for sock in self._sockets if not sock.closed and sock.url == node.play_url]

    def check(self) -> None:
        """AssertionError unless it was never corrected, thrown out, or left without frames for a second."""
        story = self.one.story
        assert self.one.state in ("PLAYING", "BOTH")
        assert not story.corrections
        assert "OUT" not in story.states
        assert {bye["code"] for bye in story.byes} <= {"moved"}
        assert story.moved
        told = [later(b, a) for sock in self._sockets for a, b in pairwise(sock.frames_t_ms)]
        assert len(told) > 30
        assert max(told) <= GAP_MS_MAX, f"{max(told)} ms between two frames"


@asynccontextmanager
async def undisturbed_walker(city: City) -> AsyncIterator[Walker]:
    """A walker who is on its way."""
    walker = Walker(city)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(walker.walk)
        await walker.enter()
        try:
            yield walker
        finally:
            nursery.cancel_scope.cancel()
            walker.one.stop()


def resident_mib(node: NodeProcess) -> float:
    """The resident memory of a node's process, in MiB."""
    assert node.process is not None
    for line in Path(f"/proc/{node.process.pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the process has ended")


class FlatMemory:
    """Remembers how much memory a node has; later it may have a little more, never a part of what was thrown at it."""

    def __init__(self, node: NodeProcess) -> None:
        self._node, self.before_mib = node, resident_mib(node)

    def check(self) -> None:
        """AssertionError if the node has grown."""
        grown_mib = resident_mib(self._node) - self.before_mib
        assert grown_mib < GROWTH_MIB_MAX, f"{grown_mib:.1f} MiB more than {self.before_mib:.1f}"
