"""What a node gives up when it cannot keep up: the order, the speed, the way back, and that it comes to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from p2pworld.limits import EASE_S, OVER_BUSY, OVER_TICKS, TICK_MS_MAX
from p2pworld.world.overload import MEANS, TABLE, At, On, Overload
from tests.world.overload_page import PATH, document

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = list(At)


def live(
    machine: Overload, busy: Callable[[Overload], float], seconds: float, from_s: float = 0.0
) -> list[tuple[float, At]]:
    """The steps it takes, and when, while its loop is so busy."""
    steps = []
    now_s = from_s
    while now_s < from_s + seconds:
        now_s += machine.tick_ms / 1000
        if machine.tick(busy(machine), now_s):
            steps.append((now_s, machine.at))
    return steps


def demand(share: float) -> Callable[[Overload], float]:
    """A crowd that takes `share` of the node's time when all is shown at its own tick; half of it does not shrink."""
    worth = {0: 1.0, 1: 0.9, 2: 0.8, 3: 0.75}

    def busy(machine: Overload) -> float:
        return share * worth[machine.shed] * (0.25 + 0.75 * 100 / machine.tick_ms)

    return busy


def test_the_page_is_what_the_table_says() -> None:
    assert PATH.read_text(encoding="utf-8") == document(), (
        "python -m tests.world.overload_page writes it anew"
    )


def test_the_table_names_every_pair_and_moves_one_step() -> None:
    assert set(TABLE) == {(at, on) for at in At for on in On}
    for (at, on), to in TABLE.items():
        step = 1 if on is On.OVERRUN else -1
        assert to is ORDER[min(max(ORDER.index(at) + step, 0), len(ORDER) - 1)]
    sheds = [(MEANS[at].shed, MEANS[at].tick_times) for at in ORDER]
    assert sheds == sorted(sheds)


def test_it_sheds_in_order_and_then_slows_down() -> None:
    machine = Overload(100)
    steps = live(machine, lambda m: 3.0, 10)
    assert [at for _, at in steps] == ORDER[1:]
    assert steps[-1][0] < 2.0
    assert machine.tick_ms == TICK_MS_MAX
    assert machine.declines
    assert sum(machine.counters.values()) == len(ORDER) - 1


def test_it_is_whole_again_within_five_seconds() -> None:
    machine = Overload(100)
    live(machine, lambda m: 3.0, 10)
    steps = live(machine, lambda m: 0.2, 10, from_s=10.5)
    assert [at for _, at in steps] == ORDER[-2::-1]
    assert steps[-1][0] - 10.5 < 5.0
    assert machine.tick_ms == 100


def test_a_short_fright_changes_nothing() -> None:
    machine = Overload(100)
    for number in range(100):
        assert not machine.tick(50.0 if number % OVER_TICKS else 0.5, number / 10)
    assert machine.at is At.WHOLE


@given(share=st.floats(0.1, 12.0), after=st.floats(0.1, 12.0))
def test_under_a_steady_crowd_it_comes_to_rest(share: float, after: float) -> None:
    machine = Overload(100)
    live(machine, demand(share), 20)
    assert live(machine, demand(share), 20, from_s=20) == []
    live(machine, demand(after), 20, from_s=40)
    assert live(machine, demand(after), 20, from_s=60) == []
    rested = demand(after)(machine)
    assert rested < OVER_BUSY or machine.at is At.SLOWEST
    # nobody is left at a step that is lower than it need be by more than what keeps it from swinging
    if machine.at is not At.WHOLE:
        assert rested > MEANS[machine.at].room


@given(tick_ms=st.integers(20, 1_000))
def test_a_tick_grows_to_half_a_second_at_most_and_never_shrinks(tick_ms: int) -> None:
    machine = Overload(tick_ms)
    lengths = []
    for at in ORDER:
        machine.at = at
        lengths.append(machine.tick_ms)
    assert lengths == sorted(lengths)
    assert lengths[0] == tick_ms
    assert lengths[-1] <= max(tick_ms, TICK_MS_MAX)


def test_its_load_is_the_mean_of_about_a_second() -> None:
    machine = Overload(100)
    live(machine, lambda m: 0.5, 5)
    assert abs(machine.load - 0.5) < 0.01
    live(machine, lambda m: 0.0, 1, from_s=5)
    assert 0.1 < machine.load < 0.25
    assert EASE_S < 1.0
