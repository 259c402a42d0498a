"""The bots' loop where it is subtle: what it does first after it has stood still."""

from __future__ import annotations

import itertools
import select
import socket
from typing import TYPE_CHECKING

from client.lives import populate
from client.lives.ground import Ground
from client.swarm import PAUSE_S, Bot, Swarm
from client.walk import places_around
from p2pworld.world.places import NO_PLACES

if TYPE_CHECKING:
    import pytest


def test_after_a_pause_the_sockets_are_heard_before_anybody_is_taken_to_be_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.chain(
        [0.0, 0.0], itertools.count(10 * PAUSE_S, 0.02)
    )  # it stood still after it had begun
    lives = populate(1, 1, Ground(NO_PLACES, places_around()))
    swarm = Swarm(["ws://city.example/play"], lives, 1, now_s=lambda: next(clock))
    ours, theirs = socket.socketpair()
    order: list[str] = []

    def happened(self: Swarm, fd: int, mask: int, now_s: float) -> None:
        ours.recv(1)
        order.append("heard")

    def tick(self: Swarm, bot: Bot, now_s: float) -> None:
        order.append("tick")

    monkeypatch.setattr(Swarm, "_happened", happened)
    monkeypatch.setattr(Swarm, "_tick", tick)
    with ours, theirs:
        swarm._epoll.register(ours.fileno(), select.EPOLLIN)
        monkeypatch.setattr(swarm, "_by_fd", {ours.fileno(): None})
        theirs.send(b"x")
        swarm.run(lambda now_s: "tick" in order)
        swarm._epoll.close()
    assert order[:2] == ["heard", "tick"]
