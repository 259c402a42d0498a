"""Anti-entropy: copies of a cell's objects that should be equal are compared, regularly and by hashes alone.

Deltas keep copies in step as long as nothing goes wrong unseen: a bit that flips, a change that is lost without a gap,
a row that a disk brings back as it once was. So every few seconds a holder tells each follower the digest of every cell
(`CellRoots`), and a follower that has another one asks down the tree where the two differ (`crdt.anti_entropy`), takes
the holder's word for that part alone, writes it, and gives what the holder never heard of. Who has objects of a cell
that another holds asks the same way before giving them, and gives only what is missing there.

Each time a sixteenth of the objects is hashed anew from memory. An object of a follower that is not what it was is
mended like all that differs. The holder's word is what everybody goes by: if its memory is wrong it ends, and what is
on the disks goes on. While a follower compares it writes nothing else of that cell; a comparison that takes too long is
given up, and the next digest begins another. Nodes of an older release are told nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.crdt import CellTree, Comparison, ObjectCell, Part
from p2pworld.errors import RemoteError
from p2pworld.geometry import Cell
from p2pworld.limits import (
    AUDIT_EVERY_S,
    AUDIT_OBJECTS_PER_TICK,
    AUDIT_PARTS,
    COMPARE_S,
    COMPARISONS_MAX,
)
from p2pworld.messages import (
    AUDIT,
    CellAsk,
    CellPart,
    CellRefused,
    CellRoot,
    CellRoots,
    CellTwigs,
    ToPeer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pworld.ids import Incarnation
    from p2pworld.world.object_keeper import Keeper
    from p2pworld.world.object_records import Record, Station
    from p2pworld.world.outbox import Outbox

__all__ = ["Audit"]

_ROOTS_MAX: Final = 256  # of one message


@dataclass(slots=True)
class _Telling:
    """A held cell as it was, told to one who compares; kept until `until_s`."""

    epoch: int
    n: int
    tree: CellTree
    until_s: float


@dataclass(slots=True)
class _Comparing:
    """A copy here, compared with what a holder tells. `known` is set if it is to be given: `epoch` and `n` are the
    holder's then, 0 until it has said them."""

    comparison: Comparison
    epoch: int
    n: int
    until_s: float
    known: Cell | None = None


