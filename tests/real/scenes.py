"""The scenes, each a function of an empty folder and of whether it is to be played at length."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import trio
from websockets.frames import Opcode

from client.connect import connect
from p2pworld.crypto.keys import PersonKeys, sign_hello
from p2pworld.geometry import Cell, level_of_side_m
from p2pworld.messages import Act, Bye, Challenge, Done, Pose, Profile, Welcome
from p2pworld.wire.codec import decode_play, encode_play
from simulations.bench.failover.people import STROLL_MIDDLE_CM
from simulations.etcd_server import EtcdServer
from simulations.fabric import inside
from simulations.processes import python_environment
from tests.nodes import stop_between_transactions
from tests.real.stage import AT_MOST_S, on_stage, regions, until
from tests.shard_node.playing import Client as Raw

if TYPE_CHECKING:
    from contextlib import ExitStack

    from simulations.bench.failover.people import People
    from simulations.fabric import Lan
    from simulations.processes import NodeProcess
    from tests.real.stage import Stage

__all__ = ["SCENES", "main"]

STOPPED_S: Final = 10.0  # five leases
SLOW_MS: Final = (
    1_150.0  # there and back it is longer than a standby may take, and shorter than a link may be silent
)
OUTAGE_S: Final = 8.0  # longer than a node that has lapsed alone keeps its people
LONG_OUTAGE_S: Final = 60.0
CALM_S: Final = 3.0
STORES: Final = ("store-1", "store-2", "store-3")
MIDDLE_LEVEL: Final = level_of_side_m(128)
FIRST_CONTROL_KIND: Final = 0x40


def somebody(stage: Stage, at: tuple[int, int] = STROLL_MIDDLE_CM) -> Any:
    """A person who may enter at this place."""
    keys = PersonKeys.from_seed(os.urandom(32))
    return connect(stage.city.play_urls, keys, Profile("somebody", kind="program"), Pose(*at))


def sent_away(people: People) -> int:
    """How often a node has said goodbye to any of them."""
    sessions = [bot.session for bot in people.swarm.bots]
    return sum(times for one in sessions for what, times in one.counters.items() if what.startswith("bye-"))


def hung(stage: Stage, durable: str) -> bytes:
    """Somebody hangs lanterns in node-1's region until one is said to last in this way; that lantern."""

    async def story() -> bytes:
        async with somebody(stage) as one:
            await one.enter()
            while True:
                done: Done = await one.act("hang", f"until {durable}")
                if done.durable == durable:
                    return done.id

    found: bytes = stage.visit(story)
    return found


def seen(stage: Stage, lanterns: set[bytes]) -> None:
    """A visitor of node-1's region sees all these."""

    async def story() -> None:
        async with somebody(stage) as one:
            await one.enter()
            await one.until(lambda: all(one.view.find(lantern) for lantern in lanterns))

    stage.visit(story)


# ---- cables


def cables(folder: Path, long: bool) -> None:
    """A cable cut one way, then slow cables to one standby and to all, then whole ones: nobody loses anything."""
    with on_stage(folder, 3, strollers=20) as stage:
        first, second, third = stage.city.nodes
        before = stage.incarnations()

        stage.lan.cut(["node-1"], ["node-2"])
        until(
            lambda: second.ask_json("/healthz").get("links") == 1, "node-2 hears nothing of node-1 any more"
        )
        until(lambda: first.ask_json("/healthz").get("links") == 1, "node-1 gives the link up, too")
        stage.assert_everybody_is_here_once()
        stage.lan.plug("node-1")
        stage.ready()
        assert stage.incarnations() == before, "a link between two nodes was down, and a node was evicted"

        def guards() -> list[NodeProcess]:
            keys = [r["standbys"] for r in regions(first) if _is_home(r["cell"])]
            return [node for node in stage.city.nodes if keys and node.keys.public.hex() in keys[0]]

        kept = {hung(stage, "standby")}
        (slow,) = guards()
        quick = third if slow is second else second
        _lay_between(stage, first, slow)
        kept.add(hung(stage, "disk"))  # the slow one is off the list, and nobody else is on it yet
        kept.add(hung(stage, "standby"))
        assert guards() == [quick]
        _lay_between(stage, first, quick)
        kept.add(hung(stage, "disk"))
        stage.lan.plug("node-1", "node-2", "node-3")
        stage.ready()
        kept.add(hung(stage, "standby"))
        seen(stage, kept)
        stage.assert_everybody_is_here_once()
        assert stage.incarnations() == before


