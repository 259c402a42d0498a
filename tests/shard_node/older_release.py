"""A node as the release before this one spoke: `python -m tests.shard_node.older_release --config FILE`.

It is this release's code with an older vocabulary: it names fewer capabilities in its handshakes, writes city maps of
format 1, and can read no newer one.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

OLDER: Final = {
    "p2pworld.world.citymap.value": ("FORMAT: Final = 2", "FORMAT: Final = 1"),
    "p2pworld.crypto.link": ("LINK_CAPS: Final = (PULSE, SEEK", "LINK_CAPS: Final = (PULSE, SEEK)  #"),
}


class _Older(SourceFileLoader):
    """Loads a module as it said things before."""

    def get_code(self, fullname: str) -> CodeType:
        now, then = OLDER[fullname]
        source = self.get_source(fullname)
        assert source is not None
        assert now in source, f"{fullname} no longer says {now!r}"
        code: CodeType = compile(source.replace(now, then, 1), self.path, "exec")
        return code


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec: Any = PathFinder.find_spec(fullname, path, target) if fullname in OLDER else None
        if spec is not None:
            spec.loader = _Older(fullname, spec.origin)
        return spec  # type: ignore[no-any-return]


def main() -> None:
    """Runs a node of the older release."""
    sys.meta_path.insert(0, _Finder())
    from shard_node.cli import main as command

    command(args=["node", *sys.argv[1:]], prog_name="p2pworld")


if __name__ == "__main__":
    main()
