"""What was taken back, as far as this node knows, and which chains of grants are void by it.

Notices (`p2pworld.revocation`) are a set that only grows until they end by themselves. Every node keeps them on its
disk, passes on what it did not know, tells all it has to whoever it is linked with, and sees to it that the store of
the city has them. So it does not matter which of the two somebody can reach, or who was away meanwhile: what is void
follows from the set and the time alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import CLOCK_SKEW_MS, NOTICES_MAX, NOTICES_OF_DELEGATE_MAX, NOTICES_OF_ROOTS
from p2pworld.messages import REVOKE, Revoked, SaveRecord, ToPeer, WriteFailed, Wrote
from p2pworld.revocation import (
    Notice,
    Revocation,
    Succession,
    notice_end_ms,
    notice_fault,
    notice_id,
    pack_notice,
    reaches,
    read_notice,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from p2pworld.grants import Grant
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Instant
    from p2pworld.world.outbox import Outbox

__all__ = ["Notices"]

_KIND: Final = "notice"
_RETRY_S: Final = 5.0
_FORGET_S: Final = 60.0
_HEIRS_MAX: Final = 2  # of one key: with two it is void for good, whoever else it names


class Notices:
    """One node's notices. `saved` is what its disk held; `roots` are the keys that grants begin at."""

    def __init__(
        self, roots: frozenset[bytes], out: Outbox, saved: Iterable[SaveRecord] = (), now_ms: int = 0
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._roots, self._out = roots, out
        self._notices: dict[bytes, tuple[Notice, bytes]] = {}
        self._revoked: defaultdict[bytes, list[Revocation]] = defaultdict(list)  # by subject
        self._heirs: defaultdict[bytes, set[bytes]] = defaultdict(set)  # by the key before
        self._by_issuer: Counter[bytes] = Counter()
        self._chains: dict[bytes, tuple[Grant, ...]] = {}  # what nodes have shown, by their key
        self._linked: set[Incarnation] = set()
        self._able: set[Incarnation] = set()  # of these, who can hear a Revoked
        self._unsaved: set[bytes] = set()
        self._begun: list[bytes] = []  # written since the last Ready
        self._sent: dict[int, list[bytes]] = {}
        self._retry_s = self._forget_s = 0.0
        for record in saved:
            if record.kind == _KIND:
                self._recover(record, now_ms)

    def _recover(self, record: SaveRecord, now_ms: int) -> None:
        try:
            notice = read_notice(record.data)
        except RemoteError as error:
            self.counters[f"record-{error.reason}"] += 1
            return
        refusal = notice_fault(notice, self._roots, now_ms)
        if refusal is None:
            self._keep(notice, record.data)
        else:
            self.counters[f"notice-not-recovered-{refusal.reason}"] += 1

    # ---- who is linked

    def link_up(self, peer: Incarnation, caps: tuple[str, ...], grants: tuple[Grant, ...]) -> None:
        """Tell a node that has just been linked everything; it may have been away."""
        self._chains[peer.node] = grants
        self._linked.add(peer)
        if REVOKE in caps:
            self._able.add(peer)
            self._out.sends.extend(ToPeer(peer, Revoked(data)) for _, data in self._notices.values())

    def link_down(self, peer: Incarnation) -> None:
        """What it missed it is told when it is linked again."""
        self._linked.discard(peer)
        self._able.discard(peer)

    def members(self, nodes: Collection[bytes]) -> None:
        """Only of these nodes, and of those linked, is it remembered what they have shown."""
        linked = {peer.node for peer in self._linked}
        kept = {node: chain for node, chain in self._chains.items() if node in nodes or node in linked}
        self._chains = kept

    # ---- notices

    def receive(self, data: bytes, now: Instant, came_from: Incarnation | None = None) -> Notice | Refusal:
        """Take in a notice, as often as it comes: kept and passed on the first time."""
        try:
            notice = read_notice(data)
        except RemoteError as error:
            return self._refuse(Refusal("malformed", f"This is no notice: {error}."))
        name = notice_id(notice)
        if name in self._notices:
            return notice
        refusal = notice_fault(notice, self._roots, now.wall_ms) or self._no_room(notice)
        if refusal is not None:
            return self._refuse(refusal)
        data = pack_notice(notice)  # one form, whatever came
        self._keep(notice, data)
        self._save(name)
        self.counters["notice-revoked" if isinstance(notice, Revocation) else "notice-succeeded"] += 1
        self._out.sends.extend(
            ToPeer(peer, Revoked(data)) for peer in sorted(self._able) if peer != came_from
        )
        return notice

    def missing(self, names: Collection[bytes]) -> list[tuple[bytes, bytes]]:
        """(name, bytes) of every notice that is not among these names: what the store still lacks."""
        return [(name, data) for name, (_, data) in self._notices.items() if name not in names]

    def is_kept(self, notice: Notice) -> bool:
        """Whether this notice is on the disk."""
        name = notice_id(notice)
        return name in self._notices and name not in self._unsaved

    def _refuse(self, refusal: Refusal) -> Refusal:
        self.counters[f"notice-refused-{refusal.reason}"] += 1
        return refusal

    def _no_room(self, notice: Notice) -> Refusal | None:
        if isinstance(notice, Succession):
            heirs = self._heirs.get(notice.chain[-1].issuer, ())
            if len(heirs) >= _HEIRS_MAX:
                return Refusal("copied", "This key has named two next keys before: it is void for good.")
        elif notice.issuer in self._roots:
            full = len(self._notices) >= NOTICES_MAX
            return Refusal("full", "Too many keys and grants are taken back.") if full else None
        elif self._by_issuer[notice.issuer] >= NOTICES_OF_DELEGATE_MAX:
            return Refusal("full", "This issuer has taken back too many: ask for a root key's.")
        if len(self._notices) >= NOTICES_MAX - NOTICES_OF_ROOTS:
            return Refusal("full", "Too many keys and grants are taken back: ask for a root key's.")
        return None

    def _keep(self, notice: Notice, data: bytes) -> None:
        self._notices[notice_id(notice)] = (notice, data)
        if isinstance(notice, Succession):
            last = notice.chain[-1]
            self._heirs[last.issuer].add(last.subject)
        else:
            self._revoked[notice.subject].append(notice)
            self._by_issuer[notice.issuer] += 1

    def _save(self, name: bytes) -> None:
        self._out.writes.append(SaveRecord(_KIND, name, self._notices[name][1]))
        self._unsaved.add(name)
        self._begun.append(name)

    # ---- what is void

    def voids(self, chain: tuple[Grant, ...], at_ms: int) -> Refusal | None:
        """Why this chain gives nothing at that moment: `grant-revoked` or `grant-succeeded`."""
        for place, grant in enumerate(chain):
            for revocation in self._revoked.get(grant.subject, ()):
                if at_ms >= revocation.from_ms - CLOCK_SKEW_MS and reaches(revocation, chain, place):
                    why = f": {revocation.reason}" if revocation.reason else ""
                    which = "a grant in the chain" if revocation.grant else "a key in the chain"
                    return Refusal("grant-revoked", f"{which} was revoked{why}")
            heirs = self._heirs.get(grant.subject)
            if heirs and len(heirs) > 1:
                return Refusal("grant-succeeded", "a key in the chain has named two next keys")
            follows = chain[place + 1] if place + 1 < len(chain) else None
            if heirs and not (follows is not None and follows.succeeds and follows.subject in heirs):
                return Refusal("grant-succeeded", "the key has a next one, which is to be used instead")
        return None

    def fallen(self, nodes: Iterable[bytes], now_ms: int) -> frozenset[bytes]:
        """Which of these nodes may not take part any more.

        A root key's word about a whole key, or the key's own, is enough; else it takes the grants the node has shown.
        """
        return frozenset(node for node in nodes if self._has_fallen(node, now_ms))

    def _has_fallen(self, node: bytes, now_ms: int) -> bool:
        if node in self._heirs:
            return True
        final = (self._roots | {node}) if node in self._revoked else frozenset()
        if any(one.issuer in final and not one.grant for one in self._revoked.get(node, ())):
            return True
        return self.voids(self._chains.get(node, ()), now_ms) is not None

    def status(self) -> dict[str, object]:
        """Plain values for the operator."""
        return {"notices": len(self._notices), "notices_unsaved": len(self._unsaved)}

    # ---- time and disk

    def tick(self, now: Instant) -> None:
        """Try again to save what the disk refused, and forget what is over."""
        if now.boot_s >= self._retry_s:
            self._retry_s = now.boot_s + _RETRY_S
            under_way = {name for sent in self._sent.values() for name in sent}
            for name in sorted(self._unsaved - under_way - set(self._begun)):
                self._save(name)
        if now.boot_s >= self._forget_s:
            self._forget_s = now.boot_s + _FORGET_S
            over = [n for n, (notice, _) in self._notices.items() if notice_end_ms(notice) <= now.wall_ms]
            for name in over:
                self._forget(name)

    def _forget(self, name: bytes) -> None:
        notice, _ = self._notices.pop(name)
        self._unsaved.discard(name)
        if isinstance(notice, Succession):
            last = notice.chain[-1]
            self._heirs[last.issuer].discard(last.subject)
            if not self._heirs[last.issuer]:
                del self._heirs[last.issuer]
        else:
            self._revoked[notice.subject].remove(notice)
            if not self._revoked[notice.subject]:
                del self._revoked[notice.subject]
            self._by_issuer[notice.issuer] -= 1
        self._out.writes.append(SaveRecord(_KIND, name, b""))

    def leaving(self, number: int) -> None:
        """All writes asked for since the last call leave in the Ready of this number."""
        if self._begun:
            self._sent[number], self._begun = self._begun, []

    def advance(self, done: Wrote | WriteFailed) -> None:
        """The disk has answered for the writes of one Ready."""
        for name in self._sent.pop(done.number, ()):
            if isinstance(done, Wrote):
                self._unsaved.discard(name)
