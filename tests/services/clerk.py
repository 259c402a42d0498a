"""The slow twin of `reservations.decide`: a clerk with a list on paper, who goes through all of it each time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from p2pworld.services.reservations import Book, Cancel, Confirm, Mark, Offer
from p2pworld.services.working_time import day_of, minute_at

if TYPE_CHECKING:
    from p2pworld.services.reservations import Ask

__all__ = ["Clerk", "Line"]


@dataclass
class Line:
    """One line of the paper: who, where, and what has become of it (`word`)."""

    order: int
    offer: Offer
    key: str
    person: str
    word: str
    seat: int = -1
    until: int | None = None
    first: bool = False

    @property
    def slot(self) -> tuple[str, int]:
        return self.offer.facility.id, self.offer.slot.begin


HAS = ("held", "due", "confirmed", "used", "missed")


class Clerk:
    """Answers as `decide` does, in words: `held 0`, `waiting 2`, a reason, or `ok`."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def here(self, offer: Offer, *words: str) -> list[Line]:
        slot = (offer.facility.id, offer.slot.begin)
        return [line for line in self.lines if line.slot == slot and line.word in words]

    def queue(self, offer: Offer) -> list[Line]:
        waiting = self.here(offer, "waiting")
        return [line for line in waiting if line.first] + [line for line in waiting if not line.first]

    def free(self, offer: Offer) -> int | None:
        taken = {line.seat for line in self.here(offer, *HAS)}
        for seat in range(offer.facility.seats):
            if seat not in taken:
                return seat
        return None

    def tidy(self, offer: Offer, now: int) -> None:
        for line in self.here(offer, "held", "due"):
            if line.until is not None and line.until <= now:
                line.word = "gone"
        if now >= offer.slot.begin:
            for line in self.here(offer, "waiting"):
                line.word = "gone"
        while (seat := self.free(offer)) is not None and self.queue(offer):
            line = self.queue(offer)[0]
            line.word, line.seat, line.until = "held", seat, min(now + 24 * 60, offer.slot.begin)

    def objection(self, offer: Offer, person: str, now: int, but: str) -> str | None:
        rules = offer.rules
        month = day_of(offer.slot.begin).isoformat()[:7]
        mine = [line for line in self.lines if line.person == person and line.key != but and line.word in HAS]
        mine = [line for line in mine if line.until is None or line.until > now]
        for line in mine:
            if line.word == "missed" and now < line.offer.slot.end + rules.pause_days * 1440:
                return "no-show-pause"
        for line in mine:
            theirs = set(range(line.offer.slot.begin, line.offer.slot.end))
            if line.word in ("held", "due", "confirmed") and theirs & set(
                range(offer.slot.begin, offer.slot.end)
            ):
                return "slot-overlap"
        same = [
            line
            for line in mine
            if line.offer.service == offer.service and day_of(line.offer.slot.begin).isoformat()[:7] == month
        ]
        return "quota-used" if len(same) >= rules.per_month else None

    def time(self, offer: Offer, now: int, lives_in: str) -> str | None:
        place, rules, begin = offer.facility, offer.rules, offer.slot.begin
        opens = minute_at(day_of(begin) - timedelta(days=rules.opens_days), 9 * 60)
        local = lives_in == place.gu
        if now >= begin:
            return "slot-past"
        if begin - now < rules.closes_minutes:
            return "slot-deadline"
        if now < opens:
            return "slot-not-open"
        if place.residents.value == "only" and not local:
            return "residents-only"
        if place.residents.value == "days" and not local and now < opens + place.resident_days * 1440:
            return "residents-first"
        return None

    def ask(self, offer: Offer, ask: Ask) -> str:
        now = ask.minute
        self.tidy(offer, now)
        match ask:
            case Book():
                return self.book(offer, ask, now)
            case Confirm() | Mark():
                lines = [line for line in self.here(offer, *HAS) if line.key == ask.key]
                if not lines:
                    return "none"
                return (
                    self.confirm(offer, lines[0], now)
                    if isinstance(ask, Confirm)
                    else self.mark(lines[0], ask)
                )
            case Cancel():
                answer = self.cancel(offer, ask, now)
                self.tidy(offer, now)
                return answer
        return "ok"

    def book(self, offer: Offer, ask: Book, now: int) -> str:
        for line in self.here(offer, *HAS):
            if line.key == ask.key:
                return f"{line.word} {line.seat}"
        for number, line in enumerate(self.queue(offer), 1):
            if line.key == ask.key:
                return f"waiting {number}"
        no = self.time(offer, now, ask.resident_of) or self.objection(offer, ask.person, now, "")
        if no is None and ask.people > offer.facility.capacity:
            no = "too-many-people"
        if no is not None:
            return no
        line = Line(len(self.lines), offer, ask.key, ask.person, "waiting")
        seat = self.free(offer)
        if seat is not None:
            line.seat = seat
            line.word = (
                "held" if offer.rules.hold_minutes else "due" if offer.rules.pay_minutes else "confirmed"
            )
            allowed = offer.rules.hold_minutes or offer.rules.pay_minutes
            line.until = min(now + allowed, offer.slot.begin) if allowed else None
            self.lines.append(line)
            return f"{line.word} {seat}"
        if not ask.wait or not offer.rules.waiting:
            return "slot-taken"
        if ask.person in {other.person for other in self.queue(offer)}:
            return "waiting-already"
        if len(self.queue(offer)) >= offer.rules.waiting:
            return "waitlist-full"
        line.first = offer.facility.residents.value == "first" and ask.resident_of == offer.facility.gu
        self.lines.append(line)
        return f"waiting {self.queue(offer).index(line) + 1}"

    def confirm(self, offer: Offer, line: Line, now: int) -> str:
        if line.word == "held":
            no = self.objection(offer, line.person, now, line.key)
            if no is not None:
                return no
        if line.word == "held" and offer.rules.pay_minutes:
            line.word, line.until = "due", min(now + offer.rules.pay_minutes, offer.slot.begin)
        elif line.word in ("held", "due"):
            line.word, line.until = "confirmed", None
        return f"{line.word} {line.seat}"

    def cancel(self, offer: Offer, ask: Cancel, now: int) -> str:
        for line in self.here(offer, "waiting", "held", "due", "confirmed"):
            if line.key == ask.key:
                last = offer.slot.begin - (offer.rules.cancel_minutes if line.word == "confirmed" else 0)
                if now > last and not ask.by_office and line.word != "waiting":
                    return "cancel-late"
                line.word = "gone"
                return "ok"
        return "no-booking"

    def mark(self, line: Line, ask: Mark) -> str:
        word = "used" if ask.came else "missed"
        if line.word != word:
            if line.word != "confirmed":
                return "state-conflict"
            if ask.minute < line.offer.slot.begin:
                return "not-yet"
            line.word = word
        return f"{line.word} {line.seat}"
