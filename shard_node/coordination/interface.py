"""What a node asks of a coordination store: numbers for its incarnations, leases, and the city map by compare-and-swap.

One interface, several engines, one conformance suite (`tests/coordination/conformance.py`). An engine decides nothing
of the city: it keeps the newest map, refuses a proposal made on an older one, counts renewals, and ends leases for
good. It never judges whether a lease has died; observers do, by their own clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.membership import Lease
from p2pworld.world.citymap import CityMap, Member

if TYPE_CHECKING:
    from p2pworld.ids import Incarnation

__all__ = [
    "Board",
    "CityStore",
    "Coordination",
    "CoordinationDown",
    "Lease",
    "OutcomeUnknown",
    "Proposed",
    "Records",
    "Registration",
    "Snapshot",
]

_NEVER_BY_ITSELF: Final = frozenset(
    {"newer_schema", "corrupt", "not_a_store", "closed", "denied", "untrusted"}
)


class CoordinationDown(Exception):
    """The store could not be asked; nothing was changed by the call, except that a renewal may have been counted.

    `reason` is a code to count: `busy`, `full`, `io`, `newer_schema`, `corrupt`, `not_a_store`, `closed`; over a
    network also `denied` (user, password or permission) and `untrusted` (certificates).
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason

    @property
    def lasting(self) -> bool:
        """Whether asking again is in vain until a person has done something."""
        return self.reason in _NEVER_BY_ITSELF


class OutcomeUnknown(Exception):
    """A proposal may or may not have become the map: read the map before doing anything that depends on it."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A node that wants a new incarnation: its key, and where it is reached."""

    node: bytes
    link_url: str
    play_url: str
    web_url: str

    def member(self, number: int) -> Member:
        """The member to list in the city map, in the incarnation that `register` gave."""
        return Member(self.node, number, self.link_url, self.play_url, self.web_url)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The map and all leases at one instant; `map` is None if the version is the one the reader knows."""

    map_version: int
    map: CityMap | None
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Proposed:
    """Whether a proposal became the map, and the version that now stands.

    `reason` is None if it did, else why not: `version` (another came first), `renewed` (the victim lives), `ended` (it
    lists an incarnation whose lease has ended, or never was).
    """

    ok: bool
    version: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """The notices posted for all nodes, by name; `notices` is None if the reader knows them all.

    `number` is another one after each notice posted. The engine does not look into a notice: who reads it proves it.
    """

    number: int
    notices: Mapping[bytes, bytes] | None


class Coordination(Protocol):
    """A store of leases, of one map and of a board of notices, shared by all nodes of a city.

    Every call is linearizable, ends within a bounded time, and may raise CoordinationDown.
    """

    async def register(self, record: Registration, ttl_s: float, ends: Incarnation | None) -> int:
        """The next incarnation number of this node, never given before and above `ends`, with a lease of its own.

        `ends` is an older incarnation of the same node whose process is proven dead (its data directory's lock is
        ours): its lease and all before it end now. Without that proof older leases run until they are judged.

        Raises:
            LocalError: `ends` names another node, or leases of this city last another time than `ttl_s`.
        """
        ...

    async def renew(self, who: Incarnation) -> bool:
        """Count one renewal; False if this lease has ended, and with it the incarnation."""
        ...

    async def read(self, known_version: int) -> Snapshot:
        """The newest map, left out if its version is `known_version`, and all leases, at one instant of the call."""
        ...

    async def propose(self, city: CityMap, expected_version: int, victim: Lease | None = None) -> Proposed:
        """Make `city` the map if the map's version is `expected_version`, and end the victim's lease with it.

        With a victim, the same transaction compares its renewal counter with the one given here.

        Raises:
            OutcomeUnknown: it may have been accepted.
            LocalError: the map is unsound, or not newer than `expected_version`.
        """
        ...

    async def wait_change(self, after_version: int, timeout_s: float) -> int:
        """The map's version as soon as it is another than `after_version`, which it returns after `timeout_s`.

        Versions between may be skipped: a watcher that fell behind reads the newest.
        """
        ...

    async def end(self, who: Incarnation) -> None:
        """End a lease for good, one's own or that of one who may take part no more; ending it twice does nothing."""
        ...

    async def notices(self, known: int) -> Board:
        """Every notice that is posted, left out if the number of the last one is `known`."""
        ...

    async def post(self, name: bytes, notice: bytes) -> bool:
        """Post a notice under its name, durably; one of that name stays as it is. False: there is no room."""
        ...

    async def take_down(self, name: bytes) -> None:
        """Take a notice that is over off the board; doing it twice does nothing."""
        ...

    async def close(self) -> None:
        """Let go of the store; calls after it raise CoordinationDown `closed`."""
        ...


class Records(Protocol):
    """One small record for each civic log, beside the map: what its holder must have written before it signs.

    Every call is linearizable, ends within a bounded time, and may raise CoordinationDown.
    """

    async def read_record(self, name: str) -> bytes | None:
        """The record of this name, or None."""
        ...

    async def put_record(self, name: str, before: bytes | None, record: bytes) -> bytes | None:
        """Durably: make `record` the record of this name if it is `before` now; the one that is there afterwards.

        Raises:
            OutcomeUnknown: it may have been written; the same call again tells.
            CoordinationDown: also `full`, if it would be one more than `RECORDS_MAX`.
            LocalError: it is longer than `RECORD_BYTES_MAX`.
        """
        ...


class CityStore(Coordination, Records, Protocol):
    """What every engine is: leases, map and notices, and beside them the records of civic logs."""
