"""Which coordination store a node uses and how it is opened: `[coordination]`, turned into an engine.

A password is read from its file, or taken from the environment, when the store is opened; no setting and no error ever
holds it.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shard_node.coordination.gateway import Endpoint
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from shard_node.coordination.interface import CityStore

__all__ = ["ENGINES", "PASSWORD_BYTES_MAX", "StoreConfig", "conninfo", "open_store"]

ENGINES: Final = ("sqlite", "etcd", "postgresql")
PASSWORD_BYTES_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the store is: `path` for sqlite, `endpoints` and `prefix` for etcd, `dsn` for postgresql."""

    engine: str
    path: Path | None = None
    endpoints: tuple[Endpoint, ...] = ()
    prefix: str = ""
    dsn: str = ""
    user: str = ""
    password_file: Path | None = None
    password_env: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    table: str = "coordination"  # of the configuration, that says so
    copies: int = 1  # on how many disks a civic log's commit has to be

    @property
    def key(self) -> str:
        """The key of the configuration that says where the store is."""
        return f"{self.table}.{ ({'sqlite': 'path', 'etcd': 'endpoints'}.get(self.engine, 'dsn')) }"

    @property
    def verified(self) -> bool:
        """Whether the store has to prove by a certificate that it is the one meant."""
        if self.engine == "postgresql":
            return self.ca_file is not None
        return any(endpoint.tls for endpoint in self.endpoints)


def open_store(settings: StoreConfig) -> CityStore:
    """The store; it is not asked anything yet.

    Raises ConfigError: a file that the settings name cannot be used.
    """
    match settings.engine:
        case "etcd":
            from shard_node.coordination.etcd import EtcdCoordination

            tls = _tls(settings) if any(endpoint.tls for endpoint in settings.endpoints) else None
            return EtcdCoordination(
                settings.endpoints,
                prefix=settings.prefix,
                tls=tls,
                user=settings.user,
                password=_password(settings),
            )
        case "postgresql":
            from shard_node.coordination.postgres import PostgresCoordination

            return PostgresCoordination(conninfo(settings))
        case _:
            from shard_node.coordination.sqlite import SqliteCoordination

            assert settings.path is not None
            return SqliteCoordination(settings.path)


def _password(settings: StoreConfig) -> str:
    if settings.password_env:
        password = os.environ.get(settings.password_env, "")
        if not password or "\0" in password:
            raise ConfigError(
                f"{settings.table}.password_env names {settings.password_env}, which is not set where the node runs."
            )
        return password
    if settings.password_file is None:
        return ""
    try:
        with settings.password_file.open("rb") as file:
            data = file.read(PASSWORD_BYTES_MAX + 1)
        lines = data.decode("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(
            f"{settings.table}.password_file cannot be read: {settings.password_file}: {error.strerror}."
        ) from None
    except UnicodeDecodeError:
        lines = []
    if len(data) > PASSWORD_BYTES_MAX or len(lines) != 1 or not lines[0] or "\0" in lines[0]:
        raise ConfigError(f"{settings.table}.password_file must hold the password on its only line.")
    return lines[0]


def _tls(settings: StoreConfig) -> ssl.SSLContext:
    about = f"{settings.table}.ca_file"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        about = f"{settings.table}.cert_file and key_file"
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{about} cannot be used as PEM: {error}.") from None
    return context


def conninfo(settings: StoreConfig) -> dict[str, str]:
    """What libpq is told of a store in PostgreSQL, as keywords.

    Raises ConfigError: the password cannot be had.
    """
    from psycopg.conninfo import conninfo_to_dict

    told = {key: str(value) for key, value in conninfo_to_dict(settings.dsn).items() if value is not None}
    if settings.user:
        told |= {"user": settings.user}
    if settings.password_file is not None or settings.password_env:
        told |= {"password": _password(settings)}
    if settings.ca_file is not None:
        told |= {"sslmode": "verify-full", "sslrootcert": str(settings.ca_file)}
    if settings.cert_file is not None:
        told |= {"sslcert": str(settings.cert_file), "sslkey": str(settings.key_file)}
    return told
