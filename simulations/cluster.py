"""A whole city on virtual time: real nodes and real clients, a simulated network, disks, clocks and store, one seed.

Everything is drawn from one `random.Random(seed)` and happens in one order, so the same seed gives the same run to the
last byte: its hash covers every message delivered, every write, every map stored. Each handoff message passes the real
codec, each effect the real drive.
"""

from __future__ import annotations

import hashlib
import random
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from p2pworld.core import NodeConfig
from p2pworld.crypto.keys import NodeKeys, PersonKeys
from p2pworld.geometry import Cell
from p2pworld.seoul.landmarks import landmark
from simulations.checkers import Checkers, Violation
from simulations.events import Agenda, Trace
from simulations.faults import FaultOptions, Faults
from simulations.machine import Clock, Machine, Process
from simulations.network import Link, Network, NetworkOptions
from simulations.storage import Disk, DiskOptions
from simulations.store import Store, StoreOptions
from simulations.workload import Device, Ledger, Person, WalkOptions

if TYPE_CHECKING:
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Batch, LinkMessage, Send, ToPeer

__all__ = ["QUIET_S", "City", "CityOptions", "Outcome", "as_plain", "simulate"]

QUIET_S: Final = 20.0  # at the end of each run nothing new goes wrong
RECOVERED_S: Final = 10.0  # after the last fault everything is in order again
_STILL_S: Final = 6.0  # and at the very end nobody walks, so that no handoff need be open


