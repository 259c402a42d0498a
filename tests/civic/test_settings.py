"""Where civic logs are, as a node's configuration says it, and the store that comes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.settings import open_civic_store
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.config import civic_store
from shard_node.coordination.settings import conninfo
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

DSN = "host=db.example dbname=city"


async def test_a_path_is_a_file_and_a_table_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_PASSWORD", "hush-hush")
    (tmp_path / "ca.crt").write_text("")
    file = civic_store("civic.sqlite", tmp_path)
    assert (file.engine, file.path, file.copies) == ("sqlite", tmp_path / "civic.sqlite", 1)
    assert isinstance(open_civic_store(file), SqliteCivicStore)
    told = {"dsn": DSN, "user": "city", "password_env": "CIVIC_PASSWORD", "ca_file": "ca.crt", "copies": 2}
    database = civic_store(told, tmp_path)
    assert (database.key, database.copies, database.verified) == ("civic.store.dsn", 2, True)
    assert "hush" not in repr(database)
    assert conninfo(database)["password"] == "hush-hush"
    store = open_civic_store(database)
    assert isinstance(store, PostgresCivicStore)
    await store.close()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "civic.store must be the path"),
        (7, "civic.store must be the path"),
        ({}, "civic.store.dsn is missing"),
        ({"dsn": "host=a"}, "civic.store.dsn names no database"),
        ({"dsn": DSN + " password=hush-hush"}, "civic.store.dsn holds password: use civic.store.user"),
        ({"dsn": DSN, "password_env": "A"}, "civic.store.user is missing"),
        ({"dsn": DSN, "copies": 0}, "civic.store.copies must be"),
        ({"dsn": DSN, "path": "a"}, "civic.store.path is not a known key"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        civic_store(value, tmp_path)
    assert "hush" not in str(caught.value)


def test_a_password_that_is_not_in_the_environment_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CIVIC_PASSWORD", raising=False)
    database = civic_store({"dsn": DSN, "user": "city", "password_env": "CIVIC_PASSWORD"}, tmp_path)
    with pytest.raises(ConfigError, match=r"^civic\.store\.password_env names CIVIC_PASSWORD"):
        open_civic_store(database)
