"""Civic logs without a city: a few machines, one after another appointed to hold a log, and people who file.

What a city does by leases and its map is done here by a word: a machine whose process has died is replaced by another,
or by its own next process where the log lies on its disk; now and then somebody is appointed while the one before still
works, or sleeps. So a run costs little, and thousands of crashes on the append path cost a few seconds.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from p2pworld.civic.log import MOVED
from p2pworld.civic.transaction import parse_submission
from p2pworld.errors import Refusal
from simulations.checkers import Violation
from simulations.civic.archive import Archive, CivicOptions
from simulations.civic.keeper import Keeper
from simulations.civic.ordeal import CivicOrdeal
from simulations.civic.people import Citizens
from simulations.events import Agenda, Trace, broken
from simulations.faults import Fault, FaultOptions, Size, drawn
from simulations.machine import Clock
from simulations.storage import Disk, DiskOptions
from simulations.store import Store, StoreOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pworld.messages import Instant
    from simulations.civic.keeper import Told
    from simulations.civic.people import Paper

__all__ = ["HALL_FAULTS", "QUIET_S", "Hall", "HallOutcome"]

QUIET_S: Final = 12.0  # at the end of each run nothing new goes wrong
_FILED_S: Final = 6.0  # and before its last so many seconds the last paper is filed
_EARLIER_S: Final = 1.0
_CALM_S: Final = 5.0  # after the last fault no holder has to begin anew more than once
_STILL_S: Final = 9.0  # and then, when nobody files any more, none does anything
_APPOINTED_S: Final = (0.2, 1.2)  # after a holder's death, and before it is known everywhere
_WAY_S: Final = (0.001, 0.01)
_STORY_LINES: Final = 60
_VIOLATIONS_MAX: Final = 20
HALL_FAULTS: Final = FaultOptions(
    down_s=(0.1, 1.5),
    pause_every_s=6.0,
    pause_s=(0.1, 3.0),
    store_cut_every_s=8.0,
    store_cut_s=(0.2, 2.0),
    store_out_every_s=10.0,
    store_out_s=(0.2, 2.0),
    store_restored=0.06,
    disk_full_every_s=8.0,
    disk_full_s=(0.2, 2.0),
    disk_slow_every_s=8.0,
    disk_slow_s=(0.2, 2.0),
    disk_lost=0.06,
    disk_lies=0.1,
    operator_every_s=4.0,
    civic_crash_every_s=1.0,
    civic_pause_every_s=2.0,
    civic_pause_s=(0.1, 3.0),
    civic_late_every_s=4.0,
    civic_answer_lost_every_s=3.0,
    civic_restored=0.06,
    record_lost_every_s=3.0,
    postgres_out_every_s=10.0,
    postgres_cut_every_s=8.0,
    postgres_standby_every_s=8.0,
    postgres_primary_every_s=8.0,
    postgres_s=(0.2, 2.0),
    witness_down_every_s=8.0,
    witness_down_s=(0.5, 5.0),
    witness_answer_lost_every_s=4.0,
    relay_hostile_every_s=10.0,
)


@dataclass(frozen=True, slots=True)
class HallOutcome:
    """What one run came to."""

    seed: int
    points: int
    faults: dict[str, int]
    counts: dict[str, int]
    violations: tuple[Violation, ...]
    trace_hash: str


class _Process:
    """One life of a machine's process, which may hold logs."""

    def __init__(self, machine: _Machine, hall: Hall) -> None:
        self.machine, self._hall = machine, hall
        self.number, self.name = machine.number, machine.name
        self.alive, self.paused = True, False
        self.keepers: dict[str, Keeper] = {}
        self._inbox: deque[Callable[[], None]] = deque()

    def do(self, what: Callable[[], None]) -> None:
        """Something from outside: now, or when the process runs again."""
        if self.alive and (self.paused or self._inbox):
            self._inbox.append(what)
        elif self.alive:
            what()

    def now(self) -> Instant:
        """The machine's clocks."""
        return self.machine.clock.now(self._hall.agenda.now_s)

    def resume(self) -> None:
        """Go on where it stopped."""
        self.paused = False
        while self._inbox and self.alive and not self.paused:
            self._inbox.popleft()()


