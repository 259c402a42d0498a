"""Files requests for people who cannot sign: with fresh secrets for each, and the gateway's own signature beside.

What is to be filed is checked, sealed for the office and kept (`GatewayStore`) before it is brought to the log, so a
retry under the same `Idempotency-Key`, after a crash too, brings the same bytes: the log takes them once and answers
the same. Then the secrets are gone, but for the seed of the filing's own key, which is kept locked under the
`Idempotency-Key`: whoever has that can go on with the request, and the gateway alone cannot.

A request that the log did not answer in time stays open. It is brought again by whoever retries and by `run`, until
there is an answer, or until its minute is over: then the log does not have it and never takes it, and a retry makes a
new one. What the log's holder says before it looks into its log (that it does not know the type, that it is read-only)
is told, and the request stays open, because an earlier try may be in the log.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import trio

from p2pworld.civic.transaction import Secrets, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import lock, sealing_public, unlock
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.limits import GATEWAY_PATIENCE_S
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.services.attachments import check_attachments
from p2pworld.services.open311 import NOTE
from p2pworld.services.reasons import SERVICE_REASONS
from p2pworld.services.replies import Told, told, told_of_fault, told_of_refusal
from p2pworld.services.reservations import offer_of, slot_fault
from p2pworld.services.sealed_files import paper_of_files
from p2pworld.services.working_time import day_of
from shard_node.services.gateway_store import GATEWAY_STORE_NAME, GatewayRow, GatewayStore
from shard_node.services.settings import read_signer
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from p2pworld.services.declaration import Service
    from shard_node.services.attaching import Attaching
    from shard_node.services.host import ServiceHost
    from shard_node.services.offices import OfficeKeys

__all__ = ["Application", "Filed", "Gateway", "Held", "identity_of", "reply_secret", "request_name"]

AGAIN_S: Final = 0.5  # before what the log did not decide is brought again
REFILE_S: Final = 15.0  # between two looks at what is open
REFILE_MOST: Final = 64  # at one look
READ_S: Final = 3.0  # for an answer that is there anyhow
FORGET_S: Final = 6 * 3_600.0
LAPSED: Final = "civic-clock"  # the log does not have it, and its minute is over
_NAME: Final = b"p2pworld gateway request v1\n"
_CONTENT: Final = b"p2pworld gateway content v1\n"
_FOLLOW: Final = b"p2pworld gateway follow v1\n"
_IDENTITY: Final = b"p2pworld gateway identity v1\n"
_REPLY: Final = b"p2pworld case reply v1\n"

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Application:
    """What somebody asks for: a service, the form's values as they came, a note for the office beside the form, and
    the files of its fields."""

    service: str
    values: Mapping[str, object]
    note: str = ""
    files: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    def content(self, idempotency_key: str) -> bytes:
        """A hash that tells a retry from another request under the same key, and nothing to whoever has no key."""
        files = {name: [_sha256(file).hex() for file in there] for name, there in self.files.items()}
        said = json.dumps(
            [self.service, self.values, self.note, files], sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(_CONTENT + idempotency_key.encode() + b"\n" + said.encode()).digest()


@dataclass(frozen=True, slots=True)
class Filed:
    """A request that stands in the log: where, and by which key it is known. `receipt` is there the first time."""

    stream: str
    entry: int
    key: bytes
    receipt: bytes = b""


@dataclass(frozen=True, slots=True)
class Held:
    """A request whose key was shown: its service, where it stands, and the seed of the filing's own key."""

    service: str
    filed: Filed
    seed: bytes

    def __repr__(self) -> str:
        return "Held()"


def request_name(idempotency_key: str) -> bytes:
    """What a request is called in the store, and the token under which it is asked for."""
    return hashlib.sha256(_NAME + idempotency_key.encode()).digest()


def reply_secret(seed: bytes) -> bytes:
    """The secret that opens what the office answers to the filing of this seed."""
    return hashlib.sha256(_REPLY + seed).digest()


def identity_of(seed: bytes) -> Signer:
    """Who files, where nobody has a key of their own: one that nothing else is signed with."""
    return Signer.from_seed(hashlib.sha256(_IDENTITY + seed).digest())


