"""Who acts for an office: somebody with grants that a root key began, for a role, over the office's stream.

The grants are shown beside each act (a paper `grants`: the text of a file of grants, root's first) and verified when it
is filed. Whom the holder believed is kept: `official/<key>` has the minute since and the grants, for everybody to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.errors import LocalError, Refusal
from p2pworld.grants import covers, grants_from_text, verify_chain
from p2pworld.services.workflow import Who

if TYPE_CHECKING:
    from p2pworld.civic.kept import Rows
    from p2pworld.grants import Grant, Voids
    from p2pworld.services.declaration import Service

__all__ = [
    "GRANTS",
    "OFFICIAL",
    "Believed",
    "acts_as",
    "believe",
    "believed_of",
    "check_grants",
    "read_grants",
]

GRANTS: Final = "grants"  # the kind of paper
OFFICIAL: Final = "official/"
_MINUTE_MS: Final = 60_000


class Believed(NamedTuple):
    """An official whom the holder of a log believed: since when, and the grants."""

    key: bytes
    minute: int
    grants: str


def read_grants(data: bytes) -> tuple[Grant, ...]:
    """The grants that are shown; none if what is shown is none."""
    try:
        return grants_from_text(data.decode("ascii"))
    except (LocalError, UnicodeDecodeError):
        return ()


def check_grants(
    data: bytes, roots: frozenset[bytes], by: bytes, minute: int, voids: Voids | None
) -> Refusal | None:
    """Why these grants give the key `by` nothing at this minute, or None."""
    chain = read_grants(data)
    role = chain[-1].role if chain else ""
    why = verify_chain(chain, roots, by, role, minute * _MINUTE_MS, voids=voids)
    return Refusal("forbidden", f"these grants do not allow it: {why.sentence}") if why else None


def acts_as(service: Service, office: str, chain: tuple[Grant, ...]) -> frozenset[Who]:
    """As whom somebody with these grants, which have been verified, acts on a case that `office` deals with."""
    if not chain or not any(covers(part, f"streams:{office}") for part in chain[-1].scope):
        return frozenset()
    roles = {Who.OFFICIAL: service.office.handles, Who.DECIDER: service.office.decides}
    return frozenset(who for who, role in roles.items() if role == chain[-1].role)


def believe(rows: Rows, by: bytes, data: bytes, minute: int) -> None:
    """Write down that this key was believed for what it showed."""
    name = f"{OFFICIAL}{by.hex()}"
    before = rows.get(name)
    if before is None or before.partition(b"\n")[2] != data:
        rows.put(name, b"%d\n%b" % (minute, data))


def believed_of(name: str, body: bytes) -> Believed:
    """What such a row says."""
    minute, _, grants = body.decode().partition("\n")
    return Believed(bytes.fromhex(name.removeprefix(OFFICIAL)), int(minute), grants)
