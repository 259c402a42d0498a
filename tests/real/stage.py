"""What scenes are made of: a city on hosts, the people on one of their own, and waiting for something to become true.

The scene's own thread is at the desk; whatever people do is done in threads of the people's host.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from simulations.bench.crowd import ground
from simulations.bench.failover.people import People
from simulations.fabric import Lan
from simulations.processes import SQLITE, City, NodeProcess
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

__all__ = ["AT_MOST_S", "Stage", "on_stage", "regions", "until"]

AT_MOST_S: Final = PATIENCE_S
POLL_S: Final = 0.05
THREADS: Final = 8


def until(holds: Callable[[], bool], what: Callable[[], str] | str, within_s: float = AT_MOST_S) -> None:
    """Polls other processes until something holds."""
    until_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until_s, (
            f"not within {within_s:g} s: {what if isinstance(what, str) else what()}"
        )
        time.sleep(POLL_S)


class Stage:
    """A city, its network, and (`people`) a few strollers in node-1's region, if there are to be any."""

    def __init__(self, lan: Lan, city: City, host: ThreadPoolExecutor) -> None:
        self.lan, self.city, self._host = lan, city, host
        self.people: People | None = None
        self.over = False

    def on_host(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What `call` returns, done on the people's host."""
        return self._host.submit(call, *arguments).result()

    def visit(self, story: Callable[[], Awaitable[Any]]) -> Any:
        """What becomes of an async story on the people's host."""

        async def bounded() -> Any:
            with trio.fail_after(AT_MOST_S):
                return await story()

        return self.on_host(trio.run, bounded)

    def begin(self, story: Callable[[], Awaitable[Any]]) -> Callable[[], Any]:
        """Starts a story on the people's host; call what is returned for its end. It ends with the scene, too."""

        async def bounded() -> Any:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_with_scene, nursery.cancel_scope)
                told = await story()
                nursery.cancel_scope.cancel()
                return told

        return self._host.submit(trio.run, bounded).result

    async def _end_with_scene(self, scope: trio.CancelScope) -> None:
        while not self.over:  # noqa: ASYNC110  (it is another thread's)
            await trio.sleep(POLL_S)
        scope.cancel()

    def ready(self) -> None:
        """Waits until all nodes serve the whole city."""

        def well() -> bool:
            for node in self.city.dead():
                raise AssertionError(f"{node.name} ended:\n{node.log_tail()}")
            return not self.city.not_ready()

        until(well, lambda: self.city.not_ready())

    def incarnations(self) -> list[int]:
        """Each node's number."""
        return [node.ask_json("/healthz").get("incarnation", 0) for node in self.city.nodes]

    def assert_everybody_is_here_once(self) -> None:
        """Everybody plays, and nobody was ever lost, doubled or thrown out."""
        people = self.people
        assert people is not None
        until(lambda: people.swarm.playing == len(people.swarm.bots), lambda: people.swarm.trouble)
        told = (len(people.witness.lost), len(people.witness.twinned), people.swarm.stopped)
        assert told == (0, 0, 0), f"(lost, twinned, stopped) is {told}"


def regions(asked: NodeProcess) -> list[dict[str, Any]]:
    """The city map, as `asked` knows it."""
    found: list[dict[str, Any]] = asked.ask_json("/api/v1/regions").get("regions", [])
    return found


@contextmanager
def on_stage(
    folder: Path,
    nodes: int,
    *,
    strollers: int = 0,
    store: Callable[[ExitStack, Lan], str] = lambda stack, lan: SQLITE,
    others: tuple[str, ...] = (),
    programs: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[Stage]:
    """So many nodes, ready, with so many strollers in; `others` are the store's hosts, `options` are City's."""
    names = [f"node-{number}" for number in range(1, nodes + 1)]
    with ExitStack() as stack:
        lan = stack.enter_context(Lan([*names, *others, "people"]))
        text = store(stack, lan)
        hosts = [lan.hosts[name] for name in names]
        city = stack.enter_context(
            City(folder / "city", nodes, (), dealt=ground.dealt(nodes), store=text, hosts=hosts, **options)
        )
        for node, program in zip(city.nodes, programs, strict=False):
            node.program = program
        pool = stack.enter_context(ThreadPoolExecutor(THREADS, initializer=lan.hosts["people"].enter))
        stage = Stage(lan, city, pool)
        city.start()
        stage.ready()
        if strollers:
            people: People = stage.on_host(partial(People, city.play_urls, strollers))
            stack.callback(people.close)
            stage.people = people
            stage.assert_everybody_is_here_once()
        try:
            yield stage
        finally:
            stage.over = True
