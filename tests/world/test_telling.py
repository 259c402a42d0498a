"""What everybody in a place is told: once each, on every node the place is on, whoever plays it, also on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.limits import TICK_MS
from p2pworld.messages import Act, Instant, Notice, Pose, ToClient, Told, ToPeer
from p2pworld.world.citymap import CityMap, Holding
from p2pworld.world.crowd import MINE, Crowd
from p2pworld.world.outbox import Outbox
from p2pworld.world.places import bell_of
from p2pworld.world.telling import TOLD_KEPT_S, TOLD_NAMES_MAX, Tellings
from tests.world.cores import Cores, Player
from tests.world.crowds import LOGIN
from tests.world.test_places import BELL, OFFICE, YARD, table
from tests.world.test_places_nodes import NOON, codes, metres

if TYPE_CHECKING:
    from p2pworld.world.places import Places

WORDS = (
    BELL
    + """
[[timeline]]
at = 5
do = "tell"
text = { ko = "다섯", en = "five" }
"""
)
PLACES = table(YARD, OFFICE, programmes=(WORDS,))
_FOUND = bell_of(PLACES.by_id["yard"])
assert _FOUND is not None
BELL_GROUND = Cell.at(*_FOUND[1], 13)
FAR = metres(400, 400)


def city(seconds_after_noon: float = -3_600) -> Cores:
    """The second node holds 8 m around the yard's bell and plays the programme; the first holds the rest."""
    wall_ms = int((NOON.timestamp() + seconds_after_noon) * 1000)
    return Cores([[], [BELL_GROUND], []], 0, wall_ms, places=PLACES)


def at_bell(cores: Cores, number: int) -> Player:
    return cores.player(number, Pose(*BELL_GROUND.centre_cm), house=1)


def words(player: Player) -> list[str]:
    return [notice.sentence for notice in player.of(Notice) if notice.code == "programme"]


def test_everybody_in_a_place_is_told_once_whichever_node_they_are_on() -> None:
    cores = city(seconds_after_noon=-1)
    here, there, outside = at_bell(cores, 1), cores.player(2, metres(-12, -12)), cores.player(3, FAR)
    assert (cores.owners(here), cores.owners(there), cores.owners(outside)) == ([1], [0], [0])
    cores.tick(120)
    assert (words(here), words(there), words(outside)) == (["다섯 · five"], ["다섯 · five"], [])


def test_a_rehearsal_is_told_on_every_node_of_the_place() -> None:
    cores = city()
    here, there, outside = at_bell(cores, 1), cores.player(2, metres(-12, -12)), cores.player(3, FAR)
    there.say(Act(1, "start", text="noon"))
    there.say(Act(1, "start", text="noon"))  # its answer might have been lost
    cores.tick(2)
    assert [codes(one) for one in (here, there, outside)] == [["rehearsal"], ["rehearsal", "stroke"], []]
    cores.tick(80)
    assert words(here) == words(there) == ["다섯 · five"]
    # who stands with the bell sees it struck; whoever else is in the place is told of each stroke, and nobody beyond
    assert [codes(one).count("stroke") for one in (here, there, outside)] == [0, 3, 0]


def pass_ground(cores: Cores, cell: Cell, house: int) -> None:
    """A new map: this ground is another node's now."""
    before = cores.city
    holding = Holding(cores.houses[house].who, before.version + 1)
    cores.city = CityMap(
        before.version + 1, before.stamp, before.members, {**before.cells, cell: holding}, before.streams
    )
    cores.tick(5)


@pytest.mark.parametrize("moves_at", [10, 56, 62, 75])
def test_nobody_is_told_twice_or_not_at_all_when_the_ground_changes_hands(moves_at: int) -> None:
    """The new holder plays again whatever is at most 30 s late; its people and those handed off to it know it."""
    cores = city(seconds_after_noon=-1)
    people = [at_bell(cores, 1), cores.player(2, metres(-12, -12)), at_bell(cores, 3)]
    cores.tick(moves_at)
    pass_ground(cores, BELL_GROUND, 2)
    cores.tick(400)
    assert [cores.owners(one) for one in people] == [[2], [0], [2]]
    assert [words(one) for one in people] == [["다섯 · five"]] * 3


def test_the_new_holder_plays_again_and_is_not_heard_twice() -> None:
    cores = city(seconds_after_noon=-1)
    here = at_bell(cores, 1)
    cores.tick(75)
    assert words(here) == ["다섯 · five"]
    pass_ground(cores, BELL_GROUND, 2)
    cores.tick(100)
    counters = cores.houses[2].node.all_counters()
    assert counters["programme-steps"] == 4  # three strokes and the words, all of them over already
    assert counters["told-before"] >= 1  # the words, and strokes
    assert words(here) == ["다섯 · five"]