def _is_home(quadkey: str) -> bool:
    return Cell.from_quadkey(quadkey).contains_point(*STROLL_MIDDLE_CM)


def _lay_between(stage: Stage, one: NodeProcess, other: NodeProcess) -> None:
    """From now on the cable between these two is slow, both ways."""
    for source, destination in ((one, other), (other, one)):
        stage.lan.lay([source.name], [destination.name], delay_ms=SLOW_MS)


# ---- processes that stand still


async def _set(event: threading.Event) -> None:
    while not event.is_set():  # noqa: ASYNC110  (it is another thread's)
        await trio.sleep(0.02)


class Stayer:
    """Somebody who stays with a node that stands still, and asks it for a lantern meanwhile."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.at = next(cell.centre_cm for cell in node.cells if cell.level == MIDDLE_LEVEL)
        self.is_in, self.may_ask = threading.Event(), threading.Event()
        self.told: list[Any] = []  # after it had asked

    async def story(self) -> None:
        """Logs in, waits for `may_ask`, asks, and listens until the node closes the socket."""
        parts = urlsplit(self.node.play_url)
        async with await trio.open_tcp_stream(parts.hostname or "", parts.port or 0) as stream:
            raw = Raw(stream)
            await raw.open()
            challenge = decode_play(await raw.payload())
            assert isinstance(challenge, Challenge)
            hello = sign_hello(
                PersonKeys.from_seed(os.urandom(32)),
                challenge.node,
                challenge.nonce,
                time.time_ns() // 1_000_000,
                self.node.play_url,
                Profile("stayer"),
                want=Pose(*self.at),
            )
            await raw.say(encode_play(hello))
            while (await raw.payload())[0] != Welcome.KIND:
                pass
            self.is_in.set()
            await _set(self.may_ask)
            await raw.say(encode_play(Act(1, "hang", "too late", name=os.urandom(16))))
            while (frame := await raw.frame()) is not None:
                payload = bytes(frame.data)
                if frame.opcode is Opcode.BINARY and payload[0] >= FIRST_CONTROL_KIND:
                    self.told.append(decode_play(payload))


def paused(folder: Path, long: bool) -> None:
    """A process is stopped, and a laptop's lid closed, for five leases: nothing they say counts, and they come back."""
    with on_stage(
        folder, 3, strollers=20, programs=("shard_node", "shard_node", "tests.real.laptop")
    ) as stage:
        city = stage.city
        first, *sleepers = city.nodes
        before = stage.incarnations()
        kept = {hung(stage, "standby")}
        stayers = [Stayer(node) for node in sleepers]
        stories = [stage.begin(stayer.story) for stayer in stayers]
        for stayer in stayers:
            assert stayer.is_in.wait(AT_MOST_S), "nobody came in who would stay"
        stop_between_transactions(city.folder / "city.sqlite", sleepers)
        began_s = time.monotonic()
        try:
            for stayer in stayers:
                stayer.may_ask.set()

            def taken_over() -> bool:
                return {region["holder"] for region in regions(first)} == {first.keys.public.hex()}

            until(taken_over, "node-1 holds the whole city")
            time.sleep(max(0.0, began_s + STOPPED_S - time.monotonic()))
        finally:
            (city.folder / "slept_s").write_text(str(time.monotonic() - began_s))
            for node in sleepers:
                node.signal(signal.SIGCONT)
        for story in stories:
            story()
        for stayer in stayers:
            done = [message for message in stayer.told if isinstance(message, Done)]
            assert not any(message.durable for message in done), f"a late act was acknowledged: {done}"
            assert {message.reason for message in done} <= {"lapsed", "moved"}
            assert isinstance(stayer.told[-1], Bye), stayer.told
        stage.ready()
        after = stage.incarnations()
        assert after[0] == before[0]
        assert all(new > old for new, old in zip(after[1:], before[1:], strict=True))
        for node in sleepers:
            assert city.counted("lapses", [node]) >= 1, f"{node.name} did not know that its lease was over"
        with closing(sqlite3.connect(city.folder / "city.sqlite")) as db:
            living = set(db.execute("SELECT node, number FROM lease WHERE NOT ended"))
        keys = [node.keys.public for node in city.nodes]
        assert living == set(zip(keys, after, strict=True)), "a late renewal counted"
        seen(stage, kept)
        stage.assert_everybody_is_here_once()


