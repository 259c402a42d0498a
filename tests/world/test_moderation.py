"""Reports that prove themselves, and moderators' orders: who may give them, what they do, how they spread and end."""

from __future__ import annotations

import dataclasses
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.crypto.keys import Signer, sign_say
from p2pworld.errors import LocalError, Refusal
from p2pworld.geometry import Cell
from p2pworld.grants import Grant, sign_grant
from p2pworld.ids import Incarnation, Login
from p2pworld.limits import REPORT_KEPT_MS, REPORTS_PER_MINUTE, SANCTION_LONGEST_MS
from p2pworld.messages import (
    Act,
    Beat,
    Bye,
    Correct,
    Done,
    Go,
    Instant,
    Notice,
    Objects,
    Pose,
    Report,
    Said,
    SaveRecord,
    ToPeer,
    Welcome,
)
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.acts import Asked
from p2pworld.world.moderation import (
    REMOVED_MS,
    Moderation,
    Sanction,
    pack_sanction,
    read_sanction,
    sanction_id,
    sign_asking,
    sign_sanction,
    subject_of,
    until_words,
)
from p2pworld.world.outbox import Outbox
from shard_node.declared import load
from tests.world.cores import Cores, Player, last_bye

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from p2pworld.messages import PlayMessage

EAST, NORTH = landmark("Bosingak").position_cm
GROUND = Cell.at(EAST, NORTH, 7)
NOW_MS = 1_763_900_000_000
HOUR, DAY = 3_600_000, 86_400_000
ROOT, MODERATOR, OFFICIAL = (Signer.from_seed(bytes([n]) * 32) for n in (201, 202, 203))
SPEECH = count(1)
DURABLE = ("disk", "standby")
SELF_MADE = sign_grant(MODERATOR, MODERATOR.public, "moderator", ("cells:*",), 0, NOW_MS * 2)


def granted(
    subject: Signer = MODERATOR,
    role: str = "moderator",
    scope: str = "cells:*",
    until_ms: int = NOW_MS + 300 * DAY,
) -> tuple[Grant, ...]:
    return (sign_grant(ROOT, subject.public, role, (scope,), NOW_MS - 200 * DAY, until_ms),)


GRANT = granted()


@pytest.fixture
def city() -> Cores:
    return Cores([[GROUND], []], 1, NOW_MS, roots=frozenset({ROOT.public}))


def order(
    city: Cores, action: str, subject: bytes, scope: str = "city", length_ms: int = HOUR, house: int = 0
) -> Sanction:
    """A good order, given to one node."""
    now_ms = city.now.wall_ms
    signed = sign_sanction(MODERATOR, GRANT, action, subject, scope, now_ms, now_ms + length_ms, "insult")
    taken = city.houses[house].node.order(pack_sanction(signed), city.now)
    assert taken == signed
    city.settle()
    return signed


def talk(city: Cores, player: Player, text: str = "안녕") -> str:
    """What came of speaking: `said`, or the code of the notice."""
    heard = player.say(sign_say(player.keys, next(SPEECH), "near", text, city.now.wall_ms))
    (answer,) = [m for m in heard if isinstance(m, (Said, Notice))]
    city.tick(10)  # speaking has its rate
    return answer.code if isinstance(answer, Notice) else "said"


def two(city: Cores) -> tuple[Player, Player]:
    """One person on each node."""
    return city.player(0, Pose(EAST, NORTH)), city.player(1, Pose(EAST + 100_000, NORTH), 1)


# ---- reports


def heard_words(city: Cores) -> tuple[Player, Player, Said]:
    loud, other = city.player(0, Pose(EAST, NORTH)), city.player(1, Pose(EAST + 200, NORTH))
    loud.say(sign_say(loud.keys, 1, "near", "rude words", city.now.wall_ms))
    (said,) = other.of(Said)
    return loud, other, said


def test_a_report_is_on_the_disk_before_it_is_answered_and_a_retry_files_it_once(city: Cores) -> None:
    _, other, said = heard_words(city)
    (done,) = other.say(Report(7, said, "this hurts"))
    assert isinstance(done, Done)
    assert (done.n, done.durable, len(done.id)) == (7, "disk", 16)
    (again,) = other.say(Report(8, said, "this hurts"))
    assert again == Done(8, "disk", done.id)
    records = [w for w in city.houses[0].disk if isinstance(w, SaveRecord)]
    assert [(r.kind, r.id) for r in records] == [("report", done.id)]
    assert b"rude words" in records[0].data
    assert b"this hurts" in records[0].data


