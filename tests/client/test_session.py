"""A session's stories: what nodes say, what it says and does, word for word."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from client.asking import ACTS_MAX
from client.session import HELD_WAIT_S, JOIN_S, SILENCE_S, SILENCE_TICKS, ClientAt, Close, Open, Say, Session
from p2pworld.crypto.keys import (
    NodeKeys,
    PersonKeys,
    birth_of,
    login_of,
    sign_challenge,
    verify_hello,
    verify_said,
)
from p2pworld.errors import LocalError
from p2pworld.grants import sign_grant
from p2pworld.ids import Login, avatar_id
from p2pworld.messages import (
    Act,
    Beat,
    Block,
    Bye,
    Challenge,
    Correct,
    Done,
    Friend,
    Go,
    Group,
    Hello,
    Moved,
    Notice,
    Pace,
    Pose,
    Profile,
    Said,
    SignedHello,
    Welcome,
    Who,
)
from p2pworld.messages import Say as Utterance
from p2pworld.wire.frames import decode_pose

if TYPE_CHECKING:
    from p2pworld.messages import PlayMessage

A, B = NodeKeys.from_seed(bytes([1]) * 32), NodeKeys.from_seed(bytes([2]) * 32)
URL_A, URL_B = "ws://a/play", "ws://b/play"
NODES = {URL_A: A, URL_B: B}
HERE = Pose(1_000, 2_000)


class Stage:
    """One session, a clock, and the nodes it talks to; `lines` tells what it did since last asked."""

    def __init__(self, urls: tuple[str, ...] = (URL_A, URL_B), want: Pose | None = HERE) -> None:
        self.now_s, self.wall_ms = 100.0, 5_000
        self.keys = PersonKeys.from_seed(bytes([7]) * 32)
        self.session = Session(self.keys, Profile("Mina"), urls, b"entropy of a test", want)
        self.urls: dict[int, str] = {}
        self.nonces: dict[int, bytes] = {}
        self.hellos: dict[int, Hello] = {}
        self.said: list[PlayMessage] = []

    def lines(self) -> list[str]:
        told = []
        for action in self.session.take_actions():
            match action:
                case Open():
                    self.urls[action.conn] = action.url
                    told.append(f"open {action.conn} {action.url}")
                case Close():
                    told.append(f"close {action.conn}")
                case Say():
                    self.said.append(action.message)
                    if isinstance(action.message, Hello):
                        self.hellos[action.conn] = action.message
                    told.append(f"say {action.conn} {type(action.message).__name__}")
        return [*told, self.session.at.name]

    def say(self, conn: int, message: PlayMessage) -> list[str]:
        self.session.said(conn, message, self.now_s, self.wall_ms)
        return self.lines()

    def challenge(self, conn: int, node: NodeKeys | None = None, url: str = "") -> list[str]:
        node, url = node or NODES[self.urls[conn]], url or self.urls[conn]
        nonce = self.nonces[conn] = bytes([conn]) * 32
        return self.say(conn, Challenge(1, node.public, nonce, url, sign_challenge(node, nonce, url)))

    def login(self, conn: int) -> Login:
        node = NODES[self.urls[conn]]
        return login_of(SignedHello(node.public, self.nonces[conn], self.hellos[conn]))

    def welcome(self, conn: int, pose: Pose = HERE, seq: int = 0, urls: tuple[str, ...] = ()) -> list[str]:
        login = self.login(conn)
        me = avatar_id(self.keys.public)
        return self.say(conn, Welcome(me, login.ms, login.birth, pose, seq, 100, 640, self.wall_ms, 1, urls))

    def moved(self, conn: int, url: str = URL_B) -> list[str]:
        return self.say(conn, Moved(NODES[url].public, url, b"t" * 16))

    def hears(self, conn: int, seconds: int) -> list[str]:
        """So much time passes, with a frame on `conn` each second."""
        told = []
        for _ in range(seconds):
            self.session.heard(conn, 0, self.now_s)
            told += [line for line in self.later(1) if line != self.session.at.name]
        return [*told, self.session.at.name]

    def later(self, seconds: float) -> list[str]:
        self.now_s += seconds
        self.wall_ms += int(seconds * 1000)
        self.session.tick(self.now_s)
        return self.lines()

    def lose(self, conn: int) -> list[str]:
        self.session.closed(conn, self.now_s)
        return self.lines()

    def enter(self) -> None:
        """Logs in at the first node, on socket 1."""
        self.session.gesture(self.now_s)
        assert self.later(0) == [f"open 1 {URL_A}", "JOINING"]
        assert self.challenge(1) == ["say 1 Hello", "JOINING"]
        assert self.welcome(1, urls=(URL_B,)) == ["PLAYING"]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def inside(stage: Stage) -> Stage:
    stage.enter()
    return stage


def test_grants_are_shown_at_each_login_and_handoff_beside_what_is_signed() -> None:
    stage = Stage()
    root = NodeKeys.from_seed(bytes([3]) * 32)
    grant = sign_grant(root, stage.keys.public, "official", ("places:*",), 0, 10)
    stage.session = Session(stage.keys, Profile("Mina"), (URL_A, URL_B), b"entropy", HERE, grants=(grant,))
    stage.enter()
    stage.moved(1)
    stage.challenge(2)
    for conn, node in ((1, A), (2, B)):
        assert stage.hellos[conn].grants == (grant,)
        bare = dataclasses.replace(stage.hellos[conn], grants=())
        assert verify_hello(SignedHello(node.public, stage.nonces[conn], bare))


def test_grants_that_no_node_would_take_are_refused_here() -> None:
    keys = PersonKeys.from_seed(bytes([7]) * 32)
    long = sign_grant(keys, keys.public, "official", ("places:" + "a" * 80,) * 32, 0, 10)
    with pytest.raises(LocalError, match="longer than"):
        Session(keys, Profile("Mina"), (URL_A,), b"entropy", grants=(long,))


def test_nothing_happens_before_the_person_wants_it(stage: Stage) -> None:
    assert stage.later(60) == ["OUT"]


def test_a_login_is_signed_for_the_challenge_and_the_url(inside: Stage) -> None:
    hello = inside.hellos[1]
    assert verify_hello(SignedHello(A.public, inside.nonces[1], hello))
    assert (hello.url, hello.login_ms, hello.want) == (URL_A, 5_000, HERE)
    assert (hello.after_ms, hello.ticket) == (0, b"")
    assert inside.session.login == Login(5_000, birth_of(A.public, inside.nonces[1]))
    assert inside.session.node == A.public


def test_a_handoff_attaches_before_it_leaves_and_steers_both_under_one_seq(inside: Stage) -> None:
    assert inside.moved(1) == [f"open 2 {URL_B}", "BOTH"]
    assert 2 not in inside.session.poses_to
    assert inside.challenge(2) == ["say 2 Hello", "BOTH"]
    ticket = inside.hellos[2]
    assert (ticket.ticket, Login(ticket.login_ms, ticket.birth)) == (b"t" * 16, inside.session.login)
    assert set(inside.session.poses_to) == {1, 2}
    inside.session.steer(Pose(1_100, 2_000))
    data = inside.session.steer(Pose(1_200, 2_000))
    assert decode_pose(data)["seq"][0] == 2
    # the new node was told of an older pose; the client goes on from its own
    assert inside.welcome(2, Pose(1_100, 2_000), seq=1) == ["close 1", "PLAYING"]
    assert inside.session.pose == Pose(1_200, 2_000)
    assert inside.session.seq == 2
    assert set(inside.session.poses_to) == {2}
    assert inside.session.node == B.public
    assert inside.session.counters["handoffs"] == 1


def test_the_old_node_may_close_first(inside: Stage) -> None:
    inside.moved(1)
    inside.challenge(2)
    assert inside.say(1, Bye("moved")) == ["close 1", "HELD"]
    assert inside.session.poses_to == (2,)
    assert inside.welcome(2) == ["PLAYING"]


def test_a_seat_given_up_leaves_the_client_where_it_is(inside: Stage) -> None:
    inside.moved(1)
    inside.challenge(2)
    assert inside.say(2, Bye("expired")) == ["close 2", "PLAYING"]
    assert inside.session.poses_to == (1,)


def test_a_newer_invitation_swaps_the_seat(inside: Stage) -> None:
    inside.moved(1)
    assert inside.moved(1) == ["close 2", f"open 3 {URL_B}", "BOTH"]
    assert inside.say(2, Notice("late")) == ["BOTH"]  # from the seat given up: nothing
    inside.challenge(3)
    assert inside.welcome(3) == ["close 1", "PLAYING"]


def test_a_seat_that_is_never_committed_ends_in_a_fresh_login(inside: Stage) -> None:
    inside.moved(1)
    inside.challenge(2)
    inside.lose(1)
    assert inside.later(HELD_WAIT_S - 0.1) == ["HELD"]
    assert inside.later(0.2) == ["close 2", "OUT"]
    assert inside.later(1) == [f"open 3 {URL_A}", "JOINING"]


def test_a_seat_is_taken_only_at_the_node_that_keeps_it(inside: Stage) -> None:
    inside.moved(1)
    assert inside.challenge(2, node=A, url=URL_B) == ["close 2", "PLAYING"]
    assert inside.session.counters["challenge-node"] == 1


@pytest.mark.parametrize("fault", ["signature", "version", "url"])
def test_a_false_challenge_is_never_answered(stage: Stage, fault: str) -> None:
    stage.session.gesture(stage.now_s)
    stage.later(0)
    nonce, url = bytes(32), URL_B if fault == "url" else URL_A
    challenge = Challenge(1, A.public, nonce, url, sign_challenge(A, nonce, url))
    if fault == "signature":
        challenge = dataclasses.replace(challenge, nonce=bytes([1]) * 32)
    elif fault == "version":
        challenge = dataclasses.replace(challenge, v=2)
    assert stage.say(1, challenge) == ["close 1", "OUT"]
    assert stage.session.trouble[0] == fault
    assert stage.later(1) == [f"open 2 {URL_B}", "JOINING"]


def test_a_lost_socket_is_followed_by_a_larger_login_that_says_what_it_continues(inside: Stage) -> None:
    first = inside.session.login
    inside.session.steer(Pose(1_500, 2_500))
    assert inside.lose(1) == ["close 1", "OUT"]
    assert inside.later(0) == [f"open 2 {URL_A}", "JOINING"]
    inside.wall_ms = 10  # the device's clock was set back
    inside.challenge(2)
    hello = inside.hellos[2]
    assert hello.login_ms == first.ms + 1
    assert Login(hello.after_ms, hello.after_birth) == first
    assert hello.want == Pose(1_500, 2_500)


def test_a_fresh_welcome_says_where_and_from_which_seq_to_go_on(inside: Stage) -> None:
    for _ in range(40_000):  # a seq that the new row's 16 bits would not understand
        inside.session.steer(HERE)
    inside.lose(1)
    inside.later(0)
    inside.challenge(2)
    inside.welcome(2, Pose(9_000, 9_000), seq=3)
    assert inside.session.pose == Pose(9_000, 9_000)
    assert inside.session.seq == 3


@pytest.mark.parametrize("code", ["again", "lapsed", "leaving", "full"])
def test_a_node_that_sends_us_away_is_tried_last(inside: Stage, code: str) -> None:
    assert inside.say(1, Bye(code, urls=("ws://c/play", URL_B))) == ["close 1", "OUT"]
    assert inside.later(0) == ["open 2 ws://c/play", "JOINING"]
    inside.lose(2)
    assert inside.later(1) == [f"open 3 {URL_B}", "JOINING"]
    inside.lose(3)
    assert inside.later(1) == [f"open 4 {URL_A}", "JOINING"]


def test_a_silent_node_is_left(inside: Stage) -> None:
    silence_s = SILENCE_S + SILENCE_TICKS * inside.session.tick_ms / 1000
    inside.later(silence_s - 0.1)
    inside.session.heard(1, 1_000, inside.now_s)
    assert inside.later(silence_s - 0.1) == ["PLAYING"]
    assert inside.later(0.2) == ["close 1", "OUT"]
    assert inside.session.trouble[0] == "silence"
    assert inside.later(1) == [f"open 2 {URL_B}", "JOINING"]


def test_a_node_that_has_said_that_its_tick_is_long_may_be_silent_for_longer(inside: Stage) -> None:
    inside.session.heard(1, 1_000, inside.now_s)
    inside.say(1, Notice("pace", tick_ms=500))
    assert inside.later(SILENCE_S + SILENCE_TICKS * 0.5 - 0.1) == ["PLAYING"]
    assert inside.later(0.2) == ["close 1", "OUT"]


def test_a_join_that_takes_too_long_is_tried_elsewhere_and_ever_more_slowly(stage: Stage) -> None:
    stage.session.gesture(stage.now_s)
    assert stage.later(0) == [f"open 1 {URL_A}", "JOINING"]
    assert stage.later(JOIN_S) == ["close 1", "OUT"]
    assert stage.later(0.2) == [f"open 2 {URL_B}", "JOINING"]
    waits = []
    for conn in range(2, 12):
        stage.lose(conn)
        waits.append(stage.session.deadline_s - stage.now_s)
        stage.later(waits[-1])
        assert stage.session.at is ClientAt.JOINING
    assert max(waits) <= 2.0
    assert waits[-1] > 10 * waits[0]


def test_a_newer_login_elsewhere_stops_it_until_a_gesture(inside: Stage) -> None:
    newer = Login(9_000, b"n" * 16)
    assert inside.say(1, Bye("elsewhere", "", newer.ms, newer.birth)) == ["close 1", "STOPPED"]
    assert inside.later(3_600) == ["STOPPED"]
    inside.wall_ms = 6_000  # and its clock is behind the other device's
    inside.session.gesture(inside.now_s)
    assert inside.later(0) == [f"open 2 {URL_A}", "JOINING"]
    inside.challenge(2)
    assert inside.hellos[2].login_ms == 9_001
    assert inside.hellos[2].after_ms == 0  # the person wants to be here, whatever went before
    assert inside.welcome(2) == ["PLAYING"]


def test_a_reconnecting_device_that_was_overtaken_stops(inside: Stage) -> None:
    inside.lose(1)
    inside.later(0)
    inside.challenge(2)
    assert inside.say(2, Bye("elsewhere", "", 9_000, b"n" * 16)) == ["close 2", "STOPPED"]


@pytest.mark.parametrize("code", ["removed", "banned"])
def test_a_moderators_order_stops_it_until_a_gesture(inside: Stage, code: str) -> None:
    inside.moved(1)
    inside.challenge(2)
    assert inside.say(1, Bye(code, "Until noon.")) == ["close 1", "close 2", "STOPPED"]
    assert inside.session.trouble == (code, "Until noon.")
    assert inside.later(3_600) == ["STOPPED"]
    inside.session.gesture(inside.now_s)
    assert inside.later(0) == [f"open 3 {URL_A}", "JOINING"]
    inside.challenge(3)
    assert inside.say(3, Bye(code, "Until noon.")) == ["close 3", "STOPPED"]


def test_its_own_login_whose_welcome_was_lost_does_not_stop_it(inside: Stage) -> None:
    inside.lose(1)
    inside.later(0)
    inside.challenge(2)
    unheard = inside.login(2)
    inside.lose(2)
    inside.later(1)
    inside.challenge(3)
    assert Login(inside.hellos[3].after_ms, inside.hellos[3].after_birth) < unheard
    assert inside.say(3, Bye("elsewhere", "", unheard.ms, unheard.birth)) == ["close 3", "OUT"]
    inside.later(1)
    inside.challenge(4)
    assert Login(inside.hellos[4].after_ms, inside.hellos[4].after_birth) == unheard
    assert inside.welcome(4) == ["PLAYING"]


def test_a_first_login_with_a_clock_behind_asks_again_with_a_larger_one(stage: Stage) -> None:
    stage.session.gesture(stage.now_s)
    stage.later(0)
    stage.challenge(1)
    assert stage.say(1, Bye("elsewhere", "", 8_000, b"n" * 16)) == ["close 1", "OUT"]
    stage.later(1)
    stage.challenge(2)
    assert stage.hellos[2].login_ms == 8_001


def test_a_correction_resets_the_prediction(inside: Stage) -> None:
    inside.session.steer(Pose(90_000, 2_000))
    inside.say(1, Correct(1, HERE, "reach"))
    assert inside.session.pose == HERE
    assert inside.session.seq == 1


def test_poses_carry_the_acknowledgement_and_a_wrapping_seq(inside: Stage) -> None:
    inside.session.heard(1, 0xABCDE, inside.now_s)
    inside.session.seq = 0xFFFF
    pose = decode_pose(inside.session.steer(HERE))
    assert pose["ack"][0] == (0xABCDE >> 6) & 0xFF
    assert pose["seq"][0] == 0
    assert inside.session.seq == 0x10000


def test_pace_shifts_add_up(inside: Stage) -> None:
    inside.say(1, Pace(12))
    inside.say(1, Pace(-2))
    assert inside.session.pace_ms == 10


def test_a_longer_tick_is_followed_until_the_next_welcome(inside: Stage) -> None:
    inside.say(1, Notice("pace", "Everybody is shown 2 times a second now.", 500))
    assert inside.session.tick_ms == 500
    inside.say(1, Notice("pace", "An older node names no tick."))
    inside.say(1, Notice("programme", "It is about to begin.", 200))
    assert inside.session.tick_ms == 500


def test_an_act_is_asked_for_until_it_is_answered_also_under_the_next_login(inside: Stage) -> None:
    n = inside.session.act("hang", inside.now_s, "wish")
    assert inside.lines() == ["say 1 Act", "PLAYING"]
    assert inside.hears(1, 2) == ["say 1 Act", "PLAYING"]
    inside.say(1, Done(n, reason="busy"))  # a reason that passes
    assert inside.hears(1, 2) == ["say 1 Act", "PLAYING"]
    inside.lose(1)
    inside.later(0)
    inside.challenge(2)
    assert inside.welcome(2) == ["say 2 Act", "PLAYING"]
    asked = [message for message in inside.said if isinstance(message, Act)]
    assert len(set(asked)) == 1
    assert len(asked[0].name) == 16
    inside.say(2, Done(n, durable="standby", id=b"o" * 16))
    assert inside.hears(2, 2) == ["PLAYING"]
    assert inside.session.acts_open == 0


def test_an_act_stays_where_it_was_first_asked_for(inside: Stage) -> None:
    inside.session.act("hang", inside.now_s, "wish")
    inside.session.steer(Pose(1_500, 2_500))
    inside.lose(1)
    inside.session.act("hang", inside.now_s, "another")  # nobody hears it yet
    inside.later(0)
    inside.challenge(2)
    inside.welcome(2, Pose(1_400, 2_400), seq=1)
    asked = [message for message in inside.said if isinstance(message, Act)]
    assert [(act.n, act.east_cm, act.north_cm) for act in asked] == [
        (1, HERE.east_cm, HERE.north_cm),
        (1, HERE.east_cm, HERE.north_cm),
        (2, 1_400, 2_400),
    ]


def test_an_act_refused_for_good_is_not_asked_for_again(inside: Stage) -> None:
    n = inside.session.act("hang", inside.now_s, "wish")
    inside.lines()
    inside.say(1, Done(n, reason="yours_full"))
    assert inside.session.acts_open == 0


def test_what_a_node_keeps_is_not_asked_for_again(inside: Stage) -> None:
    n = inside.session.act("hang", inside.now_s, "wish", keep=True)
    assert inside.lines() == ["say 1 Act", "PLAYING"]
    assert [message.keep for message in inside.said if isinstance(message, Act)] == [True]
    inside.say(1, Done(n, durable="pending", id=b"o" * 16))
    assert inside.session.acts_open == 0
    assert inside.hears(1, 2) == ["PLAYING"]
    inside.say(1, Done(n, durable="standby", id=b"o" * 16))
    assert inside.session.playing


def test_acts_have_a_bound(inside: Stage) -> None:
    for _ in range(ACTS_MAX):
        inside.session.act("ring", inside.now_s)
    with pytest.raises(LocalError, match="wait for one"):
        inside.session.act("ring", inside.now_s)


def test_two_sessions_of_one_person_name_their_acts_differently(stage: Stage) -> None:
    other = Session(stage.keys, Profile("Mina"), [URL_A], b"other entropy", HERE)
    for session in (stage.session, other):
        session.act("ring", 0.0)
    names = [session._acts.due(HERE, 10.0)[0].name for session in (stage.session, other)]
    assert names[0] != names[1]


def test_leaving_closes_everything_and_stays_out(inside: Stage) -> None:
    inside.moved(1)
    inside.session.leave()
    assert inside.lines() == ["close 1", "close 2", "OUT"]
    assert inside.later(60) == ["OUT"]


def test_a_session_needs_somewhere_to_go() -> None:
    with pytest.raises(LocalError, match="url"):
        Session(PersonKeys.from_seed(bytes(32)), Profile("Mina"), [], b"entropy")


# ---- voices


def test_what_is_said_is_signed_and_stamped_with_the_nodes_time(inside: Stage) -> None:
    inside.later(1.0)
    ms = inside.session.server_ms(inside.now_s)
    assert ms == inside.wall_ms
    inside.session.say("near", "안녕하세요", inside.now_s)
    inside.session.say("direct", "hello", inside.now_s, avatar=7)
    assert inside.lines() == ["say 1 Say", "say 1 Say", "PLAYING"]
    first, second = (message for message in inside.said if isinstance(message, Utterance))
    assert (first.channel, first.text, first.ms) == ("near", "안녕하세요", ms)
    assert (second.channel, second.avatar) == ("direct", 7)
    assert first.n != second.n
    assert all(verify_said(inside.keys.public, one) for one in (first, second))


def test_a_drum_and_a_ride_go_out_as_they_are_and_nothing_is_said_to_nobody(stage: Stage) -> None:
    stage.session.beat(1, 2)
    stage.session.go("bus")
    assert stage.lines() == ["OUT"]
    assert stage.session.counters["unsaid"] == 2
    stage.enter()
    stage.session.beat(5_150, 2)
    stage.session.go("bus")
    stage.session.go_to(7)
    stage.session.ask([7, 8])
    assert stage.lines() == ["say 1 Beat", "say 1 Go", "say 1 Go", "say 1 Who", "PLAYING"]
    assert stage.said[-4:] == [Beat(5_150, 2), Go("bus"), Go("friend", 7), Who((7, 8))]


def test_who_is_blocked_is_not_heard_and_every_later_node_is_told_of_them_and_of_friends(
    inside: Stage,
) -> None:
    inside.session.block(7)
    inside.session.block(8)
    inside.session.block(8, False)
    inside.session.group(b"g" * 16)
    inside.session.friend(9)
    inside.session.friend(10)
    inside.session.friend(10, False)
    inside.lines()
    assert not inside.session.said(1, Beat(5_000, 0, 7), inside.now_s, inside.wall_ms)
    assert inside.session.said(1, Beat(5_000, 0, 8), inside.now_s, inside.wall_ms)
    inside.said.clear()
    assert inside.moved(1) == [f"open 2 {URL_B}", "BOTH"]
    inside.challenge(2)
    assert inside.welcome(2) == ["close 1", "say 2 Group", "say 2 Block", "say 2 Friend", "PLAYING"]
    assert inside.said[-3:] == [Group(b"g" * 16), Block(7), Friend(9)]


def test_what_nobody_has_heard_is_said_again_at_the_next_node_and_nothing_is_heard_twice(
    inside: Stage,
) -> None:
    for text in ("one", "two", "three", "three"):
        inside.session.say("near", text, inside.now_s)
    assert inside.lines() == ["say 1 Say"] * 4 + ["PLAYING"]
    says = [message for message in inside.said if isinstance(message, Utterance)]
    assert len({say.sig for say in says}) == 4

    def echo(conn: int, say: Utterance) -> bool:
        key, me = inside.session.signer.public, inside.session.id
        said = Said(me, key, "me", say.channel, say.text, say.ms, say.sig, 0, 0)
        return inside.session.said(conn, said, inside.now_s, inside.wall_ms)

    inside.say(1, Notice("say-rate"))  # of the first
    assert echo(1, says[1])
    assert not echo(1, says[1])
    inside.moved(1)
    inside.said.clear()
    inside.challenge(2)
    assert not echo(2, says[2])  # from a node that has not welcomed us yet
    assert inside.welcome(2).count("say 2 Say") == 2
    assert inside.said[-2:] == says[2:]
    assert echo(2, says[2])
    inside.session.heard(2, 640, inside.now_s)
    inside.later(0.5)
    inside.session.say("near", "five", inside.now_s)
    inside.lines()
    inside.moved(2)
    inside.said.clear()
    inside.challenge(3)
    inside.welcome(3)
    assert [say.text for say in inside.said if isinstance(say, Utterance)] == ["three", "five"]


def test_what_was_said_long_ago_is_not_said_again(inside: Stage) -> None:
    inside.session.say("near", "hello", inside.now_s)
    inside.lines()
    for _ in range(11):
        inside.session.heard(1, 640, inside.now_s)
        inside.later(1.0)
    inside.moved(1)
    inside.challenge(2)
    assert "say 2 Say" not in inside.welcome(2)


def test_a_new_node_is_told_of_many_blocks_a_few_a_second(inside: Stage) -> None:
    for avatar in range(1, 13):
        inside.session.block(avatar)
    inside.lines()
    inside.moved(1)
    inside.challenge(2)
    told = [inside.welcome(2).count("say 2 Block")]
    for _ in range(3):
        assert told[-1] < 5 or inside.session.deadline_s <= inside.now_s + 1.0
        inside.session.heard(2, 640, inside.now_s)
        told.append(inside.later(1.0).count("say 2 Block"))
    assert told == [5, 5, 2, 0]


def test_why_a_node_moved_the_avatar_is_known(inside: Stage) -> None:
    assert inside.session.placed == "welcome"
    inside.say(1, Correct(0, Pose(5, 6), "wall"))
    assert (inside.session.placed, inside.session.pose) == ("wall", Pose(5, 6))


def test_the_nodes_time_is_as_true_as_the_quickest_frame(inside: Stage) -> None:
    """WELCOME said 640 ms of the node's clock at 5 000 Unix ms; it was 300 ms on its way, and a frame only 10."""
    inside.session.heard(1, 640 + 1_000 + 290, inside.now_s + 1.0)
    assert inside.session.server_ms(inside.now_s + 1.0) == inside.wall_ms + 1_290
    inside.session.heard(1, 640 + 2_000, inside.now_s + 2.0)  # a late one says less, and changes nothing
    inside.session.heard(1, 600, inside.now_s + 2.0)  # older than WELCOME: another count
    assert inside.session.server_ms(inside.now_s + 2.0) == inside.wall_ms + 2_290
