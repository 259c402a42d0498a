"""What the holder of a stream does about draws: who enters, what parties say, and what comes of itself at its minute.

The office's key in draws lies with the holder, so it signs as party 0: each entry as an application is taken, and from
the closing minute on the closing leaf, the office's own two shares, and at last the outcome. Every leaf is put to the
machine that also verifies (`draw_log.Draw`), in the order in which it will stand in the log. What takes long is done in
pieces: `go_on` says when it wants to be asked again.

A draw that came to nothing may be opened again, under its name with `/1`: everybody who was in the one before is
entered again, in pieces as well, and nobody else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from p2pworld.civic.transaction import Submission
from p2pworld.errors import Refusal
from p2pworld.limits import DRAW_PIECE
from p2pworld.merkle.tree import leaf_hash
from p2pworld.services.draw import HOLDERS, PARTIES, entries_digest, order_digest
from p2pworld.services.draw_log import (
    CLOSED,
    DONE,
    ENTERED,
    OPENED,
    REVEAL_MINUTES,
    SHARE,
    SHARED,
    file_draw_leaf,
)
from p2pworld.services.draw_rows import BUCKETS, DrawBook
from p2pworld.services.draw_shares import share_of
from p2pworld.services.facility import Residents, slot_text
from p2pworld.services.reasons import refusal
from p2pworld.services.reservations import closing_minute, slot_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.transaction import Filing, TransactionType
    from p2pworld.crypto.keys import Signer
    from p2pworld.services.draw_log import Draw
    from p2pworld.services.draw_rows import KeptRows
    from p2pworld.services.reservations import Offer

__all__ = ["Applicant", "DrawDesk", "DrawStep", "draw_of_leaf"]

_OFFICE: Final = 0
_LEAF_NAME: Final = b"p2pworld draw leaf key v1\n"


def draw_of_leaf(filing: Filing) -> tuple[str, str, int]:
    """Facility, slot and number of the draw that a filing of one of the six types is about."""
    facility, slot, *again = filing.public[0].value.split("/")
    return facility, slot, int(again[0]) if again else 0


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who applies: the pseudonym for this draw, the gu they live in, how many come, and the key of the filing."""

    person: str
    gu: str
    people: int
    filing: bytes


@dataclass(frozen=True, slots=True)
class DrawStep:
    """Leaves of the holder, in order; whose turn it is to get what there is (person and key of the filing, as in
    `reservations.award`); and the minute at which to go on, if there is anything left to do."""

    leaves: tuple[Submission, ...] = ()
    award: tuple[tuple[str, str], ...] = ()
    due: int | None = None


