"""Who may read what is sealed with an entry: whoever has the key of the filing, and the officials who deal with it.

Reading is asked for by a signature, good for some minutes. What is given is still locked: only the holder of an
office's sealing key, or of the case's reply key, opens it. So whoever overhears a signature has nothing to read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from p2pworld.civic.transaction import Filing
from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import Refusal, RemoteError
from p2pworld.grants import covers, verify_chain
from p2pworld.limits import CIVIC_CLOCK_MINUTES, CIVIC_PAPER_BYTES_MAX
from p2pworld.messages.fields import U32, U53, Key, Size
from p2pworld.services.case_log import read_act
from p2pworld.services.declaration import Service
from p2pworld.services.officials import acts_as, read_grants
from p2pworld.services.reasons import refusal
from p2pworld.wire.codec import Canonical

if TYPE_CHECKING:
    from p2pworld.grants import Grant, Voids

__all__ = ["Reading", "Right", "about_of", "ask_to_read", "parse_reading", "why_not"]

_NAME: Final = b"p2pworld civic read v1\n"
_MINUTE_MS: Final = 60_000
_OFFICIAL: Final = "official"  # the role for what belongs to no service


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is signed."""

    stream: Annotated[str, Size(1, 80)]
    index: U53
    key: Key
    minute: U32


_ASKED: Final = Canonical(_Asked)


@dataclass(frozen=True, slots=True)
class Reading:
    """`key` asks for what is sealed with entry `index` of `stream`; `grants` is what an official shows."""

    stream: str
    index: int
    key: bytes
    minute: int
    sig: bytes = b""
    grants: str = ""

    def statement(self) -> bytes:
        """The bytes that are signed."""
        return _NAME + _ASKED.pack(_Asked(self.stream, self.index, self.key, self.minute))

    def to_json(self) -> bytes:
        """The body of the request."""
        said: dict[str, object] = {"key": self.key.hex(), "minute": self.minute, "sig": self.sig.hex()}
        return json.dumps(said | ({"grants": self.grants} if self.grants else {})).encode()


def ask_to_read(reader: Signer, stream: str, index: int, minute: int, grants: str = "") -> Reading:
    """The signed request."""
    asked = Reading(stream, index, reader.public, minute, grants=grants)
    return Reading(stream, index, reader.public, minute, reader.sign(asked.statement()), grants)


def parse_reading(stream: str, index: int, body: bytes) -> Reading:
    """The request in the body of a POST, nothing of it verified.

    Raises:
        RemoteError: it is none (`read-malformed`).
    """
    try:
        said = json.loads(body)
        key, sig = bytes.fromhex(said["key"]), bytes.fromhex(said["sig"])
        minute, grants = said["minute"], said.get("grants", "")
        asked = Reading(stream, index, key, minute, sig, grants)
        if type(minute) is not int or type(grants) is not str or len(grants) > CIVIC_PAPER_BYTES_MAX:
            raise ValueError
        if len(key) != 32 or len(sig) != 64 or not 0 <= minute < 2**32:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RemoteError("read-malformed", "this asks for nothing that could be read") from None
    return asked


def about_of(filing: Filing) -> int | None:
    """The entry of the case that a filing is an act on, if it is one."""
    act = read_act(filing)
    return act.entry if act is not None else None


@dataclass(frozen=True, slots=True)
class Right:
    """Whom an entry belongs to: the filing of its case (itself, if it is no act), the service, and the streams whose
    officials deal with it."""

    entry: Filing
    about: Filing
    service: Service | None
    offices: tuple[str, ...]


def why_not(
    asked: Reading, right: Right, now_minute: int, roots: frozenset[bytes], voids: Voids | None
) -> Refusal | None:
    """Why this is not given to who asks, or None."""
    if abs(now_minute - asked.minute) > CIVIC_CLOCK_MINUTES:
        return Refusal("civic-clock", "the clock of the device is wrong by ten minutes or more")
    if not verify(asked.key, asked.statement(), asked.sig):
        return Refusal("civic-signature", "whoever is said to ask for this did not sign that")
    if asked.key in (right.entry.key, right.about.key):
        return None
    chain = read_grants(asked.grants.encode())
    if not any(_deals_with(right.service, office, chain) for office in right.offices):
        return refusal("forbidden")
    role = chain[-1].role
    why = verify_chain(chain, roots, asked.key, role, asked.minute * _MINUTE_MS, voids=voids)
    return Refusal("forbidden", f"these grants do not allow it: {why.sentence}") if why else None


def _deals_with(service: Service | None, office: str, chain: tuple[Grant, ...]) -> bool:
    if service is not None:
        return bool(acts_as(service, office, chain))
    return (
        bool(chain)
        and chain[-1].role == _OFFICIAL
        and any(covers(part, f"streams:{office}") for part in chain[-1].scope)
    )
