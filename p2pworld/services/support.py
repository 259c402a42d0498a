"""Support of a proposal: a leaf for each person, so that everybody counts them and can see that none is counted twice.

Who supports shows a claim for the purpose of supporting this one proposal. The leaf has the pseudonym that they have
for that, which is nobody's anywhere else: it says that this is one person, and none who was counted before, and not
who. Nothing is sealed. How many they are is how many pseudonyms the leaves about an entry have.

Decision record 0017 says why the pseudonym is in the leaf.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from p2pworld.civic.transaction import Field, FieldRule, Filing, Submission, TransactionType
from p2pworld.crypto.keys import Signer

__all__ = ["SUPPORT", "Support", "file_support", "support_of", "support_purpose", "support_row"]

SUPPORT: Final = TransactionType(
    "case-support",
    (
        FieldRule("entry", re.compile(r"0|[1-9][0-9]{0,14}")),
        FieldRule("person", re.compile(r"[0-9a-f]{64}")),
    ),
    sealed=False,
)


class Support(NamedTuple):
    """Whoever has this pseudonym (hex) supports the proposal that this entry is."""

    entry: int
    person: str


def support_of(filing: Filing) -> Support | None:
    """The support that a filing is, None if it is none."""
    if filing.type != SUPPORT.name or not SUPPORT.accepts(filing.public):
        return None
    entry, person = (field.value for field in filing.public)
    return Support(int(entry), person)


def support_purpose(stream: str, entry: int) -> str:
    """What a claim is for that is shown to support this entry of a stream."""
    return f"support/{stream}/{entry}"


def support_row(support: Support) -> str:
    """The row beside the log that is there if somebody has supported an entry."""
    return f"support/{support.entry}/{support.person}"


def file_support(stream: str, support: Support, minute: int, seed: bytes) -> Submission:
    """The submission by which somebody supports an entry; `seed` is 32 random bytes, fresh for it. A claim belongs
    beside it."""
    key = Signer.from_seed(seed)
    said = (str(support.entry), support.person)
    fields = (Field(rule.name, value) for rule, value in zip(SUPPORT.public, said, strict=True))
    filing = Filing(SUPPORT.name, stream, key.public, minute, tuple(fields))
    return Submission(filing, key.sign(filing.statement()))
