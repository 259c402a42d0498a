"""The city map: what every step keeps true, whatever the order, and what each step refuses."""

from __future__ import annotations

import itertools
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.geometry import LEVEL_MAX, ROOT, ROOT_SIDE_CM, Cell, neighbours_in
from p2pworld.ids import Incarnation
from p2pworld.world import citymap
from p2pworld.world.citymap import EMPTY, CityMap, Held, Holding, Member, Wish, WishKind
from p2pworld.world.citymap.value import GENERATION_MAX


def member(letter: str, incarnation: int = 1) -> Member:
    return Member(
        letter.encode() * 32, incarnation, f"tls://{letter}", f"ws://{letter}/play", f"http://{letter}"
    )


def cell(quadkey: str) -> Cell:
    return Cell.from_quadkey(quadkey)


def made(result: CityMap | Refusal) -> CityMap:
    assert not isinstance(result, Refusal), result
    result.check()
    return result


def reason(result: CityMap | Refusal) -> str:
    assert isinstance(result, Refusal), result
    assert result.sentence.endswith(".")
    return result.reason


A, B, C, D = (member(letter) for letter in "abcd")


@pytest.fixture
def city() -> CityMap:
    """A holds 00 (guarded by B, then C) and 01 (by nobody), B holds 02 (by A); C is listed, the rest is unheld."""
    city = made(citymap.genesis({A: [cell("00"), cell("01")], B: [cell("02")], C: []}))
    city = made(citymap.add_standby(city, [cell("00")], A.who, B.who))
    city = made(citymap.add_standby(city, [cell("00")], A.who, C.who))
    return made(citymap.add_standby(city, [cell("02")], B.who, A.who))


# ------------------------------------------------------------------------------------------------------ each step


def test_genesis_makes_the_smallest_partition_around_the_claims() -> None:
    city = made(citymap.genesis({A: [cell("012")]}))
    assert (city.version, city.generation) == (1, 0)
    assert [str(c) for c in city.cells] == ["00", "010", "011", "012", "013", "02", "03", "1", "2", "3"]
    assert city.cells_of(A.who) == (cell("012"),)
    assert len(city.unheld()) == 9


def test_genesis_refuses_overlaps_and_two_incarnations_of_a_node() -> None:
    assert reason(citymap.genesis({A: [cell("01")], B: [cell("012")]})) == "overlap"
    assert reason(citymap.genesis({A: [cell("01")], B: [cell("01")]})) == "overlap"
    assert reason(citymap.genesis({A: [cell("01")], member("a", 2): []})) == "twice"


def test_join_lists_a_node_and_its_new_addresses(city: CityMap) -> None:
    joined = made(citymap.join(city, D))
    assert joined.member(D.who) == D
    assert joined.cells == city.cells
    moved = replace(A, play_url="ws://elsewhere/play")
    assert made(citymap.join(city, moved)).member(A.who) == moved
    assert reason(citymap.join(city, A)) == "listed"
    assert reason(citymap.join(EMPTY, A)) == "no_city"


def test_join_of_a_new_incarnation_waits_for_the_failover_of_the_older(city: CityMap) -> None:
    assert reason(citymap.join(city, member("a", 2))) == "failover_first"
    assert reason(citymap.join(city, member("b", 2))) == "failover_first"
    unguarded = made(citymap.drop_standby(city, [cell("02")], B.who, A.who))
    joined = made(citymap.join(unguarded, member("b", 2)))
    assert joined.cells[cell("02")] == Holding(
        None, joined.stamp, lost=Held(B.who, city.cells[cell("02")].epoch)
    )
    assert joined.cells[cell("00")].standbys == (C.who,)
    assert not joined.is_listed(B.who)
    assert reason(citymap.join(joined, B)) == "superseded"


def test_an_incarnation_that_lost_ground_does_not_come_back(city: CityMap) -> None:
    after = made(citymap.fail_over(city, A.who, B.who))
    assert after.cells[cell("01")].lost == Held(A.who, city.cells[cell("01")].epoch)
    assert reason(citymap.join(after, A)) == "superseded"
    again = made(
        citymap.claim(made(citymap.join(after, member("a", 2))), Incarnation(A.node, 2), [cell("01")])
    )
    assert again.cells[cell("01")] == Holding(Incarnation(A.node, 2), again.stamp)


def test_only_its_own_past_supersedes_a_node(city: CityMap) -> None:
    later = made(citymap.join(city, member("d", 2)))
    assert reason(citymap.join(later, D)) == "superseded", "though it never held anything"
    lost = made(citymap.fail_over(city, A.who, B.who))
    assert made(citymap.join(lost, D)).is_listed(D.who), "what another has lost is not its loss"