@dataclass(frozen=True, slots=True)
class CityOptions:
    """How large the city is and how it is dealt out: squares of side 65 536 m / 2^level, columns × rows of them."""

    nodes: int = 4
    people: int = 26
    second_devices: int = 3  # this many people have two devices
    level: int = 10
    columns: int = 4
    rows: int = 4
    tick_ms: int = 250
    ttl_s: float = 3.0
    walk: WalkOptions = field(default_factory=WalkOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    disk: DiskOptions = field(default_factory=DiskOptions)
    store: StoreOptions = field(default_factory=StoreOptions)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    seed: int
    seconds: float
    events: int
    faults: dict[str, int]
    handoffs: int
    crashes_in_handoffs: int
    lease_expiries: int
    logins: int
    acts: dict[str, int]
    violations: tuple[Violation, ...]
    trace_hash: str


class City:
    """One run. `run` lets it live; the rest is for those who torment and inspect it."""

    def __init__(self, seed: int, minutes: float, faults: FaultOptions, options: CityOptions) -> None:
        self.seed, self.seconds = seed, minutes * 60.0
        self.options = options
        self.rng = random.Random(seed)
        self.agenda = Agenda()
        self.trace = Trace()
        self.network = Network(options.network, self.agenda, self.rng)
        self.store = Store(options.store, self.agenda, self.rng, self.trace)
        self.ledger = Ledger()
        self.cells, self.bounds_cm = _ground(options)
        self.machines = [self._machine(number) for number in range(options.nodes)]
        self.people = [self._person(number) for number in range(options.people)]
        self.devices: list[Device] = [device for person in self.people for device in person.devices]
        self.faults = Faults(faults, self.seconds - QUIET_S, self)
        self.checkers = Checkers(self)
        self.store.on_map = self.checkers.map_stored

    def run(self, *, to_first: bool = False) -> Outcome:
        """Let it live to its end, or `to_first` violation."""
        for machine in self.machines:
            self.agenda.after(self.rng.random() * 0.5, machine.start)
        for person in self.people:
            self.agenda.after(2.0 + self.rng.random() * 2.0, person.begin)
        self.faults.begin()
        self.checkers.begin()
        quiet_s = self.faults.quiet_s
        self.agenda.at(quiet_s + RECOVERED_S, lambda: self.checkers.recovered(quiet_s))
        try:
            self.agenda.run(self.seconds, lambda: to_first and bool(self.checkers.violations))
        except (
            Exception
        ) as broken:  # the edge of every simulated process: what ends a real one is a finding here
            where = traceback.format_exception(broken)
            self.checkers.violate("broken", f"{type(broken).__name__}: {broken}", story=tuple(where))
            return self._outcome()
        if not (to_first and self.checkers.violations):
            self.checkers.at_end()
        return self._outcome()

    @property
    def walking(self) -> bool:
        """Whether people still move and act."""
        return self.agenda.now_s < self.seconds - _STILL_S

    @property
    def disks_lost(self) -> bool:
        """Whether any disk was lost for good."""
        return bool(self.faults.disks_lost)

    # ---- what the parts ask of the run

    def before_effect(self, process: Process, effect: object) -> None:
        """See `Faults.before_effect`."""
        self.faults.before_effect(process, effect)

    def before_send(self, process: Process, send: ToPeer) -> None:
        """See `Faults.before_send`."""
        self.faults.before_send(process, send)

    def hear(self, link: Link, side: int, batch: Batch) -> Batch:
        """See `Faults.hear`."""
        return self.faults.hear(link, side, batch)

    def heard(self, process: Process, peer: Incarnation, message: LinkMessage) -> None:
        """See `Checkers.heard`."""
        self.checkers.heard(process, peer, message)

    def sent(self, process: Process, send: Send) -> None:
        """See `Checkers.sent`."""
        self.checkers.sent(process, send)

    def looked_at(self, process: Process) -> None:
        """See `Checkers.looked_at`."""
        self.checkers.looked_at(process)

    # ---- making it

    def _machine(self, number: int) -> Machine:
        options = self.options
        name = chr(ord("a") + number)
        config = NodeConfig(
            link_url=f"tls://{name}.seoul:7000",
            play_url=f"wss://{name}.seoul/play",
            web_url=f"https://{name}.seoul",
            claims=tuple(c for i, c in enumerate(self.cells) if _dealt(i, options) == number),
            tick_ms=options.tick_ms,
            ttl_s=options.ttl_s,
            clients_max=256,
        )
        keys = NodeKeys.from_seed(hashlib.sha256(b"node %d" % number).digest())
        disk = Disk(name.upper(), options.disk, self.agenda, self.rng, self.trace)
        return Machine(number, keys, config, disk, Clock(self.rng.uniform(10.0, 10_000.0)), self)

    def _person(self, number: int) -> Person:
        signer = PersonKeys.from_seed(hashlib.sha256(b"person %d" % number).digest())
        devices = 2 if number < self.options.second_devices else 1
        return Person(number, signer, devices, self.options.walk, self.ledger, self)

    def _outcome(self) -> Outcome:
        acts = {"asked": len(self.ledger.deeds)}
        for deed in self.ledger.deeds:
            if deed.durable:
                acts[deed.durable] = acts.get(deed.durable, 0) + 1
        return Outcome(
            self.seed,
            self.seconds,
            self.agenda.done,
            dict(sorted(self.faults.counts.items())),
            self.checkers.handoffs,
            self.faults.crashes_in_handoffs,
            self.faults.lease_expiries,
            self.checkers.owned - self.checkers.handoffs,
            acts,
            tuple(self.checkers.violations),
            self.trace.hex(),
        )


def simulate(seed: int, minutes: float, faults: FaultOptions, options: CityOptions | None = None) -> Outcome:
    """Run one city from its founding to its end."""
    return City(seed, minutes, faults, options or CityOptions()).run()


def _ground(options: CityOptions) -> tuple[tuple[Cell, ...], tuple[int, int, int, int]]:
    """The cells around Gwanghwamun Square, row by row, and the box people walk in, a little inside their outline."""
    heart = Cell.at(*landmark("Gwanghwamun Square").position_cm, options.level)
    side = heart.side_cm
    column, row = heart.column - options.columns // 2, heart.row - options.rows // 2
    cells = tuple(
        Cell.at((column + c) * side, (row + r) * side, options.level)
        for r in range(options.rows)
        for c in range(options.columns)
    )
    margin = 300
    west, south = column * side + margin, row * side + margin
    east, north = (column + options.columns) * side - margin, (row + options.rows) * side - margin
    return cells, (west, south, east, north)


def _dealt(place: int, options: CityOptions) -> int:
    """Which node claims a cell: next to each other stand cells of different nodes."""
    row, column = divmod(place, options.columns)
    return (column + 2 * row) % options.nodes


def as_plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON would have it."""
    plain = {name: getattr(outcome, name) for name in Outcome.__slots__}
    plain["violations"] = [
        {name: getattr(violation, name) for name in Violation.__slots__} for violation in outcome.violations
    ]
    return plain
