"""The mutants: every guard, write and row of the tables that nothing may be lost by, taken out one at a time.

They are made from the syntax trees of the real modules, so a new guard is a new mutant without anybody's doing. A
mutant's name says where it is and what is gone, by the text of the code and not by its line:

    handoff.person._Step._outlive: never: if login <= self.known[0]

What is made, of each function in `SCOPE`:

| kind | what is changed |
|---|---|
| `never` | a guard's branch: an `if` or `elif`, the guard of a `case`, a conditional expression that never holds |
| `always` | the guard of a `case` that always holds |
| `without` | a guard: one operand of an `and` or `or`, or one condition of a comprehension, left out |
| `drop` | one write left out: an assignment to a field or an item, a `del`, a call for its effect |
| `row` | one `case`, one entry of a table, one rule of the handoff tables, one of its guards or acts left out |

`SCOPE` is the tables: the modules that decide who owns whom, what and until when, and what a node does that may not
act. What feeds them events and carries out what they say is no table (`people`, the rest of `core`, the shells): it has
no rules of its own to lose, and every message and write of the simulated city passes there. Changed guards (`<` for
`<=`) are not made either: the question is whether each guard is needed, not whether another would do.

What is not made of the tables, since nothing could or need notice it within the fault budget:

- what only counts or shows: writes to counters, `status`, `__repr__`, texts, docstrings, `__all__`, assertions;
- what makes an object: writes in `__init__`, without which nothing starts;
- a guard all of whose branch is a `raise`: it is against callers and peers that break their contract, or a caller's own
  mistakes, and nobody in a simulated city does; the tests of the module hold it;
- the part of a condition that asks whether something is there before the next part uses it (`x is not None and …`);
- a bound of a table or queue (a name that ends in `_MAX`): a city of a few nodes reaches none of them, and each has
  its own test;
- what reads a form from the wire or a disk (`from_plain`, `from_bytes`, `read_…`): only what is malformed meets its
  guards, and every other line of it is met by each message.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SCOPE", "Ground", "Mutant", "mutants", "mutated", "mutations"]


class Ground(NamedTuple):
    """One module to be mutated: the table it belongs to, and its functions (all if none is named)."""

    table: str
    module: str
    functions: tuple[str, ...] = ()


SCOPE: Final = (
    Ground("handoff", "p2pworld.world.handoff.tables"),
    Ground("handoff", "p2pworld.world.handoff.person"),
    Ground("handoff", "p2pworld.world.presence"),
    Ground("map", "p2pworld.world.citymap.steps"),
    Ground("map", "p2pworld.world.ownership"),
    Ground("map", "p2pworld.world.proposals"),
    Ground("map", "p2pworld.world.moving"),
    Ground("lease", "p2pworld.membership"),
    Ground("lease", "p2pworld.core.standing"),
    Ground("lease", "p2pworld.drive"),
    Ground("object", "p2pworld.world.objects"),
    Ground("object", "p2pworld.world.object_holder"),
    Ground("object", "p2pworld.world.object_keeper"),
    Ground("object", "p2pworld.world.acts", ("_ring", "reconcile")),
    Ground("object", "p2pworld.crdt.ormap", ("rewrite", "_put", "_drop", "merge_in", "_gone_in", "copy")),
    Ground(
        "object", "p2pworld.crdt.objects_cell", ("put", "add_to_counter", "_tallies", "_rewrite", "merge_in")
    ),
    Ground(
        "object", "p2pworld.crdt.clock", ("tick", "observe", "next", "add", "_compact", "merge_in", "copy")
    ),
    Ground("object", "p2pworld.crdt.counter", ("add", "merge")),
    Ground("object", "p2pworld.crdt.register", ("merge",)),
    Ground("civic", "p2pworld.civic.log"),
    Ground("civic", "p2pworld.civic.batch"),
    Ground("civic", "p2pworld.civic.heads"),
    Ground("civic", "p2pworld.civic.relay"),
)

_LABEL_CHARS: Final = 72
_ONLY_SHOWS: Final = frozenset(
    {
        "status",
        "__repr__",
        "__hash__",
        "__len__",
        "__init__",
        "__iter__",
        "__eq__",
        "orderly",
        "replicas",
        "entries",
    }
)
_ASKS_IF_THERE: Final = (ast.Is, ast.IsNot)
_READS: Final = ("from_plain", "from_bytes", "read_", "_read")
_COUNTS: Final = ("counters", "counts")
_RULE: Final = "_rule"  # what makes a rule of the handoff tables


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one module. `function` is the qualified name of what it changes, empty for the module itself.

    Where none of `lines` (the first and the last) is run, the mutant does what the module does; (0, 0) if unknown.
    """

    name: str
    table: str
    module: str
    function: str
    lines: tuple[int, int]


class _Site(NamedTuple):
    """A place in a syntax tree: what the change is called, how to make it, in place, and what it makes a difference to.

    Unless `felt` (a statement, an expression) is run, nothing is changed by it.
    """

    function: str
    label: str
    change: Callable[[], None]
    felt: ast.expr | ast.stmt | None = None

    @property
    def lines(self) -> tuple[int, int]:
        if self.felt is None:
            return 0, 0
        return self.felt.lineno, self.felt.end_lineno or self.felt.lineno


