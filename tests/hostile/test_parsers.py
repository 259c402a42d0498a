"""Every reader of others' bytes, alone: whatever comes, it is a value or the one failure that the reader promises."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from p2pworld.civic.transaction import parse_leaf, parse_submission
from p2pworld.civic.witness import AddCheckpoint, parse_add_checkpoint
from p2pworld.crypto.keys import NodeKeys
from p2pworld.crypto.link import (
    LinkChallenge,
    LinkHandshake,
    LinkHello,
    LinkRefused,
    decode_link,
    encode_link,
)
from p2pworld.errors import LocalError, RemoteError
from p2pworld.grants import Grant, grant_from_text, grant_to_text, grants_from_text, sign_grant, verify_chain
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import VerifierKey, parse_note
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.merkle.tiles import ENTRIES, Tile, decode_bundle, encode_bundle
from p2pworld.wire.stream import FrameReader
from shard_node.config import ConfigError, parse
from shard_node.websocket import answer_handshake
from tests.civic.log_world import submission
from tests.hostile.play_bytes import UPGRADE
from tests.merkle.signed import LOG, checkpoint, cosigned, receipt

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = NodeKeys.from_seed(bytes(32))
GRANT = sign_grant(KEYS, KEYS.public, "shard", ("cells:*",), 0, 2**50)
LINK_MESSAGES: tuple[LinkHandshake, ...] = (
    LinkChallenge(1, 1, KEYS.public, 1, bytes(32), (GRANT,), ("a",)),
    LinkHello(1, 1, KEYS.public, 1, (GRANT, GRANT), bytes(64), ()),
    LinkRefused("version", "no"),
)
LOG_READERS: tuple[
    tuple[bytes, Callable[[bytes], bytes]], ...
] = (  # good bytes; reading, and writing what was read
    (cosigned(checkpoint(9), 2).to_bytes(), lambda data: parse_note(data).to_bytes()),
    (
        checkpoint(9).text.encode(),
        lambda data: Checkpoint.parse(data.decode("latin-1")).text.encode("latin-1"),
    ),
    (receipt(11, 37, extra=b"extra").to_bytes(), lambda data: parse_receipt(data).to_bytes()),
    (
        AddCheckpoint(7, (bytes(32),), checkpoint(9)).to_bytes(),
        lambda data: parse_add_checkpoint(data).to_bytes(),
    ),
    (LOG.key.text.encode(), lambda data: VerifierKey.parse(data.decode("latin-1")).text.encode("latin-1")),
    (Tile(1, 1_234_067, 9).path.encode(), lambda data: Tile.parse(data.decode("latin-1")).path.encode()),
    (encode_bundle([b"one", b""]), lambda data: encode_bundle(decode_bundle(Tile(ENTRIES, 0, 2), data))),
    (submission(1).to_bytes(), lambda data: parse_submission(data).to_bytes()),
    (submission(1).leaf(1).to_bytes(), lambda data: parse_leaf(data).to_bytes()),
)
CONFIG = f"""
[node]
name = "n"
data_dir = "d"
key_file = "{Path(__file__).name}"
grant_file = "{Path(__file__).name}"
roots = ["{"ab" * 32}"]
clients_max = 100
[listen]
play = "127.0.0.1:0"
link = "[::1]:0"
web = "127.0.0.1:8000"
[advertise]
play_url = "ws://a/play"
[coordination]
engine = "sqlite"
path = "c"
[city]
claim = ["0123", "1123"]
tick_ms = 100
ttl_s = 3.0
take_orphans = false
[log]
level = "info"
format = "text"
"""


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with a few pieces changed, cut out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed)))
        cut = draw(st.integers(0, 8))
        put = draw(st.binary(max_size=8) | st.just(bytes(changed[at : at + 40])))
        changed[at : at + cut] = put
    return bytes(changed)


def test_what_is_mutated_below_is_good_before() -> None:
    assert answer_handshake(UPGRADE).accepted
    assert all(decode_link(encode_link(message)) == message for message in LINK_MESSAGES)
    assert parse(CONFIG, Path(__file__).parent).name == "n"
    assert grants_from_text(grant_to_text(GRANT)) == (GRANT,)
    assert NodeKeys.from_text(KEYS.to_pem()).public == KEYS.public


@given(mutations(UPGRADE) | st.binary(max_size=300).map(lambda data: data + b"\r\n\r\n"))
@example(UPGRADE.partition(b"\r\n\r\n")[0] + b"\r\n")
def test_any_request_is_answered_in_http_or_not_at_all(request: bytes) -> None:
    # up to and with the first empty line, as play sockets cut it: a request that ends with a line's end has one too
    head, end, _ = (request + b"\r\n\r\n").partition(b"\r\n\r\n")
    reply, accepted = answer_handshake(head + end)
    assert accepted == reply.startswith(b"HTTP/1.1 101 ")
    if reply:  # what is not even HTTP is not answered
        assert reply.startswith(b"HTTP/1.1 ")
        assert b"\r\n\r\n" in reply


@given(st.sampled_from(LINK_MESSAGES).flatmap(lambda message: mutations(encode_link(message))) | st.binary())
def test_any_handshake_message_of_a_link_is_one_or_a_remote_error(data: bytes) -> None:
    with suppress(RemoteError):
        message = decode_link(data)
        assert decode_link(encode_link(message)) == message


@given(st.sampled_from(LOG_READERS), st.data())
def test_whatever_is_read_of_a_log_is_written_so_or_a_remote_error(
    reader: tuple[bytes, Callable[[bytes], bytes]], draw: st.DataObject
) -> None:
    good, read_and_write = reader
    assert read_and_write(good) == good
    data = draw.draw(mutations(good) | st.binary(max_size=200))
    with suppress(RemoteError):
        assert read_and_write(data) == data


@given(st.binary(max_size=64), st.integers(1, 32))
def test_any_stream_is_frames_or_a_remote_error_and_holds_no_more_than_it_may(
    data: bytes, bound: int
) -> None:
    reader = FrameReader(bound)
    with suppress(RemoteError):
        for byte in data:
            for whole in reader.feed(bytes((byte,))):
                assert 1 <= len(whole) <= bound
    assert reader.waiting_bytes <= bound + 4


@given(mutations(grant_to_text(GRANT).encode()) | st.binary(max_size=100))
def test_any_line_is_a_grant_or_a_local_error_and_no_other_grant_holds(line: bytes) -> None:
    grant: Grant | None = None
    with suppress(LocalError):
        grant = grant_from_text(line.decode("utf-8", "replace"))
    if grant is not None and grant != GRANT:
        assert verify_chain((grant,), frozenset({KEYS.public}), grant.subject, grant.role, 1) is not None


@given(mutations(KEYS.to_pem().encode()) | st.binary(max_size=200))
def test_any_key_file_is_a_key_or_a_local_error(data: bytes) -> None:
    with suppress(LocalError):
        assert len(NodeKeys.from_text(data.decode("utf-8", "replace")).public) == 32


def sentence(text: str) -> str:
    """What is wrong with a configuration, or nothing."""
    try:
        parse(text, Path(__file__).parent)
    except ConfigError as error:
        return str(error)
    return ""


@given(mutations(CONFIG.encode()))
def test_any_configuration_is_one_or_one_sentence(data: bytes) -> None:
    said = sentence(data.decode("utf-8", "replace"))
    assert not said or (said.endswith(".") and "\n" not in said)


@pytest.mark.parametrize(
    "value",
    [
        '"\\u0000"',
        "1e400",
        "nan",
        "-1",
        "[]",
        "{}",
        "0x7fffffffffffffffffff",
        "1979-05-27T07:32:00Z",
        "[[[]]]",
        "true",
    ],
)
@pytest.mark.parametrize(
    "line", [line for line in CONFIG.splitlines() if " = " in line], ids=lambda line: line.partition(" ")[0]
)
def test_no_value_of_any_key_is_more_than_one_sentence(line: str, value: str) -> None:
    key = line.partition(" = ")[0]
    said = sentence(CONFIG.replace(line, f"{key} = {value}"))
    assert not said or (key in said and "\n" not in said)
