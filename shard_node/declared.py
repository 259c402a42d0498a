"""The files in which places and programmes are declared: the package's own, and those in an operator's folder.

A folder holds `places/*.toml` and `programmes/*.toml`. They are read once, when the node starts; the machine below
checks them (`p2pworld.world.declarations`).
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Final

from p2pworld.world.declarations import DeclarationFaults, Document, Fault, read_places
from p2pworld.world.programme import next_run, plain_programme
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from p2pworld.world.places import Places

__all__ = ["FILE_BYTES_MAX", "document", "load", "read"]

FILE_BYTES_MAX: Final = 1 << 18
FILES_MAX: Final = 1_024  # of one kind in one folder


def read(folder: Path | None = None) -> Places:
    """All that the package and, if given, `folder` declare.

    Raises:
        DeclarationFaults: a file cannot be read or says something wrong.
    """
    roots: list[tuple[Traversable, str]] = [(resources.files("p2pworld.seoul") / "declared", "declared")]
    if folder is not None:
        if not folder.is_dir():
            raise DeclarationFaults([Fault(str(folder), "folder", "is no folder: give one that is there.")])
        known = {child.name for child in folder.iterdir()}
        if not known & {"places", "programmes"}:
            sentence = "holds neither places/ nor programmes/: put the files into folders of these names."
            raise DeclarationFaults([Fault(str(folder), "folder", sentence)])
        roots.append((folder, str(folder)))
    faults: list[Fault] = []
    found = {
        kind: [
            document for root, name in roots for document in _documents(root / kind, f"{name}/{kind}", faults)
        ]
        for kind in ("places", "programmes")
    }
    if faults:
        try:
            read_places(found["places"], found["programmes"])
        except DeclarationFaults as more:
            faults.extend(more.faults)
        raise DeclarationFaults(faults)
    return read_places(found["places"], found["programmes"])


def load(folder: Path | None) -> Places:
    """The same, for a node that starts.

    Raises ConfigError.
    """
    try:
        return read(folder)
    except DeclarationFaults as error:
        more = len(error.faults) - 1
        rest = f" ({more} more; `p2pworld places check` shows all)" if more else ""
        raise ConfigError(f"city.declared: {error.faults[0]}{rest}") from None


def document(places: Places, wall_ms: int) -> tuple[float, str, bytes]:
    """The table as JSON: (Unix ms until which it is so, its entity tag, the bytes).

    Positions are centimetres from the root's south-west corner; what a programme's `next_ms` says changes with time.
    """
    begins = [begin for one in places.programmes if (begin := next_run(one, wall_ms)) is not None]
    table = {
        "crs": "centimetres east and north of (920000, 1920000) in EPSG:5179",
        "places": places.document(),
        "programmes": [plain_programme(one, wall_ms) for one in places.programmes],
    }
    body = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    return min(begins, default=math.inf) + 1, f'"{hashlib.sha256(body).hexdigest()[:32]}"', body


def _documents(folder: Traversable, name: str, faults: list[Fault]) -> Iterator[Document]:
    if not folder.is_dir():
        return
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    if len(files) > FILES_MAX:
        faults.append(Fault(name, "folder", f"holds over {FILES_MAX} files: the rest is not read."))
    for file in files[:FILES_MAX]:
        values = _values(file, f"{name}/{file.name}", faults)
        if values is not None:
            yield Document(f"{name}/{file.name}", values)


def _values(file: Traversable, name: str, faults: list[Fault]) -> Mapping[str, object] | None:
    try:
        data = file.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            sentence = f"is larger than {FILE_BYTES_MAX >> 10} KiB: a declaration never is."
        else:
            return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        sentence = f"cannot be read: {error.strerror}."
    except UnicodeDecodeError:
        sentence = "is not UTF-8 text: save it as UTF-8."
    except tomllib.TOMLDecodeError as error:
        sentence = f"is not valid TOML: {error}."
    faults.append(Fault(name, "file", sentence))
    return None