def test_claim_splits_and_merges_unheld_ground_as_it_must(city: CityMap) -> None:
    fine = made(citymap.claim(city, C.who, [cell("3012")]))
    assert fine.cells_of(C.who) == (cell("3012"),)
    parts = ["300", "3010", "3011", "3012", "3013", "302", "303", "31", "32", "33"]
    assert [str(c) for c in fine.leaves_in(cell("3"))] == parts
    freed = made(citymap.fail_over(fine, C.who, A.who))
    whole = made(citymap.claim(freed, B.who, [cell("3")]))
    assert whole.leaves_in(cell("3")) == (cell("3"),)
    assert whole.holder_of(cell("3")) == B.who


def test_claim_refuses_held_ground_overlaps_and_strangers(city: CityMap) -> None:
    for quadkey in ("00", "001", "0", "root"):
        assert reason(citymap.claim(city, C.who, [cell(quadkey)])) == "held"
    assert reason(citymap.claim(city, C.who, [cell("3"), cell("31")])) == "held"
    assert reason(citymap.claim(city, D.who, [cell("3")])) == "not_a_member"
    assert reason(citymap.claim(city, C.who, [])) == "nothing"


def test_failover_names_heirs_by_rank_and_frees_what_nobody_guards(city: CityMap) -> None:
    after = made(citymap.fail_over(city, A.who, B.who))
    assert after.cells[cell("00")] == Holding(B.who, after.stamp, (C.who,))
    assert after.cells[cell("01")].holder is None
    assert after.cells[cell("02")] == Holding(B.who, city.cells[cell("02")].epoch)
    assert not after.is_listed(A.who)
    assert reason(citymap.fail_over(after, A.who, B.who)) == "not_listed"


def test_failover_passes_over_the_silent_unless_there_is_no_other(city: CityMap) -> None:
    after = made(citymap.fail_over(city, A.who, C.who, silent=[B.who]))
    assert after.cells[cell("00")] == Holding(C.who, after.stamp, (B.who,))
    after = made(citymap.fail_over(city, A.who, C.who, silent=[B.who, C.who]))
    assert after.cells[cell("00")] == Holding(B.who, after.stamp, (C.who,))


def test_failover_refuses_strangers_and_oneself(city: CityMap) -> None:
    assert reason(citymap.fail_over(city, A.who, D.who)) == "not_a_member"
    assert reason(citymap.fail_over(city, A.who, A.who)) == "yourself"
    assert reason(citymap.fail_over(city, Incarnation(A.node, 2), B.who)) == "not_listed"


def test_only_the_holder_lists_standbys_and_not_without_bound(city: CityMap) -> None:
    assert reason(citymap.add_standby(city, [cell("00")], B.who, C.who)) == "not_the_holder"
    assert reason(citymap.add_standby(city, [cell("00")], A.who, B.who)) == "already"
    assert reason(citymap.add_standby(city, [cell("00")], A.who, A.who)) == "already"
    assert reason(citymap.add_standby(city, [cell("00")], A.who, D.who)) == "not_a_member"
    assert reason(citymap.add_standby(city, [cell("3")], A.who, B.who)) == "not_the_holder"
    assert reason(citymap.add_standby(city, [cell("333")], A.who, B.who)) == "no_leaf"
    for letter in "defg":
        city = made(citymap.join(city, member(letter)))
    for letter in "de":
        city = made(citymap.add_standby(city, [cell("00")], A.who, member(letter).who))
    assert reason(citymap.add_standby(city, [cell("00")], A.who, member("f").who)) == "enough"


def test_a_step_on_no_cell_is_refused(city: CityMap) -> None:
    assert reason(citymap.add_standby(city, [], A.who, B.who)) == "nothing"
    assert reason(citymap.wish(city, {})) == "nothing"


def test_a_step_on_several_cells_does_all_or_nothing(city: CityMap) -> None:
    assert reason(citymap.add_standby(city, [cell("01"), cell("00")], A.who, C.who)) == "already"
    assert city.cells[cell("01")].standbys == ()


def test_a_standby_leaves_by_the_holders_word_or_its_own(city: CityMap) -> None:
    for who in (A.who, B.who):
        after = made(citymap.drop_standby(city, [cell("00")], who, B.who))
        assert after.cells[cell("00")] == replace(city.cells[cell("00")], standbys=(C.who,))
    assert reason(citymap.drop_standby(city, [cell("00")], C.who, B.who)) == "not_the_holder"
    assert reason(citymap.drop_standby(city, [cell("01")], A.who, B.who)) == "not_a_standby"


