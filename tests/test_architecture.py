"""The shape of the code, proved from its syntax trees: layers, purity, doors, and what may not be caught.

A rule is a function from a module to the sentences that say what is wrong with it. Each rule is run over the whole
tree, and over a few lines made to break it, so that a rule that sees nothing is itself a failure.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("p2pworld", "shard_node", "client", "simulations")

# ---- the tables: what a reviewer checks by eye

SHELL = 4
LAYERS = {  # a module or package and its layer; the longest name that fits counts
    "p2pworld": 0,  # the package itself; a module of it must be named below
    "p2pworld.ids": 0,
    "p2pworld.errors": 0,
    "p2pworld.limits": 0,
    "p2pworld.geometry": 0,
    "p2pworld.messages": 0,
    "p2pworld.grants": 0,
    "p2pworld.seoul": 0,
    "p2pworld.crdt": 1,
    "p2pworld.merkle": 1,
    "p2pworld.wire": 1,
    "p2pworld.crypto": 1,
    "p2pworld.world": 2,
    "p2pworld.civic": 2,
    "p2pworld.services": 2,
    "p2pworld.membership": 2,
    "p2pworld.revocation": 1,
    "p2pworld.core": 3,
    "p2pworld.drive": 3,
    "shard_node": SHELL,
    "client": SHELL,
    "simulations": SHELL,
}
# a grant is a value that carries its own proof, so it needs signatures and canonical bytes
UPWARD_ALLOWED = {("p2pworld.grants", "p2pworld.crypto"), ("p2pworld.grants", "p2pworld.wire")}

PURE_STDLIB = {
    *("__future__", "abc", "array", "base64", "binascii", "bisect", "collections", "contextlib", "copy"),
    *(
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "graphlib",
        "hashlib",
        "heapq",
    ),
    *(
        "hmac",
        "itertools",
        "json",
        "keyword",
        "math",
        "numbers",
        "operator",
        "re",
        "reprlib",
        "statistics",
        "string",
    ),
    *("calendar", "struct", "textwrap", "tomllib", "types", "typing", "unicodedata", "zlib"),
}
CORE_THIRD_PARTY = {  # what the layers below the shell take from others, and where
    "numpy": {
        "p2pworld.geometry",
        "p2pworld.core",
        "p2pworld.wire.frames",
        "p2pworld.world.borders",
        "p2pworld.world.crowd",
        "p2pworld.world.densities",
        "p2pworld.world.interest",
        "p2pworld.world.leaves",
        "p2pworld.world.nearest",
        "p2pworld.world.pace",
        "p2pworld.world.readers",
        "p2pworld.world.speech",
        "p2pworld.world.telling",
        "p2pworld.world.region",
        "p2pworld.world.riders",
        "p2pworld.world.vehicles",
        "p2pworld.world.visits",
        "p2pworld.world.walls",
    },
    "holidays": {"p2pworld.services.working_time"},
    "jsonschema": {"p2pworld.services.form"},
    "pyproj": {"p2pworld.geometry"},
    "msgpack": {"p2pworld.wire", "p2pworld.crdt", "p2pworld.world.citymap.form"},
    "cryptography": {"p2pworld.crypto"},
    "nacl": {"p2pworld.crypto"},
}
IMPURE_CALLS = {  # by their last names: reading a clock, drawing chance, talking to the outside
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.fromtimestamp"),
    *(
        "SigningKey.generate",
        "PrivateKey.generate",
        "Ed25519PrivateKey.generate",
        "X25519PrivateKey.generate",
    ),
    *("open", "print", "input", "eval", "exec", "breakpoint", "__import__"),
}
IMPURE_SUBMODULES = {"nacl.utils", "nacl.pwhash", "numpy.random", "np.random"}
BROAD_EXCEPTS = {"shard_node": 3, "client": 1, "simulations": 1}  # how many, each at the edge of a process


# ---- reading a module


@dataclass(frozen=True)
class Module:
    """One module's dotted name and syntax tree; `package` if it is an `__init__`."""

    name: str
    tree: ast.Module
    package: bool = False

    @property
    def within(self) -> str:
        """The package that a relative import starts from."""
        return self.name if self.package else self.name.rpartition(".")[0]

    @property
    def bare(self) -> bool:
        """Whether this is an `__init__` that only makes its folder a package."""
        return self.package and not self.tree.body


