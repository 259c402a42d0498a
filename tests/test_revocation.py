"""Whoever gave may take, and nobody else; a next key takes over, once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import NodeKeys
from p2pworld.errors import LocalError, RemoteError
from p2pworld.grants import CHAIN_MAX, ISSUER, grant_id, sign_grant, succeed, verify_chain
from p2pworld.ids import Incarnation
from p2pworld.limits import (
    CLOCK_SKEW_MS,
    NOTICE_BYTES_MAX,
    NOTICES_MAX,
    NOTICES_OF_DELEGATE_MAX,
    NOTICES_OF_ROOTS,
    REVOCATION_LONGEST_MS,
)
from p2pworld.messages import REVOKE, Instant, Revoked, SaveRecord, ToPeer, WriteFailed, Wrote
from p2pworld.revocation import (
    Notice,
    Revocation,
    Succession,
    notice_end_ms,
    notice_fault,
    notice_id,
    pack_notice,
    reaches,
    read_notice,
    sign_revocation,
)
from p2pworld.world.notices import Notices
from p2pworld.world.outbox import Outbox

if TYPE_CHECKING:
    from p2pworld.grants import Grant

NOW_MS = 1_800_000_000_000
YEAR_MS = 365 * 86_400_000
CITY, OTHER_CITY, DESK, DESK_2, NODE, NEXT, THIEF = (
    NodeKeys.from_seed(bytes((i,)) * 32) for i in range(1, 8)
)
ROOTS = frozenset({CITY.public, OTHER_CITY.public})
NOW = Instant(100.0, NOW_MS)
PEERS = tuple(Incarnation(bytes((i,)) * 32, 1) for i in range(1, 4))


def give(issuer: NodeKeys, to: NodeKeys, role: str = "shard", **more: Any) -> Grant:
    until_ms = more.pop("until_ms", NOW_MS + YEAR_MS)
    return sign_grant(issuer, to.public, role, ("cells:*",), NOW_MS - YEAR_MS, until_ms, **more)


def take(issuer: NodeKeys, subject: NodeKeys, **more: Any) -> Revocation:
    from_ms = more.pop("from_ms", NOW_MS)
    until_ms = more.pop("until_ms", NOW_MS + YEAR_MS)
    return sign_revocation(issuer, subject.public, from_ms, until_ms, more.pop("reason", "stolen"), **more)


DIRECT = (give(CITY, NODE),)
TO_DESK = (give(CITY, DESK, ISSUER),)
BY_DESK = (*TO_DESK, give(DESK, NODE))
PASSED_ON = succeed(NODE, DIRECT, NEXT.public, NOW_MS)


def standing(*notices: Notice, saved: tuple[SaveRecord, ...] = ()) -> Notices:
    one = Notices(ROOTS, Outbox(), saved, NOW_MS)
    for notice in notices:
        assert one.receive(pack_notice(notice), NOW) == notice
    return one


def why(one: Notices, chain: tuple[Grant, ...], at_ms: int = NOW_MS) -> str:
    """The reason for which a chain is void by the door's own question, or `yes`."""
    last = chain[-1]
    refusal = verify_chain(chain, ROOTS, last.subject, last.role, at_ms, voids=one.voids)
    return "yes" if refusal is None else refusal.reason


# ---- what a revocation reaches


def test_a_root_takes_back_what_begins_at_it_and_a_delegate_what_it_gave() -> None:
    by_root = standing(take(CITY, NODE))
    assert why(by_root, DIRECT) == why(by_root, BY_DESK) == "grant-revoked"
    assert why(by_root, (give(OTHER_CITY, NODE),)) == "yes"
    by_desk = standing(take(DESK, NODE, chain=TO_DESK))
    assert why(by_desk, BY_DESK) == "grant-revoked"
    assert why(by_desk, DIRECT) == "yes"


def test_what_a_revoked_delegate_gave_is_void() -> None:
    one = standing(take(CITY, DESK))
    assert why(one, BY_DESK) == why(one, TO_DESK) == "grant-revoked"
    assert why(one, DIRECT) == "yes"