class Gateway:
    """The gateway of one node; without a key it files nothing.

    Raises:
        ConfigError: the key cannot be read.
    """

    def __init__(self, host: ServiceHost, offices: OfficeKeys, attaching: Attaching) -> None:
        path = host.config.gateway_key_file
        self._signer = read_signer(path, "services.gateway_key_file") if path else None
        self._host, self._offices, self._attaching = host, offices, attaching
        self._now_minute = host.index.now_minute
        self._store = GatewayStore(host.data_dir / GATEWAY_STORE_NAME)
        if self._signer is not None and self._signer.public not in host.config.gateways:
            log.warning("services.gateways does not name this node's own gateway: its logs will refuse it")

    @property
    def key(self) -> bytes | None:
        """The public key that it signs with."""
        return self._signer.public if self._signer else None

    # ---- filing

    def check(
        self, service: Service, values: Mapping[str, object]
    ) -> tuple[dict[str, object], tuple[Told, ...]]:
        """The values as they would be kept, and all that is wrong with them now; nothing is kept."""
        minute = self._now_minute()
        kept, faults = service.check(values, day_of(minute), self._host.catalogue.facilities)
        if faults or service.places is None:
            return kept, tuple(map(told_of_fault, faults))
        facility, slot = str(kept["facility"]), str(kept["slot"])
        offer = offer_of(service, self._host.catalogue.facilities, facility, slot, self._host.calendar)
        if isinstance(offer, Refusal):
            return kept, (told_of_refusal(offer),)
        # where somebody lives is not known here: only what nobody may
        fault = slot_fault(offer, minute, offer.facility.gu)
        return kept, (told_of_refusal(fault),) if fault else ()

    async def file(self, asked: Application, idempotency_key: str) -> Filed | tuple[Told, ...]:
        """Where it stands in the log, or all that is wrong with it.

        Raises:
            StorageFailed: the gateway's own store cannot be used; whether it was filed may not be known.
        """
        name = request_name(idempotency_key)
        content = await _in_thread(asked, asked.content, idempotency_key)
        row = await self._store.row(name)
        if row is None or (row.refusal == LAPSED and row.content == content):
            made = await self._make(asked, name, content, idempotency_key)
            if isinstance(made, tuple):
                return made
            row = await self._store.begin(made, instead_of=LAPSED)
            if row is None:
                return (told("busy"),)
        if row.content != content:
            return (told("idempotency-reused"),)
        found = await self._bring(row, GATEWAY_PATIENCE_S)
        if isinstance(found, Filed):
            await self.until_read(found)
        return found

    async def _make(
        self, asked: Application, name: bytes, content: bytes, idempotency_key: str
    ) -> GatewayRow | tuple[Told, ...]:
        """The row of a request that was not there before, or all that is wrong with it."""
        service = self._host.catalogue.services.get(asked.service)
        if service is None:
            return (told("service-unknown"),)
        if self._signer is None:
            return (told("gateway-none"),)
        if not service.gateway:
            return (told("gateway-not-here"),)
        values, wrong = await _in_thread(asked, _with_files, service, asked)
        if wrong:
            return wrong
        kept, wrong = self.check(service, values)
        if wrong:
            return wrong
        stream = service.stream(kept, self._host.catalogue.facilities)
        offices = await self._offices.of(stream) if stream else ()
        if stream is None or not offices:
            return (told("office-key-unknown"),)
        public, private = service.split(kept)
        secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
        private["reply-key"] = sealing_public(reply_secret(secrets.seed)).hex()
        if asked.note:
            private[NOTE] = asked.note
        minute = self._now_minute()
        try:
            submission = file_transaction(
                service.transaction_type,
                stream,
                minute,
                public,
                private,
                identity_of(secrets.seed),
                offices,
                secrets,
                self._signer,
            )
        except LocalError:  # each text is within its bound, and all of them together are not
            return (told("sealed-too-long"),)
        if asked.files:
            files = dict.fromkeys(file for there in asked.files.values() for file in there)
            fault = await self._attaching.bring(stream, secrets.blob_key, files)
            if fault is not None:
                return (fault,)
            digests = map(_sha256, files)
            paper = paper_of_files(secrets.blob_key, digests, submission.filing.key)
            submission = replace(submission, papers=(paper,))
        key = submission.filing.key
        seed = lock(_follow_key(idempotency_key, key), secrets.seed)
        return GatewayRow(name, content, service.id, stream, minute, key, seed, submission.to_bytes())

    async def until_read(self, filed: Filed) -> None:
        """Gives this node's index a moment to read the entry, because whoever filed it asks for it at once."""
        with trio.move_on_after(READ_S):
            while self._host.index.size(filed.stream) <= filed.entry:
                await self._host.index.grown()

    async def _bring(self, row: GatewayRow, patience_s: float) -> Filed | tuple[Told, ...]:
        """What the log answers to the request, now or before; it stays open if that is not known."""
        if row.entry is not None:
            return Filed(row.stream, row.entry, row.key)
        if row.refusal is not None:
            return (_told_refused(row.refusal),)
        assert row.submission is not None, "a row is open, or answered"
        late_s = trio.current_time() + patience_s
        while True:
            answer = await self._host.desk.file(row.submission)
            if answer.refusal is None:
                entry = parse_receipt(answer.receipt).index
                await self._store.answered(row.name, entry)
                return Filed(row.stream, entry, row.key, answer.receipt)
            said = told_of_refusal(answer.refusal)
            if said.reason == LAPSED or said.reason in SERVICE_REASONS:
                await self._store.answered(row.name, None, said.reason)
                return (_told_refused(said.reason),)
            if not said.again:
                return (said,)
            if trio.current_time() >= late_s:
                return (told("filing-open"),)
            await trio.sleep(AGAIN_S)

    # ---- following

    async def standing(self, name: bytes) -> Filed | Told | None:
        """What became of the request of this name: its place, why it has none (yet), or None if there is none."""
        row = await self._store.row(name)
        if row is None:
            return None
        if row.entry is not None:
            return Filed(row.stream, row.entry, row.key)
        return _told_refused(row.refusal) if row.refusal is not None else told("filing-open")

    async def opened(self, idempotency_key: str) -> Held | Told | None:
        """The request that came under this key and what it takes to go on with it, or as `standing`."""
        name = request_name(idempotency_key)
        row = await self._store.row(name)
        if row is None or row.entry is None:
            standing = await self.standing(name)
            assert not isinstance(standing, Filed), "an entry is never taken back"
            return standing
        try:
            seed = unlock(_follow_key(idempotency_key, row.key), row.seed)
        except RemoteError as error:
            raise StorageFailed("corrupt", "A request in the gateway's store cannot be opened.") from error
        return Held(row.service, Filed(row.stream, row.entry, row.key), seed)

    # ---- by itself

    async def run(self) -> None:
        """Brings what is open to the log again and again, and forgets what is long over, for ever."""
        forget_s = trio.current_time()
        try:
            while self._signer is not None:
                try:
                    await self._bring_all()
                    if trio.current_time() >= forget_s:
                        forget_s = trio.current_time() + FORGET_S
                        await self._store.forget_before(self._now_minute())
                except StorageFailed as error:
                    log.error("the gateway's store fails: %s", error, extra={"reason": error.reason})
                await trio.sleep(REFILE_S)
        finally:
            await self._store.close()

    async def _bring_all(self) -> None:
        for row in await self._store.open_rows(REFILE_MOST):
            if row.minute < self._now_minute():  # whoever asked is being answered still
                await self._bring(row, 0.0)