class Import(NamedTuple):
    """One imported name: `target` dotted as written, `typing_only` if it is never carried out."""

    target: str
    line: int
    typing_only: bool


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every module of the project's packages, read once."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found.append(Module(name, ast.parse(path.read_text(encoding="utf-8"), str(path)), is_package))
    return tuple(found)


def imports_of(module: Module) -> Iterator[Import]:
    """Every import of `module`, at any depth, relative ones made absolute."""
    typing_only = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.within.split(".")
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            yield Import(target, node.lineno, id(node) in typing_only)


def fits(name: str, table: Iterable[str]) -> str | None:
    """The longest entry of `table` that is `name` or a package that holds it."""
    return max((entry for entry in table if f"{name}.".startswith(f"{entry}.")), key=len, default=None)


def layer_of(name: str) -> int | None:
    """The layer of a module or of a name in it; None if the table does not know it.

    `p2pworld` itself stands only for its `__init__`: what else lies in it needs a line of its own.
    """
    entry = fits(name, LAYERS)
    return None if entry is None or (entry == "p2pworld" and name != entry) else LAYERS[entry]


def below_shell(module: Module) -> bool:
    """Whether this module must be pure; an unknown one of p2pworld must."""
    return fits(module.name, ("p2pworld",)) is not None


def local(target: str) -> bool:
    """Whether an import stays within the project."""
    return target.partition(".")[0] in PACKAGES


# ---- the rules


def known_layer(module: Module) -> Iterator[str]:
    """Every module stands in the table of layers."""
    if layer_of(module.name) is None:
        yield f"{module.name}: in no layer; give it one in LAYERS"


def downward_imports(module: Module) -> Iterator[str]:
    """Imports point to the same layer or a lower one."""
    here = layer_of(module.name)
    for target, line, _ in imports_of(module):
        there = layer_of(target)
        if not local(target) or here is None:
            continue
        if there is None:
            yield f"{module.name}:{line}: imports {target}, which is in no layer"
        elif there > here and not any(
            fits(module.name, [low]) and fits(target, [high]) for low, high in UPWARD_ALLOWED
        ):
            yield f"{module.name}:{line}: L{here} imports {target} of L{there}"


def pure_imports(module: Module) -> Iterator[str]:
    """Below the shell only modules known to be pure are imported, and others' packages only where they belong."""
    if not below_shell(module):
        return
    for target, line, _ in imports_of(module):
        top = target.partition(".")[0]
        if fits(target, IMPURE_SUBMODULES):
            yield f"{module.name}:{line}: imports {target}, which is not pure"
        elif top in CORE_THIRD_PARTY:
            if not fits(module.name, CORE_THIRD_PARTY[top]):
                yield f"{module.name}:{line}: {top} has no business here"
        elif not local(target) and top not in PURE_STDLIB:
            yield f"{module.name}:{line}: imports {top}, which only the shell may"


def pure_calls(module: Module) -> Iterator[str]:
    """Below the shell nothing reads a clock, draws chance or talks to the outside."""
    if not below_shell(module):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.endswith(".fromtimestamp") and len(node.args) + len(node.keywords) > 1:
                continue  # told its time zone, it does not ask the machine's
            if called in IMPURE_CALLS or ".".join(called.split(".")[-2:]) in IMPURE_CALLS:
                yield f"{module.name}:{node.lineno}: calls {called}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in IMPURE_SUBMODULES:
            yield f"{module.name}:{node.lineno}: uses {ast.unparse(node)}"


def docstring(module: Module) -> Iterator[str]:
    """Every module opens with its idea."""
    if not module.bare and not ast.get_docstring(module.tree):
        yield f"{module.name}: opens without its idea"


def door(module: Module) -> Iterator[str]:
    """Every module of p2pworld says in `__all__` what it is for (the linter proves that the names exist)."""
    if not below_shell(module) or module.bare:
        return
    values = [
        node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and any(
            isinstance(target, ast.Name) and target.id == "__all__"
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        )
    ]
    if not values:
        yield f"{module.name}: has no __all__"


