"""Checks offline what a citizen or a journalist holds: logs' folders, checkpoints, receipts, leaves, proofs of forks.

What is given together is checked together: a receipt's entry is looked for among the leaves, submissions and folders
beside it, every checkpoint (those in receipts too) is compared with the folder of its log and with every other
checkpoint of the same size. Each thing comes out as `ok`, as `wrong` with the reasons, or as `unjudged`: nothing wrong
was found, and what is needed to say more was not given (a receipt without its entry proves nothing about it).
"""

from __future__ import annotations

import enum
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from client.erasures import ErasedEntry, erasures
from client.follow import FolderTiles
from client.leaf_words import leaf_facts, leaf_words
from client.verify_leaves import leaf_checks
from client.verify_log import Fault, LogFound, Wanted, read_log
from p2pworld.civic.erasure import ERASED, check_erasure
from p2pworld.civic.fork import FORK_LINE, Fork, check_fork, parse_fork, prove_fork
from p2pworld.civic.receipts import noted_epoch
from p2pworld.civic.transaction import Submission, parse_leaf, parse_submission, verify_filing
from p2pworld.errors import RemoteError
from p2pworld.limits import (
    CIVIC_SUBMISSION_BYTES_MAX,
    NOTE_BYTES_MAX,
    RECEIPT_BYTES_MAX,
    VERIFY_EPOCHS_MAX,
    VERIFY_FAULTS_MAX,
)
from p2pworld.merkle.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from p2pworld.merkle.note import Note, parse_note
from p2pworld.merkle.proof import check_inclusion
from p2pworld.merkle.receipt import Receipt, parse_receipt
from p2pworld.merkle.tiles import TileHashes
from p2pworld.merkle.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from client.policy import Policy

__all__ = ["Finding", "Kind", "Report", "Status", "verify_paths"]

FILE_BYTES_MAX: Final = max(RECEIPT_BYTES_MAX, CIVIC_SUBMISSION_BYTES_MAX, 2 * NOTE_BYTES_MAX + 64)
_RECEIPT_BEGIN: Final = b"c2sp.org/tlog-proof@"
_CHECKPOINT: Final = "checkpoint"
_WITNESSED: Final = "checkpoint.witnessed"


class Kind(enum.Enum):
    """What something is."""

    LOG = "log"
    CHECKPOINT = "checkpoint"
    RECEIPT = "receipt"
    FORK = "fork"
    LEAF = "leaf"
    SUBMISSION = "submission"


class Status(enum.Enum):
    """What was found of something."""

    OK = "ok"
    WRONG = "wrong"
    UNJUDGED = "unjudged"


