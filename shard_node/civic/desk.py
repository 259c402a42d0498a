"""The civic logs of one node: a holder for each stream that the newest map gives it, and the door for who files here.

What the node's relay wants (`p2pworld.civic.relay`) is done here: hold these streams and no others, give this to that
holder, answer whoever files by another way than a play socket. Answers go back to the node together, once in a turn of
the scheduler, so that no task waits for each of them.

A holder ends when the map no longer gives the stream to this node in its epoch, and the next one begins when it has
ended. A store that cannot be opened is tried again, after longer and longer waits. What goes on failing here is left to
other nodes, where those can reach the store too. A log that is read-only stays so
until a person has looked at it and the node is restarted; it is said as loudly as can be.
"""

from __future__ import annotations

import logging
import time
from collections import ChainMap, Counter, deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.civic.announce import CITY, KEYS, keys_type
from p2pworld.civic.erasure import ERASED
from p2pworld.civic.log import Stage
from p2pworld.civic.relay import (
    AnswerAsker,
    Answered,
    AskerFiled,
    Held,
    HolderAnswered,
    HoldersFail,
    HoldStreams,
    ToHolder,
)
from p2pworld.civic.transaction import SUGGESTION
from p2pworld.errors import Refusal
from p2pworld.limits import (
    CIVIC_ASKERS_MAX,
    CIVIC_OPEN_MAX,
    CIVIC_WITNESSED_S,
    CIVIC_YIELD_S,
    CIVIC_YIELDED_S,
)
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, VerifierKey
from shard_node.attachments.keeper import AttachmentKeeper
from shard_node.attachments.opening import open_attachments
from shard_node.civic.engines import open_civic_store
from shard_node.civic.folder import WITNESSED, PublishedLog
from shard_node.civic.holder import CivicHolder, LogConfig, Places, receipts_of
from shard_node.civic.keybook import KeyBook, announced_keys
from shard_node.civic.meter import CivicFigures, LogFigures
from shard_node.civic.settings import keys_of, read_signers
from shard_node.civic.witnesses import HttpWitnesses
from shard_node.coordination.settings import conninfo
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from p2pworld.civic.kept import Clerk
    from p2pworld.civic.transaction import TransactionType
    from p2pworld.grants import Voids
    from p2pworld.merkle.note import NoteSigner
    from p2pworld.merkle.receipt import Receipt
    from shard_node.attachments.store import AttachmentStore
    from shard_node.civic.holder import Witnesses
    from shard_node.civic.settings import CivicConfig
    from shard_node.civic.store import CivicStore
    from shard_node.coordination.interface import Records
    from shard_node.services.host import Offered

__all__ = ["CivicDesk"]

TYPES: Final = {declared.name: declared for declared in (SUGGESTION, ERASED)}
YIELD_LOOK_S: Final = 1.0
AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0)  # before a store that could not be opened is tried again

_BUSY: Final = Refusal("civic-busy", "too many are filing here; try again in a moment")
_DOWN: Final = Refusal("civic-down", "this log is not ready here yet; try again in a moment")
_MOVED: Final = Refusal("civic-moved", "another node holds this log now")

log = logging.getLogger(__name__)


def _now_minute() -> int:
    return int(time.time()) // 60


@dataclass(slots=True)
class _Log:
    """One stream held in one epoch: its holder once the store is open, and who waits for witnesses."""

    held: Held
    meter: LogFigures
    folder: PublishedLog
    scope: trio.CancelScope
    holder: CivicHolder | None = None
    attached: AttachmentKeeper | None = None  # there when the holder is
    failing: str = ""  # why there is no holder yet
    failed: str = ""  # the same, as a sentence
    witnessed: Note | None = None
    # (request, index, until when) of who waits for a second answer; None: no witnesses are asked
    accepted: deque[tuple[int, int, float]] | None = None
    signed: trio.Event = field(default_factory=trio.Event)  # there are second answers to be made

    @property
    def fails(self) -> bool:
        """Whether it is for how this node is set up, or for what it reaches, that nothing can be filed."""
        alarmed = self.meter.alarmed
        return bool(self.failing or self.meter.failing or (alarmed and alarmed.reason == "log-key"))

    @property
    def trouble(self) -> str:
        """What is wrong, as a sentence."""
        if self.meter.alarmed:
            return self.meter.alarmed.sentence
        return str((self.holder and self.holder.trouble) or self.failed)


