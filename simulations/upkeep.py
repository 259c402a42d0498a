"""What is done with a simulated city in good order: nodes come, drain and leave, an operator asks for this and that.

Each follows the real procedure: a node that is ended drains first, says goodbye and gives its lease back (as
`shard_node.serve` does at SIGTERM), an operator writes wishes into the map, and a store restored from an older copy
begins a new generation while no node runs (docs/operations.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal
from p2pworld.world.citymap import (
    EMPTY,
    Wish,
    WishKind,
    drain,
    merge,
    new_generation,
    pin,
    wish,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pworld.geometry import Cell
    from p2pworld.world.citymap import CityMap
    from simulations.faults import Fault
    from simulations.machine import Machine, Process
    from simulations.ordeal import Ordeal, Victim
    from simulations.store import Copy

__all__ = ["Upkeep"]

_LOOK_S: Final = 0.1
_DRAIN_S: Final = 20.0  # a node that drains longer is ended all the same
_GOODBYE_S: Final = 0.3
_FLUSH_S: Final = 2.0  # how long its disk may take


class Upkeep:
    """The people who run the city."""

    def __init__(self, run: Victim, ordeal: Ordeal) -> None:
        self._run, self._ordeal = run, ordeal
        self._copies: dict[Fault, Copy] = {}
        self._records: dict[Fault, dict[str, bytes]] = {}  # of civic logs, at the same time
        self._closed = False  # while the store is replaced no node is started

    def start(self, machine: Machine, *, proven: bool = True) -> None:
        """Start a machine's node, unless it runs; later, if all are to stay down now."""
        if machine.process is None and not self._closed and machine in self._run.machines:
            machine.start(proven=proven)

    # ------------------------------------------------------------------------------------------------- come and go

    def join(self, fault: Fault) -> None:
        """A spare machine comes; after a while it leaves for good, its disk too, once all it had is with others."""
        if not fault.on or self._run.roster[fault.on[0]] in self._run.machines or self._closed:
            return
        machine = self._run.roster[fault.on[0]]
        self._ordeal.note("join", f"{machine.name} joins the city")
        self._run.machines.append(machine)
        self.start(machine)

        def go() -> None:
            self._run.machines.remove(machine)
            self._run.trace.say(self._run.agenda.now_s, f"{machine.name} has left the city")

        self._run.agenda.after(
            fault.for_s, lambda: self._end(machine, go, whole=True) if self._ordeal.active else None
        )

    def leave(self, fault: Fault) -> None:
        """A node is ended in order, and comes back after a while."""
        machine = self._run.roster[fault.on[0]]
        if machine.process is None:
            return
        self._ordeal.note("leave", f"{machine.name} is to end")
        self._end(machine, lambda: self._ordeal.mended_after(fault, lambda: self.start(machine)))

    def roll(self, fault: Fault) -> None:
        """The nodes are restarted one after another."""
        self._ordeal.note("roll", "all nodes are restarted, one after another")
        self._roll(list(fault.on))

    def _roll(self, numbers: list[int]) -> None:
        if not numbers or not self._ordeal.active:
            return
        machine = self._run.roster[numbers.pop(0)]

        def again() -> None:
            self.start(machine)
            self._when(lambda: self._serves(machine), lambda: self._roll(numbers))

        if machine.process is None:
            self._when(lambda: self._serves(machine), lambda: self._roll(numbers))
        else:
            self._end(machine, again)

    def _serves(self, machine: Machine) -> bool:
        process = machine.process
        return process is not None and process.node.city_map.is_listed(process.node.who)

    def _when(self, ready: Callable[[], bool], then: Callable[[], None]) -> None:
        """Look again and again; nothing once it is quiet."""
        if ready():
            then()
        elif self._ordeal.active:
            self._run.agenda.after(_LOOK_S, lambda: self._when(ready, then))

    def _end(self, machine: Machine, then: Callable[[], None], *, whole: bool = False) -> None:
        """End its process as SIGTERM does, `whole`: however long it takes to give all away.

        `then` follows only if nothing else ends it before.
        """
        process = machine.process
        if process is None:
            return
        self._run.trace.say(self._run.agenda.now_s, f"{machine.name} drains")
        process.do(process.node.drain)
        self._drain(machine, process, math.inf if whole else self._run.agenda.now_s + _DRAIN_S, then)

    def _drain(self, machine: Machine, process: Process, until_s: float, then: Callable[[], None]) -> None:
        now_s = self._run.agenda.now_s
        if machine.process is not process:
            return
        late = now_s >= until_s or (until_s < math.inf and not self._ordeal.active)
        if process.paused or not (late or process.node.drained):
            self._run.agenda.after(_LOOK_S, lambda: self._drain(machine, process, until_s, then))
            return
        how = "has given all away" if process.node.drained else "has not given all away in time"
        self._run.trace.say(now_s, f"{machine.name} {how} and leaves")
        process.leave()
        self._run.agenda.after(_GOODBYE_S, lambda: self._ended(machine, process, now_s + _FLUSH_S, then))

    def _ended(self, machine: Machine, process: Process, until_s: float, then: Callable[[], None]) -> None:
        now_s = self._run.agenda.now_s
        if machine.process is not process:
            return
        if process.paused or (machine.disk.busy and now_s < until_s):
            self._run.agenda.after(_LOOK_S, lambda: self._ended(machine, process, until_s, then))
            return
        who = process.node.who
        machine.end()
        self._run.store.end(machine.number, who)
        then()

    # ------------------------------------------------------------------------------------------------- the operator

    def operate(self, fault: Fault) -> None:
        """An operator's wish, written into the map as `p2pworld regions` and `p2pworld drain` do."""
        node = self._run.roster[fault.on[0]]
        if self._say(fault, node) and fault.how == "drain":

            def undo() -> None:
                self._run.store.operate(lambda city: drain(city, node.keys.public, False))

            self._ordeal.mended_after(fault, undo)

    def _say(self, fault: Fault, node: Machine) -> bool:
        city = self._run.store.map
        around = min(cell.level for cell in self._run.cells)  # coarser cells lie where nobody walks
        cells = [cell for cell, holding in city.cells.items() if holding.holder and cell.level >= around]
        if not cells:
            return False
        cell = cells[int(fault.by * len(cells))]
        if not self._run.store.operate(lambda city: _asked(city, fault.how, cell, node.keys.public)):
            return False
        to = f" {node.name}" if fault.how in ("move", "drain") else ""
        where = "" if fault.how == "drain" else f" {cell}"
        self._ordeal.note("operator", f"an operator says {fault.how}{where}{to}")
        return True

    # ------------------------------------------------------------------------------------------------- the store

    def copy_store(self, fault: Fault) -> None:
        """The copy that will be restored."""
        self._copies[fault] = self._run.store.copy()
        self._records[fault] = self._run.archive.records.copy()

    def restore_store(self, fault: Fault) -> None:
        """The store is lost: all nodes are ended, the copy begins a new generation, and they are started again."""
        store = self._run.store
        if self._copies[fault].map == EMPTY or self._closed:
            return
        self._ordeal.note("store-restored", "the store is lost; the operator ends all nodes")
        store.outages += 1
        self._closed = True
        for machine in self._run.machines:
            process = machine.process
            if process is not None:
                machine.end()

        def back() -> None:
            copy = self._copies[fault]
            city = new_generation(copy.map, store.map.generation)
            assert not isinstance(city, Refusal)
            store.restore(copy, city)
            if self._run.archive.set_back([*self._run.archive.logs]):
                self._run.archive.records.restore(self._records[fault])
            store.outages -= 1
            self._closed = False
            age_s = self._run.agenda.now_s - fault.at_s + fault.by
            line = f"the store is back from a copy {age_s:.0f} s old, in generation {city.generation}"
            self._run.trace.say(self._run.agenda.now_s, line, fault=True)
            for machine in self._run.machines:
                self.start(machine)

        self._ordeal.mended_after(fault, back)


def _asked(city: CityMap, how: str, cell: Cell, node: bytes) -> CityMap | Refusal:
    """The step that an operator's word means."""
    match how:
        case "move":
            return wish(city, {cell: Wish(WishKind.MOVE, node)})
        case "split":
            return wish(city, {cell: Wish(WishKind.SPLIT)})
        case "merge":
            fits = merge(city, cell.parent())
            children = cell.parent().children()
            return (
                fits
                if isinstance(fits, Refusal)
                else wish(city, dict.fromkeys(children, Wish(WishKind.MERGE)))
            )
        case "drain":
            return drain(city, node, True)
        case "cancel":
            return wish(city, {cell: None})
        case _:
            return pin(city, [cell], how == "pin")
