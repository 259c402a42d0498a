"""Which logins are admitted, and what a home knows of where everybody is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pworld.crypto.keys import NodeKeys, PersonKeys, login_of, sign_hello
from p2pworld.ids import Incarnation
from p2pworld.limits import DIRECTORY_TTL_S, LOGIN_AHEAD_MS
from p2pworld.messages import Hello, Profile, SignedHello
from p2pworld.world.presence import Directory, Nonces, login_fault

NODE = NodeKeys.from_seed(b"n" * 32)
KIM = PersonKeys.from_seed(b"k" * 32)
URL = "wss://a.seoul/play"
NOW_MS = 1_800_000_000_000
A, B, C = (Incarnation(letter * 32, 1) for letter in (b"a", b"b", b"c"))
AVATAR = 7


def signed(login_ms: int) -> SignedHello:
    nonce = bytes([login_ms % 251]) * 32
    return SignedHello(NODE.public, nonce, sign_hello(KIM, NODE.public, nonce, login_ms, URL, Profile("Kim")))


FRESH: Hello = signed(NOW_MS).hello


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (FRESH, None),
        (replace(FRESH, login_ms=NOW_MS + LOGIN_AHEAD_MS), None),
        (replace(FRESH, ticket=b"t" * 16, birth=b"b" * 16), None),
        (replace(FRESH, v=99), "version"),
        (replace(FRESH, url="wss://b.seoul/play"), "url"),
        (replace(FRESH, ticket=b"t" * 16), "malformed"),
        (replace(FRESH, birth=b"b" * 16), "malformed"),
        (replace(FRESH, login_ms=NOW_MS + LOGIN_AHEAD_MS + 1), "clock"),
        (replace(FRESH, login_ms=0), "malformed"),
    ],
    ids=[
        *("fresh", "a little ahead", "with a ticket", "another version", "another address"),
        *("a ticket of no login", "a birth of its own", "far ahead", "never"),
    ],
)
def test_a_hello_is_admitted_or_not_and_says_why(hello: Hello, why: str | None) -> None:
    fault = login_fault(hello, frozenset({URL}), NOW_MS)
    assert (fault and fault[0]) == why
    assert fault is None or fault[1].endswith(".")


def test_a_ticket_carries_its_login_over_however_old_it_is() -> None:
    assert (
        login_fault(replace(FRESH, ticket=b"t" * 16, birth=b"b" * 16, login_ms=1), frozenset({URL}), 0)
        is None
    )


def test_no_two_nonces_are_alike_and_the_same_seed_gives_the_same() -> None:
    nonces, again = Nonces(b"s" * 32), Nonces(b"s" * 32)
    drawn = [nonces.draw(16) for _ in range(100)]
    assert len(set(drawn)) == 100
    assert drawn == [again.draw(16) for _ in range(100)]


def test_a_home_knows_the_newest_login_and_who_said_so_last() -> None:
    directory, old, new = Directory(), signed(NOW_MS), signed(NOW_MS + 1)
    assert directory.find(AVATAR) is None
    assert directory.put(AVATAR, old, A, 0.0) == ()
    assert directory.find(AVATAR) == (A, old)
    assert directory.knows(AVATAR, old)
    assert not directory.knows(AVATAR, new)
    assert directory.put(AVATAR, old, B, 1.0) == (), "it was handed on"
    assert directory.find(AVATAR) == (B, old)
    assert directory.put(AVATAR, new, B, 2.0) == (), "who says so itself need not be told"
    assert directory.find(AVATAR) == (B, new)


def test_whoever_had_or_tells_of_an_older_login_is_told_of_the_newer() -> None:
    directory, old, new = Directory(), signed(NOW_MS), signed(NOW_MS + 1)
    directory.put(AVATAR, old, A, 0.0)
    assert directory.put(AVATAR, new, B, 1.0) == ((A, new),)
    assert directory.put(AVATAR, old, C, 2.0) == ((C, new),)
    assert directory.find(AVATAR) == (B, new)
    assert login_of(new) > login_of(old)


def test_who_is_not_refreshed_is_forgotten_and_nobody_else() -> None:
    directory, hello = Directory(), signed(NOW_MS)
    directory.put(1, hello, A, 0.0)
    directory.put(2, hello, A, 0.0)
    directory.put(2, hello, A, 1.0)
    directory.expire(DIRECTORY_TTL_S)
    assert len(directory) == 2
    directory.expire(DIRECTORY_TTL_S + 0.5)
    assert directory.find(1) is None
    assert directory.find(2) == (A, hello)
