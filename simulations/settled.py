"""What must be in order once a city has had time to recover; looked at once, when nobody has walked for a while.

Everything is derived anew from what clients, nodes, disks and the store show. In particular: all ground is held, by one
who lives, with a standby in step; everybody who wanted to is in, where they believe to be, owned once, found by the
directory, shown what hangs around them; every act has its answer; and nothing that was confirmed, or is on any disk,
is missing or there twice.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgpack

from p2pworld.world.crowd import MINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.geometry import Cell
    from p2pworld.ids import Incarnation, Login
    from p2pworld.messages import WorldObject
    from simulations.events import Agenda
    from simulations.machine import Machine, Process
    from simulations.network import PlaySocket
    from simulations.store import Store
    from simulations.workload import Deed, Device, Ledger, Person

__all__ = ["FRESH_S", "OWNING", "PLAYING", "Settled"]

OWNING: Final = frozenset({"OWNED", "PREPARING", "INVITED"})
PLAYING: Final = frozenset({"PLAYING", "BOTH"})
_OPEN_ROWS: Final = frozenset({"PREPARING", "INVITED", "RELEASED"})
_READ_S: Final = 1.0  # within it every node has read a new map
_REFRESHED_S: Final = 7.0  # the directory is told again every 5 s
FRESH_S: Final = 3.0  # ground that changed hands is given, and who is on it, within it
_HOMES: Final = 2  # of each avatar in the directory
_BEYOND_CM: Final = 250  # of its ground somebody may stand: the hysteresis, and a step
_ASTRAY_CM: Final = 300  # between where a client believes to be and where its node has it


class Town(Protocol):
    """The run that is looked at."""

    agenda: Agenda
    store: Store
    machines: list[Machine]
    people: list[Person]
    devices: list[Device]
    ledger: Ledger
    cells: tuple[Cell, ...]

    @property
    def disks_lost(self) -> bool: ...


class Violate(Protocol):
    """How a broken promise is noted."""

    def __call__(self, rule: str, sentence: str, *names: str) -> None: ...


class Settled:
    """One look. `owners` says who owns which login, `told` what each play socket was
    ever shown, `map_s` when the newest map was stored, `owned_s` since when
    each login is owned where it is."""

    def __init__(
        self,
        run: Town,
        violate: Violate,
        owners: Mapping[tuple[int, Login], Sequence[Process]],
        told: Mapping[PlaySocket, set[bytes]],
        names: Mapping[int, str],
        map_s: float,
        owned_s: Mapping[tuple[int, Login], float],
        cell_s: Mapping[Cell, float],
    ) -> None:
        self._run, self._violate, self._owners, self._told, self._names = run, violate, owners, told, names
        self._map_s, self._owned_s, self._cell_s = map_s, owned_s, cell_s
        self._processes = [m.process for m in run.machines if m.process is not None]
        # ground that has just changed hands takes the people on it along
        self._calm = run.agenda.now_s - map_s >= FRESH_S

    def look(self) -> None:
        """Note whatever is not in order."""
        self.all_held()
        self._all_in()
        self._no_handoffs()
        self._no_strangers()
        self._answered()
        shown = self._shown()
        self._objects(shown)
        self._counts(shown)
        self._copies()

    # ------------------------------------------------------------------------------------------------- ground

    def all_held(self) -> None:
        """Everybody has the newest map and a lease, and those who live hold all ground."""
        run, city = self._run, self._run.store.map
        fresh = run.agenda.now_s - self._map_s <= _READ_S
        for machine in run.machines:
            process = machine.process
            if process is not None and process.node.parts.draining:
                continue  # it is about to leave for good
            if process is None or process.now().boot_s >= process.lease_deadline_s:
                self._violate("recovery", f"{machine.name} has no lease", machine.name)
            elif process.node.city_map.version != city.version and not fresh:
                self._violate("recovery", f"{machine.name} has an old map", machine.name)
        living = {process.node.who for process in self._processes}
        for cell in run.cells:
            for leaf, holding in city.cells.items():
                touches = leaf == cell or leaf.contains(cell) or cell.contains(leaf)
                if touches and holding.holder not in living:
                    self._violate("recovery", f"nobody who lives holds cell {leaf}")

    def _process(self, who: Incarnation | None) -> Process | None:
        return next((process for process in self._processes if process.node.who == who), None)

    # ------------------------------------------------------------------------------------------------- people

    def _all_in(self) -> None:
        for person in self._run.people:
            playing = [device for device in person.devices if device.session.at.name in PLAYING]
            latest = max(device.session.login for device in person.devices)
            for device in person.devices:
                session = device.session
                if session.at.name == "STOPPED" and session.login >= latest:
                    self._violate("recovery", f"{device.name} stopped for no newer device", person.name)
                elif device.wanted and session.at.name not in (*PLAYING, "STOPPED"):
                    sentence = f"{device.name} is {session.at.name}: {session.trouble}"
                    self._violate("recovery", sentence, person.name)
            if len(playing) > 1:
                self._violate("recovery", f"{len(playing)} devices of {person.name} play", person.name)
            for device in playing:
                session = device.session
                owners = self._owners.get((session.id, session.login), [])
                if len(owners) == 1:
                    self._plays(device, owners[0], person.name)
                elif owners or self._calm:  # ground that has just changed hands may be giving them away
                    self._violate("recovery", f"{len(owners)} nodes own {device.name}", person.name)

    def _plays(self, device: Device, owner: Process, name: str) -> None:
        """Its node has it where it believes to be, shows it what hangs there, and the directory finds it."""
        session, node = device.session, owner.node
        crowd = node.parts.crowd
        row = crowd.row_of.get(session.id)
        if row is None:
            self._violate("place", f"{owner.name} owns {device.name} and does not know where it is", name)
            return
        has, believes = crowd.pose(row), session.pose
        assert believes is not None
        away_cm = max(abs(has.east_cm - believes.east_cm), abs(has.north_cm - believes.north_cm))
        if away_cm > _ASTRAY_CM:
            self._violate("place", f"{owner.name} has {device.name} {away_cm} cm from where it is", name)
        own = [cell for cell, holding in node.city_map.cells.items() if holding.holder == node.who]
        if self._calm and not any(_lies_in(has.east_cm, has.north_cm, cell, _BEYOND_CM) for cell in own):
            self._violate("place", f"{owner.name} owns {device.name} on ground of another", name)
        owned_s = self._owned_s[session.id, session.login]
        if self._run.agenda.now_s - max(device.wanted_s, owned_s) < FRESH_S:
            return  # it has only just come, and is still being shown around
        socket = owner.sockets.get(int(crowd.conn[row]))
        told = self._told.get(socket, set()) if socket is not None else set()
        for cell in own:
            if (
                self._calm
                and _lies_in(has.east_cm, has.north_cm, cell)
                and (missing := sum(one.id not in told for one in owner.objects_in(cell)))
            ):
                self._violate("shown", f"{device.name} was never shown {missing} objects around it", name)
        if self._run.agenda.now_s - owned_s < _REFRESHED_S:
            return  # the homes are told at once, but it is the refresh that is promised
        for home in self._homes(session.id):
            found = home.node.parts.people.directory.find(session.id)
            if found is None or found[0] != node.who or found[1].hello.login_ms != session.login.ms:
                self._violate("directory", f"{home.name} does not know where {device.name} is", name)

    def _homes(self, avatar: int) -> list[Process]:
        """The nodes that by the published rule keep this avatar's place."""

        def score(process: Process) -> bytes:
            key = avatar.to_bytes(8, "big") + process.node.who.node
            return hashlib.blake2b(key, digest_size=8, person=b"p2pworld home").digest()

        listed = [p for p in self._processes if self._run.store.map.members.get(p.node.who.node) is not None]
        return sorted(listed, key=score)[:_HOMES]

    def _no_handoffs(self) -> None:
        for process in self._processes if self._calm else ():
            for avatar, person in process.persons():
                if person.row.at.name in _OPEN_ROWS or person.seat.at.name != "EMPTY":
                    name = self._names.get(avatar, str(avatar))
                    self._violate("recovery", f"a handoff of {name} is open at {process.name}", name)

    def _no_strangers(self) -> None:
        """Every open connection is somebody's, and every avatar that a node draws as its own is owned there."""
        for process in self._processes:
            persons = dict(process.persons())
            conns = {one.row.conn for one in persons.values()} | {one.seat.conn for one in persons.values()}
            for device in self._run.devices:
                opened_s = min(
                    (s.opened_s for c, s in process.sockets.items() if s.device is device and c not in conns),
                    default=math.inf,
                )  # a younger one is only just being shown its ticket
                if self._run.agenda.now_s - max(device.wanted_s, opened_s) >= FRESH_S:
                    sentence = f"{process.name} keeps a connection of {device.name} for nothing"
                    self._violate("socket", sentence, device.person.name)
            crowd = process.node.parts.crowd
            for avatar, row in crowd.row_of.items():
                owned = avatar in persons and persons[avatar].row.at.name in OWNING
                if crowd.kind[row] == MINE and not owned:
                    name = self._names.get(avatar, str(avatar))
                    self._violate("place", f"{process.name} draws {name} and does not own it", name)

    def _answered(self) -> None:
        for device in self._run.devices:
            if device.session.at.name in PLAYING and (open_ := device.session.acts_open):
                self._violate(
                    "answer", f"{device.name} waits for the answers of {open_} acts", device.person.name
                )

    # ------------------------------------------------------------------------------------------------- objects

    def _shown(self) -> dict[bytes, list[WorldObject]]:
        shown: dict[bytes, list[WorldObject]] = {}
        for process in self._processes:
            node = process.node
            for cell, holding in node.city_map.cells.items():
                if holding.holder == node.who:
                    for one in process.objects_in(cell):
                        shown.setdefault(one.id, []).append(one)
        return shown

    def _objects(self, shown: dict[bytes, list[WorldObject]]) -> None:
        rung: Counter[bytes] = Counter()
        for deed in self._run.ledger.deeds:
            if deed.durable == "disk" and self._run.disks_lost:
                continue
            if deed.durable and deed.verb == "hang":
                self._lantern(deed, shown.get(deed.object_id, []))
            elif deed.durable:
                rung[deed.object_id] += 1
        for bell, times in rung.items():
            count = sum(one.count for one in shown.get(bell, []))
            if count < times:
                self._violate("object", f"a bell counts {count} and confirmed {times} rings")

    def _lantern(self, deed: Deed, found: list[WorldObject]) -> None:
        name = self._names.get(deed.avatar, str(deed.avatar))
        if deed.expunged:
            if found and deed.expunged == "kept" and not self._run.disks_lost:
                sentence = f"the lantern {deed.text!r} of {name} hangs, though a moderator had it taken down"
                self._violate("expunged", sentence, name)
        elif not found:
            sentence = f"the lantern {deed.text!r} of {name}, safe on {deed.durable}, is gone"
            self._violate("object", sentence, name)
        elif any((one.text, one.by) != (deed.text, deed.avatar) for one in found):
            self._violate("object", f"the lantern {deed.text!r} of {name} has changed", name)

    def _counts(self, shown: dict[bytes, list[WorldObject]]) -> None:
        """No act that anybody was ever asked for is done twice, however often and of whomever it was asked."""
        deeds = self._run.ledger.deeds
        rings = sum(one.count for found in shown.values() for one in found if one.kind == "bell")
        most = sum(deed.asked for deed in deeds if deed.verb == "ring")
        if rings > most:
            self._violate("object", f"bells count {rings}, and people asked for {most} rings")
        may_hang = {deed.text: int(deed.asked) for deed in deeds if deed.verb == "hang"}
        texts = Counter(one.text for found in shown.values() for one in found if one.kind == "lantern")
        for text, times in sorted(texts.items()):
            if times > may_hang.get(text, 0):
                self._violate("object", f"the lantern {text!r} hangs {times} times", text.split(".")[0])

    def _copies(self) -> None:
        """Each cell's objects are on its holder's disk and, the same to the last bit, on those of its standbys."""
        city = self._run.store.map
        disks = {
            p.node.who: {n: kept.state for n, kept in p.machine.disk.recover().items()}
            for p in self._processes
        }
        safe: set[bytes] = set()
        gone = {deed.object_id for deed in self._run.ledger.deeds if deed.expunged}
        for cell, holding in city.cells.items():
            process = self._process(holding.holder)
            if process is None:
                continue
            own = disks[process.node.who].get(cell, b"")
            safe |= _ids(own)
            if not holding.standbys and len(self._processes) > 1:
                self._violate("standby", f"cell {cell} of {process.name} has no standby", process.name)
            if self._run.agenda.now_s - self._cell_s[cell] < FRESH_S:
                continue  # it has only just come into these hands
            for standby in holding.standbys:
                other = self._process(standby)
                if other is not None and disks[standby].get(cell, b"") != own:
                    sentence = f"{other.name} is no true copy of cell {cell} of {process.name}"
                    self._violate("standby", sentence, process.name, other.name)
        for who, cells in disks.items():
            for number, state in cells.items():
                if lost := _ids(state) - safe - gone:
                    process = self._process(who)
                    assert process is not None
                    sentence = f"{len(lost)} objects of cell {number} are on the disk of {process.name} alone"
                    self._violate("given-back", sentence, process.name)


def _lies_in(east_cm: int, north_cm: int, cell: Cell, beyond_cm: int = 0) -> bool:
    west, south, east, north = cell.bounds_cm()
    fits_east = west - beyond_cm <= east_cm < east + beyond_cm
    return fits_east and south - beyond_cm <= north_cm < north + beyond_cm


def _ids(state: bytes) -> set[bytes]:
    """The ids of the objects in a cell's written form."""
    if not state:
        return set()
    plain: dict[str, Any] = msgpack.unpackb(state)
    return {entry[0] for entry in plain["objects"]["entries"]}
