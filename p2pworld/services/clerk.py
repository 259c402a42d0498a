"""Who decides for the holder of a stream: about cases, places and what runs out, by the rows beside the log.

A filing of a service is taken if it is for this stream's office and by somebody who may use it; if it asks for a place,
`booking_desk` decides. An act on a case is taken if the workflow lets whoever acts do it now; an act on a booking also
does what it says with the place. What comes of a decision is an event, a leaf of the holder's own.

Everything goes by signed papers and by rows, so the same is decided wherever it is decided; what runs out does so by
the minute of the holder that settles it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.civic.attached import keep_names, names_in, taken, unsigned
from p2pworld.civic.kept import UNTIL, Verdict, due_of
from p2pworld.civic.transaction import parse_leaf
from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal
from p2pworld.grants import Voids
from p2pworld.services.booking_desk import BookingDesk
from p2pworld.services.case_log import read_act
from p2pworld.services.case_rows import fold, keep_case, office_of, read_case, role_of, stepped
from p2pworld.services.declaration import CITY
from p2pworld.services.draw_clerk import DRAW_DUE, DrawClerk
from p2pworld.services.draw_log import DRAW_TYPES
from p2pworld.services.facility import Allocation
from p2pworld.services.officials import GRANTS, acts_as, believe, check_grants, read_grants
from p2pworld.services.people import Attested, Attestors, attested, attested_for, parse_shown
from p2pworld.services.place_rows import PLACE_DUE
from p2pworld.services.reasons import refusal
from p2pworld.services.support import support_of, support_purpose, support_row
from p2pworld.services.workflow import Act, Action, State, Who

if TYPE_CHECKING:
    from p2pworld.civic.kept import Ledger
    from p2pworld.civic.transaction import Filing, Submission
    from p2pworld.services.case_log import CaseAct
    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.support import Support
    from p2pworld.services.workflow import Case
    from p2pworld.services.working_time import OfficeCalendar

__all__ = ["CLAIM", "WAIT", "ServiceClerk", "Trusted"]

CLAIM: Final = "claim"  # the paper of an attestor
WAIT: Final = "wait"  # the paper, of any content, of who would rather wait than get nothing
_CASE_FIELDS_BY: Final = 4
_TAKEN: Final = Verdict()


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whom a clerk believes: attestors as they are now, and officials by grants that begin at these roots. `draws` is
    the key that the office itself has in draws, if it has one."""

    attestors: Callable[[], Attestors]
    roots: frozenset[bytes] = frozenset()
    voids: Voids | None = None
    draws: Signer | None = None


