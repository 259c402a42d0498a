"""An attestor's configuration: one TOML file, checked whole, every fault one sentence.

[attestor]
listen      = "127.0.0.1:7950"           (plain HTTP: a web server with a certificate stands before it)
public_url  = "https://attestor.example" (what browsers call it)
forwarded   = false                      (that web server says in X-Forwarded-For who asks)
data_dir    = "attestor"                 (which devices are whose; made by `p2pworld attestor begin`)
key_file    = "attestor.key"             (what signs claims; made by `begin` too)
secret_file = "attestor.secret"          (what pseudonyms are made with: who loses it gives everybody new ones)
name        = { ko = "...", en = "..." }
returns     = ["https://node.example"]   (origins of pages that a login may come back to)
claim_days  = 1                          (how long a claim holds: 1 to 31)
device_days = 90                         (how long a device is known before its owner logs in again)
[oidc]                                   (leave it out, and nobody can log in here)
issuer             = "https://login.example"
client_id          = "attestor"
client_secret_file = "oidc.secret"       (leave it out for a public client)
scope              = "openid"
subject_claim      = "sub"               (what tells people apart)
gu_claim           = ""                  (where they live, such as "address.locality"; empty: nothing is said)
[desk]                                   (leave it out, and no official attests here)
roots         = ["hex"]                  (who grants the role `official`)
same_as_login = false                    (the number of the document is what `subject_claim` has)
[log]       as for a node
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError
from p2pworld.limits import CLAIM_MINUTES_MAX
from shard_node.config import FORMATS, LEVELS, Address, LogConfig, Table, read_tables
from shard_node.errors import ConfigError

__all__ = [
    "AttestorConfig",
    "DeskConfig",
    "OidcConfig",
    "load_attestor",
    "origin_of",
    "read_secret",
    "read_signer",
]

RETURNS_MAX: Final = 256
_DAY: Final = 1_440
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_CLAIM: Final = re.compile(r"[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class OidcConfig:
    """The provider that people log in at, and what of its claims is used."""

    issuer: str
    client_id: str
    client_secret: str
    scope: str
    subject_claim: str
    gu_claim: str


@dataclass(frozen=True, slots=True)
class DeskConfig:
    """Whose officials attest, and whether the number that they enter is what logins have for a subject."""

    roots: frozenset[bytes]
    same_as_login: bool


@dataclass(frozen=True, slots=True)
class AttestorConfig:
    """Everything an attestor is told at its start."""

    listen: Address
    public_url: str
    forwarded: bool
    data_dir: Path
    key_file: Path
    secret_file: Path
    name: Mapping[str, str]
    returns: frozenset[str]
    claim_minutes: int
    device_minutes: int
    oidc: OidcConfig | None
    desk: DeskConfig | None
    log: LogConfig


def load_attestor(path: Path) -> AttestorConfig:
    """The configuration in the file at `path`.

    Raises ConfigError.
    """
    tables = read_tables(path)
    table = Table("attestor", tables.pop("attestor", {}), path.parent)
    oidc = Table("oidc", tables.pop("oidc"), path.parent) if "oidc" in tables else None
    desk = Table("desk", tables.pop("desk"), path.parent) if "desk" in tables else None
    log = Table("log", tables.pop("log", {}), path.parent)
    for name in tables:
        raise ConfigError(f"[{name}] is not a known table: remove it or correct its spelling.")
    if oidc is None and desk is None:
        raise ConfigError("There is neither [oidc] nor [desk]: nobody could be attested.")
    config = AttestorConfig(
        listen=table.address("listen"),
        public_url=_origin(table, "public_url", table.text("public_url")),
        forwarded=table.flag("forwarded", False),
        data_dir=table.path("data_dir"),
        key_file=table.path("key_file"),
        secret_file=table.path("secret_file"),
        name=_name(table),
        returns=_returns(table),
        claim_minutes=table.whole("claim_days", 1, CLAIM_MINUTES_MAX // _DAY, 1) * _DAY,
        device_minutes=table.whole("device_days", 1, 3_660, 90) * _DAY,
        oidc=_oidc(oidc) if oidc else None,
        desk=_desk(desk) if desk else None,
        log=LogConfig(log.one_of("level", LEVELS, "info"), log.one_of("format", FORMATS, "text")),
    )
    for each in (table, log):
        each.done()
    if config.desk and config.desk.same_as_login and config.oidc is None:
        raise ConfigError("desk.same_as_login needs [oidc]: there is no login here.")
    return config


def origin_of(url: str) -> str | None:
    """The origin of an address (`https://host:port`), or None if it is none of the web."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    standard = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, standard) else "")


