"""The story of a violation: the lines that name who is in it, in order, with the faults among them."""

from __future__ import annotations

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.world.citymap import Member, genesis, join
from simulations.events import Trace
from simulations.story import changes


def told() -> Trace:
    trace = Trace()
    trace.say(1.0, "A is stopped", fault=True)
    trace.say(2.0, "p1.0 wants to be in the city")
    trace.say(3.0, "the link of B and C breaks", fault=True)
    trace.say(4.0, "p11.0 wants to be in the city")
    trace.say(5.0, "B: p1 is OWNED")
    return trace


def test_a_name_is_a_word_and_faults_stand_among_the_lines() -> None:
    assert told().story(("p1",), 2) == (
        "     2.000 s   p1.0 wants to be in the city",
        "     3.000 s ! the link of B and C breaks",
        "     5.000 s   B: p1 is OWNED",
    )
    assert told().story(("p1",), 1) == ("     5.000 s   B: p1 is OWNED",)
    assert len(told().story((), 9)) == 5


def test_the_story_takes_no_part_in_the_hash() -> None:
    assert told().hex() == Trace().hex()


def test_a_change_of_the_map_is_told_in_lines() -> None:
    a, b = (Member(bytes([number]) * 32, 1, "tls://x:1", "wss://x", "https://x") for number in (1, 2))
    first = genesis({a: [Cell.from_quadkey("01")]})
    assert not isinstance(first, Refusal)
    second = join(first, b)
    assert not isinstance(second, Refusal)
    names = {a.node: "A", b.node: "B"}
    assert [*changes(first, second, names)] == [f"map {second.version}: B is listed as incarnation 1"]
    lines = [*changes(second, first, names)]
    assert lines == [f"map {first.version}: incarnation 1 of B is listed no more"]
