"""Citizens who file with simulated logs: each the same bytes, here or elsewhere, until answered for good.

Some file at two counters at once, some again when they have their receipt, some something else under the same key, and
some what must be refused. What they are told goes to the checkers, every answer of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.civic.erasure import file_erasure
from p2pworld.civic.transaction import SUGGESTION, Secrets, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import Refusal
from simulations.civic.court import ACT_REASONS, BOOKING_REASONS, act_on, booking
from simulations.machine import WALL_MS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from simulations.civic.keeper import Told
    from simulations.events import Agenda

__all__ = ["AGAIN", "Citizens", "FilingOptions", "Paper"]

AGAIN: Final = frozenset({"civic-moved", "civic-busy", "civic-down", "civic-unknown"})
_HOPES: Final = frozenset(
    {*AGAIN, "civic-stream"}
)  # everybody knows that the log exists, though a node may not yet
_MINUTE: Final = WALL_MS // 60_000 + 2  # within nine minutes of every moment of a run, whatever a clock shows
_OFFICE: Final = sealing_public(bytes([40]) * 32)
_CITIZENS: Final = 20
_NOWHERE: Final = 1_000_000  # no log of a run is so long
_PATIENCE_S: Final = (1.0, 3.0)
_PAUSE_S: Final = (0.2, 1.0)


@dataclass(frozen=True, slots=True)
class FilingOptions:
    """How often somebody files, and how often that is more than one plain filing (probabilities)."""

    per_s: float = 1.2
    double: float = 0.15  # at two counters at once
    again: float = 0.15  # once more after the receipt
    other: float = 0.12  # something else under the same key
    bad: float = 0.08  # what must be refused
    erase: float = 0.1  # has what it filed erased, once it has the receipt
    book: float = 0.0  # asks for a seat; at 0 there is nothing to book, and nobody who decides
    act: float = 0.5  # and confirms it, or gives it up, later
    again_s: tuple[float, float] = (0.0, 30.0)
    burst: int = 4  # so many at once at most


@dataclass(slots=True, eq=False)
class Paper:
    """One submission, and what becomes of it."""

    name: str
    stream: str
    submission: Submission
    expected: str = ""  # the reason it must be refused for, if any
    may: frozenset[str] = frozenset()  # the reasons it may be refused for, as others were before it
    filed_s: float = 0.0
    open: int = 0  # how many wait for an answer to it
    answers: list[int | str] = field(default_factory=list)  # places in the log, and reasons


class Counters(Protocol):
    """The run that people file in."""

    agenda: Agenda

    @property
    def filing(self) -> bool: ...

    def takes(self, stream: str) -> bool:
        """Whether people still file with this log."""

    def send(self, paper: Paper, data: bytes, dice: random.Random, told: Told) -> Callable[[], None]:
        """To any counter; answers come once, twice, or never. Who does not wait any more calls what is returned."""

    def verifies(self, paper: Paper, receipt: bytes) -> bool:
        """Whether this receipt proves that the paper is in its log, as a citizen's device finds out."""

    def answered(self, paper: Paper, answer: bytes | Refusal, more: bool) -> int | None:
        """Somebody was told this, and it verifies; the place in the log that it proves."""


def _secret(stream: str, number: int, of: str) -> bytes:
    return hashlib.sha256(f"{stream} {number} {of}".encode()).digest()


@cache
def _submission(stream: str, number: int, text: str, minute: int = _MINUTE) -> Submission:
    person = Signer.from_seed(hashlib.sha256(b"citizen %d" % (number % _CITIZENS)).digest())
    seed, blob, nonce = (_secret(stream, number, of) for of in ("seed", f"blob {text}", "nonce"))
    public, private, secrets = {"topic": "parks"}, {"text": text}, Secrets(seed, blob, nonce)
    return file_transaction(SUGGESTION, stream, minute, public, private, person, [_OFFICE], secrets)


def _erasure(stream: str, number: int, place: int, asker: int, claimed: bytes = b"") -> Submission:
    """What has the entry at `place` erased by who filed number `asker`, or is said to be asked for by `claimed`."""
    signer, seed = Signer.from_seed(_secret(stream, asker, "seed")), _secret(stream, number, f"erase {place}")
    erasure = file_erasure(stream, place, _MINUTE, signer, seed)
    if not claimed:
        return erasure
    index, by, asked = erasure.filing.public
    filing = replace(erasure.filing, public=(index, replace(by, value=claimed.hex()), asked))
    return Submission(filing, Signer.from_seed(seed).sign(filing.statement()))


@cache
def _bytes(submission: Submission) -> bytes:
    return submission.to_bytes()


