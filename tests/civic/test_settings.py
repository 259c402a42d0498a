"""Where civic logs are, as a node's configuration says it, and the store that comes of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from p2pworld.world.proposals import StreamClaim
from shard_node.civic.desk import CivicDesk
from shard_node.civic.engines import open_civic_store
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.settings import read_signers
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.config import parse
from shard_node.coordination import SqliteCoordination
from shard_node.coordination.settings import StoreConfig, conninfo
from shard_node.errors import ConfigError
from tests.merkle.signed import WITNESS_KEYS
from tests.operations.test_configuration import document

if TYPE_CHECKING:
    from pathlib import Path

DSN = "host=db.example dbname=city"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "any.pem").write_text("")
    return tmp_path


def store_of(folder: Path, **told: Any) -> StoreConfig:
    """The store of a configuration whose `[civic] store` is a table that says this."""
    table = ", ".join(f"{key} = {value!r}" for key, value in told.items())
    more = {("civic", "store"): f"{{ {table} }}"}
    found = parse(document("sqlite", more), folder).civic
    assert found is not None
    return found.store


async def test_a_path_is_a_file_and_a_table_a_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVIC_PASSWORD", "hush-hush")
    plain = parse(document("sqlite"), folder).civic
    assert plain is not None
    file = open_civic_store(plain.store)
    assert isinstance(file, SqliteCivicStore)
    await file.close()
    database = store_of(
        folder, dsn=DSN, user="city", password_env="CIVIC_PASSWORD", ca_file="any.pem", copies=2
    )
    assert (database.key, database.copies, database.verified) == ("civic.store.dsn", 2, True)
    assert "hush" not in repr(database)
    assert conninfo(database)["password"] == "hush-hush"
    store = open_civic_store(database)
    assert isinstance(store, PostgresCivicStore)
    await store.close()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"copies": 2}, "civic.store.dsn is missing"),
        ({"dsn": "host=a"}, "civic.store.dsn names no database"),
        ({"dsn": DSN + " password=hush-hush"}, "civic.store.dsn holds password: use civic.store.user"),
        ({"dsn": DSN, "password_env": "A"}, "civic.store.user is missing"),
        ({"dsn": DSN, "copies": 0}, "civic.store.copies must be"),
        ({"dsn": DSN, "path": "a"}, "civic.store.path is not a known key"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, told: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        store_of(folder, **told)
    assert "hush" not in str(caught.value)


KEY = "ab" * 32


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("streams", "[]", "civic.streams is missing or empty"),
        ("streams", '["City"]', "civic.streams holds 'City'"),
        ("streams", '["a/b"]', "civic.streams holds 'a/b'"),
        ("streams", '["city", "city"]', "civic.streams names 'city' twice"),
        ("streams", str([f"s{n}" for n in range(33)]), "civic.streams are more than 32"),
        ("origin", '"seoul example"', "civic.origin is 'seoul example'"),
        ("origin", f'"{"o" * 251}"', "civic.origin is"),
        ("quorum", "1", "civic.quorum is 1, and there are fewer witnesses"),
        ("witness", '[{ url = "http://a", vkey = "x" }]', "civic.witness.vkey is 'x'"),
        ("witness", '[{ url = "ftp://a", vkey = "x" }]', "civic.witness.url is 'ftp://a'"),
        (
            "witness",
            f'[{{ url = "http://a..b", vkey = "{WITNESS_KEYS[0].text}" }}]',
            "civic.witness.url: 'http://a..b'",
        ),
        ("witness", '"w"', "civic.witness must be at most 30 tables: write [[civic.witness]]"),
        ("office", '[{ stream = "city", name = "a", key = "12" }]', "civic.office.key holds '12'"),
        ("office", f'[{{ stream = "jung", name = "a", key = "{KEY}" }}]', "civic.office is for 'jung'"),
        (
            "office",
            f'[{{ stream = "city", name = "a", key = "{KEY}", b = 1 }}]',
            "civic.office.b is not a known key",
        ),
        ("desks", '["12"]', "civic.desks holds '12'"),
        ("rest", "1", "civic.rest is not a known key"),
    ],
)
def test_what_cannot_be_of_a_log_is_named(folder: Path, key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse(document("sqlite", {("civic", key): value}), folder)


def test_a_stream_in_a_file_is_claimed_for_this_disk_and_one_in_a_database_for_all(folder: Path) -> None:
    file = parse(document("sqlite"), folder).civic
    assert file is not None
    assert file.claims == (StreamClaim("city", shared=False),)
    assert replace(file, store=store_of(folder, dsn=DSN)).claims == (StreamClaim("city", shared=True),)


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PRIVATE KEY-----"])
def test_a_key_file_that_holds_none_is_missed(folder: Path, text: str) -> None:
    (folder / "any.pem").write_text(text)
    config = parse(document("sqlite"), folder).civic
    assert config is not None
    with pytest.raises(ConfigError, match=r"civic\.key_file names .*any\.pem, which holds no key"):
        read_signers(config)


def test_a_password_that_is_not_in_the_environment_is_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CIVIC_PASSWORD", raising=False)
    database = store_of(folder, dsn=DSN, user="city", password_env="CIVIC_PASSWORD")
    with pytest.raises(ConfigError, match=r"^civic\.store\.password_env names CIVIC_PASSWORD"):
        open_civic_store(database)


def test_a_node_that_could_not_open_its_store_later_does_not_start(folder: Path) -> None:
    (folder / "any.pem").write_text(bytes(32).hex())
    found = parse(document("sqlite"), folder).civic
    assert found is not None
    store = StoreConfig(
        "postgresql", dsn=DSN, user="city", password_file=folder / "none", table="civic.store"
    )
    records = SqliteCoordination(folder / "coordination.sqlite")
    with pytest.raises(ConfigError, match=r"^civic\.store\.password_file cannot be read"):
        CivicDesk(replace(found, store=store), records, lambda _: None)
