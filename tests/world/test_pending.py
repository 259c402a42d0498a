"""Lanterns hung on the far side of a partition: kept, shown as pending, and there for everybody after healing, once."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.drive import Persist, effects
from p2pworld.geometry import Cell
from p2pworld.limits import KEPT_MAX, KEPT_MS, KEPT_PER_AVATAR, KEPT_WAIT_S
from p2pworld.messages import (
    Act,
    ActFor,
    Done,
    Instant,
    Objects,
    Pose,
    Ready,
    SaveRecord,
    SaveState,
    WorldObject,
    WriteFailed,
    Wrote,
)
from p2pworld.world import pending as pending_module
from p2pworld.world.outbox import Outbox
from p2pworld.world.pending import Pending
from tests.world.cores import Cores, Player
from tests.world.test_moderation import ROOT, order, records
from tests.world.test_places_nodes import NOON, PLACES, metres

if TYPE_CHECKING:
    from p2pworld.messages import Write
    from tests.world.cores import House

HERE = metres(400, 400)
GROUND = Cell.at(HERE.east_cm, HERE.north_cm, 12)  # 16 m, the second node's; the rest is the first's
MIDDLE = Pose(*GROUND.centre_cm)
BESIDE = Pose(MIDDLE.east_cm - 1_200, MIDDLE.north_cm)


@pytest.fixture
def cores() -> Cores:
    return Cores([[], [GROUND]], 0, int(NOON.timestamp() - 3_600) * 1000, places=PLACES,
                 roots=frozenset({ROOT.public}))  # fmt: skip


def hang(n: int, text: str = "a wish", at: Pose = MIDDLE, verb: str = "hang", keep: bool = True) -> Act:
    """An act that may be kept, named and placed as a client does it."""
    name = b"%016d" % n
    return Act(n, verb, text, name=name, east_cm=at.east_cm, north_cm=at.north_cm, keep=keep)


def done(player: Player) -> tuple[int, str, str]:
    """The last answer: n, durable, reason."""
    last: Done = player.of(Done)[-1]
    return last.n, last.durable, last.reason


def is_safe(player: Player) -> bool:
    """Whether its act 1 was last said to be durable, on one disk or two."""
    n, durable, _ = done(player)
    return n == 1 and durable in ("disk", "standby")


def hung(house: House) -> list[str]:
    """The wishes that hang durably, as this node holds or shows them to who comes."""
    node = house.node
    shown = [node.parts.objects.shown(cell) or {} for cell in node.city_map.cells_of(node.who)]
    return sorted(one.text for cell in shown for one in cell.values() if one.kind in ("lantern", "note"))


def seen(player: Player) -> dict[str, bool]:
    """The lanterns a client shows now, and which are pending."""
    known: dict[bytes, WorldObject] = {}
    for message in player.of(Objects):
        if message.whole:
            known.clear()
        known.update({one.id: one for one in message.objects})
        for gone in message.gone:
            known.pop(gone, None)
    return {one.text: one.pending for one in known.values() if one.kind == "lantern"}


def kept(house: House) -> int:
    """How many acts are kept on this node's disk."""
    return sum(kind == "pending" for kind, _ in records(house.disk))


# ---- the holder out of reach


def test_what_is_hung_on_the_far_side_is_kept_and_done_after_healing(cores: Cores) -> None:
    kim, lee = cores.player(1, BESIDE), cores.player(2, MIDDLE, house=1)
    cores.link({1: True})
    kim.say(hang(1, "from afar"))
    cores.tick()
    assert done(kim) == (1, "pending", "")
    assert kept(cores.houses[0]) == 1
    lee.say(hang(1, "from here"))
    cores.tick()
    assert hung(cores.houses[1]) == ["from here"]
    assert is_safe(lee)
    cores.tick(30)
    assert done(kim) == (1, "pending", "")
    before_ms = cores.now.wall_ms
    cores.link()
    cores.tick(30)
    assert hung(cores.houses[1]) == ["from afar", "from here"]
    assert is_safe(kim)
    assert seen(lee) == {"from afar": False, "from here": False}
    assert kept(cores.houses[0]) == 0
    node = cores.houses[1].node
    (lantern,) = [one for one in (node.parts.objects.shown(GROUND) or {}).values() if one.text == "from afar"]
    assert before_ms - 4_000 < lantern.at_ms < before_ms - 2_900  # when it was hung, not when it came
    assert cores.houses[0].node.all_counters()["pending-safe"] == 1


