"""The executor: the one place where a node and the world touch.

It owns the node and calls it one call at a time, whatever happens meanwhile: an event that arrives during a call waits
its turn. After each call it carries out what `drive.effects` says, in that order, and decides nothing itself. Frames
and sends go to the play sockets and links at once; writes, questions to the store and what is for civic logs go to
tasks of their own, whose answers come back as further calls. Several writes that wait for the disk become durable
together, and are answered in the order they were asked for.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from p2pworld.drive import AskStore, Effect, Persist, SendFrames, SendNow, TellHolders, effects, may_leave
from p2pworld.errors import LocalError
from p2pworld.ids import Incarnation
from p2pworld.membership import Lease
from p2pworld.messages import HangUp, Instant, ToClient, WriteFailed, Wrote
from p2pworld.world.ownership import (
    Answer,
    EndLease,
    LeaseEnded,
    MapRead,
    ProposalUnknown,
    Propose,
    Proposed,
    ReadMap,
    Register,
    Registered,
    Renew,
    Renewed,
    StoreFailed,
)
from shard_node.coordination.interface import CoordinationDown, OutcomeUnknown, Registration
from shard_node.errors import ConfigError
from shard_node.stages import WAIT_S, Histogram, Stages
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from p2pworld.core import Event, Node
    from p2pworld.errors import Refusal
    from p2pworld.messages import PlayMessage, Write
    from p2pworld.revocation import Notice
    from shard_node.civic.desk import CivicDesk
    from shard_node.coordination.interface import Coordination
    from shard_node.links import Links
    from shard_node.play import PlaySockets
    from shard_node.storage.journal import Journal

__all__ = ["Executor", "Usage", "ask", "now"]

PERSISTS_MAX: Final = 4_096  # waiting for the disk; as many as acts may wait
GROUP_MAX: Final = 256  # made durable by one commit
REQUESTS_MAX: Final = 64  # waiting for the store; a node asks one thing at a time, and renews beside it
LEAVE_S: Final = 0.002  # in which what a tick tells the neighbours reaches the sockets
REQUESTS: Final = {Register: "register", Renew: "renew", ReadMap: "read", Propose: "propose"}
SCRUB_EVERY_S: Final = (
    1.0  # one cell of the journal is read again: 1 ms for a full one, a thousand cells in 17 minutes
)
TEND_EVERY_S: Final = 0.5  # sockets that waited too long, links that ought to be

log = logging.getLogger(__name__)
T = TypeVar("T")


def now() -> Instant:
    """This machine's clocks, read together."""
    return Instant(time.clock_gettime(time.CLOCK_BOOTTIME), time.time_ns() // 1_000_000)


class Executor:
    """Runs one node. Give it its sockets and links with `attach`, then run `run`."""

    def __init__(
        self,
        node: Node,
        journal: Journal,
        store: Coordination,
        on_number: Callable[[int], None] = lambda number: None,
        stages: Stages | None = None,
    ) -> None:
        self.node = node
        self.stages = stages or Stages()
        node.timed = self.stages.timed
        self._on_number = on_number  # told each new incarnation's number, before the node is
        self.counters: Counter[str] = Counter()
        self.tick_late = Histogram()
        self.commits_took = Histogram(WAIT_S)
        self.store_took = {request: Histogram(WAIT_S) for request in REQUESTS.values()}
        self.tick_busy_s = 0.0  # how long the last tick took, without its frames
        self._dropped = (
            False  # frames, since the last tick: they had not begun to leave when the next ones came
        )
        self.writes_failing = ""  # why the disk last refused, until it accepts again
        self._journal, self._store = journal, store
        self._play: PlaySockets | None = None
        self._links: Links | None = None
        self._desk: CivicDesk | None = None
        self._inbox: deque[Callable[[Instant], None]] = deque()
        self._busy = False
        self._persists: deque[Persist] = deque()
        self._persisting = False
        self._persist_wake = trio.Event()
        self._written = trio.Event()
        self._ask_in, self._ask_out = trio.open_memory_channel[Any](REQUESTS_MAX)
        self._renew_in, self._renew_out = trio.open_memory_channel[Any](REQUESTS_MAX)
        self._drained = trio.Event()
        self._tended_s = 0.0
        self._linked_version = -1

    def attach(self, play: PlaySockets, links: Links, desk: CivicDesk | None = None) -> None:
        """Says where frames, messages and what is filed go; once, before `run`."""
        self._play, self._links, self._desk = play, links, desk

    @property
    def play(self) -> PlaySockets:
        """The play sockets."""
        assert self._play is not None, "attach the sockets first"
        return self._play

    @property
    def links(self) -> Links:
        """The links to other nodes."""
        assert self._links is not None, "attach the links first"
        return self._links

    async def run(self) -> None:
        """Ticks, writes and asks for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._persist_on)
            nursery.start_soon(self._scrub_on)
            nursery.start_soon(self._ask_on, self._ask_out)
            nursery.start_soon(self._ask_on, self._renew_out)
            nursery.start_soon(self._tick_on)

    # ------------------------------------------------------------------------------------------------- calling

    def step(self, event: Event) -> None:
        """Hands an event to the node, after those before it."""
        self._call(partial(self.node.step, event))

    def poses(self, conns: NDArray[np.int32], rows: NDArray[Any]) -> None:
        """Hands a drain's poses to the node."""
        with self.stages.timed("apply"):
            self._call(partial(self.node.poses, conns, rows))

    def ask_node(self, question: Callable[[Node, Instant], T]) -> T:
        """One question to the node, answered before this returns; never from within a call."""
        answers: list[T] = []
        self._call(lambda at: answers.append(question(self.node, at)))
        (answer,) = answers
        return answer

    def take_back(self, notice: bytes) -> Notice | Refusal:
        """Hands a notice from outside or from the store to the node."""
        return self.ask_node(lambda node, at: node.take_back(notice, at))

    def drain(self) -> None:
        """The node gives all its ground away, while it goes on serving who is here."""
        self._call(lambda _: self.node.drain())

    async def until_drained(self) -> None:
        """Returns when the node has given away what others can take."""
        await self._drained.wait()

    def leave(self) -> None:
        """Orderly shutdown: the node acts on no ground any more and sends its clients elsewhere."""
        self._call(self.node.leave)

    def _call(self, call: Callable[[Instant], None]) -> None:
        """Does one call and its effects now, or next if one is being done."""
        self._inbox.append(call)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                self._inbox.popleft()(now())
                while (ready := self.node.ready()) is not None:
                    for effect in effects(ready):
                        self._execute(effect)
        finally:
            self._busy = False
        self.links.flush(self.node.map_version)

    def _execute(self, effect: Effect) -> None:
        match effect:
            case SendFrames(frames):
                if self.play.send_frames(frames):
                    self._dropped = True
                    self.node.frames_dropped()
            case SendNow():
                self._send(effect)
            case Persist():
                self._persist(effect)
            case TellHolders(steps):
                assert self._desk is not None, "a node without a desk holds no stream"
                self._desk.take(steps)
            case AskStore(request):
                self._ask(request)

    def _send(self, sends: SendNow) -> None:
        """What one client is told leaves in one piece: a send costs more than what is in it."""
        boot_s = now().boot_s
        told: dict[int, list[PlayMessage]] = {}
        for send in sends.sends:
            if not may_leave(send, sends.lease_deadline_s, boot_s):
                self.counters["fenced"] += 1
            elif isinstance(send, ToClient):
                told.setdefault(send.conn, []).append(send.message)
            elif isinstance(send, HangUp):
                if before := told.pop(send.conn, None):
                    self.play.send(send.conn, *before)
                self.play.hang_up(send.conn, send.bye)
            else:
                self.links.send(send, sends.lease_deadline_s)
        for conn, messages in told.items():
            self.play.send(conn, *messages)

    # ------------------------------------------------------------------------------------------------- ticking

    async def _tick_on(self) -> None:
        """Ticks when the node's clock says so. A tick that comes too late to matter is skipped, never made up for.

        The frames of a tick are built after what it told the neighbours has left, and theirs have come.
        """
        due_s, _ = self.node.next_tick(now().boot_s, now())
        usage = Usage()
        while True:
            await _sleep_until(due_s)
            at_s = now().boot_s
            self.tick_late.took(at_s - due_s)
            missed = max(0, int((at_s - due_s) * 1000 / self.node.tick_ms))
            # whether a shorter tick would do is a matter of how long frames take to leave
            took_s = self.play.frames_took_s if self.node.tick_ms > self.node.config.tick_ms else 0.0
            busy = usage.since_last(at_s, missed, self._dropped, took_s)
            self._dropped = False
            was = self.node.bearing
            began_s = time.perf_counter()
            with self.stages.timed("tick"):
                self._call(partial(self.node.tick, busy=busy))
            self._tend()
            if self.node.drained:
                self._drained.set()
            self.tick_busy_s = time.perf_counter() - began_s
            if self.node.draws:
                await _sleep_until(due_s + max(LEAVE_S, self.node.awaits))
                with self.stages.timed("tick"):
                    self._call(self.node.draw)
            if self.node.bearing is not was:
                extra = {"busy": round(busy, 2), "tick_ms": self.node.tick_ms}
                log.warning("load: from %s to %s", was.name, self.node.bearing.name, extra=extra)
            self.counters["ticks"] += 1
            due_s, missed = self.node.next_tick(due_s, now())
            self.counters["ticks_missed"] += missed

    def _tend(self) -> None:
        """Twice a second, and at every new map: who is to be linked, who has waited too long."""
        at_s = now().boot_s
        version = self.node.map_version
        if version == self._linked_version and at_s - self._tended_s < TEND_EVERY_S:
            return
        self._tended_s, self._linked_version = at_s, version
        members = self.node.peers()
        self.links.want(members)
        self.play.urls = self.node.other_urls()
        self.play.housekeep()

    # ------------------------------------------------------------------------------------------------- disk

    @property
    def writes_waiting(self) -> int:
        """Writes that are not yet durable."""
        return len(self._persists) + self._persisting

    async def until_written(self) -> None:
        """Waits until no write is waiting for the disk."""
        while self.writes_waiting:
            if self._written.is_set():
                self._written = trio.Event()
            await self._written.wait()

    def _persist(self, persist: Persist) -> None:
        if len(self._persists) >= PERSISTS_MAX:
            self._write_failed(persist, "busy")
            return
        self._persists.append(persist)
        self._persist_wake.set()

    async def _persist_on(self) -> None:
        """Makes durable whatever waits, together."""
        while True:
            if not self._persists:
                self._persist_wake = trio.Event()
                await self._persist_wake.wait()
            group = [self._persists.popleft() for _ in range(min(len(self._persists), GROUP_MAX))]
            self._persisting = True
            boot_s = now().boot_s
            for persist in [persist for persist in group if boot_s >= persist.lease_deadline_s]:
                group.remove(persist)
                self._write_failed(persist, "lapsed")
            if not await self._append(group):
                for persist in group:  # one of them may be what does not fit
                    await self._append([persist])
            self._persisting = False
            self._written.set()

    async def _append(self, group: Sequence[Persist]) -> bool:
        """Makes a group durable and answers each; False if there are several and the disk took none."""
        writes: tuple[Write, ...] = tuple(write for persist in group for write in persist.writes)
        if not writes:
            return True
        began_s = time.perf_counter()
        try:
            await self._journal.append(writes)
        except StorageFailed as error:
            if len(group) > 1:
                return False
            log.error("writes failed: %s", error, extra={"reason": error.reason})
            self.writes_failing = error.reason
            self._write_failed(group[0], error.reason)
            return True
        self.commits_took.took(time.perf_counter() - began_s)
        self.writes_failing = ""
        self.counters["commits"] += 1
        self.counters["writes"] += len(writes)
        for persist in group:
            self._send(persist.then)
            self._call(partial(self.node.advance, Wrote(persist.number)))
        return True

    async def _scrub_on(self) -> None:
        """Reads the journal again, cell by cell; what the disk garbled is written anew from the node's memory."""
        cell = 0
        while True:
            await trio.sleep(SCRUB_EVERY_S)
            try:
                cell, sound = await self._journal.scrub(cell)
            except StorageFailed as error:
                log.error("the journal cannot be read again: %s", error, extra={"reason": error.reason})
                self.counters[f"scrub_{error.reason}"] += 1
                cell = 0
                continue
            if not sound:
                log.error("cell %d in the journal is damaged, and is written anew", cell)
                self.counters["scrub_damaged"] += 1
                self._call(partial(self.node.rewrite, cell))

    def _write_failed(self, persist: Persist, reason: str) -> None:
        self.counters[f"write_failed_{reason}"] += 1
        self._call(partial(self.node.advance, WriteFailed(persist.number, reason)))

    # ------------------------------------------------------------------------------------------------- store

    def _ask(self, request: Any) -> None:
        channel = self._renew_in if isinstance(request, Renew) else self._ask_in
        try:
            channel.send_nowait(request)
        except trio.WouldBlock:
            self.counters["store_failed_queue"] += 1
            self.step(StoreFailed(request, "queue"))

    async def _ask_on(self, requests: trio.MemoryReceiveChannel[Any]) -> None:
        """Puts one question after another to the store; renewals have a task of their own and overtake the rest."""
        async for request in requests:
            began_s = time.perf_counter()
            try:
                answer = await ask(self._store, self.node.who.node, request)
            except LocalError as error:  # such as another lease time than this city's
                raise ConfigError(
                    f"this node cannot take part in the city of its coordination store: {error}."
                ) from None
            self.store_took[REQUESTS[type(request)]].took(time.perf_counter() - began_s)
            if isinstance(answer, StoreFailed):
                self.counters[f"store_failed_{answer.reason}"] += 1
            if isinstance(answer, Registered):
                self._on_number(answer.number)
            self.step(answer)


class Usage:
    """How much of the time between two ticks this node needed: of its loop's thread, and of the wall clock."""

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._worked_s = 0.0

    def since_last(self, at_s: float, missed: int, dropped: bool, took_s: float) -> float:
        """1.0 is all of it, also when frames were `dropped` for newer ones; more means that ticks were missed.

        Where others want the processor too, little work takes long: how long the last frames `took_s` counts as well.
        """
        worked_s = time.thread_time()
        before_s, self._at_s = self._at_s, at_s
        worked_s, self._worked_s = worked_s - self._worked_s, worked_s
        if before_s is None or at_s <= before_s:
            return 0.0
        if missed or dropped:
            return 1.0 + missed
        return max(worked_s, took_s) / (at_s - before_s)


async def _sleep_until(boot_s: float) -> None:
    await trio.sleep(max(0.0, boot_s - now().boot_s))


async def ask(store: Coordination, node: bytes, request: Any) -> Answer:
    """The store's answer to one request of the node with this key.

    Raises LocalError: the store and this node can never agree.
    """
    try:
        match request:
            case Register():
                record = Registration(node, request.link_url, request.play_url, request.web_url)
                ends = Incarnation(node, request.ends) if request.ends else None
                return Registered(await store.register(record, request.ttl_s, ends))
            case Renew():
                return Renewed(request.token, await store.renew(request.who))
            case ReadMap():
                seen = await store.read(request.known_version)
                return MapRead(seen.map_version, seen.map, seen.leases)
            case Propose():
                victim = Lease(*request.victim, False) if request.victim else None
                done = await store.propose(request.map, request.expected_version, victim)
                return Proposed(done.ok, done.version)
            case EndLease():
                await store.end(request.who)
                return LeaseEnded(request.who)
    except CoordinationDown as down:
        return StoreFailed(request, down.reason)
    except OutcomeUnknown:
        return ProposalUnknown()
    raise LocalError(f"{type(request).__name__} is no request to the store")
