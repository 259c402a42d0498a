"""People's safety: what is reported is kept for moderators, and what moderators order is obeyed by every node.

A report holds what somebody said with the speaker's own signature, so it proves itself; only the node that got it has
it, and shows it to moderators alone. An order (`Sanction`) is signed by a moderator and carries the grants that make
its issuer one. Orders are a set that only grows: every node passes on what it did not know, tells all it has to whoever
it is linked with, and keeps them on its disk. What is in force follows from the set and the time alone, so nodes agree
without agreeing: an order ends when it says, or by a later one that lifts it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from p2pworld.crypto.keys import verify, verify_said
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.grants import CHAIN_MAX, Grant, Voids, verify_chain
from p2pworld.ids import avatar_id
from p2pworld.limits import (
    LOGIN_AHEAD_MS,
    REPORT_KEPT_MS,
    REPORTS_MAX,
    REPORTS_PER_MINUTE,
    SANCTION_BYTES_MAX,
    SANCTION_LONGEST_MS,
    SANCTIONS_MAX,
)
from p2pworld.messages import (
    Done,
    Instant,
    Said,
    Sanctioned,
    SaveRecord,
    Size,
    ToClient,
    ToPeer,
    WriteFailed,
    Wrote,
)
from p2pworld.messages.fields import U53, AvatarId, Code, Key, Sentence, Signature
from p2pworld.wire.codec import canonical, unpack_map
from p2pworld.wire.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from p2pworld.crypto.keys import Signer
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Report
    from p2pworld.world.outbox import Outbox

__all__ = [
    "ACTIONS",
    "CITY",
    "REMOVED_MS",
    "Asking",
    "Filed",
    "Moderation",
    "Sanction",
    "ends_ms",
    "pack_asking",
    "pack_sanction",
    "read_asking",
    "read_sanction",
    "sanction_id",
    "sign_asking",
    "sign_sanction",
    "subject_of",
    "until_words",
]

ACTIONS: Final = ("mute", "remove", "ban", "lift", "expunge")
CITY: Final = "city"
REMOVED_MS: Final = 600_000  # who was removed may come back after ten minutes
_ASKING_MS: Final = 60_000  # how old a moderator's request may be
_RETRY_S: Final = 5.0
_FORGET_S: Final = 60.0
_SANCTION, _REPORT = "sanction", "report"
_SCOPE: Final = re.compile(r"city|place:[a-z0-9][a-z0-9._-]{0,80}", re.ASCII)
_REASON: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)

Chain = Annotated[tuple[Grant, ...], Size(1, CHAIN_MAX)]


@dataclass(frozen=True, slots=True)
class Sanction:
    """A moderator's order: `action` on `subject` within `scope`, from one moment to before another (Unix ms).

    `subject` is a person's public key, or, to expunge, an object's 16-byte id. `scope` is `city` or `place:<id>`. A
    `lift` ends all earlier orders on its subject within its scope. The signature covers all but `chain` and `sig`.
    """

    subject: Annotated[bytes, Size(16, 32)]
    action: Code
    scope: Annotated[str, Size(1, 100)]
    from_ms: U53
    until_ms: U53
    reason: Code
    issuer: Key
    chain: Chain
    sig: Signature


@dataclass(frozen=True, slots=True)
class Filed:
    """A report as it is kept: what was said, why it was reported, by which avatar and when (Unix ms)."""

    said: Said
    by: AvatarId
    at_ms: U53
    why: Sentence = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """A moderator's request to be shown something (`what`) by one node, at one moment; it is good once."""

    what: Code
    node: Key
    ms: U53
    issuer: Key
    chain: Chain
    sig: Signature


_SANCTIONS = Schema(Sanction)
_FILED = Schema(Filed)
_ASKINGS = Schema(Asking)


# ---- orders as values


def _signed_bytes(value: Sanction | Asking) -> bytes:
    schema, name = (_SANCTIONS, b"sanction") if isinstance(value, Sanction) else (_ASKINGS, b"moderator asks")
    fields = schema.write(value)  # type: ignore[arg-type]
    del fields["sig"], fields["chain"]
    return b"p2pworld " + name + b" v1\n" + canonical(fields)


