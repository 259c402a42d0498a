"""Carries a list of faults out in a running city.

Some wait for their moment, as a crash of either side of a handoff does while its messages fly. From `quiet_s` on
nothing new goes wrong and all that was broken is mended, so that the city can show that it recovers. What is done with
the city in good order (nodes that come and go, an operator's wishes) is `upkeep.py`'s.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.drive import Persist
from p2pworld.messages import Batch, LinkMessage, PeerSaid
from simulations.civic.ordeal import CivicOrdeal
from simulations.machine import HANDOFF
from simulations.moderator import Moderator
from simulations.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pworld.geometry import Cell
    from p2pworld.ids import Incarnation
    from p2pworld.messages import ToPeer
    from simulations.civic.archive import Archive
    from simulations.civic.keeper import Keeper
    from simulations.civic.kiosk import Kiosks
    from simulations.events import Agenda, Trace
    from simulations.faults import Fault
    from simulations.machine import Machine, Process
    from simulations.network import Link, Network
    from simulations.store import Store
    from simulations.workload import Device, Ledger

__all__ = ["Ordeal", "Victim"]

_STRIKE_S: Final = 0.06  # after a handoff message has left, at most: it flies 4 to 16 ms, and is answered
_WRITE_S: Final = (
    0.004  # a crash inside a write comes within so much of its beginning, and longer on a slow disk
)
_GRID: Final = 1_000  # of the points to gather at, each way


class Victim(Protocol):
    """The run that is tormented."""

    agenda: Agenda
    trace: Trace
    network: Network
    store: Store
    roster: list[Machine]
    machines: list[Machine]
    devices: list[Device]
    ledger: Ledger
    cells: tuple[Cell, ...]
    bounds_cm: tuple[int, int, int, int]
    archive: Archive
    kiosks: Kiosks


class Ordeal:
    """What one run has to stand."""

    def __init__(self, plan: Sequence[Fault], quiet_s: float, run: Victim) -> None:
        self.plan, self.quiet_s, self.run = plan, quiet_s, run
        self.counts: Counter[str] = Counter()
        self.crashes_in_handoffs = 0
        self.lease_expiries = 0
        self.disks_lost: list[int] = []
        self._mend: dict[int, Callable[[], None]] = {}
        self._mended = count()
        self._struck: deque[Fault] = deque()  # handoff messages that will be, in the order of the plan
        self._on_arrival: deque[Fault] = deque()  # the same for what befalls one that arrives
        self._armed: dict[int, Fault] = {}  # machines whose next effect is their last, or whose next write
        self._upkeep = Upkeep(run, self)
        self.civic = CivicOrdeal(run.archive, run.agenda, self)
        self._doing: dict[str, Callable[[Fault], None]] = {
            "crash": self._crash,
            "crash-in-handoff": self._struck.append,
            "crash-in-write": self._arm,
            "pause": self._pause,
            "overload": self._overload,
            "partition": self._partition,
            "link-cut": self._cut_link,
            "store-cut": self._cut_from_store,
            "store-out": self._store_out,
            "answer-lost": self._lose_answer,
            "disk-full": self._disk_full,
            "disk-slow": self._disk_slow,
            "disk-lost": self._lose_disk,
            "disk-lies": self._lose_writes,
            "clock-jump": self._jump,
            "drift": self._drift,
            "client-cut": self._cut_client,
            "client-stall": self._stall_client,
            "again": self._on_arrival.append,
            "late": self._on_arrival.append,
            "lost": self._on_arrival.append,
            "gather": self._gather,
            "store-restored": self._upkeep.restore_store,
            "join": self._upkeep.join,
            "leave": self._upkeep.leave,
            "roll": self._upkeep.roll,
            "operator": self._upkeep.operate,
            "expunge": Moderator(run, self).expunge,
            "relay-hostile": self._make_hostile,
            **self.civic.doing,
        }

    def begin(self) -> None:
        """Enter all faults into the agenda."""
        for fault in self.plan:
            if fault.kind == "store-restored":
                self.run.agenda.at(fault.at_s - fault.by, partial(self._upkeep.copy_store, fault))
            self.run.agenda.at(fault.at_s, partial(self._happen, fault))
        self.run.agenda.at(self.quiet_s, self._quiet)

    @property
    def active(self) -> bool:
        """Whether things still go wrong."""
        return self.run.agenda.now_s < self.quiet_s

    def _happen(self, fault: Fault) -> None:
        if self.active:
            self._doing[fault.kind](fault)

    def mended_after(self, fault: Fault, mend: Callable[[], None]) -> None:
        """Mend it after a while, at the latest when it becomes quiet; once."""
        number = next(self._mended)
        self._mend[number] = mend
        self.run.agenda.after(fault.for_s, lambda: self._mend.pop(number, _nothing)())

    def _quiet(self) -> None:
        self._armed.clear()
        self._struck.clear()
        self._on_arrival.clear()
        self.run.store.answers_to_lose = 0
        self.civic.quiet()
        for number in [*self._mend]:
            self._mend.pop(number)()
        self.run.trace.say(self.run.agenda.now_s, "nothing new goes wrong from here on")

    def note(self, kind: str, line: str) -> None:
        """Count a fault that takes effect, and tell it."""
        self.counts[kind] += 1
        self.run.trace.say(self.run.agenda.now_s, line, fault=True)

    def _machine(self, fault: Fault) -> Machine:
        return self.run.roster[fault.on[0]]

    # ------------------------------------------------------------------------------------------------- processes

    def _crash(self, fault: Fault) -> None:
        if fault.how == "at rest":
            self.crash(self._machine(fault), fault, "at rest")
        else:
            self._arm(fault)

    def _arm(self, fault: Fault) -> None:
        self._armed.setdefault(fault.on[0], fault)

    def crash(self, machine: Machine, fault: Fault, why: str) -> None:
        """End its process, and start another after a while."""
        process = machine.process
        if process is None or not self.active:
            return
        self._armed.pop(machine.number, None)
        self.crashes_in_handoffs += _in_handoff(process)
        self.note("crash", f"{machine.name} crashes: {why}")
        if fault.kind != "crash":
            self.counts[fault.kind] += 1
        machine.end()
        self.mended_after(fault, lambda: self._upkeep.start(machine, proven=not fault.by))

    def before_effect(self, process: Process, effect: object) -> None:
        """A crash that waits for an effect comes before it, and one that waits for a write soon after it has begun."""
        fault = self._armed.get(process.number)
        if fault is None:
            return
        machine = process.machine
        if fault.kind == "crash":
            self.crash(machine, fault, f"before {type(effect).__name__}")
        elif isinstance(effect, Persist):
            del self._armed[process.number]
            life = machine.lives
            soon_s = fault.for_s % 1.0 * _WRITE_S * machine.disk.slow  # as good as any chance

            def inside() -> None:
                if machine.lives == life:
                    self.crash(machine, fault, "inside a write")

            self.run.agenda.after(soon_s, inside)

    def before_send(self, process: Process, send: ToPeer) -> None:
        """A handoff message is about to leave: now and then either side dies, before it or while it flies."""
        if not self._struck:
            return
        fault = self._struck.popleft()
        kind = type(send.message).__name__
        if fault.how == "the sender, before":
            self.crash(process.machine, fault, f"before it sends {kind}")
            return
        there = next((m for m in self.run.roster if m.keys.public == send.peer.node), None)
        victim = process.machine if fault.how == "the sender" or there is None else there
        life = victim.lives

        def strike() -> None:
            struck = self.crashes_in_handoffs
            if victim.lives == life:
                self.crash(victim, fault, f"soon after {process.name} sent {kind}")
            if self.crashes_in_handoffs == struck and self.active:
                self._struck.append(fault)  # it missed: the next message will do

        self.run.agenda.after(fault.for_s % 1.0 * _STRIKE_S, strike)

    def point(self, keeper: Keeper, where: str, what: str) -> None:
        """A holder of a log has come to a point of its append path."""
        self.civic.point(keeper, where, what)

    def end_keeper(self, keeper: Keeper, fault: Fault, why: str) -> None:
        """The process that holds a log ends."""
        machine = self.run.roster[keeper.host.number]
        if machine.process is keeper.host:
            self.crash(machine, fault, why)

    def stop_keeper(self, keeper: Keeper, fault: Fault, why: str) -> None:
        """The process that holds a log is stopped for a while."""
        machine = self.run.roster[keeper.host.number]
        if machine.process is keeper.host:
            self._stop(machine.process, fault, f": {why}")

    def _pause(self, fault: Fault) -> None:
        self._stop(self._machine(fault).process, fault, "")

    def _stop(self, process: Process | None, fault: Fault, why: str) -> None:
        if process is None or process.paused:
            return
        self.note(fault.kind, f"{process.name} is stopped{why}")
        process.pause()
        self.mended_after(fault, lambda: self._resume(process))

    def _resume(self, process: Process) -> None:
        if process.alive:
            self._count_expiry(process)
            self.run.trace.say(self.run.agenda.now_s, f"{process.name} goes on", fault=True)
            process.resume()

    def _count_expiry(self, process: Process | None) -> None:
        if process is not None and process.node.who.number:
            self.lease_expiries += process.now().boot_s >= process.lease_deadline_s

    def _overload(self, fault: Fault) -> None:
        machine = self._machine(fault)
        self.note("overload", f"{machine.name} has too much to do")
        machine.busy = fault.by
        self.mended_after(fault, lambda: setattr(machine, "busy", 0.0))

    # ------------------------------------------------------------------------------------------------- network

    def _partition(self, fault: Fault) -> None:
        run, inside = self.run, fault.on
        outside = [machine.number for machine in run.roster if machine.number not in inside]
        ways = [(a, b) for a in inside for b in outside]
        if fault.how == "both ways":
            ways += [(b, a) for a, b in ways]
        names = "".join(run.roster[number].name for number in inside)
        both = " and the others by it" if fault.how == "both ways" else ""
        self.note("partition", f"{names} cannot be heard by the others{both}")
        for way in ways:
            run.network.block(*way)

        def mend() -> None:
            run.trace.say(run.agenda.now_s, f"{names} can be heard again", fault=True)
            for way in ways:
                run.network.unblock(*way)

        self.mended_after(fault, mend)

    def _cut_link(self, fault: Fault) -> None:
        for link in self.run.network.links:
            if link.open and {end.number for end in link.ends} == {*fault.on}:
                self.note("link-cut", f"the link of {link.ends[0].name} and {link.ends[1].name} breaks")
                self.run.network.cut(link)
                return

    def hear(self, link: Link, side: int, batch: Batch) -> Batch:
        """What arrives at once of a batch; some of the rest comes late, some again, some never."""
        if not self._on_arrival or not any(isinstance(message, HANDOFF) for message in batch.messages):
            return batch
        now: list[LinkMessage] = []
        for message in batch.messages:
            if not isinstance(message, HANDOFF) or not self._on_arrival:
                now.append(message)
                continue
            fault = self._on_arrival.popleft()
            where = f"a {type(message).__name__} from {link.ends[1 - side].name} to {link.ends[side].name}"
            how = {"again": "comes twice", "late": f"comes {fault.by:.2f} s late", "lost": "is lost"}
            self.note(fault.kind, f"{where} {how[fault.kind]}")
            if fault.kind == "again":
                now.append(message)
            if fault.kind != "lost":
                self._again(link, side, Batch(batch.map_version, (message,)), fault.by)
        return Batch(batch.map_version, tuple(now))

    def _again(self, link: Link, side: int, batch: Batch, delay_s: float) -> None:
        peer: Incarnation = link.who[1 - side]
        process = self.run.roster[link.ends[side].number].process
        if process is not None:
            self.run.agenda.after(delay_s, partial(process.hear_again, PeerSaid(peer, batch)))

    def _cut_client(self, fault: Fault) -> None:
        device = self.run.devices[fault.on[0]]
        self.note("client-cut", f"the connection of {device.name} breaks")
        device.cut()

    def _stall_client(self, fault: Fault) -> None:
        device = self.run.devices[fault.on[0]]
        self.note("client-stall", f"the connection of {device.name} stalls")
        device.stall(fault.for_s)

    def _gather(self, fault: Fault) -> None:
        west, south, east, north = self.run.bounds_cm
        row, column = divmod(int(fault.by), _GRID)
        point = west + (east - west) * column // _GRID, south + (north - south) * row // _GRID
        self.note("gather", f"everybody gathers at {point[0] / 100:.0f}, {point[1] / 100:.0f} m")
        for device in self.run.devices:
            device.gather(point, self.run.agenda.now_s + fault.for_s)

    # ------------------------------------------------------------------------------------------------- store, disks

    def _cut_from_store(self, fault: Fault) -> None:
        machine = self._machine(fault)
        if machine.number in self.run.store.cut:
            return
        self.note("store-cut", f"{machine.name} cannot reach the store")
        self.run.store.cut.add(machine.number)

        def mend() -> None:
            self.run.trace.say(self.run.agenda.now_s, f"{machine.name} can reach the store again", fault=True)
            self.run.store.cut.discard(machine.number)
            self._count_expiry(machine.process)

        self.mended_after(fault, mend)

    def _store_out(self, fault: Fault) -> None:
        self.note("store-out", "the store is away")
        self.run.store.outages += 1

        def mend() -> None:
            self.run.trace.say(self.run.agenda.now_s, "the store is back", fault=True)
            self.run.store.outages -= 1
            for machine in self.run.machines:
                self._count_expiry(machine.process)

        self.mended_after(fault, mend)

    def _lose_answer(self, fault: Fault) -> None:
        self.counts[fault.kind] += 1
        self.run.store.answers_to_lose += 1

    def _disk_full(self, fault: Fault) -> None:
        disk = self._machine(fault).disk
        self.note("disk-full", f"the disk of {disk.name} is full")
        disk.full = True
        self.mended_after(fault, lambda: setattr(disk, "full", False))

    def _disk_slow(self, fault: Fault) -> None:
        disk = self._machine(fault).disk
        self.note("disk-slow", f"the disk of {disk.name} is slow")
        disk.slow = fault.by
        self.mended_after(fault, lambda: setattr(disk, "slow", 1.0))

    def _lose_disk(self, fault: Fault) -> None:
        machine = self._machine(fault)
        self.disks_lost.append(machine.number)
        self.note("disk-lost", f"{machine.name} loses its disk")
        self.crash(machine, fault, "its disk is lost")
        machine.disk.lose()
        machine.incarnation = 0
        self.run.archive.lose_disk(machine.number)

    def _lose_writes(self, fault: Fault) -> None:
        machine = self._machine(fault)
        self.disks_lost.append(machine.number)
        self.crash(machine, fault, "it loses power")
        lost = machine.disk.lose_last(int(fault.by))
        self.run.archive.lose_disk(machine.number, int(fault.by))
        self.note("disk-lies", f"the disk of {machine.name} has lost its last {lost} writes")

    def _make_hostile(self, fault: Fault) -> None:
        machine, hostile = self._machine(fault), self.run.kiosks.hostile
        if machine.number not in hostile:
            self.note(fault.kind, f"{machine.name} {fault.how} what is filed through it")
            hostile[machine.number] = fault.how
            self.mended_after(fault, partial(hostile.__delitem__, machine.number))

    def _jump(self, fault: Fault) -> None:
        machine = self._machine(fault)
        machine.clock.jump_ms = int(fault.by)
        self.note("clock-jump", f"the wall clock of {machine.name} is off by {machine.clock.jump_ms} ms")

    def _drift(self, fault: Fault) -> None:
        self._machine(fault).clock.drift(1.0 + fault.by, self.run.agenda.now_s)


def _in_handoff(process: Process) -> bool:
    """Whether this process is one side of a handoff under way."""
    return any(
        person.row.at.name in ("PREPARING", "INVITED", "RELEASED") or person.seat.at.name != "EMPTY"
        for _, person in process.persons()
    )


def _nothing() -> None:
    pass