def read_signer(path: Path) -> Signer:
    """What signs claims.

    Raises ConfigError.
    """
    try:
        return Signer.from_text(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, LocalError) as error:
        raise ConfigError(
            f"attestor.key_file names {path}, which holds no key ({error}): `p2pworld attestor begin` makes one."
        ) from None


def read_secret(path: Path) -> bytes:
    """What pseudonyms are made with.

    Raises ConfigError.
    """
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        text = str(error)
    if not _HEX.fullmatch(text):
        raise ConfigError(
            f"attestor.secret_file names {path}, which holds no 64 hex digits: `p2pworld attestor begin` makes it, "
            "once. If it was lost, everybody gets new pseudonyms: bring it back if you can."
        )
    return bytes.fromhex(text)


# ---- pieces


def _name(table: Table) -> dict[str, str]:
    names = table.table("name")
    if names is None:
        raise ConfigError(f'{table.key("name")} is missing: write name = {{ ko = "...", en = "..." }}.')
    found = {language: names.text(language) for language in ("ko", "en")}
    names.done()
    return found


def _origin(table: Table, key: str, url: str) -> str:
    """An origin that browsers use: https, or plain where nothing leaves the machine."""
    origin = origin_of(url)
    plain = urlsplit(url).hostname in _LOOPBACK if origin else False
    if origin is None or url.rstrip("/") != origin or not (origin.startswith("https://") or plain):
        raise ConfigError(f'{table.key(key)} is {url!r}: write such as "https://node.example".')
    return origin


def _returns(table: Table) -> frozenset[str]:
    texts = table.texts("returns")
    if len(texts) > RETURNS_MAX:
        raise ConfigError(f"{table.key('returns')} are more than {RETURNS_MAX}: name some of them.")
    return frozenset(_origin(table, "returns", text) for text in texts)


def _oidc(table: Table) -> OidcConfig:
    issuer = table.url("issuer", ("https://", "http://"))
    parts = urlsplit(issuer)
    if not issuer or (parts.scheme == "http" and parts.hostname not in _LOOPBACK):
        raise ConfigError(f'{table.key("issuer")} is {issuer!r}: write such as "https://login.example".')
    secret = table.file("client_secret_file")
    try:
        client_secret = secret.read_text("utf-8").strip() if secret else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{table.key('client_secret_file')} cannot be read: {error}.") from None
    config = OidcConfig(
        issuer=issuer,
        client_id=table.text("client_id"),
        client_secret=client_secret,
        scope=table.text("scope", "openid"),
        subject_claim=_claim(table, "subject_claim", "sub"),
        gu_claim=_claim(table, "gu_claim", ""),
    )
    table.done()
    if "openid" not in config.scope.split():
        raise ConfigError(f'{table.key("scope")} is {config.scope!r}: it begins with "openid".')
    return config


def _claim(table: Table, key: str, default: str) -> str:
    name = table.text(key, default)
    if name and not _CLAIM.fullmatch(name):
        raise ConfigError(f'{table.key(key)} is {name!r}: write a claim, such as "address.locality".')
    return name


def _desk(table: Table) -> DeskConfig:
    roots = []
    for text in table.texts("roots", at_least=1):
        if not _HEX.fullmatch(text):
            raise ConfigError(f"{table.key('roots')} holds {text!r}: write 64 hex digits.")
        roots.append(bytes.fromhex(text))
    config = DeskConfig(frozenset(roots), table.flag("same_as_login", False))
    table.done()
    return config