@dataclass(slots=True, eq=False)
class _Machine:
    number: int
    name: str
    disk: Disk
    clock: Clock
    process: _Process | None = None


@dataclass(slots=True)
class _Office:
    """Who is appointed to hold a log, and who was before."""

    machine: int
    epoch: int
    before: int


class Hall:
    """One run; `only`: under exactly these faults."""

    def __init__(
        self,
        seed: int,
        seconds: float,
        faults: FaultOptions = HALL_FAULTS,
        options: CivicOptions | None = None,
        only: Sequence[Fault] | None = None,
        machines: int = 3,
    ) -> None:
        self.seed, self.seconds = seed, seconds
        self.agenda, self.trace = Agenda(), Trace()
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self.store = Store(StoreOptions(), self.agenda, self.dice("store"), self.trace)
        self.machines = [self._machine(number) for number in range(machines)]
        disks = [machine.disk for machine in self.machines]
        self.options = options or CivicOptions()
        self.fenced, self.keyed = self.options.fenced, self.options.keyed
        self.archive = Archive(
            self.options, disks, self.store, self.agenda, self.dice, self.trace, self.violate
        )
        self.citizens = Citizens([*self.archive.logs], self.options.filing, self.dice("citizens"), self)
        self.quiet_s = seconds - QUIET_S
        size = Size(machines, machines, 1)
        self.plan = tuple(drawn(seed, faults, size, self.quiet_s)) if only is None else tuple(only)
        self.ordeal = CivicOrdeal(self.archive, self.agenda, self)
        self._dice = self.dice("hall")
        self._epochs = count(1)
        self._offices = {
            stream.name: _Office(stream.machine or 0, 0, stream.machine or 0)
            for stream in self.options.streams
        }
        self._swallowing: set[int] = set()
        self._fenced: Counter[Keeper] = Counter()  # since it is calm
        self._records_before: dict[Fault, dict[str, bytes]] = {}
        self._mend: dict[int, Callable[[], None]] = {}
        self._mended = count()
        self._doing: dict[str, Callable[[Fault], None]] = {
            **self.ordeal.doing,
            "pause": self._pause,
            "store-cut": self._store_cut,
            "store-out": self._store_out,
            "store-restored": self._store_restored,
            "disk-full": self._disk_full,
            "disk-slow": self._disk_slow,
            "disk-lost": self._disk_lost,
            "disk-lies": self._disk_lies,
            "operator": self._appoint_anyway,
            "relay-hostile": self._swallow,
        }

    def run(self, *, to_first: bool = False, until_s: float = math.inf) -> HallOutcome:
        """Let it live to its end, or `to_first` violation, or until then."""
        for machine in self.machines:
            self._start(machine)
        for stream in self._offices:
            self._appoint(stream)
        self.citizens.begin()
        for fault in self.plan:
            if fault.kind == "store-restored":
                self.agenda.at(fault.at_s - fault.by, partial(self._copy_records, fault))
            self.agenda.at(fault.at_s, partial(self._happen, fault))
        self.agenda.at(self.quiet_s, self._quiet)
        last_s = min(self.seconds, until_s)
        found = broken(lambda: self.agenda.run(last_s, lambda: to_first and bool(self.violations)))
        if found is not None:
            self.violations.append(Violation(round(self.agenda.now_s, 3), "broken", *found))
            return self._outcome()
        if not (to_first and self.violations) and until_s >= self.seconds:
            keepers = {stream: self._keeper(stream) for stream in self._offices}
            folders = {stream: self.archive.folders(stream) for stream in self._offices}
            self.archive.checkers.at_end(self.citizens.papers, keepers, folders)
        return self._outcome()

    def dice(self, of: str) -> random.Random:
        """Dice of this run, for one who throws no others'."""
        return random.Random(f"{self.seed} {of}")

    def violate(self, rule: str, sentence: str, *names: str) -> None:
        """A promise is broken."""
        if len(self.violations) < _VIOLATIONS_MAX:
            story = self.trace.story((), _STORY_LINES)
            self.violations.append(Violation(round(self.agenda.now_s, 3), rule, sentence, story))

    def _outcome(self) -> HallOutcome:
        counts = dict(self.archive.checkers.counts()) | {"papers": len(self.citizens.papers)}
        faults = dict(sorted(self.counts.items()))
        return HallOutcome(
            self.seed, self.ordeal.points, faults, counts, tuple(self.violations), self.trace.hex()
        )

    # ---- what its parts ask of it

    @property
    def filing(self) -> bool:
        """Whether people still file."""
        return self.agenda.now_s < self.seconds - _FILED_S

    def takes(self, stream: str) -> bool:
        """With the first log nobody files any more when it becomes quiet: what it lacks then must come by itself."""
        return stream != self.options.streams[0].name or self.agenda.now_s < self.quiet_s - _EARLIER_S

    @property
    def active(self) -> bool:
        """Whether things still go wrong."""
        return self.agenda.now_s < self.quiet_s

    def point(self, keeper: Keeper, where: str, what: str) -> None:
        """See `Around.point`."""
        self.trace.say(self.agenda.now_s, f"{keeper.name}: {where} {what}")
        calm_s = self.agenda.now_s - self.quiet_s
        if calm_s > _CALM_S and (where, what) == ("before", "Fence"):
            self._fenced[keeper] += 1  # once may be for what had come late before
        if calm_s > _STILL_S or self._fenced[keeper] > 1:
            self.violate("civic-calm", f"{keeper.name} has to {what} though nothing is wrong")
        self.ordeal.point(keeper, where, what)

    def signed(self, keeper: Keeper, text: str) -> None:
        """See `Around.signed`."""
        self.trace.add(self.agenda.now_s, b"S", keeper.name.encode(), text.encode())
        self.archive.checkers.signed(keeper, text)

    def alarm(self, keeper: Keeper, refusal: Refusal) -> None:
        """See `Around.alarm`."""
        self.trace.say(self.agenda.now_s, f"{keeper.name} is read-only: {refusal}")
        self.counts["alarm"] += 1
        self.archive.checkers.alarm(keeper, refusal)

    def verifies(self, paper: Paper, receipt: bytes) -> bool:
        """See `civic.people.Counters.verifies`; what is not true was altered on its way."""
        true = self.archive.verifies(paper, receipt)
        if not true:
            self.violate(
                "civic-receipt", f"{paper.name} is given a receipt that proves nothing", paper.stream
            )
        return true

    def answered(self, paper: Paper, answer: bytes | Refusal, more: bool) -> int | None:
        """See `Counters.answered`."""
        said = answer.reason if isinstance(answer, Refusal) else "a receipt"
        self.trace.say(self.agenda.now_s, f"{paper.name} is told {said}")
        self.trace.add(self.agenda.now_s, b"A", paper.name.encode(), said.encode())
        return self.archive.checkers.answered(paper, answer, more)

    def send(self, paper: Paper, data: bytes, dice: random.Random, told: Told) -> Callable[[], None]:
        """Through any machine, which may know no better than who held the log before."""
        office = self._offices[paper.stream]
        relay = self.machines[dice.randrange(len(self.machines))].process
        to = self.machines[office.before if dice.random() < 0.1 else office.machine]
        if relay is None or relay.number in self._swallowing:
            return _nothing

        def back(said: bytes | Refusal, more: bool) -> None:
            if relay.alive:
                self.agenda.after(dice.uniform(*_WAY_S), lambda: told(said, more))

        def arrive() -> None:
            process = to.process
            if process is None or not relay.alive:
                return
            keeper = process.keepers.get(paper.stream)
            if keeper is None:
                back(MOVED, False)
            else:
                keeper.file(parse_submission(data), back)

        def there() -> None:
            if to.process is not None:
                to.process.do(arrive)

        self.agenda.after(dice.uniform(*_WAY_S), there)
        return _nothing

    # ---- machines, and who is appointed

    def _machine(self, number: int) -> _Machine:
        name = chr(ord("A") + number)
        disk = Disk(name, DiskOptions(), self.agenda, self.dice(f"disk {name}"), self.trace)
        dice = self.dice(f"machine {name}")
        clock = Clock(dice.uniform(10.0, 10_000.0), dice.uniform(0.95, 1.05))
        return _Machine(number, name, disk, clock)

    def _start(self, machine: _Machine) -> None:
        if machine.process is None:
            machine.process = _Process(machine, self)
            for stream in self._offices:
                keeper = self._keeper(stream)
                if keeper is None and self._may_hold(stream, machine):
                    self.agenda.after(self._dice.uniform(*_APPOINTED_S), partial(self._replace, stream))

    def _may_hold(self, stream: str, machine: _Machine) -> bool:
        lies_on = next(one.machine for one in self.options.streams if one.name == stream)
        return machine.process is not None and lies_on in (None, machine.number)

    def _keeper(self, stream: str) -> Keeper | None:
        """The one appointed, if it lives."""
        process = self.machines[self._offices[stream].machine].process
        keeper = process.keepers.get(stream) if process else None
        epoch = self._offices[stream].epoch
        return keeper if keeper and keeper.alive and keeper.epoch == epoch else None

    def _replace(self, stream: str) -> None:
        if self._keeper(stream) is None:
            self._appoint(stream)

    def _appoint(self, stream: str) -> None:
        """A new holder in a new epoch, while the one before may still work for a while, elsewhere."""
        able = [machine for machine in self.machines if self._may_hold(stream, machine)]
        if not able:
            return
        machine = able[self._dice.randrange(len(able))]
        office, process = self._offices[stream], machine.process
        assert process is not None
        earlier = self.machines[office.machine].process
        older = earlier.keepers.get(stream) if earlier else None
        self._offices[stream] = _Office(machine.number, next(self._epochs), office.machine)
        if older is not None and earlier is not process:
            self.agenda.after(
                self._dice.uniform(0.0, 3.0), lambda: earlier.do(older.stop) if earlier else None
            )
        process.do(partial(self._take_office, process, stream, self._offices[stream].epoch))

    def _take_office(self, process: _Process, stream: str, epoch: int) -> None:
        held = process.keepers.get(stream)
        if held is not None and held.epoch > epoch:
            return
        if held is not None:
            held.stop()
        places = self.archive.places(process.number, stream)
        keeper = process.keepers[stream] = Keeper(self.archive.logs[stream], epoch, places, process, self)
        self.trace.say(self.agenda.now_s, f"{keeper.name} begins")
        keeper.begin()

    def end_keeper(self, keeper: Keeper, fault: Fault, why: str) -> None:
        """Its process dies, and another is started after a while."""
        self._end(self.machines[keeper.host.number], fault, why)

    def stop_keeper(self, keeper: Keeper, fault: Fault, why: str) -> None:
        """Its process is stopped for a while."""
        self._stop(self.machines[keeper.host.number].process, fault, why)

    def _end(self, machine: _Machine, fault: Fault, why: str) -> None:
        process = machine.process
        if process is None:
            return
        self.note(fault.kind, f"{machine.name} crashes: {why}")
        machine.process = None
        process.alive = False
        self.archive.volumes[machine.number].crash()
        for stream in process.keepers:
            self.agenda.after(self._dice.uniform(*_APPOINTED_S), partial(self._replace, stream))
        self.mended_after(fault, partial(self._start, machine))

    # ---- what goes wrong

    def _happen(self, fault: Fault) -> None:
        if self.active:
            self._doing[fault.kind](fault)

    def note(self, kind: str, line: str) -> None:
        """Count a fault that takes effect, and tell it."""
        self.counts[kind] += 1
        self.trace.say(self.agenda.now_s, line, fault=True)

    def mended_after(self, fault: Fault, mend: Callable[[], None]) -> None:
        """Mend it after a while, at the latest when it becomes quiet; once."""
        number = next(self._mended)
        self._mend[number] = mend
        self.agenda.after(fault.for_s, lambda: self._mend.pop(number, _nothing)())

    def _quiet(self) -> None:
        self.ordeal.quiet()
        for number in [*self._mend]:
            self._mend.pop(number)()
        self.trace.say(self.agenda.now_s, "nothing new goes wrong from here on")

    def _pause(self, fault: Fault) -> None:
        self._stop(self.machines[fault.on[0]].process, fault, "at rest")

    def _stop(self, process: _Process | None, fault: Fault, why: str) -> None:
        """It sleeps, and is replaced meanwhile, if it sleeps long enough for that."""
        if process is None or process.paused:
            return
        self.note(fault.kind, f"{process.name} is stopped: {why}")
        process.paused = True
        self.mended_after(fault, process.resume)
        for stream in process.keepers:
            if self._offices[stream].machine == process.number:
                soon_s = self._dice.uniform(*_APPOINTED_S)
                self.agenda.after(soon_s, partial(self._replace_sleeper, stream, process))

    def _replace_sleeper(self, stream: str, process: _Process) -> None:
        if process.paused and self._offices[stream].machine == process.number:
            self._appoint(stream)

    def _store_cut(self, fault: Fault) -> None:
        number = fault.on[0]
        if number not in self.store.cut:
            self.note(fault.kind, f"{self.machines[number].name} cannot reach the coordination store")
            self.store.cut.add(number)
            self.mended_after(fault, lambda: self.store.cut.discard(number))

    def _store_out(self, fault: Fault) -> None:
        self.note(fault.kind, "the coordination store is away")
        self.store.outages += 1
        self.mended_after(fault, self._store_back)

    def _store_back(self) -> None:
        self.store.outages -= 1

    def _copy_records(self, fault: Fault) -> None:
        self._records_before[fault] = self.archive.records.copy()

    def _store_restored(self, fault: Fault) -> None:
        if self.archive.set_back([*self._offices]):
            self.note(fault.kind, f"the records are back from a copy {fault.by:.0f} s old")
            self.archive.records.restore(self._records_before[fault])

    def _disk_full(self, fault: Fault) -> None:
        disk = self.machines[fault.on[0]].disk
        self.note(fault.kind, f"the disk of {disk.name} is full")
        disk.full = True
        self.mended_after(fault, lambda: setattr(disk, "full", False))

    def _disk_slow(self, fault: Fault) -> None:
        disk = self.machines[fault.on[0]].disk
        self.note(fault.kind, f"the disk of {disk.name} is slow")
        disk.slow = fault.by
        self.mended_after(fault, lambda: setattr(disk, "slow", 1.0))

    def _disk_lost(self, fault: Fault) -> None:
        machine = self.machines[fault.on[0]]
        self._end(machine, fault, "its disk is lost")
        self.archive.lose_disk(machine.number)

    def _disk_lies(self, fault: Fault) -> None:
        machine = self.machines[fault.on[0]]
        self._end(machine, fault, "it loses power")
        lost = self.archive.lose_disk(machine.number, int(fault.by))
        self.note(fault.kind, f"the disk of {machine.name} has lost its last {lost} jobs")

    def _appoint_anyway(self, fault: Fault) -> None:
        """Another holder, or the same machine anew, though the one before works."""
        streams = [*self._offices]
        stream = streams[int(fault.by * len(streams))]
        self.note("appointed", f"a holder of {stream} is appointed, whoever holds it")
        self._appoint(stream)

    def _swallow(self, fault: Fault) -> None:
        number = fault.on[0]
        if number not in self._swallowing:
            self.note(fault.kind, f"{self.machines[number].name} swallows what is filed through it")
            self._swallowing.add(number)
            self.mended_after(fault, lambda: self._swallowing.discard(number))


def _nothing() -> None:
    pass
