"""What a node asks of the coordination store, and what it is answered: values that an executor carries to and fro.

Every request is answered once. A request carries all that its execution needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pworld.ids import Incarnation
from p2pworld.membership import Lease
from p2pworld.world.citymap import CityMap

# ruff: noqa: RUF022  (grouped as below)
__all__ = [
    "Register", "Renew", "ReadMap", "Propose", "EndLease", "Request",
    "Registered", "Renewed", "MapRead", "Proposed", "ProposalUnknown", "LeaseEnded", "StoreFailed", "Answer",
]  # fmt: skip


# ---- asked of the store


@dataclass(frozen=True, slots=True)
class Register:
    """Give this node a new incarnation with a lease; `ends` is an older number proven dead, or 0."""

    link_url: str
    play_url: str
    web_url: str
    ttl_s: float
    ends: int


@dataclass(frozen=True, slots=True)
class Renew:
    """Count one renewal of this lease; it may overtake other requests."""

    who: Incarnation
    token: int


@dataclass(frozen=True, slots=True)
class ReadMap:
    """Read all leases and, if its version is another than this, the map, at one instant."""

    known_version: int


@dataclass(frozen=True, slots=True)
class Propose:
    """Make `map` the map, and end the victim, if version and the victim's counter are still the ones given."""

    map: CityMap
    expected_version: int
    victim: tuple[Incarnation, int] | None


@dataclass(frozen=True, slots=True)
class EndLease:
    """End the lease of another, who may not take part any more; it may overtake other requests."""

    who: Incarnation


Request = Register | Renew | ReadMap | Propose | EndLease


# ---- answered by the store


@dataclass(frozen=True, slots=True)
class Registered:
    """The number of the new incarnation."""

    number: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """Whether the lease was renewed; if not, it has ended for good."""

    token: int
    ok: bool


@dataclass(frozen=True, slots=True)
class MapRead:
    """The map (None if its version is the one known) and all leases, at one instant."""

    version: int
    map: CityMap | None
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Proposed:
    """Whether the proposal became the map, and the version that now stands."""

    ok: bool
    version: int


@dataclass(frozen=True, slots=True)
class ProposalUnknown:
    """The proposal may or may not have become the map."""


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The request was not carried out, for certain; only a renewal may have been counted, or a number spent."""

    request: object
    reason: str


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """The lease has ended, by this request or before."""

    who: Incarnation


Answer = Registered | Renewed | MapRead | Proposed | ProposalUnknown | LeaseEnded | StoreFailed