def test_what_the_disk_refuses_is_not_filed_and_may_be_reported_again(city: Cores) -> None:
    _, other, said = heard_words(city)
    city.houses[0].disk_broken = True
    (done,) = other.say(Report(1, said))
    assert isinstance(done, Done)
    assert (done.durable, done.reason) == ("", "disk")
    city.houses[0].disk_broken = False
    (done,) = other.say(Report(2, said))
    assert isinstance(done, Done)
    assert done.durable == "disk"


@pytest.mark.parametrize("change", [{"text": "words never said"}, {"id": 5}, {"ms": 1}, {"key": bytes(32)}])
def test_words_that_were_not_said_cannot_be_reported(city: Cores, change: dict[str, object]) -> None:
    _, other, said = heard_words(city)
    (done,) = other.say(Report(1, dataclasses.replace(said, **change)))  # type: ignore[arg-type]
    assert isinstance(done, Done)
    assert done.reason == "report-signature"
    assert records(city.houses[0].disk) == {}


def test_reports_have_a_rate(city: Cores) -> None:
    loud, other, _ = heard_words(city)
    answers = []
    for n in range(REPORTS_PER_MINUTE + 1):
        city.tick(11)
        loud.say(sign_say(loud.keys, 10 + n, "near", f"more {n}", city.now.wall_ms))
        (done,) = other.say(Report(n, other.of(Said)[-1]))
        assert isinstance(done, Done)
        answers.append(done.reason)
    assert answers == [""] * REPORTS_PER_MINUTE + ["report-rate"]


def test_reports_are_shown_to_moderators_once_for_each_request(city: Cores) -> None:
    loud, other, said = heard_words(city)
    other.say(Report(1, said, "why"))
    node, now = city.houses[0].node, city.now
    asking = sign_asking(MODERATOR, GRANT, "reports", node.who.node, now.wall_ms)
    shown = node.reports(asking, now)
    assert not isinstance(shown, Refusal)
    ((_, filed),) = shown
    assert (filed.said, filed.by, filed.why) == (said, other.avatar, "why")
    assert filed.said.key == loud.keys.public

    def refused(one: object) -> str:
        answer = node.reports(one, now)  # type: ignore[arg-type]
        assert isinstance(answer, Refusal)
        return answer.reason

    assert refused(asking) == "replay"
    assert refused(sign_asking(MODERATOR, GRANT, "reports", node.who.node, now.wall_ms - 61_000)) == "replay"
    assert refused(sign_asking(MODERATOR, GRANT, "reports", bytes(32), now.wall_ms)) == "other"
    later = now.wall_ms + 1
    assert refused(sign_asking(OFFICIAL, GRANT, "reports", node.who.node, later)) == "grant-subject"
    official = granted(OFFICIAL, "official")
    assert refused(sign_asking(OFFICIAL, official, "reports", node.who.node, later)) == "grant-role"
    narrow = granted(scope="places:deoksugung")
    assert refused(sign_asking(MODERATOR, narrow, "reports", node.who.node, later)) == "grant-scope"
    stolen = dataclasses.replace(sign_asking(MODERATOR, GRANT, "reports", node.who.node, later), ms=later + 1)
    assert refused(stolen) == "signature"


# ---- who may order what


def attempt(signed: Sanction, now_ms: int = NOW_MS, from_node: bool = False) -> str:
    """What a node says to an order: its action, or the reason why not."""
    machine = Moderation(frozenset({ROOT.public}), Outbox())
    source = Incarnation(bytes(32), 1) if from_node else None
    taken = machine.receive(pack_sanction(signed), Instant(5.0, now_ms), (), source)
    return taken.reason if isinstance(taken, Refusal) else taken.action


def make(
    action: str = "mute",
    subject: bytes = bytes(32),
    scope: str = "city",
    from_ms: int = NOW_MS,
    length_ms: int = HOUR,
    reason: str = "spam",
    chain: tuple[Grant, ...] = GRANT,
    issuer: Signer = MODERATOR,
) -> Sanction:
    return sign_sanction(issuer, chain, action, subject, scope, from_ms, from_ms + length_ms, reason)


