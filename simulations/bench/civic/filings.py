"""Filings for benchmarks: submissions as they come from so many devices, and whole logs as they are years later.

They are made by all cores before anything is measured. Every filing has a key of its own, as a citizen's device makes
it; only the log that is made to be verified is signed by a few keys over and over, which costs its reader the same.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

from p2pworld.civic.transaction import (
    LEAF_VERSION,
    SUGGESTION,
    Field,
    Filing,
    Leaf,
    Secrets,
    file_transaction,
)
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, NoteSigner
from p2pworld.merkle.tiles import Edge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["STREAM", "filed", "filed_by_all_cores", "make_log"]

STREAM: Final = "jongno"
TEXT: Final = "가로등이 어두워 밤에 다니기 무섭습니다. 더 밝게 해 주세요. " * 4
ORIGIN: Final = "seoul.example/jongno"
PIECE: Final = 4_096  # filings of one task
SIGNERS: Final = 64


def filed(count: int, minute: int) -> list[bytes]:
    """So many submissions of Unix time `minute`, each by a key of its own, with some lines of text sealed."""
    office, person = sealing_public(os.urandom(32)), Signer.from_seed(os.urandom(32))
    return [
        file_transaction(
            SUGGESTION,
            STREAM,
            minute,
            {"topic": "streetlights"},
            {"text": TEXT},
            person,
            [office],
            Secrets(os.urandom(32), os.urandom(32), os.urandom(32)),
        ).to_bytes()
        for _ in range(count)
    ]


@contextmanager
def _side_by_side(processes: int | None) -> Iterator[Callable[..., Iterable[list[bytes]]]]:
    """`map`, by so many processes; by this one alone, if it is one, and by one a core if none are given."""
    if processes == 1:
        yield map
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield pool.map


def filed_by_all_cores(count: int, minute: int) -> list[bytes]:
    """As `filed`."""
    pieces = [min(PIECE, count - begin) for begin in range(0, count, PIECE)]
    with _side_by_side(None) as mapped:
        return [one for piece in mapped(filed, pieces, [minute] * len(pieces)) for one in piece]


def make_log(folder: Path, size: int, processes: int | None = None) -> str:
    """A published log of so many suggestions in `folder`, as `p2pworld verify` reads it; its key's text."""
    signer = NoteSigner(ORIGIN, Signer.from_seed(os.urandom(32)))
    edge, partial = Edge(), set(Edge.needed(size))
    with _side_by_side(processes) as mapped:
        pieces = [(begin, min(begin + PIECE, size)) for begin in range(0, size, PIECE)]
        for entries in mapped(_leaves, *zip(*pieces, strict=True)):
            edge, files = edge.append(entries)
            for file in files:
                if not file.tile.full and file.tile not in partial:
                    continue
                path = folder / file.tile.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.data)
    text = Checkpoint(ORIGIN, edge.size, edge.root()).text
    (folder / "checkpoint").write_bytes(Note(text, (signer.sign(text),)).to_bytes())
    return signer.key.text


def _leaves(begin: int, end: int) -> list[bytes]:
    """Entries [begin, end): one suggestion a minute, signed."""
    signers = [Signer.from_seed(bytes([number]) * 32) for number in range(SIGNERS)]
    entries = []
    for number in range(begin, end):
        signer = signers[number % SIGNERS]
        public = (Field("topic", "streetlights"),)
        filing = Filing(SUGGESTION.name, STREAM, signer.public, number, public, os.urandom(32))
        entries.append(Leaf(LEAF_VERSION, 1, filing, signer.sign(filing.statement())).to_bytes())
    return entries
