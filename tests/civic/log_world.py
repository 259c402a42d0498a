"""A log's surroundings, in memory: store, coordination store, public folder, witness, and clients that ask until told.

`World` carries out what holders ask for, one step at a time, and checks after each that nothing promised was broken.
What it checks with are the standard's own definitions (`tests/merkle/reference.py`), not the code that it checks. Its
guards can be taken away one by one, to show that the checks notice.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from p2pworld.civic.batch import Known, named_entries, plan_batch
from p2pworld.civic.erasure import ERASED, file_erasure
from p2pworld.civic.heads import Heads, Record
from p2pworld.civic.kept import Clerk
from p2pworld.civic.log import LogHolder, Stage
from p2pworld.civic.steps import (
    Accept,
    Alarm,
    AskWitnesses,
    Commit,
    Committed,
    Cosigned,
    Effect,
    Failed,
    Fence,
    Fenced,
    HeadsRead,
    KeepWitnessed,
    Missed,
    Publish,
    Published,
    PutRecord,
    ReadHeads,
    RecordPut,
    Refuse,
    Republish,
    Result,
)
from p2pworld.civic.transaction import SUGGESTION, Secrets, Submission, file_transaction, parse_leaf
from p2pworld.civic.witness import AddCheckpoint, Remember, Seen, Witness, read_cosignatures
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.proof import consistency_spans, inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt, parse_receipt, verify_receipt
from p2pworld.merkle.tiles import Edge, Tile, TileHashes
from tests.civic.memory_store import KeptInMemory, change
from tests.merkle.reference import slow_hash, slow_root
from tests.merkle.signed import LOG, ORIGIN, TIME_S, WITNESS_KEYS, WITNESSES

if TYPE_CHECKING:
    from collections.abc import Sequence


STREAM, MINUTE = "jongno", 28_927_620
TYPES = {declared.name: declared for declared in (SUGGESTION, ERASED)}
OFFICE = sealing_public(bytes([40]) * 32)
DESK = Signer.from_seed(bytes([70]) * 32)


@cache
def submission(number: int, text: str = "text") -> Submission:
    """One of many transactions; another text is other content under the same key."""
    seed = number.to_bytes(32, "big")
    person = Signer.from_seed(bytes(31) + b"\x01")
    secrets = Secrets(slow_hash(seed), slow_hash(seed + text.encode()), slow_hash(b"nonce" + seed))
    return file_transaction(
        SUGGESTION, STREAM, MINUTE, {"topic": "parks"}, {"text": text}, person, [OFFICE], secrets
    )


def own_key(number: int) -> Signer:
    """The key that `submission(number)` is signed with, and known by."""
    return Signer.from_seed(slow_hash(number.to_bytes(32, "big")))


def erasure(number: int, index: int, asker: Signer = DESK, stream: str = STREAM) -> Submission:
    """One of many that ask to have an entry erased."""
    return file_erasure(stream, index, MINUTE, asker, slow_hash(b"erasure" + number.to_bytes(32, "big")))


@cache
def root_at(entries: tuple[bytes, ...]) -> bytes:
    return slow_root(list(entries))


@dataclass
class World:
    """What outlives every holder."""

    fenced: bool = True  # the store compares epoch, fences and size
    compared: bool = True  # the coordination store compares
    clerk: Clerk | None = None  # who decides about what is entered
    rows: dict[str, bytes] = field(default_factory=dict)  # beside the log, which are the clerk's
    entries: list[bytes] = field(default_factory=list)
    known: dict[bytes, Known] = field(default_factory=dict)
    epoch: int = 0
    fences: int = 0
    record: Record | None = None
    files: dict[Tile, bytes] = field(default_factory=dict)
    published: Note | None = None
    witnessed: Note | None = None
    seen: Seen | None = None
    signed: dict[int, bytes] = field(default_factory=dict)
    accepted: dict[bytes, int] = field(default_factory=dict)  # by fingerprint
    alarms: list[str] = field(default_factory=list)

    # ---- what the holders ask for

    def carry_out(self, effect: Effect) -> Result | Cosigned | None:
        """Does it, checks, and returns what is to be told."""
        match effect:
            case Fence(ticket, epoch):
                if self.epoch <= epoch:
                    self.epoch, self.fences = epoch, self.fences + 1
                return Fenced(ticket, self.epoch, self.fences)
            case ReadHeads(ticket, seen):
                return HeadsRead(ticket, self._heads(seen))
            case Commit():
                return self._commit(effect)
            case PutRecord(ticket, before, record):
                if self.record == before or not self.compared:
                    self.record = record
                return RecordPut(ticket, self.record)
            case Publish(ticket, files, checkpoint):
                self._leaves_signed(checkpoint)
                self._write({file.tile: file.data for file in files})
                self._show(checkpoint)
                return Published(ticket)
            case Republish(ticket, since, size, checkpoint):
                self._leaves_signed(checkpoint)
                _, files = Edge().append(self.entries[:since])[0].append(self.entries[since:size])
                self._write({file.tile: file.data for file in files})
                self._show(checkpoint)
                return Published(ticket)
            case AskWitnesses(checkpoint):
                return self._ask(checkpoint)
            case KeepWitnessed(checkpoint, size):
                assert Checkpoint.parse(checkpoint.text).size == size
                if self.witnessed is None or Checkpoint.parse(self.witnessed.text).size <= size:
                    self.witnessed = checkpoint
            case Alarm(refusal):
                self.alarms.append(refusal.reason)
            case Accept() | Refuse():
                raise AssertionError("answers go to the client")
        return None

    def write_half(self, effect: Publish) -> None:
        """A crash between the files and the checkpoint."""
        self._leaves_signed(effect.checkpoint)
        self._write({file.tile: file.data for file in effect.files[: len(effect.files) // 2 + 1]})

    def _heads(self, seen: Sequence[Checkpoint]) -> Heads:
        edge = Edge().append(self.entries)[0]
        published = Checkpoint.parse(self.published.text) if self.published else None
        witnessed = Checkpoint.parse(self.witnessed.text) if self.witnessed else None
        sizes = [head.size for head in (self.record, published, witnessed, *seen) if head]
        roots = {size: root_at(tuple(self.entries[:size])) for size in sizes if size <= len(self.entries)}
        return Heads(edge, roots, self.record, published, witnessed)

    def _commit(self, commit: Commit) -> Committed | Missed:
        row = (self.epoch, self.fences, len(self.entries))
        if self.fenced and row != (commit.epoch, commit.fences, commit.size):
            return Missed(commit.ticket)
        named = {at: self.entries[at] for at in named_entries(commit.size, commit.submissions)}
        plan = plan_batch(
            commit.size,
            commit.epoch,
            commit.submissions,
            self.known,
            named,
            late=commit.late,
            kept=KeptInMemory(self.rows, self.entries),
            clerk=self.clerk,
            minute=commit.minute,
            unfit=commit.unfit,
        )
        del self.entries[commit.size :]  # where no guard stands, what was there is written over
        self.entries += plan.entries
        self.known |= plan.learned
        change(self.rows, plan.rows)
        return Committed(commit.ticket, plan.entries, plan.outcomes, plan.due)

    def _write(self, files: dict[Tile, bytes]) -> None:
        for tile, data in files.items():
            assert self.files.setdefault(tile, data) == data, f"{tile.path} has changed"

    def _leaves_signed(self, note: Note) -> None:
        checkpoint = Checkpoint.parse(note.text)
        assert self.signed.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root, "a fork"
        assert checkpoint.root == root_at(tuple(self.entries[: checkpoint.size])), "not of the stored entries"
        assert self.record is not None
        assert self.record.size >= checkpoint.size, "signed before it was recorded"

    def _show(self, note: Note) -> None:
        held = Checkpoint.parse(self.published.text).size if self.published else -1
        if Checkpoint.parse(note.text).size >= held:
            self.published = note

    def _ask(self, note: Note) -> Cosigned:
        old, new = self.seen.size if self.seen else 0, Checkpoint.parse(note.text).size
        if old > new:  # of a holder that was slow: the witness is further already
            return Cosigned(note, ())
        proof = prove(consistency_spans(old, new), TileHashes(new, self.files))
        body = AddCheckpoint(old, proof, note).to_bytes()
        decided = Witness(WITNESSES[:1], {ORIGIN: [LOG.key]}).add_checkpoint(
            body, lambda _: self.seen, TIME_S
        )
        assert isinstance(decided, Remember), f"the witness refuses: {decided}"
        self.seen = decided.seen
        return Cosigned(note, read_cosignatures(decided.answer.body, note, WITNESS_KEYS))

    # ---- what clients are told

    def accept(self, filed: Submission, accept: Accept) -> None:
        """Checks an acceptance, and the receipt that the client makes of it."""
        index = self.accepted.setdefault(filed.fingerprint, accept.index)
        assert index == accept.index, "accepted twice, at two places"
        assert self.published is not None
        size = Checkpoint.parse(accept.checkpoint.text).size
        assert size <= Checkpoint.parse(self.published.text).size, "accepted before it was published"
        proof = prove(inclusion_spans(index, size), TileHashes(size, self.files))
        receipt = parse_receipt(Receipt(index, proof, accept.checkpoint).to_bytes())
        leaf = slow_hash(b"\x00" + self.entries[index])
        verify_receipt(receipt, leaf, ORIGIN, [LOG.key])
        self.check()

    def check(self) -> None:
        """Everything accepted is there, once, and whole; what was signed is of one history."""
        leaves = [parse_leaf(entry) for entry in self.entries]
        keys = [leaf.filing.key for leaf in leaves]
        assert len(set(keys)) == len(keys), "one transaction twice"
        found = {slow_hash(leaf.filing.statement() + leaf.sig): index for index, leaf in enumerate(leaves)}
        assert self.accepted.items() <= found.items(), "an accepted transaction is missing"
        for size, root in self.signed.items():
            assert root == root_at(tuple(self.entries[:size])), "what was signed is not what is stored"


class Client:
    """Files transactions, each again and again until it is answered for good."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open: dict[int, Submission] = {}  # by request
        self.refused: dict[int, str] = {}
        self._requests = 0

    def file(self, holder: Holder, filed: Submission, minute: int = MINUTE) -> int:
        """A request about this transaction to this holder, whose clock says `minute`."""
        self._requests += 1
        self.open[self._requests] = filed
        holder.effects += holder.machine.submit(self._requests, filed, minute)
        return self._requests

    def told(self, answer: Accept | Refuse) -> None:
        """An answer comes; each request has one at most."""
        filed = self.open.pop(answer.request)
        if isinstance(answer, Accept):
            self.world.accept(filed, answer)
        else:
            self.refused[answer.request] = answer.refusal.reason


