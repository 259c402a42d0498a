"""What goes wrong in a simulated city, and what is done to it: a list of faults, drawn before the run from its seed.

A `Fault` is a value: when, what, to whom, how long. `FaultOptions` says how often each kind comes, on average; `drawn`
makes the list. Each kind has dice of its own, so that another rate of one kind leaves all others where they were, and a
run under a part of the list meets the rest of it unchanged. `ordeal.py` carries the list out.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAJOR", "PRESETS", "Fault", "FaultOptions", "Size", "as_fault", "as_plain", "drawn"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that happens to a city. What `on`, `by` and `how` mean is told with each kind, below."""

    at_s: float
    kind: str
    on: tuple[int, ...] = ()  # machines or devices, by number
    for_s: float = 0.0  # until it is mended
    by: float = 0.0
    how: str = ""

    def __str__(self) -> str:
        parts = [f"{self.at_s:8.3f} s  {self.kind}"]
        if self.on:
            numbered = self.kind.startswith(("client", "civic", "witness"))
            name = str if numbered else (lambda number: chr(ord("A") + number))
            parts.append(" ".join(map(name, self.on)))
        if self.how:
            parts.append(self.how)
        if self.by:
            parts.append(f"by {self.by:g}")
        if self.for_s:
            parts.append(f"for {self.for_s:.2f} s")
        return ", ".join(parts)


class Size(NamedTuple):
    """How large the city is: machines that found it, machines with those that may join, and devices."""

    nodes: int
    machines: int
    devices: int


