"""A frozen dataclass and its map of plain values, checked both ways by the dataclass's own annotations.

`Schema(cls)` reads the type hints once and holds one small function a field. `read` turns a decoded map into the
dataclass or says in one short code what does not fit; `write` turns the dataclass into a map, leaving out every field
that equals its default, and refuses what `read` would refuse; with `by_name` every map it makes is sorted by its keys.
Known shapes: `bool`, `int` with `Range`, `str`, `bytes` and `tuple[X, ...]` with `Size`, a nested dataclass, and
`X | None`. Keys a schema does not know are ignored, so that a newer sender may add fields.
"""

from __future__ import annotations

import dataclasses
import types
from operator import itemgetter
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from p2pworld.errors import LocalError, RemoteError
from p2pworld.messages import Range, Size

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Schema"]

T = TypeVar("T")

_ABSENT = object()


class _UnfitError(Exception):
    """A value that does not fit; `where` grows outwards, from the innermost field to the outermost."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.where: list[str] = []

    def reason(self) -> str:
        where = ".".join(reversed(self.where))
        return f"field-{self.what}:{where}" if where else f"field-{self.what}"


class Schema(Generic[T]):
    """How one dataclass travels.

    Raises:
        LocalError: an annotation is none of the known shapes.
    """

    def __init__(self, cls: type[T], *, by_name: bool = False) -> None:
        self.cls = cls
        hints = get_type_hints(cls, include_extras=True)
        self._fields: list[tuple[str, object, Callable[[Any], Any], Callable[[Any], Any]]] = []
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            read, write = _compile(hints[field.name], f"{cls.__name__}.{field.name}", by_name)
            default = _ABSENT if field.default is dataclasses.MISSING else field.default
            self._fields.append((field.name, default, read, write))
        self._written = sorted(self._fields, key=itemgetter(0)) if by_name else self._fields

    def read(self, value: object) -> T:
        """The dataclass of a decoded map.

        Raises:
            RemoteError: what does not fit, such as `field-range:pose.east_cm`.
        """
        try:
            return self._read(value)
        except _UnfitError as unfit:
            raise RemoteError(unfit.reason(), f"{self.cls.__name__}: {unfit.reason()}") from None

    def write(self, message: T) -> dict[str, Any]:
        """The map of a dataclass, without the fields that equal their defaults.

        Raises:
            LocalError: a field is outside what its annotation allows.
        """
        try:
            return self._write(message)
        except _UnfitError as unfit:
            raise LocalError(f"{self.cls.__name__} cannot be sent: {unfit.reason()}") from None

    def _read(self, value: Any) -> T:
        if type(value) is not dict:
            raise _UnfitError("type")
        values: list[Any] = []
        name = ""
        try:
            for name, default, read, _ in self._fields:
                item = value.get(name, _ABSENT)
                if item is not _ABSENT:
                    item = read(item)
                elif default is not _ABSENT:
                    item = default
                else:
                    raise _UnfitError("missing")
                values.append(item)
        except _UnfitError as unfit:
            unfit.where.append(name)
            raise
        return self.cls(*values)

    def _write(self, message: Any) -> dict[str, Any]:
        if type(message) is not self.cls:
            raise _UnfitError("type")
        values: dict[str, Any] = {}
        name = ""
        try:
            for name, default, _, write in self._written:
                item = getattr(message, name)
                plain = write(item)
                if default is _ABSENT or item != default:
                    values[name] = plain
        except _UnfitError as unfit:
            unfit.where.append(name)
            raise
        return values


def _compile(hint: Any, where: str, by_name: bool) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The functions (read, write) of one annotation."""
    bound: Range | Size | None = None
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        bound = next((extra for extra in extras if isinstance(extra, (Range, Size))), None)
    if hint is bool:
        return _bool, _bool
    if hint is int and isinstance(bound, Range):
        return _int(bound), _int_out(bound)
    if hint is str and isinstance(bound, Size):
        return _str(bound), _str(bound)
    if hint is bytes and isinstance(bound, Size):
        return _bytes(bound), _bytes(bound)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        nested = Schema(hint, by_name=by_name)
        return nested._read, nested._write
    arguments = get_args(hint)
    if (
        get_origin(hint) is tuple
        and len(arguments) == 2
        and arguments[1] is Ellipsis
        and isinstance(bound, Size)
    ):
        read, write = _compile(arguments[0], where, by_name)
        return _tuple(bound, read), _tuple(bound, write)
    if get_origin(hint) in (Union, types.UnionType) and len(arguments) == 2 and arguments[1] is type(None):
        read, write = _compile(arguments[0], where, by_name)
        return _optional(read), _optional(write)
    raise LocalError(f"{where}: no way to send {hint!r}; see the shapes at the top of wire/schema.py")


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _UnfitError("type")
    return value


def _int(bound: Range) -> Callable[[Any], int]:
    low, high = bound.low, bound.high

    def check(value: Any) -> int:
        if type(value) is not int:
            raise _UnfitError("type")
        if not low <= value <= high:
            raise _UnfitError("range")
        return value

    return check


def _int_out(bound: Range) -> Callable[[Any], int]:
    """As `_int`, but a subclass such as a cell leaves as the plain number it is."""
    check = _int(bound)

    def check_out(value: Any) -> int:
        if isinstance(value, int) and type(value) is not bool:
            return check(int(value))
        raise _UnfitError("type")

    return check_out


def _str(bound: Size) -> Callable[[Any], str]:
    low, high = bound.low, bound.high

    def check(value: Any) -> str:
        if type(value) is not str:
            raise _UnfitError("type")
        if not low <= len(value) <= high:
            raise _UnfitError("size")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _UnfitError("text") from None
        if "\0" in value:
            raise _UnfitError("text")
        return value

    return check


def _bytes(bound: Size) -> Callable[[Any], bytes]:
    low, high = bound.low, bound.high

    def check(value: Any) -> bytes:
        if type(value) is not bytes:
            raise _UnfitError("type")
        if not low <= len(value) <= high:
            raise _UnfitError("size")
        return value

    return check


def _tuple(bound: Size, convert: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    low, high = bound.low, bound.high

    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not tuple:
            raise _UnfitError("type")
        if not low <= len(value) <= high:
            raise _UnfitError("size")
        return tuple([convert(item) for item in value])

    return check


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        return None if value is None else convert(value)

    return check