def test_a_good_order_is_taken() -> None:
    assert attempt(make()) == "mute"
    assert attempt(make("expunge", bytes(16))) == "expunge"
    assert attempt(make(scope="place:deoksugung", chain=granted(scope="places:deoksugung"))) == "mute"
    assert attempt(make(chain=granted(scope="places:*"))) == "mute"


@pytest.mark.parametrize(
    ("why", "signed"),
    [
        ("action", make("tickle")),
        ("subject", make(subject=bytes(16))),
        ("subject", make("expunge", bytes(32))),
        ("scope", make(scope="place:")),
        ("scope", make(scope="district:1")),
        ("scope", make("expunge", bytes(16), "place:deoksugung")),
        ("reason", make(reason="Because I can")),
        ("span", make(length_ms=SANCTION_LONGEST_MS + 1)),
        ("span", make(length_ms=0)),
        ("expired", make(from_ms=NOW_MS - 2 * HOUR)),
        ("clock", make(from_ms=NOW_MS + HOUR)),
        ("clock", make(from_ms=NOW_MS - HOUR, length_ms=DAY)),
        ("grant-role", make(chain=granted(role="official"))),
        ("grant-subject", make(issuer=OFFICIAL)),
        ("grant-expired", make(chain=granted(until_ms=NOW_MS))),
        ("grant-scope", make(chain=granted(scope="places:deoksugung"))),
        ("grant-scope", make(scope="place:bosingak", chain=granted(scope="places:deoksugung"))),
        ("grant-root", make(chain=(SELF_MADE,))),
        ("signature", dataclasses.replace(make(), subject=bytes([1]) * 32)),
        ("signature", dataclasses.replace(make(), until_ms=NOW_MS + 2 * HOUR)),
        ("signature", dataclasses.replace(make(), action="ban")),
        ("grant-signature", make(chain=(dataclasses.replace(GRANT[0], sig=bytes(64)),))),
    ],
)  # fmt: skip
def test_an_order_that_does_not_hold_is_refused_with_its_reason(why: str, signed: Sanction) -> None:
    assert attempt(signed) == why


def test_what_is_no_order_is_malformed() -> None:
    machine = Moderation(frozenset({ROOT.public}), Outbox())
    for data in (b"", b"\x80", b"\xc1", bytes(20_000), pack_sanction(make())[:-1]):
        taken = machine.receive(data, Instant(5.0, NOW_MS), ())
        assert isinstance(taken, Refusal)
        assert taken.reason == "malformed"


def test_between_nodes_an_order_holds_as_long_as_it_says_whatever_became_of_the_grant() -> None:
    signed = make(from_ms=NOW_MS - DAY, length_ms=10 * DAY, chain=granted(until_ms=NOW_MS - HOUR))
    assert attempt(signed) == "clock"
    assert attempt(signed, from_node=True) == "mute"
    late = make(from_ms=NOW_MS - DAY, length_ms=10 * DAY, chain=granted(until_ms=NOW_MS - 2 * DAY))
    assert attempt(late, from_node=True) == "grant-expired"


def test_an_order_reads_back() -> None:
    signed = make()
    assert read_sanction(pack_sanction(signed)) == signed
    other_chain = dataclasses.replace(signed, chain=granted(scope="places:*"))
    assert sanction_id(other_chain) == sanction_id(signed)


def test_subjects_in_text() -> None:
    assert subject_of("ab" * 32, "mute") == b"\xab" * 32
    assert subject_of("AB" * 16, "expunge") == b"\xab" * 16
    for text, action in (("ab" * 16, "mute"), ("ab" * 32, "expunge"), ("xy" * 32, "ban")):
        with pytest.raises(LocalError, match="hex digits"):
            subject_of(text, action)
    assert until_words(0) == "1970-01-01 09:00"


kinds = st.sampled_from(("mute", "ban", "remove", "lift"))
scopes = st.sampled_from(("city", "place:here", "place:there"))
given_orders = st.lists(st.tuples(kinds, scopes, st.integers(0, 5), st.integers(1, 9)), max_size=6)