@cache
def mutants() -> tuple[Mutant, ...]:
    """All mutants, in the order of `SCOPE` and of the code."""
    return tuple(
        Mutant(name, ground.table, ground.module, site.function, site.lines)
        for ground in SCOPE
        for name, site in mutations(ast.parse(_source(ground.module)), ground)
    )


def mutated(mutant: Mutant) -> ast.Module:
    """The syntax tree of the mutant's module with its change made."""
    ground = next(ground for ground in SCOPE if ground.module == mutant.module)
    tree = ast.parse(_source(mutant.module))
    for name, site in mutations(tree, ground):
        if name == mutant.name:
            site.change()
            return ast.fix_missing_locations(tree)
    raise ValueError(f"there is no mutant {mutant.name}")


def mutations(tree: ast.Module, ground: Ground) -> Iterator[tuple[str, _Site]]:
    """Every change that can be made to this tree, by its name; make at most one of them."""
    short = ground.module.removeprefix("p2pworld.").removeprefix("world.")
    seen: Counter[str] = Counter()
    for site in _sites(tree):
        if ground.functions and site.function.rpartition(".")[2] not in ground.functions:
            continue
        where = f"{short}.{site.function}" if site.function else short
        name = f"{where}: {site.label}"
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} #{seen[name]}"), site


def _source(module: str) -> str:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module}")
    return Path(spec.origin).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------ walking


def _sites(tree: ast.Module) -> Iterator[_Site]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            yield from _table(node)
        else:
            yield from _definition(node, "")


def _definition(node: ast.stmt, within: str) -> Iterator[_Site]:
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from _definition(inner, f"{within}{node.name}.")
    elif isinstance(node, ast.FunctionDef) and not _is_spared(node):
        yield from _block(node.body, within + node.name)


def _is_spared(function: ast.FunctionDef) -> bool:
    return function.name in _ONLY_SHOWS or function.name.startswith(_READS)


def _block(body: list[ast.stmt], function: str) -> Iterator[_Site]:
    for statement in body:
        yield from _statement(body, statement, function)


def _statement(body: list[ast.stmt], node: ast.stmt, function: str) -> Iterator[_Site]:
    match node:
        case ast.FunctionDef():  # of one function, the inner ones are part
            yield from _block(node.body, function)
            return
        case ast.Assert() | ast.Raise() | ast.Pass() | ast.Global() | ast.Nonlocal():
            return
        case ast.If():
            yield from _if(node, function)
            return
        case ast.Match():
            yield from _match(node, function)
            return
        case ast.For() | ast.While() | ast.With() | ast.Try():
            yield from _expressions(node, function)
            for part in _bodies(node):
                yield from _block(part, function)
            return
    if _is_counting(node):
        return
    if _is_write(node):
        yield _Site(function, f"drop: {_text(node)}", _pass_at(body, node), node)
    yield from _expressions(node, function)


def _bodies(node: ast.For | ast.While | ast.With | ast.Try) -> Iterator[list[ast.stmt]]:
    yield node.body
    if isinstance(node, ast.Try):
        for handler in node.handlers:
            yield handler.body
    if not isinstance(node, ast.With):
        yield node.orelse


def _if(node: ast.If, function: str) -> Iterator[_Site]:
    said = f"if {_text(node.test)}"
    if not _is_bound(node.test) and not all(
        isinstance(one, ast.Raise) or _is_counting(one) for one in node.body
    ):
        if not (isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.Or)):
            yield _Site(function, f"never: {said}", _set(node, "test", ast.Constant(False)), node.body[0])
        yield from _expression(node.test, function)
    yield from _block(node.body, function)
    yield from _block(node.orelse, function)


def _match(node: ast.Match, function: str) -> Iterator[_Site]:
    for case in node.cases:
        if any(isinstance(one, ast.Raise) for one in case.body):
            continue
        said = f"case {_text(case.pattern)}"
        if case.guard is not None:
            never = ast.Constant(False)
            label = f"{said} if {_text(case.guard)}"
            yield _Site(function, f"never: {label}", _set(case, "guard", never), case.body[0])
            if not _is_anything(case.pattern):  # a program has no case behind one that always holds
                yield _Site(function, f"always: {label}", _set(case, "guard", None), case.guard)
            yield from _expression(case.guard, function)
        elif not _is_idle(case.body):
            yield _Site(function, f"row: {said}", _set(case, "guard", ast.Constant(False)), case.body[0])
        yield from _block(case.body, function)


