"""Filing at any node: every request is answered once, in time, by who asked it; nothing is kept beyond its bound.

A `Town` is a few relays, links that carry messages in order and may be cut, and in each node that holds the stream a
log that says when it answers. Then the same as a property: whatever is cut, moved, lost or late.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2pworld.civic.relay import (
    RETRY,
    AnswerAsker,
    Answered,
    AskerFiled,
    Held,
    HolderAnswered,
    HoldStreams,
    Relay,
    ToHolder,
)
from p2pworld.errors import Refusal
from p2pworld.ids import Incarnation
from p2pworld.limits import (
    CIVIC_ANSWER_S,
    CIVIC_OPEN_MAX,
    CIVIC_OPEN_PER_ASKER,
    CIVIC_OPEN_PER_PEER,
    CIVIC_SUBMISSION_BYTES_MAX,
    CIVIC_WITNESSED_S,
)
from p2pworld.messages import CIVIC, CivicFile, CivicFiled, File, Filed, ToClient, ToPeer
from p2pworld.world.citymap import EMPTY, CityMap, Holding, Member
from p2pworld.world.outbox import Outbox
from tests.civic.log_world import STREAM, submission

if TYPE_CHECKING:
    from p2pworld.messages import LinkMessage

BYTES = [submission(number).to_bytes() for number in range(6)]
KEYS = {submission(number).filing.key: number for number in range(6)}
CAPS = ("pulse", CIVIC)


def who(name: str) -> Incarnation:
    return Incarnation(name.encode() * 32, 1)


def city_of(names: str, holder: str | None, version: int) -> CityMap:
    """A map of these nodes in which this one holds the stream."""
    members = {who(name).node: Member(who(name).node, 1, "l", "p", "w") for name in names}
    holding = Holding(who(holder) if holder else None, version)
    return CityMap(version, 0, members, {}, {STREAM: holding})


@dataclass
class Node:
    """One node: its relay, what its clients were told, and what its own holder has been given."""

    name: str
    relay: Relay
    out: Outbox
    told: list[tuple[int, Filed]] = field(default_factory=list)
    asked: list[AnswerAsker] = field(default_factory=list)
    holds: tuple[Held, ...] = ()
    waiting: list[ToHolder] = field(default_factory=list)


class Town:
    """Nodes that are all linked, and the log they file to: who asks twice is told the same number."""

    def __init__(self, names: str = "abc", holder: str | None = "b") -> None:
        self.names, self.version, self.now_s = names, 0, 100.0
        self.nodes: dict[str, Node] = {}
        for name in names:
            out = Outbox()
            self.nodes[name] = Node(name, Relay(out), out)
        self.wires: dict[tuple[str, str], deque[LinkMessage]] = {}
        for one, other in itertools.permutations(names, 2):
            self.link(one, other)
        self.log: dict[bytes, int] = {}
        self.hold(holder)

    def link(self, one: str, other: str) -> None:
        self.wires[one, other] = deque()
        self.nodes[one].relay.link_up(who(other), CAPS)

    def hold(self, holder: str | None, *, told: str | None = None) -> None:
        """A new map, and who has read it."""
        self.version += 1
        for name in told or self.names:
            self.nodes[name].relay.map_changed(city_of(self.names, holder, self.version), who(name))
        self.settle()

    def settle(self) -> None:
        """What was said leaves; it has not arrived."""
        for node in self.nodes.values():
            for send in node.out.sends:
                if isinstance(send, ToClient):
                    assert isinstance(send.message, Filed)
                    node.told.append((send.conn, send.message))
                else:
                    assert isinstance(send, ToPeer)
                    peer = send.peer.node[:1].decode()
                    if (node.name, peer) in self.wires:
                        self.wires[node.name, peer].append(send.message)
            for step in node.out.civic:
                match step:
                    case HoldStreams(streams):
                        node.holds = streams
                    case ToHolder():
                        node.waiting.append(step)
                    case AnswerAsker():
                        node.asked.append(step)
            node.out.sends.clear()
            node.out.civic.clear()

    def file(self, name: str, number: int, conn: int = 1, n: int = 1) -> None:
        self.nodes[name].relay.client_filed(conn, File(n, BYTES[number]), self.now_s)
        self.settle()

    def carry(self) -> None:
        """Everything on its way arrives, and what follows from it too."""
        while any(self.wires.values()):
            for (one, other), wire in list(self.wires.items()):
                while wire:
                    self.arrive(one, other)

    def arrive(self, one: str, other: str) -> None:
        message, relay = self.wires[one, other].popleft(), self.nodes[other].relay
        if isinstance(message, CivicFile):
            relay.peer_filed(who(one), message, self.now_s)
        else:
            assert isinstance(message, CivicFiled)
            relay.peer_answered(who(one), message, self.now_s)
        self.settle()

    def answer(self, name: str, *, more: bool = False) -> None:
        """The holder there answers all it has been given; the log takes only what is of the newest epoch."""
        node = self.nodes[name]
        answers = []
        for given in node.waiting:
            if given.held.epoch < self.version and given.held not in node.holds:
                answers.append((given.request, Answered(refusal=Refusal("civic-moved", "moved"))))
            else:
                index = self.log.setdefault(given.submission.filing.key, len(self.log))
                answers.append((given.request, Answered(b"receipt %d" % index, more=more)))
        node.waiting.clear()
        node.relay.holder_answered(HolderAnswered(tuple(answers)), self.now_s)
        self.settle()

    def cut(self, one: str, other: str) -> None:
        for pair in ((one, other), (other, one)):
            self.wires.pop(pair, None)
            self.nodes[pair[0]].relay.link_down(who(pair[1]))
        self.settle()

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        for node in self.nodes.values():
            node.relay.tick(self.now_s)
        self.settle()

    def heard(self, name: str) -> list[tuple[int, int, bytes, str]]:
        """(socket, n, receipt, reason) of all that this node's clients were told."""
        return [(conn, filed.n, filed.receipt, filed.reason) for conn, filed in self.nodes[name].told]