def test_hand_over_goes_to_a_standby_and_back(city: CityMap) -> None:
    after = made(citymap.hand_over(city, [cell("00")], A.who, C.who))
    assert after.cells[cell("00")] == Holding(C.who, after.stamp, (A.who, B.who))
    assert reason(citymap.hand_over(after, [cell("00")], A.who, B.who)) == "not_the_holder"
    assert reason(citymap.hand_over(city, [cell("01")], A.who, B.who)) == "not_a_standby"
    back = made(citymap.hand_over(after, [cell("00")], C.who, A.who))
    assert back.cells[cell("00")] == Holding(A.who, back.stamp, (C.who, B.who))


def test_what_is_wished_is_seen_by_the_holder_and_gone_once_it_is_done(city: CityMap) -> None:
    asked = made(citymap.wish(city, {cell("00"): Wish(WishKind.MOVE, C.node)}))
    assert asked.wished == (cell("00"),)
    assert made(citymap.wish(asked, {cell("00"): None})).cells == city.cells
    done = made(citymap.hand_over(asked, [cell("00")], A.who, C.who))
    assert done.wished == ()
    assert made(citymap.fail_over(asked, C.who, B.who)).wished == ()  # whither it was to go is gone
    for kind, to, why in (
        (WishKind.MOVE, A.node, "already"),
        (WishKind.MOVE, D.node, "not_a_member"),
        (WishKind.SPLIT, C.node, "no_target"),
    ):
        assert reason(citymap.wish(city, {cell("00"): Wish(kind, to)})) == why
    assert reason(citymap.wish(city, {cell("33"): Wish(WishKind.SPLIT)})) == "no_leaf"
    assert reason(citymap.wish(city, {cell("3"): Wish(WishKind.SPLIT)})) == "unheld"


def test_what_was_cut_for_a_crowd_knows_how_far_it_is_to_be_merged(city: CityMap) -> None:
    asked = made(citymap.wish(city, {cell("00"): Wish(WishKind.CUT)}))
    cut = made(citymap.split(asked, cell("00")))
    assert {cut.cells[part].cut_from for part in cell("00").children()} == {2}
    again = made(citymap.wish(cut, {cell("003"): Wish(WishKind.CUT)}))
    finer = made(citymap.split(again, cell("003")))
    assert {finer.cells[part].cut_from for part in cell("003").children()} == {2}
    back = made(citymap.merge(finer, cell("003")))
    assert back.cells[cell("003")].cut_from == 2
    assert made(citymap.merge(back, cell("00"))).cells == city.cells


def test_a_draining_node_is_wished_nothing_and_is_drained_until_it_is_said_otherwise(city: CityMap) -> None:
    asked = made(citymap.wish(city, {cell("00"): Wish(WishKind.MOVE, C.node)}))
    drained = made(citymap.drain(asked, C.node, True))
    assert drained.wished == ()
    assert not drained.takes(C.who)
    assert reason(citymap.wish(drained, {cell("00"): Wish(WishKind.MOVE, C.node)})) == "draining"
    assert reason(citymap.drain(drained, C.node, True)) == "already"
    assert reason(citymap.drain(drained, D.node, True)) == "not_a_member"
    assert made(citymap.drain(drained, C.node, False)).members == city.members


def test_a_wish_outlives_what_others_come_and_go(city: CityMap) -> None:
    city = made(
        citymap.wish(city, {cell("02"): Wish(WishKind.MOVE, A.node), cell("01"): Wish(WishKind.SPLIT)})
    )
    assert made(citymap.drain(city, C.node, True)).wished == (cell("01"), cell("02"))
    assert made(citymap.fail_over(city, C.who, A.who)).wished == (cell("01"), cell("02"))
    assert made(citymap.fail_over(city, A.who, B.who)).wished == ()


def test_only_what_is_cut_for_a_crowd_remembers_what_it_was_cut_from(city: CityMap) -> None:
    for kind, cut_from in ((WishKind.SPLIT, None), (WishKind.CUT, 2)):
        asked = made(citymap.wish(city, {cell("01"): Wish(kind)}))
        parts = made(citymap.split(asked, cell("01"))).leaves_in(cell("01"))
        assert len(parts) == 4
        assert {made(citymap.split(asked, cell("01"))).cells[part].cut_from for part in parts} == {cut_from}


