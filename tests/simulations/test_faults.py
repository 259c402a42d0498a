"""The list of faults: drawn from the seed alone, at the rates that were asked for, each kind with dice of its own."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from simulations.cluster import City, CityOptions, simulate
from simulations.faults import MAJOR, PRESETS, Fault, FaultOptions, Size, as_fault, as_plain, drawn

SIZE = Size(4, 6, 29)
HEAVY = PRESETS["heavy"]
HOUR_S = 3600.0


def test_the_same_seed_draws_the_same_list_and_another_seed_another() -> None:
    assert drawn(7, HEAVY, SIZE, 300.0) == drawn(7, HEAVY, SIZE, 300.0)
    assert drawn(7, HEAVY, SIZE, 300.0) != drawn(8, HEAVY, SIZE, 300.0)
    assert drawn(7, PRESETS["none"], SIZE, 300.0) == ()


@pytest.mark.parametrize("preset", ["light", "heavy"])
def test_each_kind_comes_as_often_as_it_says(preset: str) -> None:
    options = PRESETS[preset]
    hours = 10
    faults = drawn(1, options, SIZE, hours * HOUR_S)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert 0.0 <= faults[0].at_s <= faults[-1].at_s < hours * HOUR_S
    counts = Counter(fault.kind for fault in faults)
    for kind in MAJOR:
        want = hours * HOUR_S / options.every_s(kind)
        assert abs(counts[kind] - want) < 5 * want**0.5, kind
    major = sum(counts[kind] for kind in MAJOR)
    assert major == pytest.approx(hours * options.major_per_hour(), rel=0.05)


@pytest.mark.parametrize("per_hour", [60.0, 240.0])
def test_a_rate_is_kept_with_the_mixture(per_hour: float) -> None:
    options = HEAVY.at_rate(per_hour)
    assert options.major_per_hour() == pytest.approx(per_hour)
    assert options.every_s("pause") / options.every_s("crash") == pytest.approx(22.0 / 30.0)
    counts = Counter(fault.kind for fault in drawn(1, options, SIZE, 5 * HOUR_S))
    assert sum(counts[kind] for kind in MAJOR) == pytest.approx(5 * per_hour, rel=0.2)
    assert HEAVY.at_rate(0.0).major_per_hour() == 0.0


def test_another_rate_of_one_kind_moves_no_other() -> None:
    more = replace(HEAVY, pause_every_s=1.0)
    others = [
        [fault for fault in drawn(3, options, SIZE, 300.0) if fault.kind != "pause"]
        for options in (HEAVY, more)
    ]
    assert others[0] == others[1]


def test_faults_hit_machines_and_devices_that_there_are() -> None:
    for fault in drawn(5, HEAVY, SIZE, 5 * HOUR_S):
        if not fault.kind.startswith(
            ("civic", "witness")
        ):  # these name a log or a witness, however many there are
            most = SIZE.devices if fault.kind.startswith("client") else SIZE.machines
            assert all(0 <= number < most for number in fault.on)
        assert fault.for_s >= 0.0


def test_a_list_travels_as_json() -> None:
    faults = drawn(2, HEAVY, SIZE, 300.0)
    assert tuple(map(as_fault, json.loads(json.dumps([*map(as_plain, faults)])))) == faults


@pytest.mark.parametrize("plain", [{"kind": "flood"}, {"at_s": 1.0}, {"kind": "crash", "to": 1}, 7])
def test_what_is_no_fault_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no fault"):
        as_fault(plain)


def test_a_run_under_its_own_list_is_the_same_run() -> None:
    one = City(4, 0.7, HEAVY, CityOptions())
    other = City(4, 0.7, FaultOptions(), CityOptions(), one.ordeal.plan)
    assert one.run().trace_hash == other.run().trace_hash


def test_every_kind_of_fault_happens_and_breaks_nothing() -> None:
    """What a city has to stand, each alone and at a time when it hurts; the city takes all of it."""
    plan = [
        Fault(10.0, "crash-in-write", (0,), 1.0),
        Fault(14.0, "join", (4,), 20.0),
        Fault(16.0, "leave", (1,), 2.0),
        Fault(24.0, "disk-lies", (2,), 1.0, by=3.0),
        Fault(30.0, "lost"),
        Fault(31.0, "gather", for_s=10.0, by=500_500.0),
        Fault(32.0, "operator", (3,), 5.0, 0.5, "drain"),
        Fault(40.0, "store-restored", for_s=4.0, by=12.0),
        Fault(55.0, "roll", (0, 1, 2, 3)),
        Fault(57.0, "operator", (3,), 5.0, 0.5, "split"),
    ]
    outcome = City(6, 1.6, FaultOptions(), CityOptions(), plan).run()
    assert outcome.violations == ()
    want = {fault.kind for fault in plan}
    assert want <= outcome.faults.keys()


def test_a_crowd_cuts_the_ground_it_stands_on_and_lets_it_grow_together_again() -> None:
    city = City(3, 2.0, FaultOptions(), CityOptions(), [Fault(15.0, "gather", for_s=25.0, by=380_380.0)])
    finest: list[int] = []

    def look() -> None:
        finest.append(max(cell.level for cell in city.store.map.cells))
        city.agenda.after(1.0, look)

    city.agenda.after(14.0, look)
    outcome = city.run()
    assert outcome.violations == ()
    level = city.options.level
    assert finest[0] == level
    assert max(finest) > level
    assert finest[-1] == level


def test_a_node_joins_and_leaves_in_order_and_nobody_logs_in_again() -> None:
    calm = simulate(9, 1.5, FaultOptions())
    plan = [Fault(15.0, "join", (4,), 25.0), Fault(20.0, "leave", (2,), 3.0)]
    busy = City(9, 1.5, FaultOptions(), CityOptions(), plan).run()
    assert busy.violations == ()
    assert (busy.faults["join"], busy.faults["leave"]) == (1, 1)
    assert busy.logins <= calm.logins + 2  # a drained node has handed everybody off