class Audit:
    """The comparisons of one node, on both sides. `given` is told the extras of a known cell for a holder's cell."""

    def __init__(
        self,
        station: Station,
        records: dict[int, Record],
        keeper: Keeper,
        given: Callable[[Cell, int, Incarnation, ObjectCell, Outbox], None],
    ) -> None:
        self._station, self._records, self._keeper, self._given = station, records, keeper, given
        self._able: set[Incarnation] = set()  # linked, and able to hear of it
        self._telling: dict[tuple[Incarnation, int], _Telling] = {}
        self._comparing: dict[tuple[Incarnation, int], _Comparing] = {}
        self._trees: dict[int, CellTree] = {}  # of held cells, as they last were
        self._round: list[int] = []  # cells whose turn is still to come, the next one last
        self._next_s = 0.0

    # ---- links and time

    def link_up(self, peer: Incarnation, caps: tuple[str, ...]) -> None:
        """A node is linked; one of an older release is told nothing."""
        if AUDIT in caps:
            self._able.add(peer)

    def link_down(self, peer: Incarnation, out: Outbox) -> None:
        """What was under way with it is given up."""
        self._able.discard(peer)
        self._telling = {pair: one for pair, one in self._telling.items() if pair[0] != peer}
        for pair in [pair for pair in self._comparing if pair[0] == peer]:
            self._end(pair, out)

    def is_able(self, peer: Incarnation) -> bool:
        """Whether this node is linked and hears of digests."""
        return peer in self._able

    def tick(self, out: Outbox, now_s: float) -> None:
        """Tell followers of the cells whose turn it is; give up what takes too long."""
        for pair in [pair for pair, one in self._comparing.items() if one.until_s <= now_s]:
            self._station.counters["audit-unfinished"] += 1
            self._end(pair, out)
        if not self._round and now_s >= self._next_s:
            self._next_s = now_s + AUDIT_EVERY_S
            self._telling = {pair: one for pair, one in self._telling.items() if one.until_s > now_s}
            self._round = sorted(cell for cell, record in self._records.items() if record.held)
            self._trees = {cell: self._trees[cell] for cell in self._round if cell in self._trees}
        told: defaultdict[Incarnation, list[CellRoot]] = defaultdict(list)
        left = AUDIT_OBJECTS_PER_TICK
        while self._round and left > 0:
            record = self._records.get(self._round.pop())
            if record is not None and record.held is not None and record.held.based:
                left -= self._tell(record, told, now_s)
        for peer, roots in told.items():
            for at in range(0, len(roots), _ROOTS_MAX):
                out.sends.append(ToPeer(peer, CellRoots(tuple(roots[at : at + _ROOTS_MAX])), fenced=True))

    # ---- the holder's side

    def _tell(self, record: Record, told: dict[Incarnation, list[CellRoot]], now_s: float) -> int:
        """Note a held cell's digest for each follower that has been sent all of it; returns how much work it was."""
        held = record.held
        assert held is not None
        peers = [p for p, one in held.followers.items() if p in self._able and one.in_step and not one.failed]
        if not peers:
            return 1
        tree, work = self._tree(record, now_s)
        for peer in peers:
            self._telling[peer, record.cell] = _Telling(held.epoch, record.n, tree, now_s + 2 * AUDIT_EVERY_S)
            told[peer].append(CellRoot(record.cell, held.epoch, record.n, tree.root))
        return 1 + work

    def _tree(self, record: Record, now_s: float) -> tuple[CellTree, int]:
        """The tree of a held cell, a part of it hashed anew from memory, and how many objects it was made of."""
        wrong = record.state.rehash(int(now_s / AUDIT_EVERY_S) % AUDIT_PARTS, AUDIT_PARTS)
        assert not wrong, f"objects of cell {record.cell} changed in memory by themselves: {sorted(wrong)}"
        known = self._trees.get(record.cell)
        if known is not None and known.cell is record.state:
            return known, len(record.state) // AUDIT_PARTS
        tree = self._trees[record.cell] = CellTree(record.state)
        return tree, len(record.state)

    def asked(self, peer: Incarnation, message: CellAsk, out: Outbox, now_s: float) -> None:
        """One who compares its copy with a held cell asks on."""
        pair = peer, message.cell
        telling = self._telling.get(pair)
        if (message.epoch, message.n, message.paths) == (0, 0, ("",)):
            telling = self._open(peer, message.cell, now_s)
        elif telling is not None and (telling.epoch, telling.n) != (message.epoch, message.n):
            telling = None
        if telling is None:
            self._station.counters["audit-not-told"] += 1
            return
        epoch, n, tree = telling.epoch, telling.n, telling.tree
        if message.paths:
            twigs = tuple(twig for path in message.paths for twig in tree.twigs(path))
            answer = CellTwigs(message.cell, epoch, n, message.paths, twigs)
            out.sends.append(ToPeer(peer, answer, fenced=True))
        if message.leaves:
            part = tree.part(message.leaves).to_bytes()
            out.sends.append(
                ToPeer(peer, CellPart(message.cell, epoch, n, message.leaves, part), fenced=True)
            )

    def _open(self, peer: Incarnation, cell: int, now_s: float) -> _Telling | None:
        """The cell as it is, for one who may have something to give: what it need not give is durable here."""
        record = self._records.get(cell)
        held = record.held if record else None
        if record is None or held is None or not held.based or len(self._telling) >= COMPARISONS_MAX:
            return None
        if any(one.required and one.acked < record.n for one in held.followers.values()):
            return None  # it is asked again
        tree, _ = self._tree(record, now_s)
        telling = _Telling(held.epoch, record.n, tree, now_s + 2 * AUDIT_EVERY_S)
        self._telling[peer, cell] = telling
        return telling

    # ---- the side that compares

    def roots(self, peer: Incarnation, message: CellRoots, out: Outbox, now_s: float) -> None:
        """What a holder's cells are: each is compared as soon as this disk has all changes up to the one named."""
        for told in message.roots:
            record = self._records.get(told.cell)
            if record is None or record.held is not None or record.holder != peer:
                self._station.counters["audit-not-followed"] += 1
            elif record.tail < (told.epoch, told.n):
                self._station.counters["audit-gap"] += 1  # on a link nothing overtakes: this was lost
                out.sends.append(ToPeer(peer, CellRefused(record.cell, told.epoch, "gap")))
            elif (record.epoch, record.n) <= (told.epoch, told.n):
                record.audit = told
                self.reached(record, out, now_s)

    def reached(self, record: Record, out: Outbox, now_s: float) -> None:
        """More of a followed cell is on this disk: compare it, if this is the change that was told of."""
        told, peer = record.audit, record.holder
        if told is None or record.writing is not None or (record.epoch, record.n) < (told.epoch, told.n):
            return
        record.audit = None
        if peer is None or (record.epoch, record.n) != (told.epoch, told.n):
            return
        pair = peer, record.cell
        if pair in self._comparing:
            return
        wrong = record.state.rehash(int(now_s / AUDIT_EVERY_S) % AUDIT_PARTS, AUDIT_PARTS)
        self._station.counters["audit-memory-wrong"] += len(wrong)
        comparison = Comparison(record.state)
        if comparison.root == told.root:
            self._station.counters["audit-equal"] += 1
            return
        self._station.counters["audit-differs"] += 1
        record.comparing = peer
        self._comparing[pair] = _Comparing(comparison, told.epoch, told.n, now_s + COMPARE_S)
        self._ask(pair, out)

    def offer(
        self, known: Cell, cell: int, peer: Incarnation, packed: bytes, out: Outbox, now_s: float
    ) -> bool:
        """Find out what of a known cell its holder lacks; `given` hears it. False if another is under way."""
        pair = peer, cell
        if pair in self._comparing:
            return False
        self._comparing[pair] = _Comparing(
            Comparison(ObjectCell.from_bytes(packed)), 0, 0, now_s + COMPARE_S, known
        )
        self._ask(pair, out)
        return True

    def told(self, peer: Incarnation, message: CellTwigs | CellPart, out: Outbox) -> None:
        """A holder's answer to what was asked here last."""
        pair = peer, message.cell
        one = self._comparing.get(pair)
        if one is not None and one.known is not None and one.epoch == 0:
            one.epoch, one.n = message.epoch, message.n
        if one is None or (one.epoch, one.n) != (message.epoch, message.n):
            self._station.counters["audit-late"] += 1
            return
        try:
            if isinstance(message, CellTwigs):
                one.comparison.hear_twigs(message.paths, message.twigs)
            else:
                one.comparison.hear_part(message.leaves, Part.from_bytes(message.part))
            if not one.comparison.done:
                self._ask(pair, out)
                return
            mended, extras = one.comparison.outcome()
        except RemoteError:
            self._station.counters["audit-malformed"] += 1
            self._end(pair, out)
            return
        record = self._records.get(message.cell)
        if one.known is not None:
            self._given(one.known, message.cell, peer, extras, out)
        elif record is not None and record.comparing == peer and record.writing is None:
            self._station.counters["audit-mended"] += 1
            self._keeper.mend(record, mended, extras, out)
        self._end(pair, out)

    def _ask(self, pair: tuple[Incarnation, int], out: Outbox) -> None:
        """The next question of a comparison, unless the last one is not answered in full yet."""
        one = self._comparing[pair]
        if one.comparison.waits:
            return
        paths, leaves = one.comparison.wants()
        out.sends.append(ToPeer(pair[0], CellAsk(pair[1], one.epoch, one.n, paths, leaves)))

    def _end(self, pair: tuple[Incarnation, int], out: Outbox) -> None:
        one = self._comparing.pop(pair)
        record = self._records.get(pair[1])
        if one.known is None and record is not None and record.comparing == pair[0]:
            record.comparing = None
            self._keeper.pump(record, out)
