"""Filing at any node, without I/O: what is filed here goes to the holder of its log, and the answer finds its way back.

A request comes from a client's socket, from an asker on this node (HTTP), or from another node over its link. The city
map says who holds the log. If that is this node, its own holder gets the submission, parsed; if it is another and the
request is a client's, that node gets the bytes, once: a holder passes nothing on, so nothing goes in circles. In every
other case the answer is a reason that says: ask again, here or elsewhere.

Nothing is kept here but who asked, bounded and for a bounded time. So a request whose way is lost (a node that
vanishes, an answer that does not come) is answered with `civic-unknown`, and whoever asked files the same again: the
log answers a retry as it answered the first, whether that is still on its way or not. What a relay could do wrong
(keep silent, alter) the citizen sees, who verifies the receipt with the log's key.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from p2pworld.civic.transaction import Submission, parse_submission
from p2pworld.errors import Refusal, RemoteError
from p2pworld.ids import Incarnation
from p2pworld.limits import (
    CIVIC_ANSWER_S,
    CIVIC_OPEN_MAX,
    CIVIC_OPEN_PER_ASKER,
    CIVIC_OPEN_PER_PEER,
    CIVIC_WITNESSED_S,
)
from p2pworld.messages import CIVIC, CivicFile, CivicFiled, Filed, ToClient, ToPeer
from p2pworld.world.citymap import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.messages import File
    from p2pworld.world.citymap import CityMap
    from p2pworld.world.outbox import Outbox

# ruff: noqa: RUF022  (what is wanted, what is told, and the machine)
__all__ = [
    "AnswerAsker", "Answered", "Held", "HoldStreams", "ToHolder", "CivicStep",
    "AskerFiled", "HolderAnswered", "HoldersFail", "RETRY", "Relay",
]  # fmt: skip

RETRY: Final = frozenset({"civic-moved", "civic-busy", "civic-down", "civic-unknown"})  # all else is final
_COUNTED: Final = RETRY | {"civic-clock"}  # many of these: it is the holder's clock that is wrong

_BUSY: Final = Refusal("civic-busy", "too many are waiting for an answer here; try again in a moment")
_DOWN: Final = Refusal(
    "civic-down", "nobody who could take this can be reached from here just now; try again"
)
_MOVED: Final = Refusal("civic-moved", "another node holds this log now")
_UNKNOWN: Final = Refusal("civic-unknown", "it is not known whether this came through; file the same again")
_CODE: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")  # what another node's reason may look like


# ---- what is wanted of the shell


@dataclass(frozen=True, slots=True)
class Held:
    """One stream that this node holds, and since which epoch."""

    stream: str
    epoch: int


@dataclass(frozen=True, slots=True)
class HoldStreams:
    """From now on hold these, and no others."""

    streams: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class ToHolder:
    """Give this to the holder of the stream here; `HolderAnswered` brings what it says, once, or twice with `more`."""

    request: int
    held: Held
    submission: Submission


@dataclass(frozen=True, slots=True)
class Answered:
    """A receipt, or the refusal; `more` as FILED has it."""

    receipt: bytes = b""
    refusal: Refusal | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class AnswerAsker:
    """What became of what this asker has filed."""

    asker: int
    answer: Answered


CivicStep = HoldStreams | ToHolder | AnswerAsker


# ---- what is told to the node


@dataclass(frozen=True, slots=True)
class AskerFiled:
    """Somebody files this by another way than a play socket; `asker` is new, and is answered once."""

    asker: int
    submission: bytes


@dataclass(frozen=True, slots=True)
class HolderAnswered:
    """What the holders here say of some requests, in order."""

    answers: tuple[tuple[int, Answered], ...]


@dataclass(frozen=True, slots=True)
class HoldersFail:
    """These streams cannot be held here now, for how their stores are reached; others may."""

    streams: frozenset[str]


@dataclass(frozen=True, slots=True)
class _FromClient:
    conn: int
    n: int


@dataclass(frozen=True, slots=True)
class _FromAsker:
    asker: int


@dataclass(frozen=True, slots=True)
class _FromPeer:
    peer: Incarnation
    request: int


_Origin = _FromClient | _FromAsker | _FromPeer
_Asker = int | Incarnation  # a socket, a peer


@dataclass(frozen=True, slots=True)
class _Open:
    """Who asked, to whom it went (None: to the holder here), and until when an answer is waited for."""

    origin: _Origin
    via: Incarnation | None
    until_s: float


class Relay:
    """One node's part in filing. What it wants said or done it puts into `out`."""

    def __init__(self, out: Outbox) -> None:
        self.counters: Counter[str] = Counter()
        self.yields: frozenset[str] = frozenset()  # what others should hold
        self._out = out
        self._city: CityMap = EMPTY
        self._me: Incarnation | None = None
        self._held: dict[str, Held] = {}
        self._able: set[Incarnation] = set()  # linked, and of a release that knows of filing
        self._requests = 0
        self._open: dict[int, _Open] = {}  # oldest first
        self._accepted: dict[
            int, _Open
        ] = {}  # answered once, and a second time if witnesses sign; oldest first
        self._of: Counter[_Asker] = Counter()  # how many are open of one socket, of one peer
        self._asked: dict[_Asker, set[int]] = {}  # all that is open, or may be answered again

    @property
    def open(self) -> int:
        """How many requests wait for their answer."""
        return len(self._open)

    @property
    def held(self) -> tuple[Held, ...]:
        """The streams that this node holds by the newest map, by name."""
        return tuple(self._held.values())

    def where(self, stream: str) -> Incarnation | Refusal:
        """Who holds this stream, or why a submission to it goes nowhere from here."""
        holding = self._city.streams.get(stream)
        if holding is None and self._city.version:
            return Refusal("civic-stream", f"this city has no log called {stream}")
        return _DOWN if holding is None or holding.holder is None else holding.holder

    # ---- what comes in

    def client_filed(self, conn: int, message: File, now_s: float) -> None:
        """A FILE on a play socket."""
        origin = _FromClient(conn, message.n)
        if self._of[conn] >= CIVIC_OPEN_PER_ASKER:
            self._answer(origin, Answered(refusal=_BUSY))
        else:
            self._take(origin, message.submission, now_s)

    def asker_filed(self, filed: AskerFiled, now_s: float) -> None:
        """Somebody on this node files; who that is, and how many, is for the shell to bound."""
        self._take(_FromAsker(filed.asker), filed.submission, now_s)

    def peer_filed(self, peer: Incarnation, message: CivicFile, now_s: float) -> None:
        """Another node passes something on to the holder here."""
        origin = _FromPeer(peer, message.request)
        if self._of[peer] >= CIVIC_OPEN_PER_PEER:
            self._answer(origin, Answered(refusal=_BUSY))
        else:
            self._take(origin, message.submission, now_s)

    def peer_answered(self, peer: Incarnation, message: CivicFiled, now_s: float) -> None:
        """The node that a request went to says what became of it."""
        known = self._open.get(message.request) or self._accepted.get(message.request)
        if known is None or known.via != peer:
            self.counters["filed-late"] += 1  # or never asked
            return
        refusal = None
        if not message.receipt:
            reason = message.reason if _CODE.fullmatch(message.reason) else _UNKNOWN.reason
            refusal = Refusal(reason, message.sentence)
        self._answered(message.request, Answered(message.receipt, refusal, message.more), now_s)

    def holder_answered(self, told: HolderAnswered, now_s: float) -> None:
        """The holders here say what became of some requests."""
        for request, answer in told.answers:
            self._answered(request, answer, now_s)

    # ---- what changes around it

    def map_changed(self, city: CityMap, me: Incarnation) -> None:
        """A newer map, or another incarnation of this node."""
        self._city, self._me = city, me
        held = {
            name: Held(name, holding.epoch)
            for name, holding in sorted(city.streams.items())
            if holding.holder == me and me.number
        }
        if held != self._held:
            self._held = held
            self._out.civic.append(HoldStreams(tuple(held.values())))

    def link_up(self, peer: Incarnation, caps: tuple[str, ...]) -> None:
        """A link is up."""
        if CIVIC in caps:
            self._able.add(peer)

    def link_down(self, peer: Incarnation) -> None:
        """A link is down: what went that way may or may not have come through, and who asked that way has gone."""
        self._able.discard(peer)
        self.lost(peer)
        for request in [request for request, known in self._open.items() if known.via == peer]:
            self.counters["filed-link-lost"] += 1
            self._end(request, Answered(refusal=_UNKNOWN))
        for request in [request for request, known in self._accepted.items() if known.via == peer]:
            self._forget(request)

    def lost(self, asker: _Asker) -> None:
        """A play socket is gone, or a peer; what it has filed goes on, and nobody is told."""
        for request in self._asked.pop(asker, ()):
            self._open.pop(request, None)
            self._accepted.pop(request, None)
        self._of.pop(asker, None)

    def tick(self, now_s: float) -> None:
        """Answers who has waited too long."""
        for request in _over(self._open, now_s):
            self.counters["filed-too-slow"] += 1
            self._end(request, Answered(refusal=_UNKNOWN))
        for request in _over(self._accepted, now_s):
            self._forget(request)

    # ---- the way there

    def _take(self, origin: _Origin, data: bytes, now_s: float) -> None:
        self.counters["filed"] += 1
        if len(self._open) >= CIVIC_OPEN_MAX:
            self._answer(origin, Answered(refusal=_BUSY))
            return
        try:
            submission = parse_submission(data)
        except RemoteError as error:
            self._answer(origin, Answered(refusal=_unreadable(error)))
            return
        stream = submission.filing.stream
        held = self._held.get(stream)
        if held is not None:
            request = self._opened(origin, None, now_s)
            self._out.civic.append(ToHolder(request, held, submission))
            return
        where = self.where(stream)
        if isinstance(origin, _FromPeer):
            where = _MOVED  # it believed that the log is here; nothing is passed on twice
        elif not isinstance(where, Refusal) and where not in self._able:
            where = _DOWN
        if isinstance(where, Refusal):
            self._answer(origin, Answered(refusal=where))
            return
        request = self._opened(origin, where, now_s)
        self.counters["filed-passed-on"] += 1
        self._out.sends.append(ToPeer(where, CivicFile(request, data)))

    def _opened(self, origin: _Origin, via: Incarnation | None, now_s: float) -> int:
        self._requests += 1
        self._open[self._requests] = _Open(origin, via, now_s + CIVIC_ANSWER_S)
        if (asker := _asker(origin)) is not None:
            self._of[asker] += 1
            self._asked.setdefault(asker, set()).add(self._requests)
        return self._requests

    # ---- the way back

    def _answered(self, request: int, answer: Answered, now_s: float) -> None:
        """The first answer, or the second where there may be one."""
        if (first := self._open.get(request)) is not None:
            if answer.more and not isinstance(first.origin, _FromAsker):
                self._await_witnesses(request, first, now_s)
                self._answer(first.origin, answer)
            else:
                self._end(request, answer)
        elif (second := self._accepted.get(request)) is not None and answer.receipt and not answer.more:
            self._forget(request)
            self._answer(second.origin, answer)
        else:
            self.counters["filed-late"] += 1

    def _await_witnesses(self, request: int, first: _Open, now_s: float) -> None:
        """It is answered, and not open any more; who has waited longest for a second answer gets none."""
        del self._open[request]
        self._count_down(first.origin)
        while len(self._accepted) >= CIVIC_OPEN_MAX:
            self._forget(next(iter(self._accepted)))
        self._accepted[request] = _Open(first.origin, first.via, now_s + CIVIC_WITNESSED_S)

    def _end(self, request: int, answer: Answered) -> None:
        """The one answer to a request that is open."""
        origin = self._open[request].origin
        self._forget(request)
        self._answer(origin, answer)

    def _forget(self, request: int) -> None:
        if (known := self._open.pop(request, None)) is not None:
            self._count_down(known.origin)
        else:
            known = self._accepted.pop(request)
        if (asker := _asker(known.origin)) is not None:
            asked = self._asked[asker]
            asked.discard(request)
            if not asked:
                del self._asked[asker]

    def _count_down(self, origin: _Origin) -> None:
        if (asker := _asker(origin)) is not None:
            self._of[asker] -= 1
            if not self._of[asker]:
                del self._of[asker]

    def _answer(self, origin: _Origin, answer: Answered) -> None:
        reason, sentence = "", ""
        if answer.refusal is not None:
            reason, sentence = answer.refusal.reason, answer.refusal.sentence[:300]
            self.counters[f"filed-{reason}" if reason in _COUNTED else "filed-refused"] += 1
        else:
            self.counters["filed-receipts"] += 1
        match origin:
            case _FromClient(conn, n):
                filed = Filed(n, answer.receipt, reason, sentence, answer.more)
                self._out.sends.append(ToClient(conn, filed))
            case _FromPeer(peer, request):
                told = CivicFiled(request, answer.receipt, reason, sentence, answer.more)
                self._out.sends.append(ToPeer(peer, told))
            case _FromAsker(asker):
                self._out.civic.append(AnswerAsker(asker, answer))


def _asker(origin: _Origin) -> _Asker | None:
    match origin:
        case _FromClient(conn):
            return conn
        case _FromPeer(peer):
            return peer
        case _:
            return None


def _over(table: Mapping[int, _Open], now_s: float) -> list[int]:
    """Those whose time is over; the oldest stand first, and all wait equally long."""
    return list(takewhile(lambda request: table[request].until_s <= now_s, table))


def _unreadable(error: RemoteError) -> Refusal:
    if error.reason == "submission-size":
        return Refusal("civic-size", "this is longer than anything that can be filed")
    return Refusal("civic-malformed", f"this cannot be read as a submission: {str(error)[:200]}")