@settings(max_examples=40)
@given(given_orders, st.randoms(use_true_random=False), st.integers(0, 12))
def test_what_is_in_force_does_not_depend_on_the_order_of_hearing(
    orders: list[tuple[str, str, int, int]], rng: Random, later_min: int
) -> None:
    signed = [
        make(action, scope=scope, from_ms=NOW_MS + at * 60_000, length_ms=length * 60_000)
        for action, scope, at, length in orders
    ]
    heard = signed + signed[::2]
    rng.shuffle(heard)
    one, other = (Moderation(frozenset({ROOT.public}), Outbox()) for _ in range(2))
    for machine, told in ((one, signed), (other, heard)):
        for order_ in told:
            machine.receive(pack_sanction(order_), Instant(5.0, NOW_MS), ())
    now_ms = NOW_MS + later_min * 60_000
    for ask in (
        lambda m: m.muted(bytes(32), "here", now_ms),
        lambda m: m.muted(bytes(32), None, now_ms),
        lambda m: m.barred(bytes(32), now_ms),
        lambda m: sorted(m.kept_out(now_ms), key=repr),
    ):
        assert ask(one) == ask(other)
    # the rule, said once more and slowly
    mutes = [
        (scope, at)
        for action, scope, at, length in orders
        if action == "mute" and later_min < at + length and scope in ("city", "place:here")
    ]
    lifts = [(scope, at) for action, scope, at, _ in orders if action == "lift"]
    holding = [
        (scope, at) for scope, at in mutes if not any(b >= at and s in ("city", scope) for s, b in lifts)
    ]
    assert (one.muted(bytes(32), "here", now_ms) is not None) == bool(holding)


# ---- what orders do


def test_who_is_muted_is_told_until_when_on_every_node_and_nobody_else_is(city: Cores) -> None:
    here, there = two(city)
    signed = order(city, "mute", there.keys.public, house=0)
    assert talk(city, there) == "muted"
    notice = there.of(Notice)[-1]
    assert until_words(signed.until_ms) in notice.sentence
    assert "insult" in notice.sentence
    assert talk(city, here) == "said"


def asked(city: Cores, player: Player, act: Act) -> str:
    """What came of an act: how durable it is, or the reason why not."""
    player.say(act)
    city.tick(2)
    done: Done = player.of(Done)[-1]
    assert done.n == act.n
    return done.durable or done.reason


def words_at(n: int, verb: str, at: Pose) -> Act:
    """Words to be put up there."""
    return Act(n, verb, "words", east_cm=at.east_cm, north_cm=at.north_cm)


def beat(city: Cores, player: Player) -> list[PlayMessage]:
    """What came of a beat of the drum, at once."""
    return [m for m in player.say(Beat(city.now.wall_ms + 100, 1)) if isinstance(m, (Beat, Notice))]


def test_who_is_muted_puts_up_no_words_and_beats_no_drum(city: Cores) -> None:
    here, there = two(city)
    signed = order(city, "mute", there.keys.public, house=0)
    assert asked(city, there, Act(1, "hang", "a rude wish")) == "muted"
    assert until_words(signed.until_ms) in there.of(Done)[-1].sentence
    assert asked(city, there, Act(2, "note", "a rude note")) == "muted"
    assert asked(city, there, Act(3, "hang")) in DURABLE
    assert asked(city, there, Act(4, "ring")) in DURABLE
    (notice,) = beat(city, there)
    assert isinstance(notice, Notice)
    assert (notice.code, until_words(signed.until_ms) in notice.sentence) == ("muted", True)
    assert beat(city, there) == []  # told once, not at each beat
    city.tick(60)
    assert [type(m) for m in beat(city, there)] == [Notice]
    assert asked(city, here, Act(1, "hang", "a kind wish")) in DURABLE
    assert [type(m) for m in beat(city, here)] == [Beat]


def test_who_is_muted_at_one_place_puts_up_words_elsewhere() -> None:
    places = load(None)
    east_cm, north_cm = places.by_id["seoul-plaza"].spawns[0].at
    city = Cores(
        [[Cell.at(east_cm, north_cm, 7)], []], 1, NOW_MS, roots=frozenset({ROOT.public}), places=places
    )
    here = city.player(0, Pose(east_cm, north_cm))
    order(city, "mute", here.keys.public, "place:seoul-plaza")
    assert asked(city, here, Act(1, "hang", "wish")) == "muted"
    away = Pose(east_cm + 20_000, north_cm)
    assert places.at(away.east_cm, away.north_cm) != places.by_id["seoul-plaza"]
    assert asked(city, here, words_at(2, "hang", away)) in DURABLE
    here.pose = away
    assert asked(city, here, words_at(3, "hang", Pose(east_cm, north_cm))) == "muted"


