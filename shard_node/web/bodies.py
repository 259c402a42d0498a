"""What is sent to the interfaces of services, taken in within bounds: JSON, a form as text, a form with files.

Nothing is written to a disk on the way. A body that is said to be too long is refused before any of it is read; one
that grows too long, as soon as it does; one file that is too large, without waiting for the others. How many forms with
files are taken in at once is bounded too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import trio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from p2pworld.limits import UPLOAD_FIELDS_MAX, UPLOAD_FORM_BYTES_MAX, UPLOAD_S
from p2pworld.services.form import FieldFault
from p2pworld.services.replies import told, told_of_fault
from shard_node.web.telling import Unread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

__all__ = ["MULTIPART", "NO_FILES", "FileRoom", "Form", "Uploads", "kind_of", "read_form", "read_json"]

FORM_S: Final = 15.0  # for a body without files to come: 262 kB at 18 kB/s
_PART_HEADER_BYTES_MAX: Final = 4_096
_HEADERS_SPARE_BYTES: Final = 65_536  # what stands around the parts
URLENCODED: Final = b"application/x-www-form-urlencoded"
MULTIPART: Final = b"multipart/form-data"
JSON: Final = b"application/json"


@dataclass(frozen=True, slots=True)
class FileRoom:
    """How many files each field takes, and how long each may be."""

    fields: Mapping[str, int]
    each_bytes_max: int

    @property
    def bytes_max(self) -> int:
        """All of them together."""
        return sum(self.fields.values()) * self.each_bytes_max


NO_FILES: Final = FileRoom({}, 0)


@dataclass(slots=True)
class Form:
    """What came: texts by their names, in order, and files."""

    texts: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, list[bytes]] = field(default_factory=dict)


class Uploads:
    """How many bodies with files are taken in at once."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Room for one, until it has been dealt with.

        Raises:
            Unread: there is none now (`busy`).
        """
        if self._free <= 0:
            raise Unread(told("busy"))
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def kind_of(request: Request) -> tuple[bytes, Mapping[bytes, bytes]]:
    """The type of a body, and what is said with it."""
    return parse_options_header(request.headers.get("content-type", ""))


async def read_json(request: Request, bytes_max: int = UPLOAD_FORM_BYTES_MAX) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        Unread: it is none, too long, or does not come.
    """
    data = bytearray()
    await _take(request, bytes_max, FORM_S, data.extend)
    try:
        value = json.loads(bytes(data))
    except (ValueError, RecursionError):
        raise Unread(told("malformed")) from None
    if not isinstance(value, dict):
        raise Unread(told("malformed"))
    return value


async def read_form(request: Request, room: FileRoom = NO_FILES) -> Form:
    """The fields of a body that is a form, urlencoded or multipart; with files, if there is `room` for any.

    Raises:
        Unread: it is none, something in it is too long, there are too many of something, or it does not come.
    """
    kind, options = kind_of(request)
    if kind == URLENCODED:
        data = bytearray()
        await _take(request, UPLOAD_FORM_BYTES_MAX, FORM_S, data.extend)
        try:
            pairs = parse_qsl(
                data.decode("utf-8"),
                keep_blank_values=True,
                strict_parsing=bool(data),
                errors="strict",
                max_num_fields=UPLOAD_FIELDS_MAX,
            )
        except ValueError:
            raise Unread(told("malformed")) from None
        return Form(pairs)
    boundary = options.get(b"boundary", b"")
    if kind != MULTIPART or not 1 <= len(boundary) <= 70:  # RFC 2046, 5.1.1
        raise Unread(told("malformed"))
    return await _read_multipart(request, boundary, room)


