"""The bots' loop where it is subtle: a pause of its own is nobody's silence."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from client.lives import populate
from client.lives.ground import Ground
from client.session import Session
from client.swarm import Swarm
from client.walk import places_around
from p2pworld.world.places import NO_PLACES

if TYPE_CHECKING:
    import pytest


def test_after_a_pause_timers_wait_until_the_sockets_have_been_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began_s, paused_s = 1.0, 60.0
    clock = itertools.chain(
        [began_s, began_s], itertools.count(paused_s, 0.02)
    )  # it stood still after it had begun
    lives = populate(1, 1, Ground(NO_PLACES, places_around()))
    swarm = Swarm(["ws://city.example/play"], lives, 1, now_s=lambda: next(clock))
    swarm.bots[0].started = True
    swarm.bots[0].session.deadline_s = began_s
    ticked: list[float] = []
    monkeypatch.setattr(Session, "tick", lambda self, now_s: ticked.append(now_s))
    swarm.run(lambda now_s: bool(ticked) and ticked[-1] > paused_s)
    swarm._epoll.close()
    assert ticked[0] == began_s
