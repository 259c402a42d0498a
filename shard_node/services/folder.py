"""The files in which services are declared: the package's own, and those in an operator's folder, read again on change.

A folder holds `*.toml`, and folders of those. `look` is cheap where nothing has changed, so a node may call it every
second; a new file counts from then on. A file that was good and no longer is keeps counting as it was, and is told.
So does, in any file, the office of a facility that has been booked (`homes`: in which log each was booked first).
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Final

from p2pworld.services.catalogue import Catalogue, ServiceFault, Source, read_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

__all__ = ["ServiceFolder", "read"]

FILE_BYTES_MAX: Final = 1 << 18
FILES_MAX: Final = 1_024


def read(folder: Path | None = None, homes: Mapping[str, str] | None = None) -> Catalogue:
    """What the package and, if given, `folder` declare, with all that is wrong."""
    found = ServiceFolder(folder)
    found.look(homes)
    return found.catalogue


class ServiceFolder:
    """The declarations of a folder beside the package's own, as they are now."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int]] | None = None
        self._good: dict[str, Source] = {}
        self._own = tuple(_package_sources())
        self._homes: Mapping[str, str] = {}
        self.catalogue: Catalogue = Catalogue({}, {})

    def look(self, homes: Mapping[str, str] | None = None) -> bool:
        """Whether anything has changed since the last look; if so, it has been read.

        `homes` are known from now on, also while an index that is made anew does not know them again yet.
        """
        seen, facilities = self._stamps(), self.catalogue.facilities
        self._homes = {**self._homes, **(homes or {})}
        moved = any(name in facilities and facilities[name].gu != home for name, home in self._homes.items())
        if seen == self._seen and not moved:
            return False
        self._seen = seen
        faults: list[ServiceFault] = []
        new = [source for path in self._paths() if (source := _source(path, str(path), faults)) is not None]
        read_now = read_catalogue((*self._own, *new), self._homes)
        faults += read_now.faults
        broken = {fault.file for fault in faults}
        self._good = {name: source for name, source in self._good.items() if name in broken}
        if any(name in self._good for name in broken):
            kept = [self._good.get(source.file, source) for source in new]
            kept += [source for name, source in self._good.items() if name not in {s.file for s in new}]
            read_now = read_catalogue((*self._own, *kept), self._homes)
        self._good |= {source.file: source for source in new if source.file not in broken}
        self.catalogue = replace(read_now, faults=tuple(faults))
        return True

    def _paths(self) -> list[Path]:
        if self._folder is None:
            return []
        return sorted([*self._folder.glob("*.toml"), *self._folder.glob("*/*.toml")])[:FILES_MAX]

    def _stamps(self) -> dict[str, tuple[int, int]]:
        stamps = {}
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:
                continue  # gone since it was listed; what cannot be read is told when it is read
            stamps[str(path)] = (stat.st_mtime_ns, stat.st_size)
        return stamps


def _package_sources() -> Iterator[Source]:
    root = resources.files("p2pworld.services") / "declared"
    faults: list[ServiceFault] = []
    for name, file in sorted(_files(root, "services")):
        source = _source(file, name, faults)
        assert source is not None, faults
        yield source


def _files(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for child in folder.iterdir():
        if child.is_dir():
            yield from _files(child, f"{name}/{child.name}")
        elif child.name.endswith(".toml"):
            yield f"{name}/{child.name}", child


def _source(file: Traversable, name: str, faults: list[ServiceFault]) -> Source | None:
    try:
        data = file.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            sentence = f"is larger than {FILE_BYTES_MAX >> 10} KiB: a declaration never is."
        else:
            return Source(name, data.decode("utf-8"))
    except OSError as error:
        sentence = f"cannot be read: {error.strerror}."
    except UnicodeDecodeError:
        sentence = "is not UTF-8 text: save it as UTF-8."
    faults.append(ServiceFault(name, 1, "file", sentence))
    return None