@dataclass(frozen=True, slots=True)
class FaultOptions:
    """Mean seconds between faults (0: never), their lengths in seconds (from, to), probabilities, and sizes."""

    # processes
    crash_every_s: float = 0.0
    crash_in_handoff_every_s: float = 0.0  # then the next handoff message is struck
    crash_in_write_every_s: float = 0.0  # then the next write is
    down_s: tuple[float, float] = (0.2, 3.0)
    unproven: float = 0.3  # probability that a restart cannot prove the earlier process dead
    pause_every_s: float = 0.0
    pause_s: tuple[float, float] = (0.5, 9.0)
    overload_every_s: float = 0.0  # one machine is too busy
    overload_s: tuple[float, float] = (1.0, 8.0)
    overload_busy: float = 3.0  # what its ticks would use of their time
    # the network between nodes
    partition_every_s: float = 0.0
    partition_s: tuple[float, float] = (0.5, 7.0)
    one_way: float = 0.4  # probability that a partition blocks one direction only
    link_cut_every_s: float = 0.0
    # the store
    store_cut_every_s: float = 0.0  # one machine loses the store
    store_cut_s: tuple[float, float] = (1.0, 8.0)
    store_out_every_s: float = 0.0
    store_out_s: tuple[float, float] = (0.5, 6.0)
    store_restored: float = (
        0.0  # probability that the store is lost once, and an older copy of it put in its place
    )
    store_restored_s: tuple[float, float] = (3.0, 6.0)
    store_copy_age_s: tuple[float, float] = (1.0, 40.0)
    store_answer_lost_every_s: float = 0.0
    # disks
    disk_full_every_s: float = 0.0
    disk_full_s: tuple[float, float] = (1.0, 6.0)
    disk_slow_every_s: float = 0.0
    disk_slow_s: tuple[float, float] = (1.0, 6.0)
    disk_slow_times: float = 200.0
    disk_lost: float = 0.0  # probability that one disk of the run is lost for good
    disk_lies: float = (
        0.0  # probability that one machine loses power, and its disk what it had called durable
    )
    disk_lies_writes: int = 4  # of the last so many at most
    # clocks
    drift: float = 0.0  # clocks run faster or slower by at most this part
    jump_every_s: float = 0.0
    jump_ms: int = 30_000  # how far from the true time a jump takes the wall clock at most
    # clients
    client_cut_every_s: float = 0.0
    client_stall_every_s: float = 0.0
    client_stall_s: tuple[float, float] = (0.3, 4.0)
    # handoff messages, beyond what TCP allows: their tables promise to stand it
    again_every_s: float = 0.0
    late_every_s: float = 0.0
    lost_every_s: float = 0.0
    late_s: tuple[float, float] = (0.01, 4.0)
    # what people do with the city: its nodes, its ground, its crowds
    join_every_s: float = 0.0
    stay_s: tuple[float, float] = (15.0, 60.0)  # how long a node that has joined stays
    leave_every_s: float = 0.0
    away_s: tuple[float, float] = (0.5, 8.0)
    roll_every_s: float = 0.0  # all nodes are restarted in order, one after another
    operator_every_s: float = 0.0
    drained_s: tuple[float, float] = (5.0, 15.0)  # how long an operator lets a node be drained
    expunge: float = 0.0  # probability that a moderator has something taken down for good in the run
    gather_every_s: float = 0.0
    gather_s: tuple[float, float] = (8.0, 25.0)
    # civic logs: their holders, stores, records and witnesses
    civic_crash_every_s: float = 0.0
    civic_crash_points: int = 40  # of the append path that are let pass before it at most
    civic_pause_every_s: float = 0.0
    civic_pause_s: tuple[float, float] = (0.3, 6.0)
    civic_late_every_s: float = 0.0
    civic_late_s: tuple[float, float] = (0.005, 4.0)
    civic_answer_lost_every_s: float = 0.0
    civic_restored: float = (
        0.0  # probability that a log's store is lost once, and an older backup put in its place
    )
    civic_backup_age_s: tuple[float, float] = (1.0, 40.0)
    record_lost_every_s: float = 0.0
    postgres_out_every_s: float = 0.0
    postgres_cut_every_s: float = 0.0
    postgres_standby_every_s: float = 0.0
    postgres_primary_every_s: float = 0.0
    postgres_s: tuple[float, float] = (0.3, 5.0)
    witness_down_every_s: float = 0.0
    witness_down_s: tuple[float, float] = (1.0, 15.0)
    witness_answer_lost_every_s: float = 0.0
    relay_hostile_every_s: float = 0.0
    relay_hostile_s: tuple[float, float] = (1.0, 10.0)

    def major_per_hour(self) -> float:
        """How many faults of nodes, network, store, disks and clocks there are in an hour, on average."""
        return sum(3600.0 / every_s for kind in MAJOR if (every_s := self.every_s(kind)))

    def every_s(self, kind: str) -> float:
        """The mean seconds between two faults of a kind."""
        found: float = getattr(self, _KINDS[kind].every)
        return found

    def at_rate(self, per_hour: float) -> FaultOptions:
        """The same mixture, with so many faults of nodes, network, store, disks and clocks an hour."""
        times = self.major_per_hour() / per_hour if per_hour else math.inf
        rare: dict[str, Any] = {}
        for kind in MAJOR:
            every_s = self.every_s(kind) * times
            rare[_KINDS[kind].every] = every_s if math.isfinite(every_s) else 0.0
        return replace(self, **rare)


