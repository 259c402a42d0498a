"""A person's own keys: one root that can be written down in nine words, and a key of each device, signed by it.

The root signs nothing but devices. A filing is signed by the device it was written on, whose `Device` lies beside it in
what is sealed; so an office sees that two devices are one person's, and nobody else sees anything. Whoever loses a
device brings back the root by its words and signs a `Lost`. A device's seed is made on it and never leaves it.

The root is made of 16 random bytes. Each word is 16 bits of them as five letters that can be read aloud (consonants and
vowels in turn, as Wilkerson's proquints), and the ninth says whether the eight before it were heard right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, replace
from typing import Annotated, Final, TypeVar

from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import LocalError, RemoteError
from p2pworld.messages.fields import U16, U32, Key, Signature, Size
from p2pworld.wire.codec import Canonical, unpack_map

__all__ = [
    "DEVICE_PROOF",
    "ENTROPY_BYTES",
    "IDENTITY_VERSION",
    "RECOVERY_WORDS",
    "Device",
    "Lost",
    "entropy_of",
    "parse_device",
    "parse_lost",
    "root_of",
    "sign_device",
    "sign_lost",
    "words_of",
]

T = TypeVar("T", "Device", "Lost")

IDENTITY_VERSION: Final = 1
DEVICE_PROOF: Final = "device-proof"  # the sealed field of a filing that holds the root's word for its device
ENTROPY_BYTES: Final = 16
RECOVERY_WORDS: Final = ENTROPY_BYTES // 2 + 1
_CONSONANTS: Final = "bdfghjklmnprstvz"
_VOWELS: Final = "aiou"
_WORD: Final = re.compile(rf"[{_CONSONANTS}]([{_VOWELS}][{_CONSONANTS}]){{2}}")
_SHIFTS: Final = ((12, _CONSONANTS), (10, _VOWELS), (6, _CONSONANTS), (4, _VOWELS), (0, _CONSONANTS))
_ROOT_NAME: Final = b"p2pworld root v1\n"
_RECOVERY_NAME: Final = b"p2pworld recovery v1\n"
_DEVICE_NAME: Final = b"p2pworld device v1\n"
_LOST_NAME: Final = b"p2pworld device lost v1\n"
_TEXT_MAX: Final = 600  # characters of a Device: two keys, a signature and a label of 40 are 330 bytes


# ---- the root


def root_of(entropy: bytes) -> Signer:
    """The root key of these 16 random bytes.

    Raises:
        LocalError: not 16 bytes.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise LocalError(f"a root is made of {ENTROPY_BYTES} bytes, not {len(entropy)}")
    return Signer.from_seed(hashlib.sha256(_ROOT_NAME + entropy).digest())


def words_of(entropy: bytes) -> str:
    """The nine words to be written down."""
    data = entropy + _checksum(entropy)
    return " ".join(_word(int.from_bytes(data[at : at + 2], "big")) for at in range(0, len(data), 2))


def entropy_of(text: str) -> bytes:
    """What nine words say, however they are parted.

    Raises:
        LocalError: a word that is none, too few or too many, or one that was heard or written wrong.
    """
    words = re.findall(r"[^\s,.;-]+", text.lower())
    if len(words) != RECOVERY_WORDS:
        raise LocalError(f"these are {len(words)} words, where there are {RECOVERY_WORDS}")
    for place, word in enumerate(words, 1):
        if not _WORD.fullmatch(word):
            raise LocalError(f"word {place} ({word[:20]}) is none of a recovery: each has five letters")
    data = b"".join(_bits(word).to_bytes(2, "big") for word in words)
    entropy, checksum = data[:ENTROPY_BYTES], data[ENTROPY_BYTES:]
    if checksum != _checksum(entropy):
        raise LocalError("one of these words is another one, or two changed places: look again")
    return entropy


def _checksum(entropy: bytes) -> bytes:
    return hashlib.sha256(_RECOVERY_NAME + entropy).digest()[:2]


def _word(bits: int) -> str:
    return "".join(letters[bits >> shift & len(letters) - 1] for shift, letters in _SHIFTS)


def _bits(word: str) -> int:
    return sum(letters.index(letter) << shift for letter, (shift, letters) in zip(word, _SHIFTS, strict=True))


# ---- its devices


@dataclass(frozen=True, slots=True)
class Device:
    """`root` says since `minute`: this key is one of my devices, which I call `label`."""

    v: U16
    root: Key
    device: Key
    label: Annotated[str, Size(0, 40)]
    minute: U32
    sig: Signature

    def statement(self) -> bytes:
        """The bytes that the root signs."""
        return _DEVICE_NAME + _DEVICE.pack(replace(self, sig=bytes(64)))

    def to_text(self) -> str:
        """One line of base64url."""
        return _text(_DEVICE.pack(self))


@dataclass(frozen=True, slots=True)
class Lost:
    """`root` says: since `minute` this key is no device of mine."""

    v: U16
    root: Key
    device: Key
    minute: U32
    sig: Signature

    def statement(self) -> bytes:
        """The bytes that the root signs."""
        return _LOST_NAME + _LOST.pack(replace(self, sig=bytes(64)))

    def to_text(self) -> str:
        """One line of base64url."""
        return _text(_LOST.pack(self))


_DEVICE: Final = Canonical(Device)
_LOST: Final = Canonical(Lost)


def sign_device(root: Signer, device: bytes, label: str, minute: int) -> Device:
    """The root's word for a device.

    Raises:
        LocalError: no key, or a label that is too long.
    """
    unsigned = Device(IDENTITY_VERSION, root.public, device, label, minute, bytes(64))
    return replace(unsigned, sig=root.sign(unsigned.statement()))


def sign_lost(root: Signer, device: bytes, minute: int) -> Lost:
    """The root's word that a device is lost.

    Raises:
        LocalError: no key.
    """
    unsigned = Lost(IDENTITY_VERSION, root.public, device, minute, bytes(64))
    return replace(unsigned, sig=root.sign(unsigned.statement()))


def parse_device(text: str) -> Device:
    """The root's word in this line.

    Raises:
        RemoteError: it is none, or the root did not sign it (`device-text`, `device-signature`).
    """
    return _read(_DEVICE, text)


def parse_lost(text: str) -> Lost:
    """As `parse_device`, that a device is lost."""
    return _read(_LOST, text)


def _read(schema: Canonical[T], text: str) -> T:
    line = text.strip()
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{_TEXT_MAX}}}", line):
        raise RemoteError("device-text", "this line says nothing of a device")
    try:
        data = base64.urlsafe_b64decode(line + "=" * (-len(line) % 4))
        read = schema.read(unpack_map(data))
    except (binascii.Error, RemoteError):
        raise RemoteError("device-text", "this line says nothing of a device") from None
    if read.v != IDENTITY_VERSION or _text(schema.pack(read)) != line:
        raise RemoteError("device-text", "this line is of another version, or not as it is written")
    if not verify(read.root, read.statement(), read.sig):
        raise RemoteError("device-signature", "the root that this line names did not sign it")
    return read


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
