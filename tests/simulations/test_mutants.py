"""What mutants are made of a small source, that what is argued exists, and that the known ones are still caught.

CI hunts a fixed part, each mutant first where it was last caught; `p2pworld simulate --mutants` hunts them all.
"""

from __future__ import annotations

import ast
import json
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from p2pworld.world.handoff import ROW, RowAt, RowOn
from simulations.mutants import hunt as hunt_module
from simulations.mutants.argued import ARGUED
from simulations.mutants.generate import SCOPE, Ground, Mutant, mutants, mutated, mutations
from simulations.mutants.hunt import Attempt, attempt, attempts, survey
from simulations.mutants.run import CAUGHT_AT, hunt
from simulations.simulate import command

NIGHTLY = bool(os.environ.get("P2PWORLD_NIGHTLY"))
IN_CI = 16  # mutants, of half a second to a second of processor time each

SOURCE = '''
"""Text."""
__all__ = ["Desk"]
TABLE = {
    (A, B): (_rule(A, one, two, when=(G, H)), _rule(B)),
    (B, B): (*OTHERS[B],),
}
PAIRS = {A: B}


class Desk:
    def __init__(self):
        self.kept = {}

    def take(self, name, n, now_s):
        assert name
        if n < 0:
            raise LocalError("no")
        if name in self.kept and n >= 1:
            self.counters["again"] += 1
            self.kept[name] = n
        elif now_s > self.due_s:
            self.kept.pop(name)
        local = 1 if n else 2
        match n:
            case 1:
                self.told.append(name)
            case 2 if name:
                return local
        return [one for one in self.kept if one > n]

    def status(self):
        return {"kept": len(self.kept) if self.kept else 0}
'''


def made(source: str = SOURCE) -> dict[str, str]:
    """Every mutant of a source by its name, and what the source then says."""
    ground = Ground("a table", "p2pworld.world.desk")
    names = [name for name, _ in mutations(ast.parse(source), ground)]
    texts = {}
    for wanted in names:
        tree = ast.parse(source)
        next(site for name, site in mutations(tree, ground) if name == wanted).change()
        texts[wanted] = ast.unparse(ast.fix_missing_locations(tree))
    assert len(texts) == len(names)
    return texts


def test_of_each_guard_write_and_row_there_is_one_mutant_and_of_nothing_else() -> None:
    assert list(made()) == [
        "desk: row: TABLE[(A, B)] 0",
        "desk: row: TABLE[(A, B)] 0: act one",
        "desk: row: TABLE[(A, B)] 0: act two",
        "desk: row: TABLE[(A, B)] 0: guard G",
        "desk: row: TABLE[(A, B)] 0: guard H",
        "desk: row: TABLE[(A, B)] 1",
        "desk: row: TABLE[(B, B)]",
        "desk: row: TABLE[(B, B)] 0: *OTHERS[B]",
        "desk: row: PAIRS[A]",
        "desk.Desk.take: never: if name in self.kept and n >= 1",
        "desk.Desk.take: without: name in self.kept",
        "desk.Desk.take: without: n >= 1",
        "desk.Desk.take: drop: self.kept[name] = n",
        "desk.Desk.take: never: if now_s > self.due_s",
        "desk.Desk.take: drop: self.kept.pop(name)",
        "desk.Desk.take: never: 1 if n else 2",
        "desk.Desk.take: row: case 1",
        "desk.Desk.take: drop: self.told.append(name)",
        "desk.Desk.take: never: case 2 if name",
        "desk.Desk.take: always: case 2 if name",
        "desk.Desk.take: without: for … if one > n",
    ]


def test_a_mutant_has_its_one_change_made_and_no_other() -> None:
    changed = made()
    unchanged = ast.unparse(ast.parse(SOURCE))
    assert all(text != unchanged for text in changed.values())
    assert "(A, B): (_rule(A, one, when=(G, H)), _rule(B))" in changed["desk: row: TABLE[(A, B)] 0: act two"]
    assert "PAIRS = {}" in changed["desk: row: PAIRS[A]"]
    without = changed["desk.Desk.take: without: n >= 1"]
    assert "if name in self.kept and True:" in without
    assert "elif False:" in changed["desk.Desk.take: never: if now_s > self.due_s"]
    dropped = changed["desk.Desk.take: drop: self.kept.pop(name)"]
    assert dropped == unchanged.replace("self.kept.pop(name)", "pass")


def test_names_do_not_depend_on_lines() -> None:
    assert list(made("\n\n\n" + SOURCE.replace("        local", "\n        local"))) == list(made())


def test_every_mutant_has_a_name_of_its_own_and_is_a_program() -> None:
    names = [mutant.name for mutant in mutants()]
    assert len(set(names)) == len(names)
    assert {mutant.table for mutant in mutants()} == {"handoff", "map", "lease", "object", "civic"}
    for mutant in mutants()[::40]:
        compile(mutated(mutant), mutant.module, "exec")


