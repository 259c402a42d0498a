"""Lives in a running city: a stranger is greeted and answered by the host, and hears eight drummers as one."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from client.connect import Client, connect
from client.lives.drums import CYCLE_MS, JAJINMORI, TROUPE, Drummer, strokes
from client.lives.ground import Ground
from client.lives.hosts import POSTS, Host
from client.swarm import Swarm
from client.walk import places_around
from p2pworld.crypto.keys import PersonKeys, verify_said
from p2pworld.messages import Beat, Pose, Profile, Said
from shard_node.declared import read
from tests.nodes import running_city, soon
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from client.lives.life import Life
    from simulations.processes import City

AT_MOST_S = PATIENCE_S


@contextmanager
def living(city: City, lives: Sequence[Life]) -> Iterator[Swarm]:
    """These lives in the city, in a thread of their own."""
    swarm = Swarm(city.play_urls, lives, 1)
    over = threading.Event()
    thread = threading.Thread(target=swarm.run, args=(lambda _: over.is_set(),))
    thread.start()
    try:
        yield swarm
    finally:
        over.set()
        thread.join()
        swarm.close()


def heard(client: Client, host: Host) -> list[Said]:
    return [said for said in client.said if isinstance(said, Said) and said.id == host.id]


async def test_a_stranger_is_greeted_and_answered_and_hears_the_drums_together(tmp_path: Path) -> None:
    ground = Ground(read(), places_around())
    host = Host(Random("host"), ground, 0, next(post for post in POSTS if post.place == "Seoul City Hall"))
    drummers = [Drummer(Random(f"drummer {number}"), ground, number) for number in range(TROUPE)]
    for drummer in drummers:
        drummer.form = (JAJINMORI,)  # without a rest
    async with running_city(tmp_path, 2) as city:
        with living(city, [host, *drummers]) as swarm:
            mina = PersonKeys.from_seed(bytes([9]) * 32)
            want = Pose(host.home[0] + 600, host.home[1])
            async with connect(city.play_urls, mina, Profile("Mina"), want) as client:
                await client.enter()
                with soon(AT_MOST_S, "the host greets"):
                    await client.until(lambda: bool(heard(client, host)))
                hello = heard(client, host)[0]
                assert (hello.name, hello.kind, hello.channel) == ("120 다산콜", "program", "near")
                assert "Mina" in hello.text
                assert verify_said(hello.key, hello)
                client.say("near", "Where is the bus?")
                with soon(AT_MOST_S, "the host answers"):
                    await client.until(lambda: len(heard(client, host)) > 1)
                assert "next bus" in heard(client, host)[1].text

            beats: dict[int, set[int]] = defaultdict(set)
            listener = PersonKeys.from_seed(bytes([10]) * 32)
            async with connect(city.play_urls, listener, Profile("하늘"), Pose(*ground.drums)) as client:
                await client.enter()

                def whole_cycles() -> bool:
                    for message in client.said:
                        if isinstance(message, Beat):
                            beats[message.id].add(message.at_ms)
                    return len(beats) == TROUPE and all(len(theirs) > 2 for theirs in beats.values())

                with soon(AT_MOST_S, "all eight drums are heard"):
                    await client.until(whole_cycles)
            assert set(beats) == {drummer.id for drummer in drummers}
            assert swarm.counters["malformed"] == 0
            for drummer in drummers:
                cycles = {at_ms // CYCLE_MS for at_ms in beats[drummer.id]}
                asked = {at for cycle in cycles for at, _ in strokes(drummer.part, cycle, drummer.form)}
                assert beats[drummer.id] <= asked  # the node kept the very milliseconds they share
