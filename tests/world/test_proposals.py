"""What one node proposes of a given map: each kind of change, what it leaves alone, and whose turn it is."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from p2pworld.errors import Refusal
from p2pworld.geometry import LEVEL_MAX, Cell
from p2pworld.ids import Incarnation
from p2pworld.limits import REVOKED_TURN_S
from p2pworld.membership import LeaseJudge
from p2pworld.world import citymap
from p2pworld.world.citymap import EMPTY, CityMap, Member, Wish, WishKind, steps
from p2pworld.world.proposals import ORPHAN_WAIT_S, Proposals, StreamClaim, Wants

if TYPE_CHECKING:
    from collections.abc import Collection

    import pytest

    from p2pworld.world.asking import Propose

TTL_S = 2.0
NOW_S = 100.0


def member(letter: str, incarnation: int = 1) -> Member:
    return Member(letter.encode() * 32, incarnation, "tls://link", "ws://play", "http://web")


A, B, C = member("a"), member("b"), member("c")
MINE, OURS, THEIRS = (Cell.from_quadkey(quadkey) for quadkey in ("00", "01", "02"))


def made(result: CityMap | Refusal) -> CityMap:
    assert not isinstance(result, Refusal), result
    return result


def founded() -> CityMap:
    """A holds MINE (guarded by B) and OURS (by nobody), B holds THEIRS (guarded by C); the rest is unheld."""
    city = made(citymap.genesis({A: [MINE, OURS], B: [THEIRS], C: []}))
    city = made(citymap.add_standby(city, [MINE], A.who, B.who))
    return made(citymap.add_standby(city, [THEIRS], B.who, C.who))


class Node:
    """A, who has read a map; these others are dead."""

    def __init__(
        self,
        city: CityMap,
        who: Incarnation = A.who,
        *,
        dead: Collection[Incarnation] = (),
        claims: tuple[Cell, ...] = (),
        take_orphans: bool = False,
        streams: tuple[StreamClaim, ...] = (),
    ) -> None:
        self.judge = LeaseJudge(TTL_S)
        urls = ("tls://link", "ws://play", "http://web")
        self.proposals = Proposals(A.node, urls, claims, take_orphans, self.judge, streams=streams)
        self.proposals.begin(who)
        self.read(city, NOW_S, dead)

    def read(self, city: CityMap, now_s: float, dead: Collection[Incarnation] = ()) -> None:
        leases = [(one.who, int(now_s * 10), one.who in dead) for one in (A, B, C)]
        self.judge.observe(leases, now_s)
        self.proposals.map_changed(city, now_s)
        self.proposals.follow_dead(now_s)

    def next(self, now_s: float = NOW_S, **wants: object) -> Propose | None:
        self.proposals.wants = Wants(**wants)  # type: ignore[arg-type]
        return self.proposals.next(now_s)

    def proposed(self, now_s: float = NOW_S, **wants: object) -> CityMap:
        found = self.next(now_s, **wants)
        assert found is not None
        found.map.check()
        return found.map


def test_who_wants_nothing_proposes_nothing() -> None:
    assert Node(founded()).next() is None


# ---- ground


def test_what_is_given_is_mine_and_guarded_by_who_gets_it() -> None:
    city = Node(founded()).proposed(give={B.who: frozenset({MINE, OURS, THEIRS})})
    assert city.holder_of(MINE) == B.who
    assert city.holder_of(OURS) == A.who
    both = made(citymap.add_standby(founded(), [OURS], A.who, C.who))
    given = Node(both).proposed(give={C.who: frozenset({OURS, THEIRS})})
    assert given.holder_of(OURS) == C.who
    assert given.holder_of(THEIRS) == B.who


def test_nothing_is_given_to_the_dead() -> None:
    node = Node(founded(), dead=[B.who])
    proposal = node.next(give={B.who: frozenset({MINE})})
    assert proposal is None or proposal.map.holder_of(MINE) == A.who


def test_a_proposal_gives_up_what_another_or_nobody_holds_in_it_and_nothing_else() -> None:
    node = Node(founded())
    assert node.proposals.given_up(node.proposed(give={B.who: frozenset({MINE})})) == {MINE}
    assert node.proposals.given_up(node.proposed(cut=frozenset({OURS}))) == {OURS}


def test_what_is_cut_and_merged_is_mine() -> None:
    city = Node(founded()).proposed(cut=frozenset({OURS, THEIRS}))
    assert len(city.leaves_in(OURS)) == 4
    assert city.leaves_in(THEIRS) == (THEIRS,)
    assert Node(city).proposed(merged=frozenset({OURS})).leaves_in(OURS) == (OURS,)
    parts = OURS.children()
    some = made(citymap.genesis({A: parts[:3], B: parts[3:]}))
    assert Node(some).next(merged=frozenset({OURS})) is None


def test_a_step_that_is_refused_is_not_proposed() -> None:
    finest = Cell.from_quadkey("3" * LEVEL_MAX)
    city = made(citymap.claim(founded(), A.who, [finest]))
    assert Node(city).next(cut=frozenset({finest})) is None
    assert len(Node(city).proposed(cut=frozenset({finest, OURS})).leaves_in(OURS)) == 4


# ---- standbys


def test_standbys_are_listed_where_they_are_none_yet_and_alive() -> None:
    city = Node(founded()).proposed(add={B.who: frozenset({MINE, OURS, THEIRS})})
    assert city.cells[MINE].standbys == city.cells[OURS].standbys == (B.who,)
    dead = Node(founded(), dead=[C.who]).next(add={C.who: frozenset({OURS})})
    assert dead is None or dead.map.cells[OURS].standbys == ()


def test_standbys_are_dropped_from_my_ground_alone() -> None:
    city = made(citymap.add_standby(founded(), [OURS], A.who, C.who))
    dropped = Node(city).proposed(drop={C.who: frozenset({OURS, THEIRS})})
    assert dropped.cells[OURS].standbys == ()
    assert dropped.cells[THEIRS].standbys == (C.who,)


# ---- the steward


def test_the_steward_says_what_the_map_does_not_say_yet() -> None:
    cut = Wish(WishKind.CUT)
    city = Node(founded()).proposed(wishes={THEIRS: cut})
    assert city.cells[THEIRS].wish == cut
    assert Node(city).next(wishes={THEIRS: cut}) is None
    assert Node(city).proposed(wishes={THEIRS: None}).wished == ()
    assert Node(city).next(wishes={Cell.from_quadkey("0"): cut}) is None, "it is no leaf"


def test_an_older_map_is_upgraded_when_the_steward_wishes_it() -> None:
    old = replace(founded(), format=1)
    assert Node(old).next() is None
    assert Node(old).proposed(upgrade=True).format == 2
    assert Node(founded()).next(upgrade=True) is None


# ---- civic streams

DISK, SERVER = StreamClaim("jongno", shared=False), StreamClaim("jongno", shared=True)


def held(claim: StreamClaim, by: Member = A) -> CityMap:
    return made(citymap.claim_stream(founded(), by.who, claim.name, claim.shared))


def test_a_stream_that_is_new_is_taken_and_named_after_the_disk_it_is_on() -> None:
    on_disk = Node(founded(), streams=(DISK,)).proposed().streams["jongno"]
    assert (on_disk.holder, on_disk.host) == (A.who, A.node)
    on_server = Node(founded(), streams=(SERVER,)).proposed().streams["jongno"]
    assert (on_server.holder, on_server.host) == (A.who, None)
    assert Node(held(SERVER, B), streams=(SERVER,)).next() is None, "another holds it"


def test_a_stream_whose_holder_has_gone_is_taken_by_who_has_its_store() -> None:
    lost = made(citymap.fail_over(held(SERVER, B), B.who, A.who))
    assert Node(lost, streams=(SERVER,)).proposed().streams["jongno"].holder == A.who
    elsewhere = made(citymap.fail_over(held(DISK, B), B.who, A.who))
    assert Node(elsewhere, streams=(DISK,)).next() is None, "it is on a disk that is not here"
    mine = made(citymap.join(made(citymap.fail_over(held(DISK), A.who, B.who)), member("a", 2)))
    assert Node(mine, Incarnation(A.node, 2), streams=(DISK,)).proposed().streams["jongno"].holder is not None
    freed = made(citymap.give_up_stream(held(SERVER, B), B.who, "jongno"))
    assert Node(freed, streams=(DISK,)).next() is None, "nobody has lost it here"
    assert Node(freed, streams=(SERVER,)).proposed().streams["jongno"].holder == A.who


def test_who_ends_or_yields_gives_a_stream_up_that_another_can_hold_and_takes_none() -> None:
    draining = made(citymap.drain(held(SERVER), A.node, True))
    for node, wants in (
        (Node(held(SERVER), streams=(SERVER,)), {"yields": frozenset({"jongno"})}),
        (Node(draining, streams=(SERVER,)), {}),
        (Node(draining, streams=(SERVER,)), {"drain": True}),
    ):
        assert node.proposed(**wants).streams["jongno"].holder is None
    on_disk = Node(held(DISK), streams=(DISK,))
    assert on_disk.next(yields=frozenset({"jongno"})) is None
    assert Node(held(SERVER, B), streams=(SERVER,)).next(yields=frozenset({"jongno"})) is None
    assert Node(held(SERVER), streams=(SERVER,)).next(yields=frozenset({"another"})) is None
    new = made(citymap.drain(founded(), A.node, True))
    assert Node(new, streams=(SERVER,)).next() is None
    assert (
        Node(founded(), streams=(DISK,)).proposed(yields=frozenset({"jongno"})).streams["jongno"].holder
        == A.who
    )


def test_who_says_that_it_ends_takes_no_stream_though_the_map_cannot_tell_it_yet() -> None:
    old = replace(founded(), format=1)
    assert Node(old, streams=(SERVER,)).next(drain=True) is None
    assert Node(old, streams=(SERVER,)).proposed().streams["jongno"].holder == A.who


# ---- coming and going


def test_who_ends_says_so_and_leaves_once_it_has_nothing() -> None:
    city = Node(founded()).proposed(drain=True)
    assert not city.takes(A.who)
    assert Node(city).next(drain=True) is None
    empty = made(citymap.genesis({A: [], B: [THEIRS]}))
    assert not Node(empty).proposed(retire=True).is_listed(A.who)


def test_who_claims_nothing_founds_a_city_only_if_it_takes_what_is_left() -> None:
    nobody = Incarnation(A.node, 1)
    assert Node(EMPTY, nobody).next() is None
    assert Node(EMPTY, nobody, take_orphans=True).proposed().is_listed(A.who)
    assert Node(EMPTY, nobody, claims=(MINE,)).proposed().holder_of(MINE) == A.who


def test_who_finds_a_later_incarnation_of_itself_has_been_superseded() -> None:
    later = made(citymap.genesis({member("a", 2): [MINE], B: []}))
    node = Node(later)
    node.judge.observe([(Incarnation(A.node, 2), 1, False), (B.who, 1, False)], NOW_S + 0.1)
    node.proposals.follow_dead(NOW_S + 0.1)
    assert node.next() is None
    assert node.proposals.superseded


def test_who_joins_takes_what_it_claims_unless_nobody_hears_it_or_the_map_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    city = made(citymap.genesis({B: [THEIRS]}))
    assert Node(city, claims=(MINE,)).proposed().holder_of(MINE) == A.who
    apart = Node(city, claims=(MINE,))
    apart.proposals.apart = True
    assert apart.proposed().cells_of(A.who) == ()
    monkeypatch.setattr(steps, "CELLS_MAX", 1)
    full = Node(city, claims=(MINE,)).next()
    assert full is not None
    assert full.map.is_listed(A.who)
    assert full.map.cells_of(A.who) == ()


def test_of_the_dead_the_lease_that_was_judged_is_named_and_none_where_the_store_has_forgotten_it() -> None:
    city = made(citymap.genesis({A: [MINE], B: [THEIRS]}))
    city = made(citymap.add_standby(city, [THEIRS], B.who, A.who))
    node = Node(city, dead=[B.who])
    named = node.next(NOW_S + 10.0)
    assert named is not None
    assert named.victim == (B.who, int(NOW_S * 10))
    node.judge.observe([(A.who, 1, False)], NOW_S + 0.1)
    node.proposals.follow_dead(NOW_S + 0.1)
    forgotten = node.next(NOW_S + 10.0)
    assert forgotten is not None
    assert forgotten.victim is None
    assert forgotten.map.holder_of(THEIRS) == A.who


def test_of_ground_that_is_divided_it_claims_what_nobody_has_held() -> None:
    parts = OURS.children()
    some = made(citymap.genesis({A: [], B: parts[:1]}))
    assert Node(some, claims=(OURS,)).proposed().cells_of(A.who) == parts[1:]
    city = made(citymap.genesis({A: [], B: [THEIRS]}))
    leaf = city.leaf_around(OURS)
    assert leaf == OURS
    divided = made(citymap.split(city, OURS))
    assert Node(divided, claims=(OURS,)).proposed().cells_of(A.who) == (OURS,)


def test_ground_of_the_dead_is_left_to_who_takes_orphans() -> None:
    freed = made(citymap.fail_over(made(citymap.genesis({A: [], B: [THEIRS], C: [MINE]})), C.who, B.who))
    assert Node(freed).next(NOW_S + 1_000.0) is None
    assert Node(freed, take_orphans=True).proposed(NOW_S + 1_000.0).holder_of(MINE) == A.who


# ---- turns


def test_whose_turn_it_is_at_unheld_ground_is_reckoned_among_those_who_are_there() -> None:
    city = made(citymap.genesis({A: [], B: [THEIRS], C: [MINE, *OURS.children()]}))
    freed = made(citymap.fail_over(city, C.who, B.who))
    last = next(cell for cell in freed.unheld() if freed.cells[cell].lost and freed.rank(cell, A.who) == 1)
    node = Node(freed, take_orphans=True)
    first_s = NOW_S + ORPHAN_WAIT_S
    taken = node.next(first_s)
    assert taken is None or taken.map.holder_of(last) is None, "it is B's turn"
    gone = made(citymap.fail_over(freed, B.who, A.who))
    node.read(gone, first_s)
    assert node.proposed(first_s).holder_of(last) == A.who


# ---- who may not take part


def test_leases_of_those_who_may_not_take_part_are_ended_in_turn_again_and_again() -> None:
    node = Node(founded())
    node.proposals.shun(frozenset({B.node}))
    ends = [
        now_s for tenth in range(60) if node.proposals.leases_to_end(now_s := NOW_S + tenth / 10) == [B.who]
    ]
    assert ends[0] >= NOW_S + REVOKED_TURN_S
    assert len(ends) > 1
    assert all(later - sooner >= REVOKED_TURN_S - 0.01 for sooner, later in itertools.pairwise(ends))


def test_one_whose_lease_others_ended_is_believed_dead_only_when_it_cannot_believe_in_it_any_more() -> None:
    node = Node(founded())
    node.proposals.shun(frozenset({B.node}))
    node.proposals.leases_to_end(NOW_S)
    node.read(founded(), NOW_S + 0.1, dead=[B.who])
    node.proposals.leases_to_end(NOW_S + 0.1)
    node.proposals.follow_dead(NOW_S + 0.2)
    assert B.who not in node.proposals.dead_since_s
    node.proposals.leases_to_end(NOW_S + 1.0)
    node.proposals.follow_dead(NOW_S + 0.2 + node.judge.patience_s)
    assert B.who in node.proposals.dead_since_s
