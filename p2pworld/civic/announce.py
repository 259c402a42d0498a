"""Which keys count for which log, and since when: announced in the city's own log, so that nobody can say otherwise.

An announcement is a transaction of the type `keys` in the stream `city`. It names a stream and, from a size of its log
on, the keys that sign its checkpoints, the witnesses and how many of them must have signed, and the offices' sealing
keys. It is signed by somebody to whom a root key has granted the role `civic` over that stream; the grants are in it,
so an auditor needs the root's public key and nothing else. They must hold at the minute that the transaction says,
which the holder has compared with its clock.

A later announcement for a stream takes the place of the one before from its own size on; checkpoints below that are
still checked with the one before. None reaches back: one with a smaller size than the one before counts for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from p2pworld.civic.transaction import (
    Field,
    FieldRule,
    Filing,
    Submission,
    TransactionType,
    parse_leaf,
    verify_filing,
)
from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.grants import grant_to_text, grants_from_text, verify_chain
from p2pworld.limits import LOG_SIZE_MAX
from p2pworld.merkle.note import COSIGNATURE, VerifierKey
from p2pworld.messages.fields import Key, Size
from p2pworld.wire.codec import canonical
from p2pworld.wire.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Collection

    from p2pworld.grants import Grant, Voids

__all__ = [
    "CITY",
    "KEYS",
    "Announced",
    "Announcement",
    "KeyHistory",
    "announce",
    "announced_in",
    "keys_type",
]

CITY: Final = "city"  # the stream that announcements are filed to
KEYS: Final = "keys"  # their type
_NAME: Final = b"p2pworld civic keys v1\n"
_MENTION: Final = b"\xa4type\xa4keys"  # in each leaf that announces something: most entries need not be read
_MINUTE_MS: Final = 60_000
_FIELDS: Final = (  # together with what is around them they fit into a leaf
    FieldRule("stream", re.compile(r"[a-z][a-z0-9-]{0,39}")),
    FieldRule("from", re.compile(r"0|[1-9][0-9]{0,15}")),
    FieldRule("keys", re.compile(r"(?=.{1,400}$)[!-~]+(?: [!-~]+)?")),
    FieldRule("witnesses", re.compile(r"(?=.{0,1000}$)(?:[!-~]+(?: [!-~]+)*)?")),
    FieldRule("quorum", re.compile(r"0|[1-9][0-9]?")),
    FieldRule("offices", re.compile(r"(?:[0-9a-f]{64}(?: [0-9a-f]{64}){0,3})?")),
    FieldRule("by", re.compile(r"[0-9a-f]{64}")),
    FieldRule("grants", re.compile(r"(?=.{0,1300}$)(?:[A-Za-z0-9_-]+(?: [A-Za-z0-9_-]+)*)?")),
    FieldRule("signed", re.compile(r"[0-9a-f]{128}")),
)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What counts for the log of `stream`, from checkpoints of this size on.

    Raises:
        LocalError: keys of another log or kind, or none; more witnesses asked for than there are.
    """

    stream: str
    from_size: int
    keys: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0
    offices: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        names = {key.name for key in self.keys}
        if len(names) != 1 or not next(iter(names)).endswith(f"/{self.stream}"):
            raise LocalError(f"one log has one name, which ends with /{self.stream}")
        if any(key.algorithm == COSIGNATURE for key in self.keys):
            raise LocalError("a witness's key signs no log")
        if any(key.algorithm != COSIGNATURE for key in self.witnesses):
            raise LocalError("a witness signs with a key for cosignatures")
        if not 0 <= self.quorum <= len({key.public for key in self.witnesses}):
            raise LocalError(f"{self.quorum} witnesses are asked for, of {len(self.witnesses)}")
        if not 0 <= self.from_size <= LOG_SIZE_MAX or any(len(office) != 32 for office in self.offices):
            raise LocalError("a size is no size of a log, or an office's key has not 32 bytes")


@dataclass(frozen=True, slots=True)
class _Said:
    """What whoever announces signs: where it stands, and all that it says."""

    stream: Annotated[str, Size(1, 80)]
    key: Key
    fields: Annotated[tuple[Field, ...], Size(0, 32)]

    def statement(self) -> bytes:
        return _NAME + canonical(_SAID.write(self))


_SAID = Schema(_Said)


@dataclass(frozen=True, slots=True)
class Announced:
    """An announcement as it stands in the city's log: entry `index`, of this minute, by this key."""

    index: int
    minute: int
    by: bytes
    announcement: Announcement


def announce(
    what: Announcement, signer: Signer, chain: tuple[Grant, ...], minute: int, seed: bytes
) -> Submission:
    """The submission for the city's log; `chain` gives `signer` the role `civic` over the stream, `seed` is 32 random
    bytes, fresh for it.

    Raises:
        LocalError: it does not fit into a leaf.
    """
    own = Signer.from_seed(seed)
    said = (
        what.stream,
        str(what.from_size),
        " ".join(key.text for key in what.keys),
        " ".join(key.text for key in what.witnesses),
        str(what.quorum),
        " ".join(office.hex() for office in what.offices),
        signer.public.hex(),
        " ".join(grant_to_text(grant) for grant in chain),
    )
    fields = tuple(Field(rule.name, text) for rule, text in zip(_FIELDS, said, strict=False))
    sig = signer.sign(_Said(CITY, own.public, fields).statement())
    fields = (*fields, Field(_FIELDS[-1].name, sig.hex()))
    for rule, one in zip(_FIELDS, fields, strict=True):
        if not rule.pattern.fullmatch(one.value):
            raise LocalError(f"{rule.name} cannot be announced so, or is too long: {one.value[:80]!r}")
    filing = Filing(KEYS, CITY, own.public, minute, fields)
    return Submission(filing, own.sign(filing.statement()))