def test_words_for_another_node_s_ground_are_refused_at_home_and_there(city: Cores) -> None:
    """`ActFor`: the node of the muted person knows the order, or only the one that holds the ground does."""
    border_cm = GROUND.bounds_cm()[2]
    beyond = Pose(border_cm - 500, NORTH)
    near = city.player(8, beyond)
    guest = city.player(7, Pose(border_cm + 500, NORTH), 1)
    assert (city.owners(near), city.owners(guest)) == ([0], [1])
    home = city.houses[1].node.parts
    assert asked(city, guest, words_at(1, "hang", beyond)) in DURABLE
    order(city, "mute", guest.keys.public, house=0)
    assert asked(city, guest, words_at(2, "hang", beyond)) == "muted"
    assert home.counters["acts-passed-on"] == 1  # that of before
    orders, home.moderation = home.moderation, Moderation(frozenset(), Outbox())  # it has not heard of it
    assert asked(city, guest, words_at(3, "note", beyond)) == "muted"
    assert home.counters["acts-passed-on"] == 2
    guest.say(sign_say(guest.keys, 1, "near", "psst", city.now.wall_ms))
    guest.say(Beat(city.now.wall_ms + 100, 1))
    assert (len(guest.of(Said)), len(guest.of(Beat))) == (1, 1)  # let by at home
    assert (near.of(Said), near.of(Beat)) == ([], [])
    home.moderation = orders
    city.tick()
    order(city, "lift", guest.keys.public, house=0)
    guest.say(sign_say(guest.keys, 2, "near", "hello", city.now.wall_ms))
    guest.say(Beat(city.now.wall_ms + 100, 1))
    assert [said.text for said in near.of(Said)] == ["hello"]
    assert len(near.of(Beat)) == 1


def test_an_order_ends_by_itself(city: Cores) -> None:
    here, _ = two(city)
    order(city, "mute", here.keys.public, length_ms=2_000)
    assert talk(city, here) == "muted"
    city.tick(10)
    assert talk(city, here) == "said"


def test_a_lift_ends_it_and_what_is_ordered_after_holds_again(city: Cores) -> None:
    here, _ = two(city)
    first = order(city, "mute", here.keys.public)
    city.tick()
    order(city, "lift", here.keys.public, house=1)
    assert talk(city, here) == "said"
    assert city.houses[0].node.order(pack_sanction(first), city.now) == first  # a replay
    assert talk(city, here) == "said"
    order(city, "mute", here.keys.public)
    assert talk(city, here) == "muted"


def test_a_lift_of_one_place_leaves_the_city_alone(city: Cores) -> None:
    here, _ = two(city)
    order(city, "mute", here.keys.public)
    city.tick()
    order(city, "lift", here.keys.public, "place:bosingak")
    assert talk(city, here) == "muted"


def test_who_is_banned_leaves_at_once_and_gets_in_nowhere(city: Cores) -> None:
    here, there = two(city)
    order(city, "ban", there.keys.public, length_ms=30 * DAY)
    bye = last_bye(there)
    assert bye.code == "banned"
    assert "until" in bye.reason
    assert there.at is None
    for house in city.houses:
        again = Player(city, 1, there.pose)
        again.come(house)
        assert [type(m).__name__ for m in again.heard] == ["Challenge", "Bye"]
        assert last_bye(again).code == "banned"
    assert here.of(Bye) == []
    city.tick()
    order(city, "lift", there.keys.public)
    again = Player(city, 1, there.pose)
    again.come(city.houses[1])
    assert again.of(Welcome)


def test_who_is_removed_may_come_back_after_ten_minutes(city: Cores) -> None:
    here, _ = two(city)
    order(city, "remove", here.keys.public, length_ms=DAY)
    assert last_bye(here).code == "removed"
    city.now = Instant(city.now.boot_s, city.now.wall_ms + REMOVED_MS - 1)
    early = Player(city, 0, here.pose)
    early.come(city.houses[0])
    assert last_bye(early).code == "removed"
    city.now = Instant(city.now.boot_s, city.now.wall_ms + 1)
    back = Player(city, 0, here.pose)
    back.come(city.houses[0])
    assert back.of(Welcome)


