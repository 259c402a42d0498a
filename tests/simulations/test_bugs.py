"""Ten bugs and a few more, each put into the real code: the simulator must find every one of them within a few seeds.

A bug is a change of one table, one guard or one line. The same seeds under the same faults, without the bug, are clean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from p2pworld import drive, membership
from p2pworld.core import Node
from p2pworld.messages import CellStored, ToPeer
from p2pworld.world import handoff, people
from p2pworld.world.handoff import ROW, SEAT, Act, Guard, RowAt, RowOn, Rule, SeatAt, SeatOn, Tables, person
from p2pworld.world.object_holder import Holder
from p2pworld.world.object_keeper import Keeper
from p2pworld.world.ownership import Ownership, Renewed
from p2pworld.world.people import People
from simulations.cluster import City, CityOptions
from simulations.faults import PRESETS, FaultOptions
from simulations.store import Store, StoreOptions
from simulations.workload import WalkOptions

if TYPE_CHECKING:
    from p2pworld.drive import Effect
    from p2pworld.messages import Instant, Ready
    from p2pworld.world.acts import Asked
    from p2pworld.world.ownership import Propose, Proposed

Patch = pytest.MonkeyPatch


# ---- faults that bring a kind of bug to light, and cities that suffer them

CITY = CityOptions(
    people=10, second_devices=5, walk=WalkOptions(hang_per_s=0.1, ring_per_s=0.1, switch_per_s=0.05)
)
CALM = PRESETS["none"]
LEASES = FaultOptions(
    pause_every_s=6.0, pause_s=(3.5, 7.0), store_cut_every_s=6.0, store_cut_s=(3.5, 7.0), drift=0.05
)
SLEEPS = FaultOptions(pause_every_s=4.0, pause_s=(4.0, 8.0))
NAPS = FaultOptions(pause_every_s=2.5, pause_s=(3.2, 4.6))
CRASHES = FaultOptions(crash_every_s=20.0, crash_in_handoff_every_s=2.0, again_every_s=0.5, late_every_s=0.5)
DISKS = FaultOptions(disk_slow_every_s=3.0, disk_full_every_s=6.0, crash_every_s=15.0)
DEAF = FaultOptions(client_stall_every_s=1.5, client_stall_s=(2.0, 4.0), client_cut_every_s=3.0)
RESTLESS = replace(
    CITY, nodes=2, spares=0, second_devices=10, walk=WalkOptions(switch_per_s=0.2)
)  # who changes devices all the time
SLOW_STORE = replace(CITY, store=StoreOptions(delay_s=0.05, jitter_s=0.25))


# ---- the bugs


def send_before_persist(patch: Patch) -> None:
    """What waits for a write leaves before it."""
    true_order = drive.effects

    def effects(ready: Ready) -> tuple[Effect, ...]:
        return true_order(replace(ready, sends=(*ready.sends, *ready.held), held=()))

    patch.setattr(drive, "effects", effects)


def standby_answers_before_its_write(patch: Patch) -> None:
    """A standby says that it has stored what it has only read."""
    heard = Keeper.heard

    def hasty(self: Keeper, record: Any, peer: Any, message: Any, told: Any, out: Any) -> None:
        heard(self, record, peer, message, told, out)
        out.sends.append(ToPeer(peer, CellStored(message.cell, message.epoch, message.n)))

    patch.setattr(Keeper, "heard", hasty)


def _with_row(patch: Patch, at: RowAt, on: RowOn, change: Callable[[Rule], Rule]) -> None:
    row = {**ROW, (at, on): tuple(change(rule) for rule in ROW[at, on])}
    patch.setattr(people, "step", partial(handoff.step, tables=Tables(row, SEAT)))


def _with_seat(patch: Patch, at: SeatAt, on: SeatOn, change: Callable[[Rule], Rule]) -> None:
    seat = {**SEAT, (at, on): tuple(change(rule) for rule in SEAT[at, on])}
    patch.setattr(people, "step", partial(handoff.step, tables=Tables(ROW, seat)))


def no_hop_on_commit(patch: Patch) -> None:
    """A commit carries the hop that the source had."""

    def change(rule: Rule) -> Rule:
        return replace(rule, acts=tuple(act for act in rule.acts if act is not Act.HOP))

    _with_row(patch, RowAt.INVITED, RowOn.ATTACHED, change)


def forget_the_release(patch: Patch) -> None:
    """The source goes on owning what it has given away."""

    def change(rule: Rule) -> Rule:
        return replace(rule, to=RowAt.OWNED) if Act.COMMIT in rule.acts else rule

    _with_row(patch, RowAt.INVITED, RowOn.ATTACHED, change)


def take_a_login_that_is_not_larger(patch: Patch) -> None:
    """A HELLO is let in whatever login is known already."""
    holds = person._Step._holds

    def lax(self: Any, guard: Guard, k: int, r: bytes, peer: Any) -> bool:
        return guard is Guard.NEWER or holds(self, guard, k, r, peer)

    patch.setattr(person._Step, "_holds", lax)


def acknowledge_without_a_seat(patch: Patch) -> None:
    """A commit that nobody waits for is answered as if it were taken."""

    def change(rule: Rule) -> Rule:
        return replace(rule, guards=rule.guards - {Guard.KNOWN})

    _with_seat(patch, SeatAt.EMPTY, SeatOn.COMMIT, change)


def own_after_restart(patch: Patch) -> None:
    """A new process goes on owning whom the one before owned at its last tick."""
    kept: dict[bytes, dict[int, Any]] = {}
    tick, begin = Node.tick, People.begin

    def remember(self: Node, now: Instant, busy: float) -> None:
        tick(self, now, busy)
        if self.who.number:
            kept[self.who.node] = dict(self.parts.people.persons())

    def resurrect(self: People, me: Any, fits: Any) -> None:
        begin(self, me, fits)
        self._persons.update(kept.get(me.node, {}))

    patch.setattr(Node, "tick", remember)
    patch.setattr(People, "begin", resurrect)


def ignore_the_map_version(patch: Patch) -> None:
    """The store takes a map that was made from an older one than it has."""
    propose = Store._propose

    def lax(self: Store, request: Propose) -> Proposed:
        return propose(self, replace(request, expected_version=self.map.version))

    patch.setattr(Store, "_propose", lax)


def judge_a_lease_too_early(patch: Patch) -> None:
    """A lease is judged dead within its own time to live."""
    patch.setattr(membership, "DEAD_AFTER_TTL", 0.4)


def take_over_without_comparing(patch: Patch) -> None:
    """A takeover ends the victim's lease although it was renewed since it was judged."""
    propose = Store._propose

    def lax(self: Store, request: Propose) -> Proposed:
        victim = request.victim
        if victim is not None and victim[0] in self._leases:
            request = replace(request, victim=(victim[0], self._leases[victim[0]].counter))
        return propose(self, request)

    patch.setattr(Store, "_propose", lax)
    patch.setattr(membership, "_BLIND_TTL", 100.0)  # nor does a blind observer begin anew