@dataclass(slots=True)
class Finding:
    """One thing that was given, and what was found: sentences for people, facts and faults for programs."""

    path: str
    kind: Kind
    sentences: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # what would have to be given to say more
    proven: bool = False  # it is a proof that needs nothing else

    @property
    def status(self) -> Status:
        """`wrong` if there is any fault, `unjudged` if something was missing."""
        if self.faults:
            return Status.WRONG
        return Status.UNJUDGED if self.missing else Status.OK

    def blame(self, error: RemoteError, file: str = "") -> None:
        """Notes what cannot be believed, and why."""
        self.faults.append(Fault(error.reason, str(error), file))


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of each thing, and the first fork that two of the checkpoints prove, or one and a folder."""

    findings: tuple[Finding, ...]
    fork: Fork | None = None


class _Signed(NamedTuple):
    """A checkpoint that the log signed, and the finding it belongs to."""

    finding: Finding
    opened: SignedCheckpoint


def verify_paths(
    paths: Iterable[Path],
    policy: Policy,
    *,
    leaves: bool = False,
    on_log: Callable[[str, int], Callable[[int], None]] = lambda path, size: lambda count: None,
) -> Report:
    """What is to be said of these files and folders; `leaves`: every entry of a log is read as a leaf too.

    `on_log` is told of each folder and its size, and gives what is told of every few entries read.

    Raises:
        OSError: something cannot be read.
    """
    bench = _Bench(policy, leaves, on_log)
    for path in paths:
        bench.take(path)
    return bench.judge()


class _Bench:
    """Everything that was given, first read one by one, then judged together."""

    def __init__(
        self, policy: Policy, leaves: bool, on_log: Callable[[str, int], Callable[[int], None]]
    ) -> None:
        self._policy = policy
        self._leaves_too = leaves
        self._on_log = on_log
        self._findings: list[Finding] = []
        self._signed: defaultdict[str, list[_Signed]] = defaultdict(list)  # by origin
        self._folders: list[tuple[Path, _Signed]] = []
        self._receipts: list[tuple[Receipt, _Signed]] = []
        self._leaves: list[bytes] = []
        self._submissions: list[Submission] = []
        self._fork: Fork | None = None  # that a folder proves

    # ---- one by one

    def take(self, path: Path) -> None:
        """Reads one thing and what is to be said of it alone."""
        if path.is_dir():
            self._take_folder(path)
            return
        data = _read(path, FILE_BYTES_MAX)
        kind = _kind_of(data)
        finding = self._find(path, kind)
        try:
            match kind:
                case Kind.RECEIPT:
                    self._take_receipt(data, finding)
                case Kind.FORK:
                    self._take_fork(parse_fork(data), finding)
                case Kind.CHECKPOINT:
                    self._take_note(parse_note(data), finding)
                case _:
                    self._take_entry(data, finding)
        except RemoteError as error:
            finding.blame(error)

    def _find(self, path: Path, kind: Kind) -> Finding:
        finding = Finding(str(path), kind)
        self._findings.append(finding)
        return finding

    def _take_folder(self, path: Path) -> None:
        finding = self._find(path, Kind.LOG)
        file = _CHECKPOINT
        try:
            signed = self._open(parse_note(_read(path / file, NOTE_BYTES_MAX)), finding)
            if signed is None:
                return
            self._folders.append((path, signed))
            self._tell(signed)
            if (path / _WITNESSED).exists():
                file = _WITNESSED
                self._take_witnessed(parse_note(_read(path / file, NOTE_BYTES_MAX)), signed)
            else:
                self._policy.require_quorum(signed.opened)
        except RemoteError as error:
            finding.blame(error, file)

    def _take_witnessed(self, note: Note, newest: _Signed) -> None:
        """What lies beside a log's newest checkpoint: the last one that its witnesses have signed."""
        signed = self._open(note, newest.finding)
        checkpoint = newest.opened.checkpoint
        if signed is None or signed.opened.checkpoint.origin != checkpoint.origin:
            raise RemoteError("checkpoint-origin", "this is the checkpoint of another log")
        self._policy.require_quorum(signed.opened)
        size, seen = signed.opened.checkpoint.size, _seen(signed.opened)
        newest.finding.facts |= {"witnessed_size": size, "witnesses": seen}
        names = ", ".join(seen) or "no witness whose key was given"
        newest.finding.sentences.append(f"The first {size} of them were seen by {names}.")

    def _take_receipt(self, data: bytes, finding: Finding) -> None:
        receipt = parse_receipt(data)
        signed = self._take_note(receipt.checkpoint, finding)
        finding.facts["index"] = receipt.index
        if signed:
            self._receipts.append((receipt, signed))

    def _take_fork(self, fork: Fork, finding: Finding) -> None:
        """Both notes; two of one size without a proof are compared like any others."""
        signed = [self._take_note(parse_note(note), finding) for note in (fork.first, fork.second)]
        first, second = (one.opened.checkpoint if one else None for one in signed)
        if not fork.proof or first is None or second is None:
            return
        check_fork(first, second, fork.proof)
        finding.proven = True
        sentence = (
            f"what the log signed for {second.size} entries does not begin with the {first.size} it signed"
        )
        finding.faults.append(Fault("log-fork", sentence))

    def _take_note(self, note: Note, finding: Finding) -> _Signed | None:
        """The checkpoint in this note; too few witnesses are a fault, and it is compared all the same."""
        signed = self._open(note, finding)
        if signed:
            self._tell(signed)
            try:
                self._policy.require_quorum(signed.opened)
            except RemoteError as error:
                finding.blame(error)
        return signed

    def _open(self, note: Note, finding: Finding) -> _Signed | None:
        """The checkpoint that the log signed, to be compared with all others; None if nobody gave the log's key."""
        origin = Checkpoint.parse(note.text).origin
        keys = self._policy.logs.get(origin)
        if keys is None:
            self._refuse_misnamed(note, origin)
            finding.missing.append(f"the key of the log {origin}")
            return None
        signed = _Signed(finding, open_checkpoint(note, origin, keys, self._policy.witnesses))
        self._signed[origin].append(signed)
        return signed

    def _refuse_misnamed(self, note: Note, origin: str) -> None:
        """Returns if none of the logs whose keys were given has signed this; who signs says what it is of."""
        known = {(key.name, key.key_id) for keys in self._policy.logs.values() for key in keys}
        for signature in note.signatures:
            if (signature.name, signature.key_id) in known:
                sentence = f"this says that it is of {origin}, and bears a signature of {signature.name}"
                raise RemoteError("checkpoint-origin", sentence)

    def _tell(self, signed: _Signed) -> None:
        checkpoint, seen = signed.opened.checkpoint, _seen(signed.opened)
        facts = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
        signed.finding.facts |= facts | {"witnesses": seen}
        names = f"seen by {', '.join(seen)}" if seen else "by no witness whose key was given"
        signed.finding.sentences.append(
            f"{checkpoint.origin} signed that it has {checkpoint.size} entries, {names}."
        )

    def _take_entry(self, data: bytes, finding: Finding) -> None:
        if finding.kind is Kind.LEAF:
            leaf = parse_leaf(data)
            filing, sig = leaf.filing, leaf.sig
            self._leaves.append(data)
        else:
            submission = parse_submission(data)
            filing, sig = submission.filing, submission.sig
            self._submissions.append(submission)
        finding.facts |= leaf_facts(filing)
        finding.sentences.append(leaf_words(filing))
        if not verify_filing(filing, sig):
            raise RemoteError("civic-signature", "the transaction's key did not sign this, or it was altered")
        if refusal := check_erasure(filing):
            raise RemoteError(refusal.reason, refusal.sentence)
        if finding.kind is Kind.SUBMISSION and not self._submissions[-1].as_filed:
            raise RemoteError(
                "civic-sealed", "what is sealed, or its key for the office, is not what was signed for"
            )

    # ---- together

    def judge(self) -> Report:
        """Compares everything with everything it says something about."""
        found = [(signed, self._judge_folder(path, signed)) for path, signed in self._folders]
        fork = self._find_fork() or self._fork
        for receipt, signed in self._receipts:
            self._judge_receipt(receipt, signed, found)
        for origin, all_signed in self._signed.items():
            if not any(folder.opened.checkpoint.origin == origin for folder, _ in found):
                _compare_alone(all_signed)
        return Report(tuple(self._findings), fork)

    def _judge_folder(self, path: Path, signed: _Signed) -> LogFound:
        checkpoint, finding = signed.opened.checkpoint, signed.finding
        others = [one for one in self._signed[checkpoint.origin] if one is not signed]
        indices = {
            receipt.index
            for receipt, one in self._receipts
            if one.opened.checkpoint.origin == checkpoint.origin
        }
        sizes, size = {one.opened.checkpoint.size for one in others}, checkpoint.size
        with leaf_checks(size) if self._leaves_too else nullcontext() as check:
            wanted = Wanted(sizes, indices, ERASED.name.encode(), check, self._on_log(str(path), size))
            found = read_log(path, size, checkpoint.root, wanted)
        erased = erasures(found.mentions)
        finding.faults += found.faults
        finding.facts |= {
            "bytes_read": found.bytes_read,
            "files_beyond": found.beyond,
            "files_strange": found.strangers,
            "faults_in_all": len(finding.faults) + found.faults_in_all - len(found.faults),
            "erased": [one.facts() for one in erased.values()][:VERIFY_FAULTS_MAX],
        }
        if not found.faults:
            finding.sentences.append("Every entry and every tile is what was signed.")
        if erased:
            finding.sentences.append(f"What was sealed with {len(erased)} of them is erased.")
        for one in others:
            forked = _compare_with_folder(one, found, size)
            if forked and self._fork is None and not found.faults:
                read = TileHashes(size, FolderTiles(path))
                self._fork = prove_fork(one.opened.note, signed.opened.note, read)
        return found

    def _find_fork(self) -> Fork | None:
        fork = None
        for all_signed in self._signed.values():
            by_size: dict[int, _Signed] = {}
            for one in all_signed:
                checkpoint = one.opened.checkpoint
                first = by_size.setdefault(checkpoint.size, one)
                if first.opened.checkpoint.root != checkpoint.root:
                    fork = fork or Fork(first.opened.note.to_bytes(), one.opened.note.to_bytes())
                    sentence = (
                        f"the log signed two roots for {checkpoint.size} entries (see {first.finding.path})"
                    )
                    one.finding.faults.append(Fault("log-fork", sentence))
        return fork

    def _judge_receipt(
        self, receipt: Receipt, signed: _Signed, found: list[tuple[_Signed, LogFound]]
    ) -> None:
        checkpoint, finding = signed.opened.checkpoint, signed.finding
        logs = [log for folder, log in found if folder.opened.checkpoint.origin == checkpoint.origin]
        refused: RemoteError | None = None
        for entry in self._candidates(receipt, logs):
            try:
                check_inclusion(
                    leaf_hash(entry), receipt.index, checkpoint.size, receipt.proof, checkpoint.root
                )
            except RemoteError as error:
                refused = error
                continue
            finding.sentences.append(f"Entry {receipt.index} is in the log.{_words_of(entry)}")
            for log in logs:
                self._tell_erasure(finding, entry, erasures(log.mentions).get(receipt.index))
            return
        if refused:
            finding.blame(refused)
        else:
            finding.missing.append("the entry itself: its leaf, the submission, or the log's folder")

    def _tell_erasure(self, finding: Finding, entry: bytes, erased: ErasedEntry | None) -> None:
        if erased is None:
            return
        finding.facts["erased"] = erased.facts()
        try:
            finding.sentences.append(erased.words(parse_leaf(entry).filing.key))
            erased.check()
        except RemoteError as error:
            finding.blame(error)

    def _candidates(self, receipt: Receipt, logs: list[LogFound]) -> Iterator[bytes]:
        """Whatever was given that the entry may be; in which epoch a submission was taken the receipt may tell."""
        yield from self._leaves
        yield from (log.entries[receipt.index] for log in logs if receipt.index in log.entries)
        told = noted_epoch(receipt)
        epochs = range(VERIFY_EPOCHS_MAX) if told is None else (told,)
        for submission in self._submissions:
            yield from (submission.leaf(epoch).to_bytes() for epoch in epochs)


