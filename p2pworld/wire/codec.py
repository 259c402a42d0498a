"""Messages as bytes: one play message, one batch between nodes, and the canonical bytes that are signed.

A play message is its kind byte and one msgpack map, keys the field names. A batch is msgpack
`[map_version, [[kind, map], ...]]`. Every way in which bytes can be wrong is a `RemoteError` whose `reason` is a
short code: `frame-empty`, `frame-kind`, `frame-size`, `msgpack`, `msgpack-twice`, `msgpack-budget`, or `field-…:name`
of `wire.schema`. Decoding costs memory in proportion to what is kept: counts are bounded before anything is built,
and a message may hold only so many maps and arrays.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgpack

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import LINK_BATCH_BYTES_MAX, LINK_BATCH_MESSAGES_MAX
from p2pworld.messages import (
    LINK_MESSAGES,
    PLAY_MESSAGES,
    Batch,
    Hello,
    LinkMessage,
    Objects,
    PackedObjects,
    PlayMessage,
    Said,
    Say,
    WorldObject,
)
from p2pworld.wire.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Canonical",
    "KindTable",
    "canonical",
    "decode_batch",
    "decode_play",
    "encode_batch",
    "encode_objects",
    "encode_play",
    "hello_digest_input",
    "hello_map",
    "pack_object",
    "say_digest_input",
    "unpack_map",
]

T = TypeVar("T")

_ARRAY_MAX = 256  # the longest tuple of any message
_MAP_MAX = 64  # more keys than any message, so that a newer sender may add some
_CONTAINERS_MAX = 1_024  # maps and arrays in one message: WHO's answer between nodes has 259
_DEPTH_MAX = 16  # of canonical values: a guard against a value that contains itself
_MAP_VERSION_MAX = 2**63 - 1


class KindTable:
    """Message classes by their kind byte, each with its schema."""

    def __init__(self, classes: tuple[type, ...]) -> None:
        self._by_class: dict[type, tuple[int, Schema[Any]]] = {}
        self._by_kind: dict[int, Schema[Any]] = {}
        for cls in classes:
            kind: int = cls.KIND  # type: ignore[attr-defined]
            assert kind not in self._by_kind, f"two messages of kind {kind:#x}"
            schema: Schema[Any] = Schema(cls)
            self._by_class[cls] = kind, schema
            self._by_kind[kind] = schema

    def write(self, message: object) -> tuple[int, dict[str, Any]]:
        """The kind and the map of a message.

        Raises:
            LocalError: not a message of this family, or a field outside its bounds.
        """
        entry = self._by_class.get(type(message))
        if entry is None:
            raise LocalError(f"{type(message).__name__} is not a message of this protocol")
        kind, schema = entry
        return kind, schema.write(message)

    def read(self, kind: object, fields: object) -> Any:
        """The message of a kind and a decoded map.

        Raises:
            RemoteError: unknown kind, or a field that does not fit.
        """
        schema = self._by_kind.get(kind) if type(kind) is int else None
        if schema is None:
            raise RemoteError("frame-kind", f"no message has kind {kind!r:.20}")
        return schema.read(fields)

    def encode(self, message: object) -> bytes:
        """Kind byte and map, as one run of bytes."""
        kind, fields = self.write(message)
        return bytes((kind,)) + cast("bytes", msgpack.packb(fields))

    def decode(self, data: bytes) -> Any:
        """The message of `encode`'s bytes.

        Raises:
            RemoteError: anything malformed.
        """
        if not data:
            raise RemoteError("frame-empty", "an empty message")
        if data[0] not in self._by_kind:
            raise RemoteError("frame-kind", f"no message has kind {data[0]:#04x}")
        return self.read(data[0], unpack_map(data[1:]))


_PLAY = KindTable(PLAY_MESSAGES)
_LINK = KindTable(LINK_MESSAGES)
_HELLO = Schema(Hello)
_OBJECT = Schema(WorldObject)
_SHOWN_MAX = 64  # objects of one OBJECTS
_UNSIGNED = ("v", "key", "caps", "grants", "sig")


def encode_play(message: PlayMessage) -> bytes:
    """The kind byte and one msgpack map.

    Raises:
        LocalError: not a play message, or a field outside its bounds.
    """
    return message.data if isinstance(message, PackedObjects) else _PLAY.encode(message)


def pack_object(shown: WorldObject) -> bytes:
    """An object as it stands inside OBJECTS, to be kept for `encode_objects`."""
    return cast("bytes", msgpack.packb(_OBJECT.write(shown)))


def encode_objects(cell: int, packed: Sequence[bytes], whole: bool) -> bytes:
    """The bytes of OBJECTS with objects that `pack_object` has packed: what `encode_play` makes, without the work.

    Raises:
        LocalError: more objects than one message holds.
    """
    if len(packed) > _SHOWN_MAX:
        raise LocalError(f"OBJECTS holds at most {_SHOWN_MAX} objects")
    packer = msgpack.Packer()
    head = packer.pack_map_header(2 + whole) + packer.pack("cell") + packer.pack(int(cell))
    head += packer.pack("objects") + packer.pack_array_header(len(packed))
    tail = packer.pack("whole") + packer.pack(True) if whole else b""
    return b"".join((bytes((Objects.KIND,)), head, *packed, tail))


def decode_play(data: bytes) -> PlayMessage:
    """The play message of these bytes.

    Raises:
        RemoteError: anything malformed.
    """
    return cast("PlayMessage", _PLAY.decode(data))


def encode_batch(batch: Batch) -> bytes:
    """msgpack of `[map_version, [[kind, map], ...]]`.

    Raises:
        LocalError: a message out of bounds, or too many, or too many bytes.
    """
    if not 0 <= batch.map_version <= _MAP_VERSION_MAX:
        raise LocalError(f"map version {batch.map_version} is not a whole number of 63 bits")
    if len(batch.messages) > LINK_BATCH_MESSAGES_MAX:
        raise LocalError(f"a batch holds at most {LINK_BATCH_MESSAGES_MAX} messages; send two")
    data: bytes = msgpack.packb([batch.map_version, [_LINK.write(message) for message in batch.messages]])
    if len(data) > LINK_BATCH_BYTES_MAX:
        raise LocalError(f"a batch holds at most {LINK_BATCH_BYTES_MAX} bytes; send two")
    return data


def decode_batch(data: bytes) -> Batch:
    """The batch of these bytes.

    Raises:
        RemoteError: anything malformed.
    """
    if len(data) > LINK_BATCH_BYTES_MAX:
        raise RemoteError("frame-size", f"a batch of {len(data)} bytes")
    budget = _Budget()
    # An unpacker walks the outer arrays, so that their counts allocate nothing, and builds one message at a time.
    unpacker = msgpack.Unpacker(max_buffer_size=LINK_BATCH_BYTES_MAX, max_ext_len=0, **budget.options)
    messages: list[LinkMessage] = []
    try:
        unpacker.feed(data)
        if unpacker.read_array_header() != 2:
            raise RemoteError("msgpack", "a batch is an array of a map version and messages")
        map_version = unpacker.unpack()
        if type(map_version) is not int or not 0 <= map_version <= _MAP_VERSION_MAX:
            raise RemoteError("field-range:map_version")
        count = unpacker.read_array_header()
        if count > LINK_BATCH_MESSAGES_MAX:
            raise RemoteError("msgpack-budget", f"a batch of {count} messages")
        for _ in range(count):
            budget.left = _CONTAINERS_MAX
            entry = unpacker.unpack()
            if type(entry) is not tuple or len(entry) != 2:
                raise RemoteError("msgpack", "a message in a batch is an array of kind and map")
            messages.append(_LINK.read(*entry))
    except (ValueError, msgpack.UnpackException) as error:
        raise RemoteError("msgpack", str(error)[:200]) from None
    if unpacker.tell() != len(data):
        raise RemoteError("msgpack", "bytes after the batch")
    return Batch(map_version, tuple(messages))


def canonical(value: object) -> bytes:
    """The one msgpack encoding of a value: map keys sorted, shortest numbers and lengths, no floats.

    Values are maps with text keys, arrays, whole numbers of 64 bits, text, bytes, booleans and nothing.

    Raises:
        LocalError: any other value.
    """
    try:
        return cast("bytes", msgpack.packb(_sorted(value, _DEPTH_MAX)))
    except (OverflowError, UnicodeEncodeError) as error:
        raise LocalError(f"no canonical bytes: {error}") from None


class Canonical(Generic[T]):
    """A dataclass as it is signed, hashed and kept: canonical bytes without a map's being sorted each time."""

    def __init__(self, cls: type[T]) -> None:
        self._schema = Schema(cls, by_name=True)

    def pack(self, message: T) -> bytes:
        """What `canonical` makes of its map.

        Raises:
            LocalError: a field is outside what its annotation allows.
        """
        return cast("bytes", msgpack.packb(self._schema.write(message)))

    def read(self, value: object) -> T:
        """The dataclass of a decoded map, in whatever order that is; see `Schema.read`."""
        return self._schema.read(value)