def announced_in(
    filing: Filing, roots: Collection[bytes], index: int = 0, voids: Voids | None = None
) -> Announced:
    """What this filing announces, shown to be by somebody to whom one of these roots has granted it.

    Raises:
        RemoteError: it is no announcement, malformed, or by nobody who may (`civic-keys`).
    """
    if filing.type != KEYS or filing.stream != CITY or not _TYPE.accepts(filing.public):
        raise RemoteError("civic-keys", "this is no announcement of keys")
    stream, size, keys, witnesses, quorum, offices, by, grants, signed = (one.value for one in filing.public)
    try:
        what = Announcement(
            stream,
            int(size),
            tuple(map(VerifierKey.parse, keys.split())),
            tuple(map(VerifierKey.parse, witnesses.split())),
            int(quorum),
            tuple(map(bytes.fromhex, offices.split())),
        )
        chain = grants_from_text("\n".join(grants.split()))
    except (LocalError, RemoteError) as error:
        raise RemoteError("civic-keys", f"this announces what cannot be: {error}") from None
    who = bytes.fromhex(by)
    scope = f"streams:{stream}"
    refusal = verify_chain(chain, frozenset(roots), who, "civic", filing.minute * _MINUTE_MS, scope, voids)
    if refusal is not None:
        raise RemoteError("civic-keys", f"whoever announces this may not: {refusal.sentence}")
    if not verify(who, _Said(CITY, filing.key, filing.public[:-1]).statement(), bytes.fromhex(signed)):
        raise RemoteError("civic-keys", "whoever is said to announce this did not sign it")
    return Announced(index, filing.minute, who, what)


_TYPE: Final = TransactionType(KEYS, _FIELDS, sealed=False)


def keys_type(roots: Collection[bytes], voids: Voids | None = None) -> TransactionType:
    """The type for the holder of the city's log, who takes announcements only of those who may make them."""

    def check(filing: Filing) -> Refusal | None:
        try:
            announced_in(filing, roots, voids=voids)
        except RemoteError as error:
            return Refusal("civic-keys", str(error))
        return None

    return TransactionType(KEYS, _FIELDS, sealed=False, check=check)


class KeyHistory:
    """What the city's log says of all logs, entry by entry; `ignored` are announcements that count for nothing."""

    def __init__(self, roots: Collection[bytes]) -> None:
        self.ignored: list[tuple[int, str]] = []
        self.size = 0
        self._roots = frozenset(roots)
        self._by_stream: dict[str, list[Announced]] = {}

    def take(self, entry: bytes) -> Announced | None:
        """Reads the next entry of the log; the announcement in it, if that counts."""
        index, self.size = self.size, self.size + 1
        if _MENTION not in entry:
            return None
        try:
            leaf = parse_leaf(entry)
        except RemoteError:
            return None  # no leaf of this city's form announces anything
        if leaf.filing.type != KEYS:
            return None
        try:
            if not verify_filing(leaf.filing, leaf.sig):
                raise RemoteError("civic-signature", "the transaction's key did not sign it")
            found = announced_in(leaf.filing, self._roots, index)
            before = self._by_stream.setdefault(found.announcement.stream, [])
            if before and found.announcement.from_size < before[-1].announcement.from_size:
                raise RemoteError("civic-keys", "it reaches back behind the announcement before it")
        except RemoteError as error:
            self.ignored.append((index, str(error)))
            return None
        before.append(found)
        return found

    @property
    def streams(self) -> dict[str, tuple[Announced, ...]]:
        """All announcements that count, of each stream in their order."""
        return {stream: tuple(found) for stream, found in sorted(self._by_stream.items()) if found}

    def newest(self, stream: str) -> Announced | None:
        """What was announced last of this stream."""
        found = self._by_stream.get(stream)
        return found[-1] if found else None

    def at(self, stream: str, size: int) -> Announced | None:
        """What counts for a checkpoint of this size."""
        found = [one for one in self._by_stream.get(stream, ()) if one.announcement.from_size <= size]
        return found[-1] if found else None

    def document(self) -> dict[str, object]:
        """All of it, for programs: of each stream what counts now, and its history."""
        return {
            "size": self.size,
            "streams": {
                stream: _plain(found[-1]) | {"history": [_plain(one) for one in found]}
                for stream, found in self.streams.items()
            },
            "ignored": [{"index": index, "sentence": sentence} for index, sentence in self.ignored],
        }


def _plain(one: Announced) -> dict[str, object]:
    what = one.announcement
    return {
        "from_size": what.from_size,
        "keys": [key.text for key in what.keys],
        "witnesses": [key.text for key in what.witnesses],
        "quorum": what.quorum,
        "offices": [office.hex() for office in what.offices],
        "index": one.index,
        "minute": one.minute,
        "by": one.by.hex(),
    }