class ServiceClerk:
    """The `Clerk` of one stream, whose log `signer` signs; `catalogue` gives what is declared at the moment."""

    def __init__(
        self,
        stream: str,
        signer: Signer,
        catalogue: Callable[[], Catalogue],
        calendar: OfficeCalendar,
        trusted: Trusted,
    ) -> None:
        self._stream, self._signer, self._trusted = stream, signer, trusted
        self._catalogue, self._calendar = catalogue, calendar

    def check(self, submission: Submission, minute: int) -> Refusal | None:
        """See `Clerk.check`. What is shown has to hold at the filing's own minute, which is about now, or long ago if
        it can only be a retry."""
        filing = submission.filing
        if (fault := unsigned(submission)) is not None:
            return fault
        catalogue = self._catalogue()
        service = catalogue.services.get(filing.type)
        if service is not None:
            who = attested(service, filing, submission.paper(CLAIM), self._trusted.attestors(), filing.minute)
            return self._elsewhere(service, filing, catalogue) or (who if isinstance(who, Refusal) else None)
        support = support_of(filing)
        if support is not None:
            purpose, claim = support_purpose(self._stream, support.entry), submission.paper(CLAIM)
            known = attested_for(purpose, filing, claim, self._trusted.attestors(), filing.minute)
            if isinstance(known, Refusal):
                return known
            return None if known.person == support.person else refusal("claim-broken")
        shown = submission.paper(GRANTS) if submission.papers else None
        if shown is not None and read_act(filing) is not None:
            by, trusted = bytes.fromhex(filing.public[_CASE_FIELDS_BY].value), self._trusted
            return check_grants(shown, trusted.roots, by, filing.minute, trusted.voids)
        return None

    def decide(self, submission: Submission, ledger: Ledger) -> Verdict:
        """See `Clerk.decide`. What is attached becomes the entry's."""
        if submission.papers is None:
            return self._decided(submission, ledger)
        names, entry = names_in(submission), ledger.next
        assert not isinstance(names, Refusal), "checked before"
        if (fault := taken(names, ledger.rows)) is not None:
            return Verdict(fault, remembered=False)
        verdict = self._decided(submission, ledger)
        if verdict.refusal is None:
            keep_names(names, entry, ledger.rows)
        return verdict

    def _decided(self, submission: Submission, ledger: Ledger) -> Verdict:
        filing, catalogue = submission.filing, self._catalogue()
        service = catalogue.services.get(filing.type)
        if filing.type in DRAW_TYPES:
            return self._draws(catalogue, ledger).take(submission)
        support = support_of(filing)
        if support is not None:
            return self._support(support, catalogue, ledger)
        if service is None:
            act = read_act(filing)
            return _TAKEN if act is None else self._act(submission, act, catalogue, ledger)
        if service.places is None:
            return _TAKEN
        shown = submission.paper(CLAIM)
        who = Attested(filing.key.hex())  # whom nobody knows is somebody else each time
        if shown is not None:
            claim = parse_shown(shown).claim
            who = Attested(claim.person.hex(), claim.gu)
        if service.places.allocation is Allocation.LOTTERY:
            return self._draws(catalogue, ledger).enter(service, filing, who)
        return self._bookings(catalogue, ledger).book(
            service, filing, who, submission.paper(WAIT) is not None
        )

    def settle(self, ledger: Ledger) -> tuple[Submission, ...]:
        """See `Clerk.settle`: the first matter that is due."""
        name = ledger.rows.first(UNTIL)
        assert name is not None, "whoever asks has seen one"
        ledger.rows.drop(name)
        what = due_of(name)[1]
        if what.startswith(PLACE_DUE):
            return self._bookings(self._catalogue(), ledger).settle(what)
        if what.startswith(DRAW_DUE):
            return self._draws(self._catalogue(), ledger).settle(what)
        return ()

    # ---- pieces

    def _bookings(self, catalogue: Catalogue, ledger: Ledger) -> BookingDesk:
        return BookingDesk(self._stream, self._signer, catalogue, self._calendar, ledger)

    def _draws(self, catalogue: Catalogue, ledger: Ledger) -> DrawClerk:
        bookings = self._bookings(catalogue, ledger)
        return DrawClerk(self._stream, self._trusted.draws, bookings, catalogue, self._calendar, ledger)

    def _elsewhere(self, service: Service, filing: Filing, catalogue: Catalogue) -> Refusal | None:
        """Why a filing does not belong into this stream, as far as its public fields say."""
        said = {field.name: field.value for field in filing.fields}
        source = service.office.source
        if not source or source in said:
            stream = service.stream(said, catalogue.facilities)
            if stream != self._stream:
                if stream is None:
                    return refusal("facility-unknown")
                return Refusal("civic-stream", f"this is for the office of {stream}")
        elif self._stream == CITY:
            return Refusal("civic-stream", "this is for the office of a gu")
        return None

    def _support(self, support: Support, catalogue: Catalogue, ledger: Ledger) -> Verdict:
        """What becomes of somebody's support of a proposal: everybody counts once, while support is gathered."""
        entry = ledger.entry(support.entry)
        about = parse_leaf(entry).filing if entry is not None else None
        service = catalogue.services.get(about.type) if about is not None else None
        if about is None or service is None:
            return Verdict(refusal("case-unknown"))
        case = read_case(ledger.rows, support.entry, self._stream)
        if fold(service, about, case, self._calendar).state is not State.GATHERING_SUPPORT:
            return Verdict(refusal("support-closed"))
        if ledger.rows.get(support_row(support)) is not None:
            return Verdict(refusal("supported-already"))
        ledger.rows.put(support_row(support), b"")
        return _TAKEN

    def _act(self, submission: Submission, act: CaseAct, catalogue: Catalogue, ledger: Ledger) -> Verdict:
        """What becomes of an act on a case."""
        entry = ledger.entry(act.entry)
        about = parse_leaf(entry).filing if entry is not None else None
        service = catalogue.services.get(about.type) if about is not None else None
        if about is None or service is None:
            return Verdict(refusal("case-unknown"))
        filing = submission.filing
        case = read_case(ledger.rows, act.entry, self._stream)
        state = fold(service, about, case, self._calendar)
        action, by = Action(act.action), bytes.fromhex(filing.public[_CASE_FIELDS_BY].value)
        shown = submission.paper(GRANTS) or b""
        who = self._who(service, case.office, state, action, by == about.key, shown)
        if who is None:
            return Verdict(
                refusal("forbidden"), remembered=False
            )  # it may be shown with grants that allow it
        if action is Action.TRANSFER and office_of(act.amount) is None:
            return Verdict(refusal("office-unknown"))
        done = Act(filing.key.hex(), act.seen, action, who, filing.minute, act.amount)
        stepping = stepped(service, case, state, done, self._calendar)
        if isinstance(stepping, Refusal):
            return Verdict(stepping)
        case, after = stepping
        if who is not Who.CITIZEN:
            believe(ledger.rows, by, shown, ledger.minute)
        if service.places is not None:
            return self._bookings(catalogue, ledger).act(service, act.entry, about, case, done, after)
        keep_case(ledger.rows, act.entry, case)
        return Verdict()

    def _who(
        self, service: Service, office: str, state: Case, action: Action, citizen: bool, shown: bytes
    ) -> Who | None:
        """As whom somebody does this: who filed, or an official who has one of the roles that may.

        An act of an official is written down as that of the least role that may do it, so that it is the same for
        whoever knows only the leaves.
        """
        if citizen:
            return Who.CITIZEN
        roles = acts_as(service, office, read_grants(shown))
        rule = service.workflow.table.get((state.state, action))
        if rule is None:
            return next(iter(roles), None)  # who may act at all is told why not now
        return role_of(service.workflow, state.state, action) if roles & rule.who else None