async def _read_multipart(request: Request, boundary: bytes, room: FileRoom) -> Form:
    sink = _Sink(room)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": sink.begin,
            "on_header_field": sink.header_field,
            "on_header_value": sink.header_value,
            "on_header_end": sink.header_end,
            "on_headers_finished": sink.headers_finished,
            "on_part_data": sink.data,
            "on_part_end": sink.end,
            "on_end": sink.finish,
        },
    )
    limit = room.bytes_max + UPLOAD_FORM_BYTES_MAX + _HEADERS_SPARE_BYTES
    try:
        await _take(request, limit, UPLOAD_S, parser.write)
        parser.finalize()
    except FormParserError:
        raise Unread(told("malformed")) from None
    if not sink.finished:
        raise Unread(told("malformed"))
    return sink.form


class _Sink:
    """Takes in the parts of a multipart body as they come, and stops at the first that is too much."""

    def __init__(self, room: FileRoom) -> None:
        self.form = Form()
        self.finished = False
        self._room = room
        self._left = UPLOAD_FORM_BYTES_MAX
        self._parts = 0
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._part: bytearray = bytearray()
        self._part_max: int | None = None  # of a file; None for text

    def begin(self) -> None:
        self._parts += 1
        if self._parts > UPLOAD_FIELDS_MAX:
            raise Unread(told("malformed"))
        self._disposition = b""
        self._part, self._part_max = bytearray(), None

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])
        self._bound_header()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])
        self._bound_header()

    def _bound_header(self) -> None:
        if len(self._header[0]) + len(self._header[1]) > _PART_HEADER_BYTES_MAX:
            raise Unread(told("malformed"))

    def header_end(self) -> None:
        if bytes(self._header[0]).lower() == b"content-disposition":
            self._disposition = bytes(self._header[1])
        self._header = (bytearray(), bytearray())

    def headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        try:
            self._name = options[b"name"].decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            raise Unread(told("malformed")) from None
        if kind != b"form-data" or not self._name:
            raise Unread(told("malformed"))
        if b"filename" not in options:
            return
        most = self._room.fields.get(self._name, 0)
        if not most:
            raise Unread(told("files-none"))
        if len(self.form.files.get(self._name, ())) >= most:
            raise Unread(told_of_fault(FieldFault(self._name, "too-many-files", {}, str(most))))
        self._part_max = self._room.each_bytes_max

    def data(self, data: bytes, start: int, end: int) -> None:
        size = end - start
        if self._part_max is None:
            self._left -= size
            if self._left < 0:
                raise Unread(told("too-large", f"{UPLOAD_FORM_BYTES_MAX >> 10} KiB"))
        elif len(self._part) + size > self._part_max:
            raise Unread(
                told_of_fault(FieldFault(self._name, "file-too-large", {}, str(self._part_max >> 20)))
            )
        self._part += data[start:end]

    def end(self) -> None:
        if self._part_max is None:
            try:
                self.form.texts.append((self._name, bytes(self._part).decode("utf-8")))
            except UnicodeDecodeError:
                raise Unread(told("malformed")) from None
        elif self._part:  # a field in which no file was chosen comes empty
            self.form.files.setdefault(self._name, []).append(bytes(self._part))
        self._part = bytearray()

    def finish(self) -> None:
        self.finished = True


async def _take(request: Request, bytes_max: int, within_s: float, take: Callable[[bytes], object]) -> None:
    """Gives the body to `take` as it comes.

    Raises:
        Unread: it is, or would be, longer than `bytes_max`, or does not come in time.
    """
    too_large = told("too-large", _size_text(bytes_max))
    said = request.headers.get("content-length", "0")
    if not said.isdigit() or int(said) > bytes_max:
        raise Unread(too_large)
    size = 0
    try:
        with trio.move_on_after(within_s) as waited:
            async with aclosing(request.stream()) as parts:
                async for part in parts:
                    size += len(part)
                    if size > bytes_max:
                        raise Unread(too_large)
                    take(part)
    except ClientDisconnect:  # gone, or silent for as long as the server waits
        raise Unread(told("too-slow")) from None
    if waited.cancelled_caught:
        raise Unread(told("too-slow"))


def _size_text(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