async def _in_thread(asked: Application, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Does what looks at every byte of the files where it stops nobody else; without files, at once."""
    if not asked.files:
        return work(*args, **kwargs)
    return await trio.to_thread.run_sync(partial(work, *args, **kwargs))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _with_files(service: Service, asked: Application) -> tuple[dict[str, object], tuple[Told, ...]]:
    """The values with the hashes of the files that came for their fields, and what is wrong with those."""
    values, wrong = dict(asked.values), list[Told]()
    for one in service.form.fields:
        if one.format != "file":
            continue
        files = asked.files.get(one.name, ())
        values.pop(one.name, None)  # a hash without its file leads nowhere
        if not files:
            continue
        assert service.attachments is not None, "a service with such a field has them"
        fault = check_attachments(one, service.attachments, files)
        if fault is not None:
            wrong.append(told_of_fault(fault))
        hashes = list(dict.fromkeys(_sha256(file).hex() for file in files))
        values[one.name] = hashes if one.schema["type"] == "array" else hashes[0]
    return values, tuple(wrong)


def _told_refused(reason: str) -> Told:
    if reason == LAPSED:
        return told("filing-lapsed")
    return told_of_refusal(Refusal(reason, ""))


def _follow_key(idempotency_key: str, key: bytes) -> bytes:
    """What the seed of the filing `key` is locked with; it locks nothing else."""
    return hashlib.sha256(_FOLLOW + key + idempotency_key.encode()).digest()
