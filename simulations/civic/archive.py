"""All that keeps the civic logs of one run: stores, folders, records, witnesses, and the checkers that watch over them.

A log on SQLite lies on one machine's disk, and only that machine may hold it; a log on PostgreSQL may be held by any.
Each machine publishes what it holds in a folder of its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.civic.erasure import ERASED
from p2pworld.civic.receipts import check_filed
from p2pworld.civic.transaction import SUGGESTION
from p2pworld.crypto.keys import Signer
from p2pworld.errors import RemoteError
from p2pworld.merkle.note import NoteSigner
from simulations.civic.checkers import CivicCheckers
from simulations.civic.court import clerk_of, court_types
from simulations.civic.engines import Postgres, PostgresOptions, SqliteFile, Volume
from simulations.civic.folder import Folder
from simulations.civic.keeper import Log, Places
from simulations.civic.people import FilingOptions
from simulations.civic.records import Records
from simulations.civic.witnesses import Witnesses
from simulations.storage import DiskOptions

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from simulations.civic.checkers import Violate
    from simulations.civic.engines import Engine
    from simulations.civic.people import Paper
    from simulations.events import Agenda, Trace
    from simulations.storage import Disk
    from simulations.store import Store

__all__ = ["NO_LOGS", "Archive", "CivicOptions", "StreamOptions"]

_TYPES: Final = {declared.name: declared for declared in (SUGGESTION, ERASED)}


class StreamOptions(NamedTuple):
    """A log: its stream, and the machine whose disk has it; None: it is in PostgreSQL."""

    name: str
    machine: int | None


@dataclass(frozen=True, slots=True)
class CivicOptions:
    """Which logs there are, who witnesses them, and what is filed."""

    streams: tuple[StreamOptions, ...] = (StreamOptions("city", 1), StreamOptions("jongno", None))
    witnesses: int = 3
    quorum: int = 2
    fenced: bool = True  # stores compare a stream's row before they write
    keyed: bool = True  # and find a row beside a log where it is, and nowhere else
    compared: bool = True  # records are compared before they are swapped
    filing: FilingOptions = field(default_factory=FilingOptions)
    disk: DiskOptions = field(default_factory=DiskOptions)
    postgres: PostgresOptions = field(default_factory=PostgresOptions)


NO_LOGS: Final = CivicOptions(streams=(), filing=FilingOptions(per_s=0.0))


class Archive:
    """The logs of one run, on these machines' disks, by number."""

    def __init__(
        self,
        options: CivicOptions,
        disks: Sequence[Disk],
        store: Store,
        agenda: Agenda,
        dice: Callable[[str], random.Random],
        trace: Trace,
        violate: Violate,
    ) -> None:
        self.options = options
        self._names = [disk.name for disk in disks]
        self.logs = {
            stream.name: Log(
                stream.name,
                f"seoul.example/{stream.name}",
                Signer.from_seed(hashlib.sha256(b"log " + stream.name.encode()).digest()),
                {**_TYPES, **court_types()} if options.filing.book else _TYPES,
                options.quorum,
            )
            for stream in options.streams
        }
        if options.filing.book:
            self.logs = {
                name: log._replace(clerk=clerk_of(name, log.signer)) for name, log in self.logs.items()
            }
        keys = self._keys = {
            log.origin: [NoteSigner(log.origin, log.signer).key] for log in self.logs.values()
        }
        self.witnesses = Witnesses(options.witnesses, keys, agenda, dice("witnesses"))
        self.records = Records(store, agenda, dice("records"), trace)
        self.records.compared = options.compared
        self.postgres = Postgres(options.postgres, agenda, dice("postgres"), trace)
        self.volumes = [
            Volume(disk, options.disk, agenda, dice(f"volume {disk.name}"), trace) for disk in disks
        ]
        self.engines: dict[str, Engine] = {
            stream.name: self.postgres
            if stream.machine is None
            else SqliteFile(self.volumes[stream.machine], agenda)
            for stream in options.streams
        }
        witness_keys = {key.name: key.public for key in self.witnesses.keys}
        self.checkers = CivicCheckers([*self.logs.values()], witness_keys, violate)
        self.records.on_put = self._recorded
        self.witnesses.on_refusal = self.checkers.refused_by_witness
        self.postgres.on_change = partial(self.checkers.kept, "PostgreSQL")
        for disk, volume in zip(disks, self.volumes, strict=True):
            volume.on_change = partial(self.checkers.kept, disk.name)

    def _recorded(self, host: int, origin: str, before: bytes | None, record: bytes) -> None:
        self.checkers.recorded(self._names[host], origin, before, record)

    def verifies(self, paper: Paper, receipt: bytes) -> bool:
        """See `civic.people.Counters.verifies`."""
        log = self.logs[paper.stream]
        try:
            check_filed(receipt, paper.submission, log.origin, self._keys[log.origin])
        except RemoteError:
            return False
        return True

    def places(self, machine: int, stream: str) -> Places:
        """Where a log is, as this machine reaches it."""
        folder = Folder(self.volumes[machine], stream)
        return Places(self.engines[stream], self.records, folder, self.witnesses)

    def folders(self, stream: str) -> list[tuple[str, Folder]]:
        """Every machine's folder of it."""
        return [
            (name, Folder(volume, stream)) for name, volume in zip(self._names, self.volumes, strict=True)
        ]

    def on_disk_of(self, machine: int) -> list[str]:
        """The streams that lie on this machine's disk."""
        return [stream.name for stream in self.options.streams if stream.machine == machine]

    def set_back(self, streams: Sequence[str]) -> bool:
        """Some place is about to forget these; False if another one has in this run: two would be one too many."""
        if not all(map(self.checkers.may_forget, streams)):
            return False
        for stream in streams:
            self.checkers.set_back(stream)
        return True

    def lose_disk(self, machine: int, jobs: int | None = None) -> int:
        """A machine loses what is on its disk, or its last `jobs`; not if that would be one loss too many."""
        if not self.set_back(self.on_disk_of(machine)):
            return 0
        self.checkers.losing = self._names[machine]
        if jobs is None:
            self.volumes[machine].lose()
        else:
            jobs = self.volumes[machine].lose_last(jobs)
        self.checkers.losing = ""
        return jobs or 0
