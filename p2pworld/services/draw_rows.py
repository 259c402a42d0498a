"""A draw as a store's rows keep it, so that the log's holder decides about a leaf without reading all entries.

    draw/<facility>/<slot>                     which draw of this slot counts: 0, or how often it was opened again
    draw/<facility>/<slot>/<again>/now         everything but the entries
    draw/<facility>/<slot>/<again>/in/<person> an entry: who comes first, by which filing
    draw/<facility>/<slot>/<again>/order/<n>   once it is over: who is the n-th

`kept_draw` makes of them the machine that also verifies (`draw_log.Draw`), whose entries are read one by one as it asks
for them: only closing a draw and telling its order read all. `DrawBook` writes what the machine knows afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final, Protocol

from p2pworld.messages.fields import U8, U16, U53, Key, Size
from p2pworld.services.draw import HOLDERS, PARTIES, Entry, Pair
from p2pworld.services.draw_log import Draw, draw_name
from p2pworld.wire.codec import Canonical, unpack_map

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BUCKETS", "DrawBook", "Entered", "KeptRows", "draw_said"]

PAIRS: Final[tuple[Pair, ...]] = tuple((giver, to) for giver in range(PARTIES) for to in HOLDERS[giver])
BUCKETS: Final = 256  # of pseudonyms, by their first two digits
_ORDER_DIGITS: Final = 6

Bytes32 = Annotated[bytes, Size(0, 32)]


class KeptRows(Protocol):
    """Rows of one stream by their names, as one transaction of the store sees and changes them."""

    def get(self, name: str) -> bytes | None:
        """The row of this name, or None."""

    def under(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """All rows whose names begin so, in order of their names."""

    def put(self, name: str, body: bytes) -> None:
        """Write a row, or another one of this name."""


@dataclass(frozen=True, slots=True)
class Entered:
    """An entry as it is kept: whether its person comes first, and the key of the filing that asked for it."""

    first: bool
    filing: Key


@dataclass(frozen=True, slots=True)
class _Now:
    """A draw without its entries. What has not happened yet is 0 or empty."""

    places: U16
    closes: U53
    keys: Annotated[tuple[Key, ...], Size(0, PARTIES)]
    hashes: Annotated[tuple[Bytes32, ...], Size(0, 2 * PARTIES)]
    shared: U8  # a bit for each party
    count: U53
    closed: U53
    closing: Bytes32
    shares: Annotated[tuple[Bytes32, ...], Size(0, 2 * PARTIES)]
    helped: U8  # a bit for each party
    done: bool
    awarded: U53
    carried: U16


_NOW = Canonical(_Now)
_ENTERED = Canonical(Entered)


def draw_said(name: str, body: bytes) -> object:
    """What a row of a draw says, as far as leaves say it too: not how far people have been told, or entered again."""
    if not name.endswith("/now"):
        return body
    return replace(_NOW.read(unpack_map(body)), awarded=0, carried=0)


class _Entries(MutableMapping[str, Entry]):
    """The entries of a draw, each read when it is asked for."""

    def __init__(self, rows: KeptRows, under: str, count: int) -> None:
        self._rows = rows
        self._under = under
        self._count = count
        self.filing = b""  # of whoever is entered next

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._under) for name, _ in self._rows.under(self._under))

    def __contains__(self, person: object) -> bool:
        return self._rows.get(f"{self._under}{person}") is not None

    def __getitem__(self, person: str) -> Entry:
        body = self._rows.get(self._under + person)
        if body is None:
            raise KeyError(person)
        return Entry(person, _ENTERED.read(unpack_map(body)).first)

    def __setitem__(self, person: str, entry: Entry) -> None:
        self._count += person not in self
        self._rows.put(self._under + person, _ENTERED.pack(Entered(entry.first, self.filing)))

    def __delitem__(self, person: str) -> None:
        raise AssertionError("who has entered stays in the draw: it stands in the log")


class DrawBook:
    """One draw of a stream in its rows: `draw` is the machine, `keep` writes what it knows. `awarded` of its order have
    been told what they got; `carried` of the BUCKETS of people in the draw before it have been entered again."""

    def __init__(self, rows: KeptRows, stream: str, facility: str, slot: str, again: int = 0) -> None:
        name = draw_name(facility, slot, again)
        self._rows = rows
        self._slot = f"draw/{facility}/{slot}"
        self._at = f"{self._slot}/{again}"
        self.again = again
        self.awarded = 0
        self.carried = 0 if again else BUCKETS
        body = rows.get(f"{self._at}/now")
        now = _NOW.read(unpack_map(body)) if body is not None else None
        self._entries = _Entries(rows, f"{self._at}/in/", now.count if now else 0)
        self.draw = Draw(stream, name, entries=self._entries)
        if now is not None:
            self._restore(now)

    @classmethod
    def of_slot(cls, rows: KeptRows, stream: str, facility: str, slot: str) -> DrawBook:
        """The draw of this slot that counts."""
        body = rows.get(f"draw/{facility}/{slot}")
        return cls(rows, stream, facility, slot, int(body) if body else 0)

    @property
    def counts(self) -> bool:
        """Whether this is the draw of its slot that counts, or may become it."""
        body = self._rows.get(self._slot)
        return self.again >= (int(body) if body else 0)

    def keep(self) -> None:
        """Writes what the machine knows."""
        draw = self.draw
        now = _Now(
            draw.places,
            draw.closes,
            draw.keys,
            tuple(bytes.fromhex(draw.hashes[pair]) for pair in PAIRS) if draw.hashes else (),
            sum(1 << party for party in draw.shared),
            len(self._entries),
            draw.closed or 0,
            draw.closing,
            tuple(draw.shares.get(pair, b"") for pair in PAIRS),
            sum(1 << party for party in draw.helped),
            draw.done,
            self.awarded,
            self.carried,
        )
        self._rows.put(f"{self._at}/now", _NOW.pack(now))
        self._rows.put(self._slot, str(self.again).encode())

    def entering(self, filing: bytes) -> None:
        """By which filing the next entry comes."""
        self._entries.filing = filing

    def entered(self, person: str) -> Entered:
        """The entry of somebody who is in the draw."""
        body = self._rows.get(f"{self._at}/in/{person}")
        assert body is not None, person
        return _ENTERED.read(unpack_map(body))

    def carry(self, least: int) -> list[tuple[str, Entered]]:
        """The next people of the draw before this one: at least so many, or all that are left."""
        under = f"{self._slot}/{self.again - 1}/in/"
        found: list[tuple[str, Entered]] = []
        while self.carried < BUCKETS and len(found) < least:
            for name, body in self._rows.under(f"{under}{self.carried:02x}"):
                found.append((name.removeprefix(under), _ENTERED.read(unpack_map(body))))
            self.carried += 1
        return found

    def carried_so_far(self) -> int:
        """What `carried` must be, by who is in this draw and in the one before it."""
        if not self.again:
            return BUCKETS
        before, here = f"{self._slot}/{self.again - 1}/in/", f"{self._at}/in/"
        for name, _ in self._rows.under(before):
            person = name.removeprefix(before)
            if self._rows.get(here + person) is None:
                return int(person[:2], 16)
        return BUCKETS

    def put_order(self) -> None:
        """Writes down who is the n-th, once the draw is over."""
        for number, person in enumerate(self.draw.order):
            self._rows.put(self._place(number), person.encode())

    def order(self, begin: int, end: int) -> list[str]:
        """Who is the `begin`-th and on, before the `end`-th; fewer at the end of the order."""
        found = (self._rows.get(self._place(number)) for number in range(begin, end))
        return [body.decode() for body in found if body is not None]

    def _place(self, number: int) -> str:
        return f"{self._at}/order/{number:0{_ORDER_DIGITS}}"

    def _restore(self, now: _Now) -> None:
        draw = self.draw
        draw.places, draw.closes, draw.keys = now.places, now.closes, now.keys
        draw.hashes = {pair: body.hex() for pair, body in zip(PAIRS, now.hashes, strict=True)}
        draw.shared = _parties(now.shared)
        draw.closed, draw.closing = now.closed or None, now.closing
        draw.shares = {pair: share for pair, share in zip(PAIRS, now.shares, strict=True) if share}
        draw.helped, draw.done = _parties(now.helped), now.done
        self.awarded, self.carried = now.awarded, now.carried


def _parties(bits: int) -> set[int]:
    return {party for party in range(PARTIES) if bits >> party & 1}
