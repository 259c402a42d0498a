"""What goes wrong in a simulated city, and how often: each rate and each probability is a field with its unit.

A schedule is drawn from the run's one source of chance as time goes on; some faults wait for their moment, as a crash
of either side of a handoff does while its messages fly. From `quiet_s` on nothing new goes wrong and all that was
broken is mended, so that the city can show that it recovers.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.messages import Batch, LinkMessage, PeerSaid
from simulations.machine import HANDOFF

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from p2pworld.ids import Incarnation
    from p2pworld.messages import ToPeer
    from simulations.events import Agenda, Trace
    from simulations.machine import Machine, Process
    from simulations.network import Link, Network
    from simulations.store import Store
    from simulations.workload import Device

__all__ = ["PRESETS", "FaultOptions", "Faults"]


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """Mean seconds between faults (0: never), their lengths in seconds (from, to), probabilities, and sizes."""

    crash_every_s: float = 0.0
    crash_in_handoff_every_s: float = 0.0  # then the next handoff message is struck
    down_s: tuple[float, float] = (0.2, 3.0)
    unproven: float = 0.3  # probability that a restart cannot prove the earlier process dead
    pause_every_s: float = 0.0
    pause_s: tuple[float, float] = (0.5, 9.0)
    partition_every_s: float = 0.0
    partition_s: tuple[float, float] = (0.5, 7.0)
    one_way: float = 0.4  # probability that a partition blocks one direction only
    link_cut_every_s: float = 0.0
    store_cut_every_s: float = 0.0  # one machine loses the store
    store_cut_s: tuple[float, float] = (1.0, 8.0)
    store_out_every_s: float = 0.0
    store_out_s: tuple[float, float] = (0.5, 6.0)
    store_answer_lost: float = 0.0  # probability at each request
    client_cut_every_s: float = 0.0
    client_stall_every_s: float = 0.0
    client_stall_s: tuple[float, float] = (0.3, 4.0)
    disk_full_every_s: float = 0.0
    disk_full_s: tuple[float, float] = (1.0, 6.0)
    disk_slow_every_s: float = 0.0
    disk_slow_s: tuple[float, float] = (1.0, 6.0)
    disk_slow_times: float = 200.0
    disk_lost: float = 0.0  # probability that one disk of the run is lost for good
    drift: float = 0.0  # clocks run faster or slower by at most this part
    overload_every_s: float = 0.0  # one machine is too busy
    overload_s: tuple[float, float] = (1.0, 8.0)
    overload_busy: float = 3.0  # what its ticks would use of their time
    jump_every_s: float = 0.0
    jump_ms: int = 30_000  # how far from the true time a jump takes the wall clock at most
    again: float = 0.0  # probability that a handoff message arrives twice
    late: float = 0.0  # probability that it arrives late, behind others
    late_s: tuple[float, float] = (0.01, 4.0)


_LIGHT: Final = FaultOptions(
    crash_every_s=60.0,
    crash_in_handoff_every_s=60.0,
    pause_every_s=90.0,
    partition_every_s=60.0,
    link_cut_every_s=30.0,
    store_cut_every_s=120.0,
    store_out_every_s=150.0,
    store_answer_lost=0.002,
    client_cut_every_s=15.0,
    client_stall_every_s=30.0,
    disk_full_every_s=120.0,
    disk_slow_every_s=120.0,
    overload_every_s=60.0,
    drift=0.01,
    jump_every_s=100.0,
    again=0.02,
    late=0.01,
)
_HEAVY: Final = replace(
    _LIGHT,
    crash_every_s=30.0,
    crash_in_handoff_every_s=6.5,
    pause_every_s=22.0,
    partition_every_s=18.0,
    link_cut_every_s=8.0,
    store_cut_every_s=40.0,
    store_out_every_s=60.0,
    store_answer_lost=0.01,
    client_cut_every_s=4.0,
    client_stall_every_s=8.0,
    disk_full_every_s=45.0,
    disk_slow_every_s=45.0,
    disk_lost=0.3,
    overload_every_s=20.0,
    drift=0.05,
    jump_every_s=30.0,
    again=0.1,
    late=0.05,
)
PRESETS: Final = {"none": FaultOptions(), "light": _LIGHT, "heavy": _HEAVY}


class Victim(Protocol):
    """The run that is tormented."""

    agenda: Agenda
    trace: Trace
    rng: random.Random
    network: Network
    store: Store
    machines: list[Machine]
    devices: list[Device]


class Faults:
    """The schedule of one run."""

    def __init__(self, options: FaultOptions, quiet_s: float, run: Victim) -> None:
        self.options, self.quiet_s, self.run = options, quiet_s, run
        self.counts: Counter[str] = Counter()
        self.crashes_in_handoffs = 0
        self.lease_expiries = 0
        self.disks_lost: list[int] = []
        self._mend: dict[int, Callable[[], None]] = {}
        self._faults = 0
        self._strike_s = self._next_strike_s()
        self._armed: set[int] = set()  # machines whose next effect is their last

    def begin(self) -> None:
        """Enter the first fault of each kind into the agenda."""
        options, run = self.options, self.run
        for machine in run.machines:
            machine.clock.rate = 1.0 + run.rng.uniform(-options.drift, options.drift)
        run.store.options = replace(run.store.options, answer_lost=options.store_answer_lost)
        kinds: tuple[tuple[float, Callable[[], None]], ...] = (
            (options.crash_every_s, self._crash),
            (options.pause_every_s, self._pause),
            (options.partition_every_s, self._partition),
            (options.link_cut_every_s, self._cut_link),
            (options.store_cut_every_s, self._cut_from_store),
            (options.store_out_every_s, self._store_out),
            (options.client_cut_every_s, self._cut_client),
            (options.client_stall_every_s, self._stall_client),
            (options.disk_full_every_s, self._disk_full),
            (options.disk_slow_every_s, self._disk_slow),
            (options.jump_every_s, self._jump),
            (options.overload_every_s, self._overload),
        )
        for every_s, do in kinds:
            if every_s:
                self._plan(every_s, do)
        if options.disk_lost and run.rng.random() < options.disk_lost:
            apart_s = min(30.0, 0.3 * self.quiet_s)  # from either end
            run.agenda.at(run.rng.uniform(apart_s, self.quiet_s - apart_s), self._lose_disk)
        run.agenda.at(self.quiet_s, self._quiet)

    @property
    def active(self) -> bool:
        """Whether things still go wrong."""
        return self.run.agenda.now_s < self.quiet_s

    def _plan(self, every_s: float, do: Callable[[], None]) -> None:
        def happen() -> None:
            if self.active:
                do()
                self._plan(every_s, do)

        self.run.agenda.after(self.run.rng.expovariate(1.0 / every_s), happen)

    def _mended_after(self, seconds: tuple[float, float], mend: Callable[[], None]) -> None:
        """Mend it after a while, at the latest when it becomes quiet; once."""
        self._faults += 1
        number = self._faults
        self._mend[number] = mend
        self.run.agenda.after(self.run.rng.uniform(*seconds), lambda: self._mend.pop(number, _nothing)())

    def _quiet(self) -> None:
        self._armed.clear()
        for number in sorted(self._mend):
            self._mend.pop(number)()
        self.run.store.options = replace(self.run.store.options, answer_lost=0.0)
        self.run.trace.say(self.run.agenda.now_s, "nothing new goes wrong from here on")

    def _note(self, kind: str, line: str) -> None:
        self.counts[kind] += 1
        self.run.trace.say(self.run.agenda.now_s, line)

    def _machine(self) -> Machine:
        return self.run.machines[self.run.rng.randrange(len(self.run.machines))]

    # ------------------------------------------------------------------------------------------------- processes

    def _crash(self) -> None:
        machine = self._machine()
        if self.run.rng.random() < 0.5:
            self._armed.add(machine.number)
        else:
            self.crash(machine, "at rest")

    def crash(self, machine: Machine, why: str) -> None:
        """End its process, and start another after a while."""
        process = machine.process
        if process is None or not self.active:
            return
        self._armed.discard(machine.number)
        self.counts["crash"] += 1
        self.crashes_in_handoffs += _in_handoff(process)
        machine.crash(why)
        proven = self.run.rng.random() >= self.options.unproven
        self._mended_after(self.options.down_s, lambda: machine.start(proven=proven))

    def before_effect(self, process: Process, effect: object) -> None:
        """A crash that waits for an effect comes before it."""
        if process.number in self._armed:
            self.crash(process.machine, f"before {type(effect).__name__}")

    def before_send(self, process: Process, send: ToPeer) -> None:
        """A handoff message is about to leave: now and then either side dies, before it or while it flies."""
        rng = self.run.rng
        if not self.active or self.run.agenda.now_s < self._strike_s:
            return
        self._strike_s = self._next_strike_s()
        kind = type(send.message).__name__
        moment = rng.randrange(4)
        if moment == 0:
            self.crash(process.machine, f"before it sends {kind}")
            return
        there = next((m for m in self.run.machines if m.keys.public == send.peer.node), None)
        victim = process.machine if moment == 1 or there is None else there
        life = victim.lives

        def strike() -> None:
            struck = self.crashes_in_handoffs
            if victim.lives == life:
                self.crash(victim, f"soon after {process.name} sent {kind}")
            if self.crashes_in_handoffs == struck:
                self._strike_s = self.run.agenda.now_s  # it missed: the next message will do

        self.run.agenda.after(rng.random() * 0.06, strike)

    def _next_strike_s(self) -> float:
        every_s = self.options.crash_in_handoff_every_s
        if not every_s:
            return math.inf
        return self.run.agenda.now_s + every_s * self.run.rng.uniform(0.5, 1.5)

    def _pause(self) -> None:
        process = self._machine().process
        if process is None or process.paused:
            return
        self._note("pause", f"{process.name} is stopped")
        process.pause()
        self._mended_after(self.options.pause_s, lambda: self._resume(process))

    def _resume(self, process: Process) -> None:
        if process.alive:
            self._count_expiry(process)
            self.run.trace.say(self.run.agenda.now_s, f"{process.name} goes on")
            process.resume()

    def _count_expiry(self, process: Process | None) -> None:
        if process is not None and process.node.who.number:
            self.lease_expiries += process.now().boot_s >= process.lease_deadline_s

    # ------------------------------------------------------------------------------------------------- network

    def _partition(self) -> None:
        run = self.run
        numbers = [machine.number for machine in run.machines]
        run.rng.shuffle(numbers)
        size = run.rng.randrange(1, len(numbers))
        inside, outside = numbers[:size], numbers[size:]
        ways = [(a, b) for a in inside for b in outside]
        if run.rng.random() >= self.options.one_way:
            ways += [(b, a) for a, b in ways]
        names = "".join(sorted(run.machines[number].name for number in inside))
        both = " and the others by it" if len(ways) > size * (len(numbers) - size) else ""
        self._note("partition", f"{names} cannot be heard by the others{both}")
        for way in ways:
            run.network.block(*way)

        def mend() -> None:
            run.trace.say(run.agenda.now_s, f"{names} can be heard again")
            for way in ways:
                run.network.unblock(*way)

        self._mended_after(self.options.partition_s, mend)

    def _cut_link(self) -> None:
        links = [link for link in self.run.network.links if link.open]
        if links:
            link = links[self.run.rng.randrange(len(links))]
            self._note("link-cut", f"the link of {link.ends[0].name} and {link.ends[1].name} breaks")
            self.run.network.cut(link)

    def hear(self, link: Link, side: int, batch: Batch) -> Batch:
        """What arrives at once of a batch; the rest comes late, and some of it again."""
        options, rng = self.options, self.run.rng
        if not self.active or not any(isinstance(message, HANDOFF) for message in batch.messages):
            return batch
        now: list[LinkMessage] = []
        for message in batch.messages:
            if not isinstance(message, HANDOFF):
                now.append(message)
                continue
            chance = rng.random()
            if chance < options.late:
                self.counts["late"] += 1
                self._again(link, side, batch.map_version, message)
                continue
            now.append(message)
            if chance < options.late + options.again:
                self.counts["again"] += 1
                self._again(link, side, batch.map_version, message)
        return Batch(batch.map_version, tuple(now))

    def _again(self, link: Link, side: int, version: int, message: LinkMessage) -> None:
        peer: Incarnation = link.who[1 - side]
        process = self.run.machines[link.ends[side].number].process
        late = PeerSaid(peer, Batch(version, (message,)))
        if process is not None:
            target = process
            delay_s = self.run.rng.uniform(*self.options.late_s)
            self.run.agenda.after(delay_s, lambda: target.hear_again(late))

    def _cut_client(self) -> None:
        device = self.run.devices[self.run.rng.randrange(len(self.run.devices))]
        self._note("client-cut", f"the connection of {device.name} breaks")
        device.cut()

    def _stall_client(self) -> None:
        device = self.run.devices[self.run.rng.randrange(len(self.run.devices))]
        self._note("client-stall", f"the connection of {device.name} stalls")
        device.stall(self.run.rng.uniform(*self.options.client_stall_s))

    # ------------------------------------------------------------------------------------------------- store, disks

    def _cut_from_store(self) -> None:
        machine = self._machine()
        if machine.number in self.run.store.cut:
            return
        self._note("store-cut", f"{machine.name} cannot reach the store")
        self.run.store.cut.add(machine.number)

        def mend() -> None:
            self.run.trace.say(self.run.agenda.now_s, f"{machine.name} can reach the store again")
            self.run.store.cut.discard(machine.number)
            self._count_expiry(machine.process)

        self._mended_after(self.options.store_cut_s, mend)

    def _store_out(self) -> None:
        if self.run.store.out:
            return
        self._note("store-out", "the store is away")
        self.run.store.out = True

        def mend() -> None:
            self.run.trace.say(self.run.agenda.now_s, "the store is back")
            self.run.store.out = False
            for machine in self.run.machines:
                self._count_expiry(machine.process)

        self._mended_after(self.options.store_out_s, mend)

    def _disk_full(self) -> None:
        disk = self._machine().disk
        self._note("disk-full", f"the disk of {disk.name} is full")
        disk.full = True
        self._mended_after(self.options.disk_full_s, lambda: setattr(disk, "full", False))

    def _disk_slow(self) -> None:
        disk = self._machine().disk
        self._note("disk-slow", f"the disk of {disk.name} is slow")
        disk.slow = self.options.disk_slow_times
        self._mended_after(self.options.disk_slow_s, lambda: setattr(disk, "slow", 1.0))

    def _overload(self) -> None:
        machine = self._machine()
        self._note("overload", f"{machine.name} has too much to do")
        machine.busy = self.options.overload_busy
        self._mended_after(self.options.overload_s, lambda: setattr(machine, "busy", 0.0))

    def _lose_disk(self) -> None:
        machine = self._machine()
        self.disks_lost.append(machine.number)
        self._note("disk-lost", f"{machine.name} loses its disk")
        self.crash(machine, "its disk is lost")
        machine.disk.lose()
        machine.incarnation = 0

    def _jump(self) -> None:
        machine = self._machine()
        most = self.options.jump_ms
        machine.clock.jump_ms = self.run.rng.randrange(-most, most + 1)
        self._note("clock-jump", f"the wall clock of {machine.name} is off by {machine.clock.jump_ms} ms")
        rate = 1.0 + self.run.rng.uniform(-self.options.drift, self.options.drift)
        machine.clock.drift(rate, self.run.agenda.now_s)


def _in_handoff(process: Process) -> bool:
    """Whether this process is one side of a handoff under way."""
    return any(
        person.row.at.name in ("PREPARING", "INVITED", "RELEASED") or person.seat.at.name != "EMPTY"
        for _, person in process.persons()
    )


def _nothing() -> None:
    pass