def hello_map(hello: Hello) -> dict[str, Any]:
    """What a HELLO's signature covers beside the challenge: all but `_UNSIGNED`; no fields at default."""
    fields = _HELLO.write(hello)
    for name in _UNSIGNED:
        fields.pop(name, None)
    return fields


def hello_digest_input(node: bytes, nonce: bytes, hello: Hello) -> bytes:
    """The exact bytes a HELLO signs, as an answer to the challenge `nonce` (32 bytes) of `node` (32 bytes)."""
    if len(node) != 32 or len(nonce) != 32:
        raise LocalError("a node's key and a nonce are 32 bytes each")
    return b"p2pworld hello v1\n" + node + nonce + hashlib.sha256(canonical(hello_map(hello))).digest()


def say_digest_input(said: Say | Said) -> bytes:
    """The exact bytes that SAY signs and SAID repeats: what is said, when, and to whom; no fields at default."""
    fields = {"channel": said.channel, "text": said.text, "ms": said.ms, "to": said.to, "avatar": said.avatar}
    return b"p2pworld say v1\n" + canonical({name: value for name, value in fields.items() if value})


def unpack_map(data: bytes) -> Any:
    """The msgpack value of `data`, with arrays as tuples and every count bounded.

    Raises:
        RemoteError: not exactly one value, a key twice, a key that is no text, text that is not UTF-8, too many parts.
    """
    try:
        return msgpack.unpackb(data, max_ext_len=0, **_Budget().options)
    except (ValueError, msgpack.UnpackException) as error:
        raise RemoteError("msgpack", str(error)[:200]) from None


class _Budget:
    """Counts the maps and arrays of one message while it is unpacked, and refuses a key given twice."""

    def __init__(self) -> None:
        self.left = _CONTAINERS_MAX
        self.options = {
            "use_list": False,
            "strict_map_key": True,
            "max_array_len": _ARRAY_MAX,
            "max_map_len": _MAP_MAX,
            "object_pairs_hook": self._map,
            "list_hook": self._array,
        }

    def _map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._spend()
        built = dict(pairs)
        if len(built) != len(pairs):
            raise RemoteError("msgpack-twice", "a key twice in one map")
        return built

    def _array(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        self._spend()
        return items

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RemoteError("msgpack-budget", f"more than {_CONTAINERS_MAX} maps and arrays in one message")


def _sorted(value: Any, depth: int) -> Any:
    if depth == 0:
        raise LocalError(f"no canonical bytes for a value deeper than {_DEPTH_MAX}")
    if value is None or isinstance(value, (bool, bytes, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise LocalError(f"no canonical bytes for a map with the key {key!r}: keys are text")
        return {key: _sorted(value[key], depth - 1) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(item, depth - 1) for item in value]
    raise LocalError(f"no canonical bytes for {type(value).__name__}")