class DrawDesk:
    """Draws of one stream, on the rows of one transaction; `epoch` is that of the leaves it makes.

    Without `office`, the office's key, none can be opened here.
    """

    def __init__(self, rows: KeptRows, stream: str, epoch: int, minute: int, office: Signer | None) -> None:
        self._rows = rows
        self._stream = stream
        self._epoch = epoch
        self._minute = minute
        self._office = office

    def take(self, offer: Offer | Refusal, filing: Filing, leaf: bytes) -> DrawStep | Refusal:
        """What a leaf of a draw brings about that somebody has filed, `leaf` being its entry in the log; `offer` is
        what its draw gives away. A second share or acknowledgement changes nothing, but stands in the log."""
        if isinstance(offer, Refusal) or offer.rules.draw_days == 0 or self._office is None:
            return refusal("draw-unknown")
        facility, slot, again = draw_of_leaf(filing)
        book = DrawBook(self._rows, self._stream, facility, slot, again)
        why = self._misplaced(book, offer, filing) or book.draw.take(filing, leaf_hash(leaf))
        if why is not None:
            return why
        book.keep()
        return DrawStep(due=self._due(book))

    def enter(self, offer: Offer, who: Applicant) -> DrawStep | Refusal:
        """The entry of somebody who applies for a place in this slot, or why they cannot be in its draw."""
        why = slot_fault(offer, self._minute, who.gu)
        if why is not None:
            return why
        if who.people > offer.facility.capacity:
            return refusal("too-many-people")
        facility, slot = offer.facility.id, slot_text(offer.slot.begin)
        book = DrawBook.of_slot(self._rows, self._stream, facility, slot)
        if len(book.draw.shared) < PARTIES:
            return refusal("slot-not-open")
        if book.again or self._minute >= book.draw.closes:
            return refusal("draw-closed")  # one that was opened again is for those who were in the one before
        first = offer.facility.residents is Residents.FIRST and who.gu == offer.facility.gu
        leaf = self._entry(book, who.person, first, who.filing)
        if isinstance(leaf, Refusal):
            return leaf
        book.keep()
        return DrawStep((leaf,))

    def go_on(self, facility: str, slot: str) -> DrawStep:
        """What is to be done by itself about the draw of this slot now: one piece of it."""
        book = DrawBook.of_slot(self._rows, self._stream, facility, slot)
        step: DrawStep | None
        if self._carrying(book):
            step = self._carry(book)
        elif book.draw.closed is None:
            step = self._close(book)
        elif not book.draw.done:
            step = self._end(book)
        else:
            step = self._award(book)
        if step is None:
            return DrawStep()
        book.keep()
        return replace(step, due=self._due(book))

    # ---- what comes of itself

    def _due(self, book: DrawBook) -> int | None:
        """When `go_on` has something to do."""
        draw = book.draw
        if len(draw.shared) < PARTIES:
            return None
        if draw.closed is None:
            return self._minute if self._carrying(book) else max(draw.closes, self._minute)
        if not draw.done:
            return self._minute if draw.ready else None
        return self._minute if book.awarded < len(draw.entries) else None

    def _carrying(self, book: DrawBook) -> bool:
        """Whether people of the draw before this one are still to be entered."""
        return book.carried < BUCKETS and len(book.draw.shared) == PARTIES and book.draw.closed is None

    def _carry(self, book: DrawBook) -> DrawStep:
        leaves = []
        for person, entered in book.carry(DRAW_PIECE):
            if person not in book.draw.entries:  # as some may be, if it is not known how far this had come
                leaf = self._entry(book, person, entered.first, entered.filing)
                assert not isinstance(leaf, Refusal), (person, leaf)
                leaves.append(leaf)
        return DrawStep(tuple(leaves))

    def _close(self, book: DrawBook) -> DrawStep | None:
        draw = book.draw
        if self._office is None or len(draw.shared) < PARTIES or self._minute < draw.closes:
            return None
        entries = draw.entries.values()
        said = {"count": str(len(draw.entries)), "entries": entries_digest(entries)}
        leaves = [self._say(book, CLOSED, said)]
        # the office holds nothing back: its shares stand right behind the closing leaf
        for holder in HOLDERS[_OFFICE]:
            share = share_of(self._office.seed, self._stream, draw.name, (_OFFICE, holder))
            said = {"giver": str(_OFFICE), "holder": str(holder), "share": share.hex()}
            leaves.append(self._say(book, SHARE, said))
        return DrawStep(tuple(leaves))

    def _end(self, book: DrawBook) -> DrawStep | None:
        draw = book.draw
        if self._office is None or not draw.ready:
            return None
        book.put_order()
        said = {"seed": draw.seed, "outcome": order_digest(draw.order)}
        return DrawStep((self._say(book, DONE, said),))

    def _award(self, book: DrawBook) -> DrawStep | None:
        persons = book.order(book.awarded, book.awarded + DRAW_PIECE)
        if not persons:
            return None
        book.awarded += len(persons)
        return DrawStep(award=tuple((person, book.entered(person).filing.hex()) for person in persons))

    # ---- leaves

    def _misplaced(self, book: DrawBook, offer: Offer, filing: Filing) -> Refusal | None:
        """Why the holder takes no such leaf, or not with what it says, whatever the draw's machine would say."""
        said = {each.name: each.value for each in filing.public}
        if not book.counts or self._office is None:
            return refusal("draw-order")
        if filing.type in (SHARED.name, SHARE.name):
            return None
        if (
            filing.type != OPENED.name
        ):  # what the office says of entries is the holder's to say, and nobody else's
            return refusal("draw-party")
        if bytes.fromhex(said["key-0"]) != self._office.public:
            return refusal("draw-party")
        if int(said["places"]) != offer.facility.seats:
            return refusal("draw-entries")
        begin, closes = offer.slot.begin, int(said["closes"])
        if book.again == 0:
            return refusal("draw-time") if closes != closing_minute(offer.rules, begin) else None
        before = DrawBook(self._rows, self._stream, offer.facility.id, slot_text(begin), book.again - 1)
        if not self._came_to_nothing(before.draw):
            return refusal("draw-order")
        return refusal("draw-time") if closes >= begin else None

    def _came_to_nothing(self, draw: Draw) -> bool:
        """Whether nobody could enter this draw, or its parties have had their time, and the others' as well."""
        if draw.ready or not draw.keys:
            return False
        begun = draw.closes if draw.closed is None else draw.closed + 2 * REVEAL_MINUTES
        return self._minute >= begun and not (draw.closed is None and len(draw.shared) == PARTIES)

    def _entry(self, book: DrawBook, person: str, first: bool, filing: bytes) -> Submission | Refusal:
        """The leaf by which this person enters, or why they cannot."""
        book.entering(filing)
        said = {"person": person, "order": "first" if first else "other", "filing": filing.hex()}
        return self._said(book, ENTERED, said)

    def _say(self, book: DrawBook, declared: TransactionType, said: Mapping[str, str]) -> Submission:
        """A leaf that stands where it does because all before it do."""
        leaf = self._said(book, declared, said)
        assert not isinstance(leaf, Refusal), (declared.name, leaf)
        return leaf

    def _said(
        self, book: DrawBook, declared: TransactionType, said: Mapping[str, str]
    ) -> Submission | Refusal:
        """A leaf of the office's, which the draw knows from then on, or why it cannot stand here."""
        assert self._office is not None, "who has no key has opened no draw"
        draw = book.draw
        own = {"draw": draw.name, "party": str(_OFFICE), **said}
        # the same leaf whenever it is made, so that a transaction that is tried again changes nothing
        text = "\n".join((self._stream, declared.name, *own.values(), str(self._minute)))
        seed = hashlib.sha256(_LEAF_NAME + self._office.seed + text.encode()).digest()
        leaf = file_draw_leaf(declared, self._stream, self._minute, own, self._office, seed)
        entry = leaf.leaf(self._epoch).to_bytes()
        return draw.take(leaf.filing, leaf_hash(entry)) or leaf
