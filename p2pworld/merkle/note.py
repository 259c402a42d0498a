"""Signed notes (C2SP signed-note): a text that people can read, and the lines under it that say who signed it.

A key has a name, one algorithm and 32 public bytes; the first four bytes of their hash, its id, stand with the name in
every signature, so that a reader knows which of its keys is meant. Two algorithms are spoken: Ed25519 over the text,
and a witness's cosignature (C2SP tlog-cosignature), Ed25519 over the text and a time.

Reading is strict: there is one way to write a note, and whatever differs from it is refused with a reason. A signature
by a key that the reader does not know is kept and means nothing; one by a known key that does not verify spoils the
whole note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import KEY_NAME_BYTES_MAX, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "TIME_S_MAX",
    "Note",
    "NoteSignature",
    "NoteSigner",
    "Verified",
    "VerifierKey",
    "decode_base64",
    "is_key_name",
    "parse_note",
    "parse_signature_lines",
    "verify_note",
]

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
TIME_S_MAX: Final = 2**63 - 1

_KEY_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_DASH: Final = "— "
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_NO_NAME = re.compile(r"[\s+\x00-\x1f\ud800-\udfff]")  # spaces are Unicode's
_KEY_TEXT = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


def decode_base64(text: str) -> bytes | None:
    """The bytes that are written exactly so in standard base64 with padding, or None."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def is_key_name(name: str) -> bool:
    """Whether a key may be called so: something, without any space or plus, and not too long."""
    return not _NO_NAME.search(name) and 0 < len(name.encode()) <= KEY_NAME_BYTES_MAX


def _key_id(name: str, algorithm: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes((algorithm,)) + public).digest()[:_KEY_ID_BYTES]


def _message(algorithm: int, text: bytes, time_s: int) -> bytes:
    """What is signed: the text, for a cosignature behind what it is and when."""
    return text if algorithm == ED25519 else b"cosignature/v1\ntime %d\n" % time_s + text


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that notes are checked with; `text` is how it is published.

    Raises:
        LocalError: a name, an algorithm or a key that cannot be.
    """

    name: str
    public: bytes
    algorithm: int = ED25519
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise LocalError("a key's name is 1 to 255 bytes without spaces and plus")
        if self.algorithm not in (ED25519, COSIGNATURE) or len(self.public) != 32:
            raise LocalError("a note's key is 32 bytes for Ed25519 (1) or for cosignatures (4)")
        object.__setattr__(self, "key_id", _key_id(self.name, self.algorithm, self.public))

    @property
    def text(self) -> str:
        """`name+id+base64`, as other programs read it."""
        key = base64.b64encode(bytes((self.algorithm,)) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key that is published as `text`.

        Raises:
            RemoteError: it is none, of another algorithm, or its id is wrong (`note-key`).
        """
        key = _read_key(cls, text)
        if key is None or key.text != text:
            raise RemoteError(
                "note-key", "this is no key of a note: name+id+base64, for Ed25519 or cosignatures"
            )
        return key

    def verify(self, text: bytes, signature: NoteSignature) -> Verified | None:
        """What this key states by `signature` under `text`, or None if it is not its signature."""
        blob, time_s = signature.signature, 0
        if self.algorithm == COSIGNATURE:
            time_s, blob = int.from_bytes(blob[:_TIME_BYTES], "big"), blob[_TIME_BYTES:]
        if (signature.name, signature.key_id) != (self.name, self.key_id) or time_s > TIME_S_MAX:
            return None
        if not verify(self.public, _message(self.algorithm, text, time_s), blob):
            return None
        return Verified(self, signature, time_s)


def _read_key(cls: type[VerifierKey], text: str) -> VerifierKey | None:
    match = _KEY_TEXT.fullmatch(text)
    data = decode_base64(match.group(3)) if match else None
    if not match or not data or not is_key_name(match.group(1)):
        return None
    if data[0] not in (ED25519, COSIGNATURE) or len(data) != 33:
        return None
    return cls(match.group(1), data[1:], data[0])


