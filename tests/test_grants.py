"""Grants: nothing is allowed that a chain from a root does not say, now, about this subject."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import NodeKeys
from p2pworld.errors import LocalError
from p2pworld.geometry import Cell
from p2pworld.grants import (
    CHAIN_MAX,
    ISSUER,
    ROLES,
    Grant,
    covers,
    grant_from_text,
    grant_to_text,
    grants_from_text,
    sign_grant,
    verify_chain,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CITY, DESK, HOST, OTHER = (NodeKeys.from_seed(bytes((i,)) * 32) for i in range(4))
ROOTS = frozenset({CITY.public})
ALL = ("cells:*",)


def give(issuer: NodeKeys, to: NodeKeys, role: str, scope: tuple[str, ...] = ALL, **more: Any) -> Grant:
    return sign_grant(issuer, to.public, role, scope, more.pop("begin", 10), more.pop("end", 20), **more)


def why(
    *chain: Grant, subject: NodeKeys = HOST, role: str = "shard", now: int = 15, scope: str | None = None
) -> str:
    """The reason of the refusal, or `yes`."""
    refusal = verify_chain(chain, ROOTS, subject.public, role, now, scope)
    assert refusal is None or refusal.sentence
    return "yes" if refusal is None else refusal.reason


DIRECT = give(CITY, HOST, "shard")
TO_DESK = give(CITY, DESK, ISSUER, ("cells:02", "places:*"))
BY_DESK = give(DESK, HOST, "shard", ("cells:0213",))


def test_a_root_grants_directly_or_through_an_issuer() -> None:
    assert why(DIRECT) == "yes"
    assert why(TO_DESK, BY_DESK) == "yes"
    assert why(TO_DESK, BY_DESK, scope="cells:02130") == "yes"


def test_a_grant_holds_from_its_first_moment_until_before_its_last() -> None:
    assert [why(DIRECT, now=now) for now in (9, 10, 19, 20)] == ["grant-early", "yes", "yes", "grant-expired"]
    assert why(give(CITY, DESK, ISSUER, end=12), BY_DESK) == "grant-expired"  # the desk's own has ended
    assert why(give(CITY, DESK, ISSUER, begin=16), BY_DESK) == "grant-early"


def test_truncated_and_foreign_chains() -> None:
    assert why() == "grant-missing"
    assert why(BY_DESK) == "grant-root"
    assert why(TO_DESK) == "grant-subject"
    assert why(TO_DESK, subject=DESK) == "grant-role"
    assert why(give(OTHER, HOST, "shard")) == "grant-root"
    assert why(give(CITY, OTHER, ISSUER), BY_DESK) == "grant-broken"
    assert why(BY_DESK, TO_DESK) == "grant-root"
    assert why(*(DIRECT,) * (CHAIN_MAX + 1)) == "grant-long"


def test_another_subject_cannot_use_it() -> None:
    assert why(DIRECT, subject=OTHER) == "grant-subject"
    assert why(replace(DIRECT, subject=OTHER.public), subject=OTHER) == "grant-signature"


def test_another_role_or_scope_than_granted() -> None:
    assert why(DIRECT, role="civic") == "grant-role"
    assert why(TO_DESK, BY_DESK, scope="cells:0212") == "grant-scope"
    assert why(TO_DESK, BY_DESK, scope="places:hall") == "grant-scope"
    assert why(TO_DESK, give(DESK, HOST, "shard", ("cells:03",))) == "grant-scope"
    assert why(TO_DESK, give(DESK, HOST, "shard", ("cells:0",))) == "grant-scope"
    assert why(TO_DESK, give(DESK, HOST, "shard", ("cells:0213", "streams:city"))) == "grant-scope"


def test_who_may_issue() -> None:
    assert why(give(CITY, DESK, "shard"), give(DESK, HOST, "shard")) == "grant-role"
    assert why(give(CITY, DESK, "shard", may_delegate=True), give(DESK, HOST, "shard")) == "yes"
    assert why(give(CITY, DESK, "relay", may_delegate=True), give(DESK, HOST, "shard")) == "grant-role"
    middle = give(DESK, OTHER, ISSUER)
    assert why(give(CITY, DESK, ISSUER), middle, give(OTHER, HOST, "shard")) == "grant-role"
    assert why(give(CITY, DESK, ISSUER, may_delegate=True), middle, give(OTHER, HOST, "shard")) == "yes"
    handed_on = give(DESK, HOST, "shard", may_delegate=True)
    assert why(give(CITY, DESK, ISSUER), handed_on) == "grant-role"
    assert why(give(CITY, DESK, ISSUER, may_delegate=True), handed_on) == "yes"


def test_a_holder_cannot_raise_what_it_was_given() -> None:
    issued_itself = give(HOST, HOST, ISSUER)
    assert why(DIRECT, issued_itself, subject=HOST, role=ISSUER) == "grant-role"


CHANGES = {
    "subject": OTHER.public, "role": "civic", "scope": ("places:*",), "not_before_ms": 11, "not_after_ms": 21,
    "issuer": OTHER.public, "sig": bytes(64), "may_delegate": True,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_is_signed(name: str) -> None:
    forged = replace(DIRECT, **{name: CHANGES[name]})  # type: ignore[arg-type]
    roots = ROOTS | {OTHER.public}
    refusal = verify_chain((forged,), roots, forged.subject, forged.role, 15)
    assert refusal is not None
    assert refusal.reason == "grant-signature"


def test_a_forgery_in_the_middle_is_seen() -> None:
    wider = replace(TO_DESK, scope=("cells:*",))
    assert why(wider, give(DESK, HOST, "shard", ("cells:3",))) == "grant-signature"


def test_a_role_or_scope_nobody_knows_is_refused_though_signed() -> None:
    for change, reason in (({"role": "king"}, "grant-role"), ({"scope": ("cells:9",)}, "grant-scope")):
        odd = replace(DIRECT, **change)
        assert why(odd, role=odd.role) == reason


@pytest.mark.parametrize(
    "scope", ["", "cells", "cells:", "cells:4", "cells:" + "0" * 19, "moon:*", "places:../x", "cells:0\n"]
)
def test_malformed_scopes_are_not_issued_and_cover_nothing(scope: str) -> None:
    with pytest.raises(LocalError):
        give(CITY, HOST, "shard", (scope,))
    assert not covers(scope, scope)
    assert not covers("cells:*", scope)


def test_what_is_never_issued() -> None:
    issues: list[Callable[[], Grant]] = [
        lambda: give(CITY, HOST, "king"),
        lambda: give(CITY, HOST, "shard", ()),
        lambda: give(CITY, HOST, "shard", begin=20),
        lambda: sign_grant(CITY, b"short", "shard", ALL, 1, 2),
    ]
    for issue in issues:
        with pytest.raises(LocalError):
            issue()


quadkeys = st.text("0123", min_size=1, max_size=6)


@given(quadkeys, quadkeys)
def test_a_scope_of_cells_covers_what_geometry_says_it_contains(wide: str, narrow: str) -> None:
    outer, inner = (Cell.from_quadkey(key).bounds_cm() for key in (wide, narrow))
    inside = outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
    assert covers(f"cells:{wide}", f"cells:{narrow}") == inside
    assert covers("cells:root", f"cells:{narrow}")
    assert covers("cells:*", f"cells:{narrow}")
    assert not covers(f"cells:{wide}", "cells:*")
    assert not covers(f"cells:{wide}", "cells:root")


KEYS = (CITY, DESK, HOST)
any_grant = st.builds(
    give,
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.sampled_from((ISSUER, "shard", "relay")),
    st.sampled_from((ALL, ("cells:0",), ("cells:01",), ("cells:1",))),
    may_delegate=st.booleans(),
    begin=st.sampled_from((0, 10)),
    end=st.sampled_from((15, 20)),
)


def allowed(chain: list[Grant], now: int) -> bool:
    """The rules once more, as sentences over indices."""
    issued_by = [CITY.public, *(grant.subject for grant in chain)]
    reach = [{"", "0", "01", "1"}]
    for grant in chain:
        name = grant.scope[0].removeprefix("cells:").replace("*", "")
        reach.append({key for key in reach[0] if key.startswith(name)})
    return all(grant.issuer == issued_by[i] for i, grant in enumerate(chain)) and all(
        grant.not_before_ms <= now < grant.not_after_ms for grant in chain
    ) and all(
        reach[i + 2] <= reach[i + 1]
        and ((a.role == ISSUER and b.role != ISSUER) or (a.role == b.role and a.may_delegate))
        and (a.may_delegate or not b.may_delegate)
        for i, (a, b) in enumerate(pairwise(chain))
    )  # fmt: skip


@given(st.lists(any_grant, min_size=1, max_size=3), st.integers(5, 20))
def test_exactly_the_chains_the_rules_allow_are_accepted(chain: list[Grant], now: int) -> None:
    last = chain[-1]
    assert (verify_chain(tuple(chain), ROOTS, last.subject, last.role, now) is None) == allowed(chain, now)


@given(any_grant)
def test_text_gives_the_same_grant_back(grant: Grant) -> None:
    line = grant_to_text(grant)
    assert "\n" not in line
    assert grant_from_text(f"  {line}\n") == grant


@given(st.text(max_size=60) | st.text("abcABC019_-", max_size=80))
def test_text_that_is_no_grant_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(LocalError, match="no grant"):
        grant_from_text(text)


@given(any_grant, st.integers(0, 400), st.sampled_from("ab-_Z9"))
def test_a_changed_letter_is_another_grant_or_none(grant: Grant, at: int, letter: str) -> None:
    line = grant_to_text(grant)
    changed = line[: at % len(line)] + letter + line[at % len(line) + 1 :]
    with suppress(LocalError):
        other = grant_from_text(changed)
        assert other == grant or verify_chain(
            (other,), frozenset({other.issuer}), other.subject, other.role, 12
        )


def test_a_file_holds_a_chain_with_comments() -> None:
    text = f"# the desk\n{grant_to_text(TO_DESK)}\n\n  {grant_to_text(BY_DESK)}  \n"
    assert grants_from_text(text) == (TO_DESK, BY_DESK)
    with pytest.raises(LocalError, match="line 5: this line is no grant"):
        grants_from_text(text + "oops!\n")


def test_the_roles_are_these() -> None:
    assert sorted(ROLES) == ["civic", "moderator", "official", "relay", "shard"]