# ---- the ways there


def test_what_is_filed_with_the_holder_goes_to_the_holder_read_once() -> None:
    town = Town()
    assert [node.holds for node in town.nodes.values()] == [(), (Held(STREAM, 1),), ()]
    town.file("b", 0, conn=7, n=5)
    (given,) = town.nodes["b"].waiting
    assert (given.held, given.submission) == (Held(STREAM, 1), submission(0))
    assert not town.heard("b")
    town.answer("b")
    assert town.heard("b") == [(7, 5, b"receipt 0", "")]
    assert town.nodes["b"].relay.open == 0


def test_what_is_filed_elsewhere_is_passed_on_and_answered_to_who_asked() -> None:
    town = Town()
    town.file("a", 0, conn=1, n=1)
    town.file("c", 1, conn=1, n=1)
    town.file("a", 2, conn=2, n=1)
    town.carry()
    town.answer("b")
    town.carry()
    assert town.heard("a") == [(1, 1, b"receipt 0", ""), (2, 1, b"receipt 1", "")]
    assert town.heard("c") == [(1, 1, b"receipt 2", "")]
    assert len(town.log) == 3
    assert all(node.relay.open == 0 for node in town.nodes.values())


def test_another_asker_on_a_node_is_answered_as_a_socket_is() -> None:
    town = Town()
    town.nodes["a"].relay.asker_filed(AskerFiled(3, BYTES[0]), town.now_s)
    town.settle()
    town.carry()
    town.answer("b", more=True)  # it is answered once: there is no second answer to wait for
    town.carry()
    assert town.nodes["a"].asked == [AnswerAsker(3, Answered(b"receipt 0", None, True))]
    assert town.nodes["a"].relay.open == 0


def test_a_retry_while_the_first_is_on_its_way_gets_the_same_answer() -> None:
    town = Town()
    town.file("a", 0, n=1)
    town.file("a", 0, n=2)
    town.file("c", 0, n=3)
    town.carry()
    town.answer("b")
    town.carry()
    receipts = {receipt for name in "ac" for _, _, receipt, _ in town.heard(name)}
    assert receipts == {b"receipt 0"}
    assert [n for _, n, _, _ in town.heard("a")] == [1, 2]


# ---- no way there


@pytest.mark.parametrize("place", ["nobody holds it", "no link", "an older release", "no map"])
def test_without_a_way_the_answer_is_to_try_again(place: str) -> None:
    town = Town(holder=None if place == "nobody holds it" else "b")
    relay = town.nodes["a"].relay
    if place != "nobody holds it":
        relay.link_down(who("b"))
    if place == "an older release":
        relay.link_up(who("b"), ("pulse",))
    if place == "no map":
        relay.map_changed(EMPTY, who("a"))
    town.file("a", 0)
    ((_, _, _, reason),) = town.heard("a")
    assert reason == "civic-down"
    assert reason in RETRY
    assert not any(town.wires.values())


def test_a_log_that_the_city_does_not_have_is_refused_for_good() -> None:
    town = Town()
    town.nodes["a"].relay.map_changed(replace(city_of("abc", "b", 9), streams={}), who("a"))
    town.file("a", 0)
    ((_, _, _, reason),) = town.heard("a")
    assert reason == "civic-stream"
    assert reason not in RETRY