class NoteSigner:
    """Signs notes under one name; `text` holds the secret, in the form that other programs read."""

    __slots__ = ("key", "signer")

    def __init__(self, name: str, signer: Signer, algorithm: int = ED25519) -> None:
        self.signer = signer
        self.key = VerifierKey(name, signer.public, algorithm)

    @property
    def text(self) -> str:
        """`PRIVATE+KEY+name+id+base64`."""
        secret = base64.b64encode(bytes((self.key.algorithm,)) + self.signer.seed).decode()
        return f"PRIVATE+KEY+{self.key.name}+{self.key.key_id.hex()}+{secret}"

    @classmethod
    def parse(cls, text: str) -> NoteSigner:
        """The signer that `text` is the secret of.

        Raises:
            LocalError: it is none.
        """
        # the seed stands where a public key does elsewhere; only the id tells whether they belong together
        seed = _read_key(VerifierKey, text.removeprefix("PRIVATE+KEY+"))
        if seed is not None:
            signer = cls(seed.name, Signer.from_seed(seed.public), seed.algorithm)
            if signer.text == text:
                return signer
        raise LocalError("this is no secret key of a note: PRIVATE+KEY+name+id+base64")

    def sign(self, text: str, time_s: int = 0) -> NoteSignature:
        """The signature under `text`; a cosignature says that it was made at `time_s` (Unix seconds).

        Raises:
            LocalError: a time that cannot be written.
        """
        if not 0 <= time_s <= TIME_S_MAX:
            raise LocalError(f"a cosignature cannot be of second {time_s}")
        blob = self.signer.sign(_message(self.key.algorithm, text.encode(), time_s))
        if self.key.algorithm == COSIGNATURE:
            blob = time_s.to_bytes(_TIME_BYTES, "big") + blob
        return NoteSignature(self.key.name, self.key.key_id, blob)

    def __repr__(self) -> str:
        return f"NoteSigner({self.key.text})"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line under a note: whose it claims to be, and the bytes."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line, with its end."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that is its key's; `time_s` is when a witness says it made it, else 0."""

    key: VerifierKey
    signature: NoteSignature
    time_s: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends with a line's end, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent."""
        return f"{self.text}\n{''.join(signature.line for signature in self.signatures)}".encode()

    def signed(self, signatures: Iterable[NoteSignature]) -> Note:
        """The note with these signatures too; a newer one of the same key takes the older one's place."""
        held = {(signature.name, signature.key_id): signature for signature in self.signatures}
        held |= {(signature.name, signature.key_id): signature for signature in signatures}
        return Note(self.text, tuple(held.values()))


def parse_note(data: bytes) -> Note:
    """The note in these bytes, nothing of it verified.

    Raises:
        RemoteError: too long (`note-size`), not UTF-8 (`note-utf8`), a control character (`note-control`), no text
            and signatures with an empty line between (`note-form`), too many signatures (`note-signatures`), one that
            cannot be read (`note-line`), or two of one key (`note-duplicate`).
    """
    if len(data) > NOTE_BYTES_MAX:
        raise RemoteError("note-size", f"a note of {len(data)} bytes, where {NOTE_BYTES_MAX} are allowed")
    text, _, lines = _decode(data).rpartition("\n\n")
    if not text:
        raise RemoteError("note-form", "a note is a text, an empty line and signatures")
    return Note(f"{text}\n", _read_lines(lines))


def parse_signature_lines(data: bytes) -> tuple[NoteSignature, ...]:
    """The signatures of these lines alone, as a witness answers.

    Raises:
        RemoteError: as for `parse_note`.
    """
    if len(data) > NOTE_BYTES_MAX:
        raise RemoteError("note-size", f"signatures of {len(data)} bytes, where {NOTE_BYTES_MAX} are allowed")
    return _read_lines(_decode(data))


def _decode(data: bytes) -> str:
    if _CONTROL.search(data):
        raise RemoteError("note-control", "a note has no control characters but line ends")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RemoteError("note-utf8", "a note is UTF-8") from None


def _read_lines(text: str) -> tuple[NoteSignature, ...]:
    lines = text.split("\n")
    if len(lines) < 2 or lines.pop():
        raise RemoteError("note-form", "a note ends with at least one signature and its line's end")
    if len(lines) > NOTE_SIGNATURES_MAX:
        raise RemoteError(
            "note-signatures", f"{len(lines)} signatures, where {NOTE_SIGNATURES_MAX} are allowed"
        )
    signatures = tuple(map(_read_line, lines))
    if len({(signature.name, signature.key_id) for signature in signatures}) < len(signatures):
        raise RemoteError("note-duplicate", "two signatures of one key")
    return signatures


def _read_line(line: str) -> NoteSignature:
    name, _, blob = line.removeprefix(_DASH).partition(" ")
    data = decode_base64(blob)
    if not line.startswith(_DASH) or not is_key_name(name) or data is None or len(data) <= _KEY_ID_BYTES:
        raise RemoteError("note-line", "a signature is a dash, a key's name and base64, one space between")
    return NoteSignature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> tuple[Verified, ...]:
    """What these keys state under the note: at least one of them signed it, and none of its signatures is false.

    Raises:
        RemoteError: a known key's signature does not verify (`note-signature`), or there is none (`note-unsigned`).
    """
    known = {(key.name, key.key_id): key for key in keys}
    text, found = note.text.encode(), []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        verified = key.verify(text, signature)
        if verified is None:
            raise RemoteError("note-signature", f"the signature of {key.name} is not of this text")
        found.append(verified)
    if not found:
        raise RemoteError("note-unsigned", "no key that is known here has signed this note")
    return tuple(found)
