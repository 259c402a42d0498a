"""What a node offers: the types that its logs take follow the operator's folder; what the configuration may say."""

from __future__ import annotations

from datetime import date
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import pytest

from p2pworld.services.workflow import Action
from p2pworld.services.working_time import OfficeCalendar, minute_at
from shard_node.config import Table
from shard_node.errors import ConfigError
from shard_node.services.book import CaseBook
from shard_node.services.host import Offered, ServiceHost
from shard_node.services.index import INDEX_NAME
from shard_node.services.settings import ServicesConfig, parse_services
from tests.services.published import Office

if TYPE_CHECKING:
    from pathlib import Path


SERVICES = resources.files("p2pworld.services") / "declared"
FIELD_COMPLAINT = (SERVICES / "administration" / "complaint-field.toml").read_text("utf-8")


def settings(tmp_path: Path, **values: object) -> ServicesConfig:
    table = Table("services", values, tmp_path)
    config = parse_services(table)
    table.done()
    return config


def test_a_declaration_that_appears_is_a_type_that_is_taken_and_one_that_goes_is_none(tmp_path: Path) -> None:
    offered = Offered(ServicesConfig(folder=tmp_path))
    types = offered.types
    assert "case-act" in types
    assert "complaint-field" in types
    before, text = (
        offered.version,
        FIELD_COMPLAINT.replace('id = "', 'id = "x-', 1).replace('"nuisance"', '"x"'),
    )
    (tmp_path / "new.toml").write_text(text, "utf-8")
    assert offered.look()
    (new,) = (name for name in types if name.startswith("x-"))
    assert offered.version == before + 1
    assert not offered.look()
    (tmp_path / "new.toml").write_text("id = 3\n", "utf-8")
    assert offered.look()
    assert new in types  # a file that was good counts as it was
    assert offered.catalogue.faults
    (tmp_path / "new.toml").unlink()
    assert offered.look()
    assert new not in types
    assert offered.types is types


def test_a_node_that_starts_knows_from_its_index_where_each_facility_was_booked(tmp_path: Path) -> None:
    offered, anybody = Offered(ServicesConfig()), cast("Any", None)
    facility = offered.catalogue.facilities["guro-gyenam-tennis-out"]
    office = Office("mapo", minute_at(date(2026, 5, 1), 600))
    entry = office.file(
        offered.catalogue.services["reserve-sports"], {"facility": facility.id, "slot": "2026-05-02T10:00"}
    )
    office.event(entry, Action.HOLD, facility.id, minute_at(date(2026, 5, 2), 600), 0)
    book = CaseBook(tmp_path / INDEX_NAME, {}, OfficeCalendar())
    book.take("mapo", 0, office.leaves)
    book.close()
    ServiceHost(offered, anybody, anybody, anybody, tmp_path)
    assert offered.catalogue.facilities[facility.id].gu == "mapo"
    (tmp_path / INDEX_NAME).write_bytes(b"damaged")  # it is made anew, and tells as it reads
    ServiceHost(Offered(ServicesConfig()), anybody, anybody, anybody, tmp_path)


def test_what_an_operator_says_of_services(tmp_path: Path) -> None:
    assert settings(tmp_path) == ServicesConfig()
    (tmp_path / "more").mkdir()
    (tmp_path / "gateway.key").write_text("x")
    keys = ["ab" * 32, "cd" * 32]
    found = settings(
        tmp_path,
        folder="more",
        attestors=keys,
        gateways=keys[:1],
        gateway_key_file="gateway.key",
        holidays=["2026-07-17 제헌절"],
    )
    assert found.folder == tmp_path / "more"
    assert found.attestors == {bytes.fromhex(key) for key in keys}
    assert found.gateways == {bytes.fromhex(keys[0])}
    assert found.gateway_key_file == tmp_path / "gateway.key"
    assert OfficeCalendar(found.holidays).holiday(date(2026, 7, 17)) == "제헌절"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"folder": "nowhere"}, "services.folder"),
        ({"attestors": ["ab"]}, "services.attestors"),
        ({"gateways": ["g" * 64]}, "services.gateways"),
        ({"gateways": [f"{number:064x}" for number in range(65)]}, "services.gateways are more than 64"),
        ({"draw_key_file": "nowhere"}, "services.draw_key_file"),
        ({"holidays": ["제헌절"]}, "services.holidays"),
        ({"holidays": ["2026-02-30 x"]}, "services.holidays"),
        ({"holidays": ["2026-01-01 x"] * 65}, "services.holidays are more than 64"),
        ({"atestors": []}, "services.atestors is not a known key"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, **values)
    assert said in str(caught.value)
