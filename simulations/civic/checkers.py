"""What must hold of civic logs, looked at after each thing that happens to one, and at the end.

Nothing that was accepted is missing from any later log, or there twice, or in half, and nothing is kept of what is
erased. No two roots are ever signed for one size, over all epochs and machines, and nothing that the record does not
hold. What a machine publishes never shrinks. A receipt proves what it says, and whoever asks again is told the same. No
seat is given to two, and of whoever booked the log says what became. Once a newer holder has recorded, an older one
signs nothing beyond what it had recorded before. Witnessed <= published <= record <= store, unless a store or the
records were set back: then the log is read-only, and signs nothing any more.

The checks use the definitions of `slow`, and call nothing of what they check.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgpack

from client.verify_log import Wanted, read_log
from p2pworld.civic.log import Stage
from p2pworld.errors import Refusal
from simulations.civic.court import SEATS, SERVICES
from simulations.civic.folder import CHECKPOINT, NOTE, WITNESSED
from simulations.civic.people import AGAIN
from simulations.civic.seats import Seats
from simulations.civic.slow import Head, History, leaf_hash, read_receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from p2pworld.civic.transaction import Sealed
    from simulations.civic.engines import Kept
    from simulations.civic.folder import Folder
    from simulations.civic.keeper import Keeper, Log
    from simulations.civic.people import Paper

__all__ = ["CivicCheckers", "Violate"]

_STORE: Final = "store"
_SEALED_NAME: Final = b"p2pworld civic sealed v2\n"
_FILING_NAME: Final = b"p2pworld civic filing v1\n"


class Violate(Protocol):
    """How a broken promise is noted."""

    def __call__(self, rule: str, sentence: str, *names: str) -> None: ...


@dataclass(slots=True)
class _Life:
    """All that was ever seen of one log."""

    history: History = field(default_factory=History)
    keys: dict[bytes, int] = field(default_factory=dict)  # of transactions: their places in the store
    seats: Seats = field(default_factory=lambda: Seats(SERVICES, SEATS))
    erased: dict[int, int] = field(default_factory=dict)  # entries, and where the log says so
    record: Head | None = None
    record_epoch: int = 0
    took_over: dict[int, int] = field(
        default_factory=dict
    )  # by epoch: the record's size when it first recorded
    signed: dict[int, bytes] = field(default_factory=dict)
    accepted: dict[int, tuple[bytes, int]] = field(
        default_factory=dict
    )  # by place: its leaf's hash, and the least log that has it
    by_paper: dict[bytes, int] = field(default_factory=dict)  # by fingerprint: the place that was told
    proofs: set[bytes] = field(default_factory=set)  # hashes of receipts that were found true
    set_back: bool = False  # what some place remembered of it was lost
    before: History = field(default_factory=History)  # as it stood in the store then
    alarmed: set[str] = field(default_factory=set)  # machines whose folders show that something was lost


class CivicCheckers:
    """All rules for these logs, with what they remember of the run."""

    def __init__(self, logs: Sequence[Log], witnesses: Mapping[str, bytes], violate: Violate) -> None:
        self.accepted = 0
        self.signed_count = 0
        self.losing = ""  # the machine whose disk loses what was on it, just now
        self.is_new: Callable[[str], bool] = lambda stream: (
            False
        )  # whether some node may not know this stream yet
        self._logs = {log.stream: log for log in logs}
        self._lives = {log.stream: _Life() for log in logs}
        self._streams = {log.origin: log.stream for log in logs}
        self._witnesses = dict(witnesses)
        self._violate = violate
        self._shown: dict[tuple[str, str, str], int] = {}

    # ---- what happens

    def set_back(self, stream: str) -> None:
        """A store, the records or a disk will forget something of this log."""
        life = self._lives[stream]
        life.set_back = True
        life.before.follow(life.history.entries)

    def may_forget(self, stream: str) -> bool:
        """Whether nothing has been forgotten of it: only one of the places that know it may forget in a run."""
        return not self._lives[stream].set_back

    def stored(self, stream: str, kept: Kept) -> None:
        """This is durable in the store of the stream."""
        life = self._lives[stream]
        before = len(life.history.entries)
        same = life.history.follow(kept.entries)
        for key in [key for key, place in life.keys.items() if place >= same]:
            del life.keys[key]
        self._erasures(stream, kept, same)
        self._seats(stream, kept, same, before)
        for place in range(same, len(kept.entries)):
            self._entry(stream, kept, place)
        if same < before and not life.set_back:
            self._all_accepted(stream, life, len(kept.entries), "the store")
        if life.record and life.record.size > len(kept.entries) and not life.set_back:
            self._violate("civic-order", f"{stream} has recorded more than is stored", stream)

    def _entry(self, stream: str, kept: Kept, place: int) -> None:
        """An entry stands under a key of its own, with its answer and what is sealed."""
        life = self._lives[stream]
        filing = msgpack.unpackb(kept.entries[place])["filing"]
        key = filing["key"]
        if key in life.keys:
            self._violate("civic-twice", f"entries {life.keys[key]} and {place} of {stream} are one", stream)
        life.keys[key] = place
        known, sealed = kept.known.get(key), kept.sealed.get(place)
        whole = known is not None and known.outcome == place
        if filing.get("sealed") and (sealed is not None or place not in life.erased):
            whole = whole and sealed is not None and _commitment(sealed) == filing["sealed"]
        if not whole:
            self._violate("civic-half", f"entry {place} of {stream} is there in half", stream)

    def _seats(self, stream: str, kept: Kept, since: int, before: int) -> None:
        """No seat is anybody's who is not the only one, and the rows say of it what the leaves say."""
        life = self._lives[stream]
        if since < before:
            life.seats, since = Seats(SERVICES, SEATS), 0
        for place in range(since, len(kept.entries)):
            for sentence in life.seats.read(place, msgpack.unpackb(kept.entries[place])["filing"]):
                self._violate("civic-seat", f"{stream}: {sentence}", stream)
        for sentence in life.seats.unanswered(len(kept.entries)):
            self._violate("civic-seat", f"{stream}: {sentence}", stream)
        taken = sum(name.startswith("place/") for name in kept.rows)
        waiting = sum(name.startswith("wait/") for name in kept.rows)
        if (taken, waiting) != (len(life.seats.owners), len(life.seats.waiting)):
            self._violate(
                "civic-seat", f"{stream} has {taken} seats in its rows, and others in its log", stream
            )

    def _erasures(self, stream: str, kept: Kept, since: int) -> None:
        """Nothing is kept of what the log says is erased, and who had it erased had filed it."""
        life = self._lives[stream]
        life.erased = {named: by for named, by in life.erased.items() if by < since}
        for place in range(since, len(kept.entries)):
            filing = msgpack.unpackb(kept.entries[place])["filing"]
            if filing["type"] != "erased":
                continue
            named, by = (field["value"] for field in filing["public"][:2])
            life.erased.setdefault(int(named), place)
            if bytes.fromhex(by) != msgpack.unpackb(kept.entries[int(named)])["filing"]["key"]:
                self._violate("civic-erased", f"entry {named} of {stream} is erased by a stranger", stream)
        for named in life.erased:
            if named in kept.sealed:
                self._violate("civic-erased", f"entry {named} of {stream} is erased, and is kept", stream)

    def recorded(self, machine: str, origin: str, before: bytes | None, data: bytes) -> None:
        """This is the record of a log now, in the place of what was there `before`."""
        stream = self._streams[origin]
        life, head = self._lives[stream], Head.of(data.decode())
        self._continues(machine, stream, before, head)
        epoch = int(data.decode().split("epoch ")[1].split("\n")[0])
        if life.record and not life.set_back and (head.size < life.record.size or epoch < life.record_epoch):
            self._violate("civic-record", f"the record of {stream} goes back to {head.size}", stream)
        life.took_over.setdefault(epoch, head.size)
        life.record, life.record_epoch = head, epoch
        if not life.set_back and life.history.root(head.size) != head.root:
            self._violate("civic-record", f"{stream} records a root that is not of what it stores", stream)
        # another node, whose folder had been older, may bring the records to where they were: then nothing is lost
        life.alarmed = {name for name in life.alarmed if self._shown_by(name, stream) > head.size}

    def _continues(self, machine: str, stream: str, before: bytes | None, now: Head) -> None:
        """Nobody goes on from a record that had been set back, or with a store that had: people must look first."""
        life, head = self._lives[stream], Head.of(before.decode()) if before else None
        knew = (
            life.set_back and life.before.root(now.size) == now.root
        )  # it had read the store before the loss
        shown = self._shown_by(machine, stream)
        if head is None:
            wrong = shown or life.history.entries
        else:
            wrong = shown > head.size or (life.history.root(head.size) != head.root and not knew)
        if wrong:
            self._violate(
                "civic-read-only", f"{machine} goes on with {stream}, of which something is lost", stream
            )

    def _shown_by(self, machine: str, stream: str) -> int:
        """How long the log is by what this machine has published of it."""
        return max(self._shown.get((machine, stream, name), 0) for name in (CHECKPOINT, WITNESSED))

    def signed(self, keeper: Keeper, text: str) -> None:
        """A holder signs this."""
        stream, head = keeper.log.stream, Head.of(text)
        life = self._lives[stream]
        self.signed_count += 1
        if life.signed.setdefault(head.size, head.root) != head.root:
            self._violate("civic-fork", f"{keeper.name} signs another root for size {head.size}", stream)
        # what was recorded just before a loss may still be signed
        if not (life.set_back and life.before.root(head.size) == head.root):
            if life.history.root(head.size) != head.root:
                self._violate("civic-fork", f"{keeper.name} signs what is not stored", stream)
            self._all_accepted(stream, life, head.size, keeper.name)
        if life.record is None or life.record.size < head.size:
            self._violate("civic-order", f"{keeper.name} signs before it has recorded", stream)
        newer = [size for epoch, size in life.took_over.items() if epoch > keeper.epoch]
        if newer and head.size > min(newer):
            self._violate("civic-deposed", f"{keeper.name} signs after a newer holder has", stream)
        if keeper.host.name in life.alarmed:
            self._violate("civic-read-only", f"{keeper.name} signs though people must look first", stream)

    def _all_accepted(self, stream: str, life: _Life, size: int, who: str) -> None:
        """A log of this size has all that was accepted, and was so long before it."""
        leaves = life.history.leaves
        for place, (hashed, least) in life.accepted.items():
            if size >= least and (place >= len(leaves) or leaves[place] != hashed):
                self._violate("civic-lost", f"{who} has {stream} without entry {place}, accepted", stream)

    def kept(self, machine: str, key: tuple[Any, ...], value: Any) -> None:
        """This lies on a machine's disk now: of a store, or in the published folder."""
        if key[0] == _STORE:
            if value is not None:
                self.stored(key[1], value)
            return
        if key[0] != NOTE:
            return
        _, stream, name = key
        life, size = self._lives[stream], Head.of(value.text).size if value else 0
        if value and name == WITNESSED:
            names = {
                line.split(" ")[1] for line in value.to_bytes().decode().rpartition("\n\n")[2].splitlines()
            }
            if len(names & self._witnesses.keys()) < self._logs[stream].quorum:
                self._violate(
                    "civic-witnessed", f"{machine} keeps what too few have signed of {stream}", stream
                )
        calm = not life.set_back and machine != self.losing
        if calm and size < self._shown.get((machine, stream, name), 0):
            self._violate("civic-shrinks", f"what {machine} publishes of {stream} shrinks to {size}", stream)
        self._shown[machine, stream, name] = size
        published = self._shown.get((machine, stream, CHECKPOINT), 0)
        witnessed = self._shown.get((machine, stream, WITNESSED), 0)
        recorded = life.record.size if life.record else 0
        if calm and not witnessed <= published <= recorded:
            sentence = f"{machine} has witnessed {witnessed}, published {published}, recorded {recorded}"
            self._violate("civic-order", f"{sentence} of {stream}", stream)

    def alarm(self, keeper: Keeper, refusal: Refusal) -> None:
        """A holder has made its log read-only."""
        life = self._lives[keeper.log.stream]
        life.alarmed.add(keeper.host.name)
        if not life.set_back:
            self._violate(
                "civic-alarm", f"{keeper.name} is alarmed for nothing: {refusal}", keeper.log.stream
            )

    def refused_by_witness(self, origin: str, reason: str) -> None:
        """A witness does not sign."""
        if reason != "witness-stale":
            self._violate("civic-fork", f"a witness refuses {origin}: {reason}", self._streams[origin])

    # ---- what people are told

    def answered(self, paper: Paper, answer: bytes | Refusal, more: bool) -> int | None:
        """Somebody is told this about a paper; the place in the log that it proves."""
        life, log = self._lives[paper.stream], self._logs[paper.stream]
        if isinstance(answer, Refusal):
            self._refused(paper, life, answer)
            return None
        receipt = hashlib.sha256(answer).digest()
        index = int(answer.split(b"index ", 1)[1].split(b"\n", 1)[0])
        entry, leaf = _entry_of(paper, life, index)
        if receipt not in life.proofs:
            proven = read_receipt(answer, entry, log.origin, log.signer.public, self._witnesses)
            if isinstance(proven, str):
                self._violate("civic-receipt", f"the receipt of {paper.name}: {proven}", paper.stream)
                return None
            if not more and proven.cosigned < log.quorum:
                self._violate(
                    "civic-witnessed", f"{paper.name} is told its last without witnesses", paper.stream
                )
            if life.signed.get(proven.head.size) != proven.head.root:
                self._violate("civic-receipt", f"{paper.name} is shown a root nobody signed", paper.stream)
            life.proofs.add(receipt)
        if entry is None or not _is_of(entry, paper):
            self._violate("civic-receipt", f"{paper.name} is given the place of another", paper.stream)
            return None
        fingerprint = paper.submission.fingerprint
        if paper.expected:
            self._violate("civic-refusal", f"{paper.name} should be {paper.expected}", paper.stream)
        if life.by_paper.setdefault(fingerprint, index) != index:
            self._violate("civic-same", f"{paper.name} is told two places", paper.stream)
        paper.answers.append(index)
        self.accepted += index not in life.accepted
        life.accepted.setdefault(index, (leaf, index + 1))
        return index

    def _refused(self, paper: Paper, life: _Life, refusal: Refusal) -> None:
        if refusal.reason in AGAIN:
            return
        reason = refusal.reason
        if reason == "civic-stream" and self.is_new(paper.stream):
            return
        paper.answers.append(reason)
        if reason == "civic-read-only" and life.set_back:
            return
        if reason == "civic-replay":
            place = life.keys.get(paper.submission.filing.key)
            if place is not None and not _is_of(life.history.entries[place], paper):
                return
        if reason != paper.expected and reason not in paper.may:
            self._violate("civic-refusal", f"{paper.name} is refused for nothing: {reason}", paper.stream)

    # ---- the end

    def at_end(
        self,
        papers: Sequence[Paper],
        keepers: Mapping[str, Keeper | None],
        folders: Mapping[str, Sequence[tuple[str, Folder]]],
    ) -> None:
        """All is in order again: everybody has an answer, and each log says the same everywhere."""
        for paper in papers:
            life = self._lives[paper.stream]
            if paper.open:
                self._violate(
                    "civic-open", f"{paper.name} of {paper.stream} waits for an answer", paper.stream
                )
            places = {answer for answer in paper.answers if isinstance(answer, int)}
            final = {answer for answer in paper.answers if answer != "civic-read-only"}
            if len(final) > 1 and not life.set_back:
                self._violate("civic-same", f"{paper.name} is told {final}", paper.stream)
            if paper.expected and places:
                self._violate("civic-refusal", f"{paper.name} stands in the log", paper.stream)
        for stream, life in self._lives.items():
            self._settled(stream, life, keepers[stream])
            for machine, folder in folders[stream]:
                self._read(stream, life, machine, folder)

    def _settled(self, stream: str, life: _Life, keeper: Keeper | None) -> None:
        if life.set_back:
            return  # whether it had lost anything is what its holder found out
        if keeper is None or keeper.stage is not Stage.IDLE:
            what = f"is {keeper.stage.value}" if keeper else "has no holder"
            self._violate("civic-recovery", f"{stream} {what} at the end", stream)
            return
        if keeper.unanswered:
            self._violate("civic-open", f"{keeper.name} leaves {keeper.unanswered} without an answer", stream)
        size = len(life.history.entries)
        record = life.record.size if life.record else -1
        shown = [self._shown.get((keeper.host.name, stream, name), 0) for name in (CHECKPOINT, WITNESSED)]
        if {size, record, *shown} != {size}:
            heads = f"{size} stored, {record} recorded, {shown[0]} published, {shown[1]} witnessed"
            self._violate("civic-recovery", f"{stream} has {heads}", stream)

    def _read(self, stream: str, life: _Life, machine: str, folder: Folder) -> None:
        """The folder as a stranger reads it, who has it and the log's key."""
        note = folder.note(CHECKPOINT)
        if note is None:
            return
        head = Head.of(note.text)
        if life.signed.get(head.size) != head.root:
            self._violate("civic-folder", f"{machine} publishes a checkpoint nobody signed", stream)
        with tempfile.TemporaryDirectory() as directory:
            for tile, data in folder.tiles():
                path = Path(directory) / tile.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            found = read_log(Path(directory), head.size, head.root, Wanted(entries=[*life.accepted]))
        for fault in found.faults:
            self._violate("civic-folder", f"{machine}, {fault.file} of {stream}: {fault.sentence}", stream)
        for place, entry in found.entries.items():
            if leaf_hash(entry) != life.accepted[place][0]:
                self._violate("civic-lost", f"{machine} publishes another entry {place} of {stream}", stream)

    def counts(self) -> Iterator[tuple[str, int]]:
        """What the logs came to."""
        yield "accepted", self.accepted
        yield "signed", self.signed_count
        yield "entries", sum(len(life.history.entries) for life in self._lives.values())


def _entry_of(paper: Paper, life: _Life, place: int) -> tuple[bytes | None, bytes]:
    """The entry at that place, and its hash: as it stands there, or stood before something was lost."""
    for history in (life.history, life.before):
        if place < len(history.entries) and _is_of(history.entries[place], paper):
            return history.entries[place], history.leaves[place]
    return (life.history.entries[place] if place < len(life.history.entries) else None), b""


def _commitment(sealed: Sealed) -> bytes:
    blob = hashlib.sha256(sealed.blob).digest()
    return hashlib.sha256(_SEALED_NAME + sealed.nonce + blob + sealed.filed).digest()


def _is_of(entry: bytes, paper: Paper) -> bool:
    """Whether an entry is this very submission."""
    leaf, submission = msgpack.unpackb(entry), paper.submission
    said = msgpack.unpackb(submission.filing.statement()[len(_FILING_NAME) :])
    return bool(leaf["filing"] == said and leaf["sig"] == submission.sig)