class Holder:
    """A process that holds the log: the machine, what it has asked for, and what it is still to be told."""

    def __init__(self, world: World, client: Client, epoch: int, machine: LogHolder | None = None) -> None:
        self.world = world
        self.client = client
        self.machine = machine or LogHolder(STREAM, epoch, [LOG], TYPES, quorum=1)
        self.effects: deque[Effect] = deque(self.machine.start())
        self.results: deque[Result | Cosigned] = deque()
        self.now = 0.0

    def act(self) -> bool:
        """The next thing this process does; False if there is nothing."""
        if self.effects:
            effect = self.effects.popleft()
            if isinstance(effect, Accept | Refuse):
                self.client.told(effect)
            elif (result := self.world.carry_out(effect)) is not None:
                self.results.append(result)
        elif self.results:
            self.tell(self.results.popleft())
        elif self.machine.deadline is not None:
            self.now = self.machine.deadline
            self.effects += self.machine.tick(self.now)
        else:
            return False
        return True

    def tell(self, result: Result | Cosigned) -> None:
        if isinstance(result, Cosigned):
            self.effects += self.machine.cosigned(result, self.now)
        else:
            self.effects += self.machine.step(result, self.now)

    def fail(self, *, done: bool) -> bool:
        """The next step fails, before it is done or after; False if the next thing is no step that can."""
        if not self.effects or not hasattr(self.effects[0], "ticket"):
            return False
        effect = self.effects.popleft()
        if isinstance(effect, Publish) and not done:
            self.world.write_half(effect)
        elif done:
            self.world.carry_out(effect)
        self.results.append(Failed(effect.ticket))  # type: ignore[union-attr]
        return True

    def run(self, most: int = 10_000) -> int:
        """Acts until there is nothing to do or `most` is reached; how often it did."""
        for count in range(most):
            if not self.act():
                return count
        assert most < 10_000, f"it never comes to rest: {self.machine.stage}"
        return most

    @property
    def works(self) -> bool:
        return self.machine.stage not in (Stage.DEPOSED, Stage.READ_ONLY)
