"""`p2pworld services statistics`: what anybody counts from a log's folder is what a node counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from p2pworld.services.support import Support, file_support
from p2pworld.services.workflow import Action
from p2pworld.services.working_time import DAY_MINUTES
from shard_node.errors import ConfigError
from shard_node.services.documents import statistics_document
from shard_node.services.folder import read
from shard_node.statistics_command import statistics, supporters
from tests.services.published import CHIEF, OFFICIAL, Office
from tests.services.test_index import COMPLAINT, city_in
from tests.services.test_reservations import TEN

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def told(*arguments: str) -> Result:
    return CliRunner().invoke(statistics, arguments)


async def test_the_command_counts_what_the_index_counts(tmp_path: Path) -> None:
    offices = Office("city", TEN), Office("mapo", TEN)
    for office in offices:
        for _ in range(3):
            office.file(COMPLAINT, {})
    offices[0].act(0, 0, Action.ASSIGN, OFFICIAL)
    offices[0].act(0, 1, Action.BEGIN, OFFICIAL)
    offices[0].act(0, 2, Action.COMPLETE, CHIEF)
    async with city_in(tmp_path) as city:
        await city.read(*offices)
        city.minute = TEN + 100 * DAY_MINUTES + 13 * 60 + 59  # the last of a day in Seoul
        logs = [str(tmp_path / office.stream) for office in offices]
        found = json.loads(told(*logs, "--json", "--on", "2026-05-24").output)
        assert found == statistics_document(await city.index.statistics(), city.minute)
        assert found["total"]["missed"] == 5
        lines = told(*logs, "--on", "2026-05-24").output.splitlines()
        assert len(lines) == 3
        assert lines[1].split() == ["2026-02", "city", COMPLAINT.id, "3", "1", "2", "0", "0"]


async def test_supporters_are_counted_once_each_by_whoever_has_the_log(tmp_path: Path) -> None:
    office = Office("city", TEN)
    first, second = (office.file(read().services["mayor-proposal"], {}) for _ in range(2))
    said = [(first, "aa"), (first, "bb"), (second, "aa"), (first, "aa"), (7, "cc")]
    for number, (entry, person) in enumerate(said):
        office.put(file_support("city", Support(entry, person * 32), TEN, bytes([number]) * 32))
    async with city_in(tmp_path) as city:
        await city.read(office)
        counted = [await city.index.case("city", entry) for entry in (first, second)]
        assert [found and found.supporters for found in counted] == [2, 1]
    output = CliRunner().invoke(supporters, [str(tmp_path / "city")]).output
    assert output.splitlines() == ["city/0  2", "city/1  1", "city/7  1"]


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    office = Office("city", TEN)
    for _ in range(2):
        office.file(COMPLAINT, {})
    office.publish(tmp_path / "city")
    (tmp_path / "empty").mkdir()

    def wrong(*arguments: str) -> str:
        error = told(*arguments).exception
        assert isinstance(error, ConfigError)
        return str(error)

    assert "no log" in wrong(str(tmp_path / "empty"))
    assert "2026-13-01" in wrong(str(tmp_path / "city"), "--on", "2026-13-01")
    (bundle,) = (tmp_path / "city" / "tile" / "entries").rglob("2")
    data = bundle.read_bytes()
    bundle.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "checkpoint" in wrong(str(tmp_path / "city"))
    bundle.write_bytes(data[:-1])
    assert "cannot be read" in wrong(str(tmp_path / "city"))
    bundle.write_bytes(b"\x00\x01a\x00\x01b")
    assert "no leaves" in wrong(str(tmp_path / "city"))
