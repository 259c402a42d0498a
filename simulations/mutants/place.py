"""A mutant in the place of its module, within one process that lives for nothing else.

The function it changes is given the code of the changed one, which costs nothing. Where that cannot be (the change is
to the module itself, or the function now closes over other names), every module of ours is forgotten, and imported
anew with the changed tree in the place of the file.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator, Sequence

    from simulations.mutants.generate import Mutant

__all__ = ["put_in_place"]

_OURS: Final = frozenset({"p2pworld", "client", "simulations", "shard_node", "tests"})


def put_in_place(mutant: Mutant, tree: ast.Module) -> None:
    """From here on this process runs the mutant, whose module reads like this."""
    if mutant.function and _exchanged(mutant, tree):
        return
    _import_anew(mutant.module, tree)


def _exchanged(mutant: Mutant, tree: ast.Module) -> bool:
    """Whether the one function could be given its changed code."""
    module = importlib.import_module(mutant.module)
    outer = _function(module, mutant.function)
    code = next(
        (c for c in _codes(compile(tree, str(module.__file__), "exec")) if c.co_qualname == mutant.function),
        None,
    )
    if outer is None or code is None or code.co_freevars != outer.__code__.co_freevars:
        return False
    outer.__code__ = code
    return True


def _function(module: ModuleType, name: str) -> FunctionType | None:
    *classes, last = name.split(".")
    place: object = module
    for one in classes:
        place = getattr(place, one)
    found = vars(place).get(last)
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, classmethod | staticmethod):
        found = found.__func__
    return found if isinstance(found, FunctionType) else None


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _import_anew(module: str, tree: ast.Module) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]  # looking for it imported its parents
    sys.meta_path.insert(0, _Changed(module, spec.origin, tree))


class _Changed(MetaPathFinder, Loader):
    """Loads one module from a syntax tree."""

    def __init__(self, module: str, origin: str, tree: ast.Module) -> None:
        self._module, self._origin, self._tree = module, origin, tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The changed module's own spec, and nobody else's."""
        if fullname != self._module:
            return None
        spec = ModuleSpec(fullname, self, origin=self._origin)
        spec.has_location = True
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed tree."""
        exec(compile(self._tree, self._origin, "exec"), module.__dict__)
