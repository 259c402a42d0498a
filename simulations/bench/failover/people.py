"""The crowd of a failover, as a process: strollers who stay within one region, and one who hangs lanterns meanwhile.

`python -m simulations.bench.failover.people` reads one order a line, a JSON object, and answers each with one. The
first says who they are; `blow` says which node is about to be struck, `after` asks what became of them, `lanterns`
what of all that was ever acknowledged is not to be seen.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import trio

from client.connect import connect
from client.lives.ground import Ground
from client.lives.life import Life
from client.swarm import Swarm
from client.walk import STROLL, places_around
from p2pworld.crypto.keys import PersonKeys
from p2pworld.messages import Pose, Profile
from shard_node.declared import read
from simulations.bench.crowd.ground import MIDDLE_CM
from simulations.bench.failover.witness import Witness

if TYPE_CHECKING:
    from random import Random

    from p2pworld.world.places import Point

__all__ = ["STROLL_MIDDLE_CM", "main"]

STROLL_MIDDLE_CM: Final = (MIDDLE_CM[0] - 4_500, MIDDLE_CM[1] - 4_500)
STROLL_CM: Final = 3_500  # around it: they stay within their region of 128 m
HANG_EVERY_S: Final = 0.3
POLL_S: Final = 0.01


class Stroller(Life):
    """Walks about, all the time, within one region."""

    role = "stroller"

    def __init__(self, random: Random, ground: Ground, number: int) -> None:
        super().__init__(random, ground, number, self._spot(ground, random), STROLL)
        self.set_out()

    @staticmethod
    def _spot(ground: Ground, random: Random) -> Point:
        return ground.near(STROLL_MIDDLE_CM, random, STROLL_CM)

    def set_out(self) -> None:
        self.go(self._spot(self.ground, self.random))

    def arrived(self) -> None:
        self.set_out()


class People:
    """The swarm in a thread of its own, and what was acknowledged to the one who hangs lanterns."""

    def __init__(self, urls: list[str], count: int) -> None:
        self.urls = urls
        ground = Ground(read(), places_around())
        self.lives = [
            Stroller(random.Random(f"stroller {number}"), ground, number) for number in range(count)
        ]
        self.swarm = Swarm(urls, self.lives, 1, gauges=Witness)
        self.acknowledged: set[bytes] = set()
        self._struck: list[int] = []
        self._hanging: threading.Event | None = None
        self._hanger: threading.Thread | None = None
        self._over = threading.Event()
        self._walking = threading.Thread(target=self.swarm.run, args=(lambda _: self._over.is_set(),))
        self._walking.start()

    @property
    def witness(self) -> Witness:
        assert isinstance(self.swarm.gauges, Witness)
        return self.swarm.gauges

    def wait_in(self, within_s: float, away_from: bytes = b"") -> bool:
        """Waits until everybody plays, at other nodes than this one; whether they do within this time."""
        until_s = time.monotonic() + within_s
        while not all(bot.session.playing and bot.session.node != away_from for bot in self.swarm.bots):
            if time.monotonic() > until_s:
                return False
            time.sleep(POLL_S)
        return True

    def blow(self, struck: bytes) -> dict[str, Any]:
        """A node is about to be struck: whom it owns. From now on somebody hangs lanterns."""
        self._struck = self.witness.begin_blow(self.swarm, struck)
        self._hanging = threading.Event()
        self._hanger = threading.Thread(target=trio.run, args=(self._hang, self._hanging))
        self._hanger.start()
        return {"people": len(self._struck)}

    def after(self, blow_s: float, struck: bytes, holder: bytes, within_s: float) -> dict[str, Any]:
        """What became of those who were struck, once all are in again, and with who holds their ground now."""
        everybody = self.wait_in(within_s, struck)
        until_s = blow_s + within_s
        bots = self.swarm.bots
        while not all(bots[n].session.node == holder for n in self._struck) and time.monotonic() < until_s:
            time.sleep(POLL_S)
        assert self._hanging is not None
        assert self._hanger is not None
        self._hanging.set()
        self._hanger.join()
        speeds = [life.speed_cm_s for life in self.lives]
        return self.witness.after_blow(self._struck, blow_s, speeds) | {
            "everybody_in": everybody,
            "everybody_at_holder": all(bots[n].session.node == holder for n in self._struck),
            "lanterns_acknowledged": len(self.acknowledged),
            "lost": len(self.witness.lost),
            "twinned": len(self.witness.twinned),
            "stopped": self.swarm.stopped,
        }

    async def _hang(self, enough: threading.Event) -> None:
        """Somebody hangs one lantern after the other in the region, and notes those that were acknowledged."""
        async with self._visitor() as visitor:
            await visitor.enter()
            n = 0
            while not enough.is_set():
                n += 1
                with trio.move_on_after(5.0):
                    done = await visitor.act("hang", f"wish {n}")
                    if done.durable:
                        self.acknowledged.add(done.id)
                await trio.sleep(HANG_EVERY_S)

    def _visitor(self) -> Any:
        urls = random.sample(self.urls, len(self.urls))
        keys = PersonKeys.from_seed(os.urandom(32))
        return connect(urls, keys, Profile("visitor", kind="program"), Pose(*STROLL_MIDDLE_CM))

    async def unseen(self, within_s: float) -> list[str]:
        """The acknowledged lanterns that a visitor does not see within this time."""
        wanted = set(self.acknowledged)
        async with self._visitor() as visitor:
            with trio.move_on_after(within_s):
                await visitor.enter()
                await visitor.until(lambda: all(visitor.view.find(one) for one in wanted))
            return sorted(one.hex() for one in wanted if not visitor.view.find(one))

    def close(self) -> None:
        """Everybody says goodbye."""
        self._over.set()
        self._walking.join()
        self.swarm.close()


def _obey(people: People, order: dict[str, Any]) -> dict[str, Any]:
    match order["do"]:
        case "blow":
            return people.blow(bytes.fromhex(order["struck"]))
        case "after":
            struck, holder = bytes.fromhex(order["struck"]), bytes.fromhex(order["holder"])
            return people.after(order["blow_s"], struck, holder, order["within_s"])
        case "lanterns":
            return {"unseen": trio.run(people.unseen, order["within_s"])}
    raise ValueError(f"nobody knows how to {order['do']}")


def main() -> None:
    """Obeys until the orders end."""
    first = json.loads(sys.stdin.readline())
    people = People(first["urls"], first["people"])
    try:
        print(json.dumps({"in": people.wait_in(first["within_s"])}), flush=True)
        for line in sys.stdin:
            print(json.dumps(_obey(people, json.loads(line))), flush=True)
    finally:
        people.close()


if __name__ == "__main__":
    main()
