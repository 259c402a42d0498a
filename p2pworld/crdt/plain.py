"""Checked reading of plain structures: lists, dicts with string keys, integers, bytes and text from elsewhere.

The replicated types write themselves as such structures (`to_plain`) and read them back (`from_plain`). Whatever does
not have the right shape, or is beyond a bound, raises `RemoteError("crdt-malformed")` with a sentence saying what.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgpack

from p2pworld.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "COUNT_MAX",
    "VALUE_BYTES_MAX",
    "Value",
    "encode",
    "malformed",
    "read_bytes",
    "read_int",
    "read_list",
    "read_map",
    "read_parts",
    "read_row",
    "read_text",
    "read_value",
    "value_fault",
    "value_to_plain",
]

# Recursive, hence text: a scalar, or a tuple of values.
Value: TypeAlias = "bool | int | float | str | bytes | tuple[Value, ...] | None"

COUNT_MAX: Final = (1 << 53) - 1  # exact in JavaScript too; at a million a second, 285 years
VALUE_BYTES_MAX: Final = 2_048  # of one register, encoded: a notice of 600 Hangul syllables is 1 800 B
VALUE_DEPTH_MAX: Final = 4


def malformed(sentence: str) -> RemoteError:
    """The error to raise about a plain structure that is not one of ours."""
    return RemoteError("crdt-malformed", sentence)


def encode(plain: object) -> bytes:
    """The msgpack form of a plain structure; canonical if the structure's order is."""
    packed: bytes = msgpack.packb(plain, use_bin_type=True)
    return packed


def value_fault(value: object) -> str | None:
    """What keeps `value` from being a register's value, None if nothing does."""
    fault = _shape_fault(value, VALUE_DEPTH_MAX)
    if fault is None and len(encode(value)) > VALUE_BYTES_MAX:
        return f"a value takes more than {VALUE_BYTES_MAX} bytes"
    return fault


def _shape_fault(value: object, depth: int) -> str | None:
    if isinstance(value, tuple):
        if depth == 0:
            return f"a value nests tuples more than {VALUE_DEPTH_MAX} deep"
        if len(value) > VALUE_BYTES_MAX:
            return f"a value takes more than {VALUE_BYTES_MAX} bytes"
        return next((fault for part in value if (fault := _shape_fault(part, depth - 1))), None)
    # Exact types: a subclass could compare, or be encoded, in its own way.
    if type(value) is int:
        return None if -(1 << 63) <= value < 1 << 63 else "an integer is beyond 64 bits"
    if type(value) is float:
        return None if math.isfinite(value) else "a number is not finite"
    if type(value) is str:
        return None if _is_unicode(value) else "a text holds a lone surrogate"
    if value is None or type(value) in (bool, bytes):
        return None
    return f"a value is of type {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_to_plain(value: Value) -> object:
    """A value with lists for tuples, as msgpack would give it back."""
    return [value_to_plain(part) for part in value] if isinstance(value, tuple) else value


def read_value(plain: object) -> Value:
    """A register's value, with tuples for lists."""
    value: Any = _tuples(plain, VALUE_DEPTH_MAX)
    if fault := value_fault(value):
        raise malformed(fault)
    read: Value = value
    return read


def _tuples(plain: object, depth: int) -> object:
    if not isinstance(plain, list | tuple):
        return plain
    if depth == 0:
        raise malformed(f"a value nests lists more than {VALUE_DEPTH_MAX} deep")
    return tuple(_tuples(part, depth - 1) for part in plain)


def read_int(plain: object, least: int, most: int, what: str) -> int:
    """An integer from `least` to `most`, both included; a truth value is none."""
    if type(plain) is not int or not least <= plain <= most:
        raise malformed(f"{what} is not an integer from {least} to {most}")
    return plain


def read_bytes(plain: object, least: int, most: int, what: str) -> bytes:
    """A byte string of `least` to `most` bytes."""
    if type(plain) is not bytes or not least <= len(plain) <= most:
        raise malformed(f"{what} is not {least} to {most} bytes")
    return plain


def read_text(plain: object, most: int, what: str) -> str:
    """A text of 1 to `most` characters."""
    if type(plain) is not str or not 1 <= len(plain) <= most or not _is_unicode(plain):
        raise malformed(f"{what} is not a text of 1 to {most} characters")
    return plain


def read_list(plain: object, most: int, what: str) -> list[Any] | tuple[Any, ...]:
    """A list of at most `most` parts."""
    if not isinstance(plain, list | tuple) or len(plain) > most:
        raise malformed(f"{what} is not a list of at most {most}")
    return plain


def read_row(plain: object, size: int, what: str) -> list[Any] | tuple[Any, ...]:
    """A list of exactly `size` parts."""
    if not isinstance(plain, list | tuple) or len(plain) != size:
        raise malformed(f"{what} is not a list of {size}")
    return plain


def read_map(plain: object, most: int, what: str, read_key: Callable[[object], str]) -> dict[str, Any]:
    """A dict of at most `most` checked string keys."""
    if not isinstance(plain, dict) or len(plain) > most:
        raise malformed(f"{what} is not a map of at most {most}")
    return {read_key(key): value for key, value in plain.items()}


def read_parts(plain: object, names: tuple[str, ...], what: str) -> dict[str, Any]:
    """A dict with exactly these keys."""
    if not isinstance(plain, dict) or plain.keys() != set(names):
        raise malformed(f"{what} does not consist of {', '.join(names)}")
    return plain
