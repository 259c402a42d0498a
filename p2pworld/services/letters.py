"""What office and citizen write to each other about a case: the filing of an act, sealed where there are words to it.

An act without words is a `case-act`, and all of it is public; one with words is a `case-letter`, whose words are sealed
for the office that deals with the case and for the citizen's reply key. That key is made of the secrets of the filing,
so whoever kept those reads every answer; its public half lies sealed with the filing.

Who passes a case on to another office writes that one a letter with the keys of all that was sealed in the case so
far (`keys_text`). So the other office reads what was filed, with the citizen's own signature over it, and nothing is
copied: what is erased later is gone for both.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.civic.transaction import Field, Filing, Paper, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, RemoteError
from p2pworld.grants import grant_to_text
from p2pworld.limits import CIVIC_TEXT_MAX
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields
from p2pworld.services.workflow import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.civic.transaction import Secrets
    from p2pworld.messages.fields import Grant

__all__ = [
    "KEYS",
    "LANGUAGE",
    "REPLY_KEY",
    "TEXT",
    "Intent",
    "file_act",
    "file_letter",
    "grants_paper",
    "keys_of",
    "keys_text",
    "reply_key_of",
    "reply_secret",
]

REPLY_KEY: Final = "reply-key"
TEXT: Final = "text"
LANGUAGE: Final = "language"
KEYS: Final = "keys"
_REPLY_NAME: Final = b"p2pworld case reply v1\n"
_KEY: Final = re.compile(r"(0|[1-9][0-9]{0,14}) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be done with entry `entry` of `stream`, by somebody who knows of `seen` acts on it."""

    stream: str
    entry: int
    seen: int
    action: Action
    amount: int = 0

    def act(self, key: bytes) -> CaseAct:
        """What is signed, where the filing of it has this key."""
        return CaseAct(self.stream, self.entry, self.seen, self.action.value, self.amount, key)


def reply_secret(seed: bytes) -> bytes:
    """The secret that opens letters to who filed with the secrets of this seed."""
    return hashlib.sha256(_REPLY_NAME + seed).digest()


def reply_key_of(private: Mapping[str, str]) -> bytes | None:
    """The key that letters to a citizen are sealed for, of what was sealed with the filing; None: there is none."""
    try:
        key = bytes.fromhex(private.get(REPLY_KEY, ""))
    except ValueError:
        return None
    return key if len(key) == 32 else None


def file_act(intent: Intent, minute: int, actor: Signer, seed: bytes) -> Submission:
    """The submission of an act without words; `seed` is 32 random bytes, fresh for it.

    Raises:
        LocalError: a stream, entry, minute or seed that cannot be.
    """
    signer, declared = Signer.from_seed(seed), CASE_TYPES["case-act"]
    said = act_fields(intent.act(signer.public), actor)
    public = tuple(Field(rule.name, said[rule.name]) for rule in declared.public)
    filing = Filing(declared.name, intent.stream, signer.public, minute, public)
    return Submission(filing, signer.sign(filing.statement()))


def file_letter(
    intent: Intent,
    minute: int,
    actor: Signer,
    identity: Signer,
    private: Mapping[str, str],
    readers: Iterable[bytes],
    secrets: Secrets,
) -> Submission:
    """The submission of an act with words, which the holders of these sealing keys read.

    `actor` is who acts: the filing's own key, or an official's; `identity` is the person's, an official's again theirs.

    Raises:
        LocalError: more words than can be sealed, or readers of whom one has no key.
    """
    key = Signer.from_seed(secrets.seed).public
    public = act_fields(intent.act(key), actor)
    declared = CASE_TYPES["case-letter"]
    return file_transaction(declared, intent.stream, minute, public, private, identity, readers, secrets)


def grants_paper(grants: Iterable[Grant]) -> Paper:
    """What an official shows beside an act: the chain that lets them, a grant a line, the root's first."""
    return Paper("grants", "\n".join(map(grant_to_text, grants)).encode())


def keys_text(keys: Mapping[int, bytes]) -> str:
    """The keys of what is sealed with these entries, as they are passed on.

    Raises:
        LocalError: they are too many for one letter.
    """
    text = "\n".join(f"{entry} {key.hex()}" for entry, key in sorted(keys.items()))
    if len(text) > CIVIC_TEXT_MAX:
        raise LocalError(f"{len(keys)} sealed letters cannot be passed on at once: answer this one here")
    return text


def keys_of(text: str) -> dict[int, bytes]:
    """The keys that were passed on in a letter, by the entry that each opens.

    Raises:
        RemoteError: it passes on none (`case-keys`).
    """
    found: dict[int, bytes] = {}
    for line in text.splitlines():
        match = _KEY.fullmatch(line)
        if match is None:
            raise RemoteError("case-keys", "this letter passes on what is no key of an entry")
        found[int(match[1])] = bytes.fromhex(match[2])
    return found