def sign_sanction(
    issuer: Signer,
    chain: tuple[Grant, ...],
    action: str,
    subject: bytes,
    scope: str,
    from_ms: int,
    until_ms: int,
    reason: str,
) -> Sanction:
    """The signed order; whether it holds is for whoever receives it."""
    unsigned = Sanction(subject, action, scope, from_ms, until_ms, reason, issuer.public, chain, bytes(64))
    return dataclasses.replace(unsigned, sig=issuer.sign(_signed_bytes(unsigned)))


def sign_asking(issuer: Signer, chain: tuple[Grant, ...], what: str, node: bytes, ms: int) -> Asking:
    """The signed request to one node."""
    unsigned = Asking(what, node, ms, issuer.public, chain, bytes(64))
    return dataclasses.replace(unsigned, sig=issuer.sign(_signed_bytes(unsigned)))


def pack_sanction(sanction: Sanction) -> bytes:
    """Its canonical bytes, chain and signature included."""
    return canonical(_SANCTIONS.write(sanction))


def pack_asking(asking: Asking) -> bytes:
    """Its canonical bytes."""
    return canonical(_ASKINGS.write(asking))


def read_sanction(data: bytes) -> Sanction:
    """The order of `pack_sanction`'s bytes.

    Raises:
        RemoteError: malformed, or too long.
    """
    if len(data) > SANCTION_BYTES_MAX:
        raise RemoteError("frame-size", f"an order of {len(data)} bytes")
    return _SANCTIONS.read(unpack_map(data))


def read_asking(data: bytes) -> Asking:
    """The request of `pack_asking`'s bytes.

    Raises:
        RemoteError: malformed.
    """
    return _ASKINGS.read(unpack_map(data))


def sanction_id(sanction: Sanction) -> bytes:
    """16 bytes that name what was ordered, whichever grants come with it."""
    return hashlib.sha256(_signed_bytes(sanction)).digest()[:16]


def ends_ms(sanction: Sanction) -> int:
    """When it is over by itself."""
    if sanction.action == "remove":
        return min(sanction.until_ms, sanction.from_ms + REMOVED_MS)
    return sanction.until_ms


def until_words(unix_ms: int) -> str:
    """A moment as people in Seoul say it, such as `2026-01-01 00:00`."""
    return str(datetime(1970, 1, 1) + timedelta(milliseconds=unix_ms, hours=9))[:16]


def _fault(
    sanction: Sanction, roots: frozenset[bytes], now_ms: int, fresh: bool, voids: Voids | None = None
) -> Refusal | None:
    """Why an order does not hold; `fresh`: it comes from its issuer just now, not from another node."""
    if sanction.action not in ACTIONS:
        return Refusal("action", f"An order is one of {', '.join(ACTIONS)}.")
    if len(sanction.subject) != (16 if sanction.action == "expunge" else 32):
        return Refusal("subject", "An object is named by 16 bytes, a person by a key of 32.")
    if not _SCOPE.fullmatch(sanction.scope) or (sanction.action == "expunge" and sanction.scope != CITY):
        return Refusal("scope", "The scope is city, or place:<id>; expunging is for the city.")
    if not _REASON.fullmatch(sanction.reason):
        return Refusal("reason", "The reason is a code of small letters, digits, - and _.")
    if not 0 < sanction.until_ms - sanction.from_ms <= SANCTION_LONGEST_MS:
        return Refusal("span", "An order ends after it begins, and at most 90 days later.")
    if sanction.until_ms <= now_ms:
        return Refusal("expired", "The order has ended already.")
    if sanction.from_ms > now_ms + LOGIN_AHEAD_MS or (fresh and sanction.from_ms < now_ms - LOGIN_AHEAD_MS):
        return Refusal("clock", "An order begins when it is given, by a clock that is right.")
    # valid when the order was given: a grant that has ended since takes nothing back
    refusal = _no_moderator(sanction.chain, roots, sanction.issuer, sanction.from_ms, sanction.scope, voids)
    if refusal is None and fresh:
        refusal = _no_moderator(sanction.chain, roots, sanction.issuer, now_ms, sanction.scope, voids)
    if refusal is not None:
        return refusal
    if not verify(sanction.issuer, _signed_bytes(sanction), sanction.sig):
        return Refusal("signature", "The signature does not fit the order.")
    return None


