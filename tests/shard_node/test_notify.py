"""What systemd is told, read from a real socket of the kind it listens on."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from shard_node.notify import BEATS, Supervisor
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PID = 4711


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def told(listener: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listener.recv(4_096).decode())
        except BlockingIOError:
            return found


def test_each_word_is_one_datagram(listener: socket.socket) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": listener.getsockname()})
    supervisor.tell("READY=1", "STATUS=serving")
    supervisor.tell("STOPPING=1")
    assert told(listener) == ["READY=1\nSTATUS=serving", "STOPPING=1"]


def test_an_abstract_socket_is_found_by_its_at() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("")  # Linux chooses a name
        sock.setblocking(False)
        name = sock.getsockname().decode()
        Supervisor({"NOTIFY_SOCKET": "@" + name[1:]}).tell("READY=1")
        assert told(sock) == ["READY=1"]


async def test_the_watchdog_hears_of_the_loop_in_time(
    listener: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    environment = {
        "NOTIFY_SOCKET": listener.getsockname(),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(PID),
    }
    with trio.move_on_after(61):
        await Supervisor(environment, PID).run()
    assert told(listener) == ["WATCHDOG=1"] * (1 + BEATS * 61 // 30)


@pytest.mark.parametrize(
    "watched",
    [{}, {"WATCHDOG_USEC": "none"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}],
)
async def test_who_is_not_watched_says_nothing_of_its_loop(
    listener: socket.socket, watched: dict[str, str]
) -> None:
    with trio.fail_after(PATIENCE_S):
        await Supervisor({"NOTIFY_SOCKET": listener.getsockname(), **watched}, PID).run()
    assert told(listener) == []


async def test_where_nobody_listens_nobody_is_told(tmp_path: Path) -> None:
    Supervisor({}).tell("READY=1")
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")
    with trio.fail_after(PATIENCE_S):
        await Supervisor({"WATCHDOG_USEC": "1000"}).run()
