"""Erasure: a filing that has what is sealed with an earlier entry of its log destroyed, and stays to say so.

Two may ask for it: the transaction's own key, which only the citizen's device has, and a desk of the office, whose keys
the log's configuration names. Like every filing it is signed by a key made for it alone, which is its idempotency key;
whoever asks signs that key together with the stream and the entry's number. Both the asker's key and that signature are
public fields, so an auditor can tell who had an entry erased, and that the holder did not do it by itself.

The entry that is erased stays in the log as it is: it has only a hash in it, of things of which none is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from p2pworld.civic.transaction import Field, FieldRule, Filing, Submission, TransactionType
from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import Refusal
from p2pworld.messages.fields import U53, Key, Size
from p2pworld.wire.codec import Canonical

if TYPE_CHECKING:
    from collections.abc import Collection

    from p2pworld.civic.transaction import Leaf

__all__ = ["ERASED", "Asked", "Erasure", "asked_of", "check_asker", "check_erasure", "file_erasure"]

_ERASURE_NAME: Final = b"p2pworld civic erasure v1\n"

ERASED: Final = TransactionType(
    "erased",
    (
        FieldRule("index", re.compile(r"0|[1-9][0-9]{0,14}")),
        FieldRule("by", re.compile(r"[0-9a-f]{64}")),
        FieldRule("asked", re.compile(r"[0-9a-f]{128}")),
    ),
    sealed=False,
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What whoever asks for it signs: entry `index` of `stream` is to be erased by the filing of this key."""

    stream: Annotated[str, Size(1, 80)]
    index: U53
    key: Key

    def statement(self) -> bytes:
        """The bytes that are signed."""
        return _ERASURE_NAME + _ERASURE.pack(self)


_ERASURE = Canonical(Erasure)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entry is to be erased, who asks, and the signature that shows it."""

    index: int
    by: bytes
    sig: bytes


def asked_of(filing: Filing) -> Asked | None:
    """What a filing asks to have erased; None if it is none that does, or not as the type has it."""
    if filing.type != ERASED.name or not ERASED.accepts(filing.public):
        return None
    index, by, sig = (field.value for field in filing.public)
    return Asked(int(index), bytes.fromhex(by), bytes.fromhex(sig))


def check_erasure(filing: Filing) -> Refusal | None:
    """Why nobody asks for this (`civic-signature`), or None; whether the asker may is for `check_asker` to say."""
    asked = asked_of(filing)
    if asked is None:
        return None
    statement = Erasure(filing.stream, asked.index, filing.key).statement()
    if not verify(asked.by, statement, asked.sig):
        return Refusal("civic-signature", "whoever is said to ask for this erasure did not sign that")
    return None


def check_asker(asked: Asked, leaf: Leaf | None, desks: Collection[bytes]) -> Refusal | None:
    """Why the entry of this leaf (None: there is none yet) is not erased for this asker, or None.

    `civic-erase-none`, `civic-erase-open` or `civic-erase-right`.
    """
    if leaf is None:
        return Refusal("civic-erase-none", f"this log has no entry {asked.index}")
    if not leaf.filing.sealed:
        return Refusal(
            "civic-erase-open", f"nothing is sealed with entry {asked.index}; the log itself stays"
        )
    if asked.by != leaf.filing.key and asked.by not in desks:
        return Refusal(
            "civic-erase-right", "only who filed an entry, or the office's desk, may have it erased"
        )
    return None


def file_erasure(stream: str, index: int, minute: int, asker: Signer, seed: bytes) -> Submission:
    """The signed submission that has entry `index` erased; `seed` is 32 random bytes, fresh for it.

    `asker` is the key of the transaction that is erased, or of a desk.

    Raises:
        LocalError: a stream, index, minute or seed that cannot be.
    """
    signer = Signer.from_seed(seed)
    asked = asker.sign(Erasure(stream, index, signer.public).statement())
    said = (str(index), asker.public.hex(), asked.hex())
    public = tuple(Field(rule.name, value) for rule, value in zip(ERASED.public, said, strict=True))
    filing = Filing(ERASED.name, stream, signer.public, minute, public)
    return Submission(filing, signer.sign(filing.statement()))
