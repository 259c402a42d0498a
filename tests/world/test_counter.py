"""The counter: numbers rise, nobody has two, each is called once, and all goes along when the ground changes hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.crdt import HybridClock, ObjectCell
from p2pworld.errors import Refusal
from p2pworld.geometry import Cell, from_5179
from p2pworld.ids import Incarnation
from p2pworld.messages import Act, Done, Objects, Pose
from p2pworld.world.acts import Asked, Performed, perform, reconcile, replica_of, view
from p2pworld.world.counter import TICKETS_MAX
from tests.world.cores import Cores, Player
from tests.world.test_places import OFFICE, YARD, faults, table
from tests.world.test_roles import NOW_MS, ROOTS, official

if TYPE_CHECKING:
    from p2pworld.grants import Grant
    from p2pworld.messages import WorldObject

PLACE = Cell.at(3_379_021, 3_230_755, 9)
DAY_MS = 86_400_000
CLERK, OTHER_CLERK = 90, 91


class Holder:
    """Whoever holds the counter's ground, as the number-th."""

    def __init__(self, number: int = 1, state: ObjectCell | None = None, now_ms: int = NOW_MS) -> None:
        self.replica = replica_of(Incarnation(bytes([number]) * 32, 1), PLACE, number)
        self.clock = HybridClock(self.replica)
        self.state, self.now_ms, self.acts = state or ObjectCell(), now_ms, 100 * number
        reconcile(self.state, self.replica, self.clock, now_ms)  # as whoever begins to hold does

    def act(self, avatar: int, verb: str, n: int | None = None, target: bytes = b"") -> Performed | Refusal:
        self.acts += n is None
        asked = Asked(
            avatar, 5, Act(self.acts if n is None else n, verb, target=target), Pose(*PLACE.centre_cm)
        )
        return perform(PLACE, self.state, asked, 0, self.replica, self.clock, self.now_ms)

    def draw(self, avatar: int, n: int | None = None) -> WorldObject:
        """The ticket that this avatar has then."""
        return self._shown(self.act(avatar, "draw", n))

    def call(self, avatar: int = CLERK, n: int | None = None, target: bytes = b"") -> WorldObject:
        """The ticket that is called."""
        return self._shown(self.act(avatar, "call", n, target))

    def _shown(self, done: Performed | Refusal) -> WorldObject:
        assert isinstance(done, Performed), done
        shown = view(PLACE, done.object_id, self.state.get(done.object_id))
        assert shown is not None
        return shown


def test_numbers_rise_and_are_called_in_their_order() -> None:
    holder = Holder()
    assert [holder.draw(avatar).count for avatar in (1, 2, 3)] == [1, 2, 3]
    called = [holder.call(), holder.call(OTHER_CLERK)]
    assert [(one.count, one.by, one.text) for one in called] == [(1, 1, "90"), (2, 2, "91")]
    assert holder.draw(1).count == 4, "who was called may draw again"
    assert [holder.call().count for _ in range(2)] == [3, 4]
    done = holder.act(CLERK, "call")
    assert isinstance(done, Refusal)
    assert done.reason == "nobody"


def test_a_double_click_draws_one_number_and_calls_one() -> None:
    holder = Holder()
    first = holder.draw(1)
    assert holder.draw(1) == first
    holder.draw(2)
    assert holder.call(n=7).count == 1
    assert holder.call(n=7).count == 1, "the same act, asked for again"
    assert holder.call(n=8).count == 2


def test_a_number_is_called_again_by_its_ticket() -> None:
    holder = Holder()
    first, second = holder.draw(1), holder.draw(2)
    holder.call()
    again = holder.call(OTHER_CLERK, target=first.id)
    assert (again.id, again.text) == (first.id, str(OTHER_CLERK))
    assert holder.call(target=second.id).count == 2, "and one is called before its turn, if somebody says so"
    done = holder.act(CLERK, "call", target=b"\x01" * 16)
    assert isinstance(done, Refusal)
    assert done.reason == "nobody"


def test_the_next_holder_goes_on_where_the_last_one_was() -> None:
    holder = Holder()
    ticket = holder.draw(1, n=4)
    holder.draw(2)
    holder.call(n=9)
    after = Holder(2, ObjectCell.from_bytes(holder.state.to_bytes()))
    assert after.draw(2).count == 2, "the number is still theirs"
    assert after.call(n=9).id == ticket.id, "a retry calls nobody else"
    assert after.draw(3).count == 3
    assert after.call().count == 2


def test_each_day_begins_at_one_and_yesterday_is_gone() -> None:
    holder = Holder()
    for avatar in range(1, 6):
        holder.draw(avatar)
    holder.now_ms += DAY_MS
    done = holder.act(CLERK, "call")
    assert isinstance(done, Refusal), "nobody who drew yesterday is called"
    assert holder.draw(1).count == 1
    assert len(holder.state) == 1


