"""What a relay forgets, and when: the way is lost, the asker is gone, the answer has been given for good."""

from __future__ import annotations

import pytest

from p2pworld.civic.relay import Answered, AskerFiled, HolderAnswered
from p2pworld.errors import Refusal
from p2pworld.messages import CivicFiled, Filed
from tests.civic.test_relay import BYTES, Town, who


def second(town: Town, name: str, answer: Answered) -> None:
    """The holder there answers all once more that it has answered."""
    relay = town.nodes[name].relay
    answers = tuple((request, answer) for request in relay._accepted)
    relay.holder_answered(HolderAnswered(answers), town.now_s)
    town.settle()
    town.carry()


def test_what_a_peer_has_filed_is_forgotten_with_its_link() -> None:
    town = Town()
    town.file("a", 0)
    town.carry()
    town.cut("a", "b")
    assert town.nodes["b"].relay.open == 0
    town.link("a", "b")
    town.link("b", "a")
    town.answer("b")
    assert not town.wires["b", "a"], "whoever it was has been told that nobody knows"


def test_a_link_that_is_lost_answers_only_what_went_that_way() -> None:
    town = Town()
    town.file("a", 0, n=1)
    town.hold("c")
    town.file("a", 1, n=2)
    town.cut("a", "b")
    assert town.heard("a") == [(1, 1, b"", "civic-unknown")]
    town.carry()
    town.answer("c")
    town.carry()
    assert town.heard("a")[1:] == [(1, 2, b"receipt 0", "")]


def test_a_link_that_is_lost_takes_only_its_own_second_answers() -> None:
    town = Town()
    town.file("a", 0, n=1)
    town.carry()
    town.answer("b", more=True)
    town.carry()
    town.hold("c")
    town.file("a", 1, n=2)
    town.carry()
    town.answer("c", more=True)
    town.carry()
    assert len(town.nodes["a"].relay._accepted) == 2
    town.cut("a", "b")
    assert len(town.nodes["a"].relay._accepted) == 1
    second(town, "c", Answered(b"witnessed"))
    assert town.heard("a")[2:] == [(1, 2, b"witnessed", "")]


def test_a_socket_that_is_gone_waits_for_no_second_answer() -> None:
    town = Town()
    town.file("b", 0)
    town.answer("b", more=True)
    relay = town.nodes["b"].relay
    ((request, _),) = relay._accepted.items()
    relay.lost(1)
    assert not relay._accepted
    relay.holder_answered(HolderAnswered(((request, Answered(b"witnessed")),)), town.now_s)
    town.settle()
    assert len(town.heard("b")) == 1


def test_an_answer_for_good_leaves_nothing_to_wait_for() -> None:
    town = Town()
    town.file("b", 0)
    town.answer("b")
    assert not town.nodes["b"].relay._accepted
    assert not town.nodes["b"].relay._asked


def test_an_asker_is_answered_once_whatever_follows() -> None:
    town = Town()
    relay = town.nodes["b"].relay
    relay.asker_filed(AskerFiled(3, BYTES[0]), town.now_s)
    town.settle()
    town.answer("b", more=True)
    assert not relay._accepted
    assert len(town.nodes["b"].asked) == 1


@pytest.mark.parametrize(
    "answer", [Answered(refusal=Refusal("civic-moved", "moved")), Answered(b"receipt 0", more=True)]
)
def test_a_second_answer_is_a_receipt_for_good_or_none(answer: Answered) -> None:
    town = Town()
    town.file("b", 0)
    town.answer("b", more=True)
    second(town, "b", answer)
    assert town.heard("b") == [(1, 1, b"receipt 0", "")]
    second(town, "b", Answered(b"witnessed"))
    assert town.heard("b")[1:] == [(1, 1, b"witnessed", "")]


def test_another_node_too_answers_a_second_time_with_a_receipt_or_not_at_all() -> None:
    town = Town()
    town.file("a", 0)
    town.carry()
    town.answer("b", more=True)
    town.carry()
    ((request, _),) = town.nodes["a"].relay._accepted.items()
    town.nodes["a"].relay.peer_answered(who("b"), CivicFiled(request, reason="civic-moved"), town.now_s)
    town.settle()
    assert [filed for _, filed in town.nodes["a"].told] == [Filed(1, b"receipt 0", more=True)]