def count_the_lease_from_the_answer(patch: Patch) -> None:
    """A renewal's time to live begins when its answer is read."""
    step = Ownership.step

    def late(self: Ownership, answer: Any, now: Instant) -> None:
        if isinstance(answer, Renewed) and self._renewal is not None:
            token, renewal = self._renewal
            self._renewal = token, replace(renewal, sent_s=now.boot_s)
            self._lease._in_flight = self._renewal[1]
        step(self, answer, now)

    patch.setattr(Ownership, "step", late)


def act_without_a_lease(patch: Patch) -> None:
    """Nobody looks whether the lease has run out."""
    patch.setattr(Ownership, "lapsed", lambda self, now: False)
    patch.setattr(drive, "may_leave", lambda send, deadline_s, boot_s: True)


def do_a_retry_again(patch: Patch) -> None:
    """An act asked for again is another act."""
    made = count(1)
    act = Holder.act

    def again(self: Holder, conn: int, asked: Asked, *rest: Any) -> None:
        message = replace(asked.message, name=next(made).to_bytes(16, "big"))
        act(self, conn, replace(asked, message=message), *rest)

    patch.setattr(Holder, "act", again)


@dataclass(frozen=True)
class Bug:
    """A bug, where it hurts, and which rule names it."""

    put_in: Callable[[Patch], None]
    faults: FaultOptions
    rules: frozenset[str]
    options: CityOptions = CITY
    minutes: float = 1.2


BUGS = [
    Bug(send_before_persist, DISKS, frozenset({"durable"})),
    Bug(standby_answers_before_its_write, DISKS, frozenset({"durable"})),
    Bug(no_hop_on_commit, CALM, frozenset({"hop"})),
    Bug(forget_the_release, CALM, frozenset({"owner"})),
    Bug(take_a_login_that_is_not_larger, DEAF, frozenset({"older"}), RESTLESS),
    Bug(acknowledge_without_a_seat, CRASHES, frozenset({"ack"})),
    Bug(own_after_restart, CRASHES, frozenset({"owner", "hop"})),
    Bug(ignore_the_map_version, CALM, frozenset({"map", "ground"})),
    Bug(judge_a_lease_too_early, LEASES, frozenset({"ground"})),
    Bug(take_over_without_comparing, NAPS, frozenset({"ground"}), SLOW_STORE),
    Bug(count_the_lease_from_the_answer, SLEEPS, frozenset({"ground"}), SLOW_STORE),
    Bug(act_without_a_lease, LEASES, frozenset({"lapsed", "seat"})),
    Bug(do_a_retry_again, DEAF, frozenset({"object", "answer"})),
]
SEEDS = range(1, 13)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.put_in.__name__)
def test_a_bug_is_found(bug: Bug, monkeypatch: Patch) -> None:
    bug.put_in(monkeypatch)
    for seed in SEEDS:
        outcome = City(seed, bug.minutes, bug.faults, bug.options).run(to_first=True)
        if outcome.violations:
            assert outcome.violations[0].rule in bug.rules, outcome.violations[0]
            assert outcome.violations[0].story
            return
    pytest.fail(f"not found in {len(SEEDS)} seeds: {bug.put_in.__doc__}")