def test_pinned_ground_stays_pinned_with_whoever_holds_it(city: CityMap) -> None:
    asked = made(citymap.wish(city, {cell("00"): Wish(WishKind.SPLIT)}))
    pinned = made(citymap.pin(asked, [cell("00"), cell("01")], True))
    assert pinned.wished == ()
    after = made(citymap.fail_over(pinned, A.who, B.who))
    assert after.cells[cell("00")].pinned
    taken = made(citymap.claim(after, C.who, [cell("01")]))
    assert taken.cells[cell("01")].pinned
    assert not made(citymap.pin(taken, [cell("01")], False)).cells[cell("01")].pinned


def test_a_city_of_an_older_release_is_left_readable_for_it_until_it_is_upgraded(city: CityMap) -> None:
    old = replace(city, format=1)
    plain = citymap.to_plain(old)
    assert plain["format"] == 1
    assert {len(row) for row in plain["members"]} == {5}  # type: ignore[attr-defined]
    assert {len(row) for row in plain["cells"]} == {6}  # type: ignore[attr-defined]
    assert citymap.from_plain(plain) == old
    for step in (
        citymap.wish(old, {cell("00"): Wish(WishKind.SPLIT)}),
        citymap.pin(old, [cell("00")], True),
        citymap.drain(old, A.node, True),
    ):
        assert reason(step) == "older_format"
    parts = made(citymap.split(old, cell("00")))
    assert parts.format == 1
    new = made(citymap.upgrade(parts))
    assert new.format == citymap.FORMAT
    assert reason(citymap.upgrade(new)) == "already"
    made(citymap.pin(new, [cell("000")], True))


def test_split_and_merge_rename_ground_in_place(city: CityMap) -> None:
    before = city.cells[cell("00")]
    parts = made(citymap.split(city, cell("00")))
    assert [parts.cells[c] for c in cell("00").children()] == [before] * 4
    assert made(citymap.merge(parts, cell("00"))).cells == city.cells
    one = made(citymap.drop_standby(parts, [cell("003")], A.who, B.who))
    assert made(citymap.merge(one, cell("00"))).cells[cell("00")] == replace(before, standbys=(C.who,))
    gone = made(citymap.hand_over(parts, [cell("003")], A.who, B.who))
    assert reason(citymap.merge(gone, cell("00"))) == "not_alike"
    back = made(citymap.hand_over(gone, [cell("003")], B.who, A.who))
    assert made(citymap.merge(back, cell("00"))).cells[cell("00")].epoch == back.stamp
    assert reason(citymap.split(city, cell("000"))) == "no_leaf"
    assert reason(citymap.merge(city, cell("00"))) == "no_leaf"
    finest = Cell.at(0, 0, LEVEL_MAX)
    assert reason(citymap.split(made(citymap.genesis({A: [finest]})), finest)) == "too_fine"
    assert reason(citymap.merge(city, finest)) == "too_fine"


def test_leave_is_for_those_who_hold_nothing(city: CityMap) -> None:
    assert reason(citymap.leave(city, A.who)) == "holds"
    after = made(citymap.leave(city, C.who))
    assert after.cells[cell("00")].standbys == (B.who,)
    assert reason(citymap.leave(after, C.who)) == "not_a_member"
    streaming = made(citymap.claim_stream(city, C.who, "jongno"))
    gone = made(citymap.leave(streaming, C.who))  # a stream is lost with who leaves, as with who dies
    assert gone.streams["jongno"] == Holding(None, gone.stamp, lost=Held(C.who, streaming.stamp))


def test_streams_are_claimed_once_and_lost_with_their_holder(city: CityMap) -> None:
    city = made(citymap.claim_stream(city, A.who, "jongno"))
    assert reason(citymap.claim_stream(city, B.who, "jongno")) == "held"
    assert reason(citymap.claim_stream(city, B.who, "")) == "bad_name"
    assert reason(citymap.claim_stream(city, D.who, "jung")) == "not_a_member"
    after = made(citymap.fail_over(city, A.who, B.who))
    assert after.streams["jongno"].lost == Held(A.who, city.version)
    assert made(citymap.claim_stream(after, B.who, "jongno")).streams["jongno"].holder == B.who


def test_a_stream_is_given_up_unless_it_is_on_a_disk(city: CityMap) -> None:
    held = made(citymap.claim_stream(city, A.who, "jongno"))
    assert held.streams["jongno"].host is None
    assert reason(citymap.give_up_stream(held, B.who, "jongno")) == "not_the_holder"
    assert reason(citymap.give_up_stream(held, A.who, "jung")) == "not_the_holder"
    free = made(citymap.give_up_stream(held, A.who, "jongno"))
    assert free.streams["jongno"] == Holding(None, free.stamp)
    taken = made(citymap.claim_stream(free, B.who, "jongno", shared=False)).streams["jongno"]
    assert (taken.holder, taken.host) == (B.who, B.node)
    assert taken.epoch > free.streams["jongno"].epoch > held.streams["jongno"].epoch
    on_disk = made(citymap.claim_stream(city, A.who, "jongno", shared=False))
    assert reason(citymap.give_up_stream(on_disk, A.who, "jongno")) == "host"
    lost = made(citymap.fail_over(on_disk, A.who, B.who)).streams["jongno"]
    assert (lost.host, lost.lost) == (None, Held(A.who, on_disk.stamp))