def test_who_is_believed_to_hold_it_and_does_not_passes_nothing_on() -> None:
    town = Town()
    town.hold("c", told="bc")
    town.file("a", 0)
    town.carry()
    assert [reason for _, _, _, reason in town.heard("a")] == ["civic-moved"]
    assert not town.nodes["c"].waiting


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00", "civic-malformed"),
        (BYTES[0][:-1], "civic-malformed"),
        (BYTES[0] + b"\x00", "civic-malformed"),
        (bytes(CIVIC_SUBMISSION_BYTES_MAX + 1), "civic-size"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_is_filed(data: bytes, reason: str) -> None:
    town = Town()
    town.nodes["a"].relay.asker_filed(AskerFiled(1, data), town.now_s)
    town.settle()
    (told,) = town.nodes["a"].asked
    assert told.answer.refusal is not None
    assert told.answer.refusal.reason == reason
    assert reason not in RETRY
    assert not any(town.wires.values())


# ---- what goes wrong on the way


def test_a_holder_that_vanishes_leaves_nobody_waiting() -> None:
    town = Town()
    for n in range(3):
        town.file("a", n, n=n)
    town.carry()
    town.cut("a", "b")
    assert [(n, reason) for _, n, _, reason in town.heard("a")] == [(n, "civic-unknown") for n in range(3)]
    town.answer("b")  # it lives: its answers have no way back, and nobody waits there either
    assert town.nodes["a"].relay.open == town.nodes["b"].relay.open == 0


def test_an_answer_that_does_not_come_is_unknown_in_time() -> None:
    town = Town()
    town.file("a", 0, n=1)
    town.pass_time(CIVIC_ANSWER_S / 2)
    town.file("a", 1, n=2)
    town.pass_time(CIVIC_ANSWER_S / 2)
    assert town.heard("a") == [(1, 1, b"", "civic-unknown")]
    town.carry()
    town.answer("b")
    town.carry()
    assert [(n, receipt) for _, n, receipt, _ in town.heard("a")[1:]] == [(2, b"receipt 1")]
    assert town.nodes["a"].relay.counters["filed-late"] == 1


def test_an_answer_of_one_who_was_not_asked_changes_nothing() -> None:
    town = Town()
    town.file("a", 0)
    ((request,),) = [
        [message.request for message in wire if isinstance(message, CivicFile)]
        for pair, wire in town.wires.items()
        if pair == ("a", "b")
    ]
    town.wires["c", "a"].append(CivicFiled(request, b"forged"))
    town.arrive("c", "a")
    assert not town.heard("a")
    town.carry()
    town.answer("b")
    town.carry()
    assert town.heard("a") == [(1, 1, b"receipt 0", "")]


def test_words_of_another_node_are_codes_or_nothing_is_known() -> None:
    town = Town()
    town.file("a", 0)
    town.wires["a", "b"].clear()
    town.wires["b", "a"].append(CivicFiled(1, reason="Drop Everything", sentence="x"))
    town.arrive("b", "a")
    assert town.heard("a") == [(1, 1, b"", "civic-unknown")]
    assert not any("Drop" in name for name in town.nodes["a"].relay.counters)


def test_a_socket_that_is_gone_is_told_nothing_and_counts_no_more() -> None:
    town = Town()
    for n in range(CIVIC_OPEN_PER_ASKER):
        town.file("a", n % 6, conn=1, n=n)
    town.nodes["a"].relay.lost(1)
    town.carry()
    town.answer("b")
    town.carry()
    assert not town.heard("a")
    assert len(town.log) == 6  # it goes on all the same
    town.file("a", 0, conn=1, n=1)  # the number is another's now
    assert not town.heard("a")


# ---- the second answer


def test_witnesses_make_a_second_answer() -> None:
    town = Town()
    town.file("a", 0, n=1)
    town.carry()
    town.answer("b", more=True)
    town.carry()
    (first,) = [filed for _, filed in town.nodes["a"].told]
    assert first == Filed(1, b"receipt 0", more=True)
    (request,) = town.nodes["b"].relay._accepted
    town.nodes["b"].relay.holder_answered(
        HolderAnswered(((request, Answered(b"witnessed receipt 0")),)), town.now_s
    )
    town.settle()
    town.carry()
    assert [filed for _, filed in town.nodes["a"].told][1:] == [Filed(1, b"witnessed receipt 0")]
    assert not town.nodes["a"].relay._accepted


def test_a_second_answer_that_never_comes_is_forgotten() -> None:
    town = Town()
    town.file("b", 0, n=1)
    town.answer("b", more=True)
    town.pass_time(CIVIC_WITNESSED_S)
    assert not town.nodes["b"].relay._accepted
    assert not town.nodes["b"].relay._asked
    assert len(town.heard("b")) == 1


# ---- bounds


def test_one_socket_may_have_so_many_open() -> None:
    town = Town()
    for n in range(CIVIC_OPEN_PER_ASKER + 2):
        town.file("b", 0, conn=1, n=n)
    assert [(n, reason) for _, n, _, reason in town.heard("b")] == [
        (CIVIC_OPEN_PER_ASKER, "civic-busy"),
        (CIVIC_OPEN_PER_ASKER + 1, "civic-busy"),
    ]
    town.file("b", 0, conn=2, n=1)
    assert len(town.heard("b")) == 2
    town.answer("b")
    town.file("b", 0, conn=1, n=99)
    assert len(town.nodes["b"].waiting) == 1


def test_one_link_and_all_together_may_have_so_many_open() -> None:
    town = Town()
    relay = town.nodes["b"].relay
    for request in range(CIVIC_OPEN_PER_PEER + 1):
        relay.peer_filed(who("a"), CivicFile(request, BYTES[0]), town.now_s)
    assert [send.message.reason for send in town.nodes["b"].out.sends] == ["civic-busy"]  # type: ignore[union-attr]
    for conn in range(CIVIC_OPEN_MAX - CIVIC_OPEN_PER_PEER):
        relay.client_filed(conn, File(1, BYTES[0]), town.now_s)
    assert relay.open == CIVIC_OPEN_MAX
    town.settle()
    town.file("b", 0, conn=CIVIC_OPEN_MAX)
    assert [reason for _, _, _, reason in town.heard("b")] == ["civic-busy"]


def test_who_was_answered_longest_ago_gets_no_second_answer() -> None:
    town = Town()
    relay = town.nodes["b"].relay
    for conn in range(CIVIC_OPEN_MAX + 1):
        relay.client_filed(conn, File(1, BYTES[0]), town.now_s)
        relay.holder_answered(HolderAnswered(((conn + 1, Answered(b"r", more=True)),)), town.now_s)
    assert len(relay._accepted) == CIVIC_OPEN_MAX
    assert 1 not in relay._accepted
    assert relay.open == 0


# ---- whatever happens


class Filing(RuleBasedStateMachine):
    """Clients file and ask again; links are cut and made, the log moves, answers are slow."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town()
        self.filed: dict[tuple[str, int], tuple[int, float]] = {}  # by node and n: which, and when
        self.numbers = itertools.count(1)
        self.seen: Counter[str] = Counter()

    @rule(name=st.sampled_from("abc"), number=st.integers(0, 5))
    def file(self, name: str, number: int) -> None:
        n = next(self.numbers)
        self.filed[name, n] = (number, self.town.now_s)
        self.town.file(name, number, conn=n % 4, n=n)

    @rule(pair=st.sampled_from(list(itertools.permutations("abc", 2))))
    def arrive(self, pair: tuple[str, str]) -> None:
        if self.town.wires.get(pair):
            self.town.arrive(*pair)

    @rule(name=st.sampled_from("abc"), more=st.booleans())
    def answer(self, name: str, more: bool) -> None:
        self.town.answer(name, more=more)

    @rule(pair=st.sampled_from(list(itertools.combinations("abc", 2))))
    def cut_or_mend(self, pair: tuple[str, str]) -> None:
        if pair in self.town.wires:
            self.town.cut(*pair)
        else:
            self.town.link(*pair)
            self.town.link(*pair[::-1])

    @rule(holder=st.sampled_from(["a", "b", "c", None]))
    def move(self, holder: str | None) -> None:
        self.town.hold(holder)

    @precondition(lambda self: self.filed)
    @rule(seconds=st.sampled_from([0.1, 3.0, CIVIC_ANSWER_S]))
    def wait(self, seconds: float) -> None:
        self.town.pass_time(seconds)

    @invariant()
    def every_request_is_answered_once_and_rightly(self) -> None:
        answered: Counter[tuple[str, int]] = Counter()
        for name, node in self.town.nodes.items():
            for conn, filed in node.told:
                number, _ = self.filed[name, filed.n]
                assert conn == filed.n % 4
                assert bool(filed.receipt) != bool(filed.reason)
                if filed.receipt:
                    index = self.town.log[submission(number).filing.key]
                    assert filed.receipt == b"receipt %d" % index
                    assert KEYS[submission(number).filing.key] == number
                answered[name, filed.n] += 1
        assert all(count == 1 for count in answered.values())
        for key, (_, at_s) in self.filed.items():
            assert answered[key] or self.town.now_s < at_s + CIVIC_ANSWER_S, f"{key} waits for ever"

    @invariant()
    def nothing_is_kept_that_nobody_waits_for(self) -> None:
        for node in self.town.nodes.values():
            relay = node.relay
            tables = {**relay._open, **relay._accepted}
            assert set().union(*relay._asked.values()) <= tables.keys()
            assert sum(relay._of.values()) <= len(relay._open)


TestFiling = Filing.TestCase
TestFiling.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
