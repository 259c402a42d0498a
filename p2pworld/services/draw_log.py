"""A draw as it stands in the log: six kinds of leaves, and what each of them may be after those before it.

    draw-opened   the office: the draw, its places, when it closes, the parties' keys and the hashes of their shares
    draw-shared   each party: the shares that I was given fit their hashes; before the third nobody can enter
    draw-entered  the office: a pseudonym that was verified and has not entered yet
    draw-closed   the office, from the closing minute on: how many entries there are, and their digest
    draw-share    a share; its giver may reveal it from then on, its holder once the giver has had its time
    draw-done     the office: seed and digest of the order, when all shares are there

Each is signed by a party, over its stream, type, key and fields, beside the filing's own key. `Draw.take` is given one
leaf after another and says why one cannot stand where it does: the log's holder asks before it takes a leaf, and
whoever verifies asks for those in the log. What is found wrong later was taken by a holder that did not do as it
should. Whether the keys in an opening are those of the office and of independent parties is for the holder to know, and
for whoever verifies to compare with what the city has announced.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

from p2pworld.civic.transaction import Field, FieldRule, Filing, Submission, TransactionType
from p2pworld.crypto.keys import Signer, verify
from p2pworld.limits import DRAW_ENTRIES_MAX
from p2pworld.messages.fields import Code, Key, Size
from p2pworld.services.draw import (
    HOLDERS,
    PARTIES,
    Entry,
    Pair,
    entries_digest,
    order_digest,
    order_of,
    seed_of,
    share_hash,
)
from p2pworld.services.reasons import refusal
from p2pworld.wire.codec import canonical
from p2pworld.wire.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.errors import Refusal

__all__ = ["DRAW_TYPES", "REVEAL_MINUTES", "Draw", "draw_name", "file_draw_leaf", "recompute"]

REVEAL_MINUTES: Final = 24 * 60  # that a party has for revealing, before others do it in its place
_SAID_NAME: Final = b"p2pworld draw leaf v1\n"
_HEX: Final = "[0-9a-f]{64}"
_DRAW: Final = r"[a-z][a-z0-9-]{0,39}/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(/[1-9])?"


def _rule(name: str, pattern: str) -> FieldRule:
    return FieldRule(name, re.compile(pattern))


def _type(name: str, *rules: FieldRule) -> TransactionType:
    """A type whose leaf begins with the draw, and ends with the party that says it and its signature."""
    said = (_rule("party", "[012]"), _rule("said", "[0-9a-f]{128}"))
    return TransactionType(name, (_rule("draw", _DRAW), *rules, *said), sealed=False)


OPENED: Final = _type(
    "draw-opened",
    _rule("places", "[1-9][0-9]{0,3}"),
    _rule("closes", "[1-9][0-9]{0,9}"),  # a minute of Unix time
    *(_rule(f"key-{party}", _HEX) for party in range(PARTIES)),
    *(_rule(f"share-{giver}-{holder}", _HEX) for giver in range(PARTIES) for holder in HOLDERS[giver]),
)
SHARED: Final = _type("draw-shared")
ENTERED: Final = _type(
    "draw-entered", _rule("person", _HEX), _rule("order", "first|other"), _rule("filing", _HEX)
)
CLOSED: Final = _type("draw-closed", _rule("count", "0|[1-9][0-9]{0,6}"), _rule("entries", _HEX))
SHARE: Final = _type("draw-share", _rule("giver", "[012]"), _rule("holder", "[012]"), _rule("share", _HEX))
DONE: Final = _type("draw-done", _rule("seed", _HEX), _rule("outcome", _HEX))
DRAW_TYPES: Final[Mapping[str, TransactionType]] = {
    declared.name: declared for declared in (OPENED, SHARED, ENTERED, CLOSED, SHARE, DONE)
}


@dataclass(frozen=True, slots=True)
class _Said:
    """What a party signs: all of the filing but the signature itself."""

    type: Code
    stream: Annotated[str, Size(1, 80)]
    key: Key
    fields: Annotated[tuple[Field, ...], Size(1, 32)]

    def statement(self) -> bytes:
        return _SAID_NAME + canonical(_SAID.write(self))


_SAID = Schema(_Said)


def draw_name(facility: str, slot: str, again: int = 0) -> str:
    """The name of the draw for a slot (`2026-05-02T08:00`); `again` if an earlier one came to nothing."""
    return f"{facility}/{slot}" + (f"/{again}" if again else "")


def file_draw_leaf(
    declared: TransactionType, stream: str, minute: int, said: Mapping[str, str], party: Signer, seed: bytes
) -> Submission:
    """The signed submission of one of the six types; `said` has all its fields but the signature.

    Raises:
        LocalError: a key or text that cannot be.
    """
    signer = Signer.from_seed(seed)
    open_fields = tuple(Field(rule.name, said[rule.name]) for rule in declared.public[:-1])
    statement = _Said(declared.name, stream, signer.public, open_fields).statement()
    fields = (*open_fields, Field("said", party.sign(statement).hex()))
    filing = Filing(declared.name, stream, signer.public, minute, fields)
    return Submission(filing, signer.sign(filing.statement()))


# ---- one leaf after another


@dataclass(slots=True)
class Draw:
    """What is known of a draw after some of its leaves. `helped` are parties whose shares others had to reveal."""

    stream: str
    name: str
    places: int = 0
    closes: int = 0
    keys: tuple[bytes, ...] = ()
    hashes: dict[Pair, str] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)
    entries: MutableMapping[str, Entry] = field(default_factory=dict)
    closed: int | None = None  # at which minute
    closing: bytes = b""
    shares: dict[Pair, bytes] = field(default_factory=dict)
    helped: set[int] = field(default_factory=set)
    done: bool = False

    @property
    def ready(self) -> bool:
        """Whether all shares are there, and with them the outcome."""
        return self.closed is not None and len(self.shares) == 2 * PARTIES

    @property
    def seed(self) -> str:
        """The seed, if the draw is ready."""
        return seed_of(self.stream, self.name, self.closing, self.shares)

    @property
    def order(self) -> tuple[str, ...]:
        """Everybody in it: the first `places` are drawn, the others wait in this order."""
        return order_of(self.seed, self.entries.values())

    def take(self, filing: Filing, leaf_hash: bytes) -> Refusal | None:
        """Why this leaf, whose hash in the log's tree is given, cannot stand here; else the draw knows it."""
        declared = DRAW_TYPES.get(filing.type)
        if declared is None or not declared.accepts(filing.public) or filing.stream != self.stream:
            return refusal("draw-unknown")
        said = {each.name: each.value for each in filing.public}
        if said["draw"] != self.name:
            return refusal("draw-unknown")
        party = int(said["party"])
        if declared is OPENED:
            return self._open(filing, said)
        if not self.keys:
            return refusal("draw-order")
        if not _signed_by(self.keys[party], filing):
            return refusal("draw-signature")
        if party != 0 and declared in (ENTERED, CLOSED, DONE):
            return refusal("draw-party")
        if declared is SHARED:
            self.shared.add(party)
            return None
        if declared is ENTERED:
            return self._enter(said)
        if declared is CLOSED:
            return self._close(filing.minute, said, leaf_hash)
        if declared is SHARE:
            return self._reveal(filing.minute, said, party)
        return self._end(said)

    def _open(self, filing: Filing, said: Mapping[str, str]) -> Refusal | None:
        keys = tuple(bytes.fromhex(said[f"key-{party}"]) for party in range(PARTIES))
        if self.keys:
            return refusal("draw-order")
        if len(set(keys)) < PARTIES:
            return refusal("draw-party")
        if said["party"] != "0" or not _signed_by(keys[0], filing):
            return refusal("draw-signature")
        if int(said["closes"]) <= filing.minute:
            return refusal("draw-time")
        self.places, self.closes, self.keys = int(said["places"]), int(said["closes"]), keys
        for giver in range(PARTIES):
            for holder in HOLDERS[giver]:
                self.hashes[giver, holder] = said[f"share-{giver}-{holder}"]
        return None

    def _enter(self, said: Mapping[str, str]) -> Refusal | None:
        if len(self.shared) < PARTIES:
            return refusal("draw-order")
        if self.closed is not None:
            return refusal("draw-closed")
        if said["person"] in self.entries:
            return refusal("draw-entered")
        if len(self.entries) >= DRAW_ENTRIES_MAX:
            return refusal("draw-full")
        self.entries[said["person"]] = Entry(said["person"], said["order"] == "first")
        return None

    def _close(self, minute: int, said: Mapping[str, str], leaf_hash: bytes) -> Refusal | None:
        if self.closed is not None or len(self.shared) < PARTIES:
            return refusal("draw-order")
        if minute < self.closes:
            return refusal("draw-time")
        if int(said["count"]) != len(self.entries) or said["entries"] != entries_digest(
            self.entries.values()
        ):
            return refusal("draw-entries")
        self.closed, self.closing = minute, leaf_hash
        return None

    def _reveal(self, minute: int, said: Mapping[str, str], party: int) -> Refusal | None:
        pair, share = (int(said["giver"]), int(said["holder"])), bytes.fromhex(said["share"])
        if self.closed is None:
            return refusal("draw-order")
        if party not in pair or pair not in self.hashes:
            return refusal("draw-party")
        if share_hash(self.stream, self.name, pair, share) != self.hashes[pair]:
            return refusal("draw-share")
        if pair in self.shares:
            return None
        if party != pair[0]:
            if minute < self.closed + REVEAL_MINUTES:
                return refusal("draw-time")
            self.helped.add(pair[0])
        self.shares[pair] = share
        return None

    def _end(self, said: Mapping[str, str]) -> Refusal | None:
        if self.done or not self.ready:
            return refusal("draw-order")
        if said["seed"] != self.seed or said["outcome"] != order_digest(self.order):
            return refusal("draw-outcome")
        self.done = True
        return None


def _signed_by(key: bytes, filing: Filing) -> bool:
    statement = _Said(filing.type, filing.stream, filing.key, filing.public[:-1]).statement()
    return verify(key, statement, bytes.fromhex(filing.public[-1].value))


def recompute(
    stream: str, name: str, leaves: Iterable[tuple[Filing, bytes]]
) -> tuple[Draw, tuple[tuple[int, Refusal], ...]]:
    """The draw of this name among these leaves (with their hashes, in the order of the log), and which of its leaves,
    counted from 0, cannot stand where they do."""
    draw = Draw(stream, name)
    faults: list[tuple[int, Refusal]] = []
    for i, (filing, leaf_hash) in enumerate(leaves):
        named = bool(filing.public) and filing.public[0] == Field("draw", name)
        if filing.type in DRAW_TYPES and named and filing.stream == stream:
            why = draw.take(filing, leaf_hash)
            if why is not None:
                faults.append((i, why))
    return draw, tuple(faults)