def _expressions(node: ast.stmt, function: str) -> Iterator[_Site]:
    """What can be changed in the expressions of a statement, not in the statements within it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _expression(child, function)


def _expression(node: ast.expr, function: str) -> Iterator[_Site]:
    for part in ast.walk(node):
        match part:
            case ast.BoolOp():
                for operand in part.values:
                    if _only_asks(operand) or _is_bound(operand):
                        continue
                    said = f"without: {_text(operand)}"
                    yield _Site(function, said, _without(part, operand), part)
            case ast.IfExp():
                yield _Site(function, f"never: {_text(part)}", _set(part, "test", ast.Constant(False)), part)
            case ast.comprehension():
                for condition in part.ifs:
                    if not _only_asks(condition):
                        said = f"without: for … if {_text(condition)}"
                        yield _Site(function, said, _remove(part.ifs, condition), condition)


# ------------------------------------------------------------------------------------------------------ tables


def _table(node: ast.Assign | ast.AnnAssign) -> Iterator[_Site]:
    """The rows of a table that a module states: the entries of a dictionary, and the rules within."""
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    if node.value is None or not isinstance(target, ast.Name) or target.id == "__all__":
        return
    for part in ast.walk(node.value):
        if isinstance(part, ast.Dict):
            for key, value in zip(part.keys, part.values, strict=True):
                if key is None:
                    continue
                where = f"{target.id}[{_text(key)}]"
                if not any(_is_rule(one) for one in ast.walk(value)):
                    yield _Site("", f"row: {where}", _drop_entry(part, key))
                yield from _rules(value, where)
        elif isinstance(part, ast.DictComp):
            yield from _rules(part.value, f"{target.id}[{_text(part.key)}]")
    if isinstance(node.value, ast.Tuple):
        for one in list(node.value.elts):
            yield _Site("", f"row: {_text(one)} of {target.id}", _remove(node.value.elts, one))


def _rules(value: ast.expr, where: str) -> Iterator[_Site]:
    if not isinstance(value, ast.Tuple):
        return
    for number, rule in enumerate(list(value.elts)):
        if isinstance(rule, ast.Starred):
            yield _Site("", f"row: {where} {number}: {_text(rule)}", _remove(value.elts, rule))
        if not _is_rule(rule) or not isinstance(rule, ast.Call):
            continue
        yield _Site("", f"row: {where} {number}", _remove(value.elts, rule))
        for act in rule.args[1:]:
            yield _Site("", f"row: {where} {number}: act {_text(act)}", _remove(rule.args, act))
        for keyword in rule.keywords:
            guards = keyword.value.elts if isinstance(keyword.value, ast.Tuple) else []
            for guard in guards:
                yield _Site("", f"row: {where} {number}: guard {_text(guard)}", _remove(guards, guard))
            if not guards:
                said = f"row: {where} {number}: guard {_text(keyword.value)}"
                yield _Site("", said, _remove(rule.keywords, keyword))


def _is_rule(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _RULE


# ------------------------------------------------------------------------------------------------------ judging


def _is_write(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=targets):
            return all(_is_kept(target) for target in targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
            return _is_kept(target)
        case ast.Delete():
            return True
        case ast.Expr(value=ast.Call()):
            return True
    return False


def _is_kept(target: ast.expr) -> bool:
    """Whether this outlives the function: a local name left out would only be missing."""
    if isinstance(target, ast.Tuple):
        return any(_is_kept(one) for one in target.elts) and not any(
            isinstance(one, ast.Name) for one in target.elts
        )
    return isinstance(target, ast.Attribute | ast.Subscript)


def _is_counting(node: ast.stmt) -> bool:
    target = node.target if isinstance(node, ast.AugAssign) else None
    return isinstance(target, ast.Subscript) and _text(target.value).endswith(_COUNTS)


def _is_idle(body: list[ast.stmt]) -> bool:
    return all(isinstance(one, ast.Pass) or _is_counting(one) for one in body)


def _is_anything(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None


def _is_bound(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and any(name.endswith("_MAX") for name in _names(node))


def _only_asks(operand: ast.expr) -> bool:
    """Whether it says no more than that something is there, or of a kind."""
    match operand:
        case ast.Compare(ops=[op]):
            return isinstance(op, _ASKS_IF_THERE) and isinstance(operand.comparators[0], ast.Constant)
        case ast.Call(func=ast.Name(id="isinstance")) | ast.Name():
            return True
    return False


def _names(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def _text(node: ast.AST) -> str:
    said = " ".join(ast.unparse(node).split())
    return said if len(said) <= _LABEL_CHARS else said[: _LABEL_CHARS - 1] + "…"


# ------------------------------------------------------------------------------------------------------ changing


def _set(node: ast.AST, field: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, field, value)


def _remove(of: list[Any], one: object) -> Callable[[], None]:
    return lambda: of.remove(one)


def _without(node: ast.BoolOp, operand: ast.expr) -> Callable[[], None]:
    """Put what says nothing in its place: it may be one of two, and `and` needs two."""
    nothing = ast.Constant(isinstance(node.op, ast.And))

    def change() -> None:
        node.values[node.values.index(operand)] = nothing

    return change


def _pass_at(body: list[ast.stmt], node: ast.stmt) -> Callable[[], None]:
    def change() -> None:
        body[body.index(node)] = ast.Pass()

    return change


def _drop_entry(table: ast.Dict, key: ast.expr) -> Callable[[], None]:
    def change() -> None:
        at = table.keys.index(key)
        del table.keys[at], table.values[at]

    return change