def test_an_order_for_one_place_holds_there(city: Cores) -> None:
    place = city.houses[0].node.parts.place_of(EAST, NORTH)
    assert place == "Bosingak"  # a landmark without a declaration; its name stands for an id
    machine = city.houses[0].node.parts.moderation
    here = city.player(0, Pose(EAST, NORTH))
    order(city, "mute", here.keys.public, "place:bosingak")
    assert machine.muted(here.keys.public, "bosingak", city.now.wall_ms) is not None
    assert machine.muted(here.keys.public, "deoksugung", city.now.wall_ms) is None
    assert machine.muted(here.keys.public, None, city.now.wall_ms) is None
    assert machine.barred(here.keys.public, city.now.wall_ms) is None
    order(city, "remove", here.keys.public, "place:bosingak")
    ((avatar, where, why),) = machine.kept_out(city.now.wall_ms)
    assert (avatar, where, why.reason) == (here.avatar, "bosingak", "removed")
    city.now = Instant(city.now.boot_s, city.now.wall_ms + REMOVED_MS)
    assert machine.kept_out(city.now.wall_ms) == []


def test_who_may_not_be_at_a_place_is_shown_out_of_it_and_kept_out() -> None:
    places = load(None)
    plaza = places.by_id["seoul-plaza"]
    east_cm, north_cm = plaza.spawns[0].at
    city = Cores(
        [[Cell.at(east_cm, north_cm, 7)], []], 1, NOW_MS, roots=frozenset({ROOT.public}), places=places
    )
    here = city.player(0, Pose(east_cm, north_cm))
    order(city, "ban", here.keys.public, "place:seoul-plaza")
    city.tick()
    assert here.at is not None
    assert here.of(Correct)[-1].reason == "go"
    assert places.at(here.pose.east_cm, here.pose.north_cm) != plaza
    notice = here.of(Notice)[-1]
    assert (notice.code, "at seoul-plaza until" in notice.sentence) == ("removed", True)
    here.say(Go("seoul-plaza"))
    city.tick()
    assert places.at(here.pose.east_cm, here.pose.north_cm) != plaza


def lantern(city: Cores, player: Player) -> bytes:
    n = next(SPEECH)
    player.say(Act(n, "hang", "a rude wish"))
    (done,) = [m for m in player.of(Done) if m.n == n]
    assert done.durable == "disk"
    city.tick()
    return bytes(done.id)


def test_an_object_is_taken_down_for_good_wherever_it_is(city: Cores) -> None:
    here, there = two(city)
    mine, theirs = lantern(city, here), lantern(city, there)
    order(city, "expunge", theirs, house=0)
    city.tick(2)
    assert theirs in there.of(Objects)[-1].gone
    late = city.player(5, Pose(EAST + 100_100, NORTH), 1)
    city.tick(2)
    assert {o.id for message in late.of(Objects) for o in message.objects} == set()
    assert all(mine not in message.gone for message in here.of(Objects))


def test_an_object_that_comes_after_the_order_is_refused(city: Cores) -> None:
    here, _ = two(city)
    assert here.login is not None
    hang = Act(next(SPEECH), "hang", "a rude wish")
    lantern_id = Asked(here.avatar, here.login.ms, hang, here.pose).key
    order(city, "expunge", lantern_id)
    here.say(hang)
    city.tick(60)
    assert here.of(Done)[-1].reason == "expunged"
    assert all(message.objects == () for message in here.of(Objects))


def test_an_object_that_comes_with_a_copy_after_the_order_is_taken_down_when_it_is_seen(city: Cores) -> None:
    here, _ = two(city)
    node, login = city.houses[0].node, Login(1_000, bytes(16))
    hang = Act(1, "hang", "a rude wish")
    lantern_id = Asked(77, login.ms, hang, here.pose).key
    order(city, "expunge", lantern_id)
    cell = node.city_map.leaf_at(here.pose.east_cm, here.pose.north_cm)
    node.parts.objects.act(77, login, -1, hang, here.pose, cell, False, node.parts.out, city.now)
    city.tick(60)
    assert [o.id for message in here.of(Objects) for o in message.objects] == [lantern_id]
    assert here.of(Objects)[-1].gone == (lantern_id,)
    assert city.houses[0].node.all_counters()["expunging"] == 1


