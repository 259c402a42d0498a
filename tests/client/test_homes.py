"""Where a client tries next, and what it knows of the server's time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.clock import ServerClock
from client.homes import BACKOFF_S, URLS_MAX, Homes
from p2pworld.errors import LocalError

KEY = bytes(32)
urls = st.lists(st.sampled_from("abcdef"), min_size=1)


def test_there_must_be_somewhere_to_go() -> None:
    with pytest.raises(LocalError, match="at least one url"):
        Homes(KEY, [])


@given(urls, st.lists(st.tuples(st.booleans(), urls), max_size=20))
def test_the_preferred_comes_first_and_the_failed_last_and_none_twice(
    first: list[str], happened: list[tuple[bool, list[str]]]
) -> None:
    homes = Homes(KEY, first)
    known = set(first)
    for good, some in happened:
        if good:
            homes.prefer(some)
            known |= set(some)
            assert homes.best == some[0]
        else:
            homes.failed(some[0])
            others = [url for url in homes._urls if url != some[0]]
            assert homes.best != some[0] or not others
            assert some[0] not in known or homes._urls[-1] == some[0]
        assert sorted(homes._urls) == sorted(known)


def test_so_many_are_remembered() -> None:
    homes = Homes(KEY, (str(n) for n in range(100)))
    homes.prefer(["new"])
    assert len(homes._urls) == URLS_MAX
    assert homes.best == "new"


def test_one_waits_longer_each_time_and_not_like_everybody_else() -> None:
    one, other = Homes(KEY, ["a"]), Homes(bytes([1]) * 32, ["a"])
    waits = [one.wait_s() for _ in range(10)]
    for wait_s, longest_s in zip(waits, (*BACKOFF_S, *[BACKOFF_S[-1]] * 4), strict=True):
        assert longest_s / 2 <= wait_s <= longest_s
    assert waits != [other.wait_s() for _ in range(10)]
    one.start_over()
    assert one.wait_s() == waits[0]


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 400)), min_size=1, max_size=20),
)
def test_the_clock_goes_by_the_quickest_frame(start_t_ms: int, frames: list[tuple[int, int]]) -> None:
    """Frame i left `after_ms` after WELCOME, and took `delay_ms` longer than WELCOME's own way."""
    clock = ServerClock()
    welcome_delay_ms = 300
    clock.welcomed(1_700_000_000_000, start_t_ms, 50.0 + welcome_delay_ms / 1000)
    for after_ms, delay_ms in frames:
        clock.heard((start_t_ms + after_ms) % 2**32, 50.0 + (after_ms + delay_ms) / 1000)
    quickest_ms = min(welcome_delay_ms, *(delay_ms for _, delay_ms in frames))
    assert abs(clock.unix_ms(50.0) - (1_700_000_000_000 - quickest_ms)) <= 1


def test_a_frame_from_before_the_welcome_tells_nothing() -> None:
    clock = ServerClock()
    clock.welcomed(1_000_000, 500, 10.0)
    clock.heard(499, 9.0)
    assert clock.unix_ms(10.0) == 1_000_000
