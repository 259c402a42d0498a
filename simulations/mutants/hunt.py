"""Hunting one mutant: which cities it is let loose in, and what else is tried where no city shows it.

A hunt is a list of attempts. Most are seeds of `HUNTING_CITY`, a small city in which much goes wrong at once: three
nodes, nine people on cells of 32 m, half a minute of faults and twenty seconds to recover. The last are the tests of
the module itself: the exhaustive search over the handoff tables, and the properties and scenarios of each table, which
reach what no whole city does within ten seeds (a bound, an answer that only an operator gets). A mutant is caught by
the first attempt that ends otherwise than it would without the mutant: a broken promise, an exception, a failed test,
or no end at all.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from simulations.civic.archive import NO_LOGS, CivicOptions
from simulations.civic.hall import HALL_FAULTS
from simulations.civic.people import FilingOptions
from simulations.cluster import CityOptions
from simulations.faults import PRESETS
from simulations.mutants.generate import SCOPE, mutated
from simulations.mutants.place import put_in_place
from simulations.workload import WalkOptions

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Mapping
    from types import FrameType

    from _typeshed import TraceFunction

    from simulations.mutants.generate import Mutant

__all__ = [
    "HUNTING_CITY",
    "HUNTING_FAULTS",
    "HUNTING_MINUTES",
    "Attempt",
    "Ending",
    "Lines",
    "attempt",
    "attempts",
    "seed_for",
    "survey",
]

HUNTING_MINUTES: Final = 50 / 60
HUNTING_FAULTS: Final = replace(
    PRESETS["heavy"],
    crash_every_s=9.0,
    crash_in_handoff_every_s=4.0,
    down_s=(0.2, 2.0),
    pause_every_s=8.0,
    pause_s=(0.3, 6.0),
    partition_every_s=8.0,
    link_cut_every_s=4.0,
    store_cut_every_s=12.0,
    store_out_every_s=15.0,
    client_cut_every_s=2.5,
    client_stall_every_s=5.0,
    disk_full_every_s=12.0,
    disk_slow_every_s=12.0,
    disk_lost=0.5,
)
HUNTING_CITY: Final = CityOptions(
    nodes=3,
    spares=0,
    people=9,
    second_devices=4,
    level=11,
    columns=3,
    rows=2,
    tick_ms=250,
    ttl_s=2.0,
    balance=None,
    civic=NO_LOGS,
    walk=WalkOptions(hang_per_s=0.12, ring_per_s=0.12, switch_per_s=0.05, quit_per_s=0.01),
)
HALL_SECONDS: Final = 40.0
HUNTING_HALL: Final = (
    replace(  # holders are overtaken while they sleep, and one run in two loses something for good
        HALL_FAULTS,
        civic_pause_every_s=1.0,
        civic_late_every_s=2.0,
        operator_every_s=2.0,
        civic_restored=0.3,
        store_restored=0.3,
        disk_lost=0.15,
        disk_lies=0.2,
    )
)
HALL_OPTIONS: Final = CivicOptions(filing=FilingOptions(per_s=3.0, erase=0.25, again_s=(0.0, 6.0)))
RELAY_CITY: Final = replace(
    HUNTING_CITY, people=1, second_devices=0, civic=CivicOptions(filing=FilingOptions(per_s=2.0, erase=0.0))
)
_HALL, _RELAY = "hall", "relay"
_WHERE: Final = {  # whose seeds are no city of people who walk
    "p2pworld.civic.log": _HALL,
    "p2pworld.civic.batch": _HALL,
    "p2pworld.civic.heads": _HALL,
    "p2pworld.civic.relay": _RELAY,
}
_ROOT: Final = Path(__file__).resolve().parents[2]
_HANDOFF: Final = ("tests/handoff/test_scenarios.py", "tests/handoff/test_exhaustive.py")
_MAP: Final = ("tests/world/test_citymap.py",)
_OWNERSHIP: Final = (
    "tests/world/test_ownership_alone.py",
    "tests/world/test_proposals.py",
    "tests/world/test_streams.py",
    "tests/world/test_ownership.py",
)
_OBJECTS: Final = (
    "tests/world/test_object_followers.py",
    "tests/world/test_object_ground.py",
    "tests/world/test_rings.py",
    "tests/world/test_objects.py",
    "tests/world/test_object_giving.py",
    "tests/world/test_object_audit.py",
)
_CRDT: Final = ("tests/crdt/test_examples.py", "tests/crdt")
_TESTS: Final = {  # what holds each module without a city around it
    "p2pworld.world.handoff.tables": _HANDOFF,
    "p2pworld.world.handoff.person": _HANDOFF,
    "p2pworld.world.citymap.steps": _MAP,
    "p2pworld.world.ownership": _OWNERSHIP,
    "p2pworld.world.proposals": _OWNERSHIP,
    "p2pworld.membership": ("tests/test_membership.py", *_OWNERSHIP),
    "p2pworld.world.presence": ("tests/world/test_presence.py",),
    "p2pworld.world.moving": ("tests/world/test_moving.py",),
    "p2pworld.drive": ("tests/test_drive.py",),
    "p2pworld.core.standing": ("tests/world/test_standing_alone.py", "tests/world/test_standing.py"),
    "p2pworld.world.objects": _OBJECTS,
    "p2pworld.world.object_holder": _OBJECTS,
    "p2pworld.world.object_keeper": _OBJECTS,
    "p2pworld.world.acts": _OBJECTS,
    "p2pworld.crdt.ormap": _CRDT,
    "p2pworld.crdt.objects_cell": _CRDT,
    "p2pworld.crdt.clock": _CRDT,
    "p2pworld.crdt.counter": _CRDT,
    "p2pworld.crdt.register": _CRDT,
    "p2pworld.civic.log": ("tests/civic/test_log.py", "tests/civic/test_log_clerk.py"),
    "p2pworld.civic.batch": (
        "tests/civic/test_batch.py",
        "tests/civic/test_erasure.py",
        "tests/services/test_clerk.py",
        "tests/services/test_clerk_hostile.py",
    ),
    "p2pworld.civic.heads": ("tests/civic/test_log.py", "tests/civic/test_record.py"),
    "p2pworld.civic.relay": ("tests/civic/test_relay_forgets.py", "tests/civic/test_relay.py"),
}
_TABLES: Final = tuple(ground.module for ground in SCOPE)
_QUIETLY: Final = ("-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_SEARCH: Final = "not without_this_guard and not most_acts and not story_is_told and not searched_for"
_CORE_S_MAX: Final = {
    "seed": 8,
    "tests": 90,
    "test": 20,
}  # of one attempt, many times what it takes without a mutant
_BYTES_MAX: Final = 4 << 30


class Attempt(NamedTuple):
    """One way to find a mutant out: a seed of the hunting city, or (seed None) tests: these, or all of its module.

    `where` else than in that city a seed is: see `seed_for`.
    """

    seed: int | None
    tests: tuple[str, ...] = ()
    where: str = ""

    @property
    def kind(self) -> str:
        """In one word."""
        return "tests" if self.seed is None else "seed"


class Ending(NamedTuple):
    """What an attempt came to: why it ended otherwise than it should, empty if it did not, and what it cost.

    `test` is the one that told, if one did.
    """

    why: str
    core_s: float
    test: str = ""


Lines = dict[str, frozenset[int]]  # of each module, those that were run


def attempts(mutant: Mutant, seeds: Mapping[int, Lines]) -> list[Attempt]:
    """All attempts at a mutant in order. A seed that never comes near it, as its lines tell, is no attempt."""
    planned = [seed_for(mutant, seed) for seed, lines in seeds.items() if _is_met(mutant, lines)]
    if mutant.module in _TESTS and (_ROOT / "tests").is_dir():
        planned.append(Attempt(None))
    return planned


def seed_for(mutant: Mutant, seed: int) -> Attempt:
    """The attempt at this seed: of the hunting city, of a hall of civic logs, or of a city in which people file."""
    return Attempt(seed, where=_WHERE.get(mutant.module, ""))


def _is_met(mutant: Mutant, lines: Lines) -> bool:
    first, last = mutant.lines
    return first == 0 or any(line in lines[mutant.module] for line in range(first, last + 1))


def survey(seed: int) -> tuple[str, Lines]:
    """One city without any mutant: what broke in it, which should be nothing, and the lines that were run."""
    files = {str(find_spec(module).origin): module for module in _TABLES}  # type: ignore[union-attr]
    seen: dict[str, set[int]] = {module: set() for module in _TABLES}

    def enter(frame: FrameType, what: str, more: Any) -> TraceFunction | None:
        module = files.get(frame.f_code.co_filename)
        if module is None:
            return None
        lines = seen[module]

        def at(frame: FrameType, what: str, more: Any) -> TraceFunction:
            lines.add(frame.f_lineno)
            return at

        return at

    sys.settrace(enter)
    try:
        why = _live(seed) or _live(seed, _HALL) or _live(seed, _RELAY)
    finally:
        sys.settrace(None)
    return why, {module: frozenset(lines) for module, lines in seen.items()}


def attempt(mutant: Mutant | None, one: Attempt, module: str = "") -> Ending:
    """Let a mutant loose in a process of its own and see how that ends; without one, how it should end."""
    if one.seed is not None:
        seed = one.seed
        return _apart(mutant, _CORE_S_MAX["seed"], lambda tell: _live(seed, one.where))
    known = one.tests
    paths = known or _TESTS[mutant.module if mutant else module]
    core_s_max = _CORE_S_MAX["test" if known and mutant else "tests"]
    for path in paths:
        _loaded(path.partition("::")[0])
    return _apart(mutant, core_s_max, lambda tell: _test(paths, bool(known), tell))


def _live(seed: int, where: str = "") -> str:
    """One city, or hall, from its founding to its end, or to the first broken promise."""
    from simulations.civic.hall import Hall  # the mutant's, if it was imported anew
    from simulations.cluster import City

    if where == _HALL:
        found = Hall(seed, HALL_SECONDS, HUNTING_HALL, HALL_OPTIONS).run(to_first=True).violations
    else:
        options = RELAY_CITY if where == _RELAY else HUNTING_CITY
        found = City(seed, HUNTING_MINUTES, HUNTING_FAULTS, options).run(to_first=True).violations
    return f"{found[0].time_s:g} s, {found[0].rule}: {found[0].sentence}" if found else ""


def _test(paths: tuple[str, ...], whole: bool, tell: Callable[[str], None]) -> str:
    """The tests there to the first that fails, the `whole` of them or what is of use here; `tell` hears of each."""
    import pytest

    found: list[str] = []

    class Watch:
        def pytest_runtest_logstart(self, nodeid: str) -> None:
            tell(nodeid)

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                found.append(report.nodeid)

    chosen = () if whole else ("-k", _SEARCH)
    code = pytest.main([*_QUIETLY, "-x", *chosen, *paths], plugins=[Watch()])
    if found:
        return f"test {found[0]} fails"
    if code == pytest.ExitCode.USAGE_ERROR:
        return ""  # there is no such test any more
    return "" if code == 0 else f"the tests end with {int(code)}"


@cache
def _loaded(path: str) -> None:
    """Load these tests, and what runs them, once for all the forks to come: loading costs far more than most tests."""
    import pytest

    os.chdir(_ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "hunt"
    with redirect_stdout(StringIO()):
        pytest.main([*_QUIETLY, "--collect-only", path])


def _apart(mutant: Mutant | None, core_s_max: int, do: Callable[[Callable[[str], None]], str]) -> Ending:
    """Do it in a fork, with the mutant in its place; it is ended by an exception, or when it has used up its time.

    What it tells on its way are the names of tests, the last of which is the one it ends in.
    """
    changed = None if mutant is None else (mutant, mutated(mutant))
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reads)
            _bound(core_s_max)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            with os.fdopen(writes, "w", encoding="utf-8") as pipe:
                _do(changed, do, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads, encoding="utf-8") as pipe:
        told = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    test = next((one for one in reversed(told) if isinstance(one, str)), "")
    if told and not isinstance(told[-1], str):
        why, core_s = told[-1]
        return Ending(why, core_s, test)
    if os.WIFSIGNALED(status):
        return Ending(f"no end within {core_s_max} s of processor time", core_s_max, test)
    return Ending("an exception ended its process", 0.0, test)


def _do(
    changed: tuple[Mutant, ast.Module] | None, do: Callable[[Callable[[str], None]], str], pipe: TextIO
) -> None:
    began_s = time.process_time()

    def tell(told: str | tuple[str, float]) -> None:
        print(json.dumps(told), file=pipe, flush=True)

    if changed is not None:
        put_in_place(*changed)
    why = do(tell)
    tell((why, time.process_time() - began_s))


def _bound(core_s_max: int) -> None:
    """This process ends by itself: nothing else tells an endless loop from a slow city."""
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (core_s_max, core_s_max + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (_BYTES_MAX, _BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