def test_a_day_has_its_last_number() -> None:
    holder = Holder()
    for avatar in range(1, TICKETS_MAX + 1):
        holder.draw(avatar)
    done = holder.act(TICKETS_MAX + 1, "draw")
    assert isinstance(done, Refusal)
    assert done.reason == "full"
    holder.now_ms += DAY_MS
    assert holder.draw(TICKETS_MAX + 1).count == 1


def test_two_who_did_not_know_of_each_other_may_give_one_number_and_both_are_called() -> None:
    one, other = Holder(1), Holder(2)
    one.draw(1)
    other.draw(2)
    one.state.merge_in(other.state)
    called = [one.call() for _ in range(2)]
    assert [ticket.count for ticket in called] == [1, 1]
    assert {ticket.by for ticket in called} == {1, 2}


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["draw 1", "draw 2", "draw 3", "call", "handoff"]), max_size=30))
def test_a_counter_is_a_queue(steps: list[str]) -> None:
    """Against the obvious twin: a list of who waits, and a count."""
    holder, waiting, given_out, hands = Holder(), list[tuple[int, int]](), 0, 1
    for step in steps:
        verb, _, who = step.partition(" ")
        if verb == "handoff":
            hands += 1
            holder = Holder(hands, ObjectCell.from_bytes(holder.state.to_bytes()))
        elif verb == "draw":
            if int(who) not in [avatar for _, avatar in waiting]:
                given_out += 1
                waiting.append((given_out, int(who)))
            assert (holder.draw(int(who)).count, int(who)) in waiting
        elif waiting:
            called = holder.call()
            assert (called.count, called.by) == waiting.pop(0)
        else:
            assert isinstance(holder.act(CLERK, "call"), Refusal)


# ---- in whole nodes

COUNTER = '[[features]]\nkind = "counter"\npoints = [[3, 0]]\naccess = ["role:official"]\n[[portals]]'
DESK = YARD.replace("[[portals]]", COUNTER, 1)
PLACES = table(DESK, OFFICE)
AT = from_5179(953803, 1953000)


@pytest.fixture
def city() -> Cores:
    """The first node holds Seoul, the second the rooms, the third 8 m around the counter."""
    rooms = Cell(1).children()[0]
    return Cores([[], [rooms], [Cell.at(*AT, 13)]], 0, NOW_MS, places=PLACES, roots=ROOTS)


def metres(east_m: float, north_m: float) -> Pose:
    return Pose(*from_5179(953800 + east_m, 1953000 + north_m))


def answer(player: Player, act: Act) -> Done:
    player.say(act)
    player.city.tick(3)
    done: Done = player.of(Done)[-1]
    return done


def tickets(player: Player) -> dict[int, str]:
    """Numbers that a player was told of, and who called each as it was told last."""
    told = [one for message in player.of(Objects) for one in message.objects]
    return {one.count: one.text for one in told if one.kind == "ticket"}


def test_a_number_is_drawn_and_called_on_another_node_s_ground_and_everybody_there_sees_it(
    city: Cores,
) -> None:
    kim = city.player(1, metres(-10, -12))
    clerk = city.player(2, Pose(*Cell.at(*AT, 13).centre_cm), house=2, grants=official(2))
    assert answer(kim, Act(1, "draw")).durable
    assert tickets(clerk) == {1: ""}
    assert answer(clerk, Act(1, "call")).durable
    assert tickets(clerk) == {1: str(clerk.avatar)}
    assert answer(clerk, Act(2, "call")).reason == "nobody"


@pytest.mark.parametrize(
    "grants", [(), official(2, scope=("places:deoksugung",)), official(2, role="moderator")]
)
def test_only_who_works_there_calls(city: Cores, grants: tuple[Grant, ...]) -> None:
    kim = city.player(1, metres(-10, -12))
    lee = city.player(2, metres(-10, -10), grants=grants)
    assert answer(kim, Act(1, "draw")).durable
    assert answer(lee, Act(1, "call")).reason == "not_yours"


def test_there_are_no_numbers_where_there_is_no_counter(city: Cores) -> None:
    kim = city.player(1, metres(500, 500), grants=official(1, scope=("cells:*",)))
    assert answer(kim, Act(1, "draw")).reason == "no_counter"
    assert answer(kim, Act(2, "call")).reason == "no_counter"


def test_a_counter_says_who_calls_there_and_a_tree_does_not() -> None:
    counter = PLACES.by_id["yard"].feature("counter")
    assert counter is not None
    assert counter.access == ("role:official",)
    broken = YARD.replace("[[portals]]", COUNTER.replace('"counter"', '"tree"'), 1)
    assert "calls at a counter" in faults(broken, OFFICE)[0]