def broad_excepts(module: Module) -> Iterator[str]:
    """Every place that would catch whatever comes."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            caught = node.args
        else:
            continue
        for kind in caught:
            if kind is None or ast.unparse(kind) in ("Exception", "BaseException"):
                yield f"{module.name}:{node.lineno}: catches {ast.unparse(kind) if kind else 'everything'}"


def too_many_broad_excepts(found: Iterable[Module]) -> Iterator[str]:
    """No package has more broad excepts than it has edges of a process."""
    places = [sentence for module in found for sentence in broad_excepts(module)]
    counts = Counter(sentence.partition(".")[0].partition(":")[0] for sentence in places)
    for package, count in sorted(counts.items()):
        if count > BROAD_EXCEPTS.get(package, 0):
            here = [sentence for sentence in places if sentence.startswith(package)]
            yield f"{count} broad excepts in {package}, allowed {BROAD_EXCEPTS.get(package, 0)}: {here}"


def import_cycles(found: Iterable[Module]) -> list[str]:
    """Every ring of modules that import one another, imports for typing alone left out."""
    found = list(found)
    names = {module.name for module in found}
    edges: dict[str, set[str]] = {}
    for module in found:
        targets = {fits(target, names) for target, _, typing_only in imports_of(module) if not typing_only}
        edges[module.name] = {target for target in targets if target and target != module.name}

    rings: list[str] = []
    finished: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            rings.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in finished:
            for target in sorted(edges[name]):
                visit(target, [*path, name])
            finished.add(name)

    for name in sorted(edges):
        visit(name, [])
    return rings


PER_MODULE: list[Callable[[Module], Iterator[str]]] = [
    known_layer,
    downward_imports,
    pure_imports,
    pure_calls,
    docstring,
    door,
]


# ---- the tree keeps them


@pytest.mark.parametrize("rule", PER_MODULE, ids=lambda rule: rule.__name__)
def test_every_module_keeps(rule: Callable[[Module], Iterator[str]]) -> None:
    assert [sentence for module in modules() for sentence in rule(module)] == []


def test_nothing_catches_everything() -> None:
    assert list(too_many_broad_excepts(modules())) == []


def test_no_import_cycles() -> None:
    assert import_cycles(modules()) == []


def test_the_whole_tree_is_looked_at() -> None:
    names = {module.name for module in modules()}
    assert {"p2pworld", "p2pworld.errors", "p2pworld.ids", "shard_node", "client", "simulations"} <= names


# ---- the rules see what breaks them


def snippet(name: str, source: str, package: bool = False) -> Module:
    return Module(name, ast.parse(source), package)


BREAKING = [
    (known_layer, "p2pworld.helpers", "", "in no layer"),
    (known_layer, "elsewhere", "", "in no layer"),
    (
        downward_imports,
        "p2pworld.wire.codec",
        "from p2pworld.core import Node",
        "L1 imports p2pworld.core.Node of L3",
    ),
    (
        downward_imports,
        "p2pworld.wire.codec",
        "from ..world import crowd",
        "L1 imports p2pworld.world.crowd of L2",
    ),
    (
        downward_imports,
        "p2pworld.world.crowd",
        "import shard_node.serve",
        "L2 imports shard_node.serve of L4",
    ),
    (downward_imports, "p2pworld.geometry", "from p2pworld.crypto import keys", "of L1"),
    (downward_imports, "p2pworld.drive", "def f():\n    import client.bots", "of L4"),
    (downward_imports, "client.session", "from p2pworld.unheard import of", "in no layer"),
    (pure_imports, "p2pworld.core", "import trio", "only the shell"),
    (pure_imports, "p2pworld.core", "import os.path", "only the shell"),
    (pure_imports, "p2pworld.world.presence", "from time import monotonic", "only the shell"),
    (pure_imports, "p2pworld.world.presence", "import random", "only the shell"),
    (pure_imports, "p2pworld.world.presence", "import secrets, socket, asyncio, threading", "only the shell"),
    (pure_imports, "p2pworld.seoul.gu", "from pathlib import Path", "only the shell"),
    (pure_imports, "p2pworld.world.presence", "import numpy as np", "numpy has no business here"),
    (pure_imports, "p2pworld.crypto.keys", "import numpy", "numpy has no business here"),
    (pure_imports, "p2pworld.merkle.note", "import nacl.signing", "nacl has no business here"),
    (downward_imports, "p2pworld.merkle.note", "from p2pworld.civic import witness", "of L2"),
    (pure_imports, "p2pworld.crypto.keys", "from nacl.utils import random", "not pure"),
    (pure_imports, "p2pworld.world.crowd", "from numpy import random", "not pure"),
    (
        pure_calls,
        "p2pworld.core",
        "import datetime\nx = datetime.datetime.now()",
        "calls datetime.datetime.now",
    ),
    (pure_calls, "p2pworld.core", "x = date.today()", "calls date.today"),
    (pure_calls, "p2pworld.core", "x = datetime.fromtimestamp(now)", "calls datetime.fromtimestamp"),
    (pure_calls, "p2pworld.crypto.keys", "k = SigningKey.generate()", "calls SigningKey.generate"),
    (pure_calls, "p2pworld.seoul.gu", "with open('x') as f: pass", "calls open"),
    (pure_calls, "p2pworld.world.crowd", "x = np.random.default_rng()", "uses np.random"),
    (docstring, "shard_node.serve", "x = 1", "without its idea"),
    (docstring, "p2pworld.world", "from p2pworld.world import crowd", "without its idea"),
    (door, "p2pworld.ids", "'''Idea.'''\nx = 1", "no __all__"),
    (broad_excepts, "client.bots", "try:\n    f()\nexcept Exception:\n    pass", "catches Exception"),
    (broad_excepts, "client.bots", "try:\n    f()\nexcept:\n    raise", "catches everything"),
    (
        broad_excepts,
        "client.bots",
        "try:\n    f()\nexcept (OSError, BaseException) as e:\n    g(e)",
        "BaseException",
    ),
    (broad_excepts, "client.bots", "try:\n    f()\nexcept* Exception:\n    pass", "catches Exception"),
    (broad_excepts, "client.bots", "with contextlib.suppress(Exception):\n    f()", "catches Exception"),
]


@pytest.mark.parametrize(("rule", "name", "source", "sentence"), BREAKING)
def test_a_rule_sees(rule: Callable[[Module], Iterator[str]], name: str, source: str, sentence: str) -> None:
    reported = list(rule(snippet(name, source, package=name == "p2pworld.world")))
    assert reported
    assert all(sentence in line for line in reported)


def test_each_of_several_imports_is_seen() -> None:
    module = snippet("p2pworld.core", "import secrets, socket, asyncio, threading, time, random, os, pathlib")
    assert len(list(pure_imports(module))) == 8


KEEPING = [
    (known_layer, "p2pworld.world.crowd", ""),
    (downward_imports, "p2pworld.grants", "from p2pworld.crypto import keys"),
    (downward_imports, "p2pworld.wire.codec", "from p2pworld.ids import Login\nfrom . import stream"),
    (
        downward_imports,
        "shard_node.cli",
        "from simulations import cluster\nimport p2pworld.core\nimport trio",
    ),
    (pure_imports, "p2pworld.world.crowd", "import numpy as np\nfrom collections.abc import Callable"),
    (pure_imports, "shard_node.serve", "import trio, socket, time, os"),
    (pure_calls, "shard_node.serve", "x = open('y')"),
    (pure_calls, "p2pworld.core", "x = f()\ny = self.open()"),
    (pure_calls, "p2pworld.core", "x = datetime.fromtimestamp(now, UTC)"),
    (docstring, "client.bots", "'''Idea.'''"),
    (docstring, "p2pworld.world", ""),
    (door, "p2pworld.ids", "'''Idea.'''\n__all__ = ['x']\nx = 1"),
    (door, "client.bots", "'''Idea.'''\nx = 1"),
    (broad_excepts, "client.bots", "try:\n    f()\nexcept OSError:\n    pass"),
]


@pytest.mark.parametrize(("rule", "name", "source"), KEEPING)
def test_a_rule_lets_through(rule: Callable[[Module], Iterator[str]], name: str, source: str) -> None:
    assert list(rule(snippet(name, source, package=name == "p2pworld.world"))) == []


def test_broad_excepts_are_counted_by_package() -> None:
    source = "try:\n    f()\nexcept Exception:\n    pass\n"
    assert list(too_many_broad_excepts([snippet("client.bots", source)])) == []
    assert len(list(too_many_broad_excepts([snippet("client.bots", source * 2)]))) == 1
    assert len(list(too_many_broad_excepts([snippet("p2pworld.ids", source)]))) == 1


def test_a_ring_of_imports_is_seen_whole() -> None:
    ring = [
        snippet("client.a", "from client import b"),
        snippet("client.b", "import client.c"),
        snippet("client.c", "def late():\n    from client.a import name"),
        snippet("client.d", "from client.a import name"),
    ]
    assert import_cycles(ring) == ["client.a -> client.b -> client.c -> client.a"]


def test_imports_for_typing_alone_make_no_ring_but_keep_to_the_layers() -> None:
    upward = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p2pworld.core import Node"
    low, high = snippet("p2pworld.ids", upward), snippet("p2pworld.core", "from p2pworld.ids import Login")
    assert import_cycles([low, high]) == []
    assert len(list(downward_imports(low))) == 1
