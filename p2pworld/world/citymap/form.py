"""The city map as bytes: one canonical form for each map, with a format number, and trusted only once proven sound."""

from __future__ import annotations

from typing import Final

import msgpack

from p2pworld.errors import LocalError, RemoteError
from p2pworld.geometry import LEVEL_MAX, Cell
from p2pworld.ids import Incarnation
from p2pworld.world.citymap.value import (
    CELLS_MAX,
    FORMAT,
    GENERATION_MAX,
    MEMBERS_MAX,
    NUMBER_MAX,
    STREAM_CHARS_MAX,
    STREAMS_MAX,
    URL_CHARS_MAX,
    VERSION_MAX,
    CityMap,
    Held,
    Holding,
    Member,
    Wish,
    WishKind,
)

__all__ = [
    "decode",
    "encode",
    "from_plain",
    "to_plain",
]

# In a map of format 1 a member and a holding lack their last field.
_MEMBER_FIELDS: Final = {1: 5, 2: 6}
_HOLDING_FIELDS: Final = {1: 5, 2: 6}


def to_plain(city: CityMap) -> dict[str, object]:
    """The map as plain lists, numbers and bytes, equal for equal maps.

    Holders and standbys are places in its list of members.
    """
    nodes = sorted(city.members)
    place = {city.members[node].who: index for index, node in enumerate(nodes)}

    def plain(holding: Holding) -> list[object]:
        return [
            None if holding.holder is None else place[holding.holder],
            holding.epoch,
            [place[standby] for standby in holding.standbys],
            holding.host,
            None if holding.lost is None else [*holding.lost.holder, holding.lost.epoch],
            *([] if city.format == 1 else [_marks(holding)]),
        ]

    return {
        "format": city.format,
        "generation": city.generation,
        "version": city.version,
        "members": [
            [m.node, m.incarnation, m.link_url, m.play_url, m.web_url]
            + ([] if city.format == 1 else [m.draining])
            for _, m in sorted(city.members.items())
        ],
        "cells": [[int(cell), *plain(city.cells[cell])] for cell in city.leaves],
        "streams": [[name, *plain(holding)] for name, holding in sorted(city.streams.items())],
    }


def from_plain(plain: object) -> CityMap:
    """The map of `to_plain`, proven sound.

    Raises:
        RemoteError: `newer_format` if a newer release wrote it, else `bad_map`.
    """
    if not isinstance(plain, dict):
        raise RemoteError("bad_map", "a city map is a table")
    written = plain.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise RemoteError(
            "newer_format", f"the city map has format {written}, this release reads up to {FORMAT}"
        )
    if (
        type(written) is not int
        or written not in _MEMBER_FIELDS
        or plain.keys()
        != {
            "format",
            "generation",
            "version",
            "members",
            "cells",
            "streams",
        }
    ):
        raise RemoteError("bad_map", "the city map lacks a field or has one too many")
    members = [
        Member(
            _bytes32(node), _count(number, NUMBER_MAX), _url(link), _url(play), _url(web), *map(_flag, drains)
        )
        for node, number, link, play, web, *drains in _rows(
            plain["members"], _MEMBER_FIELDS[written], MEMBERS_MAX
        )
    ]
    who = [member.who for member in members]
    fields = 1 + _HOLDING_FIELDS[written]
    cells = {_cell(number): _holding(rest, who) for number, *rest in _rows(plain["cells"], fields, CELLS_MAX)}
    streams = {
        _text(name, STREAM_CHARS_MAX): _holding(rest, who)
        for name, *rest in _rows(plain["streams"], fields, STREAMS_MAX)
    }
    city = CityMap(
        _count(plain["version"], VERSION_MAX),
        _count(plain["generation"], GENERATION_MAX),
        {member.node: member for member in members},
        cells,
        streams,
        written,
    )
    try:
        city.check()
    except LocalError as error:
        raise RemoteError("bad_map", str(error)) from None
    # Whatever stood twice or out of order shows here: one map has one form.
    if to_plain(city) != plain:
        raise RemoteError("bad_map", "the city map is not in canonical order")
    return city


def encode(city: CityMap) -> bytes:
    """The canonical bytes of a map: equal for equal maps."""
    return bytes(msgpack.packb(to_plain(city)))


def decode(data: bytes) -> CityMap:
    """The map of `encode`.

    Raises:
        RemoteError: `newer_format` if a newer release wrote it, else `bad_map`.
    """
    try:
        plain = msgpack.unpackb(data)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise RemoteError("bad_map", f"the city map is not msgpack: {error}") from None
    return from_plain(plain)


def _rows(value: object, width: int, rows_max: int) -> list[list[object]]:
    if not isinstance(value, list) or len(value) > rows_max:
        raise RemoteError("bad_map", f"a list of at most {rows_max} rows is wanted")
    for row in value:
        if not isinstance(row, list) or len(row) != width:
            raise RemoteError("bad_map", f"a row of {width} fields is wanted")
    return value


def _count(value: object, largest: int) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise RemoteError("bad_map", f"a number from 0 to {largest} is wanted")
    return value


def _text(value: object, chars_max: int) -> str:
    if not isinstance(value, str) or not len(value) <= chars_max:
        raise RemoteError("bad_map", f"a text of at most {chars_max} characters is wanted")
    return value


def _url(value: object) -> str:
    return _text(value, URL_CHARS_MAX)


def _bytes32(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise RemoteError("bad_map", "a public key of 32 bytes is wanted")
    return value


def _cell(value: object) -> Cell:
    try:
        return Cell(_count(value, NUMBER_MAX))
    except ValueError as error:
        raise RemoteError("bad_map", str(error)) from None


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise RemoteError("bad_map", "true or false is wanted")
    return value


def _marks(holding: Holding) -> list[object] | None:
    """What only format 2 knows of a holding; None where there is none of it."""
    if holding.plain:
        return None
    kind, to = (None, b"") if holding.wish is None else (holding.wish.kind.value, holding.wish.to)
    return [kind, to, holding.pinned, holding.cut_from]


def _wish(kind: object, to: object) -> Wish | None:
    if kind is None:
        return None
    known = next((known for known in WishKind if known.value == kind), None)
    if known is None or not isinstance(to, bytes):
        raise RemoteError("bad_map", "a wish is wanted")
    return Wish(known, to)


def _holding(row: list[object], who: list[Incarnation]) -> Holding:
    holder, epoch, standbys, host, lost, *marks = row
    kind, to, pinned, cut_from = (
        _rows(marks, 4, 1)[0] if marks and marks[0] is not None else (None, b"", False, None)
    )
    if not isinstance(standbys, list):
        raise RemoteError("bad_map", "a list of standbys is wanted")

    def listed(place: object) -> Incarnation:
        return who[_count(place, len(who) - 1)]

    if lost is not None:
        node, number, lost_epoch = _rows([lost], 3, 1)[0]
        lost = Held(Incarnation(_bytes32(node), _count(number, NUMBER_MAX)), _count(lost_epoch, NUMBER_MAX))
    return Holding(
        None if holder is None else listed(holder),
        _count(epoch, NUMBER_MAX),
        tuple(listed(standby) for standby in standbys),
        None if host is None else _bytes32(host),
        lost,
        _wish(kind, to),
        _flag(pinned),
        None if cut_from is None else _count(cut_from, LEVEL_MAX),
    )