def test_a_new_generation_outranks_every_epoch_before(city: CityMap) -> None:
    after = made(citymap.new_generation(city))
    assert not after.members
    assert len(after.unheld()) == len(after.cells)
    assert after.cells[cell("00")].lost == Held(A.who, city.cells[cell("00")].epoch)
    assert after.stamp > citymap.epoch_of(0, (1 << 48) - 1)
    assert after.version > city.version
    assert made(citymap.genesis({}, after.generation)).version == after.version
    assert made(citymap.new_generation(city, above=7)).generation == 8
    assert made(citymap.new_generation(after, above=0)).version > after.version
    assert reason(citymap.new_generation(EMPTY)) == "no_city"
    assert reason(citymap.new_generation(city, above=GENERATION_MAX)) == "too_many"


def test_versions_of_two_generations_never_meet(city: CityMap) -> None:
    """A node that knows a version and is told the same number knows that map, whatever was restored meanwhile."""
    restored = made(citymap.new_generation(city))
    later = city
    for _ in range(5):
        later = made(
            citymap.split(later, cell("3")) if cell("3") in later.cells else citymap.merge(later, cell("3"))
        )
        assert later.version < restored.version


def test_a_full_map_refuses_more(monkeypatch: pytest.MonkeyPatch, city: CityMap) -> None:
    from p2pworld.world.citymap import steps

    monkeypatch.setattr(steps, "CELLS_MAX", len(city.cells) + 2)
    monkeypatch.setattr(steps, "MEMBERS_MAX", 3)
    monkeypatch.setattr(steps, "STREAMS_MAX", 0)
    assert reason(citymap.split(city, cell("3"))) == "too_many"
    assert reason(citymap.claim(city, C.who, [cell("31")])) == "too_many"
    assert reason(citymap.join(city, D)) == "too_many"
    assert reason(citymap.claim_stream(city, A.who, "jung")) == "too_many"
    assert reason(citymap.genesis({m: [] for m in (A, B, C, D)})) == "too_many"


# ------------------------------------------------------------------------------------------------------- lookups

POINTS = st.integers(0, ROOT_SIDE_CM - 1)
QUADKEYS = st.text("0123", min_size=1, max_size=6)


@st.composite
def partitions(draw: st.DrawFn) -> CityMap:
    cells: list[Cell] = []
    for quadkey in draw(st.lists(QUADKEYS, max_size=8)):
        wanted = cell(quadkey)
        if not any(c.contains(wanted) or wanted.contains(c) for c in cells):
            cells.append(wanted)
    return made(citymap.genesis({A: cells[::2], B: cells[1::2]}))


@given(partitions(), POINTS, POINTS)
def test_leaf_at_finds_the_one_leaf_with_the_point(city: CityMap, east_cm: int, north_cm: int) -> None:
    assert [city.leaf_at(east_cm, north_cm)] == [c for c in city.cells if c.contains_point(east_cm, north_cm)]


@given(partitions(), QUADKEYS)
def test_leaves_around_and_inside_a_cell(city: CityMap, quadkey: str) -> None:
    wanted = cell(quadkey)
    around = [c for c in city.cells if c.contains(wanted)]
    assert city.leaf_around(wanted) == (around[0] if around else None)
    assert set(city.leaves_in(wanted)) == {c for c in city.cells if wanted.contains(c)}


@given(partitions())
def test_neighbours_are_the_leaves_that_touch(city: CityMap) -> None:
    for leaf in itertools.islice(city.cells, 12):
        assert list(city.neighbours(leaf)) == neighbours_in(city.cells, leaf)


def test_lookups_say_what_they_cannot_answer(city: CityMap) -> None:
    with pytest.raises(LocalError, match="outside"):
        city.leaf_at(-1, 0)
    with pytest.raises(LocalError, match="empty"):
        EMPTY.leaf_at(0, 0)
    with pytest.raises(LocalError, match="leaf"):
        city.neighbours(cell("333"))
    with pytest.raises(LocalError, match="not in the city map"):
        city.rank(cell("3"), D.who)
    assert city.holder_of(cell("333")) is None
    assert city.cells_of(D.who) == city.standby_cells(D.who) == ()
    assert city.standby_cells(A.who) == (cell("02"),)


