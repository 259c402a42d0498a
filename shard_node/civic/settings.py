"""Which civic logs a node may hold: `[civic]` of its configuration, checked whole.

A node without that table holds none, and passes on what is filed with it. All nodes that may hold the same stream have
the same origin, store and key; a store that is a file belongs to one node.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CIVIC_STREAMS_PER_NODE, KEY_NAME_BYTES_MAX, NOTE_SIGNATURES_MAX
from p2pworld.merkle.note import COSIGNATURE, NoteSigner, VerifierKey, is_key_name
from p2pworld.world.citymap.value import STREAM_CHARS_MAX
from p2pworld.world.proposals import StreamClaim
from shard_node.coordination.settings import StoreConfig
from shard_node.errors import ConfigError
from shard_node.http_client import parse_web_url

if TYPE_CHECKING:
    from shard_node.config import Table

__all__ = ["CivicConfig", "Office", "WitnessAt", "keys_of", "parse_civic", "read_signers"]

# a part of a path, of a URL, and of a key's name
_STREAM: Final = re.compile(rf"[a-z][a-z0-9-]{{0,{STREAM_CHARS_MAX - 1}}}")
_WITNESSES_MAX: Final = NOTE_SIGNATURES_MAX - 2
_OFFICES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class WitnessAt:
    """A witness that signs this node's checkpoints: where it is asked, and its key."""

    url: str
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class Office:
    """Whom what is filed to `stream` can be sealed for: a name, and the public sealing key."""

    stream: str
    name: str
    key: bytes


@dataclass(frozen=True, slots=True)
class CivicConfig:
    """The logs that a node may hold: each is called `origin`/stream, and is published below the folder `publish`.

    `desks` are keys that may have any entry erased, as who filed it may. `other_keys` are public keys, beside that of
    `key_file`, that these logs' checkpoints may be signed with: while a key is changed, and of what was signed before.
    """

    origin: str
    streams: tuple[str, ...]
    store: StoreConfig
    publish: Path
    key_file: Path
    quorum: int = 0
    witnesses: tuple[WitnessAt, ...] = ()
    offices: tuple[Office, ...] = ()
    desks: frozenset[bytes] = frozenset()
    other_keys: frozenset[bytes] = frozenset()

    @property
    def claims(self) -> tuple[StreamClaim, ...]:
        """What the node claims in the city map."""
        return tuple(StreamClaim(name, self.store.path is None) for name in self.streams)


def parse_civic(table: Table, store: StoreConfig) -> CivicConfig:
    """What `[civic]` says; its `store` has been read.

    Raises ConfigError.
    """
    config = CivicConfig(
        origin=table.text("origin"),
        streams=table.texts("streams", at_least=1),
        store=store,
        publish=table.path("publish"),
        key_file=table.path("key_file", must_exist=True),
        quorum=table.whole("quorum", 0, _WITNESSES_MAX, 0),
        witnesses=tuple(_witness(one) for one in table.tables("witness", _WITNESSES_MAX)),
        offices=tuple(_office(one) for one in table.tables("office", _OFFICES_MAX)),
        desks=frozenset(_key("civic.desks", text) for text in table.texts("desks")),
        other_keys=frozenset(_key("civic.other_keys", text) for text in table.texts("other_keys")),
    )
    _check_names(config)
    if config.quorum > len({witness.key.public for witness in config.witnesses}):
        raise ConfigError(
            f"civic.quorum is {config.quorum}, and there are fewer witnesses: name them under [[civic.witness]]."
        )
    return config


def _check_names(config: CivicConfig) -> None:
    if len(config.streams) > CIVIC_STREAMS_PER_NODE:
        raise ConfigError(f"civic.streams are more than {CIVIC_STREAMS_PER_NODE}: give some to other nodes.")
    for stream in config.streams:
        if not _STREAM.fullmatch(stream):
            raise ConfigError(
                f"civic.streams holds {stream!r}: a stream's name is a letter, then up to {STREAM_CHARS_MAX - 1} "
                "letters, digits and hyphens, all of them small."
            )
        if config.streams.count(stream) > 1:
            raise ConfigError(f"civic.streams names {stream!r} twice.")
    longest = max(config.streams, key=len)
    if not is_key_name(f"{config.origin}/{longest}"):
        raise ConfigError(
            f'civic.origin is {config.origin!r}: write a name such as "seoul.example", without spaces and plus, that '
            f"with a stream's name has at most {KEY_NAME_BYTES_MAX} bytes."
        )
    for office in config.offices:
        if office.stream not in config.streams:
            raise ConfigError(f"civic.office is for {office.stream!r}, which is not one of civic.streams.")


def _witness(table: Table) -> WitnessAt:
    url, text = table.url("url", ("http://", "https://")), table.text("vkey")
    table.done()
    try:
        key = VerifierKey.parse(text)
    except RemoteError as error:
        raise ConfigError(f"civic.witness.vkey is {text!r}: {error}.") from None
    if key.algorithm != COSIGNATURE or not url:
        raise ConfigError(
            "civic.witness needs the url of a witness, and its key, which `p2pworld witness key` shows."
        )
    try:
        parse_web_url(url)
    except LocalError as error:
        raise ConfigError(f"civic.witness.url: {error}.") from None
    return WitnessAt(url, key)


def _office(table: Table) -> Office:
    stream, name, text = table.text("stream"), table.text("name"), table.text("key")
    table.done()
    return Office(stream, name, _key("civic.office.key", text))


def _key(what: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(f"{what} holds {text!r}: write the 64 hex digits of a public key.")
    return key


def read_signers(config: CivicConfig) -> dict[str, NoteSigner]:
    """Who signs the checkpoints of each stream: one key, under each log's name.

    Raises ConfigError.
    """
    try:
        signer = Signer.from_text(config.key_file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"civic.key_file names {config.key_file}, which cannot be read: {error}.") from None
    except LocalError as error:
        raise ConfigError(
            f"civic.key_file names {config.key_file}, which holds no key ({error}): "
            "make one with `p2pworld keys log FILE`."
        ) from None
    return {stream: NoteSigner(f"{config.origin}/{stream}", signer) for stream in config.streams}


def keys_of(config: CivicConfig, signer: NoteSigner) -> list[VerifierKey]:
    """Every key that the checkpoints of this signer's log may be signed with, its own first."""
    own = signer.key
    return [own, *(replace(own, public=public) for public in sorted(config.other_keys - {own.public}))]