def test_without_the_clients_leave_it_is_refused_as_ever_and_so_is_a_bell(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    kim.say(hang(1, keep=False))
    assert done(kim) == (1, "", "moved")
    kim.say(hang(2, "", verb="ring"))
    assert done(kim) == (2, "", "moved")
    kim.say(hang(3, "noon", verb="start"))
    assert done(kim)[1] != "pending"
    assert kept(cores.houses[0]) == 0


def test_a_lantern_that_both_sides_were_asked_for_hangs_once(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    act = hang(1, "one wish")
    for _ in range(3):  # its client asks again
        kim.say(act)
    cores.tick()
    assert [answer.durable for answer in kim.of(Done)] == ["pending"] * 3
    assert kept(cores.houses[0]) == 1
    kim.lose()
    kim.pose = MIDDLE
    kim.come(cores.houses[1])  # it goes to the other side, and asks there
    cores.tick()
    kim.say(act)
    cores.tick()
    assert is_safe(kim)
    cores.link()
    cores.tick(40)
    assert hung(cores.houses[1]) == ["one wish"]
    assert kept(cores.houses[0]) == 0


def test_those_near_see_it_as_pending_then_as_it_is(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    for _ in range(24):  # it walks onto ground whose node cannot be reached
        kim.pose = replace(kim.pose, east_cm=kim.pose.east_cm + 50)
        cores.tick()
    assert kim.pose.east_cm == MIDDLE.east_cm
    assert cores.owners(kim) == [0]
    kim.say(hang(1, "far out"))
    cores.tick()
    assert seen(kim) == {"far out": True}
    cores.tick(5)
    cores.link()
    kim.attaches = False  # it stays with its first node a while
    cores.tick(25)
    assert seen(kim) == {"far out": False}


# ---- no lease


def test_a_node_without_a_lease_keeps_what_is_hung_on_its_own_ground(cores: Cores) -> None:
    kim, lee = cores.player(1, BESIDE), cores.player(3, BESIDE)
    cores.unreachable.add(0)
    cores.tick(35)
    assert cores.houses[0].node.lapsed
    kim.say(hang(1, "in the dark", BESIDE))
    kim.say(hang(2, "", BESIDE, "ring"))
    cores.tick()
    assert [(one.n, one.durable, one.reason) for one in kim.of(Done)] == [
        (1, "pending", ""),
        (2, "", "lapsed"),
    ]
    assert seen(lee) == {"in the dark": True}
    assert hung(cores.houses[0]) == []
    late = cores.players[-1]
    cores.unreachable.clear()
    cores.tick(15)
    assert not cores.houses[0].node.lapsed
    assert is_safe(kim)
    assert hung(cores.houses[0]) == ["in the dark"]
    assert seen(late) == {"in the dark": False}
    assert kept(cores.houses[0]) == 0


def test_a_holder_without_a_lease_is_as_good_as_none(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.unreachable.add(1)
    cores.tick(35)
    kim.say(hang(1))
    cores.tick()
    assert done(kim) == (1, "pending", "")
    cores.unreachable.clear()
    cores.tick(40)
    assert is_safe(kim)
    assert hung(cores.houses[1]) == ["a wish"]


# ---- what is kept survives


def test_it_outlives_the_process_that_kept_it(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    kim.say(hang(1, "before the crash"))
    kim.say(hang(2, "notice", verb="note"))
    cores.tick()
    house = cores.houses[0]
    cores.link({0: True})
    house.sockets.clear()
    kim.at = None
    house.start(cores.now, records=tuple(records(house.disk).values()))
    cores.tick(5)
    assert len(house.node.parts.pending) == 2
    cores.link()
    cores.tick(40)
    assert hung(cores.houses[1]) == ["before the crash", "notice"]
    assert kept(house) == 0


def test_what_went_wrong_on_the_way_is_asked_for_again(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    kim.say(hang(1))
    cores.tick()
    cores.houses[1].disk_broken = True
    cores.link()
    cores.tick(30)
    assert done(kim) == (1, "pending", "")
    cores.houses[1].disk_broken = False
    cores.tick(60)
    assert is_safe(kim)
    assert hung(cores.houses[1]) == ["a wish"]


def test_the_one_who_moved_on_is_not_answered_and_it_is_done_all_the_same(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    kim.say(hang(1))
    cores.tick()
    kim.lose()
    other = cores.player(5, BESIDE)
    cores.link()
    cores.tick(30)
    assert other.of(Done) == []
    assert hung(cores.houses[1]) == ["a wish"]


# ---- expunging beats it


def test_what_is_expunged_while_it_is_kept_never_hangs(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    kim.say(hang(1, "rude"))
    cores.tick()
    lantern: bytes = kim.of(Done)[-1].id
    order(cores, "expunge", lantern, house=1)  # on the other side
    cores.link()
    cores.tick(60)
    assert done(kim) == (1, "", "expunged")
    assert hung(cores.houses[1]) == []
    assert kept(cores.houses[0]) == 0
    kim.say(hang(1, "rude"))
    cores.tick()
    assert done(kim) == (1, "", "expunged")


def test_what_the_holder_was_told_to_expunge_is_refused_there_too(cores: Cores) -> None:
    kim = cores.player(1, BESIDE)
    cores.link({1: True})
    kim.say(hang(1, "rude"))
    cores.tick()
    act_for = next(iter(cores.houses[0].node.parts.pending._kept.values())).act
    order(cores, "expunge", kim.of(Done)[-1].id, house=1)
    node = cores.houses[1].node
    node._acting.passed_on(cores.houses[0].who, act_for, cores.now)
    cores.tick(2)
    assert node.all_counters()["act-expunged"] == 1
    assert hung(cores.houses[1]) == []


# ---- the machine alone


def kept_act(n: int, avatar: int = 9, at_ms: int = 1_000) -> ActFor:
    return ActFor(avatar, 5, bytes(16), hang(n), MIDDLE, at_ms=at_ms)


def machine() -> tuple[Pending, Outbox]:
    out = Outbox()
    return Pending(out, ()), out


def test_one_person_and_all_together_keep_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    pending, _ = machine()
    for n in range(KEPT_PER_AVATAR):
        assert pending.keep(1, kept_act(n)) is None
    refusal = pending.keep(1, kept_act(99))
    assert refusal is not None
    assert refusal.reason == "pending_full"
    assert "of yours" in refusal.sentence
    assert pending.keep(1, kept_act(3)) is None  # it is kept already
    assert KEPT_MAX >= 2 * KEPT_PER_AVATAR
    monkeypatch.setattr(pending_module, "KEPT_MAX", KEPT_PER_AVATAR + 1)
    assert pending.keep(1, kept_act(1, avatar=10)) is None
    refusal = pending.keep(1, kept_act(1, avatar=11))
    assert refusal is not None
    assert refusal.reason == "pending_full"
    assert len(pending) == KEPT_PER_AVATAR + 1


def test_what_cannot_be_put_up_anywhere_is_not_kept() -> None:
    pending, out = machine()
    for act in (hang(1, "two\nlines"), hang(1, "", verb="note")):
        refusal = pending.keep(1, replace(kept_act(1), act=act))
        assert refusal is not None
        assert refusal.reason == "text"
    assert out.writes == []


def test_a_disk_that_refuses_keeps_nothing_and_one_that_the_lease_held_up_is_asked_again() -> None:
    pending, out = machine()
    pending.keep(7, kept_act(1))
    pending.leaving(1)
    pending.advance(WriteFailed(1, "lapsed"))
    assert len(out.writes) == 2
    pending.leaving(2)
    pending.advance(WriteFailed(2, "full"))
    (refused,) = out.sends
    assert (refused.conn, refused.message.reason) == (7, "disk")  # type: ignore[union-attr]
    assert len(pending) == 0
    assert pending.due(Instant(1.0, 2_000)) == []


def test_an_unanswered_question_is_asked_again_and_what_is_too_old_is_given_up() -> None:
    pending, out = machine()
    pending.keep(7, kept_act(1, at_ms=50_000))
    pending.leaving(1)
    assert pending.due(Instant(1.0, 60_000)) == []  # it is not on the disk yet
    pending.advance(Wrote(1))
    (one,) = pending.due(Instant(1.0, 60_000))
    pending.was_asked(one, None, Instant(1.0, 60_000))
    assert pending.due(Instant(1.0 + KEPT_WAIT_S / 2, 60_000)) == []
    assert pending.due(Instant(1.0 + KEPT_WAIT_S, 60_000)) == [one]
    assert pending.due(Instant(60.0, 50_001 + KEPT_MS)) == []
    assert len(pending) == 0
    assert out.writes[-1] == SaveRecord("pending", one.key, b"")
    assert pending.take_news()[-1] == (one.shown(True), False)


def test_a_record_that_is_none_of_ours_is_not_taken_for_one() -> None:
    pending, out = machine()
    pending.keep(7, kept_act(1))
    (written,) = out.writes
    assert isinstance(written, SaveRecord)
    saved = [
        written,
        replace(written, id=bytes(16)),
        replace(written, data=b"\xc1"),
        replace(written, kind="report"),
    ]
    again = Pending(Outbox(), saved)
    assert len(again) == 1
    assert again.counters["pending-recovered"] == 1


def test_a_record_is_written_also_without_the_lease_that_a_cell_needs() -> None:
    record, cell = SaveRecord("pending", bytes(16), b"x"), SaveState(GROUND, 1, 1, b"")
    assert [one.lease_deadline_s for one in persists(record)] == [math.inf]
    assert [one.lease_deadline_s for one in persists(record, cell)] == [5.0]
    assert [one.then.lease_deadline_s for one in persists(record)] == [5.0]


def persists(*writes: Write) -> list[Persist]:
    """What is asked of the disk for these writes."""
    ready = Ready(1, writes=writes, lease_deadline_s=5.0)
    return [effect for effect in effects(ready) if isinstance(effect, Persist)]


# ---- anything at any time


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["far", "near"]), st.integers(1, 6)),
        st.tuples(st.sampled_from(["cut", "join", "lapse", "renew", "restart", "pass"])),
    ),
    max_size=14,
)


@settings(max_examples=10)  # whole nodes, 0.3 s each
@given(STEPS)
def test_whatever_happens_between_all_that_was_hung_on_either_side_is_there_once(
    steps: list[tuple[object, ...]],
) -> None:
    cores = Cores([[], [GROUND]], 0, int(NOON.timestamp() - 3_600) * 1000, places=PLACES)
    kim, lee = cores.player(1, BESIDE), cores.player(2, MIDDLE, house=1)
    promised: set[str] = set()
    for step in steps:
        match step:
            case ("far", int(n)) if kim.at is not None:
                kim.say(hang(n, f"far {n}"))
            case ("near", int(n)):
                lee.say(hang(n, f"near {n}"))
            case ("cut",):
                cores.link({1: True})
            case ("join",):
                cores.link()
            case ("lapse",):
                cores.unreachable.add(0)
                cores.tick(31)
            case ("renew",):
                cores.unreachable.clear()
            case ("restart",) if not cores.unreachable:
                house = cores.houses[0]
                cores.link({0: True})
                house.sockets.clear()
                kim.at = None
                house.start(cores.now, records=tuple(records(house.disk).values()))
        cores.tick(3)
        for player, side in ((kim, "far"), (lee, "near")):
            promised |= {f"{side} {answer.n}" for answer in player.of(Done) if answer.durable}
    cores.unreachable.clear()
    cores.tick(10)
    cores.link()
    cores.tick(60)
    assert promised <= set(hung(cores.houses[1]))
    assert len(hung(cores.houses[1])) == len(set(hung(cores.houses[1])))
    assert kept(cores.houses[0]) == 0
