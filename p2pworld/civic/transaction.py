"""A civic transaction: what is filed, what of it everybody may read, and what only the office can.

The citizen's device makes a key for this one transaction and signs with it a `Filing`: type, stream, the minute, the
fields that the type declares public, and the hash of a nonce, a locked blob and its wraps. Filing, signature and the
holder's epoch are the log's leaf, and public for ever. In the blob are the person's identity, the text, and the
identity's signature over all of it; the blob is locked under a random key, and that is wrapped (sealed) for the office.
Without the nonce and that key (erasure destroys both) nothing connects the leaf with a person or a text, and the log
still verifies. An office that changes its key wraps anew; the hash of the wraps as filed stays beside them, so that
what was signed can be checked as long as anything is kept (decision 0013).

A transaction is known by its stream and its key. Whoever sends the same again is told the same again; another content
under the same key is refused.

Whatever is signed or hashed begins with its own name, and is the canonical msgpack that HELLOs are signed in: there is
one way to write it, and whatever reads otherwise is refused (decision 0011).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from p2pworld.civic.via import GATEWAY, gateway_statement, signed_by_gateway
from p2pworld.crypto.keys import Signer, verify
from p2pworld.crypto.seal import OVERHEAD_BYTES, lock, seal, seal_with, sealing_public, unlock, unseal
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.limits import (
    CIVIC_CLOCK_MINUTES,
    CIVIC_LEAF_BYTES_MAX,
    CIVIC_PAPER_BYTES_MAX,
    CIVIC_PAPERS_MAX,
    CIVIC_SEALED_BYTES_MAX,
    CIVIC_SUBMISSION_BYTES_MAX,
    CIVIC_TEXT_MAX,
)
from p2pworld.messages.fields import U16, U32, U53, Code, Key, Nonce, Signature, Size
from p2pworld.wire.codec import Canonical, unpack_map

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = [
    "LEAF_VERSION",
    "SUGGESTION",
    "Field",
    "FieldRule",
    "Filing",
    "Leaf",
    "Paper",
    "Private",
    "Sealed",
    "Secrets",
    "Submission",
    "TransactionType",
    "Wrap",
    "blob_key",
    "check_submission",
    "file_transaction",
    "is_of_now",
    "open_locked",
    "open_sealed",
    "parse_leaf",
    "parse_sealed",
    "parse_submission",
    "rewrap",
    "verify_filing",
    "wraps_hash",
]

LEAF_VERSION: Final = 1
_FILING_NAME: Final = b"p2pworld civic filing v1\n"
_IDENTITY_NAME: Final = b"p2pworld civic identity v1\n"
_SEALED_NAME: Final = b"p2pworld civic sealed v2\n"
_WRAPS_NAME: Final = b"p2pworld civic wraps v1\n"
_WRAP_NAME: Final = b"p2pworld civic wrap v1\n"
_SECRETS: Final = re.compile(r"seed ([0-9a-f]{64})\s+blob_key ([0-9a-f]{64})\s+nonce ([0-9a-f]{64})")


# ---- what it is made of


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is said, as text; the type of the transaction says what it may look like."""

    name: Code
    value: Annotated[str, Size(0, CIVIC_TEXT_MAX)]


Fields = Annotated[tuple[Field, ...], Size(0, 32)]


class _Stated:
    """A place beside the fields for the bytes that were made of them."""

    __slots__ = ("_statement",)
    _statement: bytes


@dataclass(frozen=True, slots=True)
class Filing(_Stated):
    """What the transaction's own key signs. `minute` is of Unix time; `via` is a gateway's key where one signed for
    somebody who could not, and its signature is then the last of the public fields; `sealed` is empty where nothing is.
    """

    type: Code
    stream: Annotated[str, Size(1, 80)]
    key: Key
    minute: U32
    public: Fields = ()
    sealed: Annotated[bytes, Size(0, 32)] = b""
    via: Annotated[bytes, Size(0, 32)] = b""

    def statement(self) -> bytes:
        """The bytes that are signed; made once, because who takes a filing verifies it by them and then names it."""
        try:
            return self._statement
        except AttributeError:
            object.__setattr__(self, "_statement", _FILING_NAME + _FILING.pack(self))
            return self._statement

    @property
    def fields(self) -> Fields:
        """The public fields of the type: all but a gateway's signature."""
        return self.public[:-1] if self.via else self.public


@dataclass(frozen=True, slots=True)
class Leaf:
    """A filing as it stands in the log, with the epoch of the holder that took it."""

    v: U16
    epoch: U53
    filing: Filing
    sig: Signature

    def to_bytes(self) -> bytes:
        """The entry of the log.

        Raises:
            LocalError: too long.
        """
        data = _LEAF.pack(self)
        if len(data) > CIVIC_LEAF_BYTES_MAX:
            raise LocalError(f"a leaf of {len(data)} bytes, where {CIVIC_LEAF_BYTES_MAX} are allowed")
        return data


