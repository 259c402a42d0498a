"""Which attachments a filing names, and the rows beside the log that say which entry has which.

An attachment is named by a public key, whose secret only whoever files has. With it they sign the hash of what they put
under the name, so nobody else puts anything there; and they sign the key of the filing that names it, so whoever sees
names under way cannot have them for another filing. The paper `files` has name and signature, one after the other. They
stand in no leaf: nothing public says that there are any. Once an entry names an attachment no other one can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.civic.transaction import Paper
from p2pworld.crypto.keys import verify
from p2pworld.errors import Refusal
from p2pworld.limits import ATTACHMENTS_NAMED_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.civic.kept import Rows
    from p2pworld.civic.transaction import Submission
    from p2pworld.crypto.keys import Signer

__all__ = [
    "ATTACHMENT_HEADER",
    "FILES",
    "Named",
    "entry_of_row",
    "file_row",
    "files_paper",
    "is_put_by",
    "keep_names",
    "named_in",
    "names_in",
    "sign_put",
    "taken",
    "unsigned",
]

FILES: Final = "files"
ATTACHMENT_HEADER: Final = "attachment-signature"  # with what is put: the signature, in hex
_NAME_BYTES: Final = 32
_NAMED_BYTES: Final = _NAME_BYTES + 64
_PUT: Final = b"p2pworld attachment put v1\n"
_FILED: Final = b"p2pworld attachment filed v1\n"


class Named(NamedTuple):
    """A name, and its signature over the key of the filing."""

    name: bytes
    sig: bytes


def sign_put(owner: Signer, stream: str, digest: bytes) -> bytes:
    """The signature beside bytes of this SHA-256 that are put under the owner's name."""
    return owner.sign(_put_statement(stream, digest))


def is_put_by(name: bytes, stream: str, digest: bytes, sig: bytes) -> bool:
    """Whether the owner of this name signed that these bytes are put under it."""
    return verify(name, _put_statement(stream, digest), sig)


def _put_statement(stream: str, digest: bytes) -> bytes:
    return _PUT + stream.encode() + b"\n" + digest


def files_paper(owners: Iterable[Signer], filing_key: bytes) -> Paper:
    """The paper that names the attachments of these owners beside the filing of this key."""
    return Paper(FILES, b"".join(owner.public + owner.sign(_FILED + filing_key) for owner in owners))


def named_in(submission: Submission) -> tuple[Named, ...] | Refusal:
    """The attachments that are named beside a submission, each once; `attachment-name` if these are no names."""
    if submission.papers is None:
        return ()
    data = submission.paper(FILES) or b""
    if len(data) % _NAMED_BYTES or len(data) > _NAMED_BYTES * ATTACHMENTS_NAMED_MAX:
        return Refusal(
            "attachment-name", f"names of attachments are {_NAMED_BYTES} bytes each, with a signature"
        )
    parts = (data[at : at + _NAMED_BYTES] for at in range(0, len(data), _NAMED_BYTES))
    named = (Named(part[:_NAME_BYTES], part[_NAME_BYTES:]) for part in parts)
    return tuple({one.name: one for one in named}.values())


def names_in(submission: Submission) -> tuple[bytes, ...] | Refusal:
    """The names alone."""
    named = named_in(submission)
    return named if isinstance(named, Refusal) else tuple(one.name for one in named)


def unsigned(submission: Submission) -> Refusal | None:
    """`attachment-signature` if one is named for another filing than this; see also `named_in`."""
    named = named_in(submission)
    if isinstance(named, Refusal):
        return named
    said = _FILED + submission.filing.key
    if all(verify(one.name, said, one.sig) for one in named):
        return None
    return Refusal("attachment-signature", "an attachment is named whose owner did not sign for this filing")


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
