"""A small town for tests of services: one node that holds the logs of some offices, their officials, an attestor.

The node is a process like any other, with its logs in a file, but for the clock of its logs: that is the test's
(`clocked_node`). Whoever files here does it by HTTP; what has become of it is read in the log as it is published.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from p2pworld.civic.receipts import check_filed
from p2pworld.civic.transaction import (
    Field,
    Filing,
    Leaf,
    Paper,
    Secrets,
    Submission,
    file_transaction,
    parse_leaf,
)
from p2pworld.crypto.keys import Signer
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import VerifierKey
from p2pworld.merkle.tiles import TILE_WIDTH
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields
from p2pworld.services.people import claim_key_seed, person_of, purpose_of, show, sign_claim
from p2pworld.services.record import Acted, Happened, Opened, fold, read_entry
from p2pworld.services.workflow import Action, Who
from p2pworld.services.working_time import OfficeCalendar
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from simulations.bench.crowd import ground
from simulations.processes import City
from tests.patience import PATIENCE_S
from tests.services.clocked_node import CLOCK, set_clock
from tests.shard_node.test_city_of_processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from p2pworld.services.declaration import Service
    from p2pworld.services.record import Deed, Record

__all__ = ["Filed", "Told", "Town", "running_town"]

READY_S: Final = PATIENCE_S
ANSWER_S: Final = PATIENCE_S
CLAIM_MINUTES: Final = 30 * 24 * 60
LETTERS: Final = frozenset({Action.ASK, Action.SUPPLEMENT, Action.COMPLETE, Action.REFUSE, Action.NOTE})


@dataclass(frozen=True, slots=True)
class Told:
    """What the node has answered: the entry by its receipt, or why there is none, in both languages."""

    index: int = -1
    reason: str = ""
    ko: str = ""
    en: str = ""


@dataclass(slots=True)
class Filed:
    """A request that is in the log: by which secrets, at which entry, and how many acts there are on it."""

    submission: Submission
    secrets: Secrets
    entry: int
    seen: int = 0

    @property
    def stream(self) -> str:
        """Whose log it is in."""
        return self.submission.filing.stream


@dataclass
class Town:
    """The town while its node runs. `minute` is what its clock shows."""

    city: City
    clock: Path
    minute: int
    officials: dict[tuple[str, str], tuple[Signer, bytes]] = field(default_factory=dict)
    _read: dict[str, list[Leaf]] = field(default_factory=dict)
    _connections: list[HTTPConnection] = field(default_factory=list)
    _local: threading.local = field(default_factory=threading.local)

    @property
    def url(self) -> str:
        """Where the node's web is."""
        return self.city.nodes[0].web_url

    def wait_until(self, minute: int) -> None:
        """Make it that minute."""
        assert minute >= self.minute, "clocks here only go forward"
        self.minute = minute
        set_clock(self.clock, minute)

    # ---- filing

    def send(self, submission: Submission) -> Told:
        """File this, and check the receipt if one comes."""
        try:
            status, body = self._posted(submission.to_bytes())
        except (HTTPException, ConnectionError):  # the node has let an idle connection go
            status, body = self._posted(submission.to_bytes())
        if status != 200:
            said = json.loads(body)
            return Told(reason=said["reason"], ko=said["ko"], en=said["en"])
        key = VerifierKey.parse(self.city.log_keys[submission.filing.stream])
        return Told(check_filed(body, submission, key.name, [key]).index)

    def _posted(self, data: bytes) -> tuple[int, bytes]:
        """What the node answers, on this thread's own connection."""
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = HTTPConnection(urlsplit(self.url).netloc, timeout=ANSWER_S)
            self._local.connection = connection
            self._connections.append(connection)
        try:
            connection.request("POST", "/civic/file", data)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (HTTPException, ConnectionError):
            connection.close()
            raise

    def close(self) -> None:
        """Lets all connections go."""
        for connection in self._connections:
            connection.close()

    def send_all(self, submissions: Sequence[Submission], at_once: int = 64) -> list[Told]:
        """File these, so many at once on as many connections."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self.send, submissions))

    def written(
        self,
        service: Service,
        values: Mapping[str, object],
        stream: str,
        *,
        number: int = 0,
        gu: str = "",
        again: int = 0,
    ) -> tuple[Submission, Secrets]:
        """What person `number` of that gu files with these checked values; `again` makes another of the same."""
        made = (hashlib.sha256(f"{service.id} {number} {again} {i}".encode()).digest() for i in range(3))
        secrets = Secrets(*(bytes(a ^ b for a, b in zip(each, os.urandom(32), strict=True)) for each in made))
        public, private = service.split(values)
        identity = Signer.from_seed(hashlib.sha256(b"person %d" % number).digest())
        offices = [self.city.office_key]
        submission = file_transaction(
            service.transaction_type, stream, self.minute, public, private, identity, offices, secrets
        )
        if service.eligible.person.value == "anybody":
            return submission, secrets
        purpose = purpose_of(service, values)
        subject = hashlib.sha256(b"subject %d" % number).digest()
        holder = Signer.from_seed(claim_key_seed(identity.seed, purpose))
        person = person_of(self.city.signer("attestor").seed, purpose, subject)
        until = self.minute + CLAIM_MINUTES
        claim = sign_claim(self.city.signer("attestor"), purpose, person, holder.public, gu, until)
        shown = Paper("claim", show(claim, holder, submission.filing).to_bytes())
        return replace(submission, papers=(shown,)), secrets

    def file(
        self, service: Service, values: Mapping[str, object], stream: str, *, number: int = 0, gu: str = ""
    ) -> Filed:
        """The same, filed and accepted."""
        submission, secrets = self.written(service, values, stream, number=number, gu=gu)
        told = self.send(submission)
        assert told.index >= 0, (service.id, told)
        return Filed(submission, secrets, told.index)

    # ---- acting

    def official(self, stream: str, role: str) -> tuple[Signer, bytes]:
        """Somebody of the office who has this role, and their grants as they are shown."""
        known = self.officials.get((stream, role))
        if known is None:
            signer = Signer.from_seed(hashlib.sha256(f"{stream} {role}".encode()).digest())
            now_ms = min(self.minute * 60_000, time.time_ns() // 1_000_000) - 60_000
            grant = sign_grant(
                self.city.root, signer.public, role, (f"streams:{stream}",), now_ms, now_ms + 10**11
            )
            known = self.officials[stream, role] = signer, grant_to_text(grant).encode()
        return known

    def act(
        self,
        filed: Filed,
        action: Action,
        who: Who,
        *,
        role: str = "official",
        amount: int = 0,
        text: str = "",
    ) -> Told:
        """Somebody's act on a request, with a letter where there is a text."""
        stream, seed = filed.stream, os.urandom(32)
        grants = b""
        if who is Who.CITIZEN:
            actor = Signer.from_seed(filed.secrets.seed)
        else:
            actor, grants = self.official(stream, role)
        key = Signer.from_seed(seed)
        act = CaseAct(stream, filed.entry, filed.seen, action.value, amount, key.public)
        said = act_fields(act, actor)
        if text:
            letter = {"text": text, "language": "ko"}
            secrets = Secrets(seed, os.urandom(32), os.urandom(32))
            offices = [self.city.office_key]
            declared = CASE_TYPES["case-letter"]
            submission = file_transaction(
                declared, stream, self.minute, said, letter, actor, offices, secrets
            )
        else:
            public = tuple(Field(name, value) for name, value in said.items())
            filing = Filing("case-act", stream, key.public, self.minute, public)
            submission = Submission(filing, key.sign(filing.statement()))
        if grants:
            submission = replace(submission, papers=(Paper("grants", grants),))
        told = self.send(submission)
        filed.seen += told.index >= 0
        return told

    # ---- reading

    def log(self, stream: str) -> Path:
        """The folder of a log, as it is published."""
        return self.city.folder / f"{self.city.nodes[0].name}-log" / stream

    def leaves(self, stream: str, begin: int = 0) -> list[Leaf]:
        """The leaves of a log from an entry on, under its newest checkpoint; each is read once."""
        log, known = PublishedLog(self.log(stream)), self._read.setdefault(stream, [])
        note = log.note(CHECKPOINT)
        size = Checkpoint.parse(note.text).size if note else 0
        for number in range(len(known) // TILE_WIDTH, -(-size // TILE_WIDTH)):
            fresh = log.bundle(number, size)[len(known) - number * TILE_WIDTH :]
            known += map(parse_leaf, fresh)
        return known[begin:]

    def record(self, filed: Filed, service: Service) -> Record:
        """The case of a request after all that is in the log; whoever acts on it next has seen that."""
        deeds: list[Deed] = []
        opened = None
        for at, leaf in enumerate(self.leaves(filed.stream, filed.entry), filed.entry):
            read = read_entry(at, leaf.filing)
            if isinstance(read, Opened) and at == filed.entry:
                opened = read
            elif (isinstance(read, Acted) and read.about == filed.entry) or (
                isinstance(read, Happened) and read.filing == filed.submission.filing.key
            ):
                deeds.append(read)
        assert opened is not None, "what was filed opens a case"
        record = fold(opened, deeds, service, OfficeCalendar())
        filed.seen = record.seen
        return record

    def settled(self, stream: str, begin: int, enough: Callable[[list[Leaf]], bool]) -> list[Leaf]:
        """The leaves from an entry on, once they are enough."""
        found: list[Leaf] = []

        def there() -> bool:
            found[:] = self.leaves(stream, begin)
            return enough(found)

        wait_until(there, ANSWER_S, lambda: f"the last are {[leaf.filing.type for leaf in found[-8:]]}")
        return found

    def read_until(self, stream: str, begin: int, wanted: str) -> list[Leaf]:
        """The leaves from an entry on, once one of type `wanted` is among them."""
        return self.settled(stream, begin, lambda leaves: any(leaf.filing.type == wanted for leaf in leaves))


@contextmanager
def running_town(
    folder: Path, streams: Iterable[str], minute: int, declared: Path | None = None
) -> Iterator[Town]:
    """A town whose node is up and holds all these logs, at this minute."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    set_clock(clock, minute)
    os.environ[CLOCK] = str(clock)
    with City(folder / "city", 1, (), dealt=ground.dealt(1)) as city:
        wanted = sorted(streams)
        city.keep_logs(wanted, city.nodes, services=declared)
        node = city.nodes[0]
        node.program = "tests.services.clocked_node"
        node.start()

        def ready() -> bool:
            logs = node.ask_json("/healthz").get("civic", [])
            assert node.running, node.log_tail()
            return [log["stream"] for log in logs if log["stage"] == "idle"] == wanted

        wait_until(ready, READY_S, lambda: f"{node.ask_json('/healthz')}\n{node.log_tail()}")
        town = Town(city, clock, minute)
        try:
            yield town
        finally:
            town.close()