@pytest.mark.parametrize("ground", SCOPE, ids=lambda ground: ground.module)
def test_every_function_that_is_to_be_mutated_is_there(ground: Ground) -> None:
    spec = find_spec(ground.module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not set(ground.functions) - there
    assert any(mutant.module == ground.module for mutant in mutants())


def test_every_rule_of_the_row_table_is_left_out_once() -> None:
    rules = sum(len(rules) for rules in ROW.values())
    shared = 2 * sum(on is RowOn.HELLO for _, on in ROW)  # what six states refuse alike is said once
    text = [mutant.name for mutant in mutants() if mutant.name.startswith("handoff.tables: row: ROW[")]
    left_out = [name for name in text if name.rpartition("] ")[2].isdigit()]
    assert len(left_out) == rules - shared
    assert sum(on is RowOn.HELLO for at, on in ROW if at is not None) == len(RowAt)


def test_what_is_argued_and_what_is_known_to_be_caught_exists() -> None:
    names = {mutant.name for mutant in mutants()}
    assert not ARGUED.keys() - names, "argued, and no longer there"
    caught = json.loads(CAUGHT_AT.read_text(encoding="utf-8"))
    assert not ARGUED.keys() & caught.keys(), "argued, and yet caught"
    assert all(len(why.split()) >= 5 for why in ARGUED.values())


def test_a_seed_that_never_comes_near_a_mutant_is_not_tried() -> None:
    mutant = next(one for one in mutants() if one.lines != (0, 0) and one.module.endswith("presence"))
    lines = {ground.module: frozenset[int]() for ground in SCOPE}
    met = {**lines, mutant.module: frozenset({mutant.lines[0]})}
    tests = Attempt(None)  # of its module, which come last
    assert attempts(mutant, {1: lines, 2: met}) == [Attempt(2), tests]
    assert attempts(mutant, {1: met, 2: met}) == [Attempt(1), Attempt(2), tests]


def test_those_known_to_be_caught_are_caught_again() -> None:
    """A checker that went blind would let them pass; all of them at night, a part of each table otherwise."""
    caught = json.loads(CAUGHT_AT.read_text(encoding="utf-8"))
    known = [one for one in mutants() if (NIGHTLY and one.name in caught) or caught.get(one.name) == 1]
    assert {mutant.table for mutant in known} == {"handoff", "map", "lease", "object", "civic"}
    wanted = known if NIGHTLY else known[:: -(-len(known) // IN_CI)]
    verdicts = list(hunt(wanted, range(1, 11), os.cpu_count() or 1, print))
    assert len(verdicts) == len(wanted)
    assert not [verdict.name for verdict in verdicts if not verdict.caught]


def planted(name: str) -> Mutant:
    return next(mutant for mutant in mutants() if mutant.name == name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("handoff.tables: row: SEAT[(_A, SeatOn.COMMIT)] 0: act Act.ACK", "ack"),
        ("handoff.person._Step._outlive: never: if login <= self.known[0]", ""),
    ],
)
def test_a_planted_mutant_is_caught_for_what_it_breaks(name: str, why: str) -> None:
    ending = attempt(planted(name), Attempt(1))
    assert ending.why
    assert why in ending.why


def test_a_mutant_without_end_is_caught_by_what_it_uses_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hunt_module._CORE_S_MAX, "seed", 2)
    ending = attempt(
        planted("object_holder.Holder.settle: drop: held.fresh |= held.unsettled.popleft()[1]"), Attempt(1)
    )
    assert ending.why == "no end within 2 s of processor time"


def test_without_a_mutant_nothing_is_caught() -> None:
    why, lines = survey(1)
    assert not why
    assert all(lines[ground.module] for ground in SCOPE)


def test_what_is_argued_is_let_loose_at_one_seed_alone_and_may_live() -> None:
    argued = next(mutant for mutant in mutants() if mutant.name in ARGUED and mutant.table == "map")
    [verdict] = hunt([argued], [1], 1, print)
    assert (verdict.caught, verdict.seed, verdict.argued) == (False, None, ARGUED[argued.name])
    assert not verdict.is_open


def test_a_mutant_of_a_module_that_no_test_holds_and_no_seed_runs_is_not_tried() -> None:
    rule = next(one for one in mutants() if one.module.endswith("presence"))
    away = replace(rule, module="p2pworld.core.node")
    assert attempts(away, {1: {"p2pworld.core.node": frozenset()}}) == []


def test_a_hunt_of_nothing_says_so_at_once() -> None:
    result = CliRunner().invoke(command, ["--mutants", "--only", "no such thing"])
    assert result.exit_code == 2
    assert "No mutant of part 1/1 has 'no such thing' in its name" in result.output