class Citizens:
    """Everybody who files with these streams."""

    def __init__(
        self, streams: Sequence[str], options: FilingOptions, dice: random.Random, run: Counters
    ) -> None:
        self.papers: list[Paper] = []
        self._streams, self._options, self._dice, self._run = tuple(streams), options, dice, run
        self._count = 0

    def begin(self) -> None:
        """Somebody files, and then somebody else, for as long as the run has it."""
        if self._options.per_s:
            self._run.agenda.after(self._dice.expovariate(self._options.per_s), self._somebody)

    def _somebody(self) -> None:
        if not self._run.filing:
            return
        self.begin()
        for _ in range(self._dice.randint(1, self._options.burst) if self._dice.random() < 0.2 else 1):
            stream = self._streams[self._dice.randrange(len(self._streams))]
            if self._run.takes(stream):
                self.file(stream)

    def file(self, stream: str) -> None:
        """One citizen's errand."""
        self._count += 1
        number, dice, options = self._count, self._dice, self._options
        if options.book and dice.random() < options.book:
            self._book(stream, number)
            return
        good = _submission(stream, number, "text")
        if dice.random() < options.bad:
            self._send(self._bad(stream, number, good))
            return
        paper = self._paper(f"c{number}", stream, good)
        self._send(paper)
        if dice.random() < options.double:
            self._send(paper)
        if dice.random() < options.other:
            other = self._paper(f"c{number}x", stream, _submission(stream, number, "other text"))
            later_s = 0.0 if dice.random() < 0.5 else dice.uniform(*options.again_s)
            self._run.agenda.after(later_s, lambda: self._send(other))
        if dice.random() < options.again:
            self._run.agenda.after(dice.uniform(*options.again_s), lambda: self._send(paper))
        if dice.random() < options.erase:
            self._run.agenda.after(dice.uniform(*options.again_s), lambda: self._erase(paper, number))

    def _book(self, stream: str, number: int) -> None:
        """Somebody asks for a seat, with the impatience of a rush."""
        dice, options = self._dice, self._options
        paper = self._paper(f"b{number}", stream, booking(stream, number, dice.randrange(8), _MINUTE))
        paper.may = BOOKING_REASONS
        self._send(paper)
        if dice.random() < 2 * options.double:
            self._send(paper)
        if dice.random() < options.again:
            self._run.agenda.after(dice.uniform(*options.again_s), lambda: self._send(paper))
        if dice.random() < options.act:
            self._run.agenda.after(dice.uniform(*options.again_s), lambda: self._act(paper, number))

    def _act(self, paper: Paper, number: int) -> None:
        """Whoever has a receipt for a booking gives it up, or confirms what is held."""
        entry = next((answer for answer in paper.answers if isinstance(answer, int)), None)
        if entry is None:
            return
        action = "cancel" if self._dice.random() < 0.5 else "confirm"
        act = self._paper(
            f"{paper.name}a", paper.stream, act_on(paper.stream, number, entry, action, _MINUTE)
        )
        act.may = ACT_REASONS
        self._send(act)
        self._send(act)

    def _erase(self, paper: Paper, number: int) -> None:
        """Whoever has a receipt has what is behind it erased; a stranger cannot, and not what is not there."""
        place = next((answer for answer in paper.answers if isinstance(answer, int)), None)
        if place is None:
            return
        which = self._dice.randrange(5)
        asker, at, expected = {
            0: (number + 1, place, "civic-erase-right"),
            1: (number, _NOWHERE, "civic-erase-none"),
            2: (number + 1, place, "civic-signature"),
        }.get(which, (number, place, ""))
        claimed = paper.submission.filing.key if expected == "civic-signature" else b""
        erasure = _erasure(paper.stream, number, at, asker, claimed)
        self._send(self._paper(f"{paper.name}e", paper.stream, erasure, expected))

    def _paper(self, name: str, stream: str, submission: Submission, expected: str = "") -> Paper:
        paper = Paper(name, stream, submission, expected, filed_s=self._run.agenda.now_s)
        self.papers.append(paper)
        return paper

    def _bad(self, stream: str, number: int, good: Submission) -> Paper:
        which, name = self._dice.randrange(4), f"c{number}"
        if which == 0:
            return self._paper(name, stream, replace(good, sig=bytes(64)), "civic-signature")
        if which == 1:
            late = _submission(stream, number, "text", _MINUTE + 20)
            return self._paper(name, stream, late, "civic-clock")
        if which == 2:
            unknown = replace(good, filing=replace(good.filing, type="petition"))
            return self._paper(name, stream, unknown, "civic-type")
        return self._paper(name, stream, replace(good, sealed=None), "civic-sealed")

    def _send(self, paper: Paper) -> None:
        if self._run.filing:
            paper.open += 1
            _Errand(paper, self._dice, self._run).ask()


class _Errand:
    """One who wants an answer to a paper."""

    def __init__(self, paper: Paper, dice: random.Random, run: Counters) -> None:
        self._paper, self._dice, self._run = paper, dice, run
        self._done = False
        self._tries = 0
        self._leave: Callable[[], None] = _nothing

    def ask(self) -> None:
        """At any counter, and at another if it takes too long."""
        if self._done:
            return
        self._leave()
        self._tries += 1
        this = self._tries
        data = _bytes(self._paper.submission)
        told = partial(self._told, this)
        self._leave = self._run.send(self._paper, data, self._dice, told)
        self._run.agenda.after(self._dice.uniform(*_PATIENCE_S), lambda: self._waited(this))

    def _waited(self, which: int) -> None:
        if which == self._tries:
            self.ask()

    def _told(self, which: int, answer: bytes | Refusal, more: bool) -> None:
        if isinstance(answer, bytes) and not self._run.verifies(self._paper, answer):
            return  # whoever gave that is not to be trusted
        place = self._run.answered(self._paper, answer, more)
        if isinstance(answer, Refusal) and answer.reason in _HOPES:
            if which == self._tries:
                self._tries += 1  # nobody waits for that counter any more
                self._run.agenda.after(self._dice.uniform(*_PAUSE_S), self.ask)
        elif (place is not None or isinstance(answer, Refusal)) and not self._done:
            self._done = True
            self._paper.open -= 1
        if self._done and not more:
            self._leave()


def _nothing() -> None:
    pass
