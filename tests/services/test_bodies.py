"""Bodies as they come: in whatever pieces, whole, broken off, too long, too slow, or nonsense."""

from __future__ import annotations

import json
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from p2pworld.limits import UPLOAD_FORM_BYTES_MAX, UPLOADS_AT_ONCE
from shard_node.doors import Doors
from shard_node.services.folder import read
from shard_node.web.apply import apply_routes, room_of
from shard_node.web.bodies import NO_FILES, FileRoom, Uploads, read_form, read_json
from shard_node.web.telling import Unread
from tests.services.gateway_node import BOUNDARY, ROAD, ask, multipart
from tests.shard_node.test_web import Source, serving_app
from tests.shard_node.test_web_civic import Refusing

if TYPE_CHECKING:
    from collections.abc import Iterable

MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
ROOM = FileRoom({"photos": 2}, 1_000)


def coming(kind: str, parts: Iterable[bytes], *, ends: bool = True, length: int | None = None) -> Request:
    """A request whose body comes in these parts, and then ends or goes on for ever without a byte."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if left:
            part = left.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(left) or not ends}
        if ends:
            return {"type": "http.disconnect"}
        await trio.sleep_forever()
        raise AssertionError

    headers = [(b"content-type", kind.encode("latin-1"))]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return Request(scope, receive)


def read_all(request: Request, room: FileRoom = NO_FILES) -> Any:
    """What a form is read as, or the reason why it is not."""
    try:
        return trio.run(read_form, request, room)
    except Unread as unread:
        return unread.said.reason


PARTS: list[tuple[str, str | None, bytes]] = [
    ("place", None, b"37.5,127"),
    ("photos", "a.png", bytes(range(256))),
    ("body", None, "첫 줄\r\n--둘째 줄".encode()),
    ("photos", "", b""),
    ("photos", "b.png", b"\r\n--" + BOUNDARY[:5].encode()),
]


@given(st.lists(st.integers(1, 700), max_size=12))
def test_a_form_is_the_same_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    body, said = multipart(PARTS)
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[a:b] for a, b in pairwise(places)]
    form = read_all(coming(said["Content-Type"], pieces), ROOM)
    assert form.texts == [("place", "37.5,127"), ("body", "첫 줄\r\n--둘째 줄")]
    assert form.files == {"photos": [PARTS[1][2], PARTS[4][2]]}


@given(
    st.binary(max_size=300),
    st.sampled_from([MULTIPART, "multipart/form-data", "application/json", "text/plain", ""]),
)
def test_nonsense_is_no_form(data: bytes, kind: str) -> None:
    assert read_all(coming(kind, [data]), ROOM) == "malformed"


@given(st.binary(max_size=60), st.integers(0, 600))
def test_a_form_that_was_damaged_is_read_or_refused(damage: bytes, at: int) -> None:
    body, said = multipart(PARTS)
    at %= len(body)
    found = read_all(coming(said["Content-Type"], [body[:at] + damage + body[at + len(damage) :]]), ROOM)
    assert isinstance(found, str) or found.texts is not None


def test_a_form_that_breaks_off_is_no_form() -> None:
    body, said = multipart(PARTS)
    for end in (10, 100, len(body) - 20):
        assert read_all(coming(said["Content-Type"], [body[:end]]), ROOM) == "malformed"


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([("photos", "a", bytes(1_001))], "file-too-large"),
        ([("photos", "a", b"1"), ("photos", "b", b"2"), ("photos", "c", b"3")], "too-many-files"),
        ([("letter", "a", b"1")], "files-none"),
        ([("body", None, bytes(UPLOAD_FORM_BYTES_MAX + 1))], "too-large"),
        ([("a", None, bytes(UPLOAD_FORM_BYTES_MAX // 2))] * 3, "too-large"),
        ([("a", None, b"")] * 257, "malformed"),
        ([("a", None, b"\xff\xfe")], "malformed"),
        ([("", None, b"")], "malformed"),
    ],
)
def test_what_is_too_much_is_said(parts: list[tuple[str, str | None, bytes]], reason: str) -> None:
    body, said = multipart(parts)
    assert (
        read_all(
            coming(said["Content-Type"], [body[i : i + 4_096] for i in range(0, len(body), 4_096)]), ROOM
        )
        == reason
    )


def test_a_length_that_is_too_long_is_believed_at_once() -> None:
    """Nothing of the body is waited for."""
    for kind in (MULTIPART, "application/x-www-form-urlencoded"):
        assert read_all(coming(kind, [], ends=False, length=1 << 30), ROOM) == "too-large"


async def test_what_does_not_come_in_time_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    for kind, read_it in ((MULTIPART, read_form), ("application/json", read_json)):
        with pytest.raises(Unread, match="in time"):
            await read_it(coming(kind, [b"--"], ends=False))


@given(
    st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda inner: st.lists(inner, max_size=3))
)
def test_json_is_an_object_or_nothing(value: object) -> None:
    request = coming("application/json", [json.dumps(value).encode()])
    with pytest.raises(Unread):
        trio.run(read_json, request)
    found = trio.run(read_json, coming("application/json", [json.dumps({"values": value}).encode()]))
    assert found == {"values": value}


async def test_so_many_bodies_with_files_at_once() -> None:
    uploads = Uploads(1)
    async with uploads.one():
        with pytest.raises(Unread, match="at once"):
            async with uploads.one():
                pass
    async with uploads.one():
        pass
    assert UPLOADS_AT_ONCE * sum(room_of(read().services["road-damage-report"]).fields.values()) == 20


async def test_whoever_sends_too_often_is_told_to_wait() -> None:
    host: Any = SimpleNamespace(catalogue=read(), doors=Refusing())
    nothing: Any = SimpleNamespace(key=b"k" * 32)
    async with serving_app(Source(), apply_routes(host, nothing, nothing, nothing, nothing)) as url:
        for name in ("check", "prepare", "requests"):
            answer = await trio.to_thread.run_sync(ask, url, "POST", f"{ROAD}/{name}", b"{}")
            told = answer.json()
            assert (answer.status, told["reason"], told["retry"]) == (503, "busy", True)
            assert answer.headers["retry-after"] == "1"
    host.doors = Doors()
    async with serving_app(Source(), apply_routes(host, nothing, nothing, nothing, nothing)) as url:
        answer = await trio.to_thread.run_sync(ask, url, "POST", f"{ROAD}/check", b"{}")
        assert (answer.status, answer.json()["reason"]) == (400, "malformed")