def test_one_grant_can_be_taken_back_and_another_of_the_same_key_stays() -> None:
    again = (give(CITY, NODE, until_ms=NOW_MS + 2 * YEAR_MS),)
    one = standing(take(CITY, NODE, grant=DIRECT[0]))
    assert why(one, DIRECT) == "grant-revoked"
    assert why(one, again) == "yes"


def test_a_key_may_take_itself_out() -> None:
    one = standing(take(NODE, NODE, chain=DIRECT))
    assert why(one, DIRECT) == why(one, BY_DESK) == "grant-revoked"


def test_what_was_signed_before_still_holds_for_then_but_for_the_slack_of_clocks() -> None:
    one = standing(take(CITY, NODE))
    assert why(one, DIRECT, NOW_MS - CLOCK_SKEW_MS - 1) == "yes"
    assert why(one, DIRECT, NOW_MS - CLOCK_SKEW_MS) == "grant-revoked"


@given(st.data())
def test_a_revocation_voids_exactly_the_chains_whose_issuers_above_signed_it(data: st.DataObject) -> None:
    """The slow twin: walk down the chain, remembering who has issued so far."""
    keys = [CITY, OTHER_CITY, DESK, DESK_2, NODE]
    path = data.draw(st.lists(st.sampled_from(keys), min_size=2, max_size=CHAIN_MAX + 1))
    chain = tuple(
        give(issuer, subject, ISSUER, may_delegate=True) for issuer, subject in itertools.pairwise(path)
    )
    revoked = data.draw(st.sampled_from(keys))
    issuer = data.draw(st.sampled_from(keys))
    word = take(issuer, revoked)
    expected, above = False, set()
    for key, following in itertools.pairwise(path):
        above.add(key.public)
        expected |= following is revoked and (issuer.public in above or issuer is revoked)
    assert any(reaches(word, chain, place) for place in range(len(chain))) == expected


# ---- who may


