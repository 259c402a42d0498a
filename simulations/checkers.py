"""What must hold in every run, looked at after each event and at the end.

The checkers derive everything anew from what nodes, clients, disks and the store show; they call nothing of what they
check. A violation carries its time and the last of the run's story that names its people and nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.ids import Login
from p2pworld.messages import (
    ActDone,
    Commit,
    CommitAck,
    CommitNak,
    Done,
    HangUp,
    Objects,
    PackedObjects,
    Prepare,
    ToClient,
    ToPeer,
)
from simulations import ground_rules
from simulations.settled import FRESH_S, OWNING, PLAYING, Settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from p2pworld.geometry import Cell
    from p2pworld.ids import Incarnation
    from p2pworld.messages import LinkMessage, Send
    from p2pworld.world.citymap import CityMap, Holding
    from p2pworld.world.handoff import Person as Whereabouts
    from simulations.events import Agenda, Trace
    from simulations.machine import Machine, Process
    from simulations.network import PlaySocket
    from simulations.store import Store
    from simulations.workload import Device, Ledger, Person

__all__ = ["Checkers", "Violation"]

_OPEN_ROWS: Final = frozenset({"PREPARING", "INVITED", "RELEASED"})
_IN: Final = frozenset({"PLAYING", "BOTH", "HELD"})
_SWEEP_S: Final = 0.5
_ORPHANED_S: Final = 8.0  # a client that plays without an owner notices within this
_HANDOFF_S: Final = (
    8.0  # no attempt at a handoff lasts longer: three timers of at most 3 s in a row, less their overlap
)
_CALM_HANDOFF_S: Final = 1.5  # where nothing goes wrong no handoff needs a timer
_ANSWER_S: Final = 1.0  # most of it for what a paused node finds when it goes on
_STORY_LINES: Final = 60
_VIOLATIONS_MAX: Final = 20  # of one run: the first say it all


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and what happened before."""

    time_s: float
    rule: str
    sentence: str
    story: tuple[str, ...] = ()


class Inspected(Protocol):
    """The run that is looked at."""

    agenda: Agenda
    trace: Trace
    store: Store
    machines: list[Machine]
    people: list[Person]
    devices: list[Device]
    ledger: Ledger
    cells: tuple[Cell, ...]

    @property
    def disks_lost(self) -> bool: ...


class _Seen:
    """What was last seen of one process."""

    __slots__ = ("ground", "number", "persons")

    def __init__(self) -> None:
        self.persons: dict[int, Whereabouts] = {}
        self.number = 0
        self.ground: tuple[int, int, float] = (0, 0, 0.0)


class _Calm:
    """What stays as it is from some time after the last fault on: who the nodes are, and who is in."""

    def __init__(self, run: Inspected) -> None:
        self._run = run
        self.since_s = run.agenda.now_s
        self._incarnations = {machine: _number(machine) for machine in run.machines}
        self._logins = {d: d.session.login for d in run.devices if d.session.at.name in PLAYING}

    def disturbed(self) -> Iterator[tuple[str, str]]:
        """What has changed without anybody's wish, each once: a sentence, and who."""
        for machine, number in list(self._incarnations.items()):
            ends = machine.process is not None and machine.process.node.parts.draining
            if machine not in self._run.machines or ends:
                del self._incarnations[machine]
            elif _number(machine) != number:
                del self._incarnations[machine]
                yield f"{machine.name} lost its lease though nothing went wrong", machine.name
        for device, login in list(self._logins.items()):
            wished_s = max(other.wanted_s for other in device.person.devices)
            if wished_s > self.since_s - _ORPHANED_S or not device.wanted:
                del self._logins[device]
            elif device.session.at.name not in _IN or device.session.login != login:
                del self._logins[device]
                yield f"{device.name} had to log in again though nothing went wrong", device.person.name


def _number(machine: Machine) -> int:
    return machine.process.node.who.number if machine.process is not None else 0


