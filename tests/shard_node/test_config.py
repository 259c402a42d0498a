"""A configuration is understood whole, or refused in one sentence that names the key."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.geometry import Cell
from shard_node.config import Address, LogConfig, load, parse
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "ab" * 32
GOOD = f"""
[node]
name = "gwanghwamun"
data_dir = "data"
key_file = "node.pem"
grant_file = "grant.txt"
roots = ["{ROOT}"]
[listen]
play = "127.0.0.1:7800"
link = "[::1]:7801"
web = "localhost:0"
[coordination]
path = "city.sqlite"
[city]
claim = ["1203", "1210"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("node.pem", "grant.txt", "cert.pem"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_a_good_one_is_understood(folder: Path) -> None:
    (folder / "node.toml").write_text(GOOD)
    config = load(folder / "node.toml")
    assert config.name == "gwanghwamun"
    assert config.data_dir == folder / "data"
    assert config.roots == {bytes.fromhex(ROOT)}
    assert (config.play, config.link, config.web) == (
        Address("127.0.0.1", 7800),
        Address("::1", 7801),
        Address("localhost", 0),
    )
    assert str(config.link) == "[::1]:7801"
    assert config.claims == (Cell.from_quadkey("1203"), Cell.from_quadkey("1210"))
    assert (config.tick_ms, config.ttl_s, config.tls, config.log) == (100, 3.0, None, LogConfig())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "gwanghwamun"', "", "node.name is missing"),
        ('name = "gwanghwamun"', "name = 3", "node.name must be text"),
        ('name = "gwanghwamun"', 'name = ""', "node.name must be text"),
        ('"node.pem"', '"other.pem"', "node.key_file names"),
        ('"grant.txt"', '"other.txt"', "node.grant_file names"),
        (f'roots = ["{ROOT}"]', "", "node.roots is missing or empty"),
        (ROOT, ROOT[2:], "node.roots holds"),
        (ROOT, "x" * 64, "node.roots holds"),
        (f'["{ROOT}"]', f'"{ROOT}"', "node.roots must be a list of texts"),
        ("127.0.0.1:7800", "127.0.0.1", "listen.play is '127.0.0.1'"),
        ("127.0.0.1:7800", "127.0.0.1:70000", "port from 0 to 65535"),
        ("127.0.0.1:7800", "127.0.0.1:-1", "port from 0 to 65535"),
        ("127.0.0.1:7800", "127.0.0.1:٣", "port from 0 to 65535"),
        ("127.0.0.1:7800", "0.0.0.0:7800", "advertise.play_url is missing"),
        ("[listen]", '[listen]\nunlimited = ["10.0.0.0/33"]', "listen.unlimited holds '10.0.0.0/33'"),
        ("[listen]", '[listen]\nunlimited = ["10.0.0.1/8"]', "listen.unlimited holds '10.0.0.1/8'"),
        ('"1210"', '"1214"', "city.claim holds '1214'"),
        ('"1210"', '"12031"', "which overlap"),
        ("[city]", "[city]\ntick_ms = 5", "city.tick_ms must be a number from 20 to 1000"),
        ("[city]", "[city]\ntick_ms = 50.5", "city.tick_ms must be a whole number"),
        ("[city]", "[city]\ntick_ms = true", "city.tick_ms must be a number"),
        ("[city]", "[city]\nttl_s = nan", "city.ttl_s must be a number"),
        ("[city]", "[city]\ntake_orphans = 1", "city.take_orphans must be true or false"),
        ("[city]", "[city]\ntikc_ms = 50", "city.tikc_ms is not a known key"),
        ("[city]", "[town]\n[city]", "town is not a known table"),
        ("[city]", 'city = "x"\n[towns]', "is not a known"),
        ("[city]", '[log]\nlevel = "loud"\n[city]', "log.level is 'loud': use one of debug"),
        ("[city]", '[tls]\nplay_cert = "cert.pem"\n[city]', "tls.play_key is missing"),
        ("[city]", '[advertise]\nplay_url = "http://x"\n[city]', "advertise.play_url is 'http://x'"),
        ("[city]", '[advertise]\nlink_url = "x:1"\n[city]', "that begins with tls://"),
        ("[coordination]", '[coordination]\nengine = "etcd"', "coordination.engine is 'etcd'"),
        ("[node]", "[node", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_its_key(
    folder: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=r"^[^\n]*\.$") as caught:
        parse(GOOD.replace(old, new), folder)
    assert said in str(caught.value)


def test_a_table_that_is_no_table_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="log must be a table"):
        parse("log = 3\n" + GOOD, folder)


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read \(No such file"):
        load(folder / "none.toml")
    (folder / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml is not UTF-8"):
        load(folder / "binary.toml")
    (folder / "huge.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="larger than a configuration"):
        load(folder / "huge.toml")


@given(st.text(max_size=200) | st.integers(0, len(GOOD)).map(lambda n: GOOD[:n] + GOOD[n + 3 :]))
def test_any_text_is_understood_or_refused(text: str) -> None:
    from pathlib import Path

    with contextlib.suppress(ConfigError):  # and nothing else
        parse(text, Path("/nowhere"))
