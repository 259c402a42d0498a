"""What all parts of civic services on a node share: the declarations as they are now, the calendar, the doors.

A part (an index, a gateway, pages) is made from a host and hangs its routes on it in `routes`. `run` looks at the
operator's folder each second; what has changed counts from then on, also for what the logs held here take.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.services.clerk import ServiceClerk, Trusted
from p2pworld.services.leaf_types import WORK_TYPES
from p2pworld.services.people import Attestors
from p2pworld.services.working_time import OfficeCalendar
from shard_node.execute import now
from shard_node.services.attaching import Attaching
from shard_node.services.attestors import AttestorFollower
from shard_node.services.book import read_homes
from shard_node.services.folder import ServiceFolder
from shard_node.services.follow import Follower, sources_of
from shard_node.services.gateway import Gateway
from shard_node.services.going_on import GoingOn
from shard_node.services.index import INDEX_NAME, ServiceIndex
from shard_node.services.letters import Letters
from shard_node.services.offices import OfficeKeys
from shard_node.services.settings import read_signer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from p2pworld.civic.transaction import TransactionType
    from p2pworld.crypto.keys import Signer
    from p2pworld.grants import Voids
    from p2pworld.services.catalogue import Catalogue
    from shard_node.civic.desk import CivicDesk
    from shard_node.doors import Doors
    from shard_node.execute import Executor
    from shard_node.services.settings import ServicesConfig

__all__ = ["Offered", "ServiceHost"]

LOOK_S: Final = 1.0

log = logging.getLogger(__name__)


class Offered:
    """The declarations that count now, and the types of transactions that follow from them.

    `types` is one object for as long as this lives, changed in place: whoever holds a log looks a type up in it when
    something is filed. `attestors` are those that are believed at the moment.

    Raises:
        ConfigError: the key of the office in draws cannot be read.
    """

    def __init__(self, config: ServicesConfig) -> None:
        self.config = config
        self.folder = ServiceFolder(config.folder)
        self.calendar = OfficeCalendar(config.holidays)
        self.types: dict[str, TransactionType] = {}
        self.attestors = Attestors(config.attestors)
        key_file = config.draw_key_file
        self._draws = read_signer(key_file, "services.draw_key_file") if key_file else None
        self.version = 0  # counts how often the declarations have changed
        self._told: frozenset[str] = frozenset()
        self.look()

    @property
    def catalogue(self) -> Catalogue:
        """All services and facilities as they are now."""
        return self.folder.catalogue

    def clerk(
        self, stream: str, signer: Signer, roots: frozenset[bytes], voids: Voids | None
    ) -> ServiceClerk:
        """Who decides for the holder of a stream, whose log `signer` signs; officials have grants from these roots."""
        trusted = Trusted(lambda: self.attestors, roots, voids, self._draws)
        return ServiceClerk(stream, signer, lambda: self.catalogue, self.calendar, trusted)

    def look(self, homes: Mapping[str, str] | None = None) -> bool:
        """Whether a declaration has changed since the last look; this reads files. `homes`: see `read_catalogue`."""
        if not self.folder.look(homes):
            return False
        new = {**WORK_TYPES, **self.catalogue.types()}
        self.types.update(new)
        for name in self.types.keys() - new.keys():
            del self.types[name]
        self.version += 1
        faults = {str(fault) for fault in self.catalogue.faults}
        for fault in sorted(faults - self._told):
            log.error("a declaration of a service is wrong: %s", fault)
        self._told = frozenset(faults)
        return True


class ServiceHost:
    """One node's services; `data_dir` is for what parts keep.

    Raises:
        ConfigError: the gateway's key cannot be read.
    """

    def __init__(
        self, offered: Offered, executor: Executor, desk: CivicDesk, doors: Doors, data_dir: Path
    ) -> None:
        self.offered, self.executor, self.desk, self.doors = offered, executor, desk, doors
        self.data_dir = data_dir
        index = data_dir / INDEX_NAME
        with suppress(sqlite3.Error):  # then it is made anew, and tells as it reads
            offered.look(read_homes(index))  # before anything can be booked
        self.index = ServiceIndex(
            index, lambda: self.catalogue, self.calendar, lambda: now().wall_ms // 60_000
        )
        self._attestors = AttestorFollower(offered)
        self.offices = OfficeKeys(executor, desk)
        self.gateway = Gateway(self, self.offices, Attaching(executor))
        self.going_on = GoingOn(self, self.gateway, self.offices, Letters(executor))
        self._follower = Follower(self.index, partial(sources_of, executor, desk))

    @property
    def config(self) -> ServicesConfig:
        """What the node was told of services."""
        return self.offered.config

    @property
    def catalogue(self) -> Catalogue:
        """All services and facilities as they are now."""
        return self.offered.catalogue

    @property
    def calendar(self) -> OfficeCalendar:
        """The working days of offices."""
        return self.offered.calendar

    async def run(self) -> None:
        """Everything that parts do by themselves, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_on)
            nursery.start_soon(self._follower.run)
            nursery.start_soon(self._attestors.run)
            nursery.start_soon(self.gateway.run)

    async def _look_on(self) -> None:
        while True:
            await trio.sleep(LOOK_S)
            # in a thread: a folder may lie on a slow disk
            if await trio.to_thread.run_sync(self.offered.look, self.index.homes):
                catalogue = self.catalogue
                log.info(
                    "services are %d now, facilities %d", len(catalogue.services), len(catalogue.facilities)
                )