def _no_moderator(
    chain: tuple[Grant, ...],
    roots: frozenset[bytes],
    key: bytes,
    at_ms: int,
    scope: str,
    voids: Voids | None = None,
) -> Refusal | None:
    """Why this key was no moderator over this scope at that moment. Who moderates all cells moderates all places."""
    place = scope.removeprefix("place:") if scope != CITY else "*"
    refusal = verify_chain(chain, roots, key, "moderator", at_ms, f"places:{place}", voids)
    if refusal is not None and refusal.reason == "grant-scope":
        refusal = verify_chain(chain, roots, key, "moderator", at_ms, "cells:*", voids)
    return refusal


# ---- the machine


@dataclass(slots=True, eq=False)
class _Waiting:
    """A report on its way to the disk."""

    conn: int
    n: int
    id: bytes
    filed: Filed


class Moderation:
    """One node's reports and orders. `saved` is what its disk held; `roots` are the keys that grants begin at."""

    def __init__(
        self, roots: frozenset[bytes], out: Outbox, saved: Iterable[SaveRecord] = (), now_ms: int = 0
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._roots, self._out = roots, out
        self.voids: Voids | None = None  # which chains are void, whatever they say
        self._orders: dict[bytes, tuple[Sanction, bytes]] = {}
        self._on: defaultdict[bytes, list[Sanction]] = defaultdict(list)  # by subject
        self._keys: dict[int, bytes] = {}  # avatar -> its key, of persons under some order
        self._placed: dict[bytes, None] = {}  # subjects of which some order was for one place, or an object's
        self._reports: dict[bytes, Filed] = {}
        self._reported_s: defaultdict[int, deque[float]] = defaultdict(deque)  # by conn
        self._asked: deque[tuple[int, bytes]] = deque()  # requests already answered
        self._unsaved: set[bytes] = set()
        self._begun: list[_Waiting | bytes] = []  # written since the last Ready: a report, or an order's id
        self._sent: dict[int, list[_Waiting | bytes]] = {}
        self._retry_s = self._forget_s = 0.0
        for record in saved:
            self._recover(record, now_ms)

    def _recover(self, record: SaveRecord, now_ms: int) -> None:
        try:
            if record.kind == _SANCTION:
                sanction = read_sanction(record.data)
                refusal = _fault(sanction, self._roots, now_ms, False)
                if refusal is None:
                    self._keep(sanction, record.data)
                else:
                    self.counters[f"order-not-recovered-{refusal.reason}"] += 1
            elif record.kind == _REPORT:
                self._reports[record.id] = _FILED.read(unpack_map(record.data))
        except RemoteError as error:
            self.counters[f"record-{error.reason}"] += 1

    # ---- reports

    def report(self, conn: int, reporter: int, report: Report, now: Instant) -> None:
        """Keep what a client reports; it is answered when it is on the disk."""
        said = report.said
        name = hashlib.sha256(b"report" + reporter.to_bytes(8, "big") + said.sig).digest()[:16]
        times = self._reported_s[conn]
        while times and now.boot_s - times[0] >= 60.0:
            times.popleft()
        if name in self._reports:
            self._out.sends.append(ToClient(conn, Done(report.n, "disk", name)))
        elif len(times) >= REPORTS_PER_MINUTE:
            self._decline(conn, report.n, "report-rate", "That is many reports; please wait a minute.")
        elif avatar_id(said.key) != said.id or not verify_said(said.key, said):
            self._decline(conn, report.n, "report-signature", "This is not what that person said.")
        elif len(self._reports) + len(self._begun) >= REPORTS_MAX:
            self._decline(conn, report.n, "report-full", "Too many reports wait here; tell a moderator.")
        else:
            times.append(now.boot_s)
            filed = Filed(said, reporter, now.wall_ms, report.why)
            self._out.writes.append(SaveRecord(_REPORT, name, canonical(_FILED.write(filed))))
            self._begun.append(_Waiting(conn, report.n, name, filed))

    def lost(self, conn: int) -> None:
        """The socket is gone: its number will be another's."""
        self._reported_s.pop(conn, None)
        for one in (*self._begun, *(one for sent in self._sent.values() for one in sent)):
            if isinstance(one, _Waiting) and one.conn == conn:
                one.conn = -1

    def reports(self, asking: Asking, node: bytes, now_ms: int) -> tuple[tuple[bytes, Filed], ...] | Refusal:
        """Every report kept here with its id, oldest first, for a moderator of the city."""
        stale = abs(asking.ms - now_ms) > _ASKING_MS
        while self._asked and self._asked[0][0] < now_ms - 2 * _ASKING_MS:
            self._asked.popleft()
        name = hashlib.sha256(_signed_bytes(asking)).digest()
        if asking.what != "reports" or asking.node != node:
            return Refusal("other", "This request is for another node or another thing.")
        if stale or any(name == known for _, known in self._asked):
            return Refusal("replay", "A request is good once, for a minute.")
        refusal = _no_moderator(asking.chain, self._roots, asking.issuer, now_ms, CITY, self.voids)
        if refusal is not None:
            return refusal
        if not verify(asking.issuer, _signed_bytes(asking), asking.sig):
            return Refusal("signature", "The signature does not fit the request.")
        self._asked.append((now_ms, name))
        return tuple(sorted(self._reports.items(), key=lambda item: (item[1].at_ms, item[0])))

    def _decline(self, conn: int, n: int, reason: str, sentence: str) -> None:
        self.counters[reason] += 1
        if conn >= 0:
            self._out.sends.append(ToClient(conn, Done(n, reason=reason, sentence=sentence)))

    # ---- orders

    def receive(
        self, data: bytes, now: Instant, links: Collection[Incarnation], came_from: Incarnation | None = None
    ) -> Sanction | Refusal:
        """Take in an order, from its issuer or from a node, as often as it comes: kept and passed on the first time."""
        try:
            sanction = read_sanction(data)
        except RemoteError as error:
            return self._refuse(Refusal("malformed", f"This is no order: {error}."))
        name = sanction_id(sanction)
        if name in self._orders and self._orders[name][0].sig == sanction.sig:
            return sanction
        refusal = _fault(sanction, self._roots, now.wall_ms, came_from is None, self.voids)
        if refusal is None and len(self._orders) >= SANCTIONS_MAX:
            refusal = Refusal("full", "Too many orders are in force.")
        if refusal is not None:
            return self._refuse(refusal)
        if name not in self._orders:
            self._keep(sanction, data)
            self._save(name)
            self.counters[f"order-{sanction.action}"] += 1
            self._out.sends.extend(
                ToPeer(peer, Sanctioned(data)) for peer in sorted(links) if peer != came_from
            )
        return sanction

    def is_kept(self, sanction: Sanction) -> bool:
        """Whether this order is on the disk."""
        name = sanction_id(sanction)
        return name in self._orders and name not in self._unsaved

    def linked(self, peer: Incarnation) -> None:
        """Tell a node that has just been linked everything; it may have been away."""
        self._out.sends.extend(ToPeer(peer, Sanctioned(data)) for _, data in self._orders.values())

    def _refuse(self, refusal: Refusal) -> Refusal:
        self.counters[f"order-refused-{refusal.reason}"] += 1
        return refusal

    def _keep(self, sanction: Sanction, data: bytes) -> None:
        self._orders[sanction_id(sanction)] = (sanction, data)
        self._on[sanction.subject].append(sanction)
        if sanction.action != "expunge":
            self._keys[avatar_id(sanction.subject)] = sanction.subject
        if sanction.scope != CITY or sanction.action == "expunge":
            self._placed[sanction.subject] = None

    def _save(self, name: bytes) -> None:
        self._out.writes.append(SaveRecord(_SANCTION, name, self._orders[name][1]))
        self._unsaved.add(name)
        self._begun.append(name)

    # ---- what is in force

    def in_force(self, subject: bytes, actions: Collection[str], now_ms: int) -> list[Sanction]:
        """The orders of these kinds on this subject, the longest lasting first."""
        orders = self._on.get(subject, ())
        lifts = [order for order in orders if order.action == "lift"]
        holding = [
            order
            for order in orders
            if order.action in actions
            and now_ms < ends_ms(order)
            and not any(lift.from_ms >= order.from_ms and lift.scope in (CITY, order.scope) for lift in lifts)
        ]
        return sorted(holding, key=lambda order: (-ends_ms(order), order.sig))

    def muted(self, key: bytes, place: str | None, now_ms: int) -> Refusal | None:
        """Why this person may not speak at this place, in words."""
        for order in self.in_force(key, ("mute",), now_ms):
            if order.scope in (CITY, f"place:{place}"):
                return _words("muted", order)
        return None

    def muted_avatar(self, avatar: int, place: str | None, now_ms: int) -> Refusal | None:
        """The same for an avatar, which may be another node's."""
        key = self._keys.get(avatar)
        return None if key is None else self.muted(key, place, now_ms)

    def barred(self, key: bytes, now_ms: int) -> Refusal | None:
        """Why this person may not be in the city now: `banned` or `removed`, and until when."""
        for order in self.in_force(key, ("ban", "remove"), now_ms):
            if order.scope == CITY:
                return _words("banned" if order.action == "ban" else "removed", order)
        return None

    def kept_out(self, now_ms: int) -> list[tuple[int, str, Refusal]]:
        """Who may not be at which place: (avatar, the place's id, why)."""
        return [
            (avatar_id(subject), order.scope.removeprefix("place:"), _words("removed", order))
            for subject in self._placed
            for order in self.in_force(subject, ("ban", "remove"), now_ms)
            if order.scope != CITY
        ]

    def expunged(self, now_ms: int) -> list[bytes]:
        """The objects that are to be taken down for good wherever they are."""
        return [
            subject
            for subject in self._placed
            if len(subject) == 16 and self.in_force(subject, ("expunge",), now_ms)
        ]

    def status(self) -> dict[str, object]:
        """Plain values for the operator."""
        return {
            "orders": len(self._orders),
            "reports": len(self._reports),
            "orders_unsaved": len(self._unsaved),
        }

    # ---- time and disk

    def tick(self, now: Instant) -> None:
        """Try again to save what the disk refused, and forget what is over."""
        if now.boot_s >= self._retry_s:
            self._retry_s = now.boot_s + _RETRY_S
            under_way = {one for sent in self._sent.values() for one in sent if isinstance(one, bytes)}
            for name in sorted(self._unsaved - under_way - set(self._begun)):
                self._save(name)
        if now.boot_s >= self._forget_s:
            self._forget_s = now.boot_s + _FORGET_S
            self._forget(now.wall_ms)

    def _forget(self, now_ms: int) -> None:
        over = [name for name, (order, _) in self._orders.items() if order.until_ms <= now_ms]
        for name in over:
            order, _ = self._orders.pop(name)
            self._unsaved.discard(name)
            self._on[order.subject].remove(order)
            if not self._on[order.subject]:
                del self._on[order.subject]
                self._placed.pop(order.subject, None)
                self._keys.pop(avatar_id(order.subject), None)
            self._out.writes.append(SaveRecord(_SANCTION, name, b""))
        for name in [n for n, filed in self._reports.items() if filed.at_ms <= now_ms - REPORT_KEPT_MS]:
            del self._reports[name]
            self._out.writes.append(SaveRecord(_REPORT, name, b""))

    def leaving(self, number: int) -> None:
        """All writes asked for since the last call leave in the Ready of this number."""
        if self._begun:
            self._sent[number], self._begun = self._begun, []

    def advance(self, done: Wrote | WriteFailed) -> None:
        """The disk has answered for the writes of one Ready."""
        for one in self._sent.pop(done.number, ()):
            if isinstance(one, bytes):
                if isinstance(done, Wrote):
                    self._unsaved.discard(one)
            elif isinstance(done, Wrote):
                self._reports[one.id] = one.filed
                self.counters["reports"] += 1
                if one.conn >= 0:
                    self._out.sends.append(ToClient(one.conn, Done(one.n, "disk", one.id)))
            else:
                self._decline(one.conn, one.n, "disk", "This report could not be kept; please try again.")


def _words(code: str, order: Sanction) -> Refusal:
    where = "" if order.scope == CITY else f" at {order.scope.removeprefix('place:')}"
    what = {"muted": "muted you", "banned": "banned you", "removed": "asked you to leave"}[code]
    return Refusal(
        code, f"A moderator has {what}{where} until {until_words(ends_ms(order))} (Seoul): {order.reason}."
    )


def subject_of(text: str, action: str) -> bytes:
    """The subject in hexadecimal digits: 32 for an object, 64 for a person's key.

    Raises:
        LocalError: neither.
    """
    digits = 32 if action == "expunge" else 64
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", text):
        raise LocalError(f"{text!r} is not what to {action}: give {digits} hex digits")
    return bytes.fromhex(text)