def _seen(opened: SignedCheckpoint) -> dict[str, int]:
    """The witnesses that signed, and when (Unix seconds) they say they did."""
    return {one.key.name: one.time_s for one in opened.cosigned}


def _read(path: Path, bytes_max: int) -> bytes:
    """The file; of a longer one a byte more than it may have, so that whoever parses it refuses it."""
    with path.open("rb") as file:
        return file.read(bytes_max + 1)


def _kind_of(data: bytes) -> Kind:
    """What a file is, by how it begins; text is a note."""
    if data.startswith(_RECEIPT_BEGIN):
        return Kind.RECEIPT
    if data.startswith(FORK_LINE.encode()):
        return Kind.FORK
    if data[:1] and (data[0] & 0xF0 == 0x80 or data[0] in (0xDE, 0xDF)):  # a map of msgpack
        return Kind.LEAF if data[1:7] == b"\xa5epoch" else Kind.SUBMISSION
    return Kind.CHECKPOINT


def _words_of(entry: bytes) -> str:
    try:
        return f" {leaf_words(parse_leaf(entry).filing)}"
    except RemoteError:
        return f" It is no leaf of this city's form ({len(entry)} bytes)."


def _compare_with_folder(one: _Signed, found: LogFound, size: int) -> bool:
    """Says whether the folder begins with this checkpoint; True if it has another history."""
    checkpoint = one.opened.checkpoint
    root = found.roots.get(checkpoint.size)
    if checkpoint.size > size:
        one.finding.missing.append(f"a newer copy of the folder, which ends at {size}")
    elif root is None or (found.faults and root != checkpoint.root):
        one.finding.missing.append("a copy of the folder that is not damaged")
    elif root != checkpoint.root:
        sentence = f"the log's folder has another root at {checkpoint.size}: the log signed two histories"
        one.finding.faults.append(Fault("log-fork", sentence))
        return True
    else:
        one.finding.sentences.append("The log's folder begins with just these entries.")
    return False


def _compare_alone(all_signed: list[_Signed]) -> None:
    """Checkpoints of different sizes say nothing about each other as long as nobody has the entries."""
    sizes = {one.opened.checkpoint.size for one in all_signed}
    for one in all_signed:
        if len(sizes) > 1 and one.finding.kind in (Kind.CHECKPOINT, Kind.FORK) and not one.finding.proven:
            one.finding.missing.append("the log's folder, to compare it with those of other sizes")