@pytest.mark.parametrize(
    ("reason", "notice"),
    [
        ("signature", replace(take(CITY, NODE), reason="another")),
        ("signature", replace(take(THIEF, NODE), issuer=CITY.public)),
        ("grant-missing", take(THIEF, NODE)),
        ("grant-subject", take(THIEF, NODE, chain=TO_DESK)),
        ("grant-role", take(NODE, DESK, chain=DIRECT)),
        ("grant-root", take(THIEF, NODE, chain=(give(THIEF, THIEF, ISSUER),))),
        ("grant-expired", take(DESK, NODE, chain=(give(CITY, DESK, ISSUER, until_ms=NOW_MS),))),
        ("root", take(OTHER_CITY, CITY)),
        ("expired", take(CITY, NODE, from_ms=NOW_MS - 9, until_ms=NOW_MS)),
        ("clock", take(CITY, NODE, from_ms=NOW_MS + 600_001)),
        ("span", take(CITY, NODE, until_ms=NOW_MS + REVOCATION_LONGEST_MS + 1)),
        ("grant", replace(take(CITY, NODE), grant=b"half")),
        ("grant-role", Succession((*DIRECT, give(NODE, NEXT)))),
        ("grant-signature", Succession((*DIRECT, replace(PASSED_ON[-1], sig=bytes(64))))),
        ("grant-root", Succession(succeed(NODE, (give(THIEF, NODE),), NEXT.public, NOW_MS))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_does_not_hold_is_refused_and_counted_and_kept_nowhere(reason: str, notice: Notice) -> None:
    out = Outbox()
    one = Notices(ROOTS, out)
    one.link_up(PEERS[0], (REVOKE,), ())
    refused = one.receive(pack_notice(notice), NOW)
    assert getattr(refused, "reason", None) == reason
    assert notice_fault(notice, ROOTS, NOW_MS) == refused
    assert one.counters == {f"notice-refused-{reason}": 1}
    assert (out.sends, out.writes) == ([], [])


@given(st.binary(max_size=200))
def test_garbage_is_no_notice(data: bytes) -> None:
    one = standing()
    assert getattr(one.receive(data, NOW), "reason", None) == "malformed"
    with pytest.raises(RemoteError):
        read_notice(bytes(NOTICE_BYTES_MAX + 1))


@given(st.integers(0, 200), st.integers(0, 7))
def test_no_bit_of_a_revocation_can_be_turned(at: int, bit: int) -> None:
    whole = pack_notice(take(DESK, NODE, chain=TO_DESK))
    turned = bytearray(whole)
    turned[at] ^= 1 << bit
    one = standing()
    taken = one.receive(bytes(turned), NOW)
    assert not isinstance(taken, Revocation | Succession)
    assert why(one, BY_DESK) == "yes"


# ---- the next key


def test_a_next_key_gets_all_and_the_key_before_has_nothing_left() -> None:
    one = standing(Succession(PASSED_ON))
    assert why(one, PASSED_ON) == "yes"
    assert why(one, DIRECT) == "grant-succeeded"
    again = succeed(NEXT, PASSED_ON, DESK.public, NOW_MS)
    assert why(standing(Succession(PASSED_ON), Succession(again)), again) == "yes"


def test_a_chain_with_a_next_key_holds_before_anybody_has_heard_of_it_but_passes_on_nothing_more() -> None:
    assert why(standing(), PASSED_ON) == "yes"
    for change in (
        {"role": "relay"},
        {"scope": ("places:*",)},
        {"not_after_ms": NOW_MS + 9},
        {"may_delegate": True},
        {"subject": NODE.public},
    ):
        forged = replace(PASSED_ON[-1], **change)
        assert why(standing(), (*DIRECT, forged)) == "grant-role"
    assert why(standing(), (replace(DIRECT[0], succeeds=True),)) == "grant-role"


def test_a_key_that_names_two_next_keys_was_copied_and_neither_counts() -> None:
    stolen = succeed(NODE, DIRECT, THIEF.public, NOW_MS - 1)
    for order in ((PASSED_ON, stolen), (stolen, PASSED_ON)):
        one = standing(*map(Succession, order))
        assert {why(one, chain) for chain in (DIRECT, *order)} == {"grant-succeeded"}
        third = Succession(succeed(NODE, DIRECT, DESK.public, NOW_MS))
        assert getattr(one.receive(pack_notice(third), NOW), "reason", None) == "copied"


def test_who_revokes_the_key_before_revokes_the_next() -> None:
    one = standing(Succession(PASSED_ON), take(CITY, NODE))
    assert why(one, PASSED_ON) == "grant-revoked"


def test_succeed_says_why_it_cannot() -> None:
    with pytest.raises(LocalError, match="another key"):
        succeed(NEXT, DIRECT, NODE.public, NOW_MS)
    with pytest.raises(LocalError, match="have ended"):
        succeed(NODE, DIRECT, NEXT.public, NOW_MS + YEAR_MS)
    chain: tuple[Grant, ...] = DIRECT
    keys = [NODE, NEXT, DESK, DESK_2, THIEF]
    for key, heir in itertools.pairwise(keys[:4]):
        chain = succeed(key, chain, heir.public, NOW_MS)
    with pytest.raises(LocalError, match="at most 4"):
        succeed(DESK_2, chain, THIEF.public, NOW_MS)


# ---- the set that every node keeps


ALL = (take(CITY, NODE), take(DESK, NODE, chain=TO_DESK), take(CITY, DESK), Succession(PASSED_ON))


@given(st.permutations(ALL), st.permutations(ALL))
def test_nodes_agree_in_whatever_order_they_hear(one: list[Notice], other: list[Notice]) -> None:
    a, b = standing(*one), standing(*other, *other)
    assert sorted(a.missing(())) == sorted(b.missing(()))
    for chain in (DIRECT, BY_DESK, PASSED_ON, TO_DESK):
        assert why(a, chain) == why(b, chain)


def test_a_notice_is_passed_on_once_and_told_to_whoever_comes_later_if_it_can_hear_it() -> None:
    out = Outbox()
    one = Notices(ROOTS, out)
    first, second, old = PEERS
    one.link_up(first, (REVOKE,), ())
    one.link_up(old, (), ())
    data = pack_notice(ALL[0])
    for _ in range(3):
        one.receive(data, NOW, came_from=None)
    assert out.sends == [ToPeer(first, Revoked(data))]
    one.link_up(second, (REVOKE,), ())
    assert out.sends[1:] == [ToPeer(second, Revoked(data))]
    one.link_down(first)
    one.receive(pack_notice(ALL[2]), NOW, came_from=second)
    assert len(out.sends) == 2


def test_it_is_on_the_disk_before_it_is_called_kept_and_comes_back_from_there() -> None:
    out = Outbox()
    one = Notices(ROOTS, out)
    one.receive(pack_notice(ALL[0]), NOW)
    (record,) = out.writes
    assert isinstance(record, SaveRecord)
    one.leaving(1)
    assert not one.is_kept(ALL[0])
    one.advance(WriteFailed(1, "full"))
    one.tick(Instant(NOW.boot_s + 10, NOW_MS))
    assert out.writes[1:] == [record]
    one.leaving(2)
    one.advance(Wrote(2))
    assert one.is_kept(ALL[0])
    later = Notices(ROOTS, Outbox(), (record,), NOW_MS)
    assert why(later, DIRECT) == "grant-revoked"
    strangers = Notices(frozenset({OTHER_CITY.public}), Outbox(), (record,), NOW_MS)
    assert strangers.missing(()) == []  # a root that was taken out of the configuration says nothing here


@pytest.mark.parametrize("notice", [take(CITY, NODE), Succession(PASSED_ON)], ids=["revoked", "succeeded"])
def test_it_is_forgotten_when_all_it_speaks_of_has_ended(notice: Notice) -> None:
    out = Outbox()
    one = Notices(ROOTS, out)
    one.receive(pack_notice(notice), NOW)
    one.tick(Instant(500.0, notice_end_ms(notice) - 1))
    assert one.missing(())
    one.tick(Instant(600.0, notice_end_ms(notice)))
    assert one.missing(()) == []
    assert out.writes[-1] == SaveRecord("notice", notice_id(notice), b"")
    assert not one.fallen([NODE.public], NOW_MS)
    assert getattr(one.receive(pack_notice(notice), Instant(700.0, notice_end_ms(notice))), "reason", "") == (
        "expired"
    )


def test_a_delegate_cannot_fill_the_list() -> None:
    one = standing()
    taken = [
        one.receive(pack_notice(take(DESK, NODE, chain=TO_DESK, reason=str(i))), NOW)
        for i in range(NOTICES_OF_DELEGATE_MAX + 1)
    ]
    assert getattr(taken[-1], "reason", None) == "full"
    assert all(isinstance(each, Revocation) for each in taken[:-1])
    assert NOTICES_OF_DELEGATE_MAX < NOTICES_MAX - NOTICES_OF_ROOTS
    standing_root = one.receive(pack_notice(take(CITY, DESK)), NOW)
    assert isinstance(standing_root, Revocation)


def test_who_may_not_take_part_is_known_by_its_key_or_by_what_it_has_shown() -> None:
    nodes = [NODE.public, NEXT.public]
    assert standing(take(CITY, NODE)).fallen(nodes, NOW_MS) == {NODE.public}
    assert standing(take(NODE, NODE, chain=DIRECT)).fallen(nodes, NOW_MS) == {NODE.public}
    assert standing(Succession(PASSED_ON)).fallen(nodes, NOW_MS) == {NODE.public}
    one = standing(take(DESK, NODE, chain=TO_DESK))
    assert one.fallen(nodes, NOW_MS) == set()  # it may have another grant
    one.link_up(Incarnation(NODE.public, 1), (), BY_DESK)
    assert one.fallen(nodes, NOW_MS) == {NODE.public}
    one.members([NEXT.public])
    assert one.fallen(nodes, NOW_MS) == {NODE.public}  # it is linked, and may be listed soon
    one.link_down(Incarnation(NODE.public, 1))
    one.members([NEXT.public])
    assert one.fallen(nodes, NOW_MS) == set()
    only = standing(take(CITY, NODE, grant=DIRECT[0]))
    only.link_up(Incarnation(NODE.public, 1), (), (give(CITY, NODE, until_ms=NOW_MS + 5),))
    assert only.fallen(nodes, NOW_MS) == set()


def test_one_grant_is_named_by_all_it_says() -> None:
    assert grant_id(DIRECT[0]) == grant_id(give(CITY, NODE))
    assert grant_id(DIRECT[0]) != grant_id(replace(DIRECT[0], sig=bytes(64)))
