"""A whole city on virtual time: real nodes and real clients, a simulated network, disks, clocks and store, one seed.

Everything is drawn from dice that the seed and a name make, and happens in one order, so the same seed gives the same
run to the last byte: its hash covers every message delivered, every write, every map stored. Each handoff message
passes the real codec, each effect the real drive. Who has dice of his own does not mind what befalls the others: a run
under a part of its faults is as like the whole as it can be.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from p2pworld.core import NodeConfig
from p2pworld.crypto.keys import NodeKeys, PersonKeys
from p2pworld.geometry import Cell
from p2pworld.limits import LEASE_TTL_S
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.balance import BalanceOptions
from p2pworld.world.proposals import StreamClaim
from simulations.checkers import Checkers, Violation
from simulations.civic.archive import Archive, CivicOptions
from simulations.civic.kiosk import Kiosks
from simulations.civic.people import Citizens
from simulations.events import Agenda, Trace, broken
from simulations.faults import FaultOptions, Size, drawn
from simulations.machine import Clock, Machine, Process
from simulations.moderator import ROOTS
from simulations.network import Link, Network, NetworkOptions
from simulations.ordeal import Ordeal
from simulations.storage import Disk, DiskOptions
from simulations.store import Store, StoreOptions
from simulations.story import changes
from simulations.workload import Device, Ledger, Person, WalkOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pworld.errors import Refusal
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Batch, LinkMessage, Send, ToPeer
    from p2pworld.world.citymap import CityMap
    from simulations.civic.keeper import Keeper, Told
    from simulations.civic.people import Paper
    from simulations.faults import Fault

__all__ = ["QUIET_S", "City", "CityOptions", "Outcome", "as_plain", "simulate"]

QUIET_S: Final = 20.0  # at the end of each run nothing new goes wrong
RECOVERED_S: Final = 10.0  # after the last fault everything is in order again
_BALANCE: Final = BalanceOptions(people_easy=5, people_calm=3, level_max=12)  # for so few people as there are
_LISTED_S: Final = 12.0  # a node that sleeps longest has read a new map within it
_FILED_S: Final = 14.0  # the last paper is filed so long before the end: a lost way is known to be after 10 s
_AT_REST_S: Final = 20.0  # and the last look waits so long for ground that is just changing hands
_STILL_S: Final = 6.0  # and at the very end nobody walks, so that no handoff need be open


@dataclass(frozen=True, slots=True)
class CityOptions:
    """How large the city is and how it is dealt out: squares of side 65 536 m / 2^level, columns × rows of them."""

    nodes: int = 4
    spares: int = 2  # machines that may join
    people: int = 22
    second_devices: int = 3  # this many people have two devices
    level: int = 10
    columns: int = 4
    rows: int = 4
    tick_ms: int = 400
    ttl_s: float = LEASE_TTL_S
    balance: BalanceOptions | None = _BALANCE
    walk: WalkOptions = field(default_factory=WalkOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    disk: DiskOptions = field(default_factory=DiskOptions)
    civic: CivicOptions = field(default_factory=CivicOptions)
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
    civic: dict[str, int]
    violations: tuple[Violation, ...]
    trace_hash: str


class City:
    """One run. `run` lets it live; the rest is for those who torment and inspect it."""

    def __init__(
        self,
        seed: int,
        minutes: float,
        faults: FaultOptions,
        options: CityOptions,
        only: Sequence[Fault] | None = None,
    ) -> None:
        self.seed, self.seconds = seed, minutes * 60.0
        self.options = options
        self.agenda = Agenda()
        self.trace = Trace()
        self.network = Network(options.network, self.agenda, self.dice("network"))
        self.store = Store(options.store, self.agenda, self.dice("store"), self.trace)
        self.ledger = Ledger()
        self.cells, self.bounds_cm = _ground(options)
        self.roster = [self._machine(number) for number in range(options.nodes + options.spares)]
        disks = [machine.disk for machine in self.roster]
        self.archive = Archive(
            options.civic, disks, self.store, self.agenda, self.dice, self.trace, self._violate
        )
        self.archive.checkers.is_new = self._is_new
        self.fenced, self.keyed = options.civic.fenced, options.civic.keyed
        self._unlisted_s = dict.fromkeys(self.archive.logs, 0.0)  # when the map last lacked a stream
        self.kiosks = Kiosks(self)
        self.citizens = Citizens([*self.archive.logs], options.civic.filing, self.dice("citizens"), self)
        self.machines = self.roster[
            : options.nodes
        ]  # those of the city; spare ones among them while they are there
        self.people = [self._person(number) for number in range(options.people)]
        self.devices: list[Device] = [device for person in self.people for device in person.devices]
        quiet_s = self.seconds - QUIET_S
        size = Size(options.nodes, len(self.roster), len(self.devices))
        plan = drawn(seed, faults, size, quiet_s) if only is None else only
        self.ordeal = Ordeal(plan, quiet_s, self)
        self.checkers = Checkers(self)
        self.store.on_map = self._map_stored

    def run(self, *, to_first: bool = False, until_s: float = math.inf) -> Outcome:
        """Let it live to its end, or `to_first` violation, or until then."""
        for machine in self.machines:
            self.agenda.after(machine.dice.random() * 0.5, machine.start)
        for person in self.people:
            self.agenda.after(2.0 + person.dice.random() * 2.0, person.begin)
        self.citizens.begin()
        self.ordeal.begin()
        self.checkers.begin()
        quiet_s = self.ordeal.quiet_s
        self.agenda.at(quiet_s + RECOVERED_S, lambda: self.checkers.recovered(quiet_s))
        found = broken(lambda: self._live(to_first, until_s))
        if found is not None:
            self.checkers.violate("broken", found[0], story=found[1])
        elif not (to_first and self.checkers.violations) and until_s >= self.seconds:
            self.checkers.at_end()
            self._check_logs()
        return self._outcome()

    def _live(self, to_first: bool, until_s: float) -> None:
        violations = self.checkers.violations
        self.agenda.run(min(self.seconds, until_s), lambda: to_first and bool(violations))
        if not (to_first and violations) and until_s >= self.seconds:
            self.agenda.run(self.seconds + _AT_REST_S, lambda: self.checkers.at_rest)

    @property
    def walking(self) -> bool:
        """Whether people still move and act."""
        return self.agenda.now_s < self.seconds - _STILL_S

    @property
    def filing(self) -> bool:
        """Whether people still file."""
        return self.agenda.now_s < self.seconds - _FILED_S

    @property
    def disks_lost(self) -> bool:
        """Whether any disk was lost for good."""
        return bool(self.ordeal.disks_lost)

    def dice(self, of: str) -> random.Random:
        """Dice of this run, for one who throws no others'."""
        return random.Random(f"{self.seed} {of}")

    # ---- what the parts ask of the run

    def before_effect(self, process: Process, effect: object) -> None:
        """See `Ordeal.before_effect`."""
        self.ordeal.before_effect(process, effect)

    def before_send(self, process: Process, send: ToPeer) -> None:
        """See `Ordeal.before_send`."""
        self.ordeal.before_send(process, send)

    def hear(self, link: Link, side: int, batch: Batch) -> Batch:
        """See `Ordeal.hear`."""
        return self.ordeal.hear(link, side, batch)

    def heard(self, process: Process, peer: Incarnation, message: LinkMessage) -> None:
        """See `Checkers.heard`."""
        self.checkers.heard(process, peer, message)

    def sent(self, process: Process, send: Send) -> None:
        """See `Checkers.sent`."""
        self.checkers.sent(process, send)

    def looked_at(self, process: Process) -> None:
        """See `Checkers.looked_at`."""
        self.checkers.looked_at(process)

    # ---- civic logs

    def takes(self, stream: str) -> bool:
        """See `civic.people.Counters.takes`."""
        return self.filing

    def send(self, paper: Paper, data: bytes, dice: random.Random, told: Told) -> Callable[[], None]:
        """See `civic.people.Counters.send`."""
        return self.kiosks.send(data, dice, told)

    def verifies(self, paper: Paper, receipt: bytes) -> bool:
        """See `civic.people.Counters.verifies`; what is not true was altered on its way."""
        true = self.archive.verifies(paper, receipt)
        if not true and not self.kiosks.altered(receipt):
            self._violate(
                "civic-receipt", f"{paper.name} is given a receipt that proves nothing", paper.stream
            )
        return true

    def answered(self, paper: Paper, answer: bytes | Refusal, more: bool) -> int | None:
        """See `civic.people.Counters.answered`."""
        said = "a receipt" if isinstance(answer, bytes) else answer.reason
        self.trace.say(self.agenda.now_s, f"{paper.name} is told {said} of {paper.stream}")
        self.trace.add(self.agenda.now_s, b"A", paper.name.encode(), said.encode())
        return self.archive.checkers.answered(paper, answer, more)

    def point(self, keeper: Keeper, where: str, what: str) -> None:
        """See `civic.keeper.Around.point`."""
        self.trace.say(self.agenda.now_s, f"{keeper.name}: {where} {what}")
        self.ordeal.point(keeper, where, what)

    def signed(self, keeper: Keeper, text: str) -> None:
        """See `civic.keeper.Around.signed`."""
        self.trace.add(self.agenda.now_s, b"S", keeper.name.encode(), text.encode())
        self.archive.checkers.signed(keeper, text)

    def alarm(self, keeper: Keeper, refusal: Refusal) -> None:
        """See `civic.keeper.Around.alarm`."""
        self.trace.say(self.agenda.now_s, f"{keeper.name} is read-only: {refusal}")
        self.archive.checkers.alarm(keeper, refusal)

    def _is_new(self, stream: str) -> bool:
        since_s = self._unlisted_s[stream] if stream in self.store.map.streams else math.inf
        return self.agenda.now_s < since_s + _LISTED_S

    def _violate(self, rule: str, sentence: str, *names: str) -> None:
        self.checkers.violate(rule, sentence, *names)

    def _check_logs(self) -> None:
        """All papers are answered, and each log is held by whom the map says, and whole wherever it is published."""
        keepers: dict[str, Keeper | None] = {}
        for stream in self.archive.logs:
            holding = self.store.map.streams.get(stream)
            processes = [machine.process for machine in self.machines if machine.process]
            held = [
                p.holders.keepers.get(stream) for p in processes if holding and p.node.who == holding.holder
            ]
            keepers[stream] = held[0] if held else None
        folders = {stream: self.archive.folders(stream) for stream in self.archive.logs}
        self.archive.checkers.at_end(self.citizens.papers, keepers, folders)

    def _map_stored(self, before: CityMap, city: CityMap) -> None:
        for stream in self._unlisted_s.keys() - before.streams.keys():
            self._unlisted_s[stream] = self.agenda.now_s
        self.checkers.map_stored(city)
        for line in changes(before, city, {machine.keys.public: machine.name for machine in self.roster}):
            self.trace.say(self.agenda.now_s, line)

    # ---- making it

    def _machine(self, number: int) -> Machine:
        options = self.options
        name = chr(ord("a") + number)
        config = NodeConfig(
            link_url=f"tls://{name}.seoul:7000",
            play_url=f"wss://{name}.seoul/play",
            web_url=f"https://{name}.seoul",
            claims=tuple(c for i, c in enumerate(self.cells) if _dealt(i, options) == number),
            balance=options.balance,
            tick_ms=options.tick_ms,
            ttl_s=options.ttl_s,
            clients_max=256,
            roots=ROOTS,
            streams=tuple(
                StreamClaim(stream.name, stream.machine is None)
                for stream in options.civic.streams
                if stream.machine in (None, number)
            ),
        )
        keys = NodeKeys.from_seed(hashlib.sha256(b"node %d" % number).digest())
        dice = self.dice(f"machine {name}")
        disk = Disk(name.upper(), options.disk, self.agenda, self.dice(f"disk {name}"), self.trace)
        return Machine(number, keys, config, disk, Clock(dice.uniform(10.0, 10_000.0)), dice, self)

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
            dict(sorted(self.ordeal.counts.items())),
            self.checkers.handoffs,
            self.ordeal.crashes_in_handoffs,
            self.ordeal.lease_expiries,
            self.checkers.owned - self.checkers.handoffs,
            acts,
            dict(self.archive.checkers.counts()) | {"points": self.ordeal.civic.points},
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
