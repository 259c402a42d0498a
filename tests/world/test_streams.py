"""Streams of civic transactions in the city map: who takes which, when its holder ends, and who never does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from p2pworld.world.proposals import StreamClaim, Wants
from tests.world.test_ownership import TTL_S, Seat, World, key

if TYPE_CHECKING:
    from p2pworld.world.citymap import Holding

DISK, SERVER = StreamClaim("jongno", shared=False), StreamClaim("jongno", shared=True)
FAILOVER_S = 1.2 * TTL_S + 3.0  # judged, cleaned up by a stranger in its turn, read and taken


def holding(world: World) -> Holding | None:
    return world.store.city.streams.get("jongno")


def holder(world: World) -> str | None:
    """The name of who holds the stream by the newest map."""
    held = holding(world)
    return held.holder.node[:1].decode() if held is not None and held.holder is not None else None


def believed(world: World) -> list[str]:
    """Who believes to hold it under a lease."""

    def holds(seat: Seat) -> bool:
        held = seat.machine.city.streams.get("jongno")
        return held is not None and held.holder == seat.machine.who

    return [
        name
        for name, seat in world.seats.items()
        if holds(seat) and not seat.machine.lapsed(world.instant(seat))
    ]


def city(streams: dict[str, StreamClaim | None], **options: float) -> World:
    """Nodes that can hold the stream, or cannot, at work."""
    world = World(standbys=False, **options)  # type: ignore[arg-type]
    for name, claim in streams.items():
        world.start(name, streams=(claim,) if claim else ())
    world.run(3.0)
    return world


def test_a_stream_on_a_disk_waits_for_the_node_whose_disk_it_is() -> None:
    world = city({"a": DISK, "c": None})
    assert holder(world) == "a"
    first = holding(world)
    assert first is not None
    assert first.host == key("a")
    world.start("b", streams=(DISK,))
    gone = world.stop("a")
    world.run(30.0)
    held = holding(world)
    assert held is not None
    assert held.holder is None
    assert held.lost is not None
    assert held.lost.holder == gone
    world.start("a", ends=gone.number, streams=(DISK,))
    world.run(3.0)
    again = holding(world)
    assert again is not None
    assert holder(world) == "a"
    assert again.epoch > held.epoch > first.epoch


def test_a_stream_on_a_server_is_taken_by_another_that_can_hold_it() -> None:
    world = city({"a": SERVER, "b": SERVER, "c": None})
    first = holder(world)
    assert first in ("a", "b")
    held = holding(world)
    assert held is not None
    assert held.host is None
    world.stop(first)
    world.run_until(lambda: holder(world) == ("b" if first == "a" else "a"), FAILOVER_S)
    again = holding(world)
    assert again is not None
    assert again.epoch > held.epoch


def test_a_node_restarted_at_once_takes_its_stream_again() -> None:
    world = city({"a": DISK, "b": None})
    gone = world.stop("a")
    world.start("a", ends=gone.number, streams=(DISK,))
    world.run_until(
        lambda: (
            (held := holding(world)) is not None
            and held.holder is not None
            and held.holder.number > gone.number
        ),
        3.0,
    )


def test_a_node_with_another_key_by_now_takes_the_stream_on_its_disk() -> None:
    world = city({"a": DISK, "b": None})
    gone = world.stop("a")
    world.run(10.0)
    world.start("d", former="a", streams=(DISK,))
    world.run_until(lambda: holder(world) == "d", 3.0)
    assert gone not in {member.who for member in world.store.city.members.values()}


def test_who_ends_gives_its_stream_up_and_takes_none() -> None:
    world = city({"a": SERVER, "c": None})
    assert holder(world) == "a"
    seat = world.start("b", streams=(SERVER,))
    world.run(3.0)
    assert holder(world) == "a"
    world.seats["a"].machine.wants(Wants(drain=True))
    world.run_until(lambda: holder(world) == "b", 2.0)
    seat.machine.wants(Wants(drain=True))
    world.run(5.0)
    assert holder(world) is None  # both end, and the third has no such store
    held = holding(world)
    assert held is not None
    assert held.lost is None


def test_what_a_node_cannot_hold_is_left_to_others_for_a_while() -> None:
    world = city({"a": SERVER, "c": None})
    world.start("b", streams=(SERVER,))
    world.run(2.0)
    assert holder(world) == "a"
    world.seats["a"].machine.wants(Wants(yields=frozenset({"jongno", "other"})))
    world.run_until(lambda: holder(world) == "b", 2.0)
    world.seats["b"].machine.wants(Wants(yields=frozenset({"jongno"})))
    world.run(3.0)
    assert holder(world) is None
    world.seats["a"].machine.wants(Wants())
    world.run_until(lambda: holder(world) == "a", 2.0)


def test_what_is_on_a_disk_is_left_to_nobody() -> None:
    world = city({"a": DISK, "c": None})
    first = holding(world)
    world.seats["a"].machine.wants(Wants(yields=frozenset({"jongno"})))
    world.run(3.0)
    assert holder(world) == "a"
    assert holding(world) == first


def test_who_ends_keeps_what_is_on_its_disk_until_it_has_left() -> None:
    world = city({"c": None})
    machine = world.start("a", orphans=False, streams=(DISK,)).machine
    machine._proposals._claims = ()  # no ground: nothing else keeps it here
    world.run(3.0)
    machine.wants(Wants(drain=True))
    world.run(3.0)
    assert holder(world) == "a"
    machine.wants(Wants(drain=True, retire=True))
    world.run_until(lambda: machine.retired, 2.0)
    held = holding(world)
    assert held is not None
    assert held.lost is not None
    assert held.lost.holder == machine.who


def test_a_map_of_the_release_before_holds_streams_too() -> None:
    world = World(standbys=False)
    world.start("a", streams=(SERVER,))
    world.run(0.5)
    older = world.store.city
    world.store.city = replace(older, format=1, version=older.version + 1, streams={})
    world.run(3.0)
    assert world.store.city.format == 1
    assert holder(world) == "a"
    world.seats["a"].machine.wants(Wants(drain=True))
    world.run(1.0)
    assert holder(world) is None


def test_a_node_that_nobody_hears_takes_no_stream() -> None:
    world = city({"a": None, "b": SERVER})
    assert holder(world) == "b"
    seat = world.seats["b"]
    seat.machine.step_back()
    world.run(3.0)
    assert holder(world) is None
    seat.machine.heard()
    world.run_until(lambda: holder(world) == "b", 2.0)


@pytest.mark.parametrize("seed", range(4))
def test_nobody_holds_a_stream_beside_another_and_epochs_only_grow(seed: int) -> None:
    world = city(dict.fromkeys("abc", SERVER), seed=seed, trouble=0.15, drift=0.01)
    epochs: list[tuple[int, str]] = []
    for _ in range(200):
        world.run(0.25)
        assert len(believed(world)) <= 1
        held, name = holding(world), holder(world)
        if held is not None and name is not None and (held.epoch, name) not in epochs:
            epochs.append((held.epoch, name))
        if world.random.random() < 0.05:
            name = world.random.choice("abc")
            gone = world.stop(name)
            world.start(name, ends=gone.number, streams=(SERVER,), after_s=world.random.uniform(0, 5))
        if world.random.random() < 0.05:
            world.pause(world.random.choice("abc"), world.random.uniform(0, 2 * TTL_S))
    assert len(epochs) > 1
    assert all(one[0] < other[0] for one, other in pairwise(epochs))