class Checkers:
    """All rules, with what they remember of the run."""

    def __init__(self, run: Inspected) -> None:
        self.run = run
        self.violations: list[Violation] = []
        self.owned = 0  # how often a process came to own an avatar
        self.handoffs = 0  # of those, by a commit
        self._seen: dict[Process, _Seen] = {}
        self._owners: dict[tuple[int, Login], list[Process]] = {}
        self._last_hop: dict[tuple[int, Login], int] = {}
        self._owned_s: dict[tuple[int, Login], float] = {}  # when somebody last came to own it
        self._orphaned_s: dict[Device, float] = {}
        self._open_since: dict[tuple[Process, int], tuple[tuple[object, ...], float]] = {}
        self._names = {person.id: person.name for person in run.people}
        self._stamp = 0
        self._map_s = 0.0  # when the newest was stored
        self._cells: Mapping[Cell, Holding] = {}  # of the map that stands
        self._cell_s: dict[Cell, float] = {}  # since when each is held and guarded as it is
        self._in_s: dict[Device, float] = {}  # when each device was last seen to play
        self._prepared: dict[tuple[Process, int, int], int] = {}
        self._unanswered: dict[tuple[Process, Incarnation, int, bytes], float] = {}  # commits, and since when
        self._told: dict[Process, set[tuple[bytes, str]]] = {}  # objects that others confirmed to a process
        self._commits: dict[tuple[Process, int, bytes], tuple[Login, int]] = {}
        self._shown_on: dict[PlaySocket, set[bytes]] = {}  # the objects each play socket was told of
        self._calm: _Calm | None = None  # from when on nothing is disturbed

    def begin(self) -> None:
        """Look at what takes time to go wrong, again and again."""
        self.run.agenda.after(_SWEEP_S, self._sweep)

    def violate(self, rule: str, sentence: str, *names: str, story: tuple[str, ...] = ()) -> None:
        """Note a broken promise, with the story of those it names unless another is given."""
        if len(self.violations) < _VIOLATIONS_MAX:
            now_s = self.run.agenda.now_s
            story = story or self.run.trace.story(tuple(names), _STORY_LINES)
            self.violations.append(Violation(round(now_s, 3), rule, sentence, story))

    # ------------------------------------------------------------------------------------------------- each event

    def looked_at(self, process: Process) -> None:
        """Something happened to this process."""
        seen = self._seen.get(process)
        if not process.alive:
            if self._seen.pop(process, None) is not None:
                for avatar, person in seen.persons.items() if seen else ():
                    self._no_longer(process, avatar, person)
            return
        if seen is None:
            seen = self._seen[process] = _Seen()
        self._people(process, seen)
        node = process.node
        ground = node.who.number, node.city_map.stamp, process.lease_deadline_s
        if ground != seen.ground:
            if ground[1] < seen.ground[1]:
                self.violate("epoch", f"{process.name} went back to an older map", process.name)
            seen.ground = ground
            self._ground(process)
        disk = process.machine.disk
        while disk.regressions:
            self.violate("epoch", disk.regressions.pop(), process.name)

    def heard(self, process: Process, peer: Incarnation, message: LinkMessage) -> None:
        """A node is about to be told this."""
        if isinstance(message, Prepare):
            self._prepared[process, message.avatar, message.k] = message.to
        elif isinstance(message, Commit):
            login = Login(message.login_ms, message.birth)
            self._commits[process, message.avatar, message.r] = login, message.hop
            question = process, peer, message.avatar, message.r
            self._unanswered.setdefault(question, self.run.agenda.now_s)
        elif isinstance(message, ActDone):
            self._told.setdefault(process, set()).add((message.done.id, message.done.durable))

    def sent(self, process: Process, send: Send) -> None:
        """This leaves a node now."""
        if isinstance(send, HangUp):
            if send.bye.code == "lapsed" and self._acts(process):
                self.violate(
                    "lapsed", f"{process.name} refuses a login though it has its lease", process.name
                )
            return
        message = send.message
        if isinstance(message, Commit) and self._lapsed(process):
            name = self._names.get(message.avatar, "somebody")
            self.violate("lapsed", f"{process.name} gives {name} away without a lease", name)
        elif isinstance(message, CommitAck | CommitNak) and isinstance(send, ToPeer):
            self._unanswered.pop((process, send.peer, message.avatar, message.r), None)
            self._answered(process, message)
        elif isinstance(message, ActDone) and message.done.durable:
            self._confirmed(process, message.done)
        elif isinstance(message, Objects | PackedObjects):
            socket = process.sockets.get(send.conn) if isinstance(send, ToClient) else None
            if socket is not None:
                self._shown_on.setdefault(socket, set()).update(one.id for one in message.objects)
        elif isinstance(message, Done) and message.durable:
            told = (message.id, message.durable) in self._told.get(process, ())
            self._confirmed(process, message, told)

    def _answered(self, process: Process, answer: CommitAck | CommitNak) -> None:
        """Who acknowledges a commit owns the avatar, or knows of something later; who declines it does neither."""
        given = self._commits.get((process, answer.avatar, answer.r))
        known = dict(process.persons()).get(answer.avatar)
        takes = isinstance(answer, CommitAck)
        if takes != (given is not None and known is not None and known.known >= given):
            name = self._names.get(answer.avatar, "somebody")
            how = (
                "acknowledges a commit of {} it did not take" if takes else "declines a commit of {} it knows"
            )
            self.violate("ack", f"{process.name} {how.format(name)}", name)

    def _acts(self, process: Process) -> bool:
        """Whether a node may surely act: it has its lease, and the map lists it."""
        return not self._lapsed(process) and process.node.who in {
            member.who for member in process.node.city_map.members.values()
        }

    def _unanswered_long(self, now_s: float) -> None:
        """Every commit is answered as soon as it is heard."""
        for question, since_s in list(self._unanswered.items()):
            process, _, avatar, _ = question
            if not process.alive or process.paused:
                del self._unanswered[question]
            elif now_s - since_s > _ANSWER_S:
                del self._unanswered[question]
                name = self._names.get(avatar, "somebody")
                self.violate("ack", f"{process.name} never answers a commit of {name}", name)

    def _confirmed(self, process: Process, done: Done, told: bool = False) -> None:
        """What is said to be safe is on as many disks as that means, and on one's own unless another has `told` so."""
        if not self.run.disks_lost:
            copies = sum(machine.disk.has(done.id) for machine in self.run.machines)
            if not (told or process.machine.disk.has(done.id)) or copies < 1 + (done.durable == "standby"):
                sentence = f"{process.name} confirms an object on {copies} disks as safe on {done.durable}"
                self.violate("durable", sentence, process.name)

    def _lapsed(self, process: Process) -> bool:
        return process.now().boot_s >= process.lease_deadline_s

    def _people(self, process: Process, seen: _Seen) -> None:
        number = process.node.who.number
        fresh = number != seen.number
        seen.number = number
        known, count = seen.persons, 0
        for avatar, person in process.persons():
            count += 1
            before = known.get(avatar)
            if before is not person:
                known[avatar] = person
                self._changed(process, avatar, before, person, fresh)
        if count != len(known):
            left = dict(process.persons())
            for avatar in [one for one in known if one not in left]:
                self._no_longer(process, avatar, known.pop(avatar))

    def _changed(
        self,
        process: Process,
        avatar: int,
        before: Whereabouts | None,
        person: Whereabouts,
        fresh: bool,
    ) -> None:
        name = self._names.get(avatar, str(avatar))
        if before is None or before.row != person.row or before.seat != person.seat:
            row = person.row
            line = (
                f"{process.name}: {name} is {row.at.name} ({row.login.ms}.{row.login.birth.hex()[:4]}, hop {row.hop},"
                f" socket {row.conn}), seat {person.seat.at.name}"
            )
            self.run.trace.say(self.run.agenda.now_s, line)
        if before is not None and not fresh and person.known < before.known:
            sentence = f"{process.name} accepted an older login or hop of {name} than it knew"
            self.violate("older", sentence, name)
        if person.seat.at.name == "RESERVED" and (before is None or before.seat.r != person.seat.r):
            self._reserved(process, avatar, person, name)
        was = before is not None and before.row.at.name in OWNING
        owns = person.row.at.name in OWNING
        if before is not None and was and (not owns or before.row.login != person.row.login):
            self._no_longer(process, avatar, before)
            was = False
        if owns and not was:
            self._owns(process, avatar, person, name)

    def _reserved(self, process: Process, avatar: int, person: Whereabouts, name: str) -> None:
        """A seat is kept only on ground that is the node's own."""
        cell = self._prepared.get((process, avatar, person.seat.k))
        node = process.node
        holders = [h.holder for c, h in node.city_map.cells.items() if c == cell]
        if holders != [node.who] or self._lapsed(process):
            self.violate("seat", f"{process.name} keeps a seat for {name} on ground it does not hold", name)

    def _owns(self, process: Process, avatar: int, person: Whereabouts, name: str) -> None:
        key = avatar, person.row.login
        if self._lapsed(process):
            self.violate("lapsed", f"{process.name} takes {name} without a lease", name)
        if (person.row.login, person.row.hop) < person.known:
            self.violate("older", f"{process.name} owns {name} under less than it knows", name)
        last = self._last_hop.get(key)
        if last is not None and person.row.hop <= last:
            sentence = (
                f"{process.name} came to own {name} at hop {person.row.hop}, which somebody owned before"
            )
            self.violate("hop", sentence, name)
        self._last_hop[key] = max(last or 0, person.row.hop)
        self._owned_s[key] = self.run.agenda.now_s
        self.owned += 1
        self.handoffs += person.row.hop > 0
        owners = self._owners.setdefault(key, [])
        owners.append(process)
        if len(owners) > 1:
            both = " and ".join(owner.name for owner in owners)
            self.violate("owner", f"{both} own the same login of {name}", name)

    def _no_longer(self, process: Process, avatar: int, person: Whereabouts) -> None:
        owners = self._owners.get((avatar, person.row.login))
        if owners is not None and person.row.at.name in OWNING and process in owners:
            owners.remove(process)
            if not owners:
                del self._owners[avatar, person.row.login]

    def _ground(self, process: Process) -> None:
        """Whoever may act by its own clock holds no ground that another holds who may."""
        mine = self._held(process)
        if not mine:
            return
        for machine in self.run.machines:
            other = machine.process
            if other is None or other is process or other.node.city_map is process.node.city_map:
                continue  # one map gives no ground to two: see `map_stored`
            for cell in self._held(other):
                for own in mine:
                    if own == cell or own.contains(cell) or cell.contains(own):
                        sentence = f"{process.name} and {other.name} both hold cell {own}"
                        self.violate("ground", sentence, process.name, other.name)
                        return

    def _held(self, process: Process) -> tuple[Cell, ...]:
        """Its ground but for what it has frozen and offered to another, who may have read of it first."""
        if process.now().boot_s >= process.lease_deadline_s:
            return ()
        me, given = process.node.who, process.giving
        cells = process.node.city_map.cells.items()
        return tuple(cell for cell, holding in cells if holding.holder == me and cell not in given)

    def map_stored(self, city: CityMap) -> None:
        """The store has a new map: a partition of the root, whose ground follows from that of the one before."""
        area = sum(1 << 2 * (25 - cell.level) for cell in city.cells)
        if area != 1 << 50:
            self.violate("map", f"map {city.version} is no partition")
        if city.stamp <= self._stamp:
            self.violate("map", f"map {city.version} does not follow the one before")
        if self._cells:
            for sentence in ground_rules.broken(self._cells, city):
                self.violate("map", f"in map {city.version} {sentence}")
        self._stamp = city.stamp
        self._map_s = self.run.agenda.now_s
        self._cell_s = {
            cell: self._cell_s[cell] if self._cells.get(cell) == holding else self._map_s
            for cell, holding in city.cells.items()
        }
        self._cells = city.cells

    # ------------------------------------------------------------------------------------------------- with time

    def _sweep(self) -> None:
        run = self.run
        run.agenda.after(_SWEEP_S, self._sweep)
        now_s = run.agenda.now_s
        for device in run.devices:
            session = device.session
            key = session.id, session.login
            if session.at.name not in PLAYING or key in self._owners:
                self._orphaned_s.pop(device, None)
            elif now_s - self._orphaned_s.setdefault(device, now_s) > _ORPHANED_S:
                self._orphaned_s[device] = now_s + 1e9
                self.violate("lost", f"{device.name} plays, and nobody owns it", device.person.name)
            if session.at.name in PLAYING:
                self._in_s[device] = now_s
        self._open_handoffs(now_s)
        self._unanswered_long(now_s)
        if self._calm is not None:
            for sentence, name in self._calm.disturbed():
                self.violate("calm", sentence, name)

    def _open_handoffs(self, now_s: float) -> None:
        still: dict[tuple[Process, int], tuple[tuple[object, ...], float]] = {}
        most_s = _HANDOFF_S if self._calm is None else _CALM_HANDOFF_S
        playing = {device.session.id for device in self.run.devices if device.session.at.name in PLAYING}
        for process, seen in self._seen.items():
            if process.paused:
                continue
            for avatar, person in seen.persons.items():
                row, seat = person.row, person.seat
                if row.at.name not in _OPEN_ROWS and seat.at.name == "EMPTY":
                    continue
                key = process, avatar
                what = (row.at, row.k, seat.at, seat.r)
                before = self._open_since.get(key)
                since_s = before[1] if before is not None and before[0] == what else now_s
                if self._calm is not None:
                    since_s = max(since_s, self._calm.since_s)
                still[key] = what, since_s
                # a client that left is waited for, on both sides, until a timer ends that
                if now_s - since_s > (most_s if avatar in playing else _HANDOFF_S):
                    name = self._names.get(avatar, str(avatar))
                    sentence = f"a handoff of {name} at {process.name} neither finishes nor fails"
                    self.violate("handoff", sentence, name)
                    still[key] = what, now_s + 1e9
        self._open_since = still

    # ------------------------------------------------------------------------------------------------- the end

    def recovered(self, quiet_s: float) -> None:
        """Long enough after the last fault: all ground is held, and everybody who wanted has been in since."""
        self._settled().all_held()
        self._calm = _Calm(self.run)
        for device in self.run.devices:
            out = self._in_s.get(device, 0.0) <= quiet_s and device.session.at.name != "STOPPED"
            if device.wanted and device.wanted_s <= quiet_s and out:
                sentence = f"{device.name} could not come in after the last fault: {device.session.trouble}"
                self.violate("recovery", sentence, device.person.name)

    @property
    def at_rest(self) -> bool:
        """Whether every node has long read the newest map, and nobody is on the way because of it."""
        return self.run.agenda.now_s - self._map_s >= FRESH_S

    def at_end(self) -> None:
        """The city has had time to recover: everything is in order again, and all that was confirmed is there."""
        self._settled().look()

    def _settled(self) -> Settled:
        return Settled(
            self.run,
            self.violate,
            self._owners,
            self._shown_on,
            self._names,
            self._map_s,
            self._owned_s,
            self._cell_s,
        )