class CivicDesk:
    """Give it to the executor and run `run`. `tell` is how events get to the node; `records` is the coordination store.

    Announcements of keys are taken of those whom `roots` and `voids` allow; what is `offered` beside the log's own
    types is looked up when it is filed. `witnesses` makes whoever asks the witnesses of a stream, where it is not HTTP.
    Without a `config` the desk only answers who files here.

    Raises:
        ConfigError: the key that signs checkpoints, or the password of the store, cannot be read.
    """

    def __init__(
        self,
        config: CivicConfig | None,
        records: Records,
        tell: Callable[[AskerFiled | HolderAnswered | HoldersFail], None],
        roots: frozenset[bytes] = frozenset(),
        voids: Voids | None = None,
        offered: Offered | None = None,
        witnesses: Callable[[str], Witnesses] | None = None,
        now_minute: Callable[[], int] = _now_minute,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._config, self._records, self._tell, self._witnesses = config, records, tell, witnesses
        self.roots, self.voids, self._offered = roots, voids, offered
        self._announcements = keys_type(roots, voids)
        self._book = (
            KeyBook(PublishedLog(config.publish / CITY), roots) if config and CITY in config.streams else None
        )
        self._now_minute = now_minute
        self._signers: dict[str, NoteSigner] = read_signers(config) if config else {}
        self.figures = CivicFigures(self._signers, config.quorum if config else 0, self.counters)
        if config and config.store.path is None:
            conninfo(config.store)  # what is missing is said now, not when a log is to be held
        streams = config.streams if config else ()
        self._folders = {stream: PublishedLog(config.publish / stream) for stream in streams if config}
        self._store: CivicStore | None = None
        self._attachments: AttachmentStore | None = None
        self._wanted: dict[str, Held] = {}
        self._logs: dict[str, _Log] = {}
        self._changed = trio.Event()
        self._answers: list[tuple[int, Answered]] = []
        self._answered = trio.Event()
        self._askers = 0
        self._asking: dict[int, tuple[trio.Event, list[Answered]]] = {}

    # ---- what the node wants

    def take(self, steps: Iterable[object]) -> None:
        """Do what the node's relay wants, in order."""
        for step in steps:
            match step:
                case HoldStreams(streams):
                    self._wanted = {held.stream: held for held in streams if held.stream in self._signers}
                    self._changed.set()
                case ToHolder():
                    self._give(step)
                case AnswerAsker(asker, answer):
                    asked = self._asking.get(asker)
                    if asked is not None:
                        asked[1].append(answer)
                        asked[0].set()

    async def file(self, submission: bytes) -> Answered:
        """What becomes of this, once: the node answers within a bounded time."""
        if len(self._asking) >= CIVIC_ASKERS_MAX:
            return Answered(refusal=_BUSY)
        self._askers += 1
        asker, answered, answers = self._askers, trio.Event(), list[Answered]()
        self._asking[asker] = answered, answers
        try:
            self._tell(AskerFiled(asker, submission))
            await answered.wait()
        finally:
            del self._asking[asker]
        return answers[0]

    # ---- looking

    def folder(self, stream: str) -> PublishedLog | None:
        """Where the log of a stream that this node may hold is published."""
        return self._folders.get(stream)

    def attachments(self, stream: str) -> AttachmentKeeper | None:
        """Who keeps what is attached to filings of a stream that is held here, once its store is open."""
        one = self._logs.get(stream)
        return one.attached if one is not None else None

    def store_of(self, stream: str) -> CivicStore | None:
        """The store of a log that is held here, and can be read."""
        one = self._logs.get(stream)
        return self._store if one is not None and one.holder is not None else None

    @property
    def config(self) -> CivicConfig | None:
        """What this node was told of civic logs."""
        return self._config

    def key_of(self, stream: str) -> str | None:
        """The public key of a log that this node may hold, as notes publish it."""
        signer = self._signers.get(stream)
        return signer.key.text if signer else None

    def announced(self) -> dict[str, object] | None:
        """What the city's log has announced of all logs, if it is published here; this blocks.

        Raises:
            StorageFailed: its folder cannot be read.
        """
        return self._book.read().document() if self._book else None

    def status(self) -> list[dict[str, object]]:
        """Of each stream held here: what its holder is doing, how long its log is, what is wrong."""
        return [
            {
                "stream": name,
                "epoch": one.held.epoch,
                "stage": one.holder.stage.value if one.holder else "opening",
                "size": one.holder.size if one.holder else 0,
                "queue": one.holder.queue if one.holder else 0,
                "copies": one.holder.copies if one.holder else 0,
                "failing": one.failing or one.meter.failing,
                "trouble": one.trouble,
                "alarm": one.meter.alarmed.reason if one.meter.alarmed else "",
            }
            for name, one in sorted(self._logs.items())
        ]

    # ---- tasks

    async def run(self) -> None:
        """Hold what is wanted, for ever."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell_on)
                nursery.start_soon(self._yield_on)
                while True:
                    for stream, one in self._logs.items():
                        if self._wanted.get(stream) != one.held:
                            one.scope.cancel()
                    for stream, held in self._wanted.items():
                        if stream not in self._logs:
                            self._logs[stream] = self._begin(held)
                            nursery.start_soon(self._hold, self._logs[stream])
                    self._changed = trio.Event()
                    await self._changed.wait()
        finally:
            for opened in (self._attachments, self._store):
                if opened is not None:
                    await opened.close()

    def _begin(self, held: Held) -> _Log:
        assert self._config is not None
        meter = self.figures.meters[held.stream]
        one = _Log(held, meter, self._folders[held.stream], trio.CancelScope())
        if self._config.quorum:
            one.accepted = deque(maxlen=CIVIC_OPEN_MAX)
        return one

    async def _hold(self, one: _Log) -> None:
        """One stream in one epoch, until the map says otherwise."""
        stream, epoch = one.held.stream, one.held.epoch
        log.info("civic log %s is held here", stream, extra={"stream": stream, "epoch": epoch})
        with one.scope:
            store = await self._opened(one)
            keys = await trio.to_thread.run_sync(self._log_keys, stream)
            assert self._attachments is not None, "opened with the store"
            keeper = AttachmentKeeper(stream, self._attachments, store, self._now_minute)
            one.holder = self._holder(one, store, keys, keeper)
            one.attached = keeper
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._bring, one)
                nursery.start_soon(keeper.run)
                if await one.holder.run() is Stage.DEPOSED:
                    self.counters["deposed"] += 1
                await trio.sleep_forever()  # what comes is told that the log is closed, and why
        log.info("civic log %s is held here no more", stream, extra={"stream": stream, "epoch": epoch})
        del self._logs[stream]
        self._changed.set()  # the next epoch may be waiting

    def _log_keys(self, stream: str) -> list[VerifierKey]:
        """The key that the log signs with, and those that it may have signed with before: when a witness shows what the
        log said then, it is known by them."""
        assert self._config is not None
        signs = self._signers[stream].key
        city, announced = self._folders.get(CITY), tuple[VerifierKey, ...]()
        if city is not None:
            try:
                announced = announced_keys(city, self.roots, stream)
            except StorageFailed as error:
                log.error("earlier keys of civic log %s are not known: %s", stream, error)
        earlier = (key for key in announced if key.name == signs.name)
        return list(dict.fromkeys((*keys_of(self._config, self._signers[stream]), *earlier)))

    def _holder(
        self, one: _Log, store: CivicStore, keys: Sequence[VerifierKey], attached: AttachmentKeeper
    ) -> CivicHolder:
        assert self._config is not None
        stream = one.held.stream
        return CivicHolder(
            LogConfig(
                stream,
                (self._signers[stream],),
                self._types(stream),
                self._config.quorum,
                self._config.desks,
                self._config.other_keys,
                self._offered.config.gateways if self._offered else frozenset(),
                self._clerk(stream),
            ),
            one.held.epoch,
            Places(store, self._records, one.folder),
            self._now_minute,
            one.meter,
            self._asking_witnesses(one, keys) if self._config.quorum else None,
            partial(self._witnessed, one),
            attached,
        )

    def _clerk(self, stream: str) -> Clerk | None:
        """Who decides about what is filed there."""
        if self._offered is None:
            return None
        return self._offered.clerk(stream, self._signers[stream].signer, self.roots, self.voids)

    def _types(self, stream: str) -> Mapping[str, TransactionType]:
        """What may be filed there; services come and go."""
        own = TYPES | ({KEYS: self._announcements} if stream == CITY else {})
        return ChainMap(own, self._offered.types) if self._offered else own

    def _asking_witnesses(self, one: _Log, keys: Sequence[VerifierKey]) -> Witnesses:
        assert self._config is not None
        stream, publish = one.held.stream, self._config.publish
        if self._witnesses is not None:
            return self._witnesses(stream)
        where = [(witness.url, witness.key) for witness in self._config.witnesses]
        proofs = publish.with_name(f"{publish.name}-proofs") / stream
        return HttpWitnesses(keys, one.folder, where, self._config.quorum, proofs, one.meter)

    async def _opened(self, one: _Log) -> CivicStore:
        """The store, opened by the first who needs it, once the folder can be read as well."""
        assert self._config is not None
        failures = 0
        while True:
            try:
                if self._store is None:
                    self._store = open_civic_store(self._config.store)
                    self._attachments = open_attachments(self._config.store)
                one.witnessed = await trio.to_thread.run_sync(one.folder.note, WITNESSED)
            except StorageFailed as error:
                if one.failing != error.reason:
                    log.error(
                        "civic log %s waits: %s", one.held.stream, error, extra={"reason": error.reason}
                    )
                one.failing, one.failed = error.reason, str(error)
                self.counters[f"open_{error.reason}"] += 1
                await trio.sleep(AGAIN_S[min(failures, len(AGAIN_S) - 1)])
                failures += 1
            else:
                one.failing = one.failed = ""
                return self._store

    async def _tell_on(self) -> None:
        """Tells the node what the holders have answered, all that came in one turn together."""
        while True:
            await self._answered.wait()
            self._answered = trio.Event()
            answers, self._answers = tuple(self._answers), []
            self._tell(HolderAnswered(answers))

    async def _yield_on(self) -> None:
        """Says which streams fail here for long, and for how long others should hold them."""
        if self._config is None or self._config.store.path is not None:
            return  # a file is on this machine alone
        failing: dict[str, float] = {}  # since when
        yielded: dict[str, float] = {}  # until when
        while True:
            await trio.sleep(YIELD_LOOK_S)
            now_s, before = trio.current_time(), yielded
            fail = [stream for stream, one in self._logs.items() if one.fails]
            failing = {stream: failing.get(stream, now_s) for stream in fail}
            long = [stream for stream, since_s in failing.items() if now_s - since_s >= CIVIC_YIELD_S]
            yielded = {stream: until_s for stream, until_s in yielded.items() if until_s > now_s}
            yielded |= dict.fromkeys(long, now_s + CIVIC_YIELDED_S)
            if yielded.keys() != before.keys():
                self._tell(HoldersFail(frozenset(yielded)))

    # ---- requests and their answers

    def _give(self, step: ToHolder) -> None:
        one = self._logs.get(step.held.stream)
        if one is None or one.held != step.held or one.holder is None:
            wanted = self._wanted.get(step.held.stream) == step.held
            self._answer(step.request, Answered(refusal=_DOWN if wanted else _MOVED))
        else:
            one.holder.submit(step.submission, partial(self._told, one, step.request))

    def _told(self, one: _Log, request: int, answer: Receipt | Refusal) -> None:
        """What the holder says; where witnesses are asked, a second answer may follow."""
        if isinstance(answer, Refusal):
            self._answer(request, Answered(refusal=answer))
            return
        more = one.accepted is not None
        self._answer(request, Answered(answer.to_bytes(), None, more))
        if one.accepted is not None:
            one.accepted.append((request, answer.index, trio.current_time() + CIVIC_WITNESSED_S))
            if one.witnessed is not None and answer.index < _size(one.witnessed):
                one.signed.set()

    def _answer(self, request: int, answer: Answered) -> None:
        self._answers.append((request, answer))
        self._answered.set()

    def _witnessed(self, one: _Log, note: Note) -> None:
        one.witnessed = note
        one.signed.set()

    async def _bring(self, one: _Log) -> None:
        """Second answers, as witnesses sign."""
        while True:
            await one.signed.wait()
            one.signed = trio.Event()
            if one.witnessed is None or not one.accepted:
                continue
            size, now_s = _size(one.witnessed), trio.current_time()
            waiting = [each for each in one.accepted if each[2] > now_s]
            covered = [(request, index) for request, index, _ in waiting if index < size]
            one.accepted.clear()
            one.accepted.extend(each for each in waiting if each[1] >= size)
            wanted = [(index, one.witnessed) for _, index in covered]
            try:
                receipts = await trio.to_thread.run_sync(receipts_of, one.folder, wanted)
            except StorageFailed as error:
                one.meter.failed("receipts", error.reason)  # they can be asked for by their index
                continue
            for (request, _), receipt in zip(covered, receipts, strict=True):
                self._answer(request, Answered(receipt.to_bytes()))


def _size(note: Note) -> int:
    return Checkpoint.parse(note.text).size
