"""A node's configuration: one TOML file, read once, checked whole, frozen.

Everything wrong is said in one sentence that names the key by its dotted path and says what to do. Unknown keys are
refused, so that a slip of the pen never becomes a default. Relative paths are relative to the file.

    [node]          name, data_dir, key_file, grant_file, roots = ["64 hex digits", ...], clients_max
    [listen]        play, link, web = "host:port", unlimited = ["10.0.0.0/8", ...]  (proxies: many come by one address)
    [advertise]     play_url, link_url, web_url         (default: made from [listen])
    [coordination]  engine = "sqlite", path
                    engine = "etcd", endpoints = ["http(s)://host:port", ...], prefix
                    engine = "postgresql", dsn = "host=... dbname=..."
                    and for these two: user, password_file or password_env, ca_file, cert_file, key_file
    [city]          claim = ["quadkey", ...], tick_ms, ttl_s, take_orphans, drain_s, declared = "folder of places"
    [balance]       enabled, people_easy, people_calm
    [tls]           play_cert, play_key                 (PEM; play sockets become wss)
                    web = true                          (and the pages https, with the same certificate)
    [civic]         origin, streams = ["city", ...], store = "file" | { dsn = "...", user, ..., copies },
                    publish = "folder", key_file, quorum,
                    [[civic.witness]] url, vkey, desks, [[civic.office]] stream, name, key
    [services]      folder, attestors = ["hex", ...], gateways = ["hex", ...], gateway_key_file, draw_key_file,
                    holidays = ["2026-07-17 name", ...]
    [discovery]     seeds = ["http(s)://host:port", ...], zeroconf = true | false
    [log]           level = "info", format = "json" | "text"
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from p2pworld.errors import LocalError
from p2pworld.geometry import Cell
from p2pworld.limits import CLIENTS_MAX, DRAIN_S, LEASE_TTL_S, TICK_MS
from p2pworld.world.balance import BalanceOptions
from shard_node.civic.settings import CivicConfig, parse_civic
from shard_node.coordination.gateway import Endpoint
from shard_node.coordination.settings import ENGINES, StoreConfig
from shard_node.doors import Network
from shard_node.errors import ConfigError
from shard_node.services.settings import ServicesConfig, parse_services

__all__ = ["Address", "Config", "ConfigError", "LogConfig", "Table", "TlsConfig", "load", "parse"]

CONFIG_BYTES_MAX = 1 << 20
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "text")
ENDPOINTS_MAX = 16
SEEDS_MAX = 16
COPIES_MAX = 16
DSN_KEYS_ELSEWHERE = ("user", "password", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")
WILDCARD_HOSTS = ("", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a host name or number, and a TCP port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """The ordinary web certificate that browsers see on play sockets, and with `web` on the pages too."""

    play_cert: Path
    play_key: Path
    web: bool = False


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How much is logged, and whether for programs (`json`) or for eyes (`text`)."""

    level: str = "info"
    format: str = "text"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a node is told at its start. An empty url means: made from the address listened on."""

    name: str
    data_dir: Path
    key_file: Path
    grant_file: Path
    roots: frozenset[bytes]
    play: Address
    link: Address
    web: Address
    store: StoreConfig
    play_url: str = ""
    link_url: str = ""
    web_url: str = ""
    claims: tuple[Cell, ...] = ()
    clients_max: int = CLIENTS_MAX
    tick_ms: int = TICK_MS
    ttl_s: float = LEASE_TTL_S
    take_orphans: bool = True
    drain_s: float = DRAIN_S
    balance: BalanceOptions | None = None
    declared: Path | None = None
    unlimited: tuple[Network, ...] = ()
    tls: TlsConfig | None = None
    log: LogConfig = LogConfig()
    seeds: tuple[str, ...] = ()
    zeroconf: bool = False
    civic: CivicConfig | None = None
    services: ServicesConfig = field(default_factory=ServicesConfig)


class Table:
    """One table of the file, emptied key by key, so that what is left over is unknown."""

    def __init__(self, name: str, values: object, base: Path) -> None:
        if not isinstance(values, Mapping):
            raise ConfigError(f"{name} must be a table: write [{name}] on a line of its own.")
        self.name, self.base = name, base
        self.values = dict(values)

    def key(self, key: str) -> str:
        return f"{self.name}.{key}"

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.pop(key, default)
        if value is None:
            raise ConfigError(f'{self.key(key)} is missing: add {key} = "..." under [{self.name}].')
        if not isinstance(value, str) or (not value and default is None):
            raise ConfigError(f'{self.key(key)} must be text: write {key} = "...".')
        return value

    def one_of(self, key: str, allowed: Iterable[str], default: str) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise ConfigError(f"{self.key(key)} is {value!r}: use one of {', '.join(allowed)}.")
        return value

    def number(self, key: str, low: float, high: float, default: float) -> float:
        value = self.values.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ConfigError(f"{self.key(key)} must be a number from {low:g} to {high:g}, not {value!r}.")
        return value

    def whole(self, key: str, low: int, high: int, default: int) -> int:
        value = self.number(key, low, high, default)
        if not isinstance(value, int):
            raise ConfigError(f"{self.key(key)} must be a whole number from {low} to {high}, not {value!r}.")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.pop(key, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{self.key(key)} must be true or false, not {value!r}.")
        return value

    def texts(self, key: str, at_least: int = 0) -> tuple[str, ...]:
        value = self.values.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f'{self.key(key)} must be a list of texts: write {key} = ["...", "..."].')
        if len(value) < at_least:
            raise ConfigError(
                f'{self.key(key)} is missing or empty: add {key} = ["..."] under [{self.name}].'
            )
        return tuple(value)

    def tables(self, key: str, at_most: int) -> list[Table]:
        value = self.values.pop(key, [])
        if not isinstance(value, list) or len(value) > at_most:
            raise ConfigError(f"{self.key(key)} must be at most {at_most} tables: write [[{self.key(key)}]].")
        return [Table(self.key(key), item, self.base) for item in value]

    def table(self, key: str) -> Table | None:
        """The table of this name, if what is there is one."""
        value = self.values.get(key)
        return Table(self.key(key), self.values.pop(key), self.base) if isinstance(value, dict) else None

    def path(self, key: str, must_exist: bool = False) -> Path:
        path = self.base / self.text(key)
        if must_exist and not path.is_file():
            raise ConfigError(f"{self.key(key)} names {path}, which is no file: make it or correct the path.")
        return path

    def file(self, key: str) -> Path | None:
        return self.path(key, must_exist=True) if key in self.values else None

    def folder(self, key: str) -> Path | None:
        if key not in self.values:
            return None
        path = self.base / self.text(key)
        if not path.is_dir():
            raise ConfigError(
                f"{self.key(key)} names {path}, which is no folder: make it or correct the path."
            )
        return path

    def address(self, key: str) -> Address:
        text = self.text(key)
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
            raise ConfigError(
                f'{self.key(key)} is {text!r}: write "host:port" with a port from 0 to 65535 '
                '(0 takes any free one), such as "0.0.0.0:7800".'
            )
        return Address(host, int(port))

    def url(self, key: str, schemes: tuple[str, ...]) -> str:
        return self._checked_url(key, self.text(key, ""), schemes)

    def urls(self, key: str, schemes: tuple[str, ...], at_most: int) -> tuple[str, ...]:
        texts = self.texts(key)
        if len(texts) > at_most:
            raise ConfigError(f"{self.key(key)} are more than {at_most}: name some of them.")
        return tuple(self._checked_url(key, url, schemes) for url in texts if url)

    def _checked_url(self, key: str, url: str, schemes: tuple[str, ...]) -> str:
        if url and (not url.startswith(schemes) or len(url) > 200 or any(c.isspace() for c in url)):
            raise ConfigError(
                f"{self.key(key)} is {url!r}: write an address of at most 200 characters "
                f"that begins with {' or '.join(schemes)}."
            )
        return url

    def done(self) -> None:
        for key in self.values:
            raise ConfigError(f"{self.key(key)} is not a known key: remove it or correct its spelling.")


def _roots(texts: tuple[str, ...]) -> frozenset[bytes]:
    roots = set()
    for text in texts:
        try:
            root = bytes.fromhex(text)
        except ValueError:
            root = b""
        if len(root) != 32:
            raise ConfigError(
                f"node.roots holds {text!r}: each root is the 64 hex digits that `p2pworld keys show` prints."
            )
        roots.add(root)
    return frozenset(roots)


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            raise ConfigError(
                f'listen.unlimited holds {text!r}: write addresses such as "10.0.0.5" or networks such as "10.0.0.0/8".'
            ) from None
    return tuple(networks)


def _claims(quadkeys: tuple[str, ...]) -> tuple[Cell, ...]:
    cells = []
    for text in quadkeys:
        if not text or set(text) - set("0123") or len(text) > 16:
            raise ConfigError(
                f"city.claim holds {text!r}: each region is a quadkey, 1 to 16 digits of 0 to 3, "
                'such as "31203120".'
            )
        cells.append(Cell.from_quadkey(text))
    for i, a in enumerate(quadkeys):
        for b in quadkeys[i + 1 :]:
            if a.startswith(b) or b.startswith(a):
                raise ConfigError(f"city.claim holds {a!r} and {b!r}, which overlap: keep one of them.")
    return tuple(cells)


def _balance(table: Table) -> BalanceOptions | None:
    plain = BalanceOptions()
    enabled = table.flag("enabled", True)
    easy = table.whole("people_easy", 1, CLIENTS_MAX, plain.people_easy)
    calm = table.whole("people_calm", 0, CLIENTS_MAX, plain.people_calm)
    if 4 * calm > easy:
        raise ConfigError(
            f"balance.people_calm is {calm} and balance.people_easy {easy}: what is cut would be merged and cut again;"
            " let people_calm be at most a quarter of people_easy."
        )
    return BalanceOptions(people_easy=easy, people_calm=calm) if enabled else None


def _store(table: Table) -> StoreConfig:
    engine = table.one_of("engine", ENGINES, "sqlite")
    if engine == "sqlite":
        return StoreConfig(engine, path=table.path("path"))
    return _server(table, engine)


def _civic(table: Table) -> CivicConfig:
    server = table.table("store")
    if server is None:
        store = StoreConfig("sqlite", path=table.path("store"), table=table.name)
    else:
        copies = server.whole("copies", 1, COPIES_MAX, 1)
        store = replace(_server(server, "postgresql"), copies=copies)
        server.done()
    return parse_civic(table, store)


def _server(table: Table, engine: str) -> StoreConfig:
    """A store that is asked over a network."""
    endpoints: tuple[Endpoint, ...] = ()
    prefix = dsn = ""
    if engine == "etcd":
        endpoints, prefix = _endpoints(table), table.text("prefix", "p2pworld/")
        if not prefix.isascii() or not prefix.endswith("/") or not prefix.isprintable() or len(prefix) > 200:
            raise ConfigError(
                f"coordination.prefix is {prefix!r}: write at most 200 letters that end in a slash, such as "
                '"p2pworld/".'
            )
    else:
        dsn = _dsn(table)
    store = StoreConfig(
        engine,
        endpoints=endpoints,
        prefix=prefix,
        dsn=dsn,
        user=table.text("user", ""),
        password_file=table.file("password_file"),
        password_env=table.text("password_env", ""),
        ca_file=table.file("ca_file"),
        cert_file=table.file("cert_file"),
        key_file=table.file("key_file"),
        table=table.name,
    )
    if store.password_file is not None and store.password_env:
        raise ConfigError(f"{table.key('password_env')} and password_file both say the password: keep one.")
    has_password = store.password_file is not None or bool(store.password_env)
    if has_password > bool(store.user) or (engine == "etcd" and bool(store.user) != has_password):
        missing = "password_file" if store.user else "user"
        raise ConfigError(f"{table.key(missing)} is missing: a user and a password belong together.")
    if (store.cert_file is None) != (store.key_file is None):
        missing = "cert_file" if store.cert_file is None else "key_file"
        raise ConfigError(f"{table.key(missing)} is missing: a certificate and its key belong together.")
    if (store.ca_file or store.cert_file) and not store.verified:
        raise ConfigError(
            f"{table.key('ca_file')} is missing: a certificate is only shown to a store that proves itself."
            if engine == "postgresql"
            else "coordination.endpoints do not begin with https://, so no certificate is ever looked at."
        )
    return store


def _endpoints(table: Table) -> tuple[Endpoint, ...]:
    texts = table.texts("endpoints", at_least=1)
    if len(texts) > ENDPOINTS_MAX:
        raise ConfigError(f"coordination.endpoints are more than {ENDPOINTS_MAX}: name some of them.")
    found = []
    for text in texts:
        try:
            found.append(Endpoint.parse(text))
        except LocalError:
            raise ConfigError(
                "coordination.endpoints holds something else than addresses: write each as "
                '"https://host:port" or "http://host:port".'
            ) from None
    if len({endpoint.tls for endpoint in found}) > 1:
        raise ConfigError("coordination.endpoints mixes http:// and https://: use one of them for all.")
    return tuple(found)


def _dsn(table: Table) -> str:
    dsn = table.text("dsn")
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        keys = conninfo_to_dict(dsn).keys()
    except ProgrammingError:  # its text would show the whole line, and with it a password
        raise ConfigError(
            f'{table.key("dsn")} is no connection string: write it as "host=db.example dbname=city".'
        ) from None
    for key in DSN_KEYS_ELSEWHERE:
        if key in keys:
            raise ConfigError(
                f"{table.key('dsn')} holds {key}: use {table.key('user')}, password_file, ca_file, cert_file and "
                "key_file for that."
            )
    if "dbname" not in keys:
        raise ConfigError(f'{table.key("dsn")} names no database: add "dbname=..." to it.')
    return dsn


def _no_wildcard(address: Address, listen: str, advertise: str, url: str) -> None:
    if not url and address.host in WILDCARD_HOSTS:
        raise ConfigError(
            f"advertise.{advertise} is missing: listen.{listen} listens on every address of this machine, "
            "so say under which address others reach it."
        )


def parse(text: str, base: Path) -> Config:
    """The configuration in `text`; relative paths start at `base`.

    Raises ConfigError, one sentence that names the key and says what to do.
    """
    document = _document(text)
    tables = {
        name: Table(name, document.pop(name, {}), base)
        for name in (
            "node",
            "listen",
            "advertise",
            "coordination",
            "city",
            "balance",
            "services",
            "discovery",
            "log",
        )
    }
    tls_table = Table("tls", document.pop("tls"), base) if "tls" in document else None
    civic_table = Table("civic", document.pop("civic"), base) if "civic" in document else None
    for key in document:
        raise ConfigError(f"{key} is not a known table: remove it or correct its spelling.")
    node, listen, advertise = tables["node"], tables["listen"], tables["advertise"]
    coordination, city, log = tables["coordination"], tables["city"], tables["log"]
    discovery = tables["discovery"]
    tls = None
    if tls_table:
        tls = TlsConfig(
            tls_table.path("play_cert", True), tls_table.path("play_key", True), tls_table.flag("web", False)
        )
    config = Config(
        name=node.text("name"),
        data_dir=node.path("data_dir"),
        key_file=node.path("key_file", must_exist=True),
        grant_file=node.path("grant_file", must_exist=True),
        roots=_roots(node.texts("roots", at_least=1)),
        clients_max=node.whole("clients_max", 1, CLIENTS_MAX, CLIENTS_MAX),
        play=listen.address("play"),
        link=listen.address("link"),
        web=listen.address("web"),
        play_url=advertise.url("play_url", ("wss://",) if tls else ("ws://", "wss://")),
        link_url=advertise.url("link_url", ("tls://",)),
        web_url=advertise.url("web_url", ("https://",) if tls and tls.web else ("http://", "https://")),
        store=_store(coordination),
        claims=_claims(city.texts("claim")),
        tick_ms=city.whole("tick_ms", 20, 1_000, TICK_MS),
        ttl_s=city.number("ttl_s", 0.5, 60.0, LEASE_TTL_S),
        take_orphans=city.flag("take_orphans", True),
        drain_s=city.number("drain_s", 0.0, 600.0, DRAIN_S),
        balance=_balance(tables["balance"]),
        declared=city.folder("declared"),
        unlimited=_networks(listen.texts("unlimited")),
        tls=tls,
        log=LogConfig(log.one_of("level", LEVELS, "info"), log.one_of("format", FORMATS, "text")),
        seeds=discovery.urls("seeds", ("http://", "https://"), SEEDS_MAX),
        zeroconf=discovery.flag("zeroconf", False),
        civic=_civic(civic_table) if civic_table else None,
        services=parse_services(tables["services"]),
    )
    for table in (*tables.values(), tls_table, civic_table):
        if table is not None:
            table.done()
    _no_wildcard(config.play, "play", "play_url", config.play_url)
    _no_wildcard(config.link, "link", "link_url", config.link_url)
    _no_wildcard(config.web, "web", "web_url", config.web_url)
    return config


def _text(path: Path) -> str:
    """Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
        if len(data) > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path} is larger than a configuration ever is: give another --config FILE.")
        return data.decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): give another --config FILE.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text: give another --config FILE.") from None


def _document(text: str) -> dict[str, Any]:
    """Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration is not valid TOML: {error}.") from None


def read_tables(path: Path) -> dict[str, Any]:
    """The tables in the configuration file of a server that is no node.

    Raises ConfigError.
    """
    text = _text(path)
    try:
        return _document(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load(path: Path) -> Config:
    """The configuration in the file at `path`.

    Raises ConfigError, one sentence that names the file or the key and says what to do.
    """
    text = _text(path)
    try:
        return parse(text, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