@dataclass(frozen=True, slots=True)
class Wrap:
    """The blob's key, sealed for the holder of `office`."""

    office: Key
    key: Annotated[bytes, Size(32 + OVERHEAD_BYTES, 32 + OVERHEAD_BYTES)]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is kept beside the log, and destroyed by erasure. `filed` is the hash of the wraps as they were filed."""

    nonce: Nonce
    blob: Annotated[bytes, Size(1, CIVIC_SEALED_BYTES_MAX)]
    wraps: Annotated[tuple[Wrap, ...], Size(1, 8)]
    filed: Annotated[bytes, Size(32, 32)]

    @property
    def commitment(self) -> bytes:
        """The hash by which a leaf stands for this; without the nonce nobody can try out what the blob was."""
        return hashlib.sha256(
            _SEALED_NAME + self.nonce + hashlib.sha256(self.blob).digest() + self.filed
        ).digest()

    def to_bytes(self) -> bytes:
        """What is sealed, as a store keeps it."""
        return _SEALED.pack(self)


@dataclass(frozen=True, slots=True)
class Private:
    """What is in the blob: who files, what only the office reads, and that person's signature over everything."""

    identity: Key
    fields: Fields
    sig: Signature


@dataclass(frozen=True, slots=True)
class Paper:
    """What is shown beside a filing to whoever decides about it: a claim about a person, an official's grants, the
    names of files. It is in no leaf, and the same filing with other papers is the same filing."""

    kind: Code
    data: Annotated[bytes, Size(1, CIVIC_PAPER_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class Submission:
    """What is sent to a node."""

    filing: Filing
    sig: Signature
    sealed: Sealed | None = None
    papers: Annotated[tuple[Paper, ...], Size(1, CIVIC_PAPERS_MAX)] | None = None

    def paper(self, kind: str) -> bytes | None:
        """What the first paper of this kind says."""
        return next((paper.data for paper in self.papers or () if paper.kind == kind), None)

    @property
    def fingerprint(self) -> bytes:
        """What tells a retry (the same) from another content under the same key."""
        return hashlib.sha256(self.filing.statement() + self.sig).digest()

    @property
    def as_filed(self) -> bool:
        """Whether what is sealed, its wraps too, is what the filing was signed for; nothing is, where nothing was."""
        sealed = self.sealed
        if sealed is None:
            return not self.filing.sealed
        return self.filing.sealed == sealed.commitment and sealed.filed == wraps_hash(sealed.wraps)

    def leaf(self, epoch: int) -> Leaf:
        """The leaf of this submission, taken in this epoch."""
        return Leaf(LEAF_VERSION, epoch, self.filing, self.sig)

    def to_bytes(self) -> bytes:
        """The submission as it travels."""
        return _SUBMISSION.pack(self)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the identity signs. The hash of the blob is not in it, because the blob holds this signature; nor is a
    gateway's, which is made over that hash."""

    filing: Filing
    fields: Fields

    def statement(self) -> bytes:
        said = replace(self.filing, sealed=b"", public=self.filing.fields)
        return _IDENTITY_NAME + _SAID.pack(replace(self, filing=said))


_FILING = Canonical(Filing)
_LEAF = Canonical(Leaf)
_PRIVATE = Canonical(Private)
_SEALED = Canonical(Sealed)
_SAID = Canonical(_Said)
_SUBMISSION = Canonical(Submission)


def wraps_hash(wraps: Iterable[Wrap]) -> bytes:
    """What stands for the wraps as they were filed; each is of one length, so they are hashed one after the other."""
    return hashlib.sha256(_WRAPS_NAME + b"".join(wrap.office + wrap.key for wrap in wraps)).digest()


# ---- reading


def parse_leaf(entry: bytes) -> Leaf:
    """The leaf in an entry of a log, its signature not verified.

    Raises:
        RemoteError: too long (`leaf-size`), of another version (`leaf-version`), not the one way to write it
            (`leaf-canonical`), or malformed (`wire.codec`'s reasons).
    """
    if len(entry) > CIVIC_LEAF_BYTES_MAX:
        raise RemoteError(
            "leaf-size", f"a leaf of {len(entry)} bytes, where {CIVIC_LEAF_BYTES_MAX} are allowed"
        )
    fields = unpack_map(entry)
    if isinstance(fields, dict) and type(fields.get("v")) is int and fields["v"] != LEAF_VERSION:
        raise RemoteError("leaf-version", f"a leaf of version {fields['v']}, where {LEAF_VERSION} is known")
    leaf = _LEAF.read(fields)
    if leaf.to_bytes() != entry:
        raise RemoteError("leaf-canonical", "a leaf that is not written in the one way there is")
    return leaf


def parse_sealed(data: bytes) -> Sealed:
    """What a store has kept as `data`.

    Raises:
        RemoteError: malformed (`wire.codec`'s reasons).
    """
    return _SEALED.read(unpack_map(data))


def parse_submission(data: bytes) -> Submission:
    """The submission in these bytes, nothing of it verified.

    Raises:
        RemoteError: too long (`submission-size`), not the one way to write it (`submission-canonical`), or malformed
            (`wire.codec`'s reasons).
    """
    if len(data) > CIVIC_SUBMISSION_BYTES_MAX:
        sentence = f"a submission of {len(data)} bytes, where {CIVIC_SUBMISSION_BYTES_MAX} are allowed"
        raise RemoteError("submission-size", sentence)
    submission = _SUBMISSION.read(unpack_map(data))
    if submission.to_bytes() != data:
        raise RemoteError("submission-canonical", "a submission that is not written in the one way there is")
    return submission


def verify_filing(filing: Filing, sig: bytes) -> bool:
    """Whether the transaction's own key signed it."""
    return verify(filing.key, filing.statement(), sig)


# ---- what a type asks for


class FieldRule(NamedTuple):
    """A public field that must be there, and what all of its text must match."""

    name: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class TransactionType:
    """What may be filed under a name: exactly these public fields, in this order, and something sealed or nothing.

    `check` says of a filing that is right in all else why it is not taken, or None. `gateway`: one may sign for others.
    """

    name: str
    public: tuple[FieldRule, ...]
    sealed: bool
    check: Callable[[Filing], Refusal | None] | None = None
    gateway: bool = False

    def accepts(self, fields: Iterable[Field]) -> bool:
        """Whether these are the public fields of this type."""
        fields = tuple(fields)
        return len(fields) == len(self.public) and all(
            field.name == rule.name and rule.pattern.fullmatch(field.value) is not None
            for field, rule in zip(fields, self.public, strict=True)
        )


SUGGESTION: Final = TransactionType(
    "suggestion", (FieldRule("topic", re.compile(r"[a-z][a-z0-9-]{0,39}")),), sealed=True
)


def is_of_now(filing: Filing, now_minute: int) -> bool:
    """Whether it was filed about now. Only what is in the log already may come later, and is told its place again."""
    return abs(now_minute - filing.minute) <= CIVIC_CLOCK_MINUTES


def check_submission(
    submission: Submission,
    stream: str,
    types: Mapping[str, TransactionType],
    gateways: Collection[bytes] = frozenset(),
) -> Refusal | None:
    """Why the holder of `stream`, who knows these gateways, takes this at no time, or None.

    `civic-stream`, `civic-type`, `civic-field`, `civic-sealed`, `civic-signature`, or what the type's own check says.
    """
    filing = submission.filing
    if filing.stream != stream:
        return Refusal("civic-stream", f"this was filed for {filing.stream}, not for {stream}")
    declared = types.get(filing.type)
    if declared is None:
        return Refusal("civic-type", f"{filing.type} cannot be filed here")
    if not declared.accepts(filing.fields):
        return Refusal("civic-field", f"a public field is missing, unknown or not as {filing.type} has it")
    if filing.via and (not declared.gateway or filing.via not in gateways):
        return Refusal("civic-field", "this gateway is not known here, or this cannot be filed by one")
    if filing.via and not signed_by_gateway(filing):
        return Refusal("civic-signature", "the gateway that is said to have filed this did not sign it")
    if declared.sealed != (submission.sealed is not None) or not submission.as_filed:
        return Refusal("civic-sealed", "what is sealed is not what was signed for")
    if not verify_filing(filing, submission.sig):
        return Refusal("civic-signature", "this was not signed by the transaction's key, or was altered")
    return declared.check(filing) if declared.check else None


# ---- the citizen's side, and the office's


@dataclass(frozen=True, slots=True)
class Secrets:
    """96 random bytes, fresh for each transaction: its key's seed, the blob's key, the nonce.

    They make all of it: whoever files from the same secrets and fields files the same bytes.
    """

    seed: bytes
    blob_key: bytes
    nonce: bytes

    def __repr__(self) -> str:
        return "Secrets()"

    def to_text(self) -> str:
        """What is written into a file that keeps them."""
        return f"seed {self.seed.hex()}\nblob_key {self.blob_key.hex()}\nnonce {self.nonce.hex()}\n"

    @classmethod
    def from_text(cls, text: str) -> Secrets:
        """The secrets in such a file.

        Raises:
            LocalError: there are none.
        """
        found = _SECRETS.fullmatch(text.strip())
        if found is None:
            raise LocalError("these are no secrets of a transaction, as `p2pworld file` keeps them")
        return cls(*map(bytes.fromhex, found.groups()))


def file_transaction(
    declared: TransactionType,
    stream: str,
    minute: int,
    public: Mapping[str, str],
    private: Mapping[str, str],
    identity: Signer,
    offices: Iterable[bytes],
    secrets: Secrets,
    gateway: Signer | None = None,
) -> Submission:
    """The signed submission of a type with something sealed, readable to each of `offices` (sealing keys); `gateway`
    signs too if it files this for somebody.

    Raises:
        LocalError: fields that the type does not have, or something too long; secrets that are no 32 bytes each.
    """
    signer = Signer.from_seed(secrets.seed)
    fields = tuple(Field(rule.name, public[rule.name]) for rule in declared.public if rule.name in public)
    if not declared.sealed or len(fields) != len(public) or not declared.accepts(fields):
        raise LocalError(f"these are not the fields of {declared.name}")
    via = gateway.public if gateway else b""
    # the gateway's signature is last, and nothing yet
    blank = (Field(GATEWAY, ""),) if gateway else ()
    open_filing = Filing(declared.name, stream, signer.public, minute, (*fields, *blank), via=via)
    hidden = tuple(Field(name, value) for name, value in private.items())
    sig = identity.sign(_Said(open_filing, hidden).statement())
    blob = lock(secrets.blob_key, _PRIVATE.pack(Private(identity.public, hidden, sig)))
    if len(blob) > CIVIC_SEALED_BYTES_MAX:
        raise LocalError(f"{len(blob)} bytes to be sealed, where {CIVIC_SEALED_BYTES_MAX} are allowed")
    wraps = tuple(_wrap(office, secrets) for office in offices)
    sealed = Sealed(secrets.nonce, blob, wraps, wraps_hash(wraps))
    filing = replace(open_filing, sealed=sealed.commitment)
    if gateway is not None:
        signed = Field(GATEWAY, gateway.sign(gateway_statement(filing)).hex())
        filing = replace(filing, public=(*fields, signed))
    return Submission(filing, signer.sign(filing.statement()), sealed)


def _wrap(office: bytes, secrets: Secrets) -> Wrap:
    """The blob's key for this office, sealed with what no other office can make either."""
    ephemeral = hashlib.sha256(_WRAP_NAME + secrets.seed + secrets.blob_key + office).digest()
    return Wrap(office, seal_with(ephemeral, office, secrets.blob_key))


def open_sealed(filing: Filing, sealed: Sealed, office_secret: bytes) -> Private:
    """What the office reads, and that the person in it filed just this.

    Raises:
        RemoteError: as `open_locked`, or it is not for this office (`seal`).
    """
    return open_locked(filing, sealed, blob_key(sealed, office_secret))


def open_locked(filing: Filing, sealed: Sealed, key: bytes) -> Private:
    """The same for whoever was given the blob's own key.

    Raises:
        RemoteError: it is not the filing's (`civic-sealed`), not of this key or altered (`seal`), malformed, or not
            signed by the identity in it (`civic-identity`).
    """
    if filing.sealed != sealed.commitment:
        raise RemoteError("civic-sealed", "this is not what was filed")
    private = _PRIVATE.read(unpack_map(unlock(key, sealed.blob)))
    if not verify(private.identity, _Said(filing, private.fields).statement(), private.sig):
        raise RemoteError("civic-identity", "the person named in it did not sign this")
    return private


def rewrap(sealed: Sealed, office_secret: bytes, new_office: bytes) -> Sealed:
    """The same for the office's new key instead of its old one, whose secret is `office_secret`; as long as before.

    Raises:
        RemoteError: it is not for the old key (`seal`).
    """
    old = sealing_public(office_secret)
    new = Wrap(new_office, seal(new_office, blob_key(sealed, office_secret)))
    return replace(sealed, wraps=tuple(new if wrap.office == old else wrap for wrap in sealed.wraps))


def blob_key(sealed: Sealed, office_secret: bytes) -> bytes:
    """The key of the blob, for the office that has this secret.

    Raises:
        RemoteError: it is not for this office (`seal`).
    """
    office = sealing_public(office_secret)
    for wrap in sealed.wraps:
        if wrap.office == office:
            return unseal(office_secret, wrap.key)
    raise RemoteError("seal", "this was not sealed for this office")
