"""docs/operations/configuration.md names every key that a configuration may have, and what holds if it is left out."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from p2pworld.crypto.keys import Signer
from p2pworld.merkle.note import COSIGNATURE, NoteSigner
from shard_node import config
from shard_node.config import Config, load, parse
from shard_node.coordination.settings import ENGINES
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations/configuration.md").read_text(encoding="utf-8")
MUST, MAY = "*must*", "*may*"
SECTION = re.compile(r"^## `\[(\w+)\]`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \|(?: ([a-z, ]+) \|)? (\*\w+\*|`[^`]+`) \|", re.MULTILINE)

WITNESS = NoteSigner("w", Signer.from_seed(bytes(32)), COSIGNATURE)
ANY_FILE = '"any.pem"'
VALUES = {  # of what must be given, and of what may
    "name": '"a"', "data_dir": '"data"', "key_file": ANY_FILE, "grant_file": ANY_FILE, "roots": f'["{"ab" * 32}"]',
    "play": '"127.0.0.1:1"', "link": '"127.0.0.1:2"', "web": '"127.0.0.1:3"', "play_cert": ANY_FILE,
    "play_key": ANY_FILE, "path": '"city.sqlite"', "endpoints": '["https://a:1"]', "dsn": '"dbname=a"',
    "password_file": ANY_FILE, "ca_file": ANY_FILE, "cert_file": ANY_FILE, "declared": '"."',
    "origin": '"a.example"', "streams": '["city"]', "store": '"civic.sqlite"', "publish": '"log"',
    "witness": f'[{{ url = "http://a", vkey = "{WITNESS.key.text}" }}]',
    "folder": '"."', "gateway_key_file": ANY_FILE, "draw_key_file": ANY_FILE,
    "office": f'[{{ stream = "city", name = "a", key = "{"ab" * 32}" }}]',
}  # fmt: skip
TOGETHER = {
    "user": ("password_file",),
    "password_file": ("user",),
    "cert_file": ("ca_file", "key_file"),
    "key_file": ("ca_file", "cert_file"),
}


class Key(NamedTuple):
    """One row of the page."""

    table: str
    name: str
    engines: tuple[str, ...]
    left_out: str


def rows() -> list[Key]:
    found = []
    for table, text in SECTION.findall(PAGE):
        for name, engines, left_out in ROW.findall(text):
            of = ENGINES if engines in ("", "all") else tuple(engines.split(", "))
            found.append(Key(table, name, of, left_out))
    return found


KEYS = rows()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "any.pem").write_text("")
    return tmp_path


def document(engine: str, more: Mapping[tuple[str, str], str] = {}, less: Key | None = None) -> str:
    """A configuration of this engine with all that must be given, and what else is said."""
    tables: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for key in KEYS:
        if key.left_out == MUST and key != less and engine in key.engines:
            tables[key.table][key.name] = VALUES[key.name]
    if engine != ENGINES[0]:
        tables["coordination"]["engine"] = f'"{engine}"'
    for (table, name), value in more.items():
        tables[table][name] = value
    return "".join(
        f"[{table}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
        for table, values in tables.items()
    )


def cases(*left_out: str) -> list[Any]:
    return [
        pytest.param(key, engine, id=f"{key.table}.{key.name}-{engine}")
        for key in KEYS
        for engine in (key.engines if key.engines != ENGINES else ENGINES[:1])
        if (key.left_out in left_out if left_out else key.left_out not in (MUST, MAY))
    ]


def test_the_page_has_the_keys_that_are_read_and_no_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[tuple[str, str, str]] = set()

    class Asked(dict[str, object]):
        """The values of a table, which note every key that is asked for."""

        def __init__(self, values: object, note: Any) -> None:
            super().__init__(values)  # type: ignore[call-overload]
            self.note = note

        def pop(self, key: str, default: object = None) -> object:
            self.note(key)
            return super().pop(key, default)

        def __contains__(self, key: object) -> bool:
            self.note(key)
            return super().__contains__(key)

    class Table(config.Table):
        def __init__(self, name: str, values: object, base: Path) -> None:
            super().__init__(name, values, base)
            self.values = Asked(self.values, lambda key: asked.add((name, key, engine)))

    monkeypatch.setattr(config, "Table", Table)
    for engine in ENGINES:
        parse(document(engine), folder)
    told = {(key.table, key.name, engine) for key in KEYS for engine in key.engines}
    assert asked == told


@pytest.mark.parametrize(("key", "engine"), cases(MUST))
def test_what_must_be_given_is_missed(folder: Path, key: Key, engine: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key.table}\.{key.name} is missing"):
        parse(document(engine, less=key), folder)


@pytest.mark.parametrize(("key", "engine"), cases())
def test_what_the_page_says_holds_if_a_key_is_left_out(folder: Path, key: Key, engine: str) -> None:
    without = parse(document(engine), folder)
    assert parse(document(engine, {(key.table, key.name): key.left_out.strip("`")}), folder) == without


@pytest.mark.parametrize(("key", "engine"), cases(MAY))
def test_what_may_be_given_makes_a_difference(folder: Path, key: Key, engine: str) -> None:
    more = {(key.table, name): VALUES.get(name, '"me"') for name in (key.name, *TOGETHER.get(key.name, ()))}
    assert parse(document(engine, more), folder) != parse(document(engine), folder)


def settle(text: str, folder: Path) -> Config:
    """The configuration in `text`, after every file that it names was made."""
    for name in re.findall(r'^(?:\w+_file|play_cert|play_key) = "([^"]+)"', text, re.MULTILINE):
        path = folder / Path(name).name
        path.write_text("")
        text = text.replace(f'"{name}"', f'"{path}"')
    (folder / "node.toml").write_text(text)
    return load(folder / "node.toml")


def test_the_example_is_understood(folder: Path) -> None:
    found = settle((DOCS / "operations/node.toml").read_text(encoding="utf-8"), folder)
    assert found.store.engine == "etcd"
    assert found.store.verified
    assert found.tls is not None
    assert found.tls.web


def test_every_store_that_the_page_for_operators_shows_is_understood(folder: Path) -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    shown = re.findall(r"```toml\n(\[coordination\]\n.*?)```", page, re.DOTALL)
    base = document("sqlite").partition("[coordination]")[0]
    engines = [settle(base + text, folder).store.engine for text in shown]
    assert sorted(engines) == sorted(ENGINES)