_LIGHT: Final = FaultOptions(
    crash_every_s=60.0,
    crash_in_handoff_every_s=60.0,
    crash_in_write_every_s=120.0,
    pause_every_s=90.0,
    partition_every_s=60.0,
    link_cut_every_s=30.0,
    store_cut_every_s=120.0,
    store_out_every_s=150.0,
    store_restored=0.05,
    store_answer_lost_every_s=30.0,
    client_cut_every_s=15.0,
    client_stall_every_s=30.0,
    disk_full_every_s=120.0,
    disk_slow_every_s=120.0,
    overload_every_s=60.0,
    drift=0.01,
    jump_every_s=100.0,
    again_every_s=6.0,
    late_every_s=12.0,
    lost_every_s=60.0,
    join_every_s=120.0,
    leave_every_s=120.0,
    roll_every_s=300.0,
    operator_every_s=60.0,
    gather_every_s=100.0,
    civic_crash_every_s=90.0,
    civic_pause_every_s=90.0,
    civic_late_every_s=40.0,
    civic_answer_lost_every_s=30.0,
    civic_restored=0.05,
    record_lost_every_s=30.0,
    postgres_out_every_s=90.0,
    postgres_cut_every_s=60.0,
    postgres_standby_every_s=90.0,
    postgres_primary_every_s=120.0,
    witness_down_every_s=60.0,
    witness_answer_lost_every_s=30.0,
    relay_hostile_every_s=60.0,
)
_HEAVY: Final = replace(
    _LIGHT,
    crash_every_s=30.0,
    crash_in_handoff_every_s=10.0,
    crash_in_write_every_s=30.0,
    pause_every_s=22.0,
    partition_every_s=18.0,
    link_cut_every_s=8.0,
    store_cut_every_s=40.0,
    store_out_every_s=60.0,
    store_restored=0.2,
    expunge=0.25,
    store_answer_lost_every_s=6.0,
    client_cut_every_s=4.0,
    client_stall_every_s=8.0,
    disk_full_every_s=45.0,
    disk_slow_every_s=45.0,
    disk_lost=0.3,
    disk_lies=0.2,
    overload_every_s=20.0,
    drift=0.05,
    jump_every_s=30.0,
    again_every_s=1.2,
    late_every_s=2.4,
    lost_every_s=15.0,
    join_every_s=40.0,
    leave_every_s=40.0,
    roll_every_s=150.0,
    operator_every_s=10.0,
    gather_every_s=60.0,
    civic_crash_every_s=20.0,
    civic_pause_every_s=20.0,
    civic_late_every_s=12.0,
    civic_answer_lost_every_s=8.0,
    civic_restored=0.15,
    record_lost_every_s=8.0,
    postgres_out_every_s=30.0,
    postgres_cut_every_s=25.0,
    postgres_standby_every_s=30.0,
    postgres_primary_every_s=40.0,
    witness_down_every_s=20.0,
    witness_answer_lost_every_s=10.0,
    relay_hostile_every_s=20.0,
)
PRESETS: Final = {"none": FaultOptions(), "light": _LIGHT, "heavy": _HEAVY}


# ---- one function for each kind: a fault of it, but for its time and its name

_Dice = random.Random
_Drawn = dict[str, Any]


def _one(dice: _Dice, size: Size) -> tuple[int, ...]:
    return (dice.randrange(size.machines),)


