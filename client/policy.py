"""Whom a reader of logs trusts: the keys of logs, the keys of witnesses, and how many of them must have signed.

The text is Sigsum's policy format, with keys as signed notes publish them (`name+id+base64`); a log's key is named like
the log. One statement a line, `#` begins a comment, a name is used only after the line that makes it:

    log seoul.example/jongno+1234abcd+AQ...
    witness paper witness.example/paper+...
    witness school school.example+...
    group either any paper school          (or a number, or all)
    quorum either                          (or none: then no witness is asked for)

Without a file, the keys of the command line and a number make the same thing: any so many of the witnesses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import NOTE_SIGNATURES_MAX, POLICY_BYTES_MAX
from p2pworld.merkle.note import COSIGNATURE, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.merkle.checkpoint import SignedCheckpoint

__all__ = ["Policy", "parse_policy", "policy_of_keys"]

_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class _Group:
    """So many of these must have signed; a witness alone is a group of none, and asks for its key."""

    threshold: int = 0
    members: tuple[_Group, ...] = ()
    key: bytes = b""

    def met(self, signed: frozenset[bytes]) -> bool:
        if self.key:
            return self.key in signed
        return sum(member.met(signed) for member in self.members) >= self.threshold


@dataclass(frozen=True, slots=True)
class Policy:
    """Keys of logs by what the log is called, keys of witnesses, and what their signatures must add up to."""

    logs: dict[str, tuple[VerifierKey, ...]]
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: _Group = field(default=_Group())

    def require_quorum(self, opened: SignedCheckpoint) -> None:
        """Returns if the witnesses that signed are enough.

        Raises:
            RemoteError: they are not (`checkpoint-quorum`).
        """
        signed = frozenset(verified.key.public for verified in opened.cosigned)
        if not self.quorum.met(signed):
            names = ", ".join(sorted(verified.key.name for verified in opened.cosigned)) or "no witness"
            raise RemoteError("checkpoint-quorum", f"{names} signed this, which is not enough")


def policy_of_keys(keys: Iterable[VerifierKey], quorum: int) -> Policy:
    """The policy that trusts these keys, and asks for `quorum` of the witnesses among them.

    Raises:
        LocalError: no log's key, more witnesses asked for than there are, or one key under two names.
    """
    logs: dict[str, tuple[VerifierKey, ...]] = {}
    witnesses: list[VerifierKey] = []
    for key in keys:
        if key.algorithm == COSIGNATURE:
            witnesses.append(key)
        else:
            logs[key.name] = (*logs.get(key.name, ()), key)
    _check_keys(logs, witnesses)
    if not 0 <= quorum <= len(witnesses):
        raise LocalError(f"{quorum} witnesses are asked for, and the keys of {len(witnesses)} are given")
    members = tuple(_Group(key=key.public) for key in witnesses)
    return Policy(logs, tuple(witnesses), _Group(quorum, members))


def _check_keys(logs: dict[str, tuple[VerifierKey, ...]], witnesses: list[VerifierKey]) -> None:
    if not logs:
        raise LocalError("no log's key is given, so nothing could be believed")
    if len({key.public for key in witnesses}) < len(witnesses):
        raise LocalError("one witness's key is given twice, and would count twice")
    if len(witnesses) > NOTE_SIGNATURES_MAX:
        raise LocalError(f"{len(witnesses)} witnesses, where a note has {NOTE_SIGNATURES_MAX} signatures")


def parse_policy(text: str) -> Policy:
    """The policy that is written so.

    Raises:
        LocalError: it is none; the message names the line.
    """
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise LocalError(f"a policy has at most {POLICY_BYTES_MAX} bytes")
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        try:
            if words:
                reader.take(words)
        except (LocalError, RemoteError) as error:
            raise LocalError(f"line {number}: {error}") from None
    if reader.quorum is None:
        raise LocalError("no line says which quorum is asked for (or: quorum none)")
    _check_keys(reader.logs, reader.witnesses)
    return Policy(reader.logs, tuple(reader.witnesses), reader.quorum)


class _Reader:
    """What the lines so far have said."""

    def __init__(self) -> None:
        self.logs: dict[str, tuple[VerifierKey, ...]] = {}
        self.witnesses: list[VerifierKey] = []
        self.quorum: _Group | None = None
        self._named: dict[str, _Group] = {}

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", key_text] | ["log", key_text, _]:
                key = VerifierKey.parse(key_text)
                if key.algorithm == COSIGNATURE:
                    raise LocalError("this is a witness's key, not a log's")
                self.logs[key.name] = (*self.logs.get(key.name, ()), key)
            case ["witness", name, key_text] | ["witness", name, key_text, _]:
                key = VerifierKey.parse(key_text)
                if key.algorithm != COSIGNATURE:
                    raise LocalError("this is no witness's key: those are for cosignatures")
                self.witnesses.append(key)
                self._name(name, _Group(key=key.public))
            case ["group", name, threshold, *members] if members:
                groups = tuple(self._find(member) for member in members)
                if len(set(members)) < len(members):
                    raise LocalError("a member stands twice in this group")
                self._name(name, _Group(_threshold(threshold, len(groups)), groups))
            case ["quorum", name] if self.quorum is None:
                self.quorum = _Group() if name == _NONE else self._find(name)
            case _:
                raise LocalError("this is no line of a policy: log, witness, group, or one quorum")

    def _name(self, name: str, group: _Group) -> None:
        if name == _NONE or name in self._named:
            raise LocalError(f"the name {name} is taken")
        self._named[name] = group

    def _find(self, name: str) -> _Group:
        if name not in self._named:
            raise LocalError(f"no line above makes {name}")
        return self._named[name]


def _threshold(text: str, members: int) -> int:
    known = {"any": 1, "all": members}
    count = known.get(text, int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0)
    if not 1 <= count <= members:
        raise LocalError(f"of {members} members, any, all, or a number from 1 to {members} may be asked for")
    return count
