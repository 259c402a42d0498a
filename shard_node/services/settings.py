"""What an operator says of services: `[services]` of a node's configuration, checked whole.

Without that table a node offers what the package declares, and knows no attestor and no gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from shard_node.config import Table

__all__ = ["ServicesConfig", "parse_services", "read_signer"]

_KEYS_MAX: Final = 64  # attestors, or gateways: some for each of 25 gu
_HOLIDAYS_MAX: Final = 64
_HOLIDAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) +(\S.{0,60})")


@dataclass(frozen=True, slots=True)
class ServicesConfig:
    """`folder` holds more declarations; `attestors` and `gateways` are public keys that this node believes, and
    `attestor_urls` is where those of these attestors are that people can be sent to.

    `gateway_key_file` is the node's own key as a gateway, `draw_key_file` that of the office in draws. `holidays` are
    those that were proclaimed after the package of holidays was made.
    """

    folder: Path | None = None
    attestors: frozenset[bytes] = frozenset()
    attestor_urls: Mapping[bytes, str] = field(default_factory=dict)
    gateways: frozenset[bytes] = frozenset()
    gateway_key_file: Path | None = None
    draw_key_file: Path | None = None
    holidays: Mapping[date, str] = field(default_factory=dict)


def parse_services(table: Table) -> ServicesConfig:
    """What `[services]` says.

    Raises ConfigError.
    """
    attestors = _attestors(table)
    return ServicesConfig(
        folder=table.folder("folder"),
        attestors=frozenset(attestors),
        attestor_urls={key: url for key, url in attestors.items() if url},
        gateways=_keys(table, "gateways"),
        gateway_key_file=table.file("gateway_key_file"),
        draw_key_file=table.file("draw_key_file"),
        holidays=_holidays(table),
    )


def _attestors(table: Table) -> dict[bytes, str]:
    """The keys of attestors, each with its address or nothing."""
    found = {}
    for text in _few(table, "attestors"):
        key, _, url = text.partition(" ")
        if url and (not url.startswith(("https://", "http://")) or url.endswith("/") or len(url) > 200):
            raise ConfigError(
                f'{table.key("attestors")} holds {text!r}: write a key, or a key and such as "https://attestor.example".'
            )
        found[_key(table, "attestors", key)] = url
    return found


def _keys(table: Table, name: str) -> frozenset[bytes]:
    return frozenset(_key(table, name, text) for text in _few(table, name))


def _few(table: Table, name: str) -> tuple[str, ...]:
    texts = table.texts(name)
    if len(texts) > _KEYS_MAX:
        raise ConfigError(f"{table.key(name)} are more than {_KEYS_MAX}: remove those that are used no more.")
    return texts


def _key(table: Table, name: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(
            f"{table.key(name)} holds {text!r}: write the 64 hex digits that `p2pworld keys show` prints."
        )
    return key


def _holidays(table: Table) -> dict[date, str]:
    texts = table.texts("holidays")
    if len(texts) > _HOLIDAYS_MAX:
        raise ConfigError(
            f"{table.key('holidays')} are more than {_HOLIDAYS_MAX}: remove those of past years."
        )
    found = {}
    for text in texts:
        match = _HOLIDAY.fullmatch(text)
        try:
            day = date.fromisoformat(match[1] if match else "")
        except ValueError:
            raise ConfigError(
                f'{table.key("holidays")} holds {text!r}: write a day and its name, such as "2026-07-17 제헌절".'
            ) from None
        assert match is not None, "a day was read from it"
        found[day] = match[2]
    return found


def read_signer(path: Path, key: str) -> Signer:
    """The key in a file that `key` of the configuration names.

    Raises ConfigError.
    """
    try:
        return Signer.from_text(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} names {path}, which cannot be read: {error}.") from None
    except LocalError as error:
        raise ConfigError(
            f"{key} names {path}, which holds no key ({error}): make one with `p2pworld keys log FILE`."
        ) from None