def _crash(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A process ends: `how` at rest, or before the next effect it would do. `by` 1: nothing proves it dead."""
    how = "before its next effect" if dice.random() < 0.5 else "at rest"
    return {"on": _one(dice, size), "how": how, **_down(dice, options)}


def _crash_in_write(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A process ends inside its next write, which is then lost, torn (and so lost), or done without being known."""
    return {"on": _one(dice, size), **_down(dice, options)}


def _crash_in_handoff(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The next handoff message is struck: its sender dies before it leaves, or either side soon after."""
    how = dice.choice(("the sender, before", "the sender", "the receiver", "the receiver"))
    return {"how": how, **_down(dice, options)}


def _down(dice: _Dice, options: FaultOptions) -> _Drawn:
    return {"for_s": dice.uniform(*options.down_s), "by": float(dice.random() < options.unproven)}


def _pause(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A process is stopped, as by SIGSTOP or a closed lid: the clocks run on, what arrives waits."""
    return {"on": _one(dice, size), "for_s": dice.uniform(*options.pause_s)}


def _overload(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine is too busy; `by`: what its ticks would use of their time."""
    return {"on": _one(dice, size), "for_s": dice.uniform(*options.overload_s), "by": options.overload_busy}


def _partition(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """These machines cannot be heard by the others; `how`: one way, or both."""
    on = tuple(sorted(dice.sample(range(size.machines), dice.randrange(1, size.machines))))
    how = "one way" if dice.random() < options.one_way else "both ways"
    return {"on": on, "for_s": dice.uniform(*options.partition_s), "how": how}


def _link_cut(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The link of two machines breaks, and what is on its way is lost."""
    return {"on": tuple(sorted(dice.sample(range(size.machines), 2)))}


def _store_cut(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine cannot reach the store."""
    return {"on": _one(dice, size), "for_s": dice.uniform(*options.store_cut_s)}


def _store_out(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The store is away for everybody."""
    return {"for_s": dice.uniform(*options.store_out_s)}


def _store_restored(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The store is lost; a copy of it, `by` seconds old, takes its place in the operator's way: see ordeal.py."""
    return {"for_s": dice.uniform(*options.store_restored_s), "by": dice.uniform(*options.store_copy_age_s)}


def _nothing_more(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The answer to the store's next request is lost, after the deed."""
    return {}


def _disk_full(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine's writes fail."""
    return {"on": _one(dice, size), "for_s": dice.uniform(*options.disk_full_s)}


def _disk_slow(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine's writes take `by` times as long."""
    return {
        "on": _one(dice, size),
        "for_s": dice.uniform(*options.disk_slow_s),
        "by": options.disk_slow_times,
    }


def _disk_lost(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine's process ends, and its disk is lost with everything on it."""
    return {"on": (dice.randrange(size.nodes),), "for_s": dice.uniform(*options.down_s)}


def _disk_lies(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine loses power, and its disk the last `by` writes, which it had called durable."""
    writes = dice.randint(1, options.disk_lies_writes)
    return {"on": (dice.randrange(size.nodes),), "for_s": dice.uniform(*options.down_s), "by": float(writes)}


def _clock_jump(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """From now on a machine's wall clock is off by `by` ms."""
    return {"on": _one(dice, size), "by": float(dice.randint(-options.jump_ms, options.jump_ms))}


def _drift(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """From now on a machine's clocks run faster by the part `by`."""
    return {"on": _one(dice, size), "by": dice.uniform(-options.drift, options.drift)}


def _client_cut(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A device's connection breaks."""
    return {"on": (dice.randrange(size.devices),)}


def _client_stall(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """Nothing gets to or from a device for a while."""
    return {"on": (dice.randrange(size.devices),), "for_s": dice.uniform(*options.client_stall_s)}


def _late(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The next handoff message arrives `by` seconds later, behind others; or so much later once more."""
    return {"by": dice.uniform(*options.late_s)}


def _join(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A spare machine joins the city without any ground, and leaves it in order after a while."""
    if size.machines == size.nodes:
        return {}
    return {"on": (dice.randrange(size.nodes, size.machines),), "for_s": dice.uniform(*options.stay_s)}


def _leave(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A node is ended in order (SIGTERM): it drains, leaves, and is started again after a while."""
    return {"on": (dice.randrange(size.nodes),), "for_s": dice.uniform(*options.away_s)}


def _roll(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """Each node is restarted in order, the next when the one before is back."""
    return {"on": tuple(range(size.nodes))}


def _operator(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """An operator asks for something; `by` picks the region among those there are then, of 1."""
    how = dice.choice(("move", "move", "split", "split", "merge", "merge", "drain", "pin", "unpin", "cancel"))
    return {
        "on": _one(dice, size),
        "how": how,
        "by": dice.random(),
        "for_s": dice.uniform(*options.drained_s),
    }


def _gather(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """Everybody walks to one point and stays; `by` picks it: column and row of a grid of 1000 by 1000."""
    return {"by": float(dice.randrange(1_000_000)), "for_s": dice.uniform(*options.gather_s)}


def _expunge(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A moderator has a lantern taken down for good; `by` picks it among those that are safe then, of 1."""
    return {"on": (dice.randrange(size.nodes),), "by": dice.random()}


_STREAMS: Final = (
    1_000  # a number is drawn, and the run has fewer streams or witnesses: it is taken modulo theirs
)


def _any(dice: _Dice) -> tuple[int, ...]:
    return (dice.randrange(_STREAMS),)


def _civic_crash(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The holder of a stream dies at a point of its append path, `by` points from now: see civic/ordeal.py."""
    how = dice.choice(("before", "inside", "inside", "after"))
    by = float(dice.randrange(options.civic_crash_points))
    return {"on": _any(dice), "how": how, "by": by, "for_s": dice.uniform(*options.down_s)}


def _civic_pause(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The holder of a stream is stopped at a point of its append path, as it may die there; another takes over."""
    how = dice.choice(("before", "inside", "after"))
    by = float(dice.randrange(options.civic_crash_points))
    return {"on": _any(dice), "how": how, "by": by, "for_s": dice.uniform(*options.civic_pause_s)}


def _civic_late(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The next transaction reaches PostgreSQL `by` seconds later, when nobody may wait for it any more."""
    return {"by": dice.uniform(*options.civic_late_s)}


def _civic_restored(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The store of a stream is lost, and a backup `by` seconds old is put in its place."""
    return {"on": _any(dice), "by": dice.uniform(*options.civic_backup_age_s)}


def _postgres(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """PostgreSQL, or its standby, is away."""
    return {"for_s": dice.uniform(*options.postgres_s)}


def _postgres_cut(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine cannot reach PostgreSQL."""
    return {"on": _one(dice, size), "for_s": dice.uniform(*options.postgres_s)}


def _postgres_primary(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """The standby is promoted, and has none itself for a while; `how`: the old server is killed, or left behind."""
    return {"how": dice.choice(("killed", "left behind")), "for_s": dice.uniform(*options.postgres_s)}


def _witness_down(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A witness is down."""
    return {"on": _any(dice), "for_s": dice.uniform(*options.witness_down_s)}


def _relay_hostile(dice: _Dice, options: FaultOptions, size: Size) -> _Drawn:
    """A machine's node passes nothing on that is filed through it, or alters what it is answered."""
    how = dice.choice(("swallows", "alters"))
    return {"on": _one(dice, size), "how": how, "for_s": dice.uniform(*options.relay_hostile_s)}


class _Kind(NamedTuple):
    every: str  # the field of FaultOptions
    draw: Callable[[_Dice, FaultOptions, Size], _Drawn]
    major: bool = True  # counted as a fault of a node, the network, the store, a disk or a clock


_KINDS: Final = {
    "crash": _Kind("crash_every_s", _crash),
    "crash-in-handoff": _Kind("crash_in_handoff_every_s", _crash_in_handoff),
    "crash-in-write": _Kind("crash_in_write_every_s", _crash_in_write),
    "pause": _Kind("pause_every_s", _pause),
    "overload": _Kind("overload_every_s", _overload),
    "partition": _Kind("partition_every_s", _partition),
    "link-cut": _Kind("link_cut_every_s", _link_cut),
    "store-cut": _Kind("store_cut_every_s", _store_cut),
    "store-out": _Kind("store_out_every_s", _store_out),
    "disk-full": _Kind("disk_full_every_s", _disk_full),
    "disk-slow": _Kind("disk_slow_every_s", _disk_slow),
    "clock-jump": _Kind("jump_every_s", _clock_jump),
    "answer-lost": _Kind("store_answer_lost_every_s", _nothing_more, major=False),
    "client-cut": _Kind("client_cut_every_s", _client_cut, major=False),
    "client-stall": _Kind("client_stall_every_s", _client_stall, major=False),
    "again": _Kind("again_every_s", _late, major=False),
    "late": _Kind("late_every_s", _late, major=False),
    "lost": _Kind("lost_every_s", _nothing_more, major=False),
    "join": _Kind("join_every_s", _join, major=False),
    "leave": _Kind("leave_every_s", _leave, major=False),
    "roll": _Kind("roll_every_s", _roll, major=False),
    "operator": _Kind("operator_every_s", _operator, major=False),
    "gather": _Kind("gather_every_s", _gather, major=False),
    "civic-crash": _Kind("civic_crash_every_s", _civic_crash, major=False),
    "civic-pause": _Kind("civic_pause_every_s", _civic_pause, major=False),
    "civic-late": _Kind("civic_late_every_s", _civic_late, major=False),
    "civic-answer-lost": _Kind("civic_answer_lost_every_s", _nothing_more, major=False),
    "record-lost": _Kind("record_lost_every_s", _nothing_more, major=False),
    "postgres-out": _Kind("postgres_out_every_s", _postgres, major=False),
    "postgres-cut": _Kind("postgres_cut_every_s", _postgres_cut, major=False),
    "postgres-standby": _Kind("postgres_standby_every_s", _postgres, major=False),
    "postgres-primary": _Kind("postgres_primary_every_s", _postgres_primary, major=False),
    "witness-down": _Kind("witness_down_every_s", _witness_down, major=False),
    "witness-answer-lost": _Kind("witness_answer_lost_every_s", _nothing_more, major=False),
    "relay-hostile": _Kind("relay_hostile_every_s", _relay_hostile, major=False),
}
MAJOR: Final = tuple(kind for kind, (_, _, major) in _KINDS.items() if major)
_ONCE: Final = {  # with this probability, one in a run, well inside it
    "disk-lost": ("disk_lost", _disk_lost),
    "disk-lies": ("disk_lies", _disk_lies),
    "store-restored": ("store_restored", _store_restored),
    "expunge": ("expunge", _expunge),
    "civic-restored": ("civic_restored", _civic_restored),
}


def drawn(seed: int, options: FaultOptions, size: Size, until_s: float) -> tuple[Fault, ...]:
    """All faults of a run in the order of their times, none at `until_s` or later."""
    faults: list[Fault] = []
    for kind, (every, draw, _) in _KINDS.items():
        every_s = getattr(options, every)
        dice = random.Random(f"{seed} {kind}")
        at_s = dice.expovariate(1.0 / every_s) if every_s else math.inf
        while at_s < until_s:
            faults.append(Fault(round(at_s, 6), kind, **draw(dice, options, size)))
            at_s += dice.expovariate(1.0 / every_s)
    for kind, (probability, draw) in _ONCE.items():
        dice = random.Random(f"{seed} {kind}")
        if dice.random() < getattr(options, probability):
            apart_s = min(30.0, 0.3 * until_s)  # from either end
            at_s = dice.uniform(apart_s, until_s - apart_s)
            faults.append(Fault(round(at_s, 6), kind, **draw(dice, options, size)))
    if options.drift:
        dice = random.Random(f"{seed} drift")
        for number in range(size.machines):
            faults.append(replace(Fault(0.0, "drift", **_drift(dice, options, size)), on=(number,)))
        jumps = [fault.at_s for fault in faults if fault.kind == "clock-jump"]
        faults += [Fault(at_s, "drift", **_drift(dice, options, size)) for at_s in jumps]
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


# ---- the list as JSON has it

_DEFAULTS: Final = {field.name: field.default for field in fields(Fault)}


def as_plain(fault: Fault) -> dict[str, Any]:
    """A fault as JSON has it, without what it does not need."""
    return {name: value for name, value in asdict(fault).items() if value != _DEFAULTS[name]}


def as_fault(plain: dict[str, Any]) -> Fault:
    """A fault from JSON.

    Raises:
        ValueError: it is none.
    """
    kinds = {*_KINDS, *_ONCE, "drift"}
    if not isinstance(plain, dict) or plain.get("kind") not in kinds or plain.keys() - _DEFAULTS.keys():
        raise ValueError(f"this is no fault: {plain}")
    on = tuple(int(number) for number in plain.get("on", ()))
    for_s, by = float(plain.get("for_s", 0.0)), float(plain.get("by", 0.0))
    return Fault(float(plain.get("at_s", 0.0)), plain["kind"], on, for_s, by, str(plain.get("how", "")))
