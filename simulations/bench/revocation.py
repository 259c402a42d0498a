"""How soon a revoked node is cut off everywhere: real node processes, one store, as JSON.

    python -m simulations.bench.revocation [--times 10] [--nodes 4]

`cut_s`: from before a revocation is posted to the coordination store alone until the last node has ended its link with
the revoked one, which does not end any by itself, and `refused_s`: until its new attempts have been refused by every
node. Once at the end a node of the city itself is revoked: `ended_s` until its process has ended, and `regions_s` until
another's map gives every region to a living one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio
import trio.lowlevel

from client.walk import places_around
from p2pworld.crypto.keys import NodeKeys
from p2pworld.grants import sign_grant
from p2pworld.ids import Incarnation
from p2pworld.messages import LinkDown, LinkUp
from p2pworld.revocation import notice_id, pack_notice, sign_revocation
from p2pworld.world.citymap import Member
from shard_node.coordination import SqliteCoordination
from shard_node.execute import now
from shard_node.links import Links
from simulations.processes import City

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pworld.messages import PeerSaid
    from simulations.processes import NodeProcess

__all__ = ["main"]

AT_MOST_S: Final = 60.0
POLL_S: Final = 0.01
DAY_MS: Final = 86_400_000


class _Rogue:
    """A node that is in no map, has links with all others, and ends none."""

    def __init__(self, city: City, members: list[Member], listener: trio.SocketListener) -> None:
        first = min(member.node for member in members)
        while (keys := NodeKeys.from_seed(os.urandom(32))).public >= first:
            pass  # the smaller key dials
        self.keys, self.members = keys, members
        self.up: set[bytes] = set()
        wall_ms = now().wall_ms
        span = wall_ms - DAY_MS, wall_ms + DAY_MS
        grant = sign_grant(city.root, keys.public, "shard", ("cells:*",), *span)
        who = Incarnation(keys.public, 1)
        self.links = Links([listener], keys, (grant,), frozenset({city.root.public}), lambda: who, now, self)

    def step(self, event: LinkUp | LinkDown | PeerSaid) -> None:
        if isinstance(event, LinkUp):
            self.up.add(event.peer.node)
        elif isinstance(event, LinkDown):
            self.up.discard(event.peer.node)

    @property
    def refused(self) -> int:
        return self.links.counters["refused_grant-revoked"]


async def _until(holds: Callable[[], bool], what: str) -> None:
    with trio.move_on_after(AT_MOST_S):
        while not holds():  # noqa: ASYNC110  (it changes in other processes)
            await trio.sleep(POLL_S)
        return
    raise SystemExit(f"{what} took more than {AT_MOST_S:.0f} s")


async def _post(city: City, subject: bytes) -> None:
    wall_ms = now().wall_ms
    word = sign_revocation(city.root, subject, wall_ms, wall_ms + DAY_MS, "bench")
    store = SqliteCoordination(city.folder / "city.sqlite")
    try:
        await store.post(notice_id(word), pack_notice(word))
    finally:
        await store.close()


async def _cut(city: City) -> tuple[float, float]:
    told = city.nodes[0].ask_json("/api/v1/nodes")["nodes"]
    members = [
        Member(bytes.fromhex(one["node"]), one["incarnation"], one["link_url"], "", "") for one in told
    ]
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    rogue = _Rogue(city, members, listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rogue.links.run)
        await trio.lowlevel.checkpoint()
        rogue.links.want(members)
        await _until(lambda: len(rogue.up) == len(members), "linking")
        began_s = trio.current_time()
        await _post(city, rogue.keys.public)
        await _until(lambda: not rogue.up, "the cut")
        cut_s = trio.current_time() - began_s
        await _until(lambda: rogue.refused >= len(members), "the refusals")
        refused_s = trio.current_time() - began_s
        nursery.cancel_scope.cancel()
    return cut_s, refused_s


async def _end(city: City, victim: NodeProcess, witness: NodeProcess) -> tuple[float, float]:
    key = victim.keys.public.hex()

    def served() -> bool:
        regions = witness.ask_json("/api/v1/regions").get("regions", ())
        return bool(regions) and all(region["holder"] not in (key, None) for region in regions)

    began_s = trio.current_time()
    await _post(city, victim.keys.public)
    await _until(lambda: not victim.running, "the revoked node's end")
    ended_s = trio.current_time() - began_s
    await _until(served, "serving its regions")
    return ended_s, trio.current_time() - began_s


async def _measure(city: City, times: int) -> dict[str, Any]:
    cuts = [await _cut(city) for _ in range(times)]
    ended_s, regions_s = await _end(city, city.nodes[-1], city.nodes[0])
    cut_s, refused_s = (sorted(values) for values in zip(*cuts, strict=True))
    return {
        "nodes": len(city.nodes),
        "times": times,
        "cut_s": {"median": round(statistics.median(cut_s), 3), "most": round(cut_s[-1], 3)},
        "refused_s": {"median": round(statistics.median(refused_s), 3), "most": round(refused_s[-1], 3)},
        "ended_s": round(ended_s, 3),
        "regions_s": round(regions_s, 3),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
    }


def main() -> None:
    """Revokes one node after the other and prints how soon they were cut off."""
    parser = argparse.ArgumentParser(description="How soon a revoked node is cut off everywhere.")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, City(Path(folder), given.nodes, places_around()) as city:
        city.start()
        until_s = time.monotonic() + AT_MOST_S
        while waits := city.not_ready():
            if time.monotonic() > until_s:
                raise SystemExit(f"the city is not ready: {waits}")
            time.sleep(POLL_S)
        print(json.dumps(trio.run(_measure, city, given.times)))


if __name__ == "__main__":
    main()