def test_a_node_that_was_not_linked_learns_from_whoever_comes_what_they_know() -> None:
    cores = city(seconds_after_noon=-1)
    here = at_bell(cores, 1)
    cores.link({2: True})
    cores.tick(75)
    assert words(here) == ["다섯 · five"]
    assert cores.houses[2].node.all_counters()["told"] == 0
    cores.link()
    pass_ground(cores, BELL_GROUND, 2)
    cores.tick(300)
    assert cores.owners(here) == [2]
    counters = cores.houses[2].node.all_counters()
    assert (counters["programme-steps"] > 0, words(here)) == (True, ["다섯 · five"])


# ---- one node's machine


class Here:
    """The tellings of one node and the people on it; socket numbers are avatars'."""

    def __init__(self, places: Places = PLACES) -> None:
        self.crowd, self.out = Crowd(64), Outbox()
        self.tellings = Tellings(places, self.crowd, self.out)

    def stand(self, avatar: int, pose: Pose) -> None:
        self.crowd.attach(self.crowd.add(avatar, LOGIN, 1, 0, pose, MINE, 0.0), avatar)

    def told(self) -> list[int]:
        """Who was told something since the last call."""
        conns = [send.conn for send in self.out.sends if isinstance(send, ToClient)]
        self.out.sends.clear()
        return conns


def named(name: int, place: str = "yard") -> Told:
    return Told(name.to_bytes(16, "big"), place, "programme", "words")


def test_it_goes_to_every_linked_node_from_where_it_began_and_no_further() -> None:
    here = Here()
    peers = [Incarnation(bytes([n]) * 32, 1) for n in (3, 1, 2)]
    here.tellings.tell(named(1), peers, Instant(1.0, 0))
    assert here.out.sends == [ToPeer(peer, named(1)) for peer in sorted(peers)]
    here.out.sends.clear()
    here.tellings.tell(named(1), peers, Instant(1.0, 0))
    here.tellings.heard(named(2), Instant(1.0, 0))
    assert here.out.sends == []


def test_who_comes_by_a_handoff_is_told_what_it_missed_and_only_lately_and_only_there() -> None:
    here = Here()
    here.tellings.heard(named(1), Instant(1.0, 0))
    here.tellings.heard(named(2), Instant(9.0, 0))
    for avatar, pose in ((5, metres(0, 0)), (6, metres(0, 0)), (7, FAR)):
        here.stand(avatar, pose)
    here.tellings.came(5, (), Instant(10.0, 0))
    here.tellings.came(6, (named(2).name,), Instant(10.0, 0))
    here.tellings.came(7, (), Instant(10.0, 0))
    assert here.told() == [5]
    assert here.tellings.names(5) == here.tellings.names(6) == (named(2).name,)


def test_a_place_that_this_node_does_not_know_is_no_reason_to_fall() -> None:
    here = Here()
    here.stand(5, metres(0, 0))
    assert not here.tellings.heard(named(1, "atlantis"), Instant(1.0, 0))
    assert (here.told(), here.tellings.counters["told-nowhere"]) == ([], 1)


def test_what_is_kept_is_bounded_and_ends() -> None:
    here = Here()
    here.stand(5, metres(0, 0))
    for name in range(1, 400):
        here.tellings.heard(named(name), Instant(1.0, 0))
    assert len(here.told()) == 399
    assert len(here.tellings.names(5)) == TOLD_NAMES_MAX
    assert len(here.tellings._kept) == 256
    here.tellings.tick(Instant(1.0 + TOLD_KEPT_S, 0))
    assert len(here.tellings._kept) == 256
    here.tellings.tick(Instant(1.1 + TOLD_KEPT_S, 0))
    assert here.tellings.names(5) == ()


@settings(max_examples=200)
@given(
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.lists(st.sampled_from(("a", "b")), max_size=4),
)
def test_whatever_comes_first_on_the_two_nodes_of_a_handoff_one_is_told_exactly_once(
    at_source: int, at_target: int, commit_at: int, again: list[str]
) -> None:
    """A telling comes to source and target at any moments around the COMMIT, which takes one more to arrive."""
    source, target = Here(), Here()
    source.stand(5, metres(0, 0))
    heard: list[int] = []
    names: tuple[bytes, ...] = ()
    for moment in range(5):
        now = Instant(1.0 + moment * TICK_MS / 1000, 0)
        if moment == commit_at + 1:
            target.stand(5, metres(0, 0))
            target.tellings.came(5, names, now)
        if moment == at_source:
            source.tellings.heard(named(1), now)
        if moment == at_target:
            target.tellings.heard(named(1), now)
        if moment == commit_at:
            names = source.tellings.names(5)
            source.crowd.remove(source.crowd.row_of[5])
        heard += source.told() + target.told()
    for node in again:
        (source if node == "a" else target).tellings.heard(named(1), Instant(2.0, 0))
    assert heard + source.told() + target.told() == [5]
