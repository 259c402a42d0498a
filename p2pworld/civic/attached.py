"""Which attachments a filing names, and the rows beside the log that say which entry has which.

The names are a paper, `files`: 32 bytes each, one after the other. They stand in no leaf, so nothing public says that
there are any. Once an entry names an attachment no other one can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal
from p2pworld.limits import ATTACHMENTS_NAMED_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.civic.kept import Rows
    from p2pworld.civic.transaction import Submission

__all__ = ["FILES", "entry_of_row", "file_row", "keep_names", "names_in", "taken"]

FILES: Final = "files"
_NAME_BYTES: Final = 32


def names_in(submission: Submission) -> tuple[bytes, ...] | Refusal:
    """The attachments that are named beside a submission, each once; `attachment-name` if these are no names."""
    if submission.papers is None:
        return ()
    data = submission.paper(FILES) or b""
    if len(data) % _NAME_BYTES or len(data) > _NAME_BYTES * ATTACHMENTS_NAMED_MAX:
        return Refusal("attachment-name", f"names of attachments are {_NAME_BYTES} bytes each")
    names = (data[at : at + _NAME_BYTES] for at in range(0, len(data), _NAME_BYTES))
    return tuple(dict.fromkeys(names))


def file_row(name: bytes) -> str:
    """The row that says which entry has this attachment."""
    return f"file/{name.hex()}"


def entry_of_row(body: bytes) -> int:
    """The entry that such a row names."""
    return int(body)


def taken(names: Iterable[bytes], rows: Rows) -> Refusal | None:
    """`attachment-taken` if one of these is another entry's already."""
    if any(rows.get(file_row(name)) is not None for name in names):
        return Refusal("attachment-taken", "another entry names one of these attachments")
    return None


def keep_names(names: Iterable[bytes], entry: int, rows: Rows) -> None:
    """Writes down that these are this entry's from now on."""
    for name in names:
        rows.put(file_row(name), str(entry).encode())