@given(st.integers(1, 2**53 - 1))
def test_directory_homes_are_two_and_move_only_with_their_node(avatar_id: int) -> None:
    nodes = [member(letter) for letter in "abcdefgh"]
    city = made(citymap.genesis(dict.fromkeys(nodes, ())))
    homes = city.directory_homes(avatar_id)
    assert len(set(homes)) == 2
    assert homes == city.directory_homes(avatar_id)
    assert city.directory_homes(avatar_id, 1) == homes[:1]
    for node in nodes:
        less = made(citymap.leave(city, node.who)).directory_homes(avatar_id)
        assert node in homes or less == homes
        assert set(homes) - {node} <= set(less)


def test_directory_homes_are_spread_over_the_nodes() -> None:
    nodes = [member(letter) for letter in "abcd"]
    city = made(citymap.genesis(dict.fromkeys(nodes, ())))
    first = [city.directory_homes(avatar_id)[0].node for avatar_id in range(1, 801)]
    assert all(140 < first.count(node.node) < 260 for node in nodes)


def test_ranks_for_a_cell_are_an_order_of_all_members(city: CityMap) -> None:
    for leaf in city.unheld():
        assert sorted(city.rank(leaf, m.who) for m in (A, B, C)) == [0, 1, 2]
    assert len({city.rank(leaf, A.who) for leaf in made(citymap.split(city, cell("3"))).unheld()}) > 1


# ------------------------------------------------------------------------------------------------- sound and unsound


def unsound(city: CityMap, **changes: object) -> CityMap:
    return replace(city, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "holding",
    [
        Holding(D.who, 1),
        Holding(Incarnation(A.node, 2), 1),
        Holding(A.who, 99),
        Holding(A.who, 0),
        Holding(A.who, 1, (A.who,)),
        Holding(A.who, 1, (B.who, B.who)),
        Holding(A.who, 1, (D.who,)),
        Holding(A.who, 1, (Incarnation(B.node, 2),)),
        Holding(A.who, 2, lost=Held(D.who, 1)),
        Holding(None, 1, (B.who,)),
        Holding(None, 1, host=b"h" * 32),
        Holding(None, 2, lost=Held(A.who, 1)),
        Holding(None, 2, lost=Held(D.who, 2)),
    ],
    ids=repr,
)
def test_check_finds_each_unsound_holding(city: CityMap, holding: Holding) -> None:
    for broken in (
        unsound(city, cells={**city.cells, cell("00"): holding}),
        unsound(city, streams={"jongno": holding}),
    ):
        with pytest.raises(LocalError, match="unsound"):
            broken.check()


def test_check_finds_gaps_overlaps_and_strange_lists(city: CityMap) -> None:
    gap = dict(list(city.cells.items())[1:])
    for broken in (
        unsound(city, cells=gap),
        unsound(city, cells={**city.cells, cell("000"): Holding(None, 1)}),
        unsound(city, members={**city.members, D.node: C}),
        unsound(city, members={**city.members, D.node: replace(D, incarnation=0)}),
        unsound(city, version=0),
        unsound(city, generation=-1),
        unsound(EMPTY, version=1),
    ):
        with pytest.raises(LocalError, match="unsound"):
            broken.check()
    EMPTY.check()


# --------------------------------------------------------------------------------------------------------- bytes


def test_bytes_are_canonical_and_come_back(city: CityMap) -> None:
    city = made(citymap.claim_stream(made(citymap.fail_over(city, A.who, B.who)), C.who, "jongno"))
    assert citymap.decode(citymap.encode(city)) == city
    assert citymap.from_plain(citymap.to_plain(city)) == city
    assert citymap.decode(citymap.encode(EMPTY)) == EMPTY
    shuffled = unsound(
        city,
        cells=dict(reversed(list(city.cells.items()))),
        members=dict(reversed(list(city.members.items()))),
    )
    assert citymap.encode(shuffled) == citymap.encode(city)


@pytest.mark.parametrize("name", ["members", "cells"])
def test_one_map_has_one_form(city: CityMap, name: str) -> None:
    plain = citymap.to_plain(made(citymap.fail_over(city, A.who, B.who)))
    rows = plain[name]
    assert isinstance(rows, list)
    for wrong in (rows[::-1], [*rows, rows[-1]]):
        with pytest.raises(RemoteError) as caught:
            citymap.from_plain({**plain, name: wrong})
        assert caught.value.reason == "bad_map"


