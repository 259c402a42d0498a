"""The index of cases: what it answers from published logs, beside plain reading of the same leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from p2pworld.services.workflow import Action
from p2pworld.services.working_time import OfficeCalendar
from shard_node.services.folder import read
from shard_node.services.index import INDEX_NAME, ServiceIndex
from shard_node.services.queries import Asked
from tests.services.published import OFFICIAL, Office
from tests.services.test_reservations import TEN

if TYPE_CHECKING:
    from pathlib import Path

CALENDAR = OfficeCalendar()
CATALOGUE = read()
COMPLAINT = CATALOGUE.services["complaint-suggestion"]
BUS = CATALOGUE.services["tour-bus-seat"]


def test_smoke(tmp_path: Path) -> None:
    async def main() -> None:
        office = Office("city", TEN)
        first = office.file(COMPLAINT, {})
        office.act(first, 0, Action.ASSIGN, OFFICIAL)
        folder = office.publish(tmp_path / "city")
        index = ServiceIndex(tmp_path / INDEX_NAME, lambda: CATALOGUE, CALENDAR, lambda: TEN)
        await index.open()
        print(await index.take_folder("city", folder))
        print(await index.case("city", first))
        print(await index.queue("city", Asked()))
        print(await index.changes(), await index.statistics())
        await index.close()

    trio.run(main)
