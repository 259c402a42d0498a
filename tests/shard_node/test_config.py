"""A configuration is understood whole, or refused in one sentence that names the key."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.geometry import Cell
from shard_node.config import Address, LogConfig, load, parse
from shard_node.coordination.settings import conninfo, open_store
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


COORDINATION = '[coordination]\npath = "city.sqlite"'
ETCD = 'engine = "etcd"\nendpoints = ["https://a:1", "https://[::1]:2379"]\n'
POSTGRESQL = 'engine = "postgresql"\ndsn = "host=db.example dbname=city"\n'
WRONG_STORES = [
    ('engine = "etcd"', "coordination.endpoints is missing or empty"),
    ('engine = "etcd"\nendpoints = ["a:1"]', "coordination.endpoints holds something else"),
    ('engine = "etcd"\nendpoints = ["http://me:hush@a:1"]', "coordination.endpoints holds something else"),
    ('engine = "etcd"\nendpoints = ["http://a:1", "https://b:1"]', "coordination.endpoints mixes"),
    (f'engine = "etcd"\nendpoints = {["http://a:1"] * 17}', "coordination.endpoints are more than 16"),
    (ETCD + 'path = "x"', "coordination.path is not a known key"),
    (ETCD + 'prefix = "city"', "coordination.prefix is 'city'"),
    (ETCD + 'user = "me"', "coordination.password_file is missing"),
    (ETCD + 'password_file = "grant.txt"', "coordination.user is missing"),
    (ETCD + 'user = "me"\npassword_file = "none"', "coordination.password_file names"),
    (ETCD + 'ca_file = "none"', "coordination.ca_file names"),
    (ETCD + 'cert_file = "cert.pem"', "coordination.key_file is missing"),
    (
        ETCD.replace("https", "http") + 'ca_file = "cert.pem"',
        "coordination.endpoints do not begin with https",
    ),
    ('engine = "postgresql"', "coordination.dsn is missing"),
    ('engine = "postgresql"\ndsn = "host=hush-hush dbname"', "coordination.dsn is no connection string"),
    ('engine = "postgresql"\ndsn = "host=a"', "coordination.dsn names no database"),
    ('engine = "postgresql"\ndsn = "dbname=a password=hush-hush"', "coordination.dsn holds password"),
    ('engine = "postgresql"\ndsn = "postgresql://me:hush-hush@a/b"', "coordination.dsn holds user"),
    ('engine = "postgresql"\ndsn = "dbname=a sslmode=disable"', "coordination.dsn holds sslmode"),
    (POSTGRESQL + 'password_file = "grant.txt"', "coordination.user is missing"),
    (POSTGRESQL + 'password_env = "CITY_PASSWORD"', "coordination.user is missing"),
    (
        POSTGRESQL + 'user = "me"\npassword_env = "A"\npassword_file = "grant.txt"',
        "coordination.password_env and password_file both",
    ),
    (POSTGRESQL + 'cert_file = "cert.pem"\nkey_file = "node.pem"', "coordination.ca_file is missing"),
    (POSTGRESQL + 'endpoints = ["http://a:1"]', "coordination.endpoints is not a known key"),
]


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
    assert (config.tick_ms, config.ttl_s, config.tls, config.log) == (100, 2.0, None, LogConfig())


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
        (
            "[city]",
            '[tls]\nplay_cert = "cert.pem"\nplay_key = "node.pem"\nweb = true\n[advertise]\nweb_url = "http://a"\n[city]',
            "that begins with https://",
        ),
        ("[city]", '[advertise]\nplay_url = "http://x"\n[city]', "advertise.play_url is 'http://x'"),
        ("[city]", '[advertise]\nlink_url = "x:1"\n[city]', "that begins with tls://"),
        ("[coordination]", '[coordination]\nengine = "zookeeper"', "coordination.engine is 'zookeeper'"),
        ("[coordination]", '[coordination]\nuser = "me"', "coordination.user is not a known key"),
        *((COORDINATION, f"[coordination]\n{new}", said) for new, said in WRONG_STORES),
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
    assert "hush" not in str(caught.value)


def test_stores_on_other_machines_are_understood(folder: Path) -> None:
    more = 'user = "city"\npassword_file = "grant.txt"\nca_file = "cert.pem"\n'
    more += 'cert_file = "cert.pem"\nkey_file = "node.pem"'
    (folder / "grant.txt").write_text("hush-hush\n")
    etcd = parse(GOOD.replace(COORDINATION, f"[coordination]\n{ETCD}{more}"), folder).store
    assert [str(endpoint) for endpoint in etcd.endpoints] == ["https://a:1", "https://[::1]:2379"]
    assert (etcd.prefix, etcd.user, etcd.key, etcd.verified) == (
        "p2pworld/",
        "city",
        "coordination.endpoints",
        True,
    )
    database = parse(GOOD.replace(COORDINATION, f"[coordination]\n{POSTGRESQL}{more}"), folder).store
    assert (database.key, database.verified) == ("coordination.dsn", True)
    assert "hush" not in repr((etcd, database))
    told = conninfo(database)
    assert told["sslmode"] == "verify-full"
    assert (told["user"], told["password"]) == ("city", "hush-hush")


@pytest.mark.parametrize(
    ("discovery", "said"),
    [
        ('seeds = ["tls://a:1"]', "discovery.seeds is 'tls://a:1'"),
        ('seeds = "http://a:1"', "discovery.seeds must be a list of texts"),
        (f"seeds = {['http://a:1'] * 17}", "discovery.seeds are more than 16"),
        ('zeroconf = "yes"', "discovery.zeroconf must be true or false"),
        ("broadcast = true", "discovery.broadcast is not a known key"),
    ],
)
def test_discovery_says_what_is_wrong_with_it(folder: Path, discovery: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse(f"{GOOD}\n[discovery]\n{discovery}\n", folder)


def test_nobody_is_sought_or_told_by_default(folder: Path) -> None:
    assert (parse(GOOD, folder).seeds, parse(GOOD, folder).zeroconf) == ((), False)
    found = parse(f'{GOOD}\n[discovery]\nseeds = ["http://a:1", "https://b:2"]\nzeroconf = true\n', folder)
    assert (found.seeds, found.zeroconf) == (("http://a:1", "https://b:2"), True)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"x" * 2_000, b"nul\0\n"])
async def test_a_password_file_that_holds_no_password_is_named(folder: Path, content: bytes) -> None:
    (folder / "grant.txt").write_bytes(content)
    more = 'user = "city"\npassword_file = "grant.txt"'
    for engine in (ETCD, POSTGRESQL):
        store = parse(GOOD.replace(COORDINATION, f"[coordination]\n{engine}{more}"), folder).store
        with pytest.raises(ConfigError, match=r"^coordination\.password_file must hold[^\n]*\.$"):
            open_store(store)


async def test_certificates_that_are_none_are_named(folder: Path) -> None:
    more = 'ca_file = "cert.pem"'
    store = parse(GOOD.replace(COORDINATION, f"[coordination]\n{ETCD}{more}"), folder).store
    with pytest.raises(ConfigError, match=r"^coordination\.ca_file cannot be used as PEM"):
        open_store(store)


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