def test_a_newer_format_is_refused_as_such(city: CityMap) -> None:
    with pytest.raises(RemoteError) as caught:
        citymap.from_plain({**citymap.to_plain(city), "format": 3, "more": 1})
    assert caught.value.reason == "newer_format"


@settings(max_examples=150)
@given(st.data())
def test_any_damage_to_the_bytes_is_a_remote_error_or_another_sound_map(data: st.DataObject) -> None:
    city = made(citymap.genesis({A: [cell("01")], B: [cell("3")]}))
    city = made(citymap.add_standby(city, [cell("01")], A.who, B.who))
    city = made(citymap.claim_stream(made(citymap.fail_over(city, A.who, B.who)), B.who, "jung"))
    form = bytearray(citymap.encode(city))
    at = data.draw(st.integers(0, len(form) - 1))
    form[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        again = citymap.decode(bytes(form))
    except RemoteError:
        return
    again.check()
    assert msgpack.unpackb(bytes(form)) == citymap.to_plain(again)


PLAIN = st.recursive(
    st.none() | st.integers(-1, 2**64 - 1) | st.binary(max_size=33) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=8,
)


@given(st.sampled_from(["format", "generation", "version", "members", "cells", "streams"]), PLAIN)
def test_any_wrong_field_is_a_remote_error(name: str, value: object) -> None:
    plain = citymap.to_plain(made(citymap.genesis({A: [cell("01")]})))
    if plain[name] != value and not (name == "version" and isinstance(value, int) and 1 <= value < 1 << 48):
        with pytest.raises(RemoteError):
            citymap.from_plain({**plain, name: value if name != "generation" else [value]})
    with pytest.raises(RemoteError):
        citymap.from_plain({key: field for key, field in plain.items() if key != name})
    with pytest.raises(RemoteError):
        citymap.from_plain(value)


# ---------------------------------------------------------------------------------- any steps, in any order

NODES = st.sampled_from("abcd")
SPOTS = [(1 + i * ROOT_SIDE_CM // 8, 1 + j * ROOT_SIDE_CM // 8) for i in range(8) for j in range(8)]


class Steps(RuleBasedStateMachine):
    """Random steps by nodes that live, die and come back, against what must hold of every sequence of maps."""

    city: CityMap
    number: dict[str, int]
    ended: set[Incarnation]

    @initialize()
    def found(self) -> None:
        self.number = dict.fromkeys("abcd", 1)
        self.ended = set()
        self.take(citymap.genesis({A: [cell("00"), cell("01")], B: [cell("1")]}), EMPTY)

    def who(self, letter: str) -> Incarnation:
        return Incarnation(letter.encode() * 32, self.number[letter])

    def some_cell(self, spot: int) -> Cell:
        return self.city.leaf_at(*SPOTS[spot])

    def take(self, result: CityMap | Refusal, before: CityMap) -> None:
        if isinstance(result, Refusal):
            self.city = before
            return
        result.check()
        assert result.version == max(before.version, citymap.first_of(result.generation)) + 1
        assert citymap.decode(citymap.encode(result)) == result
        assert list(result.cells) == list(result.leaves)
        for east_cm, north_cm in SPOTS if before.version else []:
            old = before.cells[before.leaf_at(east_cm, north_cm)]
            new = result.cells[result.leaf_at(east_cm, north_cm)]
            if new.holder != old.holder:
                assert new.epoch == result.stamp > old.epoch
            else:
                assert new.epoch >= old.epoch
            if new.holder is not None and old.holder is not None and new.holder != old.holder:
                assert new.holder in old.standbys
        self.city = result

    @rule(letter=NODES)
    def join(self, letter: str) -> None:
        self.take(citymap.join(self.city, member(letter, self.number[letter])), self.city)

    @rule(letter=NODES)
    def restart(self, letter: str) -> None:
        self.ended.add(self.who(letter))
        self.number[letter] += 1

    @rule(letter=NODES, by=NODES, silent=NODES)
    def fail_over(self, letter: str, by: str, silent: str) -> None:
        dead = Incarnation(letter.encode() * 32, self.number[letter] - 1)
        before = self.city
        self.take(citymap.fail_over(before, dead, self.who(by), [self.who(silent)]), before)
        if self.city is not before:
            assert not self.city.is_listed(dead)
            assert self.city.cells_of(dead) == self.city.standby_cells(dead) == ()

    @rule(letter=NODES)
    def an_ended_incarnation_joins(self, letter: str) -> None:
        """The map refuses it where it can know; where no trace of it is left, the store does, by its lease."""
        ended = member(letter, self.number[letter] - 1)
        lost = {h.lost.holder for h in self.city.cells.values() if h.lost is not None}
        if ended.incarnation and (self.city.is_listed(self.who(letter)) or ended.who in lost):
            assert reason(citymap.join(self.city, ended)) == "superseded"

    @rule(letter=NODES, spot=st.integers(0, 63), level=st.integers(0, 4))
    def claim(self, letter: str, spot: int, level: int) -> None:
        self.take(citymap.claim(self.city, self.who(letter), [Cell.at(*SPOTS[spot], level)]), self.city)

    @rule(standby=NODES, spot=st.integers(0, 63))
    def add_standby(self, standby: str, spot: int) -> None:
        leaf = self.some_cell(spot)
        holder = self.city.holder_of(leaf)
        if holder is not None and holder not in self.ended:
            self.take(citymap.add_standby(self.city, [leaf], holder, self.who(standby)), self.city)

    @rule(standby=NODES, spot=st.integers(0, 63))
    def drop_standby(self, standby: str, spot: int) -> None:
        self.take(
            citymap.drop_standby(self.city, [self.some_cell(spot)], self.who(standby), self.who(standby)),
            self.city,
        )

    @rule(to=NODES, spot=st.integers(0, 63))
    def hand_over(self, to: str, spot: int) -> None:
        leaf = self.some_cell(spot)
        holder = self.city.holder_of(leaf)
        if holder is not None:
            self.take(citymap.hand_over(self.city, [leaf], holder, self.who(to)), self.city)

    @precondition(lambda self: len(self.city.cells) < 40)
    @rule(spot=st.integers(0, 63))
    def split(self, spot: int) -> None:
        self.take(citymap.split(self.city, self.some_cell(spot)), self.city)

    @rule(spot=st.integers(0, 63))
    def merge(self, spot: int) -> None:
        leaf = self.some_cell(spot)
        if leaf != ROOT:
            self.take(citymap.merge(self.city, leaf.parent()), self.city)

    @rule(spot=st.integers(0, 63), kind=st.sampled_from(WishKind), to=NODES)
    def wish(self, spot: int, kind: WishKind, to: str) -> None:
        leaf = self.some_cell(spot)
        target = self.who(to).node if kind is WishKind.MOVE else b""
        self.take(citymap.wish(self.city, {leaf: Wish(kind, target)}), self.city)

    @rule(spot=st.integers(0, 63), pinned=st.booleans())
    def pin(self, spot: int, pinned: bool) -> None:
        self.take(citymap.pin(self.city, [self.some_cell(spot)], pinned), self.city)

    @rule(letter=NODES, draining=st.booleans())
    def drain(self, letter: str, draining: bool) -> None:
        self.take(citymap.drain(self.city, self.who(letter).node, draining), self.city)
        if draining:
            wishes = [holding.wish for holding in self.city.cells.values() if holding.wish is not None]
            assert all(wish.to != self.who(letter).node for wish in wishes)

    @rule(letter=NODES)
    def leave(self, letter: str) -> None:
        self.take(citymap.leave(self.city, self.who(letter)), self.city)

    @rule()
    def new_generation(self) -> None:
        if self.city.generation < 2:
            for letter in self.number:
                self.restart(letter)
            self.take(citymap.new_generation(self.city), self.city)

    @invariant()
    def one_incarnation_of_a_node_stands_in_the_map(self) -> None:
        names = {h.holder for h in self.city.cells.values() if h.holder} | {
            standby for h in self.city.cells.values() for standby in h.standbys
        }
        assert len({who.node for who in names}) == len(names)


TestSteps = Steps.TestCase
TestSteps.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.permutations(["claim", "split", "standby", "over"]))
def test_steps_on_different_cells_commute_but_for_their_stamps(order: list[str]) -> None:
    city = made(citymap.genesis({A: [cell("00"), cell("01"), cell("02")], B: []}))
    city = made(citymap.add_standby(city, [cell("02")], A.who, B.who))
    for name in order:
        match name:
            case "claim":
                city = made(citymap.claim(city, B.who, [cell("31")]))
            case "split":
                city = made(citymap.split(city, cell("00")))
            case "standby":
                city = made(citymap.add_standby(city, [cell("01")], A.who, B.who))
            case "over":
                city = made(citymap.hand_over(city, [cell("02")], A.who, B.who))
    shape = {
        str(c): (h.holder and h.holder.node[:1], [s.node[:1] for s in h.standbys])
        for c, h in city.cells.items()
    }
    assert shape["31"] == (b"b", [])
    assert shape["003"] == (b"a", [])
    assert shape["01"] == (b"a", [b"b"])
    assert shape["02"] == (b"b", [b"a"])
    assert city.version == 6