# ---- the store


def _on_etcd(stack: ExitStack, lan: Lan, folder: Path) -> tuple[EtcdServer, str]:
    folder.mkdir()
    server = stack.enter_context(EtcdServer(folder, 3, hosts=[lan.hosts[name] for name in STORES]))
    endpoints = json.dumps([member.url for member in server.members])
    return server, f'engine = "etcd"\nendpoints = {endpoints}\nprefix = "seoul/"\n'


def store(folder: Path, long: bool) -> None:
    """etcd loses its leader, by its death and by its cable, and then altogether: nobody is evicted."""
    servers: list[EtcdServer] = []

    def on_etcd(stack: ExitStack, lan: Lan) -> str:
        server, text = _on_etcd(stack, lan, folder / "etcd")
        servers.append(server)
        return text

    with on_stage(folder, 2, strollers=20, store=on_etcd, others=STORES) as stage:
        (server,) = servers
        first, second = stage.city.nodes
        people = stage.people
        assert people is not None
        before, held = stage.incarnations(), {r["cell"]: r["holder"] for r in regions(first)}
        # Whoever hears nothing for 1.4 s logs in again, which a busy machine may bring about; nobody may be sent away.
        byes = sent_away(people)

        def as_before() -> None:
            assert stage.incarnations() == before, "a node was evicted"
            assert {r["cell"]: r["holder"] for r in regions(second)} == held, "ground changed hands"
            stage.assert_everybody_is_here_once()
            assert sent_away(people) == byes, "somebody was sent away"

        leader = server.leader()
        leader.kill()
        time.sleep(CALM_S)  # longer than it takes to judge a node dead
        stage.ready()
        as_before()
        leader.start()
        server.wait_ready()

        name = STORES[server.members.index(server.leader())]
        stage.lan.pull(name)
        time.sleep(CALM_S)
        stage.ready()
        as_before()
        stage.lan.plug(name)
        server.wait_ready()

        kept = {hung(stage, "standby")}
        visit = Refused()
        story = stage.begin(lambda: visit.story(stage))
        assert visit.is_in.wait(AT_MOST_S)
        server.kill()

        def lapsed() -> bool:
            told = [node.ask_json("/healthz") for node in stage.city.nodes]
            return all("lapsed" in one.get("reasons", ()) for one in told)

        until(lapsed, "both nodes say that their leases have lapsed")
        visit.may_ask.set()
        until_s = time.monotonic() + (LONG_OUTAGE_S if long else OUTAGE_S)
        while time.monotonic() < until_s:
            assert all(bot.session.playing for bot in people.swarm.bots), "somebody was put out"
            time.sleep(0.2)
        server.start()
        stage.ready()
        as_before()
        kept.add(story())
        assert visit.refusals, "acts were neither refused nor done while nothing could be made to last"
        assert set(visit.refusals) == {"lapsed"}, visit.refusals
        seen(stage, kept)


class Refused:
    """Somebody who asks for a lantern while nothing lasts, and is told so; and again, until it lasts."""

    def __init__(self) -> None:
        self.is_in, self.may_ask = threading.Event(), threading.Event()
        self.refusals: list[str] = []

    async def story(self, stage: Stage) -> bytes:
        """The lantern that was done in the end."""
        async with somebody(stage) as one:
            await one.enter()
            self.is_in.set()
            await _set(self.may_ask)
            n = one.session.act("hang", trio.current_time(), "when it lasts")
            while True:
                await one.until(lambda: any(isinstance(said, Done) for said in one.said))
                done = next(said for said in one.said if isinstance(said, Done))
                one.said.clear()
                assert done.n == n
                if done.durable:
                    return done.id
                self.refusals.append(done.reason)


SCENES: Final = {"cables": cables, "paused": paused, "store": store}


def main(arguments: list[str]) -> None:
    """Plays one scene, `SCENE FOLDER`, inside; or with `--long` all of them at length, each in a network of its own."""
    if arguments == ["--long"]:
        for name in SCENES:
            with tempfile.TemporaryDirectory() as place:
                began_s = time.monotonic()
                command = inside("-m", "tests.real.scenes", name, place, "long")
                subprocess.run(command, env=python_environment(), check=True)
                print(f"{name}: {time.monotonic() - began_s:.0f} s", flush=True)
        return
    name, place, *rest = arguments
    SCENES[name](Path(place), bool(rest))


if __name__ == "__main__":
    main(sys.argv[1:])