# ---- how they spread and last


def records(writes: Iterable[object]) -> dict[tuple[str, bytes], SaveRecord]:
    """What a disk holds after these writes."""
    kept: dict[tuple[str, bytes], SaveRecord] = {}
    for write in writes:
        if isinstance(write, SaveRecord):
            kept[write.kind, write.id] = write
            if not write.data:
                del kept[write.kind, write.id]
    return kept


def test_a_node_that_was_away_learns_them_when_it_is_linked_again(city: Cores) -> None:
    _, there = two(city)
    city.link({1: True})
    order(city, "mute", there.keys.public, house=0)
    assert talk(city, there) == "said"
    city.link()
    assert talk(city, there) == "muted"
    assert len(records(city.houses[1].disk)) == 1


def test_a_restart_keeps_orders_and_reports(city: Cores) -> None:
    _, other, said = heard_words(city)
    other.say(Report(1, said))
    order(city, "mute", other.keys.public)
    house = city.houses[0]
    kept = records(house.disk)
    assert sorted(kind for kind, _ in kept) == ["report", "sanction"]
    house.linked.clear()
    house.sockets.clear()
    house.start(city.now, records=kept.values())
    city.players.clear()
    city.tick(5)
    back = city.player(1, Pose(EAST, NORTH))
    assert talk(city, back) == "muted"
    asking = sign_asking(MODERATOR, GRANT, "reports", house.node.who.node, city.now.wall_ms)
    shown = house.node.reports(asking, city.now)
    assert not isinstance(shown, Refusal)
    assert [filed.said for _, filed in shown] == [said]


def test_damaged_and_ended_records_are_not_taken_up() -> None:
    good, forged = make(), dataclasses.replace(make(), action="ban")
    saved = [
        SaveRecord("sanction", b"1" * 16, pack_sanction(good)),
        SaveRecord("sanction", b"2" * 16, pack_sanction(forged)),
        SaveRecord("report", b"3" * 16, b"\x80"),
    ]
    machine = Moderation(frozenset({ROOT.public}), Outbox(), saved, NOW_MS)
    assert machine.status() == {"orders": 1, "reports": 0, "orders_unsaved": 0}
    later = Moderation(frozenset({ROOT.public}), Outbox(), saved, NOW_MS + HOUR)
    assert later.status()["orders"] == 0


def test_what_is_known_is_neither_written_nor_passed_on_again(city: Cores) -> None:
    here, _ = two(city)
    signed = order(city, "mute", here.keys.public)
    before = len(city.houses[0].disk), len(city.houses[1].disk)
    city.houses[1].node.order(pack_sanction(signed), city.now)
    ready = city.houses[1].node.ready()
    assert ready is None or not any(isinstance(send, ToPeer) for send in ready.sends)
    city.settle()
    assert (len(city.houses[0].disk), len(city.houses[1].disk)) == before


def test_an_order_that_the_disk_refused_is_obeyed_and_written_later(city: Cores) -> None:
    here, _ = two(city)
    house = city.houses[0]
    house.disk_broken = True
    order(city, "mute", here.keys.public)
    assert talk(city, here) == "muted"
    assert records(house.disk) == {}
    house.disk_broken = False
    city.tick(60)
    assert len(records(house.disk)) == 1
    assert house.node.parts.moderation.status()["orders_unsaved"] == 0


def test_what_is_over_is_forgotten_on_the_disk_too(city: Cores) -> None:
    _, other, said = heard_words(city)
    other.say(Report(1, said))
    order(city, "mute", other.keys.public, length_ms=2_000)
    house = city.houses[0]
    assert len(records(house.disk)) == 2
    city.tick(620)
    assert [kind for kind, _ in records(house.disk)] == ["report"]
    city.now = Instant(city.now.boot_s, city.now.wall_ms + REPORT_KEPT_MS)
    city.tick(620)
    assert records(house.disk) == {}
    assert house.node.parts.moderation.status()["reports"] == 0


def test_a_node_without_roots_obeys_nobody() -> None:
    machine = Moderation(frozenset(), Outbox())
    taken = machine.receive(pack_sanction(make()), Instant(5.0, NOW_MS), ())
    assert isinstance(taken, Refusal)
    assert taken.reason == "grant-root"
